"""Calibration of a trained network: its errors against those it makes on measurements of particles it never saw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import device, progress
from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.forward import real_parameters
from madpipe.mad.measurement import Measurement, without_counts
from madpipe.mad.network.calibration import QUANTITIES, Setting, circumstances, learnt, needed, packed
from madpipe.mad.network.design import Network
from madpipe.mad.network.infer import trusted
from madpipe.mad.network.predict import predict
from madpipe.mad.network.split import learn
from madpipe.mad.network.train.exposures import Conditions, Draw, draw_conditions, scattered
from madpipe.mad.network.train.scenes import Scenes
from madpipe.mad.network.trust import STRENGTHS, strength
from madpipe.mad.network.weights import TrainedNetwork
from madpipe.mad.records import PHASES
from madpipe.physics.noise import poisson

_POINTS = 1 << 18  # per pass
_SHELLS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e7)  # photons per point and energy
_KEPT = 300_000  # points of all frames, and of all volumes, that factors are learnt from
_BRIGHTER = 30.0  # photons of a volume over those of a frame
_ABSENT = 1e-5  # of |F_T|: a control's missing atoms, but for rounding
_Columns = dict[str, Tensor]


@dataclass(frozen=True)
class Answered:
    """What an answer to a measured particle has to do with the truth."""

    deviations: _Columns  # over errors, by quantity; NaN where there is no truth
    squares: dict[str, Float[Tensor, "two point"]]  # of a modulus: of its error, and of itself
    circumstances: Float[Tensor, "quantity circumstance kept"]
    needed: Float[Tensor, "quantity level kept"]


@dataclass(frozen=True)
class Measured:
    """A particle measured and answered."""

    answers: tuple[Answered, Answered]  # before and after refinement
    mean: Float[Tensor, "point"]  # expected photons per energy
    strength: float  # of the widening


def calibrate(
    trained: TrainedNetwork, config: TrainConfig, frames: Scenes, volumes: Scenes, generator: torch.Generator
) -> TrainedNetwork:
    """Measure the errors of a network, and give it the factors that make its error bars right.

    Parameters
    ----------
    trained:
        Network whose errors are as it claims them.
    config:
        The training's: edges, energies, photons and disturbances are drawn as there.
    frames, volumes:
        Particles that it was not trained on; a frame is measured ``calibration_draws`` times, a volume once.
    generator:
        Draws the measurements.

    Returns
    -------
    :
        The network with its factors, and the relative rms errors of |F_A| and |F_N| that it made, by photons per point
        and energy.
    """
    network = trained.network().to(device())
    scores: dict[str, dict[str, dict[str, float]]] = {}
    known: dict[bool, list[tuple[Tensor, Tensor]]] = {False: [], True: []}
    strengths: list[float] = []
    for name, scenes, draws in (("frames", frames, config.calibration_draws), ("volumes", volumes, 1)):
        if not len(scenes) or (name == "volumes" and config.network != "frames"):
            continue
        numbers = list(range(len(scenes))) * draws
        seeds = torch.randint(1 << 62, (len(numbers),), generator=generator).tolist()
        jobs = list(zip(numbers, seeds, strict=True))
        samples = [
            measured_particle(network, config, scenes, number, seeded(seed), _KEPT // len(jobs))
            for number, seed in progress(jobs, f"calibration on {name}")
        ]
        strengths += [sample.strength for sample in samples]
        for refine, word in ((False, "predicted"), (True, "refined")):
            found = [sample.answers[refine] for sample in samples]
            known[refine] += [(one.circumstances, one.needed) for one in found]
            scores[f"{name}, {word}"] = scores_of(found, [sample.mean for sample in samples])
    factors = {STRENGTHS: torch.tensor(sorted(strengths), dtype=torch.float32)}
    for refine, parts in known.items():
        circumstance, need = (torch.cat(each, 2) for each in zip(*parts, strict=True))
        factors |= packed(learnt(circumstance, need, generator), refine=refine)
    return replace(trained, calibration=factors).with_about(validation=scores)


def seeded(seed: int) -> torch.Generator:
    """Make the generator of one measurement, so that it depends on no other."""
    return torch.Generator().manual_seed(seed)


def measured_particle(
    network: Network, config: TrainConfig, scenes: Scenes, number: int, generator: torch.Generator, kept: int
) -> Measured:
    """Measure a particle and answer it; of the points that factors are learnt from some are kept, drawn anyhow."""
    draw = Draw(generator)
    energies = len(config.energies_ev) if config.network == "unet_patches" else draw.whole(*config.prior.energies)
    conditions = draw_conditions(config, energies, config.prior.photons[0], generator)
    volume = scenes.resonant.ndim == 4
    if volume:
        conditions = replace(conditions, photons=conditions.photons * _BRIGHTER)
    pair = torch.stack([scenes.resonant[number : number + 1], scenes.other[number : number + 1]])
    intensity, f_total, f_resonant = scattered(pair, [conditions], whole=True)
    measurement = measured(intensity[0], conditions, generator).to(device())
    shape = tuple(intensity.shape[2:])
    prediction, photons = predict(network, measurement, shape, _POINTS)
    split = learn(lambda half, block: predict(network, half, block, _POINTS), measurement, shape)
    truth = _truth(f_total[0], f_resonant[0])
    some = torch.randperm(len(photons), generator=generator)[:kept]
    found = []
    for refine, judged in ((False, None), (True, split)):
        columns, shares, _ = trusted(measurement, prediction, photons / energies, judged, refine=refine)
        setting = Setting(photons.cpu(), energies, volume, judged)
        found.append(_answered(_on_cpu(columns), _on_cpu(shares), setting, truth, some))
    return Measured((found[0], found[1]), intensity[0].double().mean(0).flatten(), strength(split))


def _on_cpu(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Columns of a device, here."""
    return {name: values.cpu() for name, values in columns.items()}


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


