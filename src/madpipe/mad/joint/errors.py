"""What noise alone would do to the densities: draws from the normal distribution about the most likely ones."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.mad.elements import composition_from_atoms
from madpipe.mad.joint.model import Experiment, expected_photons, variance_of
from madpipe.mad.joint.priors import Atoms
from madpipe.mad.joint.search import Place, Vector, mixed, solve

_FORCING = 0.03  # residual of the equations over their right-hand side
_LEAST_NOISE = 1e-3  # of damping: the global phase has no information


def draws(
    place: Place, atoms: Atoms, theta: Float[Tensor, "nuisance"] | None, number: int, generator: torch.Generator
) -> Iterator[Vector]:
    r"""Draw changes of the unknowns from the normal distribution of inverse Fisher information, priors included.

    Noise of the expected variance is put in place of the counts' misfit, and the equations of a step are solved for it:
    the solution of :math:`H \delta = J' W^{1/2} \xi + P^{1/2} \eta` has covariance :math:`H^{-1}`, with
    :math:`H = J'WJ + P`. Nuisances that were refined move with the densities, so that their doubt is in the errors.

    References
    ----------
    Papandreou and Yuille, Proc. NIPS (2010), section 3: perturb and solve.
    """
    state = place.at(atoms, theta)
    system = place.system(state, expected_information=True)
    for _ in progress(range(number), "errors"):
        noisy = replace(state, experiment=_with_noise(state.experiment, state.pair, generator), belief=None)
        right = replace(place, prior=None).system(noisy, expected_information=True).right
        if state.belief is not None:
            densities = right.densities + place.gathered(state.belief.noise(generator))
            right = right._replace(densities=densities)
        if place.nuisances is not None:
            right = right._replace(nuisances=right.nuisances + place.nuisances.prior_noise(theta, generator))
        yield solve(system, _LEAST_NOISE, _FORCING, right)


def composition_errors(
    place: Place, atoms: Atoms, core: Bool[Tensor, "*box"], changes: list[Vector]
) -> Float[Tensor, "*box"]:
    """Standard error of the composition in every voxel.

    A few draws give a voxel's variance to tens of per cent only. Times the square of the density it varies little, so
    that it is averaged over the neighbours in the core.
    """
    centre = composition_from_atoms(*atoms)
    total = atoms.sum(0).abs().square()
    square = torch.zeros_like(centre)
    for change in changes:
        moved = atoms + mixed(place.whitening, change.densities)
        off = composition_from_atoms(*moved) - centre
        square += off.square().clamp(max=1.0) * total / len(changes)
    weight = core.to(square)
    return (_around(square * weight) / _around(weight).clamp(min=1) / total.clamp(min=1e-30)).sqrt() * core


def _around(values: Float[Tensor, "*box"]) -> Float[Tensor, "*box"]:
    """Sum over a voxel and its neighbours, three along each axis."""
    for axis in range(values.ndim):
        padded = torch.nn.functional.pad(values.movedim(axis, -1), (1, 1))
        values = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]).movedim(-1, axis)
    return values


def _with_noise(experiment: Experiment, pair: Complex[Tensor, "2 *q"], generator: torch.Generator) -> Experiment:
    """Counts that are off their expectation by normal noise of the expected variance."""
    counts = torch.empty_like(experiment.counts)
    for energy in range(len(counts)):
        expected = expected_photons(experiment, pair, energy)[1]
        noise = torch.randn(expected.shape, generator=generator, dtype=expected.dtype, device=generator.device)
        counts[energy] = expected + variance_of(experiment, expected).sqrt() * noise.to(expected.device)
    return replace(experiment, counts=counts)

