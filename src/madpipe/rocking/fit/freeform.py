"""Fit of a free form: more and more splines, each number from the last one's answers, until more explain nothing more.

The likelihood has many minima: fringes can be matched with a whole period too many or too few. They are fewest where
there are many splines, which let a search go round; hence scouts, many starts of rather many splines, all searched a
little, the best further (successive halving). What they find is put into each number of splines, beside what fewer
splines found: knots are put in, so that more splines begin with the very curve that fewer ended with, and the deviance
never rises. An answer that does not explain the curve is shaken at last, and searched again from there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import qmc

from madpipe.base.runtime import counted, log
from madpipe.base.warned import warn
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.search import Solution, first_levels, minimise, signed_roots
from madpipe.rocking.forward import COARSER, Reflection
from madpipe.rocking.model import LEAST_COUNTS, Model, model_of, peak_two_theta
from madpipe.rocking.profiles import Spline
from madpipe.rocking.records import Curve

_Numbers = Float[np.ndarray, "number"]
_SHARE = 0.02  # of the counts below the peak, further off than the largest strain shows
# ranges of the first layers: height of the bell over the largest strain seen, middle and width over the depth, and the
# free number of disorder
_BELLS = ((0.5, 1.1), (0.1, 0.7), (0.15, 0.5), (-4.0, 0.0))
_SCOUTS = 18  # splines, at most
_MANY = 4  # scouts for each start of the configuration
# rounds of the scouts: least relative error, evaluations, sublayers' thickness over the right one, and of how many
# scouts one goes on
_ROUNDS = ((1.0, 12, COARSER, 2), (0.2, 20, COARSER, 4), (0.0, 40, 1.0, 1))
_KEPT = 3  # answers that go on to more splines
_APART = 1e-3  # relative difference of the deviance of two answers, below which they are one
_IDLE = 2  # numbers of splines in a row that do not lower the criterion: none will
_SHAKEN, _SHAKE_EVALUATIONS = 16, 15  # times for each exploration of the configuration; of each
_SHAKES, _DISORDERED = (0.01, 0.2), 20.0  # of the largest strain, least and most, and of disorder's numbers
_GRAIN = 2.0**-14  # of a search's numbers, some hundredths of their errors
_POLISH, _LAST = 1e-8, 200  # tolerance and evaluations of the answer


@dataclass(frozen=True)
class _Level:
    """A number of splines, and what explains the curve best with it."""

    profile: Spline
    answers: Sequence[Solution]  # the best first

    def start(self, answer: Solution, profile: Spline) -> _Numbers:
        """Free numbers of an answer in other splines: exactly in more, nearly in fewer."""
        free, levels = answer.model.split(answer.numbers)
        return np.concatenate([_in_splines(self.profile, free, profile), levels])


def fit_splines(
    curve: Curve, reflection: Reflection, config: RockingFitConfig, depth: float, generator: torch.Generator
) -> Solution:
    """Fit more and more splines, from the last answers; keep that of the least information criterion.

    Parameters
    ----------
    curve, reflection:
        With its angles right, see :func:`madpipe.rocking.fit.fit.centred`.
    config:
        Numbers of splines; starts, evaluations for each.
    depth:
        Of the layer [angstrom].
    generator:
        Draws how the answer is shaken.
    """
    largest = _largest_strain(curve, reflection)
    step = forward.largest_step(forward.as_radian(curve.two_theta), reflection, largest)

    def model_with(count: int, coarser: float = 1.0) -> Model:
        return model_of(curve, reflection, Spline(depth, count, count, coarser * step), config.refine_resolution)

    counts = sorted(set(config.knots))
    scouts = _scouted(
        curve, model_with, max([one for one in counts if one <= _SCOUTS], default=counts[0]), largest, config
    )
    found: list[tuple[float, Solution]] = []  # criterion, answer
    last, idle = scouts, 0
    for count in counts:
        last = _continued(curve, model_with(count), (last, scouts), config)
        found.append((_criterion(curve, last.answers[0]), last.answers[0]))
        log.info("%d splines: chi-square per point %.3f, criterion %.1f", count, found[-1][1].chi2, found[-1][0])
        idle = idle + 1 if found[-1][0] > min(one for one, _ in found) else 0
        if idle == _IDLE:
            break
    if idle == 0 and len(counts) > 1:
        warn(
            f"{curve.title}: {counts[-1]} splines, the most that are tried, explain the curve best; more may tell more "
            "of the layer: give a longer list as rocking.fit.knots."
        )
    answer = min(found, key=lambda one: one[0])[1]
    if answer.chi2 > config.good_chi2:
        answer = _shaken(curve, answer, largest, _SHAKEN * config.explorations, generator)
    with counted("the last digits", _LAST):
        answer = minimise(answer.model, curve, answer.numbers, _LAST, _POLISH, 0.0)
    return replace(answer, starts=_MANY * config.starts)


def _scouted(
    curve: Curve, model_with: Callable[[int, float], Model], count: int, largest: float, config: RockingFitConfig
) -> _Level:
    """Search from many starts as if the curve were known to a factor of e, from the best of these to a fifth, and on.

    A large relative error makes all orders of magnitude count alike, so that the faint fringes lead.
    """
    starts = _bells(curve, model_with(count, COARSER), largest, _MANY * config.starts)
    with counted(f"scouts of {count} splines", _work(len(starts))):
        for least, evaluations, coarser, share in _ROUNDS:
            model, eased = model_with(count, coarser), replace(curve, systematic=max(least, curve.systematic))
            found = [minimise(model, eased, start, evaluations, grain=_GRAIN) for start in starts]
            found.sort(key=lambda one: one.deviance)
            starts = [one.numbers for one in found[: math.ceil(len(found) / share)]]
    return _Level(cast("Spline", model.profile), _distinct(found))


def _work(starts: int) -> int:
    """Evaluations of :func:`_scouted` at most."""
    total = 0
    for _, evaluations, _, share in _ROUNDS:
        total, starts = total + starts * evaluations, math.ceil(starts / share)
    return total


def _continued(curve: Curve, model: Model, before: Sequence[_Level], config: RockingFitConfig) -> _Level:
    """Search on from what other numbers of splines found."""
    profile = cast("Spline", model.profile)
    starts = [level.start(answer, profile) for level in before for answer in level.answers]
    with counted(f"{profile.counts[0]} splines", len(starts) * config.evaluations):
        found = [minimise(model, curve, start, config.evaluations, grain=_GRAIN) for start in starts]
    return _Level(profile, _distinct(sorted(found, key=lambda one: one.deviance)))


def _distinct(answers: Sequence[Solution]) -> list[Solution]:
    """The best answers, each once: two of nearly the same deviance are taken for the same."""
    kept: list[Solution] = []
    for one in answers:
        if not kept or one.deviance > (1 + _APART) * kept[-1].deviance:
            kept.append(one)
    return kept[:_KEPT]


def _shaken(curve: Curve, answer: Solution, largest: float, times: int, generator: torch.Generator) -> Solution:
    """Search again from beside an answer, whose valley has ripples."""
    strains, disorders = cast("Spline", answer.model.profile).counts
    size = np.array([100 * largest] * strains + [_DISORDERED] * disorders + [0.0] * len(answer.model.levels))
    with counted("about the answer", times * _SHAKE_EVALUATIONS):
        for number in range(times):
            share = _SHAKES[0] * (_SHAKES[1] / _SHAKES[0]) ** (number * 0.618 % 1)
            off = torch.randn(len(size), generator=generator, dtype=torch.float64).numpy()
            found = minimise(answer.model, curve, answer.numbers + share * size * off, _SHAKE_EVALUATIONS, grain=_GRAIN)
            answer = min(answer, found, key=lambda one: one.deviance)
    return answer


def _criterion(curve: Curve, answer: Solution) -> float:
    """Bayesian information criterion; a misfit that no number of splines explains scales it, else all would pay."""
    expected = np.maximum(answer.expected, LEAST_COUNTS)
    deviance = float(np.sum(signed_roots(curve.data, expected, curve.relative_error) ** 2))
    points = len(curve.data)
    return points * math.log(deviance / points) + len(answer.numbers) * math.log(points)


def _largest_strain(curve: Curve, reflection: Reflection) -> float:
    """Largest strain that the curve shows: where below the peak a small share of all counts lies."""
    counts = np.maximum(curve.data - 3 * np.quantile(curve.data, 0.05), 0.0)
    below = np.cumsum(counts * (curve.two_theta < peak_two_theta(reflection) - 0.05))
    if below[-1] <= 0:
        return 0.002
    angle = float(np.interp(_SHARE * below[-1], below, curve.two_theta))
    return max(0.002, reflection.bragg / math.sin(math.radians(angle / 2) - reflection.refraction_shift) - 1)


def _bells(curve: Curve, model: Model, largest: float, count: int) -> list[_Numbers]:
    """Bells of several heights, middles, widths and disorders, evenly spread: the same every time."""
    low, high = np.array(_BELLS).T
    starts = []
    strains, disorders = cast("Spline", model.profile).counts
    places = np.linspace(0.0, 1.0, strains)
    for height, middle, width, disorder in low + (high - low) * qmc.Halton(4, scramble=False).random(count + 1)[1:]:
        bell = 100 * height * largest * np.exp(-(((places - middle) / width) ** 2))
        free = np.concatenate([bell, np.full(disorders, disorder)])
        starts.append(np.concatenate([free, first_levels(model, curve, free)]))
    return starts


def _in_splines(old: Spline, free: torch.Tensor, new: Spline) -> _Numbers:
    """The free numbers of a layer in other splines: knots put in, or least squares in depth where there are fewer."""
    if new.counts[0] >= old.counts[0]:
        return old.refined(free, new.counts).numpy()
    depth = np.linspace(0.0, new.depth * 0.999, 400)
    parts = [
        np.linalg.lstsq(new.basis(depth, now).numpy(), (old.basis(depth, then) @ part).numpy(), rcond=None)[0]
        for now, then, part in zip(new.counts, old.counts, old.split(free), strict=True)
    ]
    return np.concatenate(parts)
