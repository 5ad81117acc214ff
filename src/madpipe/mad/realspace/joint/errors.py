"""What noise alone would do to the densities: draws from the normal distribution about the most likely ones."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.mad.fit.refine.search import Sums
from madpipe.mad.realspace.joint.model import with_noise
from madpipe.mad.realspace.joint.nuisances import Vector, inner
from madpipe.mad.realspace.joint.priors import Atoms
from madpipe.mad.realspace.joint.search import Place, System, mixed, solve
from madpipe.mad.realspace.separation import composition_from_atoms

_FORCING = 0.03  # residual of the equations over their right-hand side
_LEAST_NOISE = 1e-3  # of damping: the global phase has no information
# a scale common to all energies has none either once the densities follow: it must not get any from what is not solved
_LEAST_DAMPING, _FINE_FORCING = 1e-6, 1e-4


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
        noisy = replace(state, experiment=with_noise(state.experiment, state.pair, generator, normal=True), belief=None)
        right = place.right(noisy)
        if state.belief is not None:
            densities = right.densities + place.gathered(state.belief.noise(generator))
            right = right._replace(densities=densities)
        if place.nuisances is not None:
            right = right._replace(nuisances=right.nuisances + place.nuisances.prior_noise(theta, generator))
        yield solve(system, _LEAST_NOISE, _FORCING, right)


def marginal_sums(place: Place, atoms: Atoms, theta: Float[Tensor, "nuisance"]) -> Sums:
    r"""What the counts say of the nuisances once the densities may follow, and how the resonant atoms follow.

    .. math:: S = M - C' H^{-1} C,\quad \partial n / \partial\theta = -H^{-1} C

    One solution of the equations for each nuisance.
    """
    system = place.system(place.at(atoms, theta), expected_information=True)
    border, size, free = system.border, len(theta), place.nuisances.free
    none = torch.zeros(0, dtype=torch.float64)

    def held(vector: Vector) -> Vector:
        whole = Vector(vector.densities, torch.zeros(len(free), dtype=torch.float64))
        return Vector(system.apply(whole).densities, none)

    def solved(right: Tensor) -> Tensor:
        return solve(System(Vector(right, none), held, None), _LEAST_DAMPING, _FINE_FORCING).densities

    follow = torch.stack([solved(column) for column in progress(list(border.columns), "nuisances")])
    flat = [each.flatten(1) for each in (border.columns, follow)]
    coupled = (flat[0].real @ flat[1].real.T + flat[0].imag @ flat[1].imag.T).double().cpu()
    prior = place.nuisances.unknowns.precision[free[:, None], free]
    resonant = torch.stack([atoms[0], torch.zeros_like(atoms[0])])
    slope = 2 * place.gathered(resonant)  # of sum |n_A|^2
    toward = solved(slope)
    information, response = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    information[free[:, None], free] = border.information - prior - (coupled + coupled.T) / 2
    response[free] = torch.tensor([-inner(slope, each) for each in follow], dtype=torch.float64)
    total = float(atoms[0].abs().square().sum())
    return Sums(information, torch.zeros_like(response), response, total, inner(slope, toward))


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
