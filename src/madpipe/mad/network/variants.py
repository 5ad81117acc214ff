"""What the ablation compares: each variant is the base but for what stands beside its name.

The workflow lists the trainings from here each time it starts, hence nothing heavy is imported.
"""

from collections.abc import Mapping
from typing import Any

BASE = "likelihood"
VARIANTS: Mapping[str, dict[str, Any]] = {
    BASE: {},
    "prediction only": {"corrected": 0.0, "predicted": 1.0},
    "prediction counts as much": {"predicted": 1.0},
    "prediction counts a tenth": {"predicted": 0.1},
    "squared error": {"loss": "squared"},
    "squared, weight sqrt(I)": {"loss": "squared", "weighting": "sqrt"},
    "squared, weight log(1+I)": {"loss": "squared", "weighting": "log"},
    "squared, weight 1/sigma^2": {"loss": "squared", "weighting": "sigma"},
    "squared, Fisher information": {"loss": "squared", "weighting": "fisher"},
    "squared, |F_A| term": {"loss": "squared", "resonant": 1.0},
    "squared, sin and cos on a circle": {"loss": "squared", "polar": True, "circle": 0.1},
    "squared, intensity term": {"loss": "squared", "intensity": 0.1},
    "likelihood, intensity term": {"intensity": 0.1},
    "likelihood, weight sqrt(I)": {"weighting": "sqrt"},
    "curriculum": {"curriculum": 1.25},
    "two passes": {"passes": 2},
    "sensitive particles": {"sensitive_share": 0.5},
    "attention": {"attention": True},
    "dropout": {"dropout": 0.05},
    "width 64": {"width": 64},
}
DROPPED = "dropout"  # whose weights Monte-Carlo dropout is made of
