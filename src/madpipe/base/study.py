"""What the house asks of a study: one small record of light things, which the workflow reads each time it starts."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madpipe.base.config import Model
from madpipe.base.shipped import shipped_weights


def _no_sizes(section: Model) -> Mapping[str, int]:
    """Every job takes about the same."""
    return {}


@dataclass(frozen=True)
class Study:
    """A study: its name in every place where one is needed, and what of it belongs to the house's shared files."""

    name: str  # of its folder, its section of the configuration, its rules and its commands
    title: str  # as a heading: of the report's category, of its checks
    about: str  # in a few words, above its section of the configuration
    config: type[Model]  # its section of the configuration, with ``samples`` by name
    samples: Mapping[str, Mapping[str, object]]  # of the default run
    # classes that docs/ describe dataset by dataset, of madpipe.{name}.records or of the module named before a dot
    records: tuple[str, ...]
    # its sections of the overlays that config/ holds of all studies: smoke, and weights where a network ships
    overlays: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    variants: Sequence[str] = ()  # of its network, in the order of the ablation
    sizes: Callable[[Any], Mapping[str, int]] = _no_sizes  # of its section: what there is to do, by sample or by rule

    @property
    def ships_weights(self) -> bool:
        """Whether a trained network comes with madpipe; `make weights` makes it."""
        return "weights" in self.overlays

    @property
    def weights(self) -> Path:
        """The network that comes with madpipe, so that a prediction needs no training."""
        return shipped_weights(self.name)

    def record_types(self) -> tuple[type, ...]:
        """Load the classes of its records."""
        places = [name.rpartition(".") for name in self.records]
        modules = [importlib.import_module(f"madpipe.{self.name}.{module or 'records'}") for module, _, _ in places]
        return tuple(getattr(module, kind) for module, (_, _, kind) in zip(modules, places, strict=True))
