"""Entries on one axis of q as one record: a curve, an energy series or a time series."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.names import values_in
from madpipe.base.curves.raw import RawCurves
from madpipe.base.curves.records import Curves
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.errors import InputError
from madpipe.base.warned import warn

_SAME_Q = 1e-4  # relative, between axes that are one, written with few digits
_FROM_FIRST = 1e-2  # relative, between resolutions


def joined(found: Sequence[RawCurves], is_absolute: bool, settings: CurvesSettings, stems: Sequence[str]) -> Curves:
    """Make one record of entries whose q agrees.

    Parameters
    ----------
    found:
        Entries in 1/angstrom, sorted, with errors.
    is_absolute:
        Whether all are in 1/cm.
    settings:
        Energies and times that the files do not say.
    stems:
        Names of the files, where energies and times may stand.

    Raises
    ------
    InputError
        Axes of q that differ; curves that are all the same; the same energy or time twice.
    """
    q = max((one.q for one in found), key=len)
    names = _names(found)
    intensity, sigma = _on_one_axis(found, q, names)
    _refuse_equal(intensity, names)
    energy = _values(found, settings.energies, stems, "energy", len(intensity))
    time = _values(found, settings.times, stems, "time", len(intensity))
    if len(intensity) > 1 and energy is None and time is None:
        warn(
            f"neither energies nor times of the {len(intensity)} curves are known: they stand in the order of the "
            "files; give --energies or --times."
        )
    order = _order(energy, time, len(intensity))
    longest = next(one for one in found if one.q is q)
    _tell_other_widths(found, longest)
    return Curves(
        q=q,
        intensity=intensity[order],
        sigma=sigma[order],
        absolute=int(is_absolute),
        names="\n".join(names[place] for place in order),
        title=next((one.title for one in found if one.title), found[0].name),
        dq=longest.dq,
        slit_length=longest.slit_length,
        slit_width=longest.slit_width,
        energy=None if energy is None else energy[order],
        time=None if time is None else time[order],
        sample=next((one.sample for one in found if one.sample), None),
    )


def _names(found: Sequence[RawCurves]) -> list[str]:
    """A name for each curve, on one line."""
    names = []
    for one in found:
        own = list(one.names) if len(one.names) == len(one.intensity) else []
        if not own:
            several = len(one.intensity) > 1
            own = [f"{one.name} {number}" if several else one.name for number in range(1, len(one.intensity) + 1)]
        names += [" ".join(name.split()) or "curve" for name in own]
    return names


def _on_one_axis(
    found: Sequence[RawCurves], q: Float[np.ndarray, "q"], names: Sequence[str]
) -> tuple[Float[np.ndarray, "curve q"], Float[np.ndarray, "curve q"]]:
    """Intensities and errors on the longest axis; points that a curve lacks are not measured."""
    rows, errors = [], []
    for one in found:
        if len(one.q) == len(q) and (np.abs(one.q - q) <= _SAME_Q * q).all():
            rows.append(one.intensity)
            errors.append(one.sigma)
            continue
        places = np.clip(np.searchsorted(q, one.q), 1, len(q) - 1)
        places -= one.q - q[places - 1] < q[places] - one.q
        if len(set(places)) < len(places) or (np.abs(q[places] - one.q) > _SAME_Q * one.q).any():
            raise InputError(
                f"a series needs curves on one axis of q; {one.name} has {len(one.q)} points from {one.q[0]:.5g} to "
                f"{one.q[-1]:.5g}, another {len(q)} from {q[0]:.5g} to {q[-1]:.5g} / angstrom; rebin them on one axis, "
                "or read each alone."
            )
        row, error = np.zeros((len(one.intensity), len(q))), np.full((len(one.intensity), len(q)), np.inf)
        row[:, places], error[:, places] = one.intensity, one.sigma
        warn(f"{one.name}: {len(q) - len(places)} points of the series' q are missing; they count as not measured.")
        rows.append(row)
        errors.append(error)
    return np.concatenate(rows), np.concatenate([one for one in errors if one is not None])


def _refuse_equal(intensity: Float[np.ndarray, "curve q"], names: Sequence[str]) -> None:
    """Refuse a series whose curves are all the same numbers."""
    if len(intensity) > 1 and (intensity == intensity[0]).all():
        raise InputError(
            f"a series needs curves that differ; all {len(intensity)} are the same numbers "
            f"({names[0][:40]} and so on); check which files were named."
        )


def _values(
    found: Sequence[RawCurves], told: Sequence[float] | None, stems: Sequence[str], kind: str, curves: int
) -> Float[np.ndarray, "curve"] | None:
    """Energies or times: those that were told, else the files' own, else those in the files' names."""
    what = {"energy": "energies", "time": "times"}[kind]
    values: Float[np.ndarray, curve] | None
    if told is not None:
        if len(told) != curves:
            raise InputError(f"{curves} curves need as many {what}; {len(told)} were told; give one for each.")
        values = np.array(told, dtype=np.float64)
    else:
        own = [getattr(one, kind) for one in found]
        known = [one for one in own if one is not None]
        values = np.concatenate(known) if known and len(known) == len(found) else None
        if values is None and len(found) == curves == len(stems) > 1:
            values = values_in(stems, kind)
            if values is not None:
                warn(f"{what} are taken from the files' names: {values[0]:g} to {values[-1]:g} {_UNITS[kind]}.")
        if values is None:
            return None
    if not np.isfinite(values).all() or (kind == "energy" and (values <= 0).any()):
        raise InputError(
            f"{what} need finite numbers{' above 0' if kind == 'energy' else ''}; {values} came; mend them."
        )
    _refuse_twice(values, kind, what)
    return values


_UNITS = {"energy": "eV", "time": "s"}


def _refuse_twice(values: Float[np.ndarray, "curve"], kind: str, what: str) -> None:
    """Refuse a value that two curves have, unless all curves have the same energy."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == len(values) or (kind == "energy" and len(distinct) == 1):
        return
    raise InputError(
        f"a series needs {what} that differ; {int(counts.max())} curves have {distinct[counts.argmax()]:g} "
        f"{_UNITS[kind]}; average those, or leave one out."
    )


def _order(
    energy: Float[np.ndarray, "curve"] | None, time: Float[np.ndarray, "curve"] | None, curves: int
) -> Float[np.ndarray, "curve"] | np.ndarray:
    """Places of the curves by time, else by energy, else as they came."""
    key = time if time is not None else energy
    return np.arange(curves) if key is None else np.argsort(key, kind="stable")


def _tell_other_widths(found: Sequence[RawCurves], longest: RawCurves) -> None:
    """Say where curves have other resolutions than the one that is kept."""
    for what in ("dq", "slit_length", "slit_width"):
        kept = getattr(longest, what)
        for one in found:
            own = getattr(one, what)
            same_size = own is not None and kept is not None and len(own) == len(kept)
            if (own is None) != (kept is None) or (same_size and not np.allclose(own, kept, rtol=_FROM_FIRST)):
                warn(f"{one.name}: its {what} differs from that of {longest.name}, which is taken for all curves.")
                return
