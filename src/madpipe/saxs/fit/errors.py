"""Errors of a fit: Gaussian ones from the information, and draws from the posterior where it is not Gaussian."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri
from scipy.stats import chi2, qmc

from madpipe.saxs.fit.problem import Evaluated, Fitted, Problem
from madpipe.saxs.fit.valley import traced

_STUDENT = 5  # degrees of freedom of the distribution that is drawn from
_WIDER = 1.2  # it is so much wider than the Gaussian
_OPEN = 1.5  # standard deviation of a free number from which the data leave it open: a factor of 4 of a length
_PRIOR = 3.0  # standard deviation of a free number without data: keeps the information from being singular
_GAUSSIAN = (0.8, 1.25)  # chi-square's rise one standard deviation away, of a valley that counts as Gaussian
_ROUNDS, _MORE_ROUNDS = 3, 5  # of draws, each about what those before found; where too few draws count
_LEAST = 8  # draws about one centre at first
_REACH = 0.7  # standard deviation of a free number about one centre, at most
_MODES = 24  # centres at most, at first
_HEAVY, _CENTRES = 0.02, 6  # share of one draw from which it becomes a centre itself; so many in a round
_EFFECTIVE, _FEWEST = 0.4, 20  # of the draws wanted, that the weights should leave; draws that they must leave


@dataclass(frozen=True)
class Draws:
    """Places drawn from the posterior.

    Attributes
    ----------
    places:
        Free numbers.
    weights:
        Sum to 1.
    factors:
        Of every curve, one behind the other, drawn too.
    floor, above, floor_factors:
        Free numbers on the floor of the valley, chi-square above the best there (over the square of the errors' scale),
        and the best factors.
    """

    places: Float[np.ndarray, "draw number"]
    weights: Float[np.ndarray, "draw"]
    factors: Float[np.ndarray, "draw factor"]
    floor: Float[np.ndarray, "point number"]
    above: Float[np.ndarray, "point"]
    floor_factors: Float[np.ndarray, "point factor"]


@dataclass(frozen=True)
class Uncertainty:
    """What is known of free numbers and factors.

    Attributes
    ----------
    covariance:
        Of free numbers and, behind them, every curve's factors, in their own units.
    draws:
        From the posterior; none where the Gaussian serves.
    open:
        Free numbers that the data leave open.
    """

    covariance: Float[np.ndarray, "all all"]
    draws: Draws | None
    open: Bool[np.ndarray, "number"]


def uncertainty(
    fitted: Fitted,
    others: Sequence[Evaluated],
    rough: Problem,
    scale: float,
    samples: int,
    generator: np.random.Generator,
) -> Uncertainty:
    """Find errors.

    Parameters
    ----------
    fitted:
        Where the search ended.
    others:
        Other solutions: the posterior has a part in each.
    rough:
        The same problem, computed more cheaply: for draws.
    scale:
        Factor of the data's errors: above 1 where the model misses the data by more than they say.
    samples:
        Draws from the posterior, where the valley is not Gaussian; 0: never.
    generator:
        Draws.
    """
    size = len(fitted.numbers)
    information = fitted.information() / scale**2
    information[np.arange(size), np.arange(size)] += 1 / _PRIOR**2
    covariance = _inverse(information)
    own = covariance[:size, :size]
    wide = np.sqrt(np.diag(own)) > _OPEN
    draws = None
    if samples and size and (others or not _is_gaussian(fitted, own, scale)):
        solutions = rough.trials(np.array([fitted.numbers, *(one.numbers for one in others)]))
        valley = [point for one in solutions if np.isfinite(one.deviance) for point in traced(rough, one, scale)]
        modes = [_mode_at(one, scale) for one in [*solutions, *_spaced(valley, scale)] if np.isfinite(one.deviance)]
        draws = _drawn(rough, modes, scale, samples, generator)
        draws = _with_floor(draws, rough, [*solutions, *valley], scale)
        if draws is not None:
            centre = draws.weights @ draws.places
            wide = wide | (np.sqrt(draws.weights @ (draws.places - centre) ** 2) > _OPEN)
    return Uncertainty(covariance, draws, wide)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of a positive matrix of very different units; a factor held at zero keeps none."""
    size = np.sqrt(np.diag(information))
    used = size > 0
    unit = information[np.ix_(used, used)] / np.outer(size[used], size[used])
    inverse = np.zeros_like(information)
    inverse[np.ix_(used, used)] = np.linalg.pinv(unit, rcond=1e-12, hermitian=True) / np.outer(size[used], size[used])
    return inverse


def _is_gaussian(fitted: Fitted, covariance: np.ndarray, scale: float) -> bool:
    """Whether chi-square rises by one, one standard deviation away along each axis of the error ellipsoid."""
    values, axes = np.linalg.eigh(covariance)
    values = np.tile(np.maximum(values, 0.0), 2)
    steps = np.sqrt(values)[:, None] * np.concatenate([axes.T, -axes.T])
    low, high = fitted.problem.box()
    if ((fitted.numbers + steps < low) | (fitted.numbers + steps > high)).any():
        return False
    rise = (fitted.problem.deviances(fitted.numbers + steps) - fitted.deviance) / scale**2 + values / _PRIOR**2
    return bool(((rise > _GAUSSIAN[0]) & (rise < _GAUSSIAN[1])).all())


@dataclass(frozen=True)
class _Mode:
    """Student's distribution about one solution: its centre and a root of its matrix."""

    centre: Float[np.ndarray, "number"]
    root: Float[np.ndarray, "number number"]


def _mode_at(one: Evaluated, scale: float) -> _Mode:
    """Distribution to draw from about a point of the valley: as wide as the data leave it there, within bounds."""
    narrow = np.eye(len(one.numbers)) / _REACH**2
    return _Mode(one.numbers, _root(_inverse(one.normal / scale**2 + narrow)))


def _spaced(points: Sequence[Evaluated], scale: float) -> list[Evaluated]:
    """Leave out points that are within a standard deviation of one that is kept."""
    kept: list[Evaluated] = []
    for one in sorted(points, key=lambda point: point.deviance):
        away = (one.numbers - other.numbers for other in kept)
        if all(step @ (one.normal / scale**2 + np.eye(len(step)) / _REACH**2) @ step > 1 for step in away):
            kept.append(one)
    return kept[:_MODES]


def _drawn(
    rough: Problem, modes: list[_Mode], scale: float, samples: int, generator: np.random.Generator
) -> Draws | None:
    """Importance sampling in rounds, all of which count as draws from their mixture; None where it never fits.

    References
    ----------
    Cornuet, Marin, Mira and Robert, Scand. J. Stat. 39, 798 (2012), section 2 (adaptive multiple importance sampling).
    """
    best = modes[0].centre
    least = rough.deviance(best)
    counts = np.maximum(np.full(len(modes), samples // _ROUNDS // len(modes)), _LEAST)
    proposals: list[_Mode] = []
    drawn: list[int] = []
    parts: list[_Part] = []
    for number in range(_MORE_ROUNDS):
        parts += [
            _part(rough, one, best, least, scale, int(count), generator)
            for one, count in zip(modes, counts, strict=True)
            if count
        ]
        proposals += [one for one, count in zip(modes, counts, strict=True) if count]
        drawn += [int(count) for count in counts if count]
        places, ln_target = (np.concatenate([getattr(one, name) for one in parts]) for name in ("places", "ln_target"))
        weights = _weights(places, ln_target, proposals, drawn)
        if not np.isfinite(weights).all():
            return None
        effective = 1 / (weights**2).sum()
        if number + 1 >= _ROUNDS and effective > _EFFECTIVE * samples:
            break
        modes, counts = _adapted(places, weights, modes, samples // _ROUNDS)
    if effective < _FEWEST:
        return None
    factors = np.concatenate([one.factors for one in parts])
    return Draws(places, weights, factors, places[:0], weights[:0], factors[:0])


def _with_floor(draws: Draws | None, rough: Problem, floor: Sequence[Evaluated], scale: float) -> Draws:
    """Add the floor of the valley, so that intervals hold all that explains the data; it serves alone without draws."""
    floor = [one for one in floor if np.isfinite(one.deviance)]
    numbers = np.array([one.numbers for one in floor])
    above = (np.array([one.deviance for one in floor]) - floor[0].deviance) / scale**2
    factors = np.array([np.concatenate([one.factors for one in found]) for _, found in rough.solved(numbers)])
    if draws is None:
        weights = np.exp(-(above - above.min()) / 2)
        draws = Draws(numbers, weights / weights.sum(), factors, numbers, above, factors)
    return replace(draws, floor=numbers, above=above, floor_factors=factors)


@dataclass(frozen=True)
class _Part:
    """Draws from one proposal: places, the posterior's logarithm there, factors."""

    places: Float[np.ndarray, "draw number"]
    ln_target: Float[np.ndarray, "draw"]
    factors: Float[np.ndarray, "draw factor"]


def _part(
    rough: Problem,
    mode: _Mode,
    best: np.ndarray,
    least: float,
    scale: float,
    count: int,
    generator: np.random.Generator,
) -> _Part:
    """Draw places about one solution and find the posterior there; none of it is outside the ranges."""
    places = _round(mode, count, generator)
    low, high = rough.box()
    inside = np.logical_and(places >= low, places <= high).all(axis=1).reshape(count)
    inside[0] = True  # one at least, whose range is not looked at
    places[0] = np.clip(places[0], low, high)
    ln_target = np.full(count, -np.inf)
    ln_target[inside], drawn = _posterior(rough, places[inside], least, scale, generator)
    ln_target -= ((places - best) ** 2).sum(axis=1) / _PRIOR**2 / 2
    ln_target[0] = ln_target[0] if (places[0] > low).all() and (places[0] < high).all() else -np.inf
    factors = np.zeros((count, drawn.shape[1]))
    factors[inside] = drawn
    return _Part(places, ln_target, factors)


def _adapted(
    places: np.ndarray, weights: np.ndarray, modes: Sequence[_Mode], samples: int
) -> tuple[list[_Mode], Int[np.ndarray, "mode"]]:
    """Share the next draws among the modes by the posterior near each, and among the best draws as centres."""
    away = np.array([(np.linalg.solve(one.root, (places - one.centre).T) ** 2).sum(axis=0) for one in modes])
    share = np.bincount(away.argmin(axis=0), weights=np.minimum(weights, _HEAVY), minlength=len(modes))
    heavy = np.argsort(weights)[::-1][:_CENTRES]
    heavy = heavy[weights[heavy] > _HEAVY]
    new = [_Mode(places[row], modes[int(away[:, row].argmin())].root) for row in heavy]
    counts = np.concatenate([share / share.sum() * samples, np.full(len(new), _LEAST)])
    return [*modes, *new], np.round(counts).astype(int)


def _root(covariance: np.ndarray) -> Float[np.ndarray, "number number"]:
    """Root of a proposal's matrix, wider than the covariance."""
    root: np.ndarray = np.linalg.cholesky(_positive(covariance) * _WIDER**2)
    return root


def _round(mode: _Mode, count: int, generator: np.random.Generator) -> Float[np.ndarray, "draw number"]:
    """Places from Student's distribution, evenly spread by Sobol's points."""
    size = len(mode.centre) + 1
    points = qmc.Sobol(size, rng=generator).random(2 ** int(np.ceil(np.log2(count))))[:count]
    points = np.clip(points, 1e-9, 1 - 1e-9)
    unit = ndtri(points[:, :-1]) / np.sqrt(chi2.ppf(points[:, -1:], _STUDENT) / _STUDENT)
    drawn: np.ndarray = mode.centre + unit @ mode.root.T
    return drawn


def _posterior(
    rough: Problem, places: np.ndarray, least: float, scale: float, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw factor"]]:
    """Logarithm of the likelihood at places, and factors drawn from what it leaves them."""
    ln_likelihood, factors = np.full(len(places), -np.inf), []
    for row, (columns, found) in enumerate(rough.solved(places)):
        deviance = sum(float(one.residuals @ one.residuals) for one in found)
        ln_likelihood[row] = -0.5 * (deviance - least) / scale**2
        own = []
        for column, one in zip(columns, found, strict=True):
            root = _root_of_inverse(column[:, one.free]) if np.isfinite(deviance) else np.zeros((one.free.sum(),) * 2)
            factor = one.factors.copy()
            factor[one.free] += scale * root @ generator.standard_normal(int(one.free.sum()))
            own.append(factor)
        factors.append(np.concatenate(own))
    return ln_likelihood, np.array(factors)


def _root_of_inverse(columns: Float[np.ndarray, "q column"]) -> Float[np.ndarray, "column column"]:
    """Root of the covariance of factors."""
    size = np.linalg.norm(columns, axis=0)
    size = np.where(size > 0, size, 1.0)
    triangle = np.linalg.qr(columns / size, mode="r")
    root: np.ndarray = np.linalg.pinv(triangle, rcond=1e-12) / size[:, None]
    return root


def _weights(
    places: np.ndarray, ln_target: np.ndarray, proposals: Sequence[_Mode], drawn: Sequence[int]
) -> Float[np.ndarray, "draw"]:
    """Share of each draw: the posterior over the mixture that all rounds were drawn from."""
    ln_each = []
    for one, count in zip(proposals, drawn, strict=True):
        square = (np.linalg.solve(one.root, (places - one.centre).T) ** 2).sum(axis=0)
        tail = -0.5 * (_STUDENT + len(one.centre)) * np.log1p(square / _STUDENT)
        ln_each.append(tail - np.log(np.diag(one.root)).sum() + np.log(count))
    ln_weight = ln_target - np.logaddexp.reduce(ln_each, axis=0)
    if not np.isfinite(ln_weight).any():
        return np.full(len(places), np.nan)
    weight = np.exp(ln_weight - ln_weight.max())
    shares: np.ndarray = weight / weight.sum()
    return shares


def _positive(matrix: np.ndarray) -> np.ndarray:
    """Make sure that a covariance has a root."""
    least = 1e-10 * np.trace(matrix) / len(matrix)
    added: np.ndarray = (matrix + matrix.T) / 2 + least * np.eye(len(matrix))
    return added


def weighted_quantiles(
    values: Float[np.ndarray, "draw *more"], weights: Float[np.ndarray, "draw"], shares: np.ndarray
) -> Float[np.ndarray, "share *more"]:
    """Quantiles of weighted draws, each column by itself."""
    columns = values.reshape(len(values), -1)
    found = np.empty((len(shares), columns.shape[1]))
    for number, column in enumerate(columns.T):
        order = np.argsort(column, kind="stable")
        reached = np.cumsum(weights[order]) - weights[order] / 2
        found[:, number] = np.interp(shares, reached, column[order])
    quantiles: np.ndarray = found.reshape(len(shares), *values.shape[1:])
    return quantiles
