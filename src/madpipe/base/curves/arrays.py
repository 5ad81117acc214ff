"""Curves from arrays by their names, whichever program named them."""

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Shaped

from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.units import electronvolts, seconds
from madpipe.base.errors import InputError
from madpipe.base.warned import warn

NAMES = {  # of arrays, in lower case, the likeliest first
    "q": ("q", "q_values", "qvec", "q_vector", "q_axis", "s", "qs", "x"),
    "intensity": ("intensity", "i", "intensities", "iq", "i_q", "data", "y", "i(q)", "ints"),
    "sigma": (
        *(
            "sigma",
            "idev",
            "sigmas",
            "errors",
            "error",
            "err",
            "dy",
            "di",
            "sig",
            "uncertainty",
            "uncertainties",
            "std",
        ),
        *("intensity_errors", "data_errors", "i_errors", "ierr", "i_err", "sigma_i", "intensity_error", "e", "stdev"),
        *("intensities_error", "errs", "int_err"),
    ),
    "dq": ("dq", "qdev", "q_dev", "sigma_q", "resolution", "dx", "q_errors", "q_resolution"),
    "slit_length": ("slit_length", "dql", "slit"),
    "slit_width": ("slit_width", "dqw"),
    "energy": ("energy_ev", "energy", "energies", "energies_ev", "photon_energy", "e_ev", "energy_kev"),
    "time": (
        "time",
        "times",
        "t",
        "time_s",
        "ms",
        "us",
        "ns",
        "delay",
        "delays",
        "time_ms",
        "time_us",
        "time_ns",
        "seconds",
    ),
}
_UNIT_OF_NAME = {
    "ms": "ms",
    "us": "us",
    "ns": "ns",
    "time_ms": "ms",
    "time_us": "us",
    "time_ns": "ns",
    "energy_kev": "keV",
}


def named(keys: Mapping[str, object] | list[str], kind: str) -> str | None:
    """The key, as it is written, of the likeliest array of a kind; None where there is none."""
    lower = {str(key).lower(): str(key) for key in reversed(list(keys))}
    return next((lower[name] for name in NAMES[kind] if name in lower), None)


def curves_of_arrays(
    name: str, arrays: Mapping[str, Shaped[np.ndarray, "..."]], texts: Mapping[str, str], sample: str = ""
) -> RawCurves:
    """Bring named arrays into one entry.

    Parameters
    ----------
    name:
        Of the entry.
    arrays:
        Numbers under any of :data:`NAMES`; the axis of q of two-dimensional ones is found by its length.
    texts:
        Units as "unit_q", "unit_intensity", "unit_time", "unit_energy", and a title.
    sample:
        Its name.

    Raises
    ------
    InputError
        No q or no intensity, or shapes that do not fit.
    """
    keys = {kind: named(arrays, kind) for kind in NAMES}
    lower = {key.lower(): text for key, text in texts.items()}
    q_key, intensity_key = keys["q"], keys["intensity"]
    if q_key is None or intensity_key is None:
        raise InputError(
            f"{name}: needs arrays q and intensity; it has {', '.join(sorted(arrays)[:12]) or 'none'}; rename them, or "
            "name the datasets with --path (the key path)."
        )
    q_table = _numbers(arrays[q_key], name, q_key)
    q, own_dq = _axis(q_table, name)
    intensity = _rows(arrays[intensity_key], len(q), name, intensity_key)
    sigma = None if keys["sigma"] is None else _rows(arrays[keys["sigma"]], len(q), name, keys["sigma"])
    widths = {kind: _widths(arrays[key], len(q), name, key) for kind in _WIDTHS if (key := keys[kind]) is not None}
    if sigma is not None and len(sigma) == 1 < len(intensity):
        sigma = np.broadcast_to(sigma, intensity.shape).copy()
    return RawCurves(
        name,
        q,
        intensity,
        sigma,
        widths.get("dq", own_dq),
        widths.get("slit_length"),
        widths.get("slit_width"),
        lower.get("unit_q", ""),
        lower.get("unit_intensity", ""),
        title=lower.get("title", ""),
        sample=sample,
        energy=_of_curves(arrays, keys["energy"], len(intensity), lower.get("unit_energy", ""), name, "energy"),
        time=_of_curves(arrays, keys["time"], len(intensity), lower.get("unit_time", ""), name, "time"),
    )


