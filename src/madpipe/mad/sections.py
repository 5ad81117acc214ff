"""Which keys of the configuration each rule's parameters come from: what `madpipe verify` compares them with."""

from collections.abc import Mapping

# rule: parameter -> key of the configuration; {sample} stands for the rule's wildcard of this name
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "mad_simulate": {"config": "mad.samples.{sample}", "seed": "seed"},
    "mad_convert": {"config": "mad.samples.{sample}"},
    "mad_fit": {"config": "mad.fit", "refine": "mad.samples.{sample}.refine"},
    "mad_refine": {"config": "mad.fit", "refine": "mad.samples.{sample}.refine"},
    "mad_fit_part": {"config": "mad.fit", "parts": "mad.samples.{sample}.parts"},
    "mad_train": {"config": "mad.train", "seed": "seed"},
    "mad_infer": {"config": "mad.infer"},
    "mad_infer_part": {"config": "mad.infer", "parts": "mad.samples.{sample}.parts"},
    "mad_retrieve": {
        "config": "mad.retrieve",
        "refine": "mad.samples.{sample}.refine",
        "partner": "mad.samples.{sample}.partner",
        "seed": "seed",
    },
    "mad_retrieve_apart": {"config": "mad.retrieve", "partner": "mad.samples.{sample}.partner", "seed": "seed"},
    "mad_validate": {"config": "mad.validate", "seed": "seed"},
    "mad_testsuite": {"config": "mad.testsuite"},
    "mad_compare": {"fit": "mad.fit", "infer": "mad.infer", "validate": "mad.validate", "cores": "mad.infer.threads"},
    "mad_comparison": {},
    "mad_ablate": {"config": "mad.ablation", "seed": "seed"},
    "mad_ablation": {"config": "mad.ablation", "seed": "seed"},
    "mad_overview": {},
    "mad_figures": {"config": "mad.figures"},
    "mad_sample_figures": {"config": "mad.figures"},
}

_REFERENCE = ("mad.train.network", "mad.train.loss")  # the reference design's own


def rule_s_own(rule: str, wildcards: Mapping[str, str]) -> tuple[str, ...]:
    """Name the keys of its sections that a rule sets itself, or does without."""
    if rule in ("mad_simulate", "mad_convert"):
        return (f"mad.samples.{wildcards['sample']}.parts",)
    if rule == "mad_testsuite":
        return ("mad.testsuite.methods",)
    if rule == "mad_train" and wildcards.get("network") != "network":
        return _REFERENCE
    return ()
