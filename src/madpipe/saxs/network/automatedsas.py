"""AutomatedSAS: a public benchmark of six shapes, simulated without noise; trained on its training curves alone.

Curves of the same six shapes are simulated beside them, over wider ranges: the benchmark tests beyond its training's.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from madpipe.base import training
from madpipe.base.training import History, Schedule
from madpipe.base.training_config import Batch, LearningRate, Patience, Steps, TrainingConfig, ValidateEvery
from madpipe.saxs.network.design import Classifier
from madpipe.saxs.network.features import Seen, gridded, seen
from madpipe.saxs.network.particles import TO_PER_CM, core_shell_spheres, round_rods, schulz, single
from madpipe.saxs.network.rods import angles_for

SHAPES = ("sphere", "cylinder", "disk", "cs_sphere", "cs_cylinder", "cs_disk")
_SOLVENT = 4.0  # 1e-6/angstrom^2, in every curve of the benchmark
_BACKGROUND = 1e-3  # 1/cm, in every curve
_NODES, _REACH = 40, (3.0, 3.0)  # nodes and deviations of the distributions, as the benchmark's
_SMALLEST, _LARGEST = 24.17, 1698.2  # 2 pi over the ends of q [angstrom]
_CHUNK = 64
_TESTED = 500  # curves at once
EXACT = 1e-3  # relative error that a curve without noise is given


class AutomatedSasConfig(TrainingConfig):
    """Training of a classifier for the benchmark."""

    batch: Batch = Field(128, description="curves per step")
    steps: Steps = 1500
    learning_rate: LearningRate = 2e-3
    validate_every: ValidateEvery = 250
    patience: Patience = 40
    width: int = Field(32, ge=8, description="features of the first layers; the last ones have three times as many")
    blocks: int = Field(1, ge=1, description="residual blocks between two halvings of the number of points")
    simulated: int = Field(4000, ge=1, description="curves of each shape beside the benchmark's")
    simulated_share: float = Field(0.5, ge=0, le=1, description="of a batch [1]")
    held_back: float = Field(0.15, gt=0, lt=1, description="share of the training curves for validation [1]")


class Labelled(NamedTuple):
    """Curves on the benchmark's axis with their shapes."""

    q: Float[np.ndarray, "q"]
    intensity: Float[np.ndarray, "curve q"]
    label: Int[np.ndarray, "curve"]


class Particles(NamedTuple):
    """Particles of one shape, as the benchmark counts their lengths."""

    outer: Float[Tensor, "curve"]  # radius with the shell [angstrom]
    length: Float[Tensor, "curve"]  # of the core of cs_cylinder, of the whole else [angstrom]
    thickness: Float[Tensor, "curve"]  # of the shell; 0 without one [angstrom]
    width: Float[Tensor, "curve"]  # relative, of the distribution
    contrasts: Float[Tensor, "curve 2"]  # core and shell against the solvent [1e-6/angstrom^2]


class Step(NamedTuple):
    """A batch."""

    seen: Seen
    label: Int[Tensor, "curve"]


def read_part(path: Path, part: str) -> Labelled:
    """Read the benchmark's training or test curves [1/cm] and their shapes."""
    with h5py.File(path) as file:
        logs = 1e-4 * np.cumsum(file[f"{part}/ln_intensity_e4_difference"][:], axis=1)
        return Labelled(file["q"][:], np.exp(logs), file[f"{part}/label"][:].astype(int))


def simulate_shape(shape: str, q: Float[np.ndarray, "q"], count: int, generator: torch.Generator) -> np.ndarray:
    """Simulate curves of one of the six shapes over wider ranges than the benchmark trains on [1/cm].

    Aspect ratios are 2 to 20, shells .1 to .95 of the outer radius; contrasts, spread, background are the benchmark's.
    Schulz's distribution is that of the core's radius, of the length for the two cylinders.
    """
    return curves_of(shape, q, Particles(*_draw_particles(shape, count, generator)))


