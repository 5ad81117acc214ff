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
        made_by = f"# madpipe {provenance.versions()['madpipe']}, git commit: {provenance.git_commit()}"
        Path(output[0]).write_text(f"{made_by}\n{to_yaml(SETTINGS)}", encoding="utf-8")
