"""Levenberg and Marquardt's method for whatever has a slope and a matrix of normal equations."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

_Numbers = Float[np.ndarray, "number"]
_DAMPING, _LEAST_DAMPING, _HOPELESS = 1.0, 1e-5, 1e10  # at first, at least; beyond which no step helps


@runtime_checkable
class Trial(Protocol):
    """What a search knows of the numbers that it tried."""

    @property
    def numbers(self) -> np.ndarray:
        """The numbers themselves."""

    @property
    def deviance(self) -> float:
        """What is made least."""

    @property
    def slope(self) -> np.ndarray:
        """Half the gradient of the deviance."""

    @property
    def normal(self) -> np.ndarray:
        """Positive matrix of its second derivatives, halved: J^T J, or the Fisher information."""


_Tried = TypeVar("_Tried", bound=Trial)


def minimise(
    evaluated: Callable[[_Numbers], _Tried],
    start: _Numbers,
    evaluations: int,
    tolerance: float,
    farthest: float | _Numbers,
    grain: float,
    damping: float = _DAMPING,
) -> _Tried:
    """Least deviance from one start.

    Parameters
    ----------
    evaluated:
        Evaluates a trial.
    start:
        Numbers.
    evaluations:
        At most so many.
    tolerance:
        Gain relative to the deviance at which the search ends.
    farthest:
        Largest change of a number in a step: what the data hardly tell would else run away.
    grain:
        Numbers that are tried are multiples of it, far below their errors: what processors and threads round
        differently would else grow from step to step, and one search end in one valley here, in another there. 0: none.
    damping:
        At first, relative to the largest normal equations met.

    References
    ----------
    Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05 (the damping).
    """
    here = evaluated(in_grains(start, grain))
    growth = 2.0
    scale = np.zeros(len(start))
    for _ in range(evaluations - 1):
        normal, slope = here.normal, here.slope
        scale = np.maximum(scale, np.diag(normal)) + 1e-12
        root = np.sqrt(scale)
        unit = normal / np.outer(root, root) + damping * np.eye(len(start))
        wanted = -np.linalg.solve(unit, slope / root) / root
        step = np.clip(wanted, -farthest, farthest)
        whole = bool((step == wanted).all())  # a cut step may promise nothing, far from any minimum
        promised = float(-step @ (2 * slope + normal @ step))
        trial = evaluated(in_grains(here.numbers + step, grain))
        gain = here.deviance - trial.deviance
        small = whole and max(gain, promised) < tolerance * here.deviance
        if gain > 0:
            here, growth = trial, 2.0
            damping = max(damping * max(1 / 5, 1 - (2 * gain / max(promised, gain / 2) - 1) ** 3), _LEAST_DAMPING)
        else:
            damping, growth = damping * growth, growth * 2
        if small or damping > _HOPELESS:
            break
    return here


def in_grains(numbers: _Numbers, grain: float) -> _Numbers:
    """Round to multiples of a grain; 0 for none."""
    return np.round(numbers / grain) * grain if grain else numbers
