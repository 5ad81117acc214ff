r"""Reflections of a still image: the model of their photons.

.. math::
    \mu_p = \mathrm{Bg} + A P_p,\qquad A = G\, e^{-B / 4d^2}\, p\, \mathrm{pol}\, I,\qquad
    p = e^{-\epsilon_r^2 / R^2},\quad \epsilon_r = |s_0 + q| - 1/\lambda

Directions s0 and q carry no 2 pi. **B is twice Wilson's**: intensities fall with exp(-B_W / 2 d^2), so B_W = B / 2
(:func:`wilson_b`), and only B_W leaves the program. A monochromatic still with this p has no Lorentz factor: the
crystal does not sweep through the sphere, and p is the whole share of a reflection that is seen.
"""

from dataclasses import dataclass

import gemmi
import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Beam, Crystal, Panel

_Spots = Float[np.ndarray, "spot"]
_Vectors = Float[np.ndarray, "spot 3"]
_MOST_INDICES = 30_000_000  # of a lattice, beyond which a cell or a resolution is a mistake


@dataclass(frozen=True)
class Reflections:
    """What a crystal can show in one image."""

    hkl: Int[np.ndarray, "spot 3"]
    q: _Vectors  # [1/angstrom]
    excitation: _Spots  # eps_r [1/angstrom]
    panel: Int[np.ndarray, "spot"]  # number of the panel
    xy: Float[np.ndarray, "spot 2"]  # column and row [pixel]; the middle of the first pixel is (0.5, 0.5)
    metric: Float[np.ndarray, "spot 2 2"]  # eps_t^2 = offset . metric . offset [1/angstrom^2/pixel^2]
    polarisation: _Spots

    def __len__(self) -> int:
        return len(self.hkl)

    @property
    def inverse_d2(self) -> _Spots:
        """1/d^2 [1/angstrom^2]."""
        square: np.ndarray = np.sum(self.q**2, axis=1)
        return square

    def those(self, chosen: Bool[np.ndarray, "spot"] | Int[np.ndarray, "chosen"]) -> "Reflections":
        """Some of them."""
        fields = (self.hkl, self.q, self.excitation, self.panel, self.xy, self.metric, self.polarisation)
        return Reflections(*(one[chosen] for one in fields))


def wilson_b(b_factor: float) -> float:
    """Wilson's B of intensities, exp(-B_W / 2 d^2), from the B of this study, exp(-B / 4 d^2) [angstrom^2]."""
    return b_factor / 2


def indices_within(crystal: Crystal, resolution: float) -> Int[np.ndarray, "reflection 3"]:
    """Every h k l that the space group allows with d not below a resolution [angstrom]; 000 is none.

    Raises
    ------
    InputError
        The lattice has more than 30 million, or the resolution is not above 0.
    """
    if not resolution > 0:
        raise InputError(f"a resolution needs to be above 0 angstrom; {resolution:g} came; state the least d.")
    top = np.floor(np.linalg.norm(crystal.axes, axis=1) / resolution).astype(int)
    if np.prod(2 * top + 1.0) > _MOST_INDICES:
        raise InputError(
            f"a lattice of at most {_MOST_INDICES} indices is needed; cell {crystal.cell.round(2).tolist()} to "
            f"{resolution:g} angstrom has more; check cell and resolution."
        )
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in top], indexing="ij"), axis=-1).reshape(-1, 3)
    inverse_d2 = np.sum((hkl @ crystal.reciprocal.T) ** 2, axis=1)
    hkl = hkl[(inverse_d2 <= 1 / resolution**2) & (inverse_d2 > 0)]
    absent = gemmi.SpaceGroup(crystal.space_group).operations().systematic_absences(hkl.astype(np.int32))
    kept: np.ndarray = hkl[~np.asarray(absent)]
    return kept


