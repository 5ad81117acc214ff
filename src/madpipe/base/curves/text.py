"""Curves from tables of text: columns by their headings, else by their order, and the dialects of programs."""

import json
import re
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.headings import Heading, columns_told, headings_of
from madpipe.base.curves.names import energy_in, number_of
from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.tables import Table, tables_of
from madpipe.base.curves.units import found_inverse_lengths
from madpipe.base.errors import InputError

_ENTRY = 10  # rows from which a further table is another curve
_WAVELENGTH = re.compile(
    r"(?:wave-?\s?length|lambda)[^\d\n]{0,20}([0-9]+(?:[.,][0-9]+)?)\s*(nm|angstroms?|Å|A)?\b", re.I
)
_LIKE_I = 0.3  # a fit lies that near to the intensities
_FWHM = 2.3548200450309493  # of a Gaussian, in standard deviations
_MOST_UNNAMED = 6  # columns without headings


def read_text(text: str, name: str, suffix: str = "", told: tuple[str, ...] = ()) -> list[RawCurves]:
    """Read the curves of a text.

    Parameters
    ----------
    text:
        Numbers in columns (:func:`madpipe.base.curves.tables.tables_of`) under any heading: plain tables, the .dat of
        BioXTAS RAW and of ATSAS, GNOM's .out, .fit and .fir, NIST's .ABS, ISIS' text, .pdh.
    name:
        Of the file, without its ending.
    suffix:
        The ending, such as ".fit".
    told:
        Names or numbers of the columns of q, intensity, sigma and dq.

    Returns
    -------
    :
        One entry per curve; several where a file holds several tables or several columns of intensity.

    Raises
    ------
    InputError
        No table of numbers; columns that are unclear.
    """
    tables, below = tables_of(text)
    if re.search(r"^\s*S\s+J EXP\s+ERROR", text, re.MULTILINE):
        return [_gnom(tables, name)]
    tables = [part for table in tables for part in _restarted(table)]
    lengths = [len(table.values) for table in tables]
    longest = tables[int(np.argmax(lengths))]
    alike = [table for table in tables if table is longest or _is_another(table, longest)]
    found = [one for table in alike for one in _curves_of(table, tables, name, suffix, told)]
    if len(alike) > 1:
        found = [replace(one, name=f"{number} {one.name}".strip()) for number, one in enumerate(found, 1)]
    head = _head(tables, longest)
    is_pdh = suffix.lower() == ".pdh" or bool(re.match(r"[^\n]*\n\s*SAXS[^\n]*\n(\s*\d+){5,8}\s*\n", text))
    unit = "1/nm" if is_pdh else "1/angstrom" if "### DATA:" in text else ""
    title = _title(head) or name
    length = _wavelength(head)
    return [
        replace(
            one,
            title=title,
            q_unit=one.q_unit or unit,
            energy=one.energy if one.energy is not None else _energies(head, len(one.intensity)),
            wavelength=length,
            notes=one.notes + _left_out(tables, alike) + _analysis(below),
        )
        for one in found
    ]


def _gnom(tables: list[Table], name: str) -> RawCurves:
    """The data of GNOM's output, which has tables of the extrapolated fit and of P(R) too."""
    found = [table.values for table in tables if table.values.shape[1] == 5]
    if not found:
        raise InputError("GNOM's output needs a table of S, J EXP, ERROR, J REG and I REG; none came; check the file.")
    values = max(found, key=len)
    unit = "".join(found_inverse_lengths("\n".join(line for table in tables for line in table.above)) & {"nm"})
    return RawCurves(
        name, values[:, 0], values[None, :, 1], values[None, :, 2], q_unit=f"1/{unit}" if unit else "", names=(name,)
    )


def _is_another(table: Table, longest: Table) -> bool:
    """Whether a table is another curve of the same layout."""
    if len(table.values) < _ENTRY or table.values.shape[1] != longest.values.shape[1]:
        return False
    return not re.search(r"P\(R\)|distance distribution", "\n".join(table.above[-4:]), re.IGNORECASE)


def _restarted(table: Table) -> list[Table]:
    """A table cut where q begins anew from its lowest values: curves one below another."""
    q = table.values[:, 0]
    cuts = [k for k in np.flatnonzero(np.diff(q) < 0) + 1 if q[k] <= 1.5 * q[0] and q[k - 1] > 2.0 * q[0]]
    parts = np.split(table.values, cuts)
    if len(parts) == 1 or min(map(len, parts)) < _ENTRY:
        return [table]
    return [replace(table, above=table.above if number == 0 else (), values=part) for number, part in enumerate(parts)]


