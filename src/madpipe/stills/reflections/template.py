r"""A spot's profile on its pixels, :math:`P_p = \int_p N e^{-\epsilon_t^2 / R_1^2}`, with its derivatives."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_PerSpot = Float[np.ndarray, "spot"]
_Pixels = Float[np.ndarray, "spot row column"]
_AT = (-np.sqrt(0.15), 0.0, np.sqrt(0.15))  # Gauss-Legendre on a pixel of size 1
_WEIGHT = (5 / 18, 8 / 18, 5 / 18)
_AT_ONCE = 64  # spots, whose arrays stay in a processor's cache


@dataclass(frozen=True)
class Template:
    """Profile and derivatives; the sum over an unbounded detector is 1."""

    value: _Pixels
    by_column: _Pixels  # by the spot's column [1/pixel]
    by_row: _Pixels
    by_log_width: _Pixels  # by ln R1


def template(
    offset_x: Float[np.ndarray, "spot column"],
    offset_y: Float[np.ndarray, "spot row"],
    metric: Float[np.ndarray, "spot 2 2"],
    width: _PerSpot,
    precise: bool = True,
) -> Template:
    """Profile of each spot on the pixels of its box.

    Parameters
    ----------
    offset_x, offset_y:
        Middles of the pixels less the spot's place [pixel].
    metric:
        From :func:`madpipe.stills.reflections.model.pixel_metric`.
    width:
        R1 [1/angstrom].
    precise:
        Compute in float64; else in float32, twice as fast and right to 1e-6 of the peak.

    Notes
    -----
    3 x 3 points of Gauss and Legendre's rule: where R1 is 1 pixel or more the error is below 3e-4 of the peak.
    """
    kind = np.float64 if precise else np.float32
    shape = (len(width), offset_y.shape[1], offset_x.shape[1])
    parts = [np.empty(shape) for _ in range(4)]
    for start in range(0, len(width), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        form = (metric[some] / (width[some] ** 2)[:, None, None]).astype(kind)
        found = _some(offset_x[some].astype(kind), offset_y[some].astype(kind), form)
        for whole, part in zip(parts, found, strict=True):
            whole[some] = part
    return Template(*parts)


def _some(
    offset_x: Float[np.ndarray, "spot column"],
    offset_y: Float[np.ndarray, "spot row"],
    form: Float[np.ndarray, "spot 2 2"],
) -> tuple[_Pixels, _Pixels, _Pixels, _Pixels]:
    """Profiles of a few spots: moments of the Gaussian over each pixel.

    Spots run along the last axis inside: the others have eleven elements, over which a processor's loop hardly starts.
    """
    a, b, c = (np.ascontiguousarray(form[:, i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    columns, rows = np.ascontiguousarray(offset_x.T)[None], np.ascontiguousarray(offset_y.T)[:, None]
    shape = (rows.shape[0], columns.shape[1], len(a))
    value, first_x, first_y, second = (np.zeros(shape, dtype=form.dtype) for _ in range(4))
    square, row = np.empty(shape, dtype=form.dtype), np.empty(shape, dtype=form.dtype)
    density = np.empty(shape, dtype=form.dtype)
    for at_y, weight_y in zip(_AT, _WEIGHT, strict=True):
        y = rows + at_y
        c_y2, b_y = c * y * y, 2 * b * y
        row[:] = 0
        for at_x, weight_x in zip(_AT, _WEIGHT, strict=True):
            x = columns + at_x
            np.add(a * x, b_y, out=square)
            square *= x
            square += c_y2
            np.exp(np.negative(square, out=density), out=density)
            density *= weight_x * weight_y
            row += density
            square *= density
            second += square
            density *= x
            first_x += density
        value += row
        row *= y
        first_y += row
    norm = np.sqrt(a * c - b * b) / np.pi
    second -= value
    found = (norm * value, 2 * norm * (a * first_x + b * first_y), 2 * norm * (b * first_x + c * first_y))
    return *(np.moveaxis(one, 2, 0) for one in found), np.moveaxis(2 * norm * second, 2, 0)
