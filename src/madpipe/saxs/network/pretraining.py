"""An improvement under test: the trunk first learns to fill in hidden parts of curves, which needs no labels."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from madpipe.base import training
from madpipe.base.training import Schedule
from madpipe.saxs.network.design import ShapeNetwork
from madpipe.saxs.network.features import POINTS, seen
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import Example, draw
from madpipe.saxs.network.table import Table

_PARTS, _LONGEST = 3, 24  # hidden parts of a curve, points of the longest
_VALIDATION = 4


class Reconstruction(nn.Module):
    """A network's trunk, and a layer that answers ln I at every point.

    Parameters
    ----------
    network:
        Whose trunk is trained.
    """

    def __init__(self, network: ShapeNetwork) -> None:
        super().__init__()
        self.trunk = network.classifier
        self.level = nn.Linear(network.classifier.classes.in_features, POINTS).float()

    def forward(self, example: Example) -> Float[Tensor, "curve point"]:
        """Levels at every point, from the curve without its hidden parts."""
        return self.level(self.trunk.features(example.seen))


def hidden_parts(example: Example, config: SaxsTrainConfig) -> tuple[Example, Bool[Tensor, "curve point"]]:
    """Hide parts of each curve; which, its own numbers decide, so that the same curve always hides the same."""
    place = torch.arange(POINTS)
    seed = (example.curves.level[:, :_PARTS].abs() * 1e4).long()
    begin, length = seed % POINTS, 4 + (seed // 7) % _LONGEST
    hidden = ((place >= begin[..., None]) & (place < (begin + length)[..., None])).any(1)
    left = example.curves._replace(measured=example.curves.measured & ~hidden)
    shown = seen(left, slopes=config.slopes, scale=config.scale)
    return example._replace(seen=shown), hidden & example.curves.measured


def pretrain(network: ShapeNetwork, table: Table, config: SaxsTrainConfig, generator: torch.Generator) -> None:
    """Train the trunk so many steps on curves whose class it is not told."""
    model = Reconstruction(network)

    def loss(one: nn.Module, batch: Example) -> tuple[Tensor, dict[str, Tensor]]:
        masked, hidden = hidden_parts(batch, config)
        off = one(masked) - (batch.curves.level - masked.seen.shift[:, None]) / 4
        value = (off.abs() * hidden).sum() / hidden.sum().clamp(min=1)
        return value, {}

    steps = config.model_copy(update={"steps": config.pretraining, "validate_every": config.pretraining})
    batches = [draw(table, config, config.batch, generator) for _ in range(_VALIDATION)]
    training.train(
        model,
        lambda _, own: draw(table, config, config.batch, own),
        loss,
        batches,
        Schedule.of(steps),
        generator,
        label="pre-training",
    )
