"""What a pixel sees of the scattered light: solid angle, polarisation, absorption in the sensor; with derivatives.

Points are positions on the panel from the sample [mm], (3, point); derivatives are with respect to them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_Points = Float[Tensor, "3 point"]
_Values = Float[Tensor, "point"]
_Vector = Float[Tensor, "3"]


@dataclass(frozen=True)
class Factors:
    """What the factors of one panel and one source depend on, beside the position."""

    area: float  # of a pixel [mm^2]
    normal: _Vector  # of the panel, away from the sample
    source: _Vector  # direction of travel of the light
    kahn: float  # 1 fully polarised, 0 not at all
    electric: _Vector  # unit vector of the electric field, perpendicular to the source
    optical_depth: float  # thickness times attenuation of the sensor; 0: each photon is seen

    @property
    def magnetic(self) -> _Vector:
        """Unit vector perpendicular to source and electric field."""
        return torch.linalg.cross(self.source, self.electric)


def solid_angle(at: _Points, factors: Factors) -> _Values:
    r"""Solid angle of a pixel [steradian], :math:`\Omega = A\, (X \cdot n) / |X|^3`."""
    return factors.area * (factors.normal @ at) / at.norm(dim=0) ** 3


def polarisation(at: _Points, factors: Factors) -> _Values:
    r"""Polarisation factor of Kahn et al.

    .. math:: P = \tfrac12 (1 + \cos^2 2\theta - K \cos 2\psi \sin^2 2\theta)

    With u = X / |X|, e the electric field and b across it, sin^2(2 theta) cos(2 psi) = (u.e)^2 - (u.b)^2: K = 1 gives
    1 - (u.e)^2, no light along the field.

    References
    ----------
    Kahn et al., J. Appl. Cryst. 15, 330 (1982).
    """
    along, electric, magnetic = _frame(factors) @ (at / at.norm(dim=0))
    return (1 + along**2 - factors.kahn * (electric**2 - magnetic**2)) / 2


def absorption(at: _Points, factors: Factors) -> _Values:
    r"""Share of the photons that the sensor absorbs, :math:`1 - \exp(-t \mu / (u \cdot n))`.

    Each photon is counted in the pixel whose face it enters: parallax is not included.
    """
    if not factors.optical_depth:
        return torch.ones_like(at[0])
    return -torch.expm1(-factors.optical_depth * at.norm(dim=0) / (factors.normal @ at))


def seen(at: _Points, factors: Factors) -> _Values:
    """Solid angle times polarisation times absorption [steradian]."""
    return solid_angle(at, factors) * polarisation(at, factors) * absorption(at, factors)


def seen_slopes(at: _Points, factors: Factors) -> _Points:
    """Derivative of :func:`seen` by the position [steradian/mm]."""
    length, across = at.norm(dim=0), factors.normal @ at
    unit, normal = at / length, factors.normal[:, None]
    omega, polar, taken = solid_angle(at, factors), polarisation(at, factors), absorption(at, factors)
    by_omega = omega * (normal / across - 3 * unit / length)
    frame = _frame(factors)
    share = torch.tensor([1.0, -factors.kahn, factors.kahn], dtype=at.dtype, device=at.device)[:, None]
    by_unit = frame.T @ (share * (frame @ unit))
    by_polar = (by_unit - unit * (unit * by_unit).sum(0)) / length
    depth = factors.optical_depth * length / across
    by_taken = torch.exp(-depth) * depth * (unit / length - normal / across)
    return by_omega * polar * taken + omega * (by_polar * taken + polar * by_taken)


def _frame(factors: Factors) -> Float[Tensor, "3 3"]:
    """Rows: source, electric and magnetic field."""
    return torch.stack([factors.source, factors.electric, factors.magnetic])
