"""Where searches begin: a library of curves of the model, compared with the data once linear parts are eliminated."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import qmc
from torch import Tensor

from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.fit.problem import Measured, Problem
from madpipe.saxs.model import Term
from madpipe.saxs.parameters import Parameter

_AXIS = 100  # points of the library's own axis of q
_MARGIN = 3.0  # how far it reaches beyond the data's q, for smearing
_NODES = 9  # of the average over sizes, all in proportion: a start needs no more
_WIDEST = 1.6  # standard deviations that these cover
_SMALLEST, _LARGEST = 0.6, 4.0  # lengths worth trying, over 1 / largest q and 1 / smallest q
_ROWS = 80  # points of the data that are compared


def library(problem: Problem, count: int, seed: int) -> list[Mapping[str, float]]:
    """Draw values of the model's parameters and sort them by how well their curves fit.

    Parameters
    ----------
    problem:
        Curves, model, and what is held.
    count:
        Curves to draw.
    seed:
        Of the draw: Sobol's points, shuffled.

    Returns
    -------
    :
        Values of every parameter, the best first; those that are alike are left out.
    """
    values = _drawn(problem, count, seed)
    axis = _axis(problem.curves)
    shapes = _shapes(problem, values, axis)
    scales = _scales(problem, axis)
    deviance = np.stack([_summed(problem, shapes, axis, scale) for scale in scales])
    for row, scale in enumerate(scales):
        deviance[row, ~_within(problem, values, scale)] = np.inf
    order = np.argsort(deviance, axis=None, kind="stable")[:count]
    lengths = {one.name for one in problem.free if one.unit == "angstrom"}
    return [
        {name: float(column[place]) * (scales[row] if name in lengths else 1.0) for name, column in values.items()}
        for row, place in zip(*np.unravel_index(order, deviance.shape), strict=True)
    ]


def _shapes(problem: Problem, values: dict[str, Tensor], axis: Tensor) -> list[Float[Tensor, "drawn term q"]]:
    """Each curve's drawn shapes; the same for all where no curve has parameters of its own."""
    count = len(problem.curves) if problem.own else 1
    seen = [problem.of_curve(values, number) for number in range(count)]
    found = [torch.stack([_curves(problem, term, one, axis) for term in problem.model.terms], dim=1) for one in seen]
    return found if problem.own else found * len(problem.curves)


def _summed(
    problem: Problem, shapes: Sequence[Float[Tensor, "drawn term q"]], axis: Tensor, scale: float
) -> Float[np.ndarray, "drawn"]:
    """Chi-square of all curves together."""
    each = [_deviances(one, shape, axis, scale) for one, shape in zip(problem.curves, shapes, strict=True)]
    summed: np.ndarray = np.sum(each, axis=0)
    return summed


def _scales(problem: Problem, axis: Float[Tensor, "q"]) -> list[float]:
    """Factors of all lengths whose curves follow by a shift along ln q; one where a length is held."""
    if any(one.unit == "angstrom" and one.name in problem.held for one in problem.model.parameters()):
        return [1.0]
    step = float(torch.log(axis[1] / axis[0]))
    most = int(np.log(_MARGIN) / step)
    return [float(np.exp(step * number)) for number in range(-most, most + 1)]


def _within(problem: Problem, values: Mapping[str, Tensor], scale: float) -> np.ndarray:
    """Whether all lengths stay within their ranges when they are scaled."""
    inside = torch.ones(len(next(iter(values.values()))), dtype=torch.bool)
    for one in problem.free:
        if one.unit == "angstrom":
            inside &= (values[one.name] * scale >= one.low) & (values[one.name] * scale <= one.high)
    return inside.numpy()


def _drawn(problem: Problem, count: int, seed: int) -> dict[str, Tensor]:
    """Values of every parameter: free ones by Sobol's points, held ones as they are."""
    free = problem.free
    known = {name: torch.full((count,), value, dtype=torch.float64) for name, value in problem.held.items()}
    if not free:
        return known
    size = 2 ** int(np.ceil(np.log2(count)))
    points = qmc.Sobol(len(free), seed=seed).random(size)[:count]
    least, most = _lengths_seen(problem.curves)
    return known | {
        one.name: torch.from_numpy(_spread(one, points[:, number], least, most)) for number, one in enumerate(free)
    }


def _spread(one: Parameter, share: Float[np.ndarray, "drawn"], least: float, most: float) -> Float[np.ndarray, "drawn"]:
    """Values of one parameter for numbers between 0 and 1: lengths within what the q range sees, where it sees any."""
    low, high = one.low, one.high
    if one.scale == "asinh":
        return np.sinh(3.0 * (2 * share - 1))
    if one.unit == "angstrom" and least < high and most > low:
        low, high = max(low, least), min(high, most)
    if one.scale == "ln" or (low > 0 and high > 30 * low):
        return low * (high / low) ** share
    return low + (high - low) * share


def _lengths_seen(curves: Sequence[Measured]) -> tuple[float, float]:
    """Smallest and largest length that the q range tells of [angstrom]."""
    most = max(float(one.q.max()) for one in curves)
    least = min(float(one.q[one.q > 0].min()) for one in curves)
    return _SMALLEST / most, _LARGEST / least


