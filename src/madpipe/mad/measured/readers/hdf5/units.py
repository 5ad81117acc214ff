"""Units in the spellings that files use, as factors to ours."""

import re
import unicodedata

ENERGY = {  # eV
    **dict.fromkeys(("ev", "electronvolt", "electronvolts"), 1.0),
    **dict.fromkeys(("kev", "kiloelectronvolt", "kiloelectronvolts"), 1e3),
    **dict.fromkeys(("j", "joule", "joules"), 1 / 1.602176634e-19),
}
LENGTH = {  # angstrom
    **dict.fromkeys(("a", "å", "aa", "ang", "angs", "angstrom", "angstroms", "ångström", "ångströms", "ångstrom"), 1.0),
    **dict.fromkeys(("pm", "picometer", "picometre", "picometers", "picometres"), 1e-2),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 10.0),
    **dict.fromkeys(("um", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e7),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e8),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e10),
}
ANGLE = {  # degree
    **dict.fromkeys(("deg", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 57.29577951308232),
}
SPELLINGS = {
    "energy": "eV, keV, J",
    "length": "angstrom, nm, um, mm, m",
    "inverse length": "1/angstrom, A^-1, A-1, 1/nm, nm^-1, 1/m",
    "angle": "degree, radian",
}
_INVERSE = re.compile(
    r"(?:rad(?:ians?)?)?(?:1?/|per_?|inv(?:erse)?_?|reciprocal_?)\(?(?P<below>[^\W\d_]+)\)?"
    r"|(?P<power>[^\W\d_]+)(?:\^|\*\*)?\(?-1\)?"
)


def factor_of(unit: str, kind: str) -> float | None:
    """Give what a unit of energy, length, inverse length or angle is in ours; None where it is none of these.

    Upper and lower case, blanks, superscripts, TeX's braces and the two letters Å are alike: ``1/Å``, ``A-1``,
    ``Angstrom^{-1}``, ``inverse angstrom``, ``nm⁻¹``. Millions of electronvolts are no photon energy here.
    """
    word = _folded(unit)
    if kind == "inverse length":
        match = _INVERSE.fullmatch(word)
        length = LENGTH.get(match["below"] or match["power"]) if match else None
        return None if length is None else 1 / length
    return {"energy": ENERGY, "length": LENGTH, "angle": ANGLE}[kind].get(word)


def _folded(unit: str) -> str:
    """A unit without what spellings differ in."""
    text = unicodedata.normalize("NFKC", unit).lower().replace("\N{MINUS SIGN}", "-")
    return re.sub(r"[\s$\\{}.·]", "", text)
