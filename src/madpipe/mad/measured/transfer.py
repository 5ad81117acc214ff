"""Momentum transfer of a measurement: f0 at the true |Q|, and q axes from the detector where the files have none."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.measured.readers.arrays import AXES, Fields
from madpipe.physics.atoms import form_factor
from madpipe.physics.crystal import HC, is_cell, momentum_transfer
from madpipe.physics.fourier import grid

_MOST_INDEX = 1e6  # of h k l
_POINTS = 2**20  # worked on at once
_DETECTOR = ("detector", "rocking", "two_theta")  # what readers tell of it beside a stack's fields


def with_detector_axes(values: Fields) -> Fields:
    r"""Make q axes of the detector's distance and pixel size, where the files give no q.

    .. math::
        q_{y,x} = \frac{2 \pi E}{h c} \frac{p_{y,x}}{D} n, \qquad q_z = |Q| \, (\omega - \bar\omega)

    Parameters
    ----------
    values:
        Fields with ``detector``, that is D and p [angstrom], and for a volume ``rocking``, an angle :math:`\omega` per
        frame [degree], with q_bragg or ``two_theta`` [degree].

    Returns
    -------
    :
        The fields without those three; qy, qx, and qz of a volume [1/angstrom], where none of them came.

    Warns
    -----
    DataWarning
        A volume, whose axes are not at right angles.

    Notes
    -----
    n counts pixels from the middle one, E is the mean photon energy. This is the first order in p n / D of
    :math:`q = k (\hat r - \hat r_0)`, :math:`|r|` being the distance of a pixel of a flat detector that stands at right
    angles to the diffracted beam at its middle: too long by the share :math:`(p n / D)^2 / 2`, 2e-5 for 128 pixels of
    55 um at 1 m. It leaves out the curvature of the Ewald sphere, :math:`q_\parallel = - k (p n / D)^2 / 2`, and the
    photon energies' own k, which moves q by :math:`(E - \bar E) / \bar E` of itself, .2 % within 20 eV of 8333 eV.
    A rocking scan turns Q about an axis that is taken to be at right angles to it.
    """
    known = {name: values[name] for name in _DETECTOR if name in values}
    values = {name: value for name, value in values.items() if name not in _DETECTOR}
    shape = np.shape(values["data"])[1:]
    names = AXES[len(AXES) - len(shape) :]
    if "detector" not in known or len(shape) not in (2, 3) or any(name in values for name in names):
        return values
    wave_number = 2 * math.pi * float(np.mean(values["energy"])) / HC
    distance, *pixels = known["detector"]
    steps = [wave_number * pixel / distance for pixel in pixels]
    made = {
        name: step * (np.arange(size) - size // 2.0)
        for name, step, size in zip(names[-2:], steps, shape[-2:], strict=True)
    }
    if len(shape) == 3:
        made |= _rocked(known, _length(values), wave_number, shape[0])
    if len(made) < len(shape) or not all(np.isfinite(axis).all() and np.ptp(axis) > 0 for axis in made.values()):
        return values
    told = f"{', '.join(names)} from the detector's distance and pixel size"
    return {**values, **made, "title": f"{values['title']} ({told})" if "title" in values else told, "_made": True}


def _rocked(known: Fields, length: float | None, wave_number: float, frames: int) -> Fields:
    """The axis along a rocking scan; none where its angles or |Q| are not known."""
    if length is None and "two_theta" in known:
        length = 2 * wave_number * math.sin(math.radians(known["two_theta"]) / 2)
    if "rocking" not in known or np.shape(known["rocking"]) != (frames,) or not length:
        return {}
    angle = np.radians(np.asarray(known["rocking"], dtype=float))
    tilt = math.degrees(math.asin(min(1.0, length / (2 * wave_number))))
    warn(
        f"qz, qy, qx are computed from rocking angles and detector, whose directions are {90 - tilt:.1f}, not 90 "
        "degree apart; the fit does not mind, but an object by retrieve is sheared by that: regrid the data to "
        "orthogonal q for it"
    )
    return {"qz": length * (angle - angle[frames // 2])}


def _length(values: Fields) -> float | None:
    """|Q| of the Bragg peak, where the fields tell it [1/angstrom]."""
    return float(np.linalg.norm(values["q_bragg"])) if "q_bragg" in values else None


def with_form_factor(values: Fields, given: float | None) -> Fields:
    """Put f0 in: as given, else the file's, else of the element at the true momentum transfer.

    Parameters
    ----------
    values:
        Fields with the element, empty where it is not known. ``q_bragg`` along every axis that came in 1/angstrom gives
        :math:`|Q_{Bragg} + q|` of each point; any other, such as its length alone, \\|Q\\| of the Bragg peak for all,
        and does not stay, since no direction can be told.
    given:
        f0 at the Bragg peak [electron].

    Raises
    ------
    InputError
        Neither f0, q_bragg, nor a unit cell with Miller indices; no element to look f0 up for.
    """
    values = dict(values)
    is_made = values.pop("_made", False)
    q, has_direction = _momentum_transfer(values, is_made)
    if not has_direction:
        values.pop("q_bragg", None)
    if given is not None or "f0" in values:
        return {**values, "f0": values["f0"] if given is None else given}
    if not values["element"]:
        raise InputError(
            "f0 [electron] is required where the resonant element is not known; none came; add --f0, or --element."
        )
    if q is None:
        raise InputError(
            "f0 at the true momentum transfer is required; the file gives neither f0, nor q_bragg, nor a unit cell "
            "with Miller indices; add --q-bragg, the Bragg vector or |Q| = 2 pi / d [1/angstrom], or --f0 [electron]."
        )
    try:
        return {**values, "f0": _form_factors(values["element"], q)}
    except ValueError as error:
        raise InputError(f"f0 at the true momentum transfer: {error}.") from error


def _form_factors(element: str, q: Float[torch.Tensor, "..."]) -> Any:
    """f0 at every |Q|, which it replaces some rows at a time: all at once take eight times the memory."""
    if q.ndim == 0:
        return float(form_factor(element, q))
    for rows in q.split(_rows_of(q.shape)):
        rows.copy_(form_factor(element, rows))
    return q.numpy()


def _rows_of(shape: Sequence[int]) -> int:
    """How many rows are worked on at once."""
    return max(1, _POINTS // max(1, math.prod(shape[1:])))


def _momentum_transfer(values: Fields, is_made: bool) -> tuple[Float[torch.Tensor, "..."] | None, bool]:
    """Length of Q of each reflection or point, or of the peak [1/angstrom], and whether q_bragg has the data's axes."""
    if "unit_cell" in values and "miller_indices" in values:
        indices = np.asarray(values["miller_indices"], dtype=float)
        _check_reflections(np.asarray(values["unit_cell"], dtype=float), indices)
        return torch.as_tensor(momentum_transfer(values["unit_cell"], indices)).norm(dim=-1), True
    if "q_bragg" not in values:
        return None, False
    q_bragg = torch.as_tensor(np.atleast_1d(np.asarray(values["q_bragg"], dtype=float)))
    names = AXES[-(np.ndim(values["data"]) - 1) :]
    if is_made or len(q_bragg) != len(names) or not all(name in values for name in names):
        return q_bragg.norm(), False
    axes = [torch.as_tensor(np.asarray(values[name], dtype=float)) for name in names]
    shape = [len(axis) for axis in axes]
    lengths, size = torch.empty(shape, dtype=torch.float64), _rows_of(shape)
    for rows, along in zip(lengths.split(size), axes[0].split(size), strict=True):
        rows.copy_((grid([along, *axes[1:]]) + q_bragg.reshape(-1, *[1] * len(axes))).norm(dim=0))
    return lengths, True


def _check_reflections(unit_cell: Float[np.ndarray, "..."], indices: Float[np.ndarray, "..."]) -> None:
    """A cell and h k l of which a Q can be told."""
    if not is_cell(unit_cell):
        raise InputError(
            "unit_cell must be three lengths [angstrom] and three angles [degree] of a cell with a volume; "
            f"{unit_cell.tolist()!s:.100} came; correct it."
        )
    if indices.shape[-1:] != (3,) or not (np.abs(indices) <= _MOST_INDEX).all():
        raise InputError(
            f"miller_indices must be h k l, finite and at most {_MOST_INDEX:g}, of each reflection; of shape "
            f"{indices.shape} came; correct them."
        )
