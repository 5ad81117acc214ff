"""Rocking curves from files of diffractometers and from text, and what the file does not say."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping, warn
from madpipe.rocking.config import WAVELENGTH, MeasuredCurve
from madpipe.rocking.limits import IGNORED, LARGEST_TILT, SAME_WAVELENGTH
from madpipe.rocking.measured.angles import in_order, joined, two_theta_of
from madpipe.rocking.measured.diffractometer import read_brml, read_ras, read_uxd, refuse_binary
from madpipe.rocking.measured.photons import photons_of, saturated
from madpipe.rocking.measured.scan import RawScan
from madpipe.rocking.measured.text import read_text
from madpipe.rocking.measured.xrdml import read_xrdml
from madpipe.rocking.records import Curve, InstrumentFunction, curve_of

_ABOVE_HALF = 3  # points of an instrument function above half of its height
_MARKS = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-8-sig": (b"\xef\xbb\xbf",)}


@keeping
def read_curve(path: str | Path, sample: MeasuredCurve) -> Curve:
    """Read a curve from a file.

    Parameters
    ----------
    path:
        Text of 2 theta [degree] and intensity (:func:`madpipe.rocking.measured.text.read_text`), PANalytical's .xrdml,
        Rigaku's .ras, Bruker's .uxd or .brml; the content says which.
    sample:
        What the file does not say. The wavelength is the sample's, else the file's, else that of copper's K-alpha 1.

    Raises
    ------
    InputError
        No such file, a format that is not read, no table of numbers, unknown crystal, an asymmetric reflection, or no
        rocking curve (:func:`madpipe.rocking.records.check_curve`).
    """
    path = Path(path)
    try:
        curve = _curve(path.stem, scan_of(path, sample), sample)
    except InputError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
    if sample.instrument is None:
        return curve
    instrument, half_width = read_instrument(sample.instrument)
    return replace(curve, instrument=instrument, half_width=half_width, lorentzian=0.0)


def scan_of(path: Path, sample: MeasuredCurve | None = None) -> RawScan:
    """Read a scan, by the format that its file's content has.

    Raises
    ------
    InputError
        No such file, a format that is not read, or faults of the format's.
    """
    number = sample.scan if sample is not None else None
    if not path.is_file():
        raise InputError("needs an existing file of 2 theta and intensity; there is none; check the path.")
    content = path.read_bytes()
    if content.startswith(b"PK"):
        return read_brml(content, number)
    refuse_binary(content[:4096])
    text = _decoded(content)
    start = text.lstrip()[:4096]
    if start.startswith("<") and "xrdMeasurement" in start:
        return read_xrdml(text, number)
    if start.startswith("*RAS_"):
        return read_ras(text, number)
    if start.startswith(("_FILEVERSION", "; C:", "_SAMPLE")) or "\n_DRIVE" in start:
        return read_uxd(text, number)
    if start.startswith("<"):
        raise InputError(
            "needs text, .xrdml, .ras, .uxd or .brml; this is other XML; export 2 theta and counts as text."
        )
    if number is not None and number != 1:
        raise InputError(f"a table of text holds one scan; --scan {number} came; leave it out.")
    return read_text(text, sample.columns or () if sample is not None else ())


def read_instrument(path: str | Path) -> tuple[InstrumentFunction, float]:
    """Read a measured instrument function, and tell its half width at half maximum [degree of 2 theta].

    Parameters
    ----------
    path:
        2 theta [degree], wherever its zero, and intensity, in any format of :func:`read_curve`: a scan of what is far
        narrower than the instrument, such as the direct beam.

    Raises
    ------
    InputError
        No such file, not two columns of numbers, negative intensities, angles that do not rise, or no peak that falls
        below half of its height on both sides.
    """
    try:
        scan = scan_of(Path(path))
    except InputError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
    two_theta, intensity = scan.angle, scan.intensity
    if len(two_theta) > 1 and (np.diff(two_theta) < 0).all():
        two_theta, intensity = two_theta[::-1], intensity[::-1]
    finite = np.isfinite(two_theta).all() and np.isfinite(intensity).all()
    if not finite or np.min(intensity) < 0 or np.min(np.diff(two_theta), initial=1.0) <= 0:
        raise InputError(f"{path}: an instrument function needs rising angles and intensities of at least 0; mend it.")
    half = intensity.max() / 2
    above = np.flatnonzero(intensity >= half)
    first, last = above[0], above[-1]
    if len(above) < _ABOVE_HALF or first == 0 or last == len(intensity) - 1:
        raise InputError(
            f"{path}: an instrument function needs {_ABOVE_HALF} points above half of its height and lower ones on "
            f"both sides; {len(above)} of {len(intensity)} are above; scan finer or further."
        )
    left = np.interp(half, intensity[[first - 1, first]], two_theta[[first - 1, first]])
    right = np.interp(half, intensity[[last + 1, last]], two_theta[[last + 1, last]])
    middle = (left + right) / 2
    return InstrumentFunction(two_theta - middle, intensity), float(right - left) / 2


def _decoded(content: bytes) -> str:
    """Text of bytes: by its byte order mark, else UTF-8, else Latin 1, which all bytes are."""
    for encoding, marks in _MARKS.items():
        if content.startswith(marks):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _curve(title: str, scan: RawScan, sample: MeasuredCurve) -> Curve:
    """Bring a scan into the layout of a curve."""
    _check_tilt(scan)
    _check_indices(scan, sample)
    scan = in_order(scan)
    recorded = scan.intensity if scan.enlarged is None else scan.intensity / scan.enlarged
    wavelength = _wavelength(scan, sample)
    if np.min(recorded) < 0:  # said of the file's own numbers
        raise InputError(
            f"counts cannot be negative; {int(np.sum(recorded < 0))} of {len(recorded)} are, the least "
            f"{np.min(recorded):g}; give raw counts, without a background taken off."
        )
    photons = photons_of(recorded, sample.counts_per_unit or scan.photons_per_unit)
    scan = joined(scan)
    two_theta, peak = two_theta_of(scan, sample, wavelength)
    errors = sample.systematic, sample.peak_systematic
    curve = curve_of(sample, wavelength, title, two_theta, scan.intensity * photons, *errors)
    return replace(curve, peak=peak, point_systematic=_point_errors(scan, photons))


def _wavelength(scan: RawScan, sample: MeasuredCurve) -> float:
    """The wavelength that was told, else the file's; a difference is said."""
    if sample.wavelength is None:
        return scan.wavelength or WAVELENGTH
    if scan.wavelength is not None and abs(scan.wavelength / sample.wavelength - 1) > SAME_WAVELENGTH:
        warn(
            f"the file states a wavelength of {scan.wavelength:g} angstrom, {sample.wavelength:g} was told and is "
            "used; strain scales with it; check which is right, and leave --wavelength out where it is the file's."
        )
    return sample.wavelength