def _answered(columns: _Columns, shares: _Columns, setting: Setting, truth: _Columns, some: Tensor) -> Answered:
    """Compare an answer with the truth.

    Of a control's missing atoms an answer cannot be negative: it has no normal error, but is to be within 1.96 errors.
    """
    deviations, squares, misses, absent = {}, {}, {}, []
    for name in QUANTITIES:
        off = columns[name] - truth[name]
        nothing = torch.zeros_like(off, dtype=torch.bool)
        if name in PHASES:
            off = torch.remainder(off + math.pi, 2 * math.pi) - math.pi
        else:
            squares[name] = torch.stack([off.square(), truth[name].square()]).float()
            nothing = truth[name] <= _ABSENT * truth["f_total"]
        misses[name] = off
        absent.append(nothing)
        deviations[name] = (off / columns[f"{name}_errors"].clamp(min=1e-300)).where(~nothing, torch.nan).float()
    need = needed(columns, misses)
    need[:, 0] = need[:, 0].where(~torch.stack(absent), torch.nan)
    return Answered(deviations, squares, circumstances(columns, shares, setting)[:, :, some], need[:, :, some])


def scores_of(found: Sequence[Answered], means: Sequence[Tensor]) -> dict[str, dict[str, float]]:
    """Relative rms errors of |F_A| and |F_N| by shell of photons per point and energy."""
    mean = torch.cat(list(means))
    shells = {}
    for low, high in pairwise(_SHELLS):
        inside = (mean >= low) & (mean < high)
        if not bool(inside.any()):
            continue
        squares = {
            name: torch.cat([one.squares[name] for one in found], 1)[:, inside].double().sum(1)
            for name in ("f_resonant", "f_normal")
        }
        shells[f"{low:g}-{high:g}"] = {
            name: float((off / true).sqrt()) for name, (off, true) in squares.items() if float(true) > 0
        }
    return shells
