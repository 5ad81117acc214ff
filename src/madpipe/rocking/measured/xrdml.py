"""Scans in the XML of PANalytical's diffractometers (.xrdml, schemas 1.0 to 2.x)."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.rocking.measured.scan import RawScan, axis_named, one_of, over_longest

_Element = ElementTree.Element


def read_xrdml(text: str, number: int | None) -> RawScan:
    """Read a scan.

    Counts (schema 2) are as recorded, and absorbers' factors are multiplied in here; intensities (schema 1) have them
    already. Both are counts in the counting time.

    Parameters
    ----------
    text:
        The file.
    number:
        Which of its scans, from 1; None: the only one.

    Raises
    ------
    InputError
        No XML, no complete scan, several scans and no number, lists of several lengths, a map of several detector
        positions, or a factor that corrects the divergence.
    """
    root = parsed(text)
    scans = list(_named(root, "scan"))
    scan = one_of(scans, number)
    points = _first(scan, "dataPoints")
    if points is None:
        raise InputError("needs a scan that was measured; this one has no dataPoints; open the file's measurement.")
    intensity, enlarged = _intensities(points)
    axis = axis_named(scan.get("scanAxis", "")) or "two_theta"
    positions = {one.get("axis", ""): _positions(one, len(intensity)) for one in _named(points, "positions")}
    name = "Omega" if axis == "omega" else "2Theta"
    if name not in positions:
        raise InputError(f"needs positions of {name}; the scan has {', '.join(positions) or 'none'}; export 2 theta.")
    both = "Omega" in positions and "2Theta" in positions
    tilt = float(np.mean(positions["Omega"] - positions["2Theta"] / 2)) if both else None
    return RawScan(positions[name], intensity, enlarged, axis, "degree", _wavelength(root), 1.0, _indices(root), tilt)


def parsed(text: str) -> _Element:
    """Parse XML that declares no entities.

    Raises
    ------
    InputError
        It cannot be parsed, or declares entities, which could be as large as memory.
    """
    if "<!ENTITY" in text:
        raise InputError("needs XML without entities of its own; it declares some; export the file again.")
    try:
        return ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise InputError(f"needs well-formed XML; {one_line(error)}; export the file again.") from error


def _intensities(points: _Element) -> tuple[np.ndarray, np.ndarray | None]:
    """Intensities on one scale, and how much larger they are than what was recorded."""
    if _text(points, "divergenceCorrections") or _text(points, "commonDivergenceCorrection"):
        raise InputError("needs counts without a correction of the divergence; it has one; measure with fixed slits.")
    found = next(((name, said) for name in ("counts", "intensities") if (said := _text(points, name))), None)
    if found is None:
        raise InputError("needs counts or intensities; the scan has neither; check the file.")
    values = _list(found[1])
    absorber = _list_of(points, "beamAttenuationFactors", "commonBeamAttenuationFactor", len(values))
    seconds = _list_of(points, "countingTimes", "commonCountingTime", len(values))
    if absorber is not None and found[0] == "counts":
        values = values * absorber
    enlarged = over_longest(seconds, absorber)
    if seconds is not None:
        values = values * (seconds.max() / seconds)
    return values, enlarged


def _list_of(points: _Element, many: str, one: str, count: int) -> np.ndarray | None:
    """Numbers of all points, from a list, or one for all.

    Raises
    ------
    InputError
        A list of another length, or numbers that are not positive.
    """
    said = _text(points, many) or _text(points, one)
    if not said:
        return None
    found = _list(said)
    if len(found) not in (1, count) or not (np.isfinite(found).all() and found.min() > 0):
        raise InputError(f"{many} need {count} positive numbers, as many as points; {len(found)} came; check the file.")
    return np.broadcast_to(found, count).copy()


def _positions(one: _Element, count: int) -> np.ndarray:
    """Positions of an axis: even between two ends, a list, or one for all.

    Raises
    ------
    InputError
        None of these, or a list of another length.
    """
    start, end = _text(one, "startPosition"), _text(one, "endPosition")
    if start and end:
        return np.linspace(_list(start)[0], _list(end)[0], count)
    found = _list(_text(one, "listPositions") or _text(one, "commonPosition") or "")
    if len(found) not in (1, count):
        raise InputError(
            f"positions of {one.get('axis')} need a start and an end, or {count} numbers, as many as points; "
            f"{len(found)} came; check the file (a map of an area detector is no curve)."
        )
    return np.broadcast_to(found, count).copy()


def _wavelength(root: _Element) -> float | None:
    """K-alpha 1, or the intended wavelength [angstrom]."""
    said = next((found for one in _named(root, "usedWavelength") if (found := _text(one, "kAlpha1"))), None)
    value = float(_list(said)[0]) if said else 0.0
    return value if value > 0 else None


def _indices(root: _Element) -> tuple[int, ...] | None:
    """Indices of the reflection, where the file states them."""
    for one in _named(root, "hkl"):
        said = [_text(one, name) for name in ("h", "k", "l")]
        if all(said):
            return tuple(round(float(_list(str(word))[0])) for word in said)
    return None


def _named(element: _Element, name: str) -> Iterator[_Element]:
    """All elements of a name below one, whatever their namespace."""
    return (one for one in element.iter() if one.tag.rsplit("}", 1)[-1] == name)


def _first(element: _Element, name: str) -> _Element | None:
    """The first of these."""
    return next(_named(element, name), None)


def _text(element: _Element, name: str) -> str | None:
    """Text of the first element of a name."""
    found = _first(element, name)
    return (found.text or "").strip() or None if found is not None else None


def _list(text: str) -> np.ndarray:
    """Numbers of a text.

    Raises
    ------
    InputError
        A word is none.
    """
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InputError(f"needs numbers; {error}; check the file.") from error
