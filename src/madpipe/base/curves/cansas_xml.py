"""Curves of canSAS-1D files, versions 1.0 and 1.1: XML."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.units import HC
from madpipe.base.errors import InputError, one_line

_FIELDS = {"Q": "q", "I": "intensity", "Idev": "sigma", "Qdev": "dq", "dQl": "slit_length", "dQw": "slit_width"}
_LENGTHS = {"a": 1.0, "angstrom": 1.0, "å": 1.0, "nm": 10.0, "": 1.0}
_OF_Q = ("Q", "Qdev", "dQl", "dQw")


def read_xml(text: str, name: str) -> list[RawCurves]:
    """Read every SASdata of every SASentry.

    Parameters
    ----------
    text:
        The file's content; entities and document types are refused: they can name other files or grow without end.
    name:
        Of the file.

    Raises
    ------
    InputError
        No XML, another kind of XML, entities, values that are no numbers, several units in one column.
    """
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise InputError(
            "canSAS XML needs no document type and no entities; it has some; remove the line <!DOCTYPE ...>."
        )
    plain = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff"), count=1)
    try:
        root = ElementTree.fromstring(plain)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"needs whole XML; got: {one_line(error)}; make the file again.") from error
    if _local(root) != "SASroot":
        raise InputError(f"XML needs a SASroot, as canSAS-1D has it; {_local(root)[:40]} came; export text or canSAS.")
    found = []
    for entry in _below(root, "SASentry"):
        data = _below(entry, "SASdata")
        label = entry.get("name") or _text(entry, "Run") or _text(entry, "Title")
        for number, one in enumerate(data, 1):
            own = one.get("name") or (str(number) if len(data) > 1 else "")
            found.append(_curve(entry, one, " ".join(filter(None, (label, own))) or name))
    if not found:
        raise InputError("canSAS XML needs a SASentry with SASdata; it has none; check the file.")
    return found


def _local(element: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _below(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Children of a name in any namespace."""
    return [child for child in element if _local(child) == name]


def _text(element: ElementTree.Element, name: str) -> str:
    """Text of the first child of a name, on one line."""
    found = _below(element, name)
    return " ".join((found[0].text or "").split()) if found else ""


def _curve(entry: ElementTree.Element, data: ElementTree.Element, name: str) -> RawCurves:
    """One SASdata."""
    columns: dict[str, list[float]] = {field: [] for field in _FIELDS}
    units: dict[str, set[str]] = {field: set() for field in _FIELDS}
    for row in _below(data, "Idata"):
        cells = {_local(child): child for child in row}
        for field, values in columns.items():
            cell = cells.get(field)
            text = "" if cell is None else (cell.text or "").strip()
            values.append(_number(text, field, name))
            if cell is not None and text:
                units[field].add((cell.get("unit") or cell.get("units") or "").strip())
    if not columns["Q"]:
        raise InputError(f"{name}: needs Idata with Q and I; none came; check the file.")
    unit = {field: _one_unit(some, field, name) for field, some in units.items()}
    _require_unit_of_q(unit, name)
    arrays = {field: np.array(values) for field, values in columns.items()}
    present = {field: values for field, values in arrays.items() if np.isfinite(values).any()}
    sample = (_below(entry, "SASsample") or [ElementTree.Element("none")])[0]
    return RawCurves(
        name,
        arrays["Q"],
        arrays["I"][None],
        present["Idev"][None] if "Idev" in present else None,
        present.get("Qdev"),
        present.get("dQl"),
        present.get("dQw"),
        unit["Q"],
        unit["I"],
        title=_text(entry, "Title")[:100],
        sample=(_text(sample, "ID") or sample.get("name") or "")[:100],
        energy=_energy(entry),
        notes=("Idev has another unit than I and is taken in that of I",) * (unit["Idev"] not in ("", unit["I"])),
    )


def _number(text: str, field: str, name: str) -> float:
    """A value; NaN where there is none."""
    try:
        return float(re.sub("[dD]", "e", text)) if text else float("nan")
    except ValueError as error:
        raise InputError(f"{name}: {field} needs numbers; {text[:30]!r} came; mend the file.") from error


def _one_unit(units: set[str], field: str, name: str) -> str:
    """The unit of a column."""
    if len(units) > 1:
        raise InputError(f"{name}: {field} needs one unit; {', '.join(sorted(units))} came; write all in one.")
    return next(iter(units), "")


def _require_unit_of_q(unit: dict[str, str], name: str) -> None:
    """Refuse widths in another unit than that of q."""
    other = [field for field in _OF_Q if unit[field] not in ("", unit["Q"])]
    if other:
        raise InputError(
            f"{name}: needs {other[0]} in the unit of Q, {unit['Q'] or 'which is missing'}; it is in "
            f"{unit[other[0]]}; convert one of them."
        )


def _energy(entry: ElementTree.Element) -> Float[np.ndarray, "one"] | None:
    """Photon energy by the wavelength, where the radiation is said to be X-rays [eV]."""
    for instrument in _below(entry, "SASinstrument"):
        for source in _below(instrument, "SASsource"):
            waves = _below(source, "wavelength")
            if "ray" not in _text(source, "radiation").lower() or not waves:
                continue
            factor = _LENGTHS.get((waves[0].get("unit") or "").lower())
            try:
                length = float(waves[0].text or "nan") * (factor or float("nan"))
            except ValueError:
                continue
            if 0.05 < length < 50.0:
                return np.array([HC / length])
    return None
