"""Series of curves -> its components, with the band in which each can lie."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.verdict import Verdict, text_of, verdict
from madpipe.kinetics.decompose import pair_distance
from madpipe.kinetics.decompose.advice import best_constraint
from madpipe.kinetics.decompose.bands import Band, Factors, factors_of, find_bands, gauge_of
from madpipe.kinetics.decompose.component import Component, Projection
from madpipe.kinetics.decompose.constraints import components_of
from madpipe.kinetics.decompose.evolving_factors import EvolvingFactors, evolving_factors
from madpipe.kinetics.decompose.mcr import Solution, Stop, resolve
from madpipe.kinetics.decompose.rank import Rank, find_rank
from madpipe.kinetics.decompose.series import Series, chosen_series
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.records_parts import Parts
from madpipe.physics.scattering.guinier import guinier_line

WIDE = 0.1  # band of a share that a user should narrow
_WORSE = 1.1  # chi-square of the constrained answer over that of the best matrix of the rank
_CONTRADICTION = 1.0  # standard deviations
_NOT_CLOSED = 2.0  # of closure's misfit over its noise
_FACTOR = 1.15  # of the noise over the stated sigmas, either way, that is told
_SIGNAL = 0.6  # autocorrelation that noise does not have


@dataclass(frozen=True)
class _Answer:
    """Solution and band in one gauge."""

    concentrations: Float[np.ndarray, "frame component"]
    profiles: Float[np.ndarray, "component q"]
    band: Band
    scale: float  # by which the band's concentrations are divided
    rescaled: Float[np.ndarray, " component"]  # by which the solution's profiles were divided


@warned.keeping
def decompose(curves: Curves, settings: DecomposeSettings, project: Projection | None = None) -> Parts:
    """Find how many components a series has, resolve them under the constraints, and give each its band.

    Parameters
    ----------
    project:
        Puts a law in the place of the concentrations after each step: a kinetic scheme (hard-soft modelling).

    Raises
    ------
    InputError
        The series cannot be decomposed, has no component above its noise, or the settings do not fit it.
    """
    series = chosen_series(curves, settings)
    found = _rank(series, settings)
    count = settings.rank or len(settings.components) or found.rank
    _require_components(count, found, settings, series)
    evolving = evolving_factors(series.block, count, found.threshold, found.noise_factor)
    components = components_of(settings, series, count, evolving)
    solution = _resolved(series, components, settings, project)
    factors = factors_of(series.block, count, series.weights, found.noise_factor)
    answer = _in_gauge(solution, factors, series, components, settings)
    checks = _checks(solution, answer, found, factors, series, settings, count)
    _say(checks, answer, found, factors, series, components, settings)
    return _parts(series, found, evolving, components, solution, answer, checks, settings)


def _resolved(
    series: Series, components: tuple[Component, ...], settings: DecomposeSettings, project: Projection | None
) -> Solution:
    """Resolve the series; where concentrations have one maximum, from two starts, as one may end in the wrong place."""

    def from_start(
        constraints: tuple[Component, ...], start: Float[np.ndarray, "frame component"] | None, iterations: int
    ) -> Solution:
        return resolve(
            series.intensity,
            series.sigma,
            series.q,
            series.weights,
            constraints,
            closure=settings.closure,
            project=project,
            start=start,
            stop=Stop(iterations, settings.change),
        )

    direct = from_start(components, None, settings.iterations)
    if not any(one.unimodal for one in components):
        return direct
    freed = from_start(tuple(replace(one, unimodal=False) for one in components), None, settings.iterations)
    return min(direct, from_start(components, freed.concentrations, settings.iterations), key=lambda one: one.chi2)


def _rank(series: Series, settings: DecomposeSettings) -> Rank:
    """Count the components by parallel analysis."""
    return find_rank(
        series.block,
        series.every_sigma,
        series.weights,
        series.chosen,
        series.subtraction,
        np.random.default_rng(settings.seed),
        settings.draws,
        settings.deviations,
    )


def _require_components(count: int, found: Rank, settings: DecomposeSettings, series: Series) -> None:
    """Refuse a number of components that cannot be."""
    if count == 0:
        raise InputError(
            f"series: needs a component above the noise; the largest singular value is {found.singular_values[0]:.4g}, "
            f"that of noise up to {found.threshold:.4g}; look at the buffer and the sigmas, or give the rank."
        )
    if settings.components and len(settings.components) != count:
        raise InputError(
            f"components: need as many as the rank; {len(settings.components)} of rank {count} came; make them alike."
        )
    most = min(8, *series.intensity.shape)
    if count > most:
        raise InputError(
            f"rank: needs at most {most} components; {count} came; give the rank, or look at drifts of beam and buffer."
        )


def _in_gauge(
    solution: Solution, factors: Factors, series: Series, components: tuple[Component, ...], settings: DecomposeSettings
) -> _Answer:
    """Scale concentrations to fractions, or to shares of the largest signal, and find their band."""
    gauge = gauge_of(factors, settings.closure)
    c, profiles = solution.concentrations.copy(), solution.profiles.copy()
    rescaled, scale = np.ones(len(components)), 1.0
    if gauge.signal is not None:
        rescaled = (profiles / series.weights.q) @ gauge.signal
        rescaled = np.where(np.abs(rescaled) > 1e-9 * np.abs(rescaled).max(), rescaled, 1.0)
        c = c * rescaled
        scale = float(np.max(factors.left @ gauge.vector))
    profiles = profiles / rescaled[:, None]
    if settings.bands:
        band = find_bands(factors, series.q, components, c, settings.closure)
    else:
        band = find_bands(factors, series.q, components, c, settings.closure, blocks=0, only=0)
    return _Answer(c / scale, profiles * scale, band, scale, rescaled / scale)


def _checks(
    solution: Solution,
    answer: _Answer,
    found: Rank,
    factors: Factors,
    series: Series,
    settings: DecomposeSettings,
    count: int,
) -> dict[str, Verdict]:
    """Judge the answer."""
    floor = _floor(factors, series) / _freedom(series, count)
    checks = {
        "components": verdict(
            float(found.rank), float(count), True, "components above the noise are not more than those resolved"
        ),
        "constraints": verdict(
            solution.chi2 / floor,
            _WORSE,
            True,
            "chi-square over that of the best matrix of this rank, per degree of freedom: they cost no more",
        ),
        "contradiction": verdict(
            answer.band.outside, _CONTRADICTION, True, "standard deviations by which no solution obeys all constraints"
        ),
    }
    if settings.bands:
        checks["ambiguity"] = verdict(
            float(answer.band.width().max()), WIDE, True, "widest range of a component's share among all solutions"
        )
    if settings.closure:
        checks["closure"] = verdict(
            gauge_of(factors, True).misfit, _NOT_CLOSED, True, "what is left of a constant sum, over its noise"
        )
    return checks


def _freedom(series: Series, count: int) -> float:
    """Share of the values that a matrix of this rank leaves free: where it fits noise too, constraints need not."""
    frames, points = series.intensity.shape
    return max((frames - count) * (points - count), 1) / (frames * points)


def _floor(factors: Factors, series: Series) -> float:
    """Chi-square of the best matrix of the rank."""
    clean = factors.left @ factors.right * series.weights.q
    return float(np.mean(((series.intensity - clean) / series.sigma) ** 2))


def _say(
    checks: dict[str, Verdict],
    answer: _Answer,
    found: Rank,
    factors: Factors,
    series: Series,
    components: tuple[Component, ...],
    settings: DecomposeSettings,
) -> None:
    """Tell what is wrong, and what would help."""
    if not 1 / _FACTOR < found.noise_factor < _FACTOR:
        warned.warn(
            f"the noise is {found.noise_factor:.2f} times the stated sigmas; rank and bands use the noise found; "
            "look at how the sigmas were made"
        )
    if not checks["components"].passed:
        warned.warn(
            f"{found.rank} components stand above the noise, {len(components)} were resolved: they do not explain the "
            "series; allow for a drift of beam or buffer, or raise the rank"
        )
    if not checks["constraints"].passed:
        warned.warn(
            f"with its constraints the answer has a chi-square {checks['constraints'].value:.3g} times that of the "
            "best matrix of this rank: the constraints do not explain the series; relax them or let it iterate longer"
        )
    if not checks["contradiction"].passed:
        warned.warn(
            f"no solution obeys all constraints: the nearest is {answer.band.outside:.1f} standard deviations outside; "
            "relax one of them"
        )
    if "closure" in checks and not checks["closure"].passed:
        warned.warn(
            "concentrations cannot add up to a constant: the beam or the amount in it drifts; leave closure out"
        )
    if "ambiguity" in checks and not checks["ambiguity"].passed:
        if (checks["ambiguity"].value or 0.0) > 1:
            warned.warn(
                "the constraints do not bound the share of a component (concentrations or curves of either sign): its "
                "band is that of the search, not of the data; give known curves or concentrations"
            )
            return
        better = best_constraint(factors, series.q, components, answer.band, settings.closure)
        warned.warn(
            f"the share of a component can lie anywhere in a range of {checks['ambiguity'].value:.2f}, all with the "
            f"same fit; {better or 'no single further constraint narrows it much: combine several'}"
        )


def _parts(
    series: Series,
    found: Rank,
    evolving: EvolvingFactors,
    components: tuple[Component, ...],
    solution: Solution,
    answer: _Answer,
    checks: dict[str, Verdict],
    settings: DecomposeSettings,
) -> Parts:
    """Make the record."""
    c, band = answer.concentrations, answer.band
    low, high = np.minimum(band.low / answer.scale, c), np.maximum(band.high / answer.scale, c)
    weighted = c / series.weights.frame[:, None]
    noise = found.noise_factor * np.sqrt(np.diag(np.linalg.pinv(weighted.T @ weighted)))
    sigma = noise[:, None] * series.weights.q
    distances, pairs = _pair_distances(components, solution, answer)
    rg, rg_band = _radii(series, components, solution, answer, sigma)
    total = float(np.sum(c.mean(axis=0)))
    share = c.mean(axis=0) / total if total else np.full(len(components), np.nan)
    return Parts(
        q=series.q,
        frame=series.frame,
        names="\n".join(one.name for one in components),
        concentrations=c,
        low=low,
        high=high,
        unit="fraction" if settings.closure else "signal",
        share=share,
        share_band=np.stack([np.minimum(band.share[:, 0], share), np.maximum(band.share[:, 1], share)], axis=1),
        profiles=answer.profiles,
        profiles_sigma=sigma,
        profiles_low=band.profile_low * answer.scale,
        profiles_high=band.profile_high * answer.scale,
        rg=rg,
        rg_band=rg_band,
        distances=distances,
        pair_distances=pairs,
        chi2=solution.chi2,
        chi2_floor=solution.chi2 / (checks["constraints"].value or np.nan) * _freedom(series, len(components)),
        converged=int(solution.converged),
        outside=band.outside,
        rank=found.rank,
        rank_by_edge=found.rank_by_edge,
        singular_values=found.singular_values,
        threshold=found.threshold,
        noise_edge=found.noise_edge,
        noise_factor=found.noise_factor,
        detectable=found.detectable,
        autocorrelation_frame=found.autocorrelation_frame,
        autocorrelation_q=found.autocorrelation_q,
        forward=evolving.forward,
        backward=evolving.backward,
        evolving_threshold=evolving.threshold,
        first=evolving.first,
        last=evolving.last,
        verdict=text_of(checks),
        frame_scale=series.scale,
        time=series.time,
    )


def _pair_distances(
    components: tuple[Component, ...], solution: Solution, answer: _Answer
) -> tuple[Float[np.ndarray, "component r"], Float[np.ndarray, "component r"]]:
    """Distances and P(r) of components that have one; not a number for the others."""
    size = pair_distance.NODES - 2
    distances, pairs = np.full((len(components), size), np.nan), np.full((len(components), size), np.nan)
    for k, (one, found) in enumerate(zip(components, solution.pair_distances, strict=True)):
        if one.d_max is not None and found is not None:
            distances[k], pairs[k] = pair_distance.distances(one.d_max), found / answer.rescaled[k]
    return distances, pairs


def _radii(
    series: Series,
    components: tuple[Component, ...],
    solution: Solution,
    answer: _Answer,
    sigma: Float[np.ndarray, "component q"],
) -> tuple[Float[np.ndarray, " component"], Float[np.ndarray, "component 2"]]:
    """Radius of gyration of each component, by P(r) or else by Guinier's law, and its range over the extremes."""
    rg, band = np.full(len(components), np.nan), np.full((len(components), 2), np.nan)
    for k, (one, found) in enumerate(zip(components, solution.pair_distances, strict=True)):
        line = guinier_line(series.q, answer.profiles[k], sigma[k])
        rg[k] = line.rg if one.d_max is None or found is None else pair_distance.radius_of_gyration(found, one.d_max)
        of_extremes = [guinier_line(series.q, curve[k] * answer.scale, sigma[k]) for curve in answer.band.curves]
        ends = [
            end for it in (line, *of_extremes) for end in (max(it.rg - 2 * it.rg_error, 0.0), it.rg + 2 * it.rg_error)
        ]
        finite = [end for end in (*ends, rg[k]) if np.isfinite(end)]
        band[k] = (min(finite), max(finite)) if finite else (np.nan, np.nan)
    return rg, band
