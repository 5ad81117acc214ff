"""Curves as the studies take them, from what a file holds: units, order, errors; each odd thing is said in one line."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.curves.noise import estimated_sigma, noise_factor
from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.curves.units import per_angstrom, per_cm
from madpipe.base.errors import InputError
from madpipe.base.warned import warn

FEWEST_POINTS = 10
_CLEARLY_ANGSTROM = 1.0  # q up to which 1/angstrom is assumed: beyond, 1/nm is as likely
_LARGEST_Q = 40.0  # [1/angstrom]: two thirds of it are backscattering at 0.5 angstrom
_CHECKED = 12  # curves of a series whose sigma is looked at
_FAKE = 1e-6  # relative, between sigma and the intensity


def with_units(raw: RawCurves, settings: CurvesSettings) -> tuple[RawCurves, bool]:
    """Bring q to 1/angstrom and intensities to 1/cm where their unit is known.

    Returns
    -------
    :
        The curves, and whether they are on the absolute scale.

    Raises
    ------
    InputError
        A unit that is none, or that cannot be guessed; 2 theta without a wavelength.
    """
    if raw.is_angle:
        raw = _q_of_angles(raw, settings.wavelength or raw.wavelength)
    factor = per_angstrom(_unit_of_q(raw, settings))
    stated = raw.intensity_unit
    unit = settings.unit_intensity or stated
    if settings.unit_intensity and stated and per_cm_or_none(stated) != per_cm(settings.unit_intensity):
        warn(f"{raw.name}: the file states intensities in {stated}, {settings.unit_intensity} was told and is used.")
    scale = per_cm(unit) if unit else None
    if not unit:
        warn(
            f"{raw.name}: the file states no unit of the intensities: they are taken as arbitrary; say --absolute 1/cm "
            "(the key unit_intensity) if they are, or volume fractions are not to be had."
        )
    one = 1.0 if scale is None else scale
    sigma = None if raw.sigma is None else raw.sigma * one
    raw = raw.with_widths(lambda widths: widths * factor)
    return replace(raw, q=raw.q * factor, intensity=raw.intensity * one, sigma=sigma), scale is not None


def per_cm_or_none(unit: str) -> float | None:
    """Factor of a unit of intensity, None for one that is arbitrary or unknown."""
    try:
        return per_cm(unit)
    except InputError:
        return None


def _q_of_angles(raw: RawCurves, wavelength: float | None) -> RawCurves:
    """Curves against q instead of 2 theta [degree]."""
    if wavelength is None:
        raise InputError(
            f"{raw.name}: needs q, 4 pi sin(theta) / wavelength; the file has 2 theta; give the wavelength with "
            "--wavelength (the key wavelength)."
        )
    warn(f"{raw.name}: 2 theta [degree] is converted to q with the wavelength {wavelength:g} angstrom.")
    q = 4 * np.pi * np.sin(np.deg2rad(raw.q) / 2) / wavelength
    return replace(raw, q=q, q_unit="1/angstrom", dq=None, is_angle=False)


def _unit_of_q(raw: RawCurves, settings: CurvesSettings) -> str:
    """The unit that was told, else the file's, else a guess that is said."""
    if settings.unit_q is not None:
        if raw.q_unit and per_angstrom(raw.q_unit) != per_angstrom(settings.unit_q):
            warn(f"{raw.name}: the file states q in {raw.q_unit}, {settings.unit_q} was told and is used; check which.")
        return settings.unit_q
    if raw.q_unit:
        return raw.q_unit
    largest = float(np.nanmax(raw.q, initial=0.0))
    if largest > _CLEARLY_ANGSTROM:
        raise InputError(
            f"{raw.name}: q needs a unit; the file states none and q ends at {largest:.4g}, which may be 1/nm or "
            "1/angstrom; say which with --unit (the key unit_q)."
        )
    warn(
        f"{raw.name}: the file states no unit of q: it is taken in 1/angstrom, since it ends at {largest:.4g}; "
        "say --unit 1/nm (the key unit_q) if it is not."
    )
    return "1/angstrom"


def without_empty(raw: RawCurves) -> RawCurves:
    """Leave out curves of a series that have no intensity at all, as of a beam that was lost, and say which.

    Raises
    ------
    InputError
        No curve has an intensity other than 0.
    """
    seen = np.isfinite(raw.intensity)
    if not (seen & (raw.intensity != 0)).any():
        raise InputError(
            f"{raw.name}: needs intensities other than 0; none of {raw.intensity.size} came; check the file, or its "
            "columns."
        )
    empty = ~seen.any(axis=1)
    if not empty.any():
        return raw
    places = np.flatnonzero(empty)
    told = ", ".join(str(place) for place in places[:10]) + (" and more" if len(places) > 10 else "")
    warn(
        f"{raw.name}: {len(places)} of {len(empty)} curves have no intensity and are left out (from 0: {told}); those "
        "after them move up."
    )
    names = tuple(np.array(raw.names)[~empty]) if len(raw.names) == len(empty) else raw.names
    rows = {kind: getattr(raw, kind) for kind in ("sigma", "energy", "time")}
    kept = {kind: None if values is None else values[~empty] for kind, values in rows.items()}
    return replace(raw, intensity=raw.intensity[~empty], names=names, **kept)


