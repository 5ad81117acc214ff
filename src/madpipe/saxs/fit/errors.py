"""Errors of a fit: Gaussian ones from the information, and draws from the posterior where it is not Gaussian."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.saxs.fit.problem import Fitted, Problem

_STUDENT = 5  # degrees of freedom of the distribution that is drawn from
_WIDER = 1.3  # it is so much wider than the Gaussian
_OPEN = 1.5  # standard deviation of a free number from which the data leave it open: a factor of 4 of a length
_PRIOR = 3.0  # standard deviation of a free number without data: keeps the information from being singular
_GAUSSIAN = (0.8, 1.25)  # chi-square's rise one standard deviation away, of a valley that counts as Gaussian
_ROUNDS = 3  # of draws, each about what the one before found
_EFFECTIVE = 30  # draws that the weights must leave


@dataclass(frozen=True)
class Uncertainty:
    """What is known of free numbers and factors.

    Attributes
    ----------
    covariance:
        Of free numbers and, behind them, every curve's factors, in their own units.
    draws:
        Free numbers drawn from the posterior, (draw, number); none where the Gaussian serves.
    open:
        Free numbers that the data leave open.
    """

    covariance: Float[np.ndarray, "all all"]
    draws: Float[np.ndarray, "draw number"] | None
    open: np.ndarray


def uncertainty(fitted: Fitted, scale: float, samples: int, generator: np.random.Generator) -> Uncertainty:
    """Find errors.

    Parameters
    ----------
    fitted:
        Where the search ended.
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
    if samples and size and not _is_gaussian(fitted, own, scale):
        draws = _drawn(fitted.problem, fitted, own, scale, samples, generator)
        if draws is not None:
            wide = wide | (draws.std(axis=0) > _OPEN)
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
    rise = (fitted.problem.deviances(fitted.numbers + steps) - fitted.deviance) / scale**2 + values / _PRIOR**2
    return bool(((rise > _GAUSSIAN[0]) & (rise < _GAUSSIAN[1])).all())


def _drawn(
    problem: Problem, fitted: Fitted, covariance: np.ndarray, scale: float, samples: int, generator: np.random.Generator
) -> Float[np.ndarray, "draw number"] | None:
    """Importance sampling, the distribution that is drawn from adapted in rounds; None where it never fits."""
    centre, spread = fitted.numbers, covariance
    each = max(samples // _ROUNDS, 50)
    for _ in range(_ROUNDS):
        root = np.linalg.cholesky(_positive(spread) * _WIDER**2)
        unit = generator.standard_normal((each, len(centre)))
        unit /= np.sqrt(generator.chisquare(_STUDENT, (each, 1)) / _STUDENT)
        places = centre + unit @ root.T
        deviance = problem.deviances(places)
        prior = ((places - fitted.numbers) ** 2).sum(axis=1) / _PRIOR**2
        ln_drawn = -0.5 * (_STUDENT + len(centre)) * np.log1p((unit**2).sum(axis=1) / _STUDENT)
        ln_weight = -0.5 * ((deviance - fitted.deviance) / scale**2 + prior) - ln_drawn
        weight = np.exp(ln_weight - ln_weight.max())
        weight = np.minimum(weight / weight.sum(), 1 / np.sqrt(each))
        weight /= weight.sum()
        centre = weight @ places
        spread = (places - centre).T @ ((places - centre) * weight[:, None])
    if 1 / (weight**2).sum() < _EFFECTIVE:
        return None
    return places[generator.choice(each, size=samples, p=weight)]


def _positive(matrix: np.ndarray) -> np.ndarray:
    """Make sure that a covariance has a root."""
    least = 1e-10 * np.trace(matrix) / len(matrix)
    added: np.ndarray = (matrix + matrix.T) / 2 + least * np.eye(len(matrix))
    return added


def interval(problem: Problem, fitted: Fitted, found: Uncertainty, number: int, share: float) -> tuple[float, float]:
    """Give the central interval of a parameter, in its own unit, that holds a share of the posterior."""
    one = problem.free[number]
    if found.draws is not None:
        low, high = np.quantile(found.draws[:, number], [(1 - share) / 2, (1 + share) / 2])
    else:
        off = float(np.sqrt(found.covariance[number, number])) * _quantile(share)
        low, high = fitted.numbers[number] - off, fitted.numbers[number] + off
    ends = one.natural(torch.tensor([low, high], dtype=torch.float64))
    return float(ends[0]), float(ends[1])


def _quantile(share: float) -> float:
    """Standard deviations on either side of the mean that hold a share."""
    return float(torch.special.ndtri(torch.tensor((1 + share) / 2, dtype=torch.float64)))
