"""Rates of a scheme from a series of curves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.warned import keeping, warn
from madpipe.kinetics.rates.judgement import Judgement, covariance_of, judged, negativity
from madpipe.kinetics.rates.problem import Problem, Tried, problem_of
from madpipe.kinetics.rates.relaxation import relaxation_of
from madpipe.kinetics.rates.search import Window, solutions, window_of
from madpipe.kinetics.rates.settings import RatesSettings
from madpipe.kinetics.records_rates import Rates
from madpipe.kinetics.schemes.concentrations import concentrations, initial_amounts
from madpipe.kinetics.schemes.parse import parse_scheme
from madpipe.kinetics.schemes.response import response_of
from madpipe.kinetics.schemes.scheme import Scheme
from madpipe.kinetics.whitened import Whitened, noise_of, whiten

_UNKNOWN = 0.7  # error of ln k beyond which a rate is not determined: a factor of two
_BEYOND = 3.0  # in ln k outside the window: slower or faster than the frames can show
_NEGATIVE = 5.0  # standard deviations below 0 beyond which a solution is no physical one
_EQUAL = 0.1  # of the noise's variance: deviances that differ by less are equal
_INTEGRATED_STARTS = 24
_DRIFTS = ("none", "beam", "buffer", "both")


@dataclass(frozen=True)
class _Answer:
    """A search's end with what was said of it."""

    drift: str
    problem: Problem
    found: list[Tried]
    judgement: Judgement


@keeping
def fit_rates(curves: Curves, settings: RatesSettings) -> Rates:
    """Fit the parameters of a scheme; the species' curves are free, and eliminated.

    Drift ``auto`` takes the least of none, beam, buffer and both with which the scheme explains the data beyond doubt:
    a drift that is left out biases the rates long before the scheme is rejected. Else it is the least with which the
    scheme is not rejected; where there is none, the scheme is rejected.

    Parameters
    ----------
    curves:
        A series with times.
    settings:
        Scheme, start, instrument, drift.

    Raises
    ------
    InputError
        No times, fewer frames than the scheme has numbers, or a scheme that cannot be read.
    """
    scheme = parse_scheme(settings.scheme)
    whitened = whiten(curves)
    time = _times(curves, scheme)
    window = window_of(scheme.parameters, scheme.law, time + settings.dead_time)
    answer = _answered(settings, scheme, whitened, window, time)
    if answer.judgement.rejected:
        warn(f"{answer.judgement.words}; its rates mean nothing: try another scheme.")
    return _record(curves, whitened, window, answer)


def _times(curves: Curves, scheme: Scheme) -> Float[np.ndarray, " frame"]:
    """Times of the frames, enough of them."""
    if curves.time is None or not np.isfinite(curves.time).all():
        raise InputError("rates: need a time [s] for every frame; none came; give the series with times.")
    distinct, needed = len(np.unique(curves.time)), len(scheme.parameters) + len(scheme.species) + 1
    if distinct < needed:
        raise InputError(
            f"rates: the scheme {scheme.text!r} needs {needed} different times; {distinct} came; give more frames."
        )
    return np.asarray(curves.time, dtype=float)


def _answered(settings: RatesSettings, scheme: Scheme, whitened: Whitened, window: Window, time: np.ndarray) -> _Answer:
    """Search with the least drift that explains the data."""
    response = response_of(time, settings.instrument_time, settings.dead_time)
    initial = initial_amounts(scheme, settings.initial)
    starts = (
        settings.starts if scheme.is_linear or scheme.law != "mass action" else min(settings.starts, _INTEGRATED_STARTS)
    )
    answers: list[_Answer] = []
    for drift in _DRIFTS if settings.drift == "auto" else (settings.drift,):
        try:
            problem = problem_of(whitened, scheme, response, initial, window.centre, drift, settings.non_negative)
        except InputError:
            if settings.drift == "auto":
                continue
            raise
        variance = noise_of(problem.singular, len(time), problem.free_columns).level ** 2
        found = solutions(problem, window, starts, settings.refined, variance)
        answers.append(_Answer(drift, problem, found, judged(problem, found[0].part)))
        if not (answers[-1].judgement.rejected or answers[-1].judgement.doubtful):
            return answers[-1]
    return next((one for one in answers if not one.judgement.rejected), answers[0])


