"""What the numbers of a stack must be for any of them to mean something: types, shapes, finite, positive."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from madpipe.base.errors import InputError, is_control
from madpipe.mad.limits import LEAST_ERROR, MOST_ELECTRONS, MOST_ENERGY, MOST_PHOTONS

_REAL = "biuf"
_AXES = ("qz", "qy", "qx")
_SPECTRUM = ("spectrum_energy", "spectrum_f_prime", "spectrum_f_double_prime")
_NUMBERS = (
    *("energy", "f_prime", "f_double_prime", "f0", "monitor", "monitor_sigma", "mask", "background", "data_errors"),
    *("q_bragg", "unit_cell", "miller_indices", "friedel_sign"),
)
_TEXTS = ("element", "edge", "table", "title", "name", "chemical_formula", "start_time")
_NAMES = (*_NUMBERS, *_AXES, *_SPECTRUM, *_TEXTS)


def check_numbers(stack: Any) -> None:
    """Check every array of a stack by itself; how they fit together is :func:`madpipe.mad.records.check_stack`'s.

    Raises
    ------
    InputError
        An array of another type; energies, f0 or monitor that are not positive; f', f'', background, errors, axes or
        cell that are not finite; f', f'' or f0 that no element has; a text with control characters.
    """
    for name in _TEXTS:
        text = getattr(stack, name) or ""
        is_printable = not any(is_control(one) and not one.isspace() for one in text)
        _require(is_printable, name, "printable text", f"it is {text[:60]!r}")
    _check_energies(stack)
    _check_points(stack)
    _check_lattice(stack)
    _check_spectrum(stack)


def check_fields(values: Mapping[str, Any]) -> None:
    """Check the same of fields from which a stack is going to be made, some of which may be missing or wait for units.

    Raises
    ------
    InputError
        As :func:`check_numbers`.
    """
    data, mask = np.asarray(values["data"]), values.get("mask")
    for name in {"f_prime", "f_double_prime"} & values.keys():
        shape = np.shape(values[name])
        _require(len(shape) == 1, name, "a list with a value per energy", f"its shape is {shape}")
    has_mask = mask is not None and np.shape(mask) in (data.shape[1:], data.shape)
    good = np.broadcast_to(mask == 0 if has_mask else np.True_, data.shape)
    view = {"data": data, "good": good, "shape": data.shape[1:], "reflection": None, "whole": True}
    check_numbers(SimpleNamespace(**{**dict.fromkeys(_NAMES), **values, **view}))


def _check_energies(stack: Any) -> None:
    """What has a value per energy, and f0."""
    _check(stack, "energy", least=0.0, is_least_in=False, most=MOST_ENERGY, unit="eV")
    for name in ("f_prime", "f_double_prime"):
        _check(stack, name, least=-MOST_ELECTRONS, most=MOST_ELECTRONS, unit="electron")
    _check(stack, "f0", least=0.0, is_least_in=False, most=MOST_ELECTRONS, unit="electron")
    _check(stack, "monitor", least=0.0, is_least_in=False)
    _check(stack, "monitor_sigma", least=0.0)


def _check_points(stack: Any) -> None:
    """What has a value per point and energy, where that is measured."""
    for name in ("data", "mask"):
        array = getattr(stack, name)
        if array is not None:
            _require_real(name, array)
    _require(
        stack.data.size > 0 or not stack.whole, "data", "of at least one point", f"its shape is {stack.data.shape}"
    )
    for name in ("background", "data_errors"):
        array = getattr(stack, name)
        if array is not None and np.shape(array) == stack.data.shape and _mask_fits(stack):
            _check_values(name, np.asarray(array), stack.good, least=0.0, most=MOST_PHOTONS, unit="photon")
    errors = stack.data_errors
    if errors is not None and stack.whole and np.shape(errors) == stack.data.shape and _mask_fits(stack):
        largest = float(errors[stack.good].max(initial=0))
        needs = f"above 0, {LEAST_ERROR:g} photon at least, somewhere that is not masked"
        _require(largest >= LEAST_ERROR or not stack.good.any(), "data_errors", needs, f"the largest is {largest:g}")


def _mask_fits(stack: Any) -> bool:
    """Say whether the mask, where there is one, has a shape that it may have."""
    return stack.mask is None or stack.mask.shape in (stack.shape, stack.data.shape)


def _check_lattice(stack: Any) -> None:
    """Axes, Bragg vector, cell, indices and signs."""
    for name in (*_AXES, "q_bragg"):
        _check(stack, name, unit="1/angstrom")
    _check(stack, "unit_cell", least=0.0, is_least_in=False)
    _check(stack, "miller_indices")
    of_list = {"miller_indices": (*stack.shape, 3), "friedel_sign": stack.shape}
    for name, shape in {"unit_cell": (6,), **(of_list if stack.reflection is not None else {})}.items():
        array = getattr(stack, name)
        fits = array is None or np.shape(array) == shape
        _require(fits, name, f"of shape {shape}", f"its shape is {np.shape(array)}")
    sign = stack.friedel_sign
    _require(sign is None or bool(np.isin(sign, (1, -1)).all()), "friedel_sign", "+1 or -1", "some are not")


def _check_spectrum(stack: Any) -> None:
    """f', f'' along a measured spectrum: three columns of one length, rising energies."""
    columns = [getattr(stack, name) for name in _SPECTRUM]
    if all(column is None for column in columns):
        return
    shapes = [np.shape(column) for column in columns]
    fits = len(set(shapes)) == 1 and len(shapes[0]) == 1 and shapes[0][0] > 1
    _require(fits, ", ".join(_SPECTRUM), "of equally many values", f"their shapes are {shapes}")
    for name in ("spectrum_f_prime", "spectrum_f_double_prime"):
        _check(stack, name, least=-MOST_ELECTRONS, most=MOST_ELECTRONS, unit="electron")
    _check(stack, "spectrum_energy", least=0.0, is_least_in=False, unit="eV")
    _require(bool((np.diff(columns[0]) > 0).all()), "spectrum_energy", "rising", "it does not rise everywhere")


