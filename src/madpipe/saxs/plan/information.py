"""Fisher information of core-shell spheres measured at several photon energies."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.physics.scattering.contrast import charges_of, dispersion_of, mean_square, scattering_length_density
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.plan.materials import Material, atoms_of, elements_of

NAMES = ("core_radius", "thickness", "spread", "share", "phi")
_EXACT = 1e-9  # standard deviation of what is not in doubt
_RELATIVE = 1e-4  # step of differences
_SHARE, _ENERGY = 1e-4, 0.05  # steps of the share of atoms [1] and of energies [eV]


@dataclass(frozen=True)
class Particle:
    """What is measured."""

    core: Material
    shell: Material
    solvent: Material
    element: str
    settings: PlanSettings

    def contrast(
        self, energy: Float[Tensor, "energy"], share: float, dense: float = 1.0
    ) -> Complex[Tensor, "energy region"]:
        """Of core and shell against the solvent; the core keeps its atoms per volume, times dense, at any share."""
        elements = elements_of(self.core, self.shell, self.solvent)
        atoms = atoms_of([self.core, self.shell, self.solvent], elements)
        place, total = elements.index(self.element), atoms[0].sum()
        others = atoms[0].clone()
        others[place] = 0
        atoms[0] = others / others.sum() * (1 - share) * total
        atoms[0, place] = share * total
        atoms[0] *= dense
        return scattering_length_density(atoms[:2] - atoms[2], charges_of(elements), dispersion_of(elements, energy))

    def curves(
        self, values: Float[Tensor, "6"], energy: Float[Tensor, "energy"], q: Float[Tensor, "q"]
    ) -> Float[Tensor, "energy q"]:
        """Relative intensity of core radius, thickness, spread, share, ln phi and ln of the core's relative density."""
        form = FORM_FACTORS["core_shell_sphere"]
        averages = size_averages(form, q, values[None, :2], "gaussian", values[2:3], spread_of(form, None))
        contrast = self.contrast(energy, float(values[3]), float(values[5].exp()))
        return values[4].exp() / averages.outer_volume * mean_square(averages.gram, contrast)


@dataclass(frozen=True)
class Derivatives:
    """Curves and what changes them, by all quantities that are unknown."""

    q: Float[Tensor, "q"]
    expected: Float[Tensor, "energy q"]
    jacobian: Float[Tensor, "energy q 6"]  # of NAMES and the core's density
    offset: Float[Tensor, "energy q"]  # by an error of all energies


def derivatives(particle: Particle, energy: Float[Tensor, "energy"]) -> Derivatives:
    """Curves of a particle with their derivatives by central differences."""
    chosen = particle.settings
    low, high = torch.tensor([chosen.q_min, chosen.q_max], dtype=torch.float64).log().tolist()
    q = torch.linspace(low, high, chosen.points, dtype=torch.float64).exp()
    share = particle.core.share(particle.element)
    lengths = [chosen.core_radius, chosen.thickness, chosen.spread]
    at = torch.tensor([*lengths, share, 0.0, 0.0], dtype=torch.float64)
    steps = torch.tensor([*(_RELATIVE * one for one in lengths), _SHARE, _RELATIVE, _RELATIVE], dtype=torch.float64)
    slopes = [
        (particle.curves(at + step, energy, q) - particle.curves(at - step, energy, q)) / (2 * step.sum())
        for step in torch.diag(steps)
    ]
    moved = (particle.curves(at, energy + _ENERGY, q) - particle.curves(at, energy - _ENERGY, q)) / (2 * _ENERGY)
    return Derivatives(q, particle.curves(at, energy, q), torch.stack(slopes, -1), moved)


def standard_errors(
    made: Derivatives, settings: PlanSettings, photons: Float[Tensor, "energy"], within: tuple[float, float]
) -> Float[Tensor, "5"]:
    r"""Cramer and Rao's bound of the quantities in ``NAMES``, the last one relative.

    Photons follow Poisson's law in rings of a flat detector, whose number of pixels grows as :math:`q\, dq`. Beside the
    five quantities the core's density is in doubt, each energy has a scale and a flat background, and all share an
    error of energy: each with its prior, the background with none.

    Parameters
    ----------
    made:
        Curves and derivatives.
    settings:
        Background and priors.
    photons:
        Detected at each energy over the whole of q, averaged over energies.
    within:
        Range of q that is used [1/angstrom].

    Returns
    -------
    :
        Infinite where the data do not determine one.
    """
    used = (made.q >= within[0] * (1 - 1e-9)) & (made.q <= within[1] * (1 + 1e-9))
    floor = settings.background * made.expected.min()
    rings = made.q.square()
    expected = (made.expected + floor) * rings
    per_unit = (photons[:, None] / expected.sum(1).mean()) * rings
    counts = (made.expected + floor) * per_unit
    columns = _columns(made, settings)
    weighted = columns * (per_unit / counts.sqrt())[..., None]
    flat = weighted[:, used].reshape(-1, columns.shape[-1])
    count = len(made.expected)
    prior = torch.zeros(columns.shape[-1], dtype=flat.dtype)
    prior[5] = 1 / max(settings.core_density, _EXACT) ** 2
    prior[6 : 6 + count] = 1 / max(settings.scale, _EXACT) ** 2
    prior[6 + count] = 1 / max(settings.offset, _EXACT) ** 2
    return _bound(flat.T @ flat + prior.diag())[:5]


def _columns(made: Derivatives, settings: PlanSettings) -> Float[Tensor, "energy q unknown"]:
    """Derivatives by the five, by each energy's scale, by the energies' error, by each energy's background."""
    count, points = made.expected.shape
    scales, levels = (torch.zeros(count, points, count, dtype=made.expected.dtype) for _ in range(2))
    for place in range(count):
        scales[place, :, place] = made.expected[place]
        levels[place, :, place] = float(made.expected.mean()) if settings.background > 0 else 0.0
    return torch.cat([made.jacobian, scales, made.offset[..., None], levels], -1)


def _bound(information: Float[Tensor, "unknown unknown"]) -> Float[Tensor, "unknown"]:
    """Roots of the inverse's diagonal; an unknown that changes nothing is left out, a singular rest is infinite."""
    size = information.diagonal().sqrt()
    known = size > 0
    errors = torch.full_like(size, torch.inf)
    scaled = information[known][:, known] / size[known, None] / size[known]
    values, vectors = torch.linalg.eigh(scaled)
    if values[0] <= 1e-13 * values[-1]:
        return errors
    errors[known] = (vectors.square() / values).sum(1).sqrt() / size[known]
    return errors