def _left_out(tables: list[Table], taken: list[Table]) -> tuple[str, ...]:
    """Say which tables were not read."""
    left = [f"{len(one.values)} lines of {one.values.shape[1]}" for one in tables if one not in taken]
    left = [
        one for one, table in zip(left, (t for t in tables if t not in taken), strict=True) if len(table.values) > 9
    ]
    return (
        f"another table of numbers is left out ({', '.join(left)}); name its columns apart if it is wanted",
    ) * bool(left)


def _head(tables: list[Table], longest: Table) -> tuple[str, ...]:
    """Lines above a table, from the file's first."""
    return tuple(line for table in tables[: tables.index(longest) + 1] for line in table.above)


def _title(head: tuple[str, ...]) -> str:
    """The first line of words above a table."""
    for line in head:
        bare = line.strip("#%!;*'\"/ \t,")
        if re.search(r"[^\W\d_]{2}", bare) and not headings_of((line,), len(bare.split())) and "### DATA" not in line:
            return bare[:100]
    return ""


def _wavelength(head: tuple[str, ...]) -> float | None:
    """Wavelength that a line above states [angstrom]."""
    for line in head:
        said = _WAVELENGTH.search(line)
        if said:
            value = float(said[1].replace(",", ".")) * (10.0 if (said[2] or "").lower() == "nm" else 1.0)
            if 0.05 < value < 50.0:
                return value
    return None


def _energies(head: tuple[str, ...], curves: int) -> Float[np.ndarray, "curve"] | None:
    """Photon energy that a line above states [eV], for all curves."""
    for line in head:
        if re.search(r"energy|photon", line, re.IGNORECASE) and not re.search(r"list|table|range", line, re.IGNORECASE):
            value = energy_in(line) or number_of(line, r"energy[\s_]*[\[(]?(ev|kev)[\])]?")
            if value is not None:
                return np.full(curves, value)
    return None


def _analysis(below: tuple[str, ...]) -> tuple[str, ...]:
    """What BioXTAS RAW keeps below its numbers: radius of gyration and I(0)."""
    lines = [line.lstrip("#").rstrip() for line in below]
    start = next((number for number, line in enumerate(lines) if line.strip().startswith("{")), None)
    if start is None:
        return ()
    try:
        told = json.loads("\n".join(lines[start:]))
        guinier = told["analysis"]["guinier"]
        return (f"the file states Rg = {float(guinier['Rg']):.4f}, I(0) = {float(guinier['I0']):.6g} (its program's)",)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def _curves_of(table: Table, tables: list[Table], name: str, suffix: str, told: tuple[str, ...]) -> list[RawCurves]:
    """Curves of one table."""
    above = _head(tables, table)[-40:]
    values = table.values
    found = headings_of(above, values.shape[1])
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        values = values[:, ~empty]
        kept = [place for place, is_empty in enumerate(empty) if not is_empty]
        found = tuple(found[place] for place in kept) if found else headings_of(above, len(kept))
    searched = found_inverse_lengths("\n".join(above))
    units = searched & {"nm", "angstrom"}
    q_unit = f"1/{next(iter(units))}" if len(units) == 1 else ""
    intensity_unit = "1/cm" if "cm" in searched else ""
    if not found and any(re.search(r"(2|two)[\s_-]*theta", line, re.IGNORECASE) for line in above) and not q_unit:
        found = tuple(Heading("", "", kind) for kind in ("angle", "intensity", "sigma"))[: values.shape[1]]
        found += (Heading("", "", ""),) * (values.shape[1] - len(found))
    if told:
        names = tuple(one.name for one in found or ())
        kinds = ["", *[""] * (values.shape[1] - 1)]
        places = columns_told(told, names, values.shape[1])
        for place, kind in zip(places, ("q", "intensity", "sigma", "dq"), strict=False):
            kinds[place] = kind
        found = tuple(
            Heading(names[place] if names else "", found[place].unit if found else "", kind)
            for place, kind in enumerate(kinds)
        )
    curves = _by_headings(values, found, name) if found else [_by_order(values, name, suffix)]
    return [
        replace(one, q_unit=one.q_unit or q_unit, intensity_unit=one.intensity_unit or intensity_unit) for one in curves
    ]


