"""Scans in other formats of diffractometers: Rigaku's .ras, Bruker's .uxd and .brml, and those that are only named."""

import io
import re
import zipfile
import zlib

import numpy as np

from madpipe.base.errors import InputError
from madpipe.rocking.measured.scan import Axis, RawScan, axis_named, one_of, over_longest
from madpipe.rocking.measured.xrdml import parsed

_LARGEST = 1 << 28  # bytes of a file within an archive
_EXPORT = "export it as text of 2 theta and counts (.xy, .txt or .csv)"
BINARY = {  # first bytes of formats that are not read
    b"RAW": "Bruker's binary .raw",
    b"FI": "Rigaku's binary .raw",
    b"\x89HDF": "HDF5; a curve of madpipe ends in .h5",
    b"V3RD": "Philips' binary .rd",
    b"V5RD": "Philips' binary .rd",
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls)",
}


def refuse_binary(first: bytes) -> None:
    """Name a format that is not read, and say how to export.

    Raises
    ------
    InputError
        Always, where the first bytes are those of such a format, or of no text.
    """
    known = next((name for magic, name in BINARY.items() if first.startswith(magic)), None)
    binary = b"\0" in first and not first.startswith((b"\xff\xfe", b"\xfe\xff"))
    if (known and (binary or not known.startswith(("Rigaku", "Bruker")))) or binary:
        raise InputError(f"needs text, .xrdml, .ras, .uxd or .brml; this is {known or 'a binary file'}; {_EXPORT}.")


def read_ras(text: str, number: int | None) -> RawScan:
    """Read a scan of Rigaku's text: lines of angle, intensity and the absorber's factor, which is multiplied in.

    Raises
    ------
    InputError
        No scan, several and no number, or lines that are not numbers.
    """
    blocks = re.findall(r"\*RAS_INT_START\s*\n(.*?)\*RAS_INT_END", text, re.DOTALL)
    heads = re.findall(r"\*RAS_HEADER_START(.*?)\*RAS_HEADER_END", text, re.DOTALL) or [text]
    heads += heads[-1:] * (len(blocks) - len(heads))
    head, block = one_of(list(zip(heads, blocks, strict=False)), number)
    said = {key: value.strip().strip('"') for key, value in re.findall(r"\*(\S+)[ \t]+([^\r\n]*)", head)}
    rows = _rows(block)
    absorber = rows[:, 2] if rows.shape[1] > 2 else None
    if absorber is not None and absorber.min() <= 0:
        raise InputError("factors of the absorber are positive; some are not; check the third column.")
    intensity = rows[:, 1] if absorber is None else rows[:, 1] * absorber
    axis = axis_named(said.get("MEAS_SCAN_AXIS_X", "")) or "two_theta"
    seconds = _seconds_of(said)
    per_second = "s" in re.split(r"counts?|c(?=ps)", said.get("MEAS_SCAN_UNIT_Y", "counts").lower())[-1]
    photons = (seconds if per_second else 1.0) or None
    wavelength = _positive(said.get("HW_XG_WAVE_LENGTH_ALPHA1", ""))
    if said.get("HW_XG_WAVE_LENGTH_UNIT", "").lower() in ("nm", "nanometer") and wavelength:
        wavelength *= 10
    return RawScan(rows[:, 0], intensity, over_longest(None, absorber), axis, "degree", wavelength, photons)


def _seconds_of(said: dict[str, str]) -> float | None:
    """Time of a step: the step over the speed, where that is in degrees per minute, or the speed's own seconds."""
    speed, unit = _positive(said.get("MEAS_SCAN_SPEED", "")), said.get("MEAS_SCAN_SPEED_UNIT", "").lower()
    step = _positive(said.get("MEAS_SCAN_STEP", ""))
    if speed and unit.startswith("s"):
        return speed
    return 60 * step / speed if speed and step and "min" in unit else None


