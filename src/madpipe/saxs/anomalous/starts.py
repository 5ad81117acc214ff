"""Where searches of an energy series begin: particles drawn, compared with the curves once phi and backgrounds fit."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import qmc
from torch import Tensor

from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.physics.scattering.shapes.size_averages import SizeAverages, size_averages, spread_of
from madpipe.saxs.anomalous.problem import AnomalousProblem
from madpipe.saxs.anomalous.unknowns import Unknown
from madpipe.saxs.fit.problem import Measured
from madpipe.saxs.forward import cross_section

_AXIS = 64  # points of the library's own axis of q
_ROWS = 80  # of each curve that are compared
_ACCURACY = 1e-3  # of averages over sizes: a start needs no more
_SMALLEST, _LARGEST = 0.6, 4.0  # lengths worth trying, over 1 / largest q and 1 / smallest q
_CHUNK = 250  # particles at a time: bounds the memory
_DOUBT = 0.02  # relative error of the curves that a start need not explain

Start = Mapping[str, float]


def library(problem: AnomalousProblem, count: int, seed: int) -> list[Start]:
    """Draw particles and sort them by how well they explain the curves, the best first.

    Parameters
    ----------
    problem:
        Curves, and what is held.
    count:
        Particles to draw.
    seed:
        Of the draw: Sobol's points, shuffled.
    """
    drawn = [one for one in problem.unknowns.moved if one.kind in ("shape", "share")]
    if not drawn:
        return [{}]
    size = 2 ** int(np.ceil(np.log2(count)))
    points = qmc.Sobol(len(drawn), seed=seed).random(size)[:count]
    least, most = _lengths_seen(problem.curves)
    values = {one.name: _spread(one, points[:, place], least, most) for place, one in enumerate(drawn)}
    parts = [
        _deviances(problem, {name: column[first : first + _CHUNK] for name, column in values.items()})
        for first in range(0, count, _CHUNK)
    ]
    order = np.argsort(np.concatenate(parts), kind="stable")
    return [{name: float(column[place]) for name, column in values.items()} for place in order]


def exchanged(problem: AnomalousProblem, best: Start) -> list[Start]:
    """Other valleys that a search may have missed: radius and thickness exchanged, contrasts turned over.

    Parameters
    ----------
    problem:
        What is fitted.
    best:
        Values at which a search ended.
    """
    free = {one.name for one in problem.unknowns.moved}
    found: list[Start] = []
    if {"core_radius", "thickness"} <= free:
        found.append({**best, "core_radius": best["thickness"], "thickness": best["core_radius"]})
    for one in problem.sample.shares:
        if one.name in free:
            mirrored = 2 * one.nominal - best[one.name]  # turns the sign of what sets the region apart
            found.append({**best, one.name: min(max(mirrored, 0.02), 0.98)})
    return found


def _spread(one: Unknown, share: Float[np.ndarray, "drawn"], least: float, most: float) -> Float[np.ndarray, "drawn"]:
    """Values of one unknown for numbers between 0 and 1: lengths within what the q range sees, where it sees any."""
    low, high = one.parameter.low, one.parameter.high
    if one.kind == "share":
        return _of_share(one, share)
    if one.parameter.unit == "angstrom" and least < high and most > low:
        low, high = max(low, least), min(high, most)
    drawn: np.ndarray = low * (high / low) ** share if one.parameter.scale == "ln" else low + (high - low) * share
    return drawn


def _of_share(one: Unknown, share: Float[np.ndarray, "drawn"]) -> Float[np.ndarray, "drawn"]:
    """Shares of atoms: within two standard deviations of what is known, else anything."""
    low, high = 0.02, 0.98
    if one.prior is not None:
        low, high = max(low, one.prior[0] - 2 * one.prior[1]), min(high, one.prior[0] + 2 * one.prior[1])
    drawn: np.ndarray = low + max(high - low, 0.0) * share
    return drawn


def _lengths_seen(curves: Sequence[Measured]) -> tuple[float, float]:
    """Smallest and largest length that the q range tells of [angstrom]."""
    most = max(float(one.q.max()) for one in curves)
    least = min(float(one.q.min()) for one in curves)
    return _SMALLEST / most, _LARGEST / least


def _deviances(problem: AnomalousProblem, values: Mapping[str, np.ndarray]) -> Float[np.ndarray, "drawn"]:
    """Chi-square of each particle at some of the curves' points, with phi and backgrounds at their best."""
    count = len(next(iter(values.values())))
    rows = [
        problem.unknowns.numbers({name: column[place] for name, column in values.items()}) for place in range(count)
    ]
    numbers = torch.from_numpy(np.array(rows))
    axis = _axis(problem.curves)
    averages = _averages(problem, numbers, axis)
    contrasts = torch.stack([problem.contrasts(one, 0.0) for one in numbers])  # (drawn, energy, region)
    scale, across, left = (torch.zeros(count, dtype=torch.float64) for _ in range(3))
    for place, one in enumerate(problem.curves):
        own = contrasts[:, None, place].expand(-1, len(axis), -1)
        unit = cross_section(averages.gram, averages.mean, averages.outer_volume[:, None].expand(-1, len(axis)), own)
        columns, data, beside = (torch.from_numpy(part) for part in _compared(one, axis.numpy()))
        shown = unit @ columns.T
        shown, data = shown - (shown @ beside) @ beside.T, data - beside @ (beside.T @ data)
        scale += shown.square().sum(1)
        across += shown @ data
        left += data @ data
    factor = (across / scale.clamp_min(1e-300)).clamp_min(0)
    return (left - 2 * factor * across + factor.square() * scale).numpy()