def _check(stack: Any, name: str, **limits: Any) -> None:
    """Check one array, or number, of a stack throughout, where it has it."""
    if (given := getattr(stack, name)) is not None:
        array = np.asarray(given)
        _require_real(name, array)
        _require(array.size > 0 or not stack.whole, name, "of at least one value", f"its shape is {array.shape}")
        _check_values(name, array, None, **limits)


def _check_values(
    name: str,
    array: np.ndarray,
    where: np.ndarray | None,
    *,
    least: float = -np.inf,
    is_least_in: bool = True,
    most: float = np.inf,
    unit: str = "",
) -> None:
    """Finite values between limits."""
    values = array if where is None else array[where]
    fits = np.isfinite(values) & (values <= most) & (values >= least if is_least_in else values > least)
    if not fits.all():
        odd = values[~fits]
        words = ["finite"]
        words += [f"{'at least' if is_least_in else 'above'} {least:g}"] if least > -np.inf else []
        words += [f"at most {most:g}"] if most < np.inf else []
        needs = f"{', '.join(words)}{f' [{unit}]' * bool(unit)}{' where not masked' * (where is not None)}"
        _require(False, name, needs, f"{len(odd)} of {values.size} are not, such as {odd[0]:g}")


def _require_real(name: str, array: Any) -> None:
    """Refuse what is no array of real numbers."""
    kind = np.asarray(array).dtype
    _require(kind.kind in _REAL, name, "real numbers", f"its type is {kind}")


def _require(holds: bool, name: str, needs: str, came: str) -> None:
    """Raise the one-line InputError unless the condition holds."""
    if not holds:
        raise InputError(f"{name} must be {needs}; {came}; correct it, or leave it out where it may be missing.")
