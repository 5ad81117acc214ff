"""Scores of the network on curves that no training saw: accuracy, calibration, coverage of parameters, foreigners."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.base.runtime import generator_for
from madpipe.saxs.network.classes import CLASSES, NAMES
from madpipe.saxs.network.design import Answer, ShapeNetwork
from madpipe.saxs.network.foreign_head import KINDS, told
from madpipe.saxs.network.novelty import area_under_curve, calibration_error, reliability
from madpipe.saxs.network.settings import SaxsEvaluateConfig
from madpipe.saxs.network.simulate import Example, draw
from madpipe.saxs.network.table import Table, simulated_table
from madpipe.saxs.network.weights import TrainedShapeNetwork

_OF_CLASS = 48  # smooth curves of each class
_CHUNK = 512
_WITHIN = (0.683, 0.954)


@dataclass(frozen=True)
class ShapeScores:
    """How a network does."""

    curves: int
    accuracy: float
    accuracy_hidden: float  # of those whose scale is hidden
    calibration_error: float  # expected, 15 bins
    reliability: tuple[tuple[float, float, float], ...]  # by bin: mean probability, share right, share of curves
    confidence: float  # mean probability of the most probable class
    recall: dict[str, float]  # of each class
    confusion: tuple[tuple[float, ...], ...]  # share of each true class (row) that is called each
    coverage_68: dict[str, float]  # share of the truths within the class's 68 % region of all parameters together
    coverage_95: dict[str, float]
    median_error: dict[str, float]  # of each class, median of the rms standardised error of the parameters' mean
    foreign: dict[str, float]  # area under the receiver operating characteristic of each foreign kind
    rejected: dict[str, float]  # share of each kind that scores above 99 % of the known; "known" itself, too


def evaluate(
    trained: TrainedShapeNetwork, config: SaxsEvaluateConfig, seed: int, table: Table | None = None
) -> ShapeScores:
    """Score a network on simulated curves, the same for every network.

    Parameters
    ----------
    trained:
        The network.
    config:
        How many curves.
    seed:
        Of all curves.
    table:
        Smooth curves that no training saw, where they are at hand; else simulated.
    """
    generator = generator_for(seed, "saxs_evaluate")
    table = table or simulated_table(_OF_CLASS, generator)
    network = trained.network()
    known = [
        _answered(network, draw(table, trained.config, _CHUNK, generator)) for _ in range(-(-config.curves // _CHUNK))
    ]
    examples, answers = [one for one, _ in known], [answer for _, answer in known]
    label = torch.cat([one.label for one in examples])
    logits = torch.cat([answer.logits for answer in answers]).double() / trained.calibration.temperature
    probabilities = logits.softmax(1)
    right = probabilities.argmax(1) == label
    hidden = ~torch.cat([one.curves.absolute for one in examples])
    far = _foreign_scores(trained, answers)
    inside, error = _parameters(network, examples, answers)
    foreign = {name: kind(table, config.foreign, trained.config, generator) for name, kind in KINDS.items()}
    distances = {name: _foreign_scores(trained, [_answered(network, one)[1]]) for name, one in foreign.items()}
    limit = torch.quantile(trained.calibration.scores.double(), 0.99)
    return ShapeScores(
        curves=len(label),
        accuracy=_mean(right),
        accuracy_hidden=_mean(right[hidden]),
        calibration_error=calibration_error(probabilities, label),
        reliability=reliability(probabilities, label),
        confidence=float(probabilities.amax(1).mean()),
        recall={name: _mean(right[label == number]) for number, name in enumerate(NAMES)},
        confusion=_confusion(probabilities.argmax(1), label),
        coverage_68=_by_class(inside[:, 0], label),
        coverage_95=_by_class(inside[:, 1], label),
        median_error={name: float(error[label == number].median()) for number, name in enumerate(NAMES)},
        foreign={name: area_under_curve(one, far) for name, one in distances.items()},
        rejected={name: _mean(one > limit) for name, one in {"known": far, **distances}.items()},
    )


def _foreign_scores(trained: TrainedShapeNetwork, answers: list[Answer]) -> Float[Tensor, "curve"]:
    """Scores of the head that tells foreign curves."""
    head = trained.foreign_head()
    with torch.no_grad():
        return torch.cat([head(told(answer)) for answer in answers])


def _answered(network: ShapeNetwork, example: Example) -> tuple[Example, Answer]:
    """Let the network answer."""
    with torch.no_grad():
        return example, network(example.seen)


def _parameters(
    network: ShapeNetwork, examples: list[Example], answers: list[Answer]
) -> tuple[Bool[Tensor, "curve 2"], Float[Tensor, "curve"]]:
    """Whether each truth is within the two regions of its class's distribution, and the likelier mean's rms error."""
    inside, errors = [], []
    for example, answer in zip(examples, answers, strict=True):
        truth = network.standardised(example.truth, example.label)
        rows = torch.arange(len(truth))
        mean, root, shares = (one[rows, example.label] for one in (answer.mean, answer.root, answer.shares))
        count = torch.tensor([len(one.parameters) for one in CLASSES])[example.label]
        inside.append(_within(truth, mean, root, shares, count))
        best = mean[rows, shares.argmax(1)]
        errors.append(torch.sqrt(((truth - best) ** 2).sum(1) / count))
    return torch.cat(inside), torch.cat(errors)


def _within(
    truth: Float[Tensor, "curve parameter"],
    mean: Float[Tensor, "curve mixture parameter"],
    root: Float[Tensor, "curve mixture parameter parameter"],
    shares: Float[Tensor, "curve mixture"],
    count: Int[Tensor, "curve"],
    draws: int = 256,
) -> Bool[Tensor, "curve 2"]:
    """Whether the truth's density exceeds that of the outer draws of the mixture: regions of highest density."""
    generator = torch.Generator().manual_seed(0)
    used = torch.arange(truth.shape[1]) < count[:, None]
    pick = torch.multinomial(shares.exp(), draws, replacement=True, generator=generator)
    rows = torch.arange(len(truth))[:, None]
    normal = torch.randn(len(truth), draws, truth.shape[1], 1, generator=generator, dtype=truth.dtype)
    off = torch.linalg.solve_triangular(root.transpose(-1, -2)[rows, pick], normal, upper=True)[..., 0]
    drawn = mean[rows, pick] + off * used[:, None]
    logs = torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)

    def density(points: Tensor) -> Tensor:
        away = torch.einsum("cmpr,cdmp->cdmr", root, points[:, :, None] - mean[:, None])
        return torch.logsumexp((shares + logs)[:, None] - 0.5 * (away**2).sum(-1), dim=2)

    higher = (density(drawn) > density(truth[:, None])).double().mean(1)
    return torch.stack([higher <= one for one in _WITHIN], dim=1)


def _confusion(found: Int[Tensor, "curve"], label: Int[Tensor, "curve"]) -> tuple[tuple[float, ...], ...]:
    """Share of each true class that is called each class."""
    table = np.zeros((len(NAMES), len(NAMES)))
    np.add.at(table, (label.numpy(), found.numpy()), 1)
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
    return tuple(tuple(row) for row in table.tolist())


def _by_class(flags: Bool[Tensor, "curve"], label: Int[Tensor, "curve"]) -> dict[str, float]:
    """Share of each class."""
    return {name: _mean(flags[label == number]) for number, name in enumerate(NAMES)}


def _mean(flags: Bool[Tensor, "curve"]) -> float:
    """Share of true ones; NaN without any."""
    return float(flags.double().mean())
