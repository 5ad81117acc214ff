"""The q axes of a frame or volume: one rising list of numbers each, counted from the Bragg peak."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.limits import EVEN, REACH
from madpipe.mad.measured.readers.arrays import AXES, PER_POINT, Fields
from madpipe.mad.records import Stack
from madpipe.physics.crystal import HC

_ORTHOGONAL = 0.05  # of a step; rounding of single precision at absolute q stays below
_Array = np.ndarray


def with_plain_axes(values: Fields) -> Fields:
    r"""Bring q axes into the form that a stack has, with the arrays of the points where need be.

    Parameters
    ----------
    values:
        Fields of a frame or volume. q of every point (meshgrid) becomes one axis each, whichever index it runs along;
        falling axes are turned round; absolute q beside ``q_bragg`` is counted from it. A list stays as it is.

    Warns
    -----
    DataWarning
        q taken as absolute, axes that are uneven, axes as long as the Bragg vector.

    Raises
    ------
    InputError
        Axes that are no orthogonal grid, that turn, or that lie neither at 0 nor at q_bragg;
        :math:`|Q| > 4 \pi / \lambda`.
    """
    names = AXES[-(np.ndim(values["data"]) - 1) :]
    if np.ndim(values["data"]) not in (3, 4) or "truth" in values:
        return values
    values = _without_grids(values, names)
    for name, size in zip(names, np.shape(values["data"])[1:], strict=True):
        if np.shape(values.get(name, range(size))) != (size,):
            raise InputError(
                f"axis {name} must have {size} values; it has {np.shape(values[name])}; crop it as the data, or leave "
                "it out."
            )
    for place, name in enumerate(names):
        if name in values:
            values = _rising(values, name, place)
    values = _from_bragg(values, [name for name in names if name in values], names)
    _check_reach(values, names)
    for name in names:
        if name in values and unevenness(values[name]) > EVEN:
            warn(
                f"{name} is uneven, off an even grid by {unevenness(values[name]):.2g} of a step; the fit of points "
                "does not mind, but retrieve needs even axes: regrid the data for it"
            )
    return values


def unevenness(axis: Float[_Array, "q"]) -> float:
    """How far an axis lies off the best even one, at most [step]."""
    axis = np.asarray(axis, dtype=float)
    if len(axis) < 3:
        return 0.0
    number = np.arange(len(axis))
    step, start = np.polyfit(number, axis, 1)
    return float(np.abs(axis - start - step * number).max() / abs(step)) if step else math.inf


def require_even_axes(stack: Stack) -> None:
    """Refuse a stack that cannot be transformed to real space.

    Raises
    ------
    InputError
        A q axis that is not even, or falls: the image would be mirrored.
    """
    for name in stack.axes:
        axis = np.asarray(getattr(stack, name), dtype=float)
        steps = np.diff(axis)
        if len(axis) > 1 and not (unevenness(axis) <= EVEN and steps.min() > 0):
            raise InputError(
                f"phase retrieval needs regular q axes that rise; steps of {name} run from {steps.min():.3g} to "
                f"{steps.max():.3g} 1/angstrom, off an even grid by {unevenness(axis):.2g} of a step (at most "
                f"{EVEN:g}); regrid the stack, or convert its files again, which turns falling axes."
            )


def _without_grids(values: Fields, names: Sequence[str]) -> Fields:
    """One axis for each name, the arrays of the points transposed to the names' order."""
    shape = np.shape(values["data"])[1:]
    given = {name: np.asarray(values[name], dtype=float) for name in names if name in values}
    grids = {name: array for name, array in given.items() if array.ndim > 1}
    if not grids:
        return values
    found = {name: _axis_of_grid(name, _one_energy(name, array, len(shape))) for name, array in grids.items()}
    order = [found[name][1] if name in found else place for place, name in enumerate(names)]
    if sorted(order) != list(range(len(shape))):
        raise InputError(
            f"{', '.join(grids)} must run along an index each; two run along one index; give one value per row or "
            "column."
        )
    axes = {name: axis for name, (axis, _) in found.items()}
    is_index = all(len(axes[name]) == size for name, size in zip(names, shape, strict=True) if name in axes)
    whole = all(array.shape[-len(shape) :] == shape for array in grids.values() if 1 not in array.shape)
    if order == list(range(len(shape))) or (is_index and not whole):
        return {**values, **axes}
    return {**_on_points(values, lambda array: _transposed(array, order), len(shape)), **axes}


def _one_energy(name: str, array: _Array, dimensions: int) -> _Array:
    """q of the points, which must be the same at every energy."""
    if array.ndim == dimensions + 1 and not np.ptp(array, axis=0).any():
        array = array[0]
    if array.ndim != dimensions:
        raise InputError(
            f"{name} must have one value per row or column, or per point; it has shape {array.shape}; bring every "
            "energy to one q grid."
        )
    return array


def _axis_of_grid(name: str, array: _Array) -> tuple[_Array, int]:
    """Values of a q component that changes along one index only, and that index."""
    changes = [np.ptp(array, axis=index).max() for index in range(array.ndim)]
    along = int(np.argmax(changes))
    step = changes[along] / max(1, array.shape[along] - 1)
    rest = [change for index, change in enumerate(changes) if index != along]
    if not max(rest) <= _ORTHOGONAL * step:
        raise InputError(
            f"{name} of every point must be that of an orthogonal grid; it changes by {max(rest):.3g} 1/angstrom "
            f"across it, {max(rest) / step if step else math.inf:.2g} steps; one value per row or column is required: "
            "regrid the data."
        )
    first: _Array = np.moveaxis(array, along, 0).reshape(array.shape[along], -1)[:, 0]
    return first, along


