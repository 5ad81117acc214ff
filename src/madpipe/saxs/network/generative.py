"""An improvement under test: a conditional variational autoencoder of ln I given the shape, to score foreigners."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from madpipe.base import training
from madpipe.base.training import History, Schedule
from madpipe.saxs.network.classes import CLASSES
from madpipe.saxs.network.features import POINTS, Gridded
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import Example, draw
from madpipe.saxs.network.table import Table

LATENT = 16
_HIDDEN = 256
_UNIT = 4.0  # of ln I
_LEAST_ERROR = 0.05  # of ln I, that is worth nothing to explain
_VALIDATION = 8


class Curve(NamedTuple):
    """Curves as the autoencoder takes them."""

    level: Float[Tensor, "curve point"]  # less its mean, over the unit; 0 where not measured
    known: Float[Tensor, "curve point"]  # 1 where measured
    weight: Float[Tensor, "curve point"]  # 1 / variance of the level


class ConditionalAutoencoder(nn.Module):
    """From a curve and its class to a Gaussian of 16 numbers, and from these back to the curve.

    Parameters
    ----------
    generator:
        First weights.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        given = len(CLASSES)
        self.encoder = _layers(2 * POINTS + given, 2 * LATENT)
        self.decoder = _layers(LATENT + given + 1, POINTS)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(
        self, curve: Curve, step: Float[Tensor, "curve"], label: Int[Tensor, "curve"], noise: Float[Tensor, "curve 16"]
    ) -> tuple[Float[Tensor, "curve"], Float[Tensor, "curve"]]:
        """Misfit per measured point, and divergence of the code from a normal one per measured point."""
        given = functional.one_hot(label, len(CLASSES)).to(curve.level.dtype)
        code = self.encoder(torch.cat([curve.level, curve.known, given], dim=1))
        mean, log_variance = code[:, :LATENT], code[:, LATENT:].clamp(-8, 4)
        latent = mean + torch.exp(log_variance / 2) * noise
        found = self.decoder(torch.cat([latent, given, step[:, None]], dim=1))
        count = curve.known.sum(1)
        misfit = 0.5 * (curve.weight * (found - curve.level) ** 2 * curve.known).sum(1) / count
        divergence = 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance).sum(1) / count
        return misfit, divergence

    def drawn(
        self, label: Int[Tensor, "curve"], latent: Float[Tensor, "curve 16"], step: Float[Tensor, "curve"]
    ) -> Float[Tensor, "curve point"]:
        """Levels of curves of a class from codes: between two codes they show what lies between two curves."""
        given = functional.one_hot(label, len(CLASSES)).to(latent.dtype)
        return self.decoder(torch.cat([latent, given, step[:, None]], dim=1)) * _UNIT


def _layers(inside: int, outside: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inside, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, outside)
    ).float()


def curve_of(grids: Gridded) -> Curve:
    """Prepare curves on their grids."""
    known = grids.measured.to(grids.level.dtype)
    mean = (grids.level * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
    error = torch.sqrt(grids.error**2 + _LEAST_ERROR**2) / _UNIT
    return Curve((grids.level - mean) / _UNIT * known, known, 1 / error**2)


def train_generative(
    table: Table, config: SaxsTrainConfig, generator: torch.Generator, checkpoint: Path | None = None
) -> tuple[ConditionalAutoencoder, History]:
    """Train an autoencoder on curves of the table, measured anew in every step."""
    model = ConditionalAutoencoder(generator)

    def drawn(own: torch.Generator) -> tuple[Example, Tensor]:
        example = draw(table, config, config.batch, own)
        return example, torch.randn(config.batch, LATENT, generator=own, dtype=torch.float32)

    def loss(one: nn.Module, batch: tuple[Example, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        example, noise = batch
        misfit, divergence = one(curve_of(example.curves), torch.log(example.curves.step), example.label, noise)
        return torch.log1p(misfit).mean() + divergence.mean(), {"divergence": divergence.mean()}

    history = training.train(
        model,
        lambda _, own: drawn(own),
        loss,
        [drawn(generator) for _ in range(_VALIDATION)],
        Schedule.of(config),
        generator,
        checkpoint=checkpoint,
        label="autoencoder",
    )
    return model.eval(), history


def misfit_of_best_class(model: ConditionalAutoencoder, grids: Gridded) -> Float[Tensor, "curve"]:
    """Least misfit and divergence over the classes: large where no class explains the curve."""
    curve, count = curve_of(grids), len(grids.level)
    noise = torch.zeros(count, LATENT, dtype=curve.level.dtype)
    with torch.no_grad():
        each = [
            sum(model(curve, torch.log(grids.step), torch.full((count,), number), noise), torch.zeros_like(grids.step))
            for number in range(len(CLASSES))
        ]
    return torch.stack(each).amin(0)
