"""Fit of a free form: more and more splines, until they explain nothing more."""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.runtime import log
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.search import Solution, first_levels, minimise, searched, signed_roots
from madpipe.rocking.forward import Reflection
from madpipe.rocking.model import LEAST_COUNTS, Model, model_of, peak_two_theta
from madpipe.rocking.profiles import Spline
from madpipe.rocking.records import Curve

_Numbers = Float[np.ndarray, "number"]
_SHARE = 0.02  # of the counts below the peak, further off than the largest strain shows


def fit_splines(curve: Curve, reflection: Reflection, config: RockingFitConfig, depth: float) -> Solution:
    """Fit more and more splines, each time from the last answer; keep that of the least information criterion."""
    largest = _largest_strain(curve, reflection)
    step = forward.largest_step(forward.as_radian(curve.two_theta), reflection, largest)
    found: list[tuple[float, Solution, Spline]] = []  # criterion, answer, splines
    for count in config.knots:
        profile = Spline(depth, count, count, step)
        model = model_of(curve, reflection, profile, config.refine_resolution)
        starts = [_refined(*found[-1][1:], profile)] if found else _even_starts(curve, model, profile, largest)
        answers = [searched(model, curve, start, config.evaluations) for start in starts[: config.starts]]
        if found:  # the last answer is near, and a search that begins from afar may lose it
            answers.append(minimise(model, curve, starts[0], config.evaluations))
        best = min(answers, key=lambda one: one.deviance)
        criterion = _criterion(curve, best)
        log.info("%d splines: chi-square per point %.3f, criterion %.1f", count, best.chi2, criterion)
        found.append((criterion, replace(best, starts=len(starts)), profile))
        if len(found) > 1 and criterion > found[-2][0]:
            break  # more splines explain nothing more
    return min(found, key=lambda one: one[0])[1]


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


def _even_starts(curve: Curve, model: Model, profile: Spline, largest: float) -> list[_Numbers]:
    """Bells of several heights and depths, as far as the curve shows strain."""
    starts = []
    places = np.linspace(0.0, 1.0, profile.counts[0])
    for middle in (0.3, 0.6):
        for share in (1.0, 0.85, 0.7):
            free = profile.start().numpy()
            free[: len(places)] = 100 * share * largest * np.exp(-(((places - middle) / 0.35) ** 2))
            starts.append(np.concatenate([free, first_levels(model, curve, free)]))
    return starts


def _refined(last: Solution, old: Spline, new: Spline) -> _Numbers:
    """The last answer, in more splines: least squares of strain and of disorder in depth."""
    depth = torch.linspace(0.0, new.depth * 0.999, 400, dtype=torch.float64)
    numbers, levels = last.model.split(last.numbers)
    free = old.split(numbers)
    parts = [
        np.linalg.lstsq(
            new.basis(depth.numpy(), now).numpy(), (old.basis(depth.numpy(), then) @ part).numpy(), rcond=None
        )[0]
        for now, then, part in zip(new.counts, old.counts, free, strict=True)
    ]
    return np.concatenate([*parts, levels])
