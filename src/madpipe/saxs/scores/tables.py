"""Tables of the scores: their schemas."""

from madpipe.base.tables import Column, Schema

_MEANS = ("accuracy", "accuracy_hidden", "calibration_error", "cube", "mixture")
ABLATION = Schema(
    "the ablation",
    (
        Column("variant", "text"),
        Column("trainings", "whole"),
        *(
            Column(name + end, "real", "", meaning)
            for name in _MEANS
            for end, meaning in (("", "mean over trainings"), (" error", "its standard error"))
        ),
    ),
)
