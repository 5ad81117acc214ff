r"""What the pixels of a box say of a spot: its photons, its centre, its width, with errors.

Variances are the expected ones, v = Bg + A P with the model's A. Counts as variances favour pixels that came out low:
with them B of weak data is wrong by tens.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.stills.reflections.boxes import Boxes
from madpipe.stills.reflections.template import Template

_Spots = Float[np.ndarray, "spot"]
LEAST_VARIANCE = 1e-3  # of a pixel, where neither background nor spot is expected [photon^2]


@dataclass(frozen=True)
class Intensity:
    """Photons of each spot by its profile."""

    value: _Spots  # J [photon]
    sigma: _Spots


@dataclass(frozen=True)
class Width:
    """Second moment of each spot in reciprocal space."""

    value: _Spots  # sum (I - Bg) eps_t^2 / sum (I - Bg) [1/angstrom^2]
    sigma: _Spots
    expected: _Spots  # the template's own, in the same pixels
    slope: _Spots  # of the expected by ln R1
    share: _Spots  # sum (I - Bg) over what the model expects of it


@dataclass(frozen=True)
class Centre:
    """Centroid of each spot, relative to its predicted place."""

    shift: Float[np.ndarray, "spot 2"]  # less that of the template in the same pixels [pixel]
    covariance: Float[np.ndarray, "spot 2 2"]  # [pixel^2]
    photons: _Spots  # sum (I - Bg), of which the centroid is
    share: _Spots  # this over what the model expects of it


def expected_variance(boxes: Boxes, profile: Template, amount: _Spots) -> Float[np.ndarray, "spot row column"]:
    """Poisson variance of each pixel, Bg + A P with A not below 0 [photon^2]."""
    level = boxes.background[:, None, None] + np.maximum(amount, 0.0)[:, None, None] * profile.value
    variance: np.ndarray = np.maximum(level, LEAST_VARIANCE)
    return variance


def fitted_intensity(boxes: Boxes, profile: Template, amount: _Spots) -> Intensity:
    r"""Profile-fitted photons, :math:`J = \sum P (I - Bg) / v \,/ \sum P^2 / v`, of variance :math:`1 / \sum P^2 / v`.

    Parameters
    ----------
    boxes, profile:
        Pixels and P.
    amount:
        A of the model, for the variance.

    References
    ----------
    Diamond, Acta Cryst. A25, 43 (1969); Kabsch, J. Appl. Cryst. 21, 916 (1988).
    """
    weight = boxes.good / expected_variance(boxes, profile, amount)
    information = _sum(weight * profile.value**2)
    score = _sum(weight * profile.value * (boxes.counts - boxes.background[:, None, None]))
    safe = np.maximum(information, 1e-300)
    return Intensity(np.where(information > 0, score / safe, 0.0), 1 / np.sqrt(safe))


def width(
    boxes: Boxes, profile: Template, amount: _Spots, xy: Float[np.ndarray, "spot 2"], metric: np.ndarray
) -> Width:
    r"""Second moment with its error by the delta method.

    .. math::
        M_2 = \frac{\sum (I - Bg)\,\epsilon_t^2}{\sum (I - Bg)},\qquad
        \sigma = \frac{\sqrt{\sum v (\epsilon_t^2 - M_2)^2}}{\sum (I - Bg)}

    In two dimensions M_2 of the profile is R1^2, wider by the pixels' own moment, less what the box cuts off: the
    template's own moment in the same pixels counts. The model's M_2 and sum stand in the error, not the measured ones.
    A residual times ``share``, the measured sum over the model's, is linear in the counts and without the bias of a
    ratio.

    Parameters
    ----------
    boxes, profile:
        Pixels and P.
    amount:
        A of the model.
    xy, metric:
        Places and metric that the profile was made with.
    """
    square = squared_offset(boxes, xy, metric)
    net = boxes.good * (boxes.counts - boxes.background[:, None, None])
    own = boxes.good * profile.value
    expected = _sum(own * square) / np.maximum(_sum(own), 1e-12)
    by_width = boxes.good * profile.by_log_width
    slope = (_sum(by_width * square) - expected * _sum(by_width)) / np.maximum(_sum(own), 1e-12)
    photons = _sum(net)
    measured = _sum(net * square) / np.where(np.abs(photons) > 1e-12, photons, 1e-12)
    variance = boxes.good * expected_variance(boxes, profile, amount)
    spread = np.sqrt(_sum(variance * (square - expected[:, None, None]) ** 2))
    stated = np.maximum(np.maximum(amount, 0) * _sum(own), 1e-12)
    return Width(measured, spread / stated, expected, slope, photons / stated)


def centre(boxes: Boxes, profile: Template, amount: _Spots, xy: Float[np.ndarray, "spot 2"]) -> Centre:
    r"""Centroid less the template's, with its covariance by the delta method, :math:`\sum v\, x x^T / (\sum I - Bg)^2`.

    Without background the error along an axis is R1 / sqrt(2 N); the model's photons stand in it.
    """
    columns, rows = boxes.offsets(xy)
    at = np.stack(np.broadcast_arrays(columns[:, None, :], rows[:, :, None]), axis=-1)
    net = boxes.good * (boxes.counts - boxes.background[:, None, None])
    own = boxes.good * profile.value
    photons = _sum(net)
    middle = np.einsum("sij,sijk->sk", own, at) / np.maximum(_sum(own), 1e-12)[:, None]
    found = np.einsum("sij,sijk->sk", net, at) / np.where(np.abs(photons) > 1e-12, photons, 1e-12)[:, None]
    apart = at - middle[:, None, None, :]
    variance = boxes.good * expected_variance(boxes, profile, amount)
    second = np.einsum("sij,sijk,sijl->skl", variance, apart, apart)
    stated = np.maximum(np.maximum(amount, 0) * _sum(own), 1e-12)
    return Centre(found - middle, second / stated[:, None, None] ** 2, photons, photons / stated)


def squared_offset(
    boxes: Boxes, xy: Float[np.ndarray, "spot 2"], metric: Float[np.ndarray, "spot 2 2"]
) -> Float[np.ndarray, "spot row column"]:
    """eps_t^2 at the middle of each pixel [1/angstrom^2]."""
    columns, rows = boxes.offsets(xy)
    x, y = columns[:, None, :], rows[:, :, None]
    a, b, c = (metric[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    square: np.ndarray = a * x * x + 2 * b * x * y + c * y * y
    return square


def _sum(values: Float[np.ndarray, "spot row column"]) -> _Spots:
    """Sum over each box."""
    total: np.ndarray = values.sum(axis=(1, 2))
    return total