def read_uxd(text: str, number: int | None) -> RawScan:
    """Read a range of Bruker's text: ``_KEY=value`` lines, then pairs of angle and counts, or counts alone.

    Raises
    ------
    InputError
        No range of counts, several and no number, or lines that are not numbers.
    """
    parts = re.split(r"^_((?:2THETA)?(?:COUNTS|CPS))[ \t]*=?[^\n]*\n", text, flags=re.MULTILINE)
    heads, kinds, blocks = parts[0::2], parts[1::2], parts[2::2]
    place, block = one_of(list(enumerate(blocks)), number)
    said: dict[str, str] = {}
    for head in heads[: place + 1]:
        said |= {key: value.strip(" '\"\r") for key, value in re.findall(r"^_(\w+)\s*=([^\n]*)", head, re.MULTILINE)}
    numbers = [line for line in block.splitlines() if re.match(r"\s*[+-]?[.0-9]", line)]
    if kinds[place].startswith("2THETA"):
        angle, intensity = _rows("\n".join(numbers)).T[:2]
    else:
        intensity = np.concatenate([_rows("\n".join(line.split())).ravel() for line in numbers])
        start, step = (_positive(said.get(key, "")) for key in ("START", "STEPSIZE"))
        if start is None or step is None:
            raise InputError("a range of counts alone needs _START and _STEPSIZE; they are not there; export 2 theta.")
        angle = start + step * np.arange(len(intensity))
    seconds = _positive(said.get("STEPTIME", ""))
    photons = seconds if kinds[place].endswith("CPS") else 1.0
    axis, wavelength = axis_named(said.get("DRIVE", "")), _positive(said.get("WL1", ""))
    return RawScan(angle, intensity, None, axis, "degree", wavelength, photons)


def read_brml(content: bytes, number: int | None) -> RawScan:
    """Read a scan of Bruker's archive: lines of time, absorber, axes and counts; the first axis is 2 theta.

    Raises
    ------
    InputError
        No such archive, no scan, several and no number, or absorbers, of which it is not known how they enter.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = sorted(one.filename for one in archive.infolist() if re.search(r"RawData\d+\.xml$", one.filename))
            if any(archive.getinfo(name).file_size > _LARGEST for name in files):
                raise InputError(f"needs scans below {_LARGEST >> 20} MiB; a larger one came; {_EXPORT}.")
            roots = [parsed(archive.read(name).decode("utf-8-sig", "replace")) for name in files]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise InputError(f"needs a .brml archive; it cannot be opened ({error}); {_EXPORT}.") from error
    routes = [one for root in roots for one in root.iter("DataRoute") if one.find("Datum") is not None]
    if not routes:
        raise InputError(f"needs text, .xrdml, .ras, .uxd or .brml; this archive holds no scan; {_EXPORT}.")
    route = one_of(routes, number)
    axes = [one.get("AxisName", "") for one in route.iter("ScanAxisInfo")]
    rows = _rows("\n".join((one.text or "").replace(",", " ") for one in route.iter("Datum")))
    names = [axis_named(name) for name in axes]
    if rows.shape[1] != len(axes) + 3 or not any(names):
        raise InputError(f"needs lines of time, absorber, axes and counts; {rows.shape[1]} numbers came; {_EXPORT}.")
    if np.ptp(rows[:, 1]) > 0:
        raise InputError(f"needs a scan without changing absorbers, as .brml does not say how they enter; {_EXPORT}.")
    axis: Axis = "two_theta" if "two_theta" in names else "omega"
    seconds = rows[:, 0] if rows[:, 0].min() > 0 else None
    enlarged = over_longest(seconds, None)
    counts = rows[:, -1] if enlarged is None else rows[:, -1] * enlarged
    said = next((one.get("Value", "") for root in roots for one in root.iter("WaveLengthAlpha1")), "")
    return RawScan(rows[:, 2 + names.index(axis)], counts, enlarged, axis, "degree", _positive(said), 1.0)


def _rows(text: str) -> np.ndarray:
    """Lines of as many numbers each.

    Raises
    ------
    InputError
        A line is of words, or of another number of numbers.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    try:
        return np.array([[float(word) for word in line] for line in lines]).reshape(len(lines), -1 if lines else 1)
    except ValueError as error:
        raise InputError(f"needs lines of as many numbers each; {error}; check the file.") from error


def _positive(text: str) -> float | None:
    """A positive number, where the text is one."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*", text)
    return float(found[1]) if found and float(found[1]) > 0 else None