def _record(curves: Curves, whitened: Whitened, window: Window, answer: _Answer) -> Rates:
    """Sort the solutions, physical ones first, and write everything down."""
    problem, judgement = answer.problem, answer.judgement
    variance = judgement.noise.level**2
    parameters = len(problem.scheme.parameters)
    drawn = [_species_curves(problem, whitened, one, variance) for one in answer.found]
    negative = [negativity(*pair) if answer.drift in ("none", "beam") else 0.0 for pair in drawn]
    order = _order(answer.found, negative, parameters, variance)
    best = answer.found[order[0]]
    covariances = [covariance_of(problem, answer.found[place], variance) for place in order]
    logs = np.array([answer.found[place].numbers[:parameters] for place in order])
    errors = np.array([np.sqrt(np.diag(one))[:parameters] for one in covariances])
    amounts, _ = concentrations(problem.scheme, best.numbers[:parameters], problem.response, problem.initial)
    points = whitened.data.size
    scheme = problem.scheme
    relaxation, relaxation_error = relaxation_of(scheme, logs[0], covariances[0][:parameters, :parameters])
    return Rates(
        scheme=scheme.text,
        reading=scheme.reading(),
        parameters="\n".join(scheme.parameters),
        values=np.exp(logs),
        relative_error=errors,
        covariance=covariances[0][:parameters, :parameters],
        chi2=np.array([answer.found[place].part.deviance / points for place in order]),
        negative=np.array([negative[place] for place in order]),
        relaxation=relaxation,
        relaxation_error=relaxation_error,
        undetermined="\n".join(_undetermined(scheme, window, logs[0], errors[0])),
        drift=answer.drift,
        rejected=int(judgement.rejected),
        verdict=judgement.words,
        chi2_floor=judgement.floor,
        noise_level=judgement.noise.level,
        rank=judgement.noise.rank,
        species="\n".join(scheme.species),
        time=np.asarray(curves.time, dtype=float),
        concentration=amounts,
        q=curves.q[whitened.kept],
        curves=drawn[order[0]][0],
        curves_sigma=drawn[order[0]][1],
        beam=_beam(problem, best),
    )


def _order(found: list[Tried], negative: list[float], parameters: int, variance: float) -> list[int]:
    """Physical solutions first, then by deviance; of solutions that exchange rates the one whose first is faster."""
    worse = [int((one.deviance - found[0].deviance) / (_EQUAL * variance)) for one in found]
    return sorted(
        range(len(found)),
        key=lambda place: (negative[place] > _NEGATIVE, worse[place], *(-found[place].numbers[:parameters])),
    )


def _undetermined(scheme: Scheme, window: Window, logs: np.ndarray, errors: np.ndarray) -> list[str]:
    """Names of the parameters that the data do not tell."""
    outside = (logs < window.low - _BEYOND) | (logs > window.high + _BEYOND)
    return [name for name, bad in zip(scheme.parameters, outside | (errors > _UNKNOWN), strict=True) if bad]


def _beam(problem: Problem, best: Tried) -> Float[np.ndarray, " frame"]:
    """Beam of each frame relative to its mean; 1 where it is steady."""
    if problem.mean is None:
        return np.ones(len(problem.weight))
    beam = _unscaled_beam(problem, best)
    return beam / beam.mean()


def _unscaled_beam(problem: Problem, best: Tried) -> np.ndarray:
    """Signal along the mean curve over what the concentrations give at a beam of 1."""
    columns, _ = problem.columns(best.numbers)
    parameters = len(problem.scheme.parameters)
    amounts, _ = concentrations(problem.scheme, best.numbers[:parameters], problem.response, problem.initial)
    place = amounts.argmax(axis=1)[:, None]
    ratio = np.take_along_axis(columns, place, 1) / np.take_along_axis(amounts, place, 1)
    found: np.ndarray = ratio[:, 0]
    return found


def _species_curves(
    problem: Problem, whitened: Whitened, one: Tried, variance: float
) -> tuple[Float[np.ndarray, "species q"], Float[np.ndarray, "species q"]]:
    """Curves of the species and their errors at these rates, the beam's and the frames' scale put back."""
    columns, _ = problem.columns(one.numbers)
    if problem.mean is None:
        scaled = columns
    else:
        beam = _unscaled_beam(problem, one) * whitened.sigma_frame
        scaled = columns / beam.mean()
    inverse = np.linalg.pinv(scaled)
    curves = one.part.curves if problem.non_negative else inverse @ whitened.data
    sigma = np.sqrt(variance * np.square(inverse).sum(axis=1))
    return curves * whitened.sigma_q, sigma[:, None] * whitened.sigma_q
