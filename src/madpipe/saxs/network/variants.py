"""What the ablation compares: networks that differ from the usual one in one thing.

The workflow lists the trainings from here each time it starts, hence nothing heavy is imported.
"""

from collections.abc import Mapping
from typing import Any

BASE = "usual"
VARIANTS: Mapping[str, dict[str, Any]] = {
    BASE: {},
    "without slopes": {"slopes": False},
    "without scale": {"scale": False},
    "class alone": {"parameters": 0.0},
    "physics in the loss": {"physics": 0.3},
    "300 labels": {"known": 300},
    "300 labels, pre-trained": {"known": 300, "pretraining": 400},
    "3000 labels": {"known": 3000},
    "3000 labels, pre-trained": {"known": 3000, "pretraining": 400},
}
