"""Convolution with a pseudo-Voigt function whose width and share are being found: with its derivatives, compiled.

A search changes the resolution in every step. Its matrix costs more than the diffraction where it is built with numpy
and three times for its derivatives; here one pass gives all.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from madpipe.rocking.dynamical import compiled

_FAINT = 50.0  # x^2 of the Gaussian 2^-x^2, beyond which it is left out: 1e-15

_Points = Float[np.ndarray, "point"]


class Convolved(NamedTuple):
    """A convolution, and what it does to one curve."""

    matrix: Float[np.ndarray, "point angle"]  # rows add up to 1
    curve: _Points
    by_ln_width: _Points  # of the curve
    by_share: _Points
    by_angle: _Points  # of the measured points, all moved [1/radian]


def convolved(
    measured: _Points,
    angles: Float[np.ndarray, "angle"],
    curve: Float[np.ndarray, "angle"],
    half_width: float,
    lorentzian: float,
) -> Convolved:
    r"""Convolve a curve, as :func:`madpipe.rocking.forward.resolution` does, and tell how it changes with the width.

    .. math:: v_i = \frac{\sum_j [(1 - s) g_{ij} + s l_{ij}]\, w_j v_j}{\sum_j [(1 - s) g_{ij} + s l_{ij}]\, w_j}

    g, l the Gaussian and the Lorentzian of unit area and one half width, w the trapezoidal rule's weights.

    Parameters
    ----------
    measured, angles, curve:
        theta of the measured points [radian]; theta of the curve, and the curve.
    half_width:
        At half maximum, above 0 [radian].
    lorentzian:
        Share s of the Lorentzian.
    """
    matrix, found = np.empty((len(measured), len(angles))), np.empty((4, len(measured)))
    _convolve(measured, angles, np.gradient(angles), curve, half_width, lorentzian, matrix, found)
    return Convolved(matrix, *found)


def blurred(
    measured: _Points,
    angles: Float[np.ndarray, "angle"],
    columns: Float[np.ndarray, "angle column"],
    half_width: float,
) -> tuple[Float[np.ndarray, "point column"], _Points]:
    """Convolve columns with a Gaussian, and tell how the last one changes with the measured angles [1/radian].

    Parameters
    ----------
    measured, angles, half_width:
        As in :func:`convolved`.
    columns:
        Curves, each a column.
    """
    found, by_angle = np.empty((len(measured), columns.shape[1])), np.empty(len(measured))
    _blur(measured, angles, np.gradient(angles), np.ascontiguousarray(columns), half_width, found, by_angle)
    return found, by_angle


@compiled
def _blur(measured, angles, weights, columns, half_width, found, by_angle):  # type: ignore[no-untyped-def]
    """Fill the convolved columns, and the last one's derivative by the angle."""
    rate, reach = math.log(2.0), half_width * math.sqrt(_FAINT)
    last = columns.shape[1] - 1
    for i in range(measured.size):
        row = found[i]
        row[:] = 0.0
        total = slope = slope_1 = 0.0
        for j in range(np.searchsorted(angles, measured[i] - reach), np.searchsorted(angles, measured[i] + reach)):
            x = (measured[i] - angles[j]) / half_width
            value = math.exp(-rate * x * x) * weights[j]
            total += value
            slope += -2.0 * rate * x * value
            slope_1 += -2.0 * rate * x * value * columns[j, last]
            for k in range(last + 1):
                row[k] += value * columns[j, k]
        for k in range(last + 1):
            row[k] /= total
        by_angle[i] = (slope_1 - row[last] * slope) / (total * half_width)


@compiled
def _convolve(measured, angles, weights, curve, half_width, share, matrix, found):  # type: ignore[no-untyped-def]
    """Fill the matrix and four rows: the curve, its derivatives by ln of the width, by the share and by the angle."""
    area, rate = math.sqrt(math.log(2.0) / math.pi), math.log(2.0)
    reach = half_width * math.sqrt(_FAINT)
    for i in range(measured.size):
        row = matrix[i]
        # sums of g, l and of their derivatives by ln width and by x, without and with the curve
        g0 = g1 = dg0 = dg1 = xg0 = xg1 = l0 = l1 = dl0 = dl1 = xl0 = xl1 = 0.0
        for j in range(angles.size):
            x = (measured[i] - angles[j]) / half_width
            falls = 1.0 / (1.0 + x * x)
            value = falls * weights[j] / math.pi
            slope = value * 2.0 * (1.0 - falls)
            row[j] = share * value
            l0 += value
            l1 += value * curve[j]
            dl0 += slope
            dl1 += slope * curve[j]
            slope = -2.0 * x * falls * value
            xl0 += slope
            xl1 += slope * curve[j]
        for j in range(np.searchsorted(angles, measured[i] - reach), np.searchsorted(angles, measured[i] + reach)):
            x = (measured[i] - angles[j]) / half_width
            value = area * math.exp(-rate * x * x) * weights[j]
            slope = value * 2.0 * rate * x * x
            row[j] += (1.0 - share) * value
            g0 += value
            g1 += value * curve[j]
            dg0 += slope
            dg1 += slope * curve[j]
            slope = -2.0 * rate * x * value
            xg0 += slope
            xg1 += slope * curve[j]
        total = (1.0 - share) * g0 + share * l0
        mean = ((1.0 - share) * g1 + share * l1) / total
        found[0, i] = mean
        found[1, i] = ((1.0 - share) * (dg1 - mean * dg0) + share * (dl1 - mean * dl0)) / total
        found[2, i] = ((l1 - g1) - mean * (l0 - g0)) / total
        slope = (1.0 - share) * (xg1 - mean * xg0) + share * (xl1 - mean * xl0)
        found[3, i] = slope / (total * half_width)
        for j in range(angles.size):
            row[j] /= total
