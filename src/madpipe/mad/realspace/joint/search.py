r"""Newton's method with conjugate gradients: from a start to the most likely densities on a domain, and nuisances.

The unknowns are scaled so that one is about a standard error (:meth:`Experiment.whitening`); a few products of the
curvature with a vector, two Fourier transforms each way, make a step, however many energies there are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.mad.realspace.joint.model import Curvature, Experiment, linearise, minus_log_likelihood
from madpipe.mad.realspace.joint.nuisances import Border, Nuisances, Vector, border_of, downhill
from madpipe.mad.realspace.joint.priors import Atoms, Linear, Prior

_DAMPING, _LEAST_DAMPING = 1e-2, 1e-4  # of the expected information
_FORCING = 0.1  # residual of the conjugate gradients over the gradient
_MOST_PRODUCTS = 100
_STRETCH = 3.0  # longest way along a step
_GOOD, _POOR = 0.75, 0.25  # gain over the gain promised
_GIVE_UP = 1e6  # damping beyond which no step helps


@dataclass(frozen=True)
class Found:
    """Where a search ended."""

    atoms: Atoms  # [sqrt(photon) / electron]
    theta: Float[Tensor, "nuisance"]
    loss: float  # half the deviance, priors included
    steps: int
    last_step: float  # rms, in standard errors
    converged: bool


def search(
    experiment: Experiment,
    atoms: Atoms,
    domain: Bool[Tensor, "*box"],
    *,
    most: int,
    tolerance: float,
    prior: Prior | None = None,
    nuisances: Nuisances | None = None,
) -> Found:
    """Search the most likely densities from a start.

    Steps are those of Newton's method, the curvature made positive (:func:`linearise`), damped where they promise too
    much (Levenberg and Marquardt), and stretched along their way where a parabola says that they fall short.

    Parameters
    ----------
    experiment, atoms, domain:
        Counts, start (both kinds of atoms, or normal ones alone), and the voxels that may hold atoms.
    most:
        Steps at most.
    tolerance:
        The search ends with a step of this rms, in standard errors of an unknown.
    prior:
        Further terms.
    nuisances:
        Refined with the densities, from where they are.

    References
    ----------
    Nocedal and Wright, Numerical Optimization (2006), sections 7.1 and 10.3.
    """
    place = Place(experiment, domain, experiment.whitening(len(atoms)), prior, nuisances)
    state = place.at(atoms * domain, None if nuisances is None else nuisances.theta)
    damping, size = _DAMPING, 2 * len(atoms) * max(int(domain.sum()), 1)
    system, step, converged, number = None, math.inf, False, 0
    while number < most and damping < _GIVE_UP and not converged:
        number += 1
        system = system or place.system(state)
        change = solve(system, damping)
        along = system.right.dot(change)
        promised = along - 0.5 * change.dot(system.apply(change))
        trial, change = _stretched(place, state, change, along)
        gain = (state.loss - trial.loss) / max(promised, 1e-30)
        step = math.sqrt(change.dot(Vector(change.densities, torch.zeros_like(change.nuisances))) / size)
        if trial.loss < state.loss:
            state, system = trial, None
            converged = step < tolerance
        elif step < 0.1 * tolerance:  # float32 tells no more
            converged = True
        damping = max(damping * (0.2 if gain > _GOOD else 1 if gain > _POOR else 4), _LEAST_DAMPING)
    theta = torch.zeros(0, dtype=torch.float64) if state.theta is None else state.theta
    return Found(state.atoms, theta, state.loss, number, step, converged)


@dataclass(frozen=True)
class _State:
    """Densities, their transforms, and how likely they are."""

    atoms: Atoms
    theta: Float[Tensor, "nuisance"] | None
    experiment: Experiment  # with the nuisances applied
    pair: Complex[Tensor, "kind *q"]
    loss: float
    belief: Linear | None


@dataclass(frozen=True)
class System:
    """Linear equations for a step."""

    right: Vector
    apply: Callable[[Vector], Vector]
    border: Border | None

    def preconditioned(self, vector: Vector) -> Vector:
        """Divide the nuisances' part by their own information."""
        return vector if self.border is None else Vector(vector.densities, self.border.inverse @ vector.nuisances)


