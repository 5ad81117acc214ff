"""Curves of scattered intensity against q, as every study of small-angle scattering takes them."""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from madpipe.base import warned
from madpipe.base.errors import InputError
from madpipe.base.store import entry

_Array = np.ndarray
_DATA = "entry_1/data_1"


def _constant(path: str, value: str) -> Any:
    """Declare a text that NXcanSAS asks for and that no study reads."""
    return dataclasses.field(default=value, metadata=dict(entry(path, optional=True).metadata))


@dataclass(frozen=True)
class Curves:
    """Curves on one axis of q: one, an energy series, or a time series.

    A point with ``sigma`` = infinity was not measured in that curve. Curves of other q are other records.
    """

    q: _Array = entry(f"{_DATA}/Q", "1/angstrom")  # (q), rising; the same q twice where two settings overlap
    intensity: _Array = entry(f"{_DATA}/I", "1/cm", uncertainties="Idev")  # (curve, q)
    sigma: _Array = entry(f"{_DATA}/Idev", "1/cm")  # (curve, q), one standard deviation
    absolute: int = entry(f"{_DATA}/absolute")  # 1: in 1/cm; 0: in a unit of its own, each curve on the same one
    names: str = entry(f"{_DATA}/names")  # of the curves, one a line
    title: str = entry("entry_1/title")
    dq: _Array | None = entry(f"{_DATA}/Qdev", "1/angstrom", optional=True)  # (q), standard deviation of a pinhole
    slit_length: _Array | None = entry(f"{_DATA}/dQl", "1/angstrom", optional=True)  # (q), half height of a slit
    slit_width: _Array | None = entry(f"{_DATA}/dQw", "1/angstrom", optional=True)  # (q), half width of a slit
    energy: _Array | None = entry(f"{_DATA}/energy", "eV", optional=True)  # (curve), of the photons
    time: _Array | None = entry(f"{_DATA}/time", "s", optional=True)  # (curve)
    counts: _Array | None = entry(f"{_DATA}/counts", "photon", optional=True)  # (curve, q), where they are known
    sample: str | None = entry("entry_1/sample_1/name", optional=True)
    warnings: str | None = entry(warned.PATH, optional=True)
    definition: str = _constant("entry_1/definition", "NXcanSAS")
    run: str = _constant("entry_1/run", "")

    def __post_init__(self) -> None:
        if self.intensity.ndim != 2 or self.intensity.shape != self.sigma.shape:
            raise InputError(
                f"curves: need intensity and sigma of one shape (curve, q); {self.intensity.shape} and "
                f"{self.sigma.shape} came; make them alike."
            )
        if len(self.q) != self.intensity.shape[1]:
            raise InputError(
                f"curves: need one intensity for each q; {self.intensity.shape[1]} and {len(self.q)} came; make them "
                "alike."
            )

    def nexus_groups(self) -> dict[str, dict[str, str | list[str] | list[int]]]:
        """Attributes of the groups, as NXcanSAS has them."""
        return {
            "/": {"canSAS_class": "SASroot"},
            "entry_1": {"NX_class": "NXentry", "canSAS_class": "SASentry", "version": "1.1", "default": "data_1"},
            "entry_1/sample_1": {"NX_class": "NXsample", "canSAS_class": "SASsample"},
            _DATA: {
                "NX_class": "NXdata",
                "canSAS_class": "SASdata",
                "signal": "I",
                "I_axes": ["curve", "Q"],
                "Q_indices": [1],
            },
        }


def curve_of(curves: Curves, number: int) -> Curves:
    """Take one curve of a record, from 0."""
    one = slice(number, number + 1)
    return replace(
        curves,
        intensity=curves.intensity[one],
        sigma=curves.sigma[one],
        names=curves.names.split("\n")[number],
        energy=None if curves.energy is None else curves.energy[one],
        time=None if curves.time is None else curves.time[one],
        counts=None if curves.counts is None else curves.counts[one],
    )
