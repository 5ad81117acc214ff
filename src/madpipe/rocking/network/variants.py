"""What the ablation compares: each remedy alone against none.

The workflow lists the trainings from here each time it starts, hence nothing heavy is imported.
"""

from collections.abc import Mapping
from typing import Any

BASE = "none"
VARIANTS: Mapping[str, dict[str, Any]] = {
    BASE: {},
    "curve reconstruction": {"reconstruction": 3.0},
    "curve reconstruction, second stage": {"reconstruction": 3.0, "reconstruction_from": 0.6},
    "sensitivity weights": {"sensitivity": "measured"},
    "inverse sensitivity weights": {"sensitivity": "last"},
    "multi-task": {"multi_task": 3.0},
    "coarse to fine": {"coarse_to_fine": 0.5},
    "sensitivity-aware sampling": {"sensitive_share": 0.5},
    "attention per parameter": {"pooling": "per_parameter"},
}
