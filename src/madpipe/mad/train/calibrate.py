"""Calibration of a trained network: its errors against those it makes on measurements of particles it never saw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import device, progress
from madpipe.mad.answer import answer
from madpipe.mad.calibration import CONTRAST, QUANTITIES, factors_of, group_of, key
from madpipe.mad.config import TrainConfig
from madpipe.mad.fit import structure_factors
from madpipe.mad.forward import real_parameters
from madpipe.mad.measurement import Measurement, without_counts
from madpipe.mad.network import Network
from madpipe.mad.predict import contrast_of, predict
from madpipe.mad.records import PHASES
from madpipe.mad.train.exposures import Conditions, Draw, draw_conditions, scattered
from madpipe.mad.train.scenes import Scenes
from madpipe.mad.weights import TrainedNetwork
from madpipe.physics.noise import poisson

_POINTS = 1 << 18  # per pass
_SHELLS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e7)  # photons per point and energy
_BRIGHTER = 30.0  # photons of a volume over those of a frame
_ABSENT = 1e-5  # of |F_T|: a control's missing atoms, but for rounding
_GROUPS = 3  # of energies, by their contrast
_LEAST_SAMPLES = 60  # for more than one group
_Columns = dict[str, Tensor]


@dataclass(frozen=True)
class Measured:
    """A particle measured and answered."""

    photons: Float[Tensor, "point"]  # over all energies, as the network found them
    answers: tuple[_Columns, _Columns]  # deviations over errors, before and after refinement
    mean: Float[Tensor, "point"]  # expected photons per energy
    contrast: float  # of the energies


def calibrate(
    trained: TrainedNetwork, config: TrainConfig, frames: Scenes, volumes: Scenes, generator: torch.Generator
) -> TrainedNetwork:
    """Measure the errors of a network, and give it the factors that make its error bars right.

    Parameters
    ----------
    trained:
        Network whose errors are as it claims them.
    config:
        The training's: edges, energies and photons are drawn as there, without disturbances.
    frames, volumes:
        Particles that it was not trained on; each is measured once.
    generator:
        Draws the measurements.

    Returns
    -------
    :
        The network with its factors, and the relative rms errors of |F_A| and |F_N| that it made, by photons per point
        and energy.
    """
    network = trained.network().to(device())
    clean = config.model_copy(update={"prior": config.prior.model_copy(update={"disturbed": 0.0, "gap_share": 0.0})})
    factors, scores = {}, {}
    for ndim, scenes in ((2, frames), (3, volumes)):
        if not len(scenes) or (ndim == 3 and config.network != "frames"):
            continue
        samples = [
            measured_particle(network, clean, scenes, number, generator)
            for number in progress(range(len(scenes)), f"calibration in {ndim} dimensions")
        ]
        edges = _contrast_edges(samples) if ndim == 2 and config.network == "frames" else None
        if edges is not None:
            factors[CONTRAST] = edges
        for refine in (False, True):
            for group in range(_GROUPS if edges is not None else 1):
                chosen = [sample for sample in samples if group_of(sample.contrast, edges) == group]
                factors[key(ndim, refine=refine, group=group)] = _factors(chosen, refine)
            found = [sample.answers[refine] for sample in samples]
            scores[key(ndim, refine=refine)] = scores_of(found, [sample.mean for sample in samples])
    return replace(trained, calibration=factors).with_about(validation=scores)


def _contrast_edges(samples: Sequence[Measured]) -> Float[Tensor, "edge"] | None:
    """Edges of groups of energies alike in contrast and number; none where there are few samples."""
    if len(samples) < _LEAST_SAMPLES:
        return None
    contrasts = torch.tensor([sample.contrast for sample in samples], dtype=torch.float64)
    return contrasts.quantile(torch.arange(1, _GROUPS, dtype=torch.float64) / _GROUPS)


def _factors(samples: Sequence[Measured], refine: bool) -> Float[Tensor, "quantity share bin"]:
    """Factors from some of the samples."""
    found = [sample.answers[refine] for sample in samples]
    deviations, shares = (
        {name: torch.cat([one[name + ending] for one in found]) for name in QUANTITIES} for ending in ("", "_share")
    )
    return factors_of(deviations, shares, torch.cat([sample.photons for sample in samples]))


def measured_particle(
    network: Network, config: TrainConfig, scenes: Scenes, number: int, generator: torch.Generator
) -> Measured:
    """Measure a particle and answer it."""
    draw = Draw(generator)
    energies = len(config.energies_ev) if config.network == "unet_patches" else draw.whole(*config.prior.energies)
    conditions = draw_conditions(config, energies, config.prior.photons[0], generator)
    if scenes.resonant.ndim == 4:
        conditions = replace(conditions, photons=conditions.photons * _BRIGHTER)
    pair = torch.stack([scenes.resonant[number : number + 1], scenes.other[number : number + 1]])
    intensity, f_total, f_resonant = scattered(pair, [conditions], whole=True)
    measurement = measured(intensity[0], conditions, generator)
    prediction, photons = predict(network, measurement, tuple(intensity.shape[2:]), _POINTS)
    truth = _truth(f_total[0], f_resonant[0])
    answers = [_deviations(*answer(measurement, prediction, refine=refine), truth) for refine in (False, True)]
    mean = intensity[0].double().mean(0).flatten()
    return Measured(photons, (answers[0], answers[1]), mean, contrast_of(network, measurement))


def measured(
    intensity: Float[Tensor, "energy *axes"], conditions: Conditions, generator: torch.Generator
) -> Measurement:
    """Draw counts of intensities at unit exposure [photon]."""
    flat = intensity.flatten(1).double()
    blank = without_counts(conditions.f_prime, conditions.f_double_prime, conditions.f0, flat.shape[1])
    expected = flat * conditions.exposure[:, None]
    return replace(blank, intensity=poisson(expected, generator), exposure=conditions.exposure)


def _truth(f_total: Tensor, f_resonant: Tensor) -> _Columns:
    """True quantities of every point; NaN where a phase has no meaning."""
    theta = real_parameters(f_total, f_resonant).flatten(1).double()
    columns = structure_factors(theta, torch.ones(6, theta.shape[1], dtype=torch.float64), exact=True)
    truth = {name: columns[name] for name in QUANTITIES}
    for name, other in zip(PHASES, ("f_resonant", "f_normal"), strict=True):
        least = torch.minimum(truth["f_resonant"], truth[other])
        truth[name] = torch.where(least > _ABSENT * truth["f_total"], truth[name], torch.nan)
    return truth


def _deviations(columns: _Columns, shares: _Columns, truth: _Columns) -> _Columns:
    """Answer less truth over the claimed error, by quantity; shares of the counts; squares that scores are made of."""
    found = {f"{name}_share": share for name, share in shares.items()}
    for name in QUANTITIES:
        off = columns[name] - truth[name]
        if name in PHASES:
            off = torch.remainder(off + math.pi, 2 * math.pi) - math.pi
        else:
            found[f"{name}_squares"] = torch.stack([off.square(), truth[name].square()])
            # a control's missing atoms: an answer that cannot be negative has no normal error there
            off = torch.where(truth[name] > _ABSENT * truth["f_total"], off, torch.nan)
        found[name] = off / columns[f"{name}_errors"].clamp(min=1e-300)
    return found


def scores_of(found: list[_Columns], means: list[Tensor]) -> dict[str, dict[str, float]]:
    """Relative rms errors of |F_A| and |F_N| by shell of photons per point and energy."""
    mean = torch.cat(means)
    shells = {}
    for low, high in pairwise(_SHELLS):
        inside = (mean >= low) & (mean < high)
        if not bool(inside.any()):
            continue
        squares = {
            name: torch.cat([one[f"{name}_squares"] for one in found], 1)[:, inside].sum(1)
            for name in ("f_resonant", "f_normal")
        }
        shells[f"{low:g}-{high:g}"] = {
            name: float((off / true).sqrt()) for name, (off, true) in squares.items() if float(true) > 0
        }
    return shells
