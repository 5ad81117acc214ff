"""Settings -> constraints of each component on the frames and q that are decomposed."""

import numpy as np

from madpipe.base.errors import InputError
from madpipe.kinetics.decompose.component import Component, Smoothness, require_consistent
from madpipe.kinetics.decompose.evolving_factors import EvolvingFactors
from madpipe.kinetics.decompose.series import Series
from madpipe.kinetics.decompose.settings import ComponentSettings, DecomposeSettings


def components_of(
    settings: DecomposeSettings, series: Series, count: int, evolving: EvolvingFactors
) -> tuple[Component, ...]:
    """Turn settings into constraints on the frames and q that are used.

    Raises
    ------
    InputError
        Smoothness in a time that the series does not have, or constraints that do not fit it.
    """
    given = settings.components or tuple(ComponentSettings(name=f"component {k + 1}") for k in range(count))
    given = tuple(_with_known(one, settings, k == 0, k == count - 1) for k, one in enumerate(given))
    made = []
    for k, one in enumerate(given):
        edges = (int(evolving.first[k]), int(evolving.last[k]) + 1) if settings.ranges == "evolving" else None
        made.append(_component(one, settings, series, edges if edges and edges[0] < edges[1] else None))
    require_consistent(tuple(made), len(series.frame), len(series.q))
    return tuple(made)


def _with_known(
    one: ComponentSettings, settings: DecomposeSettings, is_first: bool, is_last: bool
) -> ComponentSettings:
    """Add that frames at the ends hold one component alone; without closure its own amount there stays free."""
    own = 1.0 if settings.closure else None
    told: dict[str, float | None] = {}
    if settings.known in ("first", "ends"):
        told["at_first"] = own if is_first else 0.0
    if settings.known in ("last", "ends"):
        told["at_last"] = own if is_last else 0.0
    return one.model_copy(update={key: value for key, value in told.items() if value is not None})


def _component(
    one: ComponentSettings, settings: DecomposeSettings, series: Series, edges: tuple[int, int] | None
) -> Component:
    """Constraints of one component."""
    frames, points = len(series.frame), len(series.q)
    if one.first_frame is not None or one.stop_frame is not None:
        edges = (one.first_frame or 0, frames if one.stop_frame is None else one.stop_frame)
    known = np.full(frames, np.nan)
    known[0] = np.nan if one.at_first is None else one.at_first
    known[-1] = known[-1] if one.at_last is None else one.at_last
    return Component(
        name=one.name,
        positive_concentration=one.positive_concentration and not one.constant_in_q,
        positive_profile=one.positive_profile,
        d_max=one.d_max,
        profile_penalty=one.profile_penalty,
        positive_pair_distance=one.positive_pair_distance,
        frames=edges,
        unimodal=(one.unimodal or settings.unimodal) and not one.constant_in_q,
        smooth=None if one.constant_in_q else _smoothness(one, settings, series),
        in_closure=one.in_closure and not one.constant_in_q,
        known_profile=np.full(points, float(np.mean(series.weights.q))) if one.constant_in_q else None,
        known_concentration=known if np.isfinite(known).any() else None,
    )


def _smoothness(one: ComponentSettings, settings: DecomposeSettings, series: Series) -> Smoothness | None:
    """Smoothness on the axis that is asked for."""
    if settings.smooth == "none":
        return None
    time = series.frame.astype(float) if series.time is None else series.time
    if settings.smooth == "log_time":
        if series.time is None or time.min() <= 0:
            raise InputError(
                "smooth: log_time needs a time above 0 for every frame; the series has "
                f"{'none' if series.time is None else f'{time.min():.4g} s'}; leave that frame out, or use time."
            )
        time = np.log10(time)
    if (np.diff(time) <= 0).any():
        raise InputError("smooth: needs times that rise from frame to frame; others came; sort the series by time.")
    ends = settings.smooth_ends or (float(time[0]), float(time[-1]))
    if settings.smooth_ends is not None and settings.smooth == "log_time":
        ends = (float(np.log10(max(ends[0], 1e-300))), float(np.log10(max(ends[1], 1e-300))))
    if ends[0] >= ends[1] or ends[0] > time[0] or ends[1] < time[-1]:
        raise InputError(
            f"smooth_ends: need the times of all frames between them, above 0 for log_time; {settings.smooth_ends} s "
            "came; widen them."
        )
    return Smoothness(
        axis=time,
        ends=ends,
        nodes=min(settings.nodes, len(time)) if settings.smooth_penalty is None else settings.nodes,
        penalty=settings.smooth_penalty,
        parameters=settings.smooth_parameters,
        zero_first=one.zero_first,
        zero_last=one.zero_last,
    )