def in_order(raw: RawCurves) -> RawCurves:
    """Leave out points without a q above 0, and sort the others; what was done is said.

    Raises
    ------
    InputError
        Too few points, or q that no scattering reaches.
    """
    good = np.isfinite(raw.q) & (raw.q > 0)
    if not good.all():
        warn(f"{raw.name}: {int((~good).sum())} points have no q above 0 and are left out; check them.")
    seen = np.isfinite(raw.intensity).any(axis=0) & good
    if seen.sum() < good.sum():
        warn(f"{raw.name}: {int(good.sum() - seen.sum())} points have no intensity and are left out.")
    if seen.sum() < FEWEST_POINTS:
        raise InputError(
            f"{raw.name}: a curve needs {FEWEST_POINTS} points with q above 0 and an intensity; "
            f"{int(seen.sum())} came; check the file, or its columns."
        )
    rising = bool((np.diff(raw.q[seen]) >= 0).all())
    if not rising:
        warn(f"{raw.name}: q does not rise from point to point; the points are sorted.")
    order = np.flatnonzero(seen)[np.argsort(raw.q[seen], kind="stable")]
    raw = taken(raw, order)
    if raw.q[-1] > _LARGEST_Q:
        raise InputError(
            f"{raw.name}: q needs to be below {_LARGEST_Q:g} / angstrom; it ends at {raw.q[-1]:.4g}; check its unit "
            "(--unit) and whether the first column is q."
        )
    doubled = int((np.diff(raw.q) == 0).sum())
    if doubled:
        warn(f"{raw.name}: {doubled} values of q stand twice, as where two settings overlap; all points are kept.")
    return raw


def taken(raw: RawCurves, places: Float[np.ndarray, "kept"] | np.ndarray) -> RawCurves:
    """Some of the points."""
    sigma = None if raw.sigma is None else raw.sigma[:, places]
    raw = raw.with_widths(lambda widths: widths[places])
    return replace(raw, q=raw.q[places], intensity=raw.intensity[:, places], sigma=sigma)


def with_widths(raw: RawCurves, settings: CurvesSettings) -> RawCurves:
    """Look at the resolution: widths of 0 are none, negative ones a slit, half of a full slit.

    Raises
    ------
    InputError
        Widths above q at most points.
    """
    if settings.ignore_resolution:
        return replace(raw, dq=None, slit_length=None, slit_width=None)
    dq = _width(raw.dq, raw, "dq")
    length = _width(raw.slit_length, raw, "slit length")
    width = _width(raw.slit_width, raw, "slit width")
    if dq is not None and (dq < 0).all():
        warn(f"{raw.name}: dq is negative throughout, as NIST marks the half height of a slit; it is taken as that.")
        length, dq = np.abs(dq), None
    elif dq is not None:
        _require_narrow(raw, dq)
        dq = np.abs(dq)
    length = _half(length, raw, "slit length", settings)
    return replace(raw, dq=dq, slit_length=length, slit_width=_half(width, raw, "slit width", settings))


def _half(
    widths: Float[np.ndarray, "q"] | None, raw: RawCurves, what: str, settings: CurvesSettings
) -> Float[np.ndarray, "q"] | None:
    """Half of a slit's extent, which the file states as half or, if the person says so, as full; which is said."""
    if widths is None:
        return None
    if (widths < 0).any():
        raise InputError(f"{raw.name}: a {what} needs values of at least 0; {widths.min():g} came; check the column.")
    said = "full; it is halved" if settings.full_slit else "half of the slit's, as canSAS has it; say full_slit if not"
    warn(f"{raw.name}: {what} {np.max(widths):.4g} / angstrom is taken as {said}.")
    return widths / 2 if settings.full_slit else widths


def _width(values: Float[np.ndarray, "q"] | None, raw: RawCurves, key: str) -> Float[np.ndarray, "q"] | None:
    """Widths without NaN; None where all are 0 or missing."""
    if values is None or not (np.isfinite(values) & (values != 0)).any():
        return None
    missing = ~np.isfinite(values)
    if missing.any():
        warn(f"{raw.name}: {int(missing.sum())} points have no {key}; it is taken from their neighbours.")
        values = np.interp(raw.q, raw.q[~missing], values[~missing])
    return values


