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
    matrix, found = np.empty((len(measured), len(angles))), np.empty((3, len(measured)))
    _convolve(measured, angles, np.gradient(angles), curve, half_width, lorentzian, matrix, found)
    return Convolved(matrix, *found)


@compiled
def _convolve(measured, angles, weights, curve, half_width, share, matrix, found):  # type: ignore[no-untyped-def]
    """Fill the matrix and three rows: the curve, its derivatives by ln of the width and by the share."""
    area, rate = math.sqrt(math.log(2.0) / math.pi), math.log(2.0)
    reach = half_width * math.sqrt(_FAINT)
    for i in range(measured.size):
        row = matrix[i]
        # sums of g, l and of their derivatives by ln width, without and with the curve
        g0 = g1 = dg0 = dg1 = l0 = l1 = dl0 = dl1 = 0.0
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
        for j in range(np.searchsorted(angles, measured[i] - reach), np.searchsorted(angles, measured[i] + reach)):
            x = (measured[i] - angles[j]) / half_width
            value = area * math.exp(-rate * x * x) * weights[j]
            slope = value * 2.0 * rate * x * x
            row[j] += (1.0 - share) * value
            g0 += value
            g1 += value * curve[j]
            dg0 += slope
            dg1 += slope * curve[j]
        total = (1.0 - share) * g0 + share * l0
        mean = ((1.0 - share) * g1 + share * l1) / total
        found[0, i] = mean
        found[1, i] = ((1.0 - share) * (dg1 - mean * dg0) + share * (dl1 - mean * dl0)) / total
        found[2, i] = ((l1 - g1) - mean * (l0 - g0)) / total
        for j in range(angles.size):
            row[j] /= total
