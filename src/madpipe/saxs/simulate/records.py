"""What a simulation of curves drew."""

from dataclasses import dataclass

import numpy as np

from madpipe.base.store import Groups, entry

_Array = np.ndarray


@dataclass(frozen=True)
class SaxsTruth:
    """The particle, and the curves without noise: a file of its own beside the curves."""

    names: str = entry("entry_1/names")  # of the quantities, one a line
    values: _Array = entry("entry_1/values")  # (quantity), lengths in angstrom
    expected: _Array = entry("entry_1/expected", "1/cm")  # (curve, q), smeared, scaled, with the background
    scales: _Array = entry("entry_1/scales")  # (curve)
    background: _Array = entry("entry_1/background", "1/cm")  # (curve)
    offset: float = entry("entry_1/offset", "eV")  # true less stated energy
    model: str = entry("entry_1/model")

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"entry_1": {"NX_class": "NXcollection"}}

    def of(self, name: str) -> float:
        """Value of a quantity."""
        return float(self.values[self.names.split("\n").index(name)])
