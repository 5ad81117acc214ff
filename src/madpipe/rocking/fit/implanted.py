"""Fit of an implanted layer's seven parameters: where to start, and how to go on."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from madpipe.base.runtime import counted, progress
from madpipe.rocking import forward
from madpipe.rocking.config import RockingFitConfig
from madpipe.rocking.fit.modes import explored
from madpipe.rocking.fit.search import Solution, first_levels, minimise, searched
from madpipe.rocking.forward import COARSER, Reflection
from madpipe.rocking.model import Model, layers_of, model_of
from madpipe.rocking.prior import LARGEST_STRAIN, RANGES
from madpipe.rocking.profiles import Implanted, draw_implanted, to_free
from madpipe.rocking.records import Curve

_Numbers = Float[np.ndarray, "number"]
_LAST = 6  # evaluations with the answer's own sublayers and angles


def fit_implanted(
    curve: Curve,
    reflection: Reflection,
    config: RockingFitConfig,
    generator: torch.Generator,
    first: Sequence[_Numbers] = (),
) -> Solution:
    """Fit the seven parameters, from the curves of a library that look alike, or from given starts before them.

    Parameters
    ----------
    curve, reflection:
        With its angles right, see :func:`centred`.
    config:
        Starts at most, and what is good.
    generator:
        Draws the library.
    first:
        Profile's free numbers to start from first, a network's answer.
    """
    exact = exact_model(curve, reflection)
    coarse = replace(exact, profile=Implanted(COARSER * cast("Implanted", exact.profile).step))
    found: list[Solution] = []
    with counted("implanted layer", 2 * config.starts * config.evaluations):
        for free in itertools.islice(_starts(curve, reflection, config, generator, first), config.starts):
            start = np.concatenate([free, first_levels(coarse, curve, free)])
            search = minimise if len(found) < len(first) else searched  # given starts are near
            found.append(replace(search(coarse, curve, start, config.evaluations), starts=len(found) + 1))
            if found[-1].chi2 < config.good_chi2:
                break
    best = explored(curve, min(found, key=lambda one: one.deviance), config.explorations, generator)
    return replace(minimise(exact, curve, best.numbers, _LAST, grain=0.0), starts=best.starts)


def exact_model(curve: Curve, reflection: Reflection) -> Model:
    """Model of a curve by an implanted layer."""
    step = forward.largest_step(forward.as_radian(curve.two_theta), reflection, LARGEST_STRAIN)
    return model_of(curve, reflection, Implanted(step))


def _starts(
    curve: Curve,
    reflection: Reflection,
    config: RockingFitConfig,
    generator: torch.Generator,
    first: Sequence[_Numbers],
) -> Iterator[_Numbers]:
    """Given starts, then the library's curves by how much they look like this one, none close to an earlier one."""
    yield from first
    drawn, shapes = _library(
        curve.two_theta.tobytes(), reflection, config.library, int(torch.randint(1 << 40, (), generator=generator))
    )
    floor = np.quantile(curve.data, 0.02) + 1.0
    looks = look(curve.data, floor)
    scale = curve.data.max() / shapes.max(axis=1, keepdims=True)
    distance = np.mean((look(shapes * scale, floor) - looks) ** 2, axis=1)
    used: list[np.ndarray] = []
    for number in np.argsort(distance):
        values = drawn[number]
        if all(np.max(np.abs(values - other) / np.array(RANGES)) > 0.05 for other in used):
            used.append(values)
            yield to_free(torch.from_numpy(values)).numpy()


def look(counts: np.ndarray, floor: float) -> np.ndarray:
    """What two curves are compared by: log counts, smoothed over fringes."""
    return gaussian_filter1d(np.log10(counts + floor), 6.0, axis=-1)


@lru_cache(maxsize=2)
def _library(angles: bytes, reflection: Reflection, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters drawn from the prior and their reflectivities."""
    theta = forward.as_radian(np.frombuffer(angles))
    drawn = draw_implanted(count, torch.Generator().manual_seed(seed))
    profile = Implanted(COARSER * forward.largest_step(theta, reflection, LARGEST_STRAIN))
    each = progress(drawn, "library of curves")
    shapes = [forward.reflectivity(theta, layers_of(profile, to_free(one)), reflection) for one in each]
    return drawn.numpy(), np.array(shapes)