def _axis(curves: Sequence[Measured]) -> Float[Tensor, "q"]:
    """The library's axis of q, even in ln q, with room for smearing and for sizes beside the mean."""
    least = min(float(one.fine[one.fine > 0].min()) for one in curves) / _MARGIN
    most = max(float(one.fine.max()) for one in curves) * _MARGIN
    return torch.logspace(np.log10(least), np.log10(most), _AXIS, dtype=torch.float64)


def _curves(problem: Problem, term: Term, values: dict[str, Tensor], axis: Tensor) -> Float[Tensor, "drawn q"]:
    """Intensity of each drawn particle, averaged over sizes in proportion."""
    shape, count = term.shape, len(next(iter(values.values())))
    if not isinstance(shape, FormFactor):
        numbers = torch.stack([values[term.prefix + one.name] for one in shape.parameters], dim=1)
        return shape.intensity(axis, numbers)
    lengths = torch.stack([values[term.prefix + one.name] for one in shape.lengths], dim=1)
    contrasts = _contrasts(term, values, problem.contrasts, count)
    gram = shape.gram(axis, lengths)
    square = (
        torch.einsum("nk,nqkl,nl->nq", contrasts, gram, contrasts).clamp_min(0) / shape.outer_volume(lengths)[:, None]
    )
    if term.spread is None:
        return square
    return _averaged(square, values[f"{term.prefix}pd"], axis)


def _contrasts(
    term: Term, values: dict[str, Tensor], known: Mapping[str, float], count: int
) -> Float[Tensor, "drawn region"]:
    """Contrasts of the regions."""
    one = torch.ones(count, dtype=torch.float64)
    if all(term.prefix + region in known for region in term.regions):
        return torch.stack([one * known[term.prefix + region] for region in term.regions], dim=1)
    inner = [values[f"{term.prefix}{region}_contrast_ratio"] for region in term.regions[:-1]]
    return torch.stack([*inner, one], dim=1)


def _averaged(
    square: Float[Tensor, "drawn q"], width: Float[Tensor, "drawn"], axis: Tensor
) -> Float[Tensor, "drawn q"]:
    r"""Average over particles larger and smaller in proportion, :math:`I(q; s) = s^3 I(sq; 1)` per volume."""
    place = torch.linspace(-_WIDEST, _WIDEST, _NODES, dtype=torch.float64)
    share = torch.softmax(-0.5 * place**2, 0)
    step = torch.log(axis[1] / axis[0])
    summed = torch.zeros_like(square)
    for one, weight in zip(place, share, strict=True):
        factor = torch.exp(one * width)
        shift = torch.log(factor) / step
        at = torch.arange(len(axis), dtype=torch.float64) + shift[:, None]
        left = at.floor().clamp(0, len(axis) - 2).long()
        part = (at - left).clamp(0, 1)
        moved = square.gather(1, left) * (1 - part) + square.gather(1, left + 1) * part
        summed += weight * factor[:, None] ** 6 * moved
    return summed


def _deviances(
    one: Measured, shapes: Float[Tensor, "drawn term q"], axis: Tensor, scale: float
) -> Float[np.ndarray, "drawn"]:
    """Chi-square of each drawn curve, its lengths scaled, at some of the data's points."""
    rows = np.unique(np.linspace(0, len(one.q) - 1, min(_ROWS, len(one.q))).round().astype(int))
    at = (torch.log((scale * one.fine).clamp_min(float(axis[0])) / axis[0]) / torch.log(axis[1] / axis[0])).numpy()
    left = np.clip(np.floor(at).astype(int), 0, len(axis) - 2)
    part = at - left
    onto = np.zeros((len(one.fine), len(axis)))
    onto[np.arange(len(left)), left] = 1 - part
    onto[np.arange(len(left)), left + 1] = part
    onto = onto[rows] if one.smearing is None else one.smearing[rows] @ onto
    columns = torch.einsum("ra,nta->nrt", torch.from_numpy(onto / one.sigma[rows, None]), shapes)
    more = torch.from_numpy(one.background[rows] / one.sigma[rows, None]).expand(len(columns), -1, -1)
    return _least(torch.cat([columns, more], dim=2), torch.from_numpy(one.intensity[rows] / one.sigma[rows])).numpy()


def _least(columns: Float[Tensor, "drawn row column"], data: Float[Tensor, "row"]) -> Float[Tensor, "drawn"]:
    """Least chi-square of each set of columns; factors below zero cost what is left without their curves."""
    size = columns.norm(dim=1, keepdim=True).clamp_min(1e-300)
    unit = columns / size
    normal = unit.transpose(1, 2) @ unit + 1e-9 * torch.eye(unit.shape[2], dtype=unit.dtype)
    factors = torch.linalg.solve(normal, (unit.transpose(1, 2) @ data)[..., None])[..., 0]
    terms = columns.shape[2] - 1
    factors[:, :terms] = factors[:, :terms].clamp_min(0)
    left: Tensor = ((unit @ factors[..., None])[..., 0] - data).square().sum(1)
    return left