def _transposed(array: _Array, order: Sequence[int]) -> _Array:
    """Bring the last axes into another order."""
    lead = array.ndim - len(order)
    return np.transpose(array, [*range(lead), *(lead + index for index in order)])


def _on_points(values: Fields, turn: Callable[[_Array], _Array], dimensions: int) -> Fields:
    """Change every array that has one value per point."""
    names = [name for name in (*PER_POINT, "mask", "f0") if np.ndim(values.get(name, 0)) >= dimensions]
    return {**values, **{name: turn(np.asarray(values[name])) for name in names}}


def _rising(values: Fields, name: str, place: int) -> Fields:
    """Turn an axis round that falls, with the points."""
    axis, dimensions = np.asarray(values[name], dtype=float), np.ndim(values["data"]) - 1
    if axis.ndim != 1 or len(axis) < 2:
        return values
    steps = np.diff(axis)
    if (steps < 0).all():
        turned = _on_points(values, lambda array: np.flip(array, array.ndim - dimensions + place), dimensions)
        return {**turned, name: axis[::-1].copy()}
    if not (steps > 0).all():
        odd = int(np.argmin(steps > 0))
        raise InputError(
            f"{name} must rise, or fall, from point to point; it goes from {axis[odd]:g} to {axis[odd + 1]:g} at index "
            f"{odd + 1}; sort the data along it."
        )
    return values


def _from_bragg(values: Fields, given: Sequence[str], names: Sequence[str]) -> Fields:
    """Count absolute q from the Bragg vector."""
    came = "q_bragg" in values
    if not came:
        values = _with_bragg_vector(values, given, names)
    if "q_bragg" not in values or not given:
        return values
    q_bragg = np.atleast_1d(np.asarray(values["q_bragg"], dtype=float))
    if len(q_bragg) != len(names):
        return values
    centre = dict(zip(names, q_bragg, strict=True))
    axes = {name: np.asarray(values[name], dtype=float) for name in given}
    if all(_holds(axis, 0.0) for axis in axes.values()):
        return values
    for name, axis in axes.items():
        if not _holds(axis, centre[name]):
            raise InputError(
                f"q is counted from the Bragg peak, so each axis must lie about 0; {name} runs from {axis.min():g} to "
                f"{axis.max():g} and holds neither 0 nor q_bragg there, {centre[name]:g} 1/angstrom; take q_bragg off, "
                "or give the right one."
            )
    values = {**values, **{name: axis - centre[name] for name, axis in axes.items()}}
    if not came:
        return values
    told = ", ".join(f"{name} {axis.min():.4g} to {axis.max():.4g}" for name, axis in axes.items())
    warn(
        f"{told}: taken as absolute, since they lie at q_bragg; q_bragg ({', '.join(f'{one:g}' for one in q_bragg)} "
        "1/angstrom) is taken off them"
    )
    return values


def _with_bragg_vector(values: Fields, given: Sequence[str], names: Sequence[str]) -> Fields:
    """Take the middle of absolute axes as Bragg vector, where f0 is missing without one."""
    axes = [np.asarray(values[name], dtype=float) for name in given]
    if "f0" in values or len(given) < len(names) or all(_holds(axis, 0.0) for axis in axes):
        return values
    middle = np.array([axis[len(axis) // 2] for axis in axes])
    warn(
        f"no q_bragg came, and {', '.join(given)} lie away from 0: they are taken as absolute, and their middle, "
        f"{', '.join(f'{one:.4g}' for one in middle)} 1/angstrom, as q_bragg"
    )
    return {**values, "q_bragg": middle}


def _holds(axis: _Array, value: float) -> bool:
    """Tell whether an axis holds a value, or ends less than half its length away."""
    margin = np.ptp(axis) / 2
    return bool(axis.min() - margin <= value <= axis.max() + margin)


def _check_reach(values: Fields, names: Sequence[str]) -> None:
    r"""No momentum transfer exceeds that of backscattering, :math:`|Q| \le 4 \pi / \lambda`."""
    if "q_bragg" not in values:
        return
    most = 4 * math.pi * float(np.max(values["energy"])) / HC
    q_bragg = np.abs(np.atleast_1d(np.asarray(values["q_bragg"], dtype=float)))
    length = float(np.linalg.norm(q_bragg))
    if not length <= most:
        raise InputError(_beyond(f"|q_bragg| = {length:.4g}", length, most, "q_bragg"))
    if len(q_bragg) != len(names):
        return
    reach = {name: float(np.abs(values[name]).max()) for name in names if name in values}
    if not reach or length == 0:
        return
    name, far = max(reach.items(), key=lambda item: item[1])
    if not far <= most + length:
        raise InputError(_beyond(f"{name} up to {far:.4g}", far, most, name))
    if far > REACH * length:
        warn(
            f"{name} reaches {far:.3g} 1/angstrom from the Bragg peak, {far / length:.2g} times |q_bragg| = "
            f"{length:.3g}, where other Bragg peaks lie; f0 and lengths in real space are wrong if one is in another "
            "unit, such as 1/nm, or q_bragg is 1/d or sin theta / lambda, not 2 pi / d"
        )


def _beyond(what: str, value: float, most: float, name: str) -> str:
    """Refusal of a momentum transfer that no photon energy of the data reaches."""
    units = {"1/nm": 0.1, "1/m": 1e-10}
    fitting = [f"{value * factor:.3g} if it is in {unit}" for unit, factor in units.items() if value * factor < most]
    advice = f"{fitting[0]}: " if fitting else ""
    return (
        f"|Q| is at most 4 pi / lambda = {most:.4g} 1/angstrom at these energies; {what} came; {advice}give {name} "
        "in 1/angstrom."
    )
