"""From a network's prediction to an answer: the counts of each point correct it, and every quantity gets its error."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.fit.belief import DEGREES, Belief, quadratic
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.fit.exact import covariance, flat_optimum, information_at
from madpipe.mad.fit.explained import sums_of
from madpipe.mad.fit.likelihood import Problem, climb, predicted_information, problem_of, slope_at
from madpipe.mad.measurement import Measurement
from madpipe.mad.network.calibration import share_of_counts
from madpipe.mad.network.posterior import moments
from madpipe.physics.sums import added, times

_STEPS = 40  # of the climb at most
_TOLERANCE = 1e-4  # of a standard error
_PRIOR_BREADTH = 10.0  # of the fit's weak prior on |F_A|, which tells its two optima apart where photons are few
_TILE, _TILE_ON_DEVICE = 1 << 16, 1 << 20  # points at once: what fits a cache, what keeps a device busy
Columns = dict[str, Float[Tensor, "point"]]
Spread = Callable[[Float[Tensor, "6 point"], slice], Float[Tensor, "6 point"]]


def _as_it_is(covariance: Float[Tensor, "6 point"], _: slice) -> Float[Tensor, "6 point"]:
    """Leave a covariance as it is."""
    return covariance


def _on(spread: Spread, tile: slice) -> Callable[[Tensor], Tensor]:
    """What to make of the covariances of one tile."""
    return lambda covariance: spread(covariance, tile)


def answer(
    measurement: Measurement, prediction: Belief, *, refine: bool, spread: Spread = _as_it_is
) -> tuple[Columns, Columns, Tensor]:
    """Structure factors with errors, chi-square and degrees of freedom, from a prediction and the counts.

    Parameters
    ----------
    measurement:
        The counts, with the weights and the background of the classical fit.
    prediction:
        Of x, p, q = |F_T|, |F_A/f0| cos, |F_A/f0| sin of Delta_phi at unit exposure [sqrt(photon)].
    refine:
        Climb to the most likely unknowns under counts and prediction; else take the prediction as it is.
    spread:
        What to make of the covariances of x, a, b of some points, which come as a range.

    Returns
    -------
    :
        The answer, the share of the information on each quantity that the counts gave, and sums of how well the counts
        are explained (:func:`madpipe.mad.fit.explained.sums_of`), of each tile.
    """
    size = _TILE if measurement.f0.device.type == "cpu" else _TILE_ON_DEVICE
    tiles = [slice(start, start + size) for start in range(0, len(measurement.f0), size)]
    parts = [_tile(measurement.part(tile), prediction.part(tile), refine, _on(spread, tile)) for tile in tiles]
    first, second, sums = zip(*parts, strict=True)
    return _joined(first), _joined(second), torch.stack(sums)


def _joined(parts: Sequence[dict[str, Tensor]]) -> Columns:
    """Put the points of several parts side by side."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def at_maximum(
    measurement: Measurement, prediction: Belief, steps: int = _STEPS, tolerance: float = _TOLERANCE
) -> Float[Tensor, "3 point"]:
    """Most likely x, p, q under counts and prediction, x >= 0, to a tolerance in standard errors."""
    problem = _problem(measurement, prediction)
    theta = climb(problem, _start(problem), steps, tolerance)[0]
    return torch.where(theta[0] < 0, -theta, theta)


def whole_information(
    measurement: Measurement, prediction: Belief, theta: Float[Tensor, "3 point"]
) -> Float[Tensor, "6 point"]:
    """Information on x, p, q at unknowns, from counts and prediction."""
    # the prediction's mean, of the sign that is nearer to them
    prediction = prediction._replace(mean=prediction._replace(mean=theta).nearer(prediction.mean))
    problem = _problem(measurement, prediction)
    known = information(problem, theta, slope_at(problem, theta).weight, refine=True)
    f0 = measurement.f0
    return known * torch.stack([torch.ones_like(f0), f0, f0, f0 * f0, f0 * f0, f0 * f0])


def _problem(measurement: Measurement, prediction: Belief) -> Problem:
    """Counts and prediction of some points."""
    return replace(problem_of(measurement, _PRIOR_BREADTH), prediction=prediction)


def _tile(
    measurement: Measurement, prediction: Belief, refine: bool, spread: Callable[[Tensor], Tensor]
) -> tuple[Columns, Columns, Tensor]:
    """Answer some points."""
    problem = _problem(measurement, prediction)
    theta = climb(problem, _start(problem), _STEPS, _TOLERANCE)[0] if refine else prediction.mean
    turn = torch.where(theta[0] < 0, -1.0, 1.0).to(theta)
    theta = turn * theta
    # the prediction turns with them, or it would seem far off
    problem = replace(problem, prediction=prediction._replace(mean=turn * prediction.mean))
    slope = slope_at(problem, theta)
    reduction = measurement.reduction()
    known = information(problem, theta, slope.weight, refine)
    columns = moments(theta * reduction, spread(covariance(known)))
    before = columns
    if refine:
        alone = information(problem, prediction.mean, slope.weight, refine=False)
        before = moments(prediction.mean * reduction, spread(covariance(alone)))
    shares = share_of_counts(columns, before)
    chi2 = added(slope.pull * (problem.net - slope.photons))
    dof = (measurement.channels() - 3).clamp(min=0)
    followed = (
        covariance(known) if refine else torch.zeros_like(known)
    )  # a prediction alone follows no noise of its own
    sums = sums_of(measurement, theta * reduction, followed, chi2)
    return {**columns, "chi2": chi2, "dof": dof, "certified": torch.zeros_like(dof, dtype=torch.bool)}, shares, sums


def information(
    problem: Problem, theta: Float[Tensor, "3 point"], weight: Float[Tensor, "channel point"], refine: bool
) -> Float[Tensor, "6 point"]:
    """Information on x, a, b of the prediction and, where they were used, of the counts."""
    f0 = problem.measurement.f0
    inverse = torch.stack([torch.ones_like(f0), 1 / f0, 1 / f0, 1 / f0**2, 1 / f0**2, 1 / f0**2])
    if not refine:
        return problem.prediction.precision * (1 + 3 / DEGREES) * inverse
    counts = information_at(problem, theta, times(problem.products, weight))
    return counts + predicted_information(problem, theta) * inverse


def _start(problem: Problem) -> Float[Tensor, "3 point"]:
    """The prediction's mean, or the counts' own optimum where that is the more likely one under both."""
    predicted, counted = problem.prediction.mean, flat_optimum(problem)
    better = _cost(problem, counted) < _cost(problem, predicted)
    return torch.where(better, problem.prediction.nearer(counted), predicted)


def _cost(problem: Problem, theta: Float[Tensor, "3 point"]) -> Float[Tensor, "point"]:
    """Half the chi-square with weights at the point's brightness, less the logarithm of the prediction's density."""
    measurement = problem.measurement
    flat = measurement.with_background(measurement.brightness() * measurement.exposure[:, None])
    weight = measurement.measured(1 / measurement.noise.variance(flat))
    misfit = problem.net - times(problem.design, unknowns(theta))
    prediction = problem.prediction
    distance = quadratic(prediction.precision, prediction.nearer(theta) - prediction.mean)
    return 0.5 * added(weight * misfit * misfit) + 0.5 * (DEGREES + 3) * torch.log1p(distance / DEGREES)
