"""Curves as other programs read them: NXcanSAS with one entry for each curve, and columns of text."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from madpipe.base import store
from madpipe.base.curves.records import Curves

_WIDTHS = {"dq": "Qdev", "slit_width": "dQw", "slit_length": "dQl"}


def write_nxcansas(path: str | Path, curves: Curves, *, process: Mapping[str, str] | None = None) -> None:
    """Write an entry for each curve, whole or not at all, as NXcanSAS 1.1 asks.

    Points that were not measured are left out. Intensities that are not absolute have the unit "arbitrary".

    Parameters
    ----------
    path:
        The file.
    curves:
        What is written.
    process:
        Program, version, date and note_1 (see :func:`madpipe.base.provenance.process`), for each entry.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.

    References
    ----------
    NeXus application definition NXcanSAS, manual.nexusformat.org.
    """
    with store.whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {"NX_class": "NXroot", "canSAS_class": "SASroot", "default": "sasentry01", "creator": "madpipe"}
        )
        for number, name in enumerate(curves.names.splitlines(), 1):
            entry = file.create_group(f"sasentry{number:02d}")
            _fill(entry, curves, number - 1, name)
            if process is not None:
                group = entry.create_group("sasprocess01")
                group.attrs.update({"NX_class": "NXprocess", "canSAS_class": "SASprocess"})
                group["name"], group["date"] = process.get("program", "madpipe"), process.get("date", "")
                group["description"] = process.get("note_1", "")


def _fill(entry: h5py.Group, curves: Curves, row: int, name: str) -> None:
    """One entry."""
    entry.attrs.update({"NX_class": "NXentry", "canSAS_class": "SASentry", "version": "1.1", "default": "sasdata01"})
    entry["definition"], entry["title"], entry["run"] = "NXcanSAS", curves.title, name
    data = entry.create_group("sasdata01")
    data.attrs.update({"NX_class": "NXdata", "canSAS_class": "SASdata", "signal": "I", "I_axes": "Q", "axes": "Q"})
    data.attrs["Q_indices"] = np.array([0])
    good = np.isfinite(curves.sigma[row])
    unit = "1/cm" if curves.absolute else "arbitrary"
    for key, values, its in (
        ("Q", curves.q, "1/angstrom"),
        ("I", curves.intensity[row], unit),
        ("Idev", curves.sigma[row], unit),
    ):
        data.create_dataset(key, data=values[good]).attrs["units"] = its
    data["I"].attrs["uncertainties"] = "Idev"
    widths = [(key, getattr(curves, field)) for field, key in _WIDTHS.items()]
    for key, values in widths:
        if values is not None:
            data.create_dataset(key, data=values[good]).attrs["units"] = "1/angstrom"
    resolutions = [key for key, values in widths if values is not None]
    if resolutions:
        data["Q"].attrs["resolutions"] = resolutions[0] if len(resolutions) == 1 else ",".join(resolutions)
    if curves.sample:
        sample = entry.create_group("sassample")
        sample.attrs.update({"NX_class": "NXsample", "canSAS_class": "SASsample"})
        sample["name"] = curves.sample
    for key, values, its in (("energy", curves.energy, "eV"), ("time", curves.time, "s")):
        if values is not None:
            data.create_dataset(key, data=values[row]).attrs["units"] = its


def write_columns(path: str | Path, curves: Curves, row: int = 0) -> None:
    """Write one curve as text, whole or not at all: q, I, sigma, and dq where it is known; 17 digits.

    Parameters
    ----------
    path:
        The file.
    curves:
        One or more curves.
    row:
        Which, from 0.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    good = np.isfinite(curves.sigma[row])
    unit = "1/cm" if curves.absolute else "arbitrary"
    columns = [curves.q[good], curves.intensity[row, good], curves.sigma[row, good]]
    heading = f"q (1/angstrom)\tI ({unit})\tsigma ({unit})"
    if curves.dq is not None:
        columns.append(curves.dq[good])
        heading += "\tdq (1/angstrom)"
    lines = [f"# {' '.join(curves.title.split())}", f"# {curves.names.splitlines()[row]}", f"# {heading}"]
    lines += ["\t".join(repr(float(value)) for value in one) for one in zip(*columns, strict=True)]
    with store.whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