def _averages(
    problem: AnomalousProblem, numbers: Float[Tensor, "drawn number"], axis: Float[Tensor, "q"]
) -> SizeAverages:
    """Averages over sizes of every particle."""
    shape, values = problem.term.shape, problem.unknowns.of_kind("shape", numbers.T).T
    if not isinstance(shape, FormFactor):
        raise TypeError("a shape with regions is required; an empirical law came; choose another model")
    lengths = values[:, : len(shape.lengths)]
    if problem.term.spread is None:
        return SizeAverages(*shape.gram_and_mean(axis, lengths), shape.volumes(lengths))
    chosen = spread_of(shape, None if problem.term.spread == "all" else problem.term.spread)
    return size_averages(shape, axis, lengths, problem.distribution, values[:, -1], chosen, _ACCURACY)


def _axis(curves: Sequence[Measured]) -> Float[Tensor, "q"]:
    """The library's axis of q, even in ln q, over all that smearing mixes."""
    least = min(float(one.fine[one.fine > 0].min()) for one in curves)
    most = max(float(one.fine.max()) for one in curves)
    return torch.logspace(np.log10(least), np.log10(most), _AXIS, dtype=torch.float64)


def _compared(one: Measured, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What brings the axis to some weighted rows of a curve, their data, unit columns of the background."""
    rows = np.unique(np.linspace(0, len(one.q) - 1, min(_ROWS, len(one.q))).round().astype(int))
    fine = np.clip(one.fine.numpy(), axis[0], axis[-1])
    at = np.log(fine / axis[0]) / np.log(axis[1] / axis[0])
    left = np.clip(np.floor(at).astype(int), 0, len(axis) - 2)
    onto = np.zeros((len(fine), len(axis)))
    onto[np.arange(len(fine)), left] = 1 - (at - left)
    onto[np.arange(len(fine)), left + 1] = at - left
    onto = onto[rows] if one.smearing is None else one.smearing[rows] @ onto
    sigma = np.hypot(one.sigma[rows], _DOUBT * np.abs(one.intensity[rows]))
    beside = (
        np.linalg.qr(one.background[rows] / sigma[:, None])[0] if one.background.shape[1] else np.zeros((len(rows), 0))
    )
    return onto / sigma[:, None], one.intensity[rows] / sigma, beside
