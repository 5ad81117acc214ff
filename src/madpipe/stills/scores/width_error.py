"""What a wrong width R1 does to profile-fitted photons: Poisson counts of spots that are drawn apart from the model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import erf

from madpipe.base.plain import told
from madpipe.base.runtime import generator_for
from madpipe.physics.noise import poisson
from madpipe.stills.reflections.boxes import Boxes
from madpipe.stills.reflections.moments import fitted_intensity
from madpipe.stills.reflections.template import template

SIGNALS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)  # peak over background
_WIDTH, _HALF, _PHOTONS = 2.5, 9, 4000.0  # R1 and half box [pixel], A
_SPOTS = 400
_STEP = 0.05  # of ln R1
_WIDER = _WIDTH**2 / (_WIDTH**2 + 1 / 6)  # of the squares of R1 without and with the pixels' own 1 / 12 an axis


@dataclass(frozen=True, kw_only=True)
class WidthError:
    """d ln J / d ln R1 at one strength."""

    signal: float = told("peak of the spot over background")
    theory: float = told("of a Gaussian, wider by the pixels, by a quadrature")
    found: float = told("of counts that were fitted with two widths")
    error: float = told("of the mean over the spots")


def theory(signal: float) -> float:
    r"""Change of fitted photons with the width of the profile.

    .. math::
        \frac{d \ln J}{d \ln R_1} = -\frac{\int P\, \partial P / v}{\int P^2 / v},\qquad
        P \propto e^{-x},\ \partial P = (2 x - 2) P,\ v \propto 1 + s\, e^{-x},\ x = r^2 / R_1^2

    Parameters
    ----------
    signal:
        s, peak over background.
    """
    x = (np.arange(20000) + 0.5) / 500  # to exp(-40)
    weight = np.exp(-2 * x) / (1 + signal * np.exp(-x))
    return float(np.sum((2 - 2 * x) * weight) / np.sum(weight))


def width_errors(seed: int, signals: Sequence[float] = SIGNALS) -> list[WidthError]:
    """Fit spots with widths that are too large and too small by 5 %.

    Parameters
    ----------
    seed:
        Of places and noise.
    signals:
        Peak over background of each set of spots.
    """
    return [_one(signal, generator_for(seed, "stills", "width", str(signal))) for signal in signals]


def _one(signal: float, generator: torch.Generator) -> WidthError:
    """Spots of one strength."""
    at = torch.rand((_SPOTS, 2), generator=generator, dtype=torch.float64).numpy() + _HALF
    share = _drawn(at[:, 0])[:, None, :] * _drawn(at[:, 1])[:, :, None]
    background = _PHOTONS * _WIDER / (math.pi * _WIDTH**2) / signal
    counts = poisson(torch.from_numpy(background + _PHOTONS * share), generator).numpy().astype(float)
    boxes = Boxes(
        np.zeros((_SPOTS, 2), dtype=int),
        counts,
        np.ones(counts.shape, dtype=bool),
        np.full(_SPOTS, background),
        np.zeros(_SPOTS, dtype=np.uint8),
    )
    metric, amount = np.tile(np.eye(2), (_SPOTS, 1, 1)), np.full(_SPOTS, _PHOTONS)
    wide, narrow = (
        fitted_intensity(boxes, template(*boxes.offsets(at), metric, np.full(_SPOTS, width)), amount).value
        for width in (_WIDTH * math.exp(_STEP), _WIDTH * math.exp(-_STEP))
    )
    slope = (wide - narrow) / (2 * _STEP) / _PHOTONS
    return WidthError(
        signal=signal,
        theory=_WIDER * theory(signal),
        found=float(slope.mean()),
        error=float(slope.std(ddof=1)) / math.sqrt(_SPOTS),
    )


def _drawn(middle: Float[np.ndarray, "spot"]) -> Float[np.ndarray, "spot pixel"]:
    """Share of a Gaussian of exp(-x^2 / R1^2) in each pixel of a row."""
    edges = np.arange(2 * _HALF + 2) - middle[:, None]
    below = (1 + erf(edges / _WIDTH)) / 2
    share: np.ndarray = np.diff(below, axis=1)
    return share
