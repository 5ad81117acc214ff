"""The resonant atom as a planned experiment sees it: f', f'' at any energy, and how far to trust them."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.anomalous import NEAR_EDGE, Absorption, dispersion_at
from madpipe.mad.measured.spectrum import read_spectrum
from madpipe.physics.atoms import dispersion_correction, edge_energy, form_factor

_TABLE_MOVES = (-2.0, 10.0)  # eV: calibration; chemical shift and the slow rise of a real edge above its nominal energy
_SPECTRUM_MOVES = (-0.5, 0.5)  # eV: the monochromators of spectrum and diffraction data
_MOVES = 8  # midpoints; 32 change the median errors by 5 % at most
_RIPPLE, _RIPPLE_PERIOD = 0.1, 25.0  # of the edge's step in f'' [1], and [eV]: extended fine structure
_STEP_WIDTH = 30.0  # eV on either side of the edge over which its step in f'' is taken


@dataclass(frozen=True)
class Atom:
    """The resonant element at one momentum transfer, from Chantler's table or from its measured spectrum."""

    element: str
    edge: str
    edge_ev: float
    f0: float  # [electron]
    spectrum: Absorption | None
    source: str

    def dispersion(self, energy: Float[Tensor, "energy"]) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
        """f' and f'' [electron] at photon energies [eV].

        Raises
        ------
        InputError
            An energy outside the table; a spectrum that cannot be matched to it.
        """
        try:
            return dispersion_at(energy, self.element, self.edge, self.spectrum)
        except ValueError as error:
            raise InputError(f"{error}.") from error

    def moved(self, energy: Float[Tensor, "energy"]) -> tuple[Float[Tensor, "_ energy"], Float[Tensor, "_ energy"]]:
        r"""f' and f'' as they may really be: the edge moved, and above it the neighbours' ripple.

        .. math:: f_\delta(E) = f(E - \delta) + [E > E_0 + \delta]\, A e^{i (2 \pi (E - E_0) / \Lambda + \phi_\delta)}

        For the table :math:`\delta` runs evenly over -2 .. 10 eV, since a real edge is chemically shifted by up to
        some 10 eV and rises over as much, where the free atom has a step; A is a tenth of the step in f'',
        :math:`\Lambda` 25 eV, the phases uneven. The sample's own spectrum has no ripple missing, and
        :math:`\delta` within 0.5 eV. One nickel foil was compared, and no other sample (tests/mad/test_plan.py).
        """
        low, high = _TABLE_MOVES if self.spectrum is None else _SPECTRUM_MOVES
        moves = (low + (high - low) * (torch.arange(_MOVES, dtype=energy.dtype) + 0.5) / _MOVES)[:, None]
        f_prime, f_double_prime = (part.reshape(_MOVES, -1) for part in self.dispersion((energy - moves).flatten()))
        if self.spectrum is not None:
            return f_prime, f_double_prime
        below, above = self.dispersion(self.edge_ev + energy.new_tensor([-_STEP_WIDTH, _STEP_WIDTH]))[1]
        turn = torch.arange(_MOVES, dtype=energy.dtype)[:, None] * 3 / _MOVES
        size = _RIPPLE * (above - below) * (energy > self.edge_ev + moves)
        ripple = torch.polar(size, math.tau * ((energy - self.edge_ev) / _RIPPLE_PERIOD + turn))
        return f_prime + ripple.real, f_double_prime + ripple.imag


def atom_of(element: str, edge: str, q: float, spectrum: str | Path | None = None) -> Atom:
    """Look an element up, and read its spectrum where there is one.

    Parameters
    ----------
    element, edge:
        Resonant element and absorption edge.
    q:
        True momentum transfer \\|Q\\| of the Bragg peak [1/angstrom].
    spectrum:
        Absorption spectrum of the sample (XDI or columns) instead of Chantler's table.

    Raises
    ------
    InputError
        Unknown element or edge; q not above zero; a spectrum that cannot be read.
    """
    if not 0 < q < torch.inf:
        raise InputError(f"|Q| > 0 [1/angstrom] is required; {q:g} came; give 2 pi / d of the Bragg peak.")
    try:
        edge_ev = edge_energy(element, edge)
        f0 = float(form_factor(element, torch.tensor([q], dtype=torch.float64)))
    except ValueError as error:
        raise InputError(f"{error}.") from error
    if spectrum is None:
        return Atom(element, edge, edge_ev, f0, None, "Chantler's table")
    return Atom(element, edge, edge_ev, f0, read_spectrum(spectrum, element, edge), Path(spectrum).name)


def doubts(atom: Atom, energy: Float[Tensor, "energy"]) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    r"""Doubt in f' and in f'' [electron]: the rms of :math:`f_\delta(E) - f(E)` over the places of the edge."""
    pairs = zip(atom.moved(energy), atom.dispersion(energy), strict=True)
    real, imaginary = ((moved - here).square().mean(0).sqrt() for moved, here in pairs)
    return real, imaginary


def uncertainty(atom: Atom, energy: Float[Tensor, "energy"]) -> Float[Tensor, "energy"]:
    """Doubt in f' + i f'' [electron], both parts of :func:`doubts` together."""
    return torch.hypot(*doubts(atom, energy))


def table_error(atom: Atom, energy: Float[Tensor, "energy"]) -> Float[Tensor, "energy"] | None:
    """How far Chantler's f' + i f'' is from the spectrum's [electron]; None where there is no spectrum."""
    if atom.spectrum is None:
        return None
    pairs = zip(dispersion_correction(atom.element, energy), atom.dispersion(energy), strict=True)
    return torch.hypot(*(table - measured for table, measured in pairs))


def least_certain(atom: Atom) -> tuple[float, float]:
    """Energy [eV] within 15 eV of the edge where the table is least certain, and by how much [electron].

    Its difference from the spectrum decides where there is one, else :func:`uncertainty`.
    """
    energy = atom.edge_ev + torch.arange(-NEAR_EDGE, NEAR_EDGE + 0.25, 0.5, dtype=torch.float64)
    error = table_error(atom, energy)
    error = uncertainty(atom, energy) if error is None else error
    return float(energy[error.argmax()]), float(error.max())
