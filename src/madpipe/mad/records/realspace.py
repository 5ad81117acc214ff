"""Densities that phase retrieval found."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry, part
from madpipe.mad.records.nuisance import Nuisance
from madpipe.mad.records.units import MODULUS

_Array = np.ndarray
STANDARD, LOWER_BOUNDS = "standard errors", "lower bounds of standard errors"  # what a composition's errors are


def factor_in_words(error: float) -> str:
    """Say how well the factor is known that all resonant atoms have in common.

    Parameters
    ----------
    error:
        Relative standard error [1].
    """
    return (
        f"common factor of the resonant atoms: 1 +- {error:.2g} by the doubt of f', f''; no intensity sees it, it is "
        "no part of a voxel's error, and scales all shares alike"
    )


@dataclass(frozen=True)
class RealSpace:
    """Densities on the real-space grid, origin at index n // 2 of each axis.

    Errors of the composition are at given f', f''. What a factor common to all resonant atoms does to it is known to
    ``resonant_factor_errors``; None where nothing tells it. ``composition_errors_are`` is one of :data:`STANDARD` and
    :data:`LOWER_BOUNDS`; files of before do not tell. ``believed_spread`` is the composition's standard deviation about
    its mean that the joint route measured and believed in; None without a belief.
    """

    rho_resonant: _Array = entry("entry_1/object_1/rho_A", MODULUS)
    rho_normal: _Array = entry("entry_1/object_1/rho_N", MODULUS)
    support: _Array = entry("entry_1/object_1/support")
    composition: _Array = entry("entry_1/object_1/composition")
    composition_errors: _Array = entry("entry_1/object_1/composition_errors")
    displacement: _Array = entry("entry_1/object_1/displacement", "angstrom")
    voxel_size: _Array = entry("entry_1/object_1/voxel_size", "angstrom")
    route: str = entry("entry_1/object_1/route")
    verdicts: str = entry("entry_1/object_1/verdicts")  # JSON
    amplitude_resonant: _Array = entry("entry_1/image_1/amplitude/data", MODULUS)
    phase_resonant: _Array = entry("entry_1/image_1/phase/data", "radian")
    amplitude_normal: _Array = entry("entry_1/image_2/amplitude/data", MODULUS)
    phase_normal: _Array = entry("entry_1/image_2/phase/data", "radian")
    warnings: str | None = entry(warned.PATH, optional=True)
    q_bragg: _Array | None = entry("entry_1/object_1/q_bragg", "1/angstrom", optional=True)
    partner: str | None = entry("entry_1/object_1/partner", optional=True)
    composition_of: str | None = entry("entry_1/object_1/composition_of", optional=True)  # atoms or electrons
    composition_errors_are: str | None = entry("entry_1/object_1/composition_errors_are", optional=True)
    believed_spread: float | None = entry("entry_1/object_1/believed_spread", optional=True)
    resonant_factor_errors: float | None = entry("entry_1/object_1/resonant_factor_errors", optional=True)
    nuisance: Nuisance | None = part("entry_1/object_1/nuisance", Nuisance)

    def share_in_words(self, element: str) -> str:
        """What the composition is: shares of the atoms, or of the scattering electrons where no partner was named."""
        return f"{element} atoms' share" + (" of the electrons" if self.composition_of == "electrons" else "")

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        data: dict[str, str | list[str]] = {"NX_class": "NXdata", "signal": "data"}
        groups: Groups = {
            "entry_1": {"NX_class": "NXentry", "default": "image_1"},
            "entry_1/object_1": {"NX_class": "NXcollection"},
        }
        for number in (1, 2):
            groups[f"entry_1/image_{number}"] = {"NX_class": "NXcollection", "default": "amplitude"}
            groups[f"entry_1/image_{number}/amplitude"] = data
            groups[f"entry_1/image_{number}/phase"] = data
        return groups
