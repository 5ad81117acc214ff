"""Which keys of the configuration each rule's parameters come from: what `madpipe verify` compares them with."""

from collections.abc import Mapping

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "rocking_simulate": {"config": "rocking.samples.{sample}", "seed": "seed"},
    "rocking_convert": {"config": "rocking.samples.{sample}"},
    "rocking_fit": {"config": "rocking.fit", "depth": "rocking.samples.{sample}.depth", "seed": "seed"},
    "rocking_train": {"config": "rocking.train", "seed": "seed"},
    "rocking_infer": {"config": "rocking.infer", "fit": "rocking.fit", "seed": "seed"},
    "rocking_validate": {},
    "rocking_figures": {},
    "rocking_evaluate": {
        "config": "rocking.evaluate",
        "infer": "rocking.infer",
        "fit": "rocking.fit",
        "seed": "seed",
    },
    "rocking_evaluation_figures": {},
    "rocking_ablate": {"config": "rocking.ablation", "infer": "rocking.infer", "fit": "rocking.fit", "seed": "seed"},
    "rocking_ablation": {},
}
