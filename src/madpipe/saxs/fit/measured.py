"""Curves as a fit sees them: a range of q, the resolution's matrix, columns of the background."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.scattering.smearing import Resolution, Smearing, largest_seen, smearing
from madpipe.saxs.fit.problem import Measured
from madpipe.saxs.fit.settings import SaxsFitConfig

_FEWEST = 10  # points
_MANY = 120  # points above which a rough search takes neighbours together
_FINE = 0.6  # step in q of such a bin times the particle's largest dimension: an oscillation has ten of them
_NARROW = 0.04  # width of a bin over its q


class Prepared:
    """Curves of a record, ready to be fitted; matrices of their resolution are made once for each size of particle.

    Parameters
    ----------
    curves:
        The record.
    config:
        Range of q, background, whether to smear.

    Raises
    ------
    InputError
        Fewer than ten points in the range of q; a sigma that is no error.
    """

    def __init__(self, curves: Curves, config: SaxsFitConfig) -> None:
        self.curves, self.config = curves, config
        self.rows = [_rows(curves, number, config) for number in range(len(curves.intensity))]
        self.is_smeared = config.smear and any(
            one is not None and bool((one > 0).any()) for one in (curves.dq, curves.slit_length, curves.slit_width)
        )
        self._made: dict[tuple[bytes, int], Smearing] = {}

    @property
    def largest(self) -> float:
        """Largest dimension that any curve tells of [angstrom]."""
        return max(largest_seen(torch.from_numpy(self.curves.q[rows])) for rows in self.rows)

    def measured(self, number: int, largest: float, bins_of: float | None = None) -> Measured:
        """One curve, its fine axis such that oscillations of a particle of a size are resolved.

        Parameters
        ----------
        number:
            Of the curve.
        largest:
            Largest dimension of the particle, rounded up to a factor of root 2 [angstrom].
        bins_of:
            Take neighbouring points together, so that oscillations of a particle of this size are still seen
            [angstrom]; none: each point stays.
        """
        rows = self.rows[number]
        step = math.ceil(2 * math.log2(max(largest, 1.0)))
        key = (rows.tobytes(), step)
        if self.is_smeared and key not in self._made:
            self._made[key] = _smearing(self.curves, rows, 2 ** (step / 2))
        whole = _one(self.curves, number, rows, self._made.get(key), self.config)
        return whole if bins_of is None else _binned(whole, bins_of)


def _rows(curves: Curves, number: int, config: SaxsFitConfig) -> np.ndarray:
    """Points of one curve that are used."""
    sigma = curves.sigma[number]
    if (sigma <= 0).any() or np.isnan(sigma).any():
        raise InputError(
            f"{curves.title}: needs errors above 0 for every point; {int((~(sigma > 0)).sum())} are not; leave those "
            "points out or give their errors."
        )
    q = curves.q
    used = np.isfinite(sigma) & np.isfinite(curves.intensity[number]) & (q > 0) & (q >= config.q_min)
    used &= q <= (np.inf if config.q_max is None else config.q_max)
    if used.sum() < _FEWEST:
        raise InputError(
            f"{curves.title}: needs at least {_FEWEST} points between q_min and q_max; {int(used.sum())} came of "
            f"{len(q)} from {q.min():.4g} to {q.max():.4g}/angstrom; widen the range."
        )
    rows: np.ndarray = np.flatnonzero(used)
    return rows


def _smearing(curves: Curves, rows: np.ndarray, largest: float) -> Smearing:
    """Matrix of the resolution that the curves tell."""
    dq, length, width = (
        None if one is None else torch.from_numpy(one[rows])
        for one in (curves.dq, curves.slit_length, curves.slit_width)
    )
    return smearing(torch.from_numpy(curves.q[rows]), Resolution(dq, length, width), largest)


def _one(curves: Curves, number: int, rows: np.ndarray, smeared: Smearing | None, config: SaxsFitConfig) -> Measured:
    """One curve with its matrix and its background."""
    q = curves.q[rows]
    fine = torch.from_numpy(q) if smeared is None else smeared.q
    matrix = None if smeared is None else smeared.matrix.numpy()
    columns, positive = _background(q, fine.numpy(), matrix, config)
    data = curves.intensity[number, rows]
    sigma = np.hypot(curves.sigma[number, rows], config.relative_error * data)
    return Measured(q, data, sigma, fine, matrix, columns, np.array(positive, dtype=bool), rows)


def _background(
    q: np.ndarray, fine: np.ndarray, matrix: np.ndarray | None, config: SaxsFitConfig
) -> tuple[Float[np.ndarray, "q column"], Sequence[bool]]:
    """Columns of the background; a constant may be negative, for too much may have been subtracted."""
    if config.background == "none":
        return np.zeros((len(q), 0)), []
    flat = np.ones((len(q), 1))
    if config.background == "flat":
        return flat, [False]
    power = (fine / fine.min()) ** -config.power
    smeared = power if matrix is None else matrix @ power
    return np.column_stack([flat, smeared]), [False, True]


def _binned(one: Measured, size: float) -> Measured:
    """Take neighbouring points together, weighted by their errors; the matrix of the resolution follows exactly."""
    if len(one.q) <= _MANY:
        return one
    order = np.argsort(one.q, kind="stable")
    step = np.minimum(_FINE / max(size, 1.0), _NARROW * one.q[order])
    place = np.concatenate([[0.0], np.cumsum(np.diff(one.q[order]) / step[1:])])
    bins = np.empty(len(order), dtype=int)
    bins[order] = np.unique(np.floor(place).astype(int), return_inverse=True)[1]
    if bins.max() + 1 > 0.7 * len(one.q):
        return one
    weight = np.zeros((bins.max() + 1, len(one.q)))
    weight[bins, np.arange(len(one.q))] = one.sigma**-2
    information = weight.sum(axis=1)
    weight /= information[:, None]
    q = weight @ one.q
    fine = torch.from_numpy(q) if one.smearing is None else one.fine
    matrix = None if one.smearing is None else weight @ one.smearing
    return Measured(
        q, weight @ one.intensity, information**-0.5, fine, matrix, weight @ one.background, one.positive, one.rows
    )