def _require_narrow(raw: RawCurves, dq: Float[np.ndarray, "q"]) -> None:
    """Refuse a dq that exceeds q at most points, and say so where it does at some."""
    wide = dq > raw.q
    if wide.mean() > 0.5:
        raise InputError(
            f"{raw.name}: dq, one standard deviation of q, needs to be below q; it exceeds q at {int(wide.sum())} of "
            f"{len(dq)} points; name the columns with --columns, or leave it out with ignore_resolution."
        )
    if wide.any():
        warn(f"{raw.name}: dq exceeds q at {int(wide.sum())} points; leave them out of fits, or check the column.")
    if (dq < 0).any():
        warn(f"{raw.name}: {int((dq < 0).sum())} values of dq are negative; their sizes are taken.")


def with_errors(raw: RawCurves, is_counted: bool) -> RawCurves:
    """Give each point an error: the file's, or one from the scatter of its neighbours; infinite where there is none.

    Parameters
    ----------
    raw:
        Curves in order.
    is_counted:
        Whether the intensities are counts, so that the error is their root.
    """
    intensity = raw.intensity
    missing = ~np.isfinite(intensity)
    given = raw.sigma
    if given is not None:
        given = _believable(raw, given, missing)
    sigma = np.full(intensity.shape, np.inf) if given is None else given
    absent = ~np.isfinite(sigma).any(axis=1)
    if absent.any():
        _say_absent(raw, absent, is_counted)
    for row in np.flatnonzero(absent):
        found = np.sqrt(np.maximum(intensity[row], 1.0)) if is_counted else estimated_sigma(raw.q, intensity[row])
        if found is None:
            raise InputError(
                f"{raw.name}: errors need a column of sigma, or more points to estimate them from; {len(raw.q)} points "
                "came without; give sigma."
            )
        sigma[row] = found
    sigma = np.where(missing, np.inf, sigma)
    _tell_wrong(raw, sigma, absent)
    negative = int((intensity < 0).sum())
    if negative:
        warn(f"{raw.name}: {negative} intensities are negative, as after a subtraction; they are kept.")
    return replace(raw, intensity=np.where(missing, 0.0, intensity), sigma=sigma)


def _say_absent(raw: RawCurves, absent: Bool[np.ndarray, "curve"], is_counted: bool) -> None:
    """Say where errors come from."""
    which = "the file has no errors" if absent.all() else f"{int(absent.sum())} curves have no errors"
    source = (
        "the root of the counts"
        if is_counted
        else "the scatter of neighbouring points, which knows no systematic error"
    )
    warn(f"{raw.name}: {which}; sigma is estimated from {source}.")


def _believable(
    raw: RawCurves, sigma: Float[np.ndarray, "curve q"], missing: Bool[np.ndarray, "curve q"]
) -> Float[np.ndarray, "curve q"]:
    """Errors that can be errors: those of 0, below, or without a number are none."""
    good = np.isfinite(sigma) & (sigma > 0)
    bad = ~good & ~missing
    if bad.any() and good.any():
        warn(
            f"{raw.name}: {int(bad.sum())} points have a sigma of 0, below 0 or none; they are marked as not measured, "
            "so that no fit takes them; give their errors if they are good."
        )
    sigma = np.where(good & ~missing, sigma, np.inf)
    size = np.abs(raw.intensity)
    for row in range(len(sigma)):
        points = np.isfinite(sigma[row]) & (size[row] > 0)
        if points.sum() < FEWEST_POINTS:
            continue
        ratio = sigma[row, points] / size[row, points]
        if np.ptp(ratio) < _FAKE * ratio.max() and ratio[0] > 0.99:
            warn(f"{raw.name}: sigma is the intensity itself, which is no error; it is left out and estimated.")
            sigma[row] = np.inf
        elif np.ptp(ratio) < _FAKE * ratio.max():
            warn(
                f"{raw.name}: sigma is {100 * ratio[0]:.3g} % of the intensity at every point: a convention, no "
                "measurement; errors of what is fitted rest on it."
            )
    return sigma


def _tell_wrong(raw: RawCurves, sigma: Float[np.ndarray, "curve q"], absent: Bool[np.ndarray, "curve"]) -> None:
    """Say by which factor errors are wrong, if the scatter of neighbours shows it."""
    rows = [row for row in np.linspace(0, len(sigma) - 1, min(_CHECKED, len(sigma))).astype(int) if not absent[row]]
    found = [noise_factor(raw.q, raw.intensity[row], sigma[row]) for row in rows]
    known = [one for one in found if one is not None]
    wrong = [one for one in known if one.is_wrong]
    if not wrong or 2 * len(wrong) < len(known):
        return
    factor = float(np.median([one.factor for one in wrong]))
    if factor < 1:
        warn(
            f"{raw.name}: neighbouring points scatter {1 / max(factor, 1e-9):.3g} times less than sigma says: the "
            "errors are too large by that factor, or the points are smoothed and depend on each other."
        )
    else:
        warn(
            f"{raw.name}: neighbouring points scatter {factor:.3g} times more than sigma says: the errors are too "
            "small by that factor; chi-square of a right model will be about its square."
        )
