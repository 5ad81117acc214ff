"""Images in CBF with the short header of DECTRIS' Pilatus and Eiger, also compressed by bzip2 or gzip."""

import bz2
import gzip
import io
import re
from collections.abc import Sequence
from pathlib import Path

import fabio
import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file
from madpipe.base.warned import warn
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.measured.images import Images, Source, joined, panel_of

SUFFIXES = (".cbf", ".cbf.bz2", ".cbf.gz")
_HEADER = 1 << 15  # bytes that hold the header
_OPENERS = {".bz2": bz2.BZ2File, ".gz": gzip.GzipFile}
_NUMBER = r"[\s:=(]*([-+0-9.eE]+)"


def is_cbf(path: str | Path) -> bool:
    """Tell by its name whether a file is one of these."""
    return str(path).lower().endswith(SUFFIXES)


def read_cbf(paths: Sequence[str | Path], as_stills: bool = False) -> Images:
    """Read the headers of images; counts are read when they are asked for.

    The detector stands upright across the beam, rows along the horizon, as the header has no word for anything else: in
    our frame (z along the beam, y up) the fast axis is -x and the slow one -y. The electric field lies in the horizon.

    Parameters
    ----------
    paths:
        One image a file.
    as_stills:
        Take images that were measured while the crystal turned for stills.

    Raises
    ------
    InputError
        No file; a header without wavelength, distance, pixel size or beam centre; an image of a rotation; a detector
        that moved between the images.
    """
    return joined([_one(require_file(path, "image in CBF"), as_stills) for path in paths])


def _one(path: Path, as_stills: bool) -> Images:
    """One image."""
    header = _header(path)
    _refuse_rotation(header, path, as_stills)
    wavelength = _length(header, "Wavelength", path)
    fraction = _number(header, "Polarization")
    sideways = np.array([1.0, 0.0, 0.0])
    beam = Beam(np.array([0.0, 0.0, 1.0]), wavelength, polarised=0.0 if fraction is None else 2 * fraction - 1,
                electric=None if fraction is None else sideways)  # fmt: skip
    cutoff, exposure = _number(header, "Count_cutoff"), _number(header, "Exposure_time")
    return Images(
        beams=(beam,),
        panels=(_panel(header, path),),
        sources=(Source(path),),
        exposures=(np.nan if exposure is None else exposure,),
        load=lambda number: (_counts(path),),
        saturation=np.inf if cutoff is None else cutoff,
    )


def _header(path: Path) -> str:
    """Text before the binary part.

    Raises
    ------
    InputError
        It cannot be read, or has no short header.
    """
    opener = _OPENERS.get(path.suffix.lower(), io.FileIO)
    try:
        with opener(path) as file:
            start = file.read(_HEADER)
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: needs an image in CBF; got: {one_line(error)}; copy the file again.") from error
    text = start.split(b"\x0c\x1a\x04\xd5")[0].decode("latin-1")
    if "###CBF" not in text or "header_contents" not in text:
        raise InputError(
            f"{path}: needs CBF with the short header of DECTRIS (_array_data.header_contents); it has none; convert "
            "the image to NXmx."
        )
    return text


def _panel(header: str, path: Path) -> Panel:
    """The detector."""
    sizes = re.search(rf"Pixel_size{_NUMBER}\s*m\s*x\s*([-+0-9.eE]+)", header)
    centre = re.search(rf"Beam_xy{_NUMBER}[\s,]+([-+0-9.eE]+)", header)
    columns, rows = (re.search(rf"X-Binary-Size-{name}-Dimension: *(\d+)", header) for name in ("Fastest", "Second"))
    if sizes is None or columns is None or rows is None:
        raise InputError(f"{path}: needs Pixel_size and the size of the image; its header lacks them; convert to NXmx.")
    if centre is None:
        raise InputError(f"{path}: needs the beam centre (Beam_xy); its header has none; add it.")
    if abs(_number(header, "Detector_2theta") or 0.0) > 1e-3:
        raise InputError(
            f"{path}: needs a detector across the beam; its header has Detector_2theta, without the axis; convert to "
            "NXmx."
        )
    pixel = (1e3 * float(sizes[1]), 1e3 * float(sizes[2]))
    distance = 1e3 * _length(header, "Detector_distance", path)
    origin = np.array([float(centre[1]) * pixel[0], float(centre[2]) * pixel[1], distance])
    sensor = re.search(rf"(\w+) sensor, thickness{_NUMBER}", header)
    return panel_of(
        origin=origin,
        fast=np.array([-1.0, 0.0, 0.0]),
        slow=np.array([0.0, -1.0, 0.0]),
        pixel=pixel,
        shape=(int(rows[1]), int(columns[1])),
        name=str(path),
        thickness=1e3 * float(sensor[2]) if sensor else 0.0,
        material={"silicon": "Si", "cdte": "CdTe", "gaas": "GaAs"}.get(sensor[1].lower(), sensor[1])
        if sensor
        else "Si",
    )


def _length(header: str, name: str, path: Path) -> float:
    """A number that must be there and positive."""
    value = _number(header, name)
    if value is None or not value > 0:
        came = "none" if value is None else f"{value:g}"
        raise InputError(f"{path}: needs a positive {name} in its header; {came} came; add it.")
    return value


def _number(header: str, name: str) -> float | None:
    """A number of the header, None where it is not there or is none."""
    found = re.search(rf"#\s*{name}{_NUMBER}", header)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _refuse_rotation(header: str, path: Path, as_stills: bool) -> None:
    """Refuse an image during which the crystal turned."""
    turned = _number(header, "Angle_increment") or 0.0
    if turned and not as_stills:
        raise InputError(
            f"{path}: needs a still; the crystal turned by {turned:g} degrees (Angle_increment); use a program for "
            "rotation data, or say --as-stills."
        )
    if turned:
        warn(
            f"{path}: the crystal turned by {turned:g} degrees; as a still its spots are wider than mosaicity makes "
            "them."
        )


def _counts(path: Path) -> np.ndarray:
    """Counts of the image.

    Raises
    ------
    InputError
        The binary part is damaged.
    """
    try:
        with fabio.open(str(path)) as image:
            counts: np.ndarray = image.data
    except (OSError, EOFError, ValueError, IndexError, RuntimeError, AttributeError, AssertionError) as error:
        raise InputError(f"{path}: needs a whole image in CBF; got: {one_line(error)}; copy the file again.") from error
    return counts
