"""Intensity of each term of a model for one value of its parameters."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.distributions import Distribution
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.physics.scattering.shapes.size_averages import size_averages_at_points, spread_of
from madpipe.physics.scattering.structure_factors import (
    effective_radius,
    hard_sphere,
    is_fluid,
    sticky_hard_sphere,
)
from madpipe.saxs.forward import cross_section
from madpipe.saxs.model import ParticleModel, Term

ACCURACY = 1e-6  # of averages over sizes, relative: a hundredth of the best data's errors

_LEAST_Q = 1e-12  # 1/angstrom: stands for 0
_NOT_STICKY = 1e6  # stands in where there is no fluid, and the answer is none

Values = Mapping[str, Float[Tensor, "point"]]  # numbers by name, at each point


def unit_intensities(
    model: ParticleModel,
    values: Values,
    q: Float[Tensor, "point"],
    distribution: Distribution,
    contrasts: Mapping[str, float],
    accuracy: float = ACCURACY,
) -> Float[Tensor, "term point"]:
    """Give each term's intensity for a scale of 1.

    Parameters
    ----------
    model:
        Its terms.
    values:
        Of each of ``model.parameters()``, in its unit, at each point: one backward pass then gives all derivatives.
    q:
        Before smearing [1/angstrom].
    distribution:
        Of the size that is spread.
    contrasts:
        Of regions against the solvent, where they are known [1e-6/angstrom^2]. Where all of a term's are, the scale is
        its volume fraction; else the outermost region's is 1, and the scale is volume fraction times its square.
    accuracy:
        Relative, of averages over sizes.

    Returns
    -------
    :
        [1/cm], without smearing and background; not a number where the particles would be no fluid.
    """
    return torch.stack([_of_term(term, values, q, distribution, contrasts, accuracy) for term in model.terms])


def is_absolute(term: Term, contrasts: Mapping[str, float]) -> bool:
    """Say whether every region's contrast is known, so that the scale is a volume fraction."""
    return isinstance(term.shape, FormFactor) and all(term.prefix + one in contrasts for one in term.regions)


def _of_term(
    term: Term,
    values: Values,
    q: Float[Tensor, "point"],
    distribution: Distribution,
    contrasts: Mapping[str, float],
    accuracy: float,
) -> Float[Tensor, "point"]:
    """One term's intensity."""
    shape = term.shape
    if not isinstance(shape, FormFactor):
        return shape.law(q[:, None], *(values[term.prefix + one.name][:, None] for one in shape.parameters))[:, 0]
    lengths = torch.stack([values[term.prefix + one.name] for one in shape.lengths], dim=1)
    width = None if term.spread is None else values[f"{term.prefix}pd"]
    gram, mean, volume = averages(shape, term.spread, q, lengths, width, distribution, accuracy)
    of_regions = contrasts_of(term, values, contrasts)
    return cross_section(gram, mean, volume, of_regions, _structure(term, values, q, volume))


def averages(
    shape: FormFactor,
    spread: str | None,
    q: Float[Tensor, "point"],
    lengths: Float[Tensor, "point length"],
    width: Float[Tensor, "point"] | None,
    distribution: Distribution,
    accuracy: float = ACCURACY,
) -> tuple[Float[Tensor, "point region region"], Float[Tensor, "point region"], Float[Tensor, "point"]]:
    """Average a shape over its sizes, point by point; without a width all particles are alike.

    Parameters
    ----------
    shape, spread:
        Of a term: which length is spread, or ``all``.
    q, lengths, width:
        At each point [1/angstrom, angstrom, 1].
    distribution, accuracy:
        Of the sizes, and of the averages, relative.

    Returns
    -------
    :
        Products of the regions' amplitudes [angstrom^6], amplitudes and the particle's volume [angstrom^3].
    """
    if width is None:
        gram, mean = shape.unpacked(shape.at_points(q, lengths)[None])
        return gram[0], mean[0], shape.outer_volume(lengths)
    chosen = spread_of(shape, None if spread == "all" else spread)
    products, amplitudes, volumes = size_averages_at_points(shape, q, lengths, distribution, width, chosen, accuracy)
    return products, amplitudes, volumes.sum(1)


def largest_dimension(shape: FormFactor, lengths: Float[Tensor, "length"], width: float, deviations: float) -> float:
    """Largest dimension of particles, so many standard deviations above their mean size included [angstrom]."""
    return 2 * (1 + deviations * width) * float(shape.reach(lengths[None])[0])


def contrasts_of(term: Term, values: Values, contrasts: Mapping[str, float]) -> Float[Tensor, "point region"]:
    """Contrasts of a term's regions, known or relative to the outermost one's."""
    one = torch.ones_like(next(iter(values.values())))
    if is_absolute(term, contrasts):
        return torch.stack([one * contrasts[term.prefix + region] for region in term.regions], dim=1)
    inner = [values[f"{term.prefix}{region}_contrast_ratio"] for region in term.regions[:-1]]
    return torch.stack([*inner, one], dim=1)


def _structure(
    term: Term, values: Values, q: Float[Tensor, "point"], volume: Float[Tensor, "point"]
) -> Float[Tensor, "point"] | None:
    """Structure factor of spheres of the particles' mean volume."""
    if term.structure is None:
        return None
    phi = values[f"{term.prefix}structure_phi"]
    phase = effective_radius(volume) * q.clamp_min(_LEAST_Q)  # S depends on q R: each point is a fluid at q = 1
    one = torch.ones_like(phase[:1])
    if term.structure == "hard_sphere":
        return hard_sphere(one, phase, phi)[:, 0]
    tau = values[f"{term.prefix}stickiness"]
    fluid = is_fluid(phi, tau)
    found = sticky_hard_sphere(one, phase, phi, torch.where(fluid, tau, torch.full_like(tau, _NOT_STICKY)))[:, 0]
    return torch.where(fluid, found, torch.nan)
