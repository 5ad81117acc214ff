"""Rocking curves from text: two columns, 2 theta and intensity, and what the file does not say."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from madpipe.base.errors import InputError
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.records import Curve, InstrumentFunction, curve_of

_ABOVE_HALF = 3  # points of an instrument function above half of its height
_COMMENT = re.compile(r"[#;%!].*")


def read_curve(path: str | Path, sample: MeasuredCurve) -> Curve:
    """Read a curve from a text file of two columns.

    Parameters
    ----------
    path:
        Lines of 2 theta [degree] and intensity, separated by blanks, tabs, commas or semicolons; a head of words
        and comments are left out.
    sample:
        What the file does not say.

    Raises
    ------
    InputError
        No such file, not two columns of numbers, unknown crystal, or no rocking curve
        (:func:`madpipe.rocking.records.check_curve`).
    """
    path = Path(path)
    rows = _rows(path)
    two_theta, intensity = rows[:, 0], rows[:, 1]
    try:
        photons = sample.counts_per_unit or counts_per_unit(intensity)
        errors = sample.systematic, sample.peak_systematic
        curve = curve_of(sample, path.stem, two_theta, intensity * photons, *errors)
    except InputError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
    if sample.instrument is None:
        return curve
    instrument, half_width = read_instrument(sample.instrument)
    return replace(curve, instrument=instrument, half_width=half_width, lorentzian=0.0)


def read_instrument(path: str | Path) -> tuple[InstrumentFunction, float]:
    """Read a measured instrument function, and tell its half width at half maximum [degree of 2 theta].

    Parameters
    ----------
    path:
        Lines of 2 theta [degree], wherever its zero, and intensity, as in :func:`read_curve`: a scan of what is far
        narrower than the instrument, such as the direct beam.

    Raises
    ------
    InputError
        No such file, not two columns of numbers, negative intensities, angles that do not rise, or no peak that falls
        below half of its height on both sides.
    """
    rows = _rows(Path(path))
    two_theta, intensity = rows[:, 0], rows[:, 1]
    if not np.isfinite(rows).all() or np.min(intensity) < 0 or np.min(np.diff(two_theta), initial=1.0) <= 0:
        raise InputError(f"{path}: an instrument function needs rising angles and intensities of at least 0; mend it.")
    half = intensity.max() / 2
    above = np.flatnonzero(intensity >= half)
    first, last = above[0], above[-1]
    if len(above) < _ABOVE_HALF or first == 0 or last == len(rows) - 1:
        raise InputError(
            f"{path}: an instrument function needs {_ABOVE_HALF} points above half of its height and lower ones on "
            f"both sides; {len(above)} of {len(rows)} are above; scan finer or further."
        )
    left = np.interp(half, intensity[[first - 1, first]], two_theta[[first - 1, first]])
    right = np.interp(half, intensity[[last + 1, last]], two_theta[[last + 1, last]])
    middle = (left + right) / 2
    return InstrumentFunction(two_theta - middle, intensity), float(right - left) / 2


def _rows(path: Path) -> np.ndarray:
    """The file's first two columns."""
    if not path.is_file():
        raise InputError(
            f"{path}: needs an existing text file of 2 theta and intensity; there is none; check the path."
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", _COMMENT.sub("", line).strip()) if word]
        if not words:
            continue
        try:
            rows.append([float(word) for word in words[:2]])
        except ValueError as error:
            if not rows:
                continue  # a head
            raise InputError(
                f"{path}: line {number} needs two numbers; it is {line.strip()[:60]!r}; mend it."
            ) from error
        if len(words) < 2:
            raise InputError(f"{path}: line {number} needs 2 theta and intensity; it has one number; mend it.")
    if not rows:
        raise InputError(f"{path}: needs lines of 2 theta and intensity; no number came; check the file.")
    return np.array(rows)


def counts_per_unit(intensity: np.ndarray) -> float:
    """Photons that one unit of a file's intensity stands for: where all are multiples of one number, that is a photon.

    Where they are not, one unit is taken for one photon.
    """
    values = np.unique(intensity[intensity > 0])
    if len(values) < 2:
        return 1.0
    for divisor in range(1, 21):
        quantum = values[0] / divisor
        multiples = values[values < 60 * quantum] / quantum
        if len(multiples) >= 5 and np.all(np.abs(multiples - np.round(multiples)) < 0.05):
            return 1.0 / quantum
    return 1.0