def _by_headings(values: Float[np.ndarray, "row column"], found: tuple[Heading, ...], name: str) -> list[RawCurves]:
    """Curves whose columns have names."""
    kinds = [one.kind for one in found]
    is_angle = "q" not in kinds
    axis = kinds.index("angle" if is_angle else "q")
    is_angle = is_angle or bool(re.fullmatch(r"deg.*|°", found[axis].unit, re.IGNORECASE))
    places = [place for place, kind in enumerate(kinds) if kind == "intensity"]
    sigmas = [_sigma_of(place, places, kinds) for place in places]
    base = RawCurves(
        name,
        values[:, axis],
        values[:, places].T,
        None if None in sigmas else values[:, [place for place in sigmas if place is not None]].T,
        _widths(values, found, "dq"),
        _widths(values, found, "slit_length"),
        _widths(values, found, "slit_width"),
        "" if is_angle else found[axis].unit,
        is_angle=is_angle,
    )
    energies = [energy_in(found[place].name) for place in places]
    if len(places) > 1 and None not in energies and len(set(energies)) == len(places):
        energy = np.array([energy for energy in energies if energy is not None])
        return [replace(base, names=tuple(found[place].name for place in places), energy=energy)]
    return [
        replace(
            base,
            name=found[place].name if len(places) > 1 else name,
            intensity=values[None, :, place],
            sigma=None if sigma is None else values[None, :, sigma],
            intensity_unit=found[place].unit,
        )
        for place, sigma in zip(places, sigmas, strict=True)
    ]


def _widths(
    values: Float[np.ndarray, "row column"], found: tuple[Heading, ...], kind: str
) -> Float[np.ndarray, "row"] | None:
    """A column of the resolution, as one standard deviation where its name says that it is a full width."""
    for place, one in enumerate(found):
        if one.kind == kind:
            return values[:, place] / (_FWHM if "fwhm" in one.name.lower() else 1.0)
    return None


def _sigma_of(place: int, places: list[int], kinds: list[str]) -> int | None:
    """The column of errors of an intensity: before the next intensity, else the one in the same order."""
    errors = [number for number, kind in enumerate(kinds) if kind == "sigma"]
    later = [other for other in places if other > place]
    between = [number for number in errors if place < number < (later[0] if later else len(kinds))]
    if len(errors) == len(places):
        return errors[places.index(place)]
    if len(places) == 1 and errors:
        return errors[0]
    return between[0] if between else None


def _by_order(values: Float[np.ndarray, "row column"], name: str, suffix: str) -> RawCurves:
    """A curve whose columns have no names: q, intensity, sigma, dq."""
    notes: tuple[str, ...] = ()
    width = values.shape[1]
    counts = values[0, 0] in (0.0, 1.0) and np.array_equal(np.diff(values[:, 0]), np.ones(len(values) - 1))
    if width > 2 and counts and (np.diff(values[:, 1]) > 0).all():
        values, width = values[:, 1:], width - 1
        notes = ("the first column only counts the lines and is left out",)
    if width > _MOST_UNNAMED:
        raise InputError(
            f"a table of {width} columns needs a heading that names them; it has none that is understood; say which "
            "are q, intensity and sigma with --columns 1,2,3 (the key columns)."
        )
    q, intensity = values[:, 0], values[:, 1]
    sigma = values[:, 2] if width > 2 else None
    is_fit = suffix.lower() in (".fit", ".fir")
    if sigma is not None and width == 3 and is_fit and _is_like(sigma, intensity):
        sigma = None
        notes += ("the third column follows the second, as the fit in a .fit does: there are no errors in this file",)
    if sigma is not None and np.nanmedian(np.abs(sigma)) > np.nanmedian(np.abs(intensity)) > 0:
        if width > 4:
            raise InputError(
                f"a table of {width} columns without names needs sigma in the third; it is larger than the second "
                "there; say which are q, intensity and sigma with --columns (the key columns)."
            )
        notes += ("the third column, taken as sigma, is mostly larger than the second; check the columns",)
    dq = values[:, 3] if width > 3 and not is_fit else None
    if dq is not None and _is_like(dq, intensity) and not np.nanmax(np.abs(dq)) < np.nanmax(q):
        dq, notes = None, (*notes, "the fourth column follows the second and is taken as a fit, which is left out")
    one = RawCurves(name, q, intensity[None], None if sigma is None else sigma[None], dq, notes=notes)
    if width == _MOST_UNNAMED and dq is not None:
        return one
    if width > 4:
        one = replace(one, notes=(*notes, f"{width} columns without names: those behind the fourth are left out"))
    return one


def _is_like(values: Float[np.ndarray, "row"], intensity: Float[np.ndarray, "row"]) -> bool:
    """Whether a column follows the intensities, as a fit does."""
    good = np.isfinite(values) & np.isfinite(intensity) & (intensity != 0)
    return bool(good.any() and np.median(np.abs(values[good] / intensity[good] - 1.0)) < _LIKE_I)