def excitation_error(q: Float[np.ndarray, "*spot 3"], s0: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*spot"]:
    """Distance of a reflection from the Ewald sphere, positive outside, eps_r = abs(s0 + q) - abs(s0) [1/angstrom].

    As (2 s0 + q) . q / (abs(s0 + q) + abs(s0)), which loses no digits near the sphere.
    """
    length = np.linalg.norm(s0 + q, axis=-1)
    distance: np.ndarray = np.sum((2 * s0 + q) * q, axis=-1) / (length + np.linalg.norm(s0))
    return distance


def squared_radius(
    mosaic_radius: float, bandwidth: float, wavelength: float, inverse_d2: Float[np.ndarray, "*spot"]
) -> Float[np.ndarray, "*spot"]:
    r"""Square of the radius of partiality, :math:`R^2 = R_0^2 + (b \lambda)^2 / 2 d^4` [1/angstrom^2].

    Parameters
    ----------
    mosaic_radius:
        R_0 [1/angstrom].
    bandwidth:
        b, rms, relative: a wavelength longer by the share x moves eps_r by x lambda / 2 d^2.
    wavelength:
        [angstrom].
    inverse_d2:
        1/d^2 [1/angstrom^2].
    """
    return mosaic_radius**2 + (bandwidth * wavelength * inverse_d2) ** 2 / 2


def partiality(
    excitation: Float[np.ndarray, "*spot"], radius2: Float[np.ndarray, "*spot"]
) -> Float[np.ndarray, "*spot"]:
    """Share of a reflection that a still shows, exp(-eps_r^2 / R^2): 1 on the sphere [1]."""
    share: np.ndarray = np.exp(-(excitation**2) / radius2)
    return share


def polarisation(direction: _Vectors, beam: Beam) -> _Spots:
    r"""Share of intensity that polarisation leaves, :math:`(1 + \cos^2 2\theta - K \cos 2\psi \sin^2 2\theta) / 2`.

    psi is the azimuth about the beam from the electric field, K the beam's ``polarised``; without an electric field K
    has no meaning and counts as 0.

    References
    ----------
    Kahn, Fourme, Gadet, Janin, Dumas, Andre, J. Appl. Cryst. 15, 330 (1982).
    """
    cos2 = (direction @ beam.direction) ** 2
    if beam.electric is None:
        unpolarised: np.ndarray = (1 + cos2) / 2
        return unpolarised
    across = beam.electric - (beam.electric @ beam.direction) * beam.direction
    along2 = (direction @ across) ** 2 / (across @ across)
    share: np.ndarray = (1 + cos2 - beam.polarised * (2 * along2 - (1 - cos2))) / 2
    return share


def pixel_metric(beam: Beam, panel: Panel, xy: Float[np.ndarray, "spot 2"]) -> Float[np.ndarray, "spot 2 2"]:
    """Matrix M of eps_t^2 = offset . M . offset, offsets in pixels [1/angstrom^2/pixel^2].

    The tangential distance from a spot is sin(angle) / lambda. M is its leading term: at an offset of n pixels the next
    one is about n pixel / distance times as large, odd in the offset.
    """
    place = panel.position(xy)
    distance = np.linalg.norm(place, axis=1)[:, None, None]
    unit = place[:, :, None] / distance
    steps = np.stack([panel.fast * panel.pixel[0], panel.slow * panel.pixel[1]], axis=1)  # columns
    tangent = (steps - unit * (unit.transpose(0, 2, 1) @ steps)) / distance / beam.wavelength
    metric: np.ndarray = tangent.transpose(0, 2, 1) @ tangent
    return metric


def hits(panels: list[Panel], rays: _Vectors) -> tuple[Int[np.ndarray, "spot"], Float[np.ndarray, "spot 2"]]:
    """Give the number of the panel that each ray meets, -1 for none, and where [pixel]."""
    number, xy = np.full(len(rays), -1), np.full((len(rays), 2), np.nan)
    for index, panel in enumerate(panels):
        at = panel.hit(rays)
        inside = (at > 0).all(axis=1) & (at < np.array(panel.shape[::-1])).all(axis=1) & (number < 0)
        number[inside], xy[inside] = index, at[inside]
    return number, xy


def predicted(
    beam: Beam, panels: list[Panel], crystal: Crystal, hkl: Int[np.ndarray, "reflection 3"], farthest: float
) -> Reflections:
    """Reflections that come within a distance of the Ewald sphere and fall on a panel.

    Parameters
    ----------
    beam, panels, crystal:
        Geometry.
    hkl:
        From :func:`indices_within`.
    farthest:
        Largest absolute excitation error [1/angstrom].
    """
    q = hkl @ crystal.reciprocal.T
    beyond = np.einsum("si,si->s", q, q) + 2 * q @ beam.s0  # |s0 + q|^2 - |s0|^2
    maybe = np.abs(beyond) < farthest * (2 / beam.wavelength + farthest)
    hkl, q = hkl[maybe], q[maybe]
    excitation = excitation_error(q, beam.s0)
    near = np.abs(excitation) < farthest
    hkl, q, excitation = hkl[near], q[near], excitation[near]
    number, xy = hits(panels, beam.s0 + q)
    seen = number >= 0
    hkl, q, excitation, number, xy = hkl[seen], q[seen], excitation[seen], number[seen], xy[seen]
    metric = np.zeros((len(hkl), 2, 2))
    for index, panel in enumerate(panels):
        metric[number == index] = pixel_metric(beam, panel, xy[number == index])
    rays = beam.s0 + q
    share = polarisation(rays / np.linalg.norm(rays, axis=1, keepdims=True), beam)
    return Reflections(hkl, q, excitation, number, xy, metric, share)
