"""A stack put together from its rows, as a list of points, in the order of its energies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from madpipe.mad.records.stack import SPACE_AXES, Stack


def joined(parts: Sequence[Stack]) -> Stack:
    """Join rows of one stack, in the order given, to a stack of its own.

    Raises
    ------
    InputError
        What :func:`check_stack` refuses.
    """
    axes = parts[0].arrays_of_rows
    rows: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts], axis) for name, axis in axes.items()
    }
    return replace(parts[0], **rows, whole=True)


def listed(stack: Stack, start: int, stop: int) -> Stack:
    """Give a range of the points of a frame or volume as a list, which knows no axes."""
    points = {name: axis for name, axis in stack.arrays_of_rows.items() if name not in SPACE_AXES}
    arrays = {name: getattr(stack, name) for name in points}
    flat: dict[str, Any] = {
        name: array.reshape(*array.shape[: points[name]], -1)[..., start:stop] for name, array in arrays.items()
    }
    numbers = np.arange(start, start + flat["data"].shape[1])
    flat |= dict.fromkeys(SPACE_AXES)
    return replace(stack, **flat, reflection=numbers, truth=None, whole=False)


def sorted_by_energy(values: dict[str, Any]) -> dict[str, Any]:
    """Put the energies of a stack's fields, and all that goes with them, into rising order; arrays change in place."""
    order = np.argsort(values["energy"], kind="stable")
    data = np.asarray(values["data"])
    names = (
        "data",
        "energy",
        "f_prime",
        "f_double_prime",
        "background",
        "data_errors",
        "monitor",
        "monitor_sigma",
    )
    ordered = {name: _in_order(np.asarray(values[name]), order) for name in names if values.get(name) is not None}
    mask = values.get("mask")
    if mask is not None and np.shape(mask) == data.shape:
        ordered["mask"] = _in_order(np.asarray(mask), order)
    return {**values, **ordered}


def _in_order(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Permute the first axis, of a large array in place, with room for one energy: two copies may not fit into memory.

    Where entry k is to come from order[k], each cycle of the permutation is followed round from its first entry.
    """
    if array.ndim == 1 or not array.flags.writeable:
        return array[order]
    left = set(range(len(order)))
    while left:
        first = place = left.pop()
        kept = array[first].copy() if order[first] != first else None
        while (source := int(order[place])) != first:
            array[place] = array[source]
            place = source
            left.remove(source)
        if kept is not None:
            array[place] = kept
    return array


def axis_fields(stack: Stack) -> dict[str, Any]:
    """Give the axes that a Fit takes over from its stack."""
    axes = {axis: getattr(stack, axis) for axis in stack.axes}
    return {"axis_names": ",".join(stack.axes), **axes}
