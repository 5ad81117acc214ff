"""Units of q, intensity, energy and time, as files and people write them."""

import re

from madpipe.base.errors import InputError

_PER_LENGTH = {"angstrom": 1.0, "nm": 0.1, "um": 1e-4, "mm": 1e-7, "cm": 1e-8, "m": 1e-10}  # to 1/angstrom
_LENGTHS = {
    "angstrom": r"(?i:angstroms?|ångströms?)|[Aa]ng|Å|Å|A|Ã…|\\AA|\\mathrm\{\\AA\}|\\mathring\{A\}",
    "nm": r"nm|(?i:nanomet(?:er|re)s?)",
    "um": r"um|µm|μm|micromet(?:er|re)s?|microns?",
    "mm": r"mm|millimet(?:er|re)s?",
    "cm": r"cm|centimet(?:er|re)s?",
    "m": r"m|met(?:er|re)s?",
}
_ARBITRARY = re.compile(
    r"(a\.?\s*u\.?|arb(itrary|\.)?(\s*units?|\s*u\.?)?\b.*|rel(ative|\.)?(\s*units?)?|none|unitless|dimensionless|1|counts?.*|cts.*|"
    r"photons?.*|detector counts?|ph|adu|normali[sz]ed.*)",
    re.IGNORECASE,
)
_PER_MASS = re.compile(r"(cm|m)\s*(\^|\*\*)?\s*\{?2\}?\s*/?\s*g(\s*(\^|\*\*)?\s*\{?-1\}?)?$", re.IGNORECASE)
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "ps": 1e-12, "min": 60.0, "h": 3600.0}
_LONG_SECONDS = {
    **{"sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "millisecond": 1e-3, "milliseconds": 1e-3},
    **{"microsecond": 1e-6, "microseconds": 1e-6, "nanosecond": 1e-9, "nanoseconds": 1e-9, "minute": 60.0},
    **{"minutes": 60.0, "hour": 3600.0, "hours": 3600.0, "msec": 1e-3, "usec": 1e-6},
}
HC = 12398.419843320026  # [eV angstrom]


def _per(length: str) -> re.Pattern[str]:
    """What "one over a length" looks like: 1/nm, nm^-1, nm-1, nm**-1, nm^{-1}, nm⁻¹, /nm, inverse nm."""
    words = _LENGTHS[length]
    return re.compile(
        rf"(?:1(?:\.0)?\s*/\s*\(?\s*|/\s*|(?i:inverse|reciprocal|inv\.?|per)[\s_]*)(?:{words})\)?"
        rf"|(?:{words})\s*(?i:inverse|reciprocal)|\(?(?:{words})\)?\s*(?:\^|\*\*|\$\^)?\s*\{{?\(?\s*[-\u2212\u2013\u207b]\s*(?:1|\u00b9)(?:\.0)?\s*\)?\}}?\$?"
    )


_PER = {length: _per(length) for length in _LENGTHS}
_SEARCHED = {
    length: re.compile(rf"(?<![A-Za-z0-9/])(?:{_PER[length].pattern})(?![\w])")
    for length in ("angstrom", "nm", "cm", "m")
}


def inverse_length(text: str) -> str | None:
    """Name the length of a unit such as nm^-1; None where it is no inverse length."""
    bare = text.strip().strip("$").strip()
    for length, pattern in _PER.items():
        if pattern.fullmatch(bare):
            return length
    lower = bare.lower()
    for length in ("angstrom", "nm"):
        if _PER[length].fullmatch(lower) or _PER[length].fullmatch(lower.replace("a", "A")):
            return length
    return None


def found_inverse_lengths(text: str) -> set[str]:
    """Names of the lengths whose inverse stands anywhere in a text, of angstrom, nm, cm and m."""
    return {length for length, pattern in _SEARCHED.items() if pattern.search(text)}


def per_angstrom(unit: str) -> float:
    """Factor that brings q from a unit to 1/angstrom.

    Raises
    ------
    InputError
        It is no unit of q.
    """
    length = inverse_length(unit) or (unit.strip().lower() if unit.strip().lower() in ("nm", "angstrom") else None)
    if length is None or length in ("cm", "mm"):
        raise InputError(
            f"q needs a unit such as 1/angstrom or 1/nm; {unit!r} came; say which it is with --unit (the key unit_q)."
        )
    return _PER_LENGTH[length]


def per_cm(unit: str) -> float | None:
    """Factor that brings an intensity from a unit to 1/cm; None where the unit is arbitrary.

    Raises
    ------
    InputError
        It is no unit of an intensity.
    """
    bare = unit.strip()
    length = inverse_length(bare)
    if length == "cm":
        return 1.0
    if length == "m":
        return 0.01
    if length == "mm":
        return 10.0
    plain = re.sub(r"\s*/\s*s(ter(ad(ian)?)?|r)$|\s*s(te)?r(ad)?\^?-1$", "", bare)
    if plain != bare:
        return per_cm(plain)
    if length is None and (_ARBITRARY.fullmatch(bare) or _PER_MASS.fullmatch(bare)):
        return None
    raise InputError(
        f"an intensity needs the unit 1/cm, 1/m, counts or arbitrary; {unit!r} came; say which it is with --absolute "
        "(the key unit_intensity)."
    )


def seconds(unit: str) -> float | None:
    """Factor that brings a time to seconds; None for what is no unit of time."""
    bare = unit.strip()
    return _SECONDS.get(bare, _LONG_SECONDS.get(bare.lower()))


def electronvolts(unit: str) -> float | None:
    """Factor that brings an energy to eV; None for what is no unit of energy."""
    return {"ev": 1.0, "kev": 1e3, "mev": None}.get(unit.strip().lower())