def curves_of(shape: str, q: Float[np.ndarray, "q"], particles: Particles) -> Float[np.ndarray, "curve q"]:
    """Intensities of particles of one of the six shapes as the benchmark has them [1/cm]."""
    axis = torch.from_numpy(q).float()
    found = torch.empty(len(particles.outer), len(q), dtype=torch.float32)
    for chosen in torch.argsort(torch.maximum(particles.outer, particles.length / 2)).split(_CHUNK):
        radius, along, shell, pd, given = (one[chosen] for one in particles)
        spread = schulz(pd, _NODES, _REACH)
        if shape.endswith("sphere"):
            square, volume = core_shell_spheres(axis, radius - shell, shell[:, None].expand(-1, _NODES), spread, given)
        else:
            long = shape.endswith("cylinder")
            size = 1.5 * float(torch.maximum(radius, along / 2).max())
            core = along if long else along - 2 * shell
            spreads = (single(pd), spread) if long else (spread, single(pd))
            square, volume = round_rods(angles_for(axis, size), radius - shell, core, shell, spreads, given)
        found[chosen] = square / volume[:, None] * TO_PER_CM + _BACKGROUND
    return found.double().numpy()


def _draw_particles(shape: str, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Outer radius, length, thickness [angstrom], spread, contrasts of core and shell; none is too small to see."""
    ends = {
        "sphere": (40.0, 470.0), "cylinder": (100.0, 1696.0), "disk": (79.0, 501.0),
        "cs_sphere": (40.0, 470.0), "cs_cylinder": (350.0, 1700.0), "cs_disk": (240.0, 849.0),
    }[shape]  # fmt: skip
    many = 40 * count
    free = torch.rand(6, many, generator=generator, dtype=torch.float32)
    main = ends[0] * (ends[1] / ends[0]) ** free[0]
    aspect = 2 * 10 ** free[1]
    outer = main / (2 * aspect) if shape.endswith("cylinder") else main
    length = main if shape.endswith("cylinder") else 2 * main / aspect
    thickness = outer * (0.1 + 0.85 * free[2]) if shape.startswith("cs") else torch.zeros_like(outer)
    good = (2 * outer > _SMALLEST) & (2 * outer < _LARGEST)
    if not shape.endswith("sphere"):
        good &= (length > _SMALLEST) & (length < _LARGEST)
    if shape.startswith("cs"):
        good &= thickness > _SMALLEST
    if shape == "cs_disk":
        good &= length - 2 * thickness > 1.0
    kept = torch.nonzero(good)[:count, 0]
    signs = torch.randint(2, (2, many), generator=generator) * 2 - 1
    shell = signs[0] * (0.5 + 3 * free[3])
    core = shell + signs[1] * (0.5 + 3 * free[4])
    contrasts = (
        torch.stack([core, shell], 1) if shape.startswith("cs") else torch.stack([shell, torch.zeros_like(shell)], 1)
    )
    return outer[kept], length[kept], thickness[kept], (0.1 + 0.25 * free[5])[kept], contrasts[kept]


def measured(
    curves: Labelled, noise: Float[np.ndarray, "curve"], generator: torch.Generator, *, scale: bool | Tensor
) -> Step:
    """Add relative Gaussian noise to curves, and prepare them.

    Parameters
    ----------
    curves:
        Without noise.
    noise:
        Relative, of each curve; the error told is no less than a tenth of a percent.
    generator:
        Of the noise.
    scale:
        Whether the absolute scale is shown, of all or of each.
    """
    normal = torch.randn(curves.intensity.shape, generator=generator, dtype=torch.float64).numpy()
    told = np.maximum(noise, EXACT)[:, None] * curves.intensity
    grid = gridded(curves.q, curves.intensity * (1 + noise[:, None] * normal), told)
    shown = torch.full((len(noise),), scale) if isinstance(scale, bool) else scale
    found = seen(grid._replace(absolute=shown))
    return Step(Seen(*(one.float() for one in found)), torch.from_numpy(curves.label))


def random_batch(sources: tuple[Labelled, Labelled], config: AutomatedSasConfig, generator: torch.Generator) -> Step:
    """Draw curves of both sources with noise of 0 to 5 percent, a tenth of the batches cut at one end of q."""
    theirs = round(config.batch * (1 - config.simulated_share))
    picks = [
        torch.randint(len(source.label), (count,), generator=generator).numpy()
        for source, count in zip(sources, (theirs, config.batch - theirs), strict=True)
    ]
    both = [
        np.concatenate([getattr(one, name)[pick] for one, pick in zip(sources, picks, strict=True)])
        for name in ("intensity", "label")
    ]
    free = torch.rand(3, config.batch, generator=generator, dtype=torch.float64)
    noise = np.where(free[0] < 0.35, 0.0, 10 ** (-3.0 + 1.7 * free[1].numpy()))
    q, cut = sources[0].q, torch.randint(40, (2,), generator=generator)
    kept = slice(int(cut[0]) if free[0, 0] < 0.1 else 0, len(q) - (int(cut[1]) if free[0, 1] < 0.1 else 0))
    return measured(Labelled(q[kept], both[0][:, kept], both[1]), noise, generator, scale=free[2] < 0.5)


def loss(model: nn.Module, batch: Step) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross entropy, with labels that are a little uncertain."""
    logits = model(batch.seen)
    value = functional.cross_entropy(logits, batch.label, label_smoothing=0.01)
    return value, {"wrong": (logits.argmax(1) != batch.label).to(logits.dtype).mean()}


def train(
    curves: Labelled, config: AutomatedSasConfig, generator: torch.Generator, checkpoint: Path | None = None
) -> tuple[Classifier, History]:
    """Train a classifier on the benchmark's training curves, of which a part decides which weights are kept."""
    order = torch.randperm(len(curves.label), generator=generator).numpy()
    held = round(config.held_back * len(order))
    parts = [Labelled(curves.q, curves.intensity[pick], curves.label[pick]) for pick in (order[:held], order[held:])]
    simulated = [simulate_shape(shape, curves.q, config.simulated, generator) for shape in SHAPES]
    labels = np.repeat(np.arange(len(SHAPES)), [len(one) for one in simulated])
    sources = (parts[1], Labelled(curves.q, np.concatenate(simulated), labels))
    network = Classifier(len(SHAPES), config.width, config.blocks, generator).float()
    validation = [
        measured(parts[0], np.full(held, noise), generator, scale=scale)
        for noise in (0.0, 0.01)
        for scale in (True, False)
    ]
    history = training.train(
        network,
        lambda _, own: random_batch(sources, config, own),
        loss,
        validation,
        Schedule.of(config),
        generator,
        checkpoint=checkpoint,
        label="AutomatedSAS",
    )
    return network.eval(), history


def probabilities(networks: list[Classifier], batch: Step) -> Float[Tensor, "curve class"]:
    """Mean probabilities of several networks."""
    with torch.no_grad():
        return torch.stack([network(batch.seen).softmax(1) for network in networks]).mean(0)


def accuracy(
    networks: list[Classifier], curves: Labelled, noise: float, generator: torch.Generator, *, scale: bool
) -> float:
    """Share of curves whose most probable shape is right.

    Parameters
    ----------
    networks, curves:
        Whose probabilities are averaged, and what they are asked.
    noise:
        Relative.
    generator:
        Of the noise.
    scale:
        Whether the absolute scale is shown.
    """
    right = 0
    for begin in range(0, len(curves.label), _TESTED):
        part = slice(begin, begin + _TESTED)
        some = Labelled(curves.q, curves.intensity[part], curves.label[part])
        batch = measured(some, np.full(len(some.label), noise), generator, scale=scale)
        right += int((probabilities(networks, batch).argmax(1) == batch.label).sum())
    return right / len(curves.label)