@dataclass(frozen=True)
class Place:
    """What stays the same in a search."""

    experiment: Experiment
    domain: Bool[Tensor, "*box"]
    whitening: Complex[Tensor, "kind kind"]
    prior: Prior | None
    nuisances: Nuisances | None

    def at(self, atoms: Atoms, theta: Tensor | None) -> _State:
        """Evaluate."""
        experiment = self.experiment if self.nuisances is None else self.nuisances.applied(self.experiment, theta)
        pair = experiment.transformed(atoms)
        loss = minus_log_likelihood(experiment, pair)
        belief = None if self.prior is None else self.prior(atoms)
        loss += 0.0 if belief is None else belief.value
        loss += 0.0 if self.nuisances is None else self.nuisances.value(theta)
        return _State(atoms, theta, experiment, pair, loss, belief)

    def moved(self, state: _State, change: Vector) -> _State:
        """Go a step."""
        theta = None if self.nuisances is None else self.nuisances.moved(state.theta, change.nuisances)
        return self.at(state.atoms + mixed(self.whitening, change.densities), theta)

    def system(self, state: _State, *, expected_information: bool = False) -> System:
        """Linearise."""
        gradient, curvature = linearise(state.experiment, state.pair, expected_information=expected_information)
        border = None
        if self.nuisances is not None:
            border = border_of(self.nuisances, state.experiment, state.pair, state.theta, self.onto_unknowns)
        return System(
            self._right(state, gradient), lambda vector: self._times(state, curvature, border, vector), border
        )

    def right(self, state: _State) -> Vector:
        """Downhill gradient by the unknowns alone."""
        return self._right(state, linearise(state.experiment, state.pair)[0])

    def _right(self, state: _State, gradient: Complex[Tensor, "kind *q"]) -> Vector:
        """Downhill gradient by the unknowns, from that by F_T and a."""
        down = state.experiment.back(gradient, tuple(self.domain.shape))
        if state.belief is not None:
            down = down + state.belief.downhill
        slope = torch.zeros(0, dtype=torch.float64)
        if self.nuisances is not None:
            slope = downhill(self.nuisances, state.experiment, state.pair, state.theta)
        return Vector(self.gathered(down), slope)

    def onto_unknowns(self, pair: Complex[Tensor, "kind *q"]) -> Complex[Tensor, "unknown *box"]:
        """Gradient by the unknowns from that by F_T and a."""
        return self.gathered(self.experiment.back(pair, tuple(self.domain.shape)))

    def gathered(self, down: Atoms) -> Complex[Tensor, "unknown *box"]:
        """Gradient by the unknowns from that by the densities."""
        return mixed(self.whitening.mH, down) * self.domain

    def _times(self, state: _State, curvature: Curvature, border: Border | None, vector: Vector) -> Vector:
        """Multiply by the curvature of everything."""
        atoms = mixed(self.whitening, vector.densities)
        back = state.experiment.back(curvature.times(state.experiment.transformed(atoms)), tuple(self.domain.shape))
        if state.belief is not None:
            back = back + state.belief.curvature(atoms)
        result = Vector(self.gathered(back), vector.nuisances)
        return result if border is None else border.added_to(result, vector)


def mixed(matrix: Complex[Tensor, "i j"], values: Complex[Tensor, "j *box"]) -> Complex[Tensor, "i *box"]:
    """Multiply a small matrix with what is in every voxel."""
    return torch.einsum("ij,j...->i...", matrix, values)


def _stretched(place: Place, state: _State, change: Vector, along: float) -> tuple[_State, Vector]:
    """Go a step, and on to the least of the parabola through what is known along it, where that is much farther."""
    trial = place.moved(state, change)
    bend = 2 * (trial.loss - state.loss + along)
    stretch = min(along / bend, _STRETCH) if bend > 0 else _STRETCH
    if trial.loss < state.loss and stretch > 1.2:
        farther = Vector(stretch * change.densities, stretch * change.nuisances)
        beyond = place.moved(state, farther)
        if beyond.loss < trial.loss:
            return beyond, farther
    return trial, change


def solve(
    system: System,
    damping: float,
    forcing: float = _FORCING,
    right: Vector | None = None,
) -> Vector:
    """Preconditioned conjugate gradients, damped; ends where the curvature is not positive."""
    right = right or system.right
    solution = Vector(torch.zeros_like(right.densities), torch.zeros_like(right.nuisances))
    rest = right
    ready = system.preconditioned(rest)
    direction, power = ready, rest.dot(ready)
    first = power
    for _ in range(_MOST_PRODUCTS):
        if not power > forcing**2 * first:
            break
        product = system.apply(direction).plus(damping, _damped(system, direction))
        bend = direction.dot(product)
        if not bend > 0:
            break
        solution = solution.plus(power / bend, direction)
        rest = rest.plus(-power / bend, product)
        ready = system.preconditioned(rest)
        power, before = rest.dot(ready), power
        direction = ready.plus(power / before, direction)
    return solution


def _damped(system: System, vector: Vector) -> Vector:
    """What damping is in units of: one for the densities, their own information for the nuisances."""
    if system.border is None:
        return vector
    return Vector(vector.densities, system.border.information @ vector.nuisances)
