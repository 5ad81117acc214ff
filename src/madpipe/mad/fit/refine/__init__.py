"""Refinement of nuisances beside the structure factors, the unknowns of every point eliminated exactly."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch

from madpipe.base.errors import InputError
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.refine.report import nuisance_record, resonant_share
from madpipe.mad.fit.refine.search import State, Sums, free_covariance, minimise
from madpipe.mad.fit.refine.starts import first_guess, worthwhile
from madpipe.mad.fit.refine.unknowns import LEAST, Unknowns, unknowns_of
from madpipe.mad.measurement import LEAST_NOISE, Measurement, measurement_from_stack
from madpipe.mad.records import Nuisance, Stack

UNDETERMINED = 0.9  # of the prior's width: an error above it is the prior's, not the data's
_NOISE_ROUNDS = 5
_SAME_NOISE = 1e-4  # relative change of the noise scale at which the weights are final


def refine_nuisances(stack: Stack, refine: Collection[str], config: FitConfig) -> Nuisance:
    r"""Fit nuisances together with the structure factors of every point.

    .. math:: \max_\theta \Big[\sum_p \max_{u_p} \sum_k \ln L(I_{kp} \mid \beta_k b_{kp} + G_k \tau_k\, a_k \cdot u_p)
              - \tfrac12 \theta' P \theta\Big]

    The inner maximum is that of :func:`madpipe.mad.fit.fit.exact.solve`, the outer one is searched in
    :mod:`madpipe.mad.fit.refine.search`; P is the prior's inverse covariance.

    Parameters
    ----------
    stack:
        What was measured; its f', f'', monitor and background are the prior's means.
    refine:
        ``scale``: ln G of every energy, known to the monitor's error. ``offset``: one error of all photon energies
        [eV]. ``dispersion``: f', f'' of every energy (:mod:`madpipe.mad.fit.refine.dispersion`). ``background``:
        ln beta of every energy.
    config:
        Priors, points and iterations.

    Returns
    -------
    :
        Values, errors, priors, correlations with :math:`\ln \sum |F_A|^2`, what is determined, the gauge in words, and
        the measured over the stated standard deviation where the stack states one. An unknown whose error is above
        0.9 of its prior's is left at the prior's mean, and the others are fitted again.

    Raises
    ------
    InputError
        What :func:`madpipe.mad.fit.refine.unknowns.unknowns_of` refuses; no point with more than three intensities
        where f', f'' have no prior.

    Notes
    -----
    A scale common to all energies multiplies all moduli: the weighted geometric mean of the scales is 1. A factor and
    a turn of all f' + i f'', and a shift, change F_A and F_T and no intensity: the prior alone holds them. Where the
    stack's f', f'' are mere start values and there are Friedel mates, those of the last energy are held instead,
    without a prior, and the differences of f' keep the side on which the stack's values are, below the last energy's
    where all are equal.
    """
    unknowns = unknowns_of(stack, refine, config.nuisance)
    least = LEAST if "dispersion" in refine else 0.0
    positive = replace(stack, f_double_prime=np.maximum(stack.f_double_prime, least))
    measurement = worthwhile(measurement_from_stack(positive), config)
    if len(measurement.f0) == 0:
        return _without_points(stack, unknowns)
    theta = first_guess(positive, measurement, unknowns, config)
    state, sums = minimise(measurement, unknowns, theta, config)
    noise = applied = 1.0
    for _ in range(_NOISE_ROUNDS if stack.data_errors is not None else 0):
        noise = applied * _noise_of(state, unknowns)
        if abs(noise / applied - 1) < _SAME_NOISE or noise < LEAST_NOISE:
            break
        applied = noise
        state, sums = minimise(_noisier(measurement, applied), unknowns, state.theta, config)
    final, kept = _without_the_undetermined(_noisier(measurement, applied), unknowns, state, sums, config)
    return nuisance_record(stack, unknowns, kept, final.theta, sums, noise, resonant_share(final))


def _without_points(stack: Stack, unknowns: Unknowns) -> Nuisance:
    """All as the prior has it, which there must be: no point tells anything."""
    if not unknowns.has_prior:
        raise InputError(
            "Refining f', f'' needs reflections with more than three intensities at three energies; there is none; "
            "check that the files index their reflections alike."
        )
    nothing, none = torch.zeros_like(unknowns.width), unknowns.less(unknowns.free)
    sums = Sums(torch.zeros_like(unknowns.precision), nothing, nothing, 0.0, 0.0)
    return nuisance_record(stack, unknowns, none, nothing, sums, 1.0, None)


def _noise_of(state: State, unknowns: Unknowns) -> float:
    """Measured over assumed standard deviation."""
    freedom = float(state.measurement.channels().sum()) - 3 * len(state.measurement.f0) - int(unknowns.free.sum())
    return float((state.solution.chi2.sum() / max(freedom, 1.0)).sqrt())


def _noisier(measurement: Measurement, scale: float) -> Measurement:
    """Multiply the assumed standard deviation."""
    return replace(measurement, noise=measurement.noise.times(scale * scale))


def _without_the_undetermined(
    measurement: Measurement, unknowns: Unknowns, state: State, sums: Sums, config: FitConfig
) -> tuple[State, Unknowns]:
    """Put what the data do not determine back to the prior's mean, and fit the others again."""
    kept = unknowns
    while True:
        spread = free_covariance(kept, sums).diagonal().clamp(min=0).sqrt()
        held = kept.free & (spread > UNDETERMINED * unknowns.width)
        if not bool(held.any()):
            return state, kept
        kept = kept.less(held)
        state, sums = minimise(measurement, kept, state.theta * kept.free, config)
