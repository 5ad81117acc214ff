"""Intensities at several photon energies, and what they must be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from madpipe.base import warned
from madpipe.base.errors import InputError
from madpipe.base.store import Groups, entry, is_whole, part
from madpipe.mad.limits import MOST_PHOTONS
from madpipe.mad.records.numbers import check_numbers
from madpipe.mad.records.truth import Truth
from madpipe.mad.records.units import INTENSITY
from madpipe.physics.atoms import edge_energy

_Array = np.ndarray
SPACE_AXES = ("qz", "qy", "qx")


@dataclass(frozen=True)
class Stack:
    """Intensities of one Bragg peak, or of a list of reflections, at several photon energies.

    ``data`` is (energy, *point); a point is a pixel (qy, qx), a voxel (qz, qy, qx) or a reflection. The mask is
    (*point), or (energy, *point) where single energies are missing; 0 is good. Friedel mates of a list stand in
    entries of their own with the same ``miller_indices`` and opposite ``friedel_sign``.
    """

    data: _Array = entry("entry_1/data_1/data", INTENSITY, long_name="detected photons")
    energy: _Array = entry("entry_1/data_1/energy", "eV")
    f_prime: _Array = entry("entry_1/anomalous/f_prime", "electron")
    f_double_prime: _Array = entry("entry_1/anomalous/f_double_prime", "electron")
    f0: Any = entry("entry_1/anomalous/f0", "electron")
    element: str = entry("entry_1/anomalous/element")
    edge: str = entry("entry_1/anomalous/edge")
    table: str = entry("entry_1/anomalous/table")
    title: str = entry("entry_1/title")
    name: str = entry("entry_1/sample_1/name")
    warnings: str | None = entry(warned.PATH, optional=True)
    start_time: str | None = entry("entry_1/start_time", optional=True)  # of the measurement, ISO 8601
    chemical_formula: str | None = entry("entry_1/sample_1/chemical_formula", optional=True)
    qz: _Array | None = entry("entry_1/data_1/qz", "1/angstrom", optional=True)
    qy: _Array | None = entry("entry_1/data_1/qy", "1/angstrom", optional=True)
    qx: _Array | None = entry("entry_1/data_1/qx", "1/angstrom", optional=True)
    reflection: _Array | None = entry("entry_1/data_1/reflection", optional=True)
    miller_indices: _Array | None = entry("entry_1/data_1/miller_indices", optional=True)
    friedel_sign: _Array | None = entry("entry_1/anomalous/friedel_sign", optional=True)
    unit_cell: _Array | None = entry("entry_1/sample_1/unit_cell", optional=True)  # angstrom x3, degree x3
    space_group: str | None = entry("entry_1/sample_1/space_group", optional=True)  # Hermann-Mauguin symbol
    q_bragg: _Array | None = entry("entry_1/data_1/q_bragg", "1/angstrom", optional=True)
    mask: _Array | None = entry("entry_1/data_1/mask", optional=True)
    background: _Array | None = entry("entry_1/data_1/background", INTENSITY, optional=True)
    data_errors: _Array | None = entry("entry_1/data_1/data_errors", INTENSITY, optional=True)
    monitor: _Array | None = entry("entry_1/instrument_1/monitor_1/data", optional=True)
    monitor_sigma: _Array | None = entry("entry_1/instrument_1/monitor_1/sigma", optional=True)
    spectrum_energy: _Array | None = entry("entry_1/anomalous/spectrum_energy", "eV", optional=True)
    spectrum_f_prime: _Array | None = entry("entry_1/anomalous/spectrum_f_prime", "electron", optional=True)
    spectrum_f_double_prime: _Array | None = entry(
        "entry_1/anomalous/spectrum_f_double_prime", "electron", optional=True
    )
    truth: Truth | None = part("entry_1/truth", Truth)
    whole: bool = is_whole()  # rows of a larger stack may be dark or masked altogether

    def __post_init__(self) -> None:
        check_stack(self)

    @staticmethod
    def row_axes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Axis of the rows in each array that can be cut; a list of reflections cannot: Friedel mates stay together."""
        if "reflection" in shapes or len(shapes.get("data", ())) < 2:
            return {}
        dimensions = len(shapes["data"]) - 1
        points = ("data", "background", "data_errors", "mask", "f0")
        axes = {name: len(shapes[name]) - dimensions for name in points if len(shapes.get(name, ())) >= dimensions}
        first = SPACE_AXES[-dimensions]
        return axes | ({first: 0} if first in shapes else {})

    @property
    def arrays_of_rows(self) -> dict[str, int]:
        """Axis of the rows in each array that this stack has (:meth:`row_axes`)."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return self.row_axes({name: np.shape(getattr(self, name)) for name in names})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one energy."""
        return self.data.shape[1:]

    @property
    def axes(self) -> list[str]:
        """Names of the axes of one energy."""
        return ["reflection"] if self.reflection is not None else [*SPACE_AXES[-len(self.shape) :]]

    @property
    def resonant(self) -> str:
        """What to call the resonant atoms: their element, where it is known."""
        return self.element or "resonant"

    @property
    def edge_ev(self) -> float | None:
        """Energy of the absorption edge [eV]; None where the resonant element is not known.

        Raises
        ------
        ValueError
            Unknown element or edge.
        """
        return edge_energy(self.element, self.edge) if self.element else None

    @property
    def good(self) -> _Array:
        """Points that were measured, (energy, *point) bool."""
        if self.mask is None:
            return np.broadcast_to(True, self.data.shape)
        return np.broadcast_to(self.mask == 0, self.data.shape)

    def measured(self) -> Iterator[_Array]:
        """Unmasked intensities of one energy after another: a copy of all of them would double the memory."""
        for values, good in zip(self.data, self.good, strict=True):
            yield values if good.all() else values[good]

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            "entry_1/sample_1": {"NX_class": "NXsample"},
            "entry_1/instrument_1": {"NX_class": "NXinstrument"},
            "entry_1/instrument_1/monitor_1": {"NX_class": "NXmonitor"},
            "entry_1/data_1": {"NX_class": "NXdata", "signal": "data", "axes": ["energy", *self.axes]},
            "entry_1/anomalous": {
                "NX_class": "NXdata",
                "signal": "f_prime",
                "auxiliary_signals": ["f_double_prime"],
                "axes": ["energy"],
            },
        }

    def nexus_links(self) -> dict[str, str]:
        """Soft links: the dispersion corrections stand against the same energies as the data."""
        return {"entry_1/anomalous/energy": "entry_1/data_1/energy"}


