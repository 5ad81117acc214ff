"""f' and f'' of elements at photon energies that are all off by the same unknown amount, with slopes by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy.interpolate import CubicSpline

from madpipe.physics.absorption import dispersion_from_spectrum
from madpipe.physics.atoms import dispersion_correction

_STEP = 0.25  # between nodes [eV]: fine beside the width of any level
_LEAST = 12.0  # how far the nodes reach at least [eV]
_SIGMAS = 6.0  # and in standard deviations of the offset


@dataclass(frozen=True)
class Spectrum:
    """An absorption spectrum of a sample with the element, around one of its edges.

    Attributes
    ----------
    edge:
        Name of the edge.
    energy:
        Rising [eV].
    absorption:
        In any unit.
    """

    edge: str
    energy: Float[np.ndarray, "point"]
    absorption: Float[np.ndarray, "point"]


class Dispersion:
    """f' + i f'' near the stated energies; beyond six standard deviations of their prior straight lines.

    Parameters
    ----------
    elements:
        Symbols, in the order of the answers.
    energy:
        Photon energies as stated [eV].
    offset:
        Standard deviation of their common error [eV].
    spectra:
        Measured absorption by element; of the others Chantler's table is taken.

    Raises
    ------
    ValueError
        Unknown element; energies outside its table; a spectrum that does not fit its edge.
    """

    def __init__(
        self,
        elements: Sequence[str],
        energy: Float[np.ndarray, "energy"],
        offset: float,
        spectra: Mapping[str, Spectrum],
    ) -> None:
        self.elements, self.energy, self.spectra = tuple(elements), energy, dict(spectra)
        reach = max(_LEAST, _SIGMAS * offset)
        nodes = np.arange(-reach, reach + _STEP / 2, _STEP)
        values = self.exactly((energy[None, :] + nodes[:, None]).ravel()).reshape(len(nodes), len(energy), -1)
        self._reach = reach
        self._spline = CubicSpline(nodes, np.stack([values.real, values.imag], axis=-1), axis=0)

    def exactly(self, energy: Float[np.ndarray, "some"]) -> Complex[np.ndarray, "some element"]:
        """Give f' + i f'' at any energies [eV], without an offset [electron]."""
        at = torch.from_numpy(energy)
        columns = [torch.complex(*self._of(element, at)) for element in self.elements]
        found: np.ndarray = torch.stack(columns, dim=1).numpy()
        return found

    def _of(self, element: str, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """f' and f'' of one element."""
        if element not in self.spectra:
            return dispersion_correction(element, at)
        one = self.spectra[element]
        energy, absorption = torch.from_numpy(one.energy), torch.from_numpy(one.absorption)
        return dispersion_from_spectrum(energy, absorption, element, one.edge, at)

    def at(self, offset: float) -> tuple[Complex[np.ndarray, "energy element"], Complex[np.ndarray, "energy element"]]:
        """Give f' + i f'' at the energies plus an offset [eV], and their slopes by it [electron, electron/eV]."""
        inside = min(max(offset, -self._reach), self._reach)
        slope = self._spline(inside, 1)
        value = self._spline(inside) + slope * (offset - inside)
        return value[..., 0] + 1j * value[..., 1], slope[..., 0] + 1j * slope[..., 1]
