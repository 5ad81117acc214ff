"""Which keys of the configuration each rule's parameters come from: what `madpipe verify` compares them with."""

from collections.abc import Mapping

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "rocking_simulate": {"config": "rocking.samples.{sample}", "seed": "seed"},
    "rocking_convert": {"config": "rocking.samples.{sample}"},
    "rocking_fit": {"config": "rocking.fit", "depth": "rocking.samples.{sample}.depth", "seed": "seed"},
    "rocking_validate": {},
    "rocking_figures": {},
}
