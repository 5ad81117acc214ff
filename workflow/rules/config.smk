rule resolved_config:
    """Write the configuration that the results were made with beside them."""
    output:
        f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/resolved_config.log",
    localrule: True
    params:
        settings=hashlib.sha256(to_yaml(SETTINGS).encode()).hexdigest()[:16],
        code=fingerprint("madpipe.config"),
    run:
        Path(output[0]).write_text(resolved_configuration(), encoding="utf-8")
