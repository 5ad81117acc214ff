"""Tables of the scores: their schemas."""

from itertools import product

from madpipe.base.tables import Column, Schema
from madpipe.rocking.prior import NAMES

_ERRORS = [(f"{answer} {name}", "% of range") for answer, name in product(("network", "refined"), (*NAMES, "mean"))]
_MEANS = [*_ERRORS, ("network_log_rms", ""), ("good_share", "")]
ABLATION = Schema(
    "the ablation",
    (
        Column("variant", "text"),
        Column("trainings", "whole"),
        *(
            Column(name + end, "real", unit, meaning)
            for name, unit in _MEANS
            for end, meaning in (("", "mean over trainings"), (" error", "its standard error"))
        ),
        Column("over none", "real", meaning="network mean over that without a remedy", optional=True),
    ),
)