_WIDTHS = ("dq", "slit_length", "slit_width")


def _numbers(values: Shaped[np.ndarray, "..."], name: str, key: str) -> Float[np.ndarray, "..."]:
    """An array as float64."""
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name}: {key} needs real numbers; it holds values of type {values.dtype}; write numbers.")
    return np.asarray(values, dtype=np.float64)


def _axis(values: Float[np.ndarray, "..."], name: str) -> tuple[Float[np.ndarray, "q"], Float[np.ndarray, "q"] | None]:
    """The axis of q, and its resolution where it stands in a second column."""
    if values.ndim == 2 and values.shape[1] == 2 and len(values) > 2:
        return values[:, 0], values[:, 1]
    if values.ndim > 1 and len(set(values.shape)) == 2 and values.size > 1 and min(values.shape) == 1:
        return values.ravel(), None
    if values.ndim == 2 and len(values) > 1 and (values == values[0]).all():
        return values[0], None
    if values.ndim != 1:
        raise InputError(
            f"{name}: needs one axis of q for all curves; q of shape {values.shape} came: images, or curves on axes of "
            "their own; reduce them to one dimension, rebin them on one axis."
        )
    return values, None


def _rows(values: Shaped[np.ndarray, "..."], size: int, name: str, key: str) -> Float[np.ndarray, "curve q"]:
    """Curves as rows."""
    array = _numbers(values, name, key)
    if array.ndim == 1 and len(array) == size:
        return array[None]
    array = array.reshape([one for one in array.shape if one != 1] or [1]) if array.ndim > 2 else array
    if array.ndim == 1 and len(array) == size:
        return array[None]
    if array.ndim >= 2 and array.shape[-1] == size:
        return array.reshape(-1, size)
    if array.ndim == 2 and array.shape[0] == size:
        return array.T.copy()
    raise InputError(
        f"{name}: needs {size} values of {key} for each curve, as many as q; its shape is {np.shape(values)}; make "
        "them alike."
    )


def _widths(values: Shaped[np.ndarray, "..."], size: int, name: str, key: str) -> Float[np.ndarray, "q"]:
    """One width for each q, also where one number is given for all."""
    array = _numbers(values, name, key).ravel()
    if len(array) not in (1, size):
        raise InputError(f"{name}: needs one or {size} values of {key}; {len(array)} came; make them alike.")
    return np.broadcast_to(array, (size,)).copy()


def _of_curves(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], key: str | None, curves: int, unit: str, name: str, kind: str
) -> Float[np.ndarray, "curve"] | None:
    """Energies [eV] or times [s] of the curves."""
    if key is None:
        return None
    values = _numbers(arrays[key], name, key).ravel()
    if kind == "time" and len(values) != curves and len(values) == 1:
        return None
    if len(values) == 1:
        values = np.full(curves, values[0])
    unit = unit or _UNIT_OF_NAME.get(key.lower(), "")
    bare = re.split(r"[\s,;]", unit.strip())[0] if unit.strip() else ""
    factor = 1.0 if not bare else seconds(bare) if kind == "time" else electronvolts(bare)
    if factor is None:
        raise InputError(f"{name}: {key} needs a unit of {kind}; {unit!r} came; write seconds or eV.")
    if kind == "time" and not bare and not key.lower().endswith("_s") and np.ptp(values) > 0:
        warn(f"{name}: the file states no unit of {key}: it is taken in seconds; give --times [s] if it is not.")
    if len(values) != curves:
        raise InputError(f"{name}: needs one {kind} for each of {curves} curves; {len(values)} came; make them alike.")
    return values * factor