def _check_tilt(scan: RawScan) -> None:
    """Refuse an asymmetric reflection."""
    if scan.tilt is not None and abs(scan.tilt) > LARGEST_TILT:
        raise InputError(
            "needs a symmetric reflection, whose planes lie parallel to the surface, as the model has it; omega is "
            f"half of 2 theta {scan.tilt:+.2f} degrees here, so that they are tilted by that; measure a symmetric one."
        )


def _check_indices(scan: RawScan, sample: MeasuredCurve) -> None:
    """Say where the file states another reflection."""
    if scan.indices is not None and sorted(map(abs, scan.indices)) != sorted(map(abs, sample.indices)):
        warn(
            f"the file states the reflection {','.join(map(str, scan.indices))}, {','.join(map(str, sample.indices))} "
            "is fitted; depths and strains are wrong if that is another; give it with --indices."
        )


def _point_errors(scan: RawScan, photons: float) -> np.ndarray | None:
    """Error of each point beside counting the curve's own intensity, relative to it.

    Behind an absorber of factor a, n counts stand for a n photons, known to 1 / sqrt(n) and not 1 / sqrt(a n). n is
    that of the file, at least 1. Saturated points say nothing.
    """
    counts = photons * (scan.intensity if scan.enlarged is None else scan.intensity / scan.enlarged)
    full = saturated(counts)
    found = IGNORED * full
    if scan.enlarged is not None:
        found = np.hypot(found, np.sqrt(np.maximum(1 - 1 / scan.enlarged, 0.0) / np.maximum(counts, 1.0)))
    if full.any():
        warn(
            f"{int(full.sum())} points have the same largest count, {counts.max():g}: the detector saturates there; "
            "they are left out of the fit; measure with an absorber or a shorter time."
        )
    return found if found.any() else None