@dataclass(frozen=True)
class PointAxes:
    """The axes of a stack's frame or volume, to be read without its intensities."""

    qz: _Array | None = entry("entry_1/data_1/qz", "1/angstrom", optional=True)
    qy: _Array | None = entry("entry_1/data_1/qy", "1/angstrom", optional=True)
    qx: _Array | None = entry("entry_1/data_1/qx", "1/angstrom", optional=True)


def check_stack(stack: Stack) -> None:
    """Check shapes and values where data enters.

    Raises
    ------
    InputError
        What :func:`madpipe.mad.records.numbers.check_numbers` refuses; arrays of other shapes, fewer than three
        distinct energies, negative or NaN counts, f'' < 0; and, where the stack is whole, what :func:`check_photons`
        refuses.
    """
    data, energies = stack.data, stack.energy
    _require(np.ndim(data) >= 2, f"data must be (energy, *point); it is {np.shape(data)}; add the axis")
    check_numbers(stack)
    for name in ("energy", "f_prime", "f_double_prime", "monitor", "monitor_sigma"):
        array = getattr(stack, name)
        if array is not None:
            _require(
                np.shape(array) == (len(data),),
                f"{name} must have one value per energy ({len(data)}); it has shape {np.shape(array)}; "
                "give the energies and intensities in the same order and number",
            )
    distinct = len(np.unique(energies))
    _require(
        distinct >= 3,
        f"MAD needs at least 3 distinct photon energies; {distinct} came ({energies} eV); measure or add more",
    )
    _require(
        bool(np.all(stack.f_double_prime >= 0)),
        f"f'' must be >= 0 (it absorbs; F = sum f exp(+iQr)); its least value is {stack.f_double_prime.min():.3f}; "
        "change its sign or take the table's values",
    )
    for name in ("background", "data_errors"):
        array = getattr(stack, name)
        if array is not None:
            _require(
                array.shape == data.shape,
                f"{name} must have the shape of data {data.shape}; it has {array.shape}; convert it",
            )
    if stack.mask is not None:
        _require(
            stack.mask.shape in (stack.shape, data.shape),
            f"mask must have the shape of one energy {stack.shape} or of data {data.shape}; it has {stack.mask.shape}; "
            "crop or transpose it as the data",
        )
    _require(
        np.ndim(stack.f0) == 0 or np.shape(stack.f0) == stack.shape,
        f"f0 must be one number or have the shape of one energy {stack.shape}; it has {np.shape(stack.f0)}",
    )
    negative = sum(np.count_nonzero(~(values >= 0)) for values in stack.measured())
    finite = all(bool(np.isfinite(values).all()) for values in stack.measured())
    _require(
        (negative == 0 and finite) or stack.data_errors is not None,
        "photon counts must be finite and >= 0 in every unmasked point; "
        f"{negative} are not (NaN or negative); mask them, or give their background apart",
    )
    largest = np.max([np.abs(values).max(initial=0) for values in stack.measured()], initial=0)
    _require(
        bool(largest <= MOST_PHOTONS),
        f"photons must be at most {MOST_PHOTONS:g} in every unmasked point; {largest:g} came; mask such points: "
        "detectors mark dead pixels so",
    )
    _require(finite, "unmasked data must be finite; NaN or infinity came; mask those points")
    if stack.whole:
        check_photons([stack])
    for axis, size in zip(stack.axes, stack.shape, strict=True):
        array = getattr(stack, axis)
        _require(
            array is not None and np.shape(array) == (size,),
            f"axis {axis} must have {size} values; it has {None if array is None else np.shape(array)}",
        )


def check_photons(parts: Iterable[Stack]) -> None:
    """Check what only a whole stack can be asked, part by part up to the first one that holds photons.

    Raises
    ------
    InputError
        Every point is masked, or there is no photon in any that is not.
    """
    measured = False
    for values in (values for stack in parts for values in stack.measured()):
        if values.any():
            return
        measured = measured or values.size > 0
    _require(measured, "at least one point must be unmasked; the mask covers every point; check its polarity")
    raise InputError("a stack needs photons; every unmasked count is 0; check the file and the mask.")


def _require(holds: bool, message: str) -> None:
    """Raise the one-line InputError unless the condition holds."""
    if not holds:
        raise InputError(message + ".")
