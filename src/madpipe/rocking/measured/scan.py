"""A scan as its file has it, whatever the format: angles, intensities, and what the file says of both."""

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError

Axis = Literal["two_theta", "omega"]
AngleUnit = Literal["degree", "arcmin", "arcsec", "mrad", "radian"]

_Scan = TypeVar("_Scan")
_Points = Float[np.ndarray, "point"]
_UNITS: dict[str, AngleUnit] = {
    "deg": "degree",
    "°": "degree",
    "arcmin": "arcmin",
    "arcsec": "arcsec",
    "mrad": "mrad",
    "rad": "radian",
}
_PLAIN = str.maketrans({"θ": "theta", "ϑ": "theta", "ω": "omega", "Θ": "theta", "Ω": "omega"})


@dataclass(frozen=True)
class RawScan:
    """One scan of a file."""

    angle: _Points  # in the file's unit
    intensity: _Points  # of one scale: absorbers and counting times are put right
    enlarged: _Points | None = None  # intensity over what was recorded for it; None: 1
    axis: Axis | None = None  # None: the file does not say
    unit: AngleUnit | None = None
    wavelength: float | None = None  # angstrom
    photons_per_unit: float | None = None  # what the file says of its intensities: 1 for counts, seconds for a rate
    indices: tuple[int, ...] | None = None
    tilt: float | None = None  # omega less half of 2 theta [degree]: of the lattice planes against the surface


def axis_named(name: str) -> Axis | None:
    """Which axis a name means; one that turns sample and detector together is given by its 2 theta.

    Names are those of diffractometers and of columns: ``Omega-2Theta``, ``2Theta/Theta``, ``TwoThetaOmega``, ``Gonio``,
    ``COUPLED``, ``Th2Th``; or ``Omega``, ``Theta``, ``Rocking``.
    """
    word = re.sub(r"[^a-z0-9]", "", name.lower().translate(_PLAIN))
    if re.search(r"2th|2theta|twotheta|tth|ttheta|gonio|coupled|locked", word):
        return "two_theta"
    return "omega" if re.match(r"(omega|om$|theta|th$|samplerock|rocking)", word) else None


def unit_named(name: str) -> AngleUnit | None:
    """Unit of angles that a name contains, as ``2theta (deg)`` or ``omega [arcsec]``."""
    word = name.lower()
    if re.search(r"arc\s?-?sec|\bsec\b|seconds? of arc|[″\"]\s*[)\]]", word):
        return "arcsec"
    if re.search(r"arc\s?-?min", word):
        return "arcmin"
    found = re.search(r"mrad|\brad|deg|°", word)
    return _UNITS[found[0]] if found else None


def over_longest(seconds: _Points | None, absorber: _Points | None) -> _Points | None:
    """How much larger intensities for the longest time and no absorber are than what was recorded.

    Parameters
    ----------
    seconds:
        Counting time of each point [s].
    absorber:
        Factor that weakened the beam at each point, at least 1.
    """
    parts = [] if absorber is None else [absorber]
    if seconds is not None and np.ptp(seconds) > 1e-6 * seconds.max():
        parts.append(seconds.max() / seconds)
    return np.prod(parts, axis=0) if parts else None


def one_of(scans: list[_Scan], number: int | None) -> _Scan:
    """Choose one of a file's scans, by its number from 1; None: the only one.

    Raises
    ------
    InputError
        There is none, or none of that number, or several and no number.
    """
    if not scans:
        raise InputError("needs a scan; it holds none; check the file.")
    if number is None and len(scans) > 1:
        raise InputError(f"needs one scan; it holds {len(scans)}; say which with --scan 1 to {len(scans)} (key scan).")
    if number is not None and not 1 <= number <= len(scans):
        raise InputError(f"needs a scan from 1 to {len(scans)}, which it holds; {number} came; choose another.")
    return scans[(number or 1) - 1]
