"""Another answer of the network: how much a curve looks like none of its classes, learned from such curves."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from madpipe.saxs.network.classes import CLASSES
from madpipe.saxs.network.design import Answer, ShapeNetwork
from madpipe.saxs.network.foreigners import cubes, mixtures, wobbled
from madpipe.saxs.network.novelty import area_under_curve
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import Example, draw
from madpipe.saxs.network.table import Table

Kind = Callable[[Table, int, SaxsTrainConfig, torch.Generator], Example]
KINDS: Mapping[str, Kind] = {"cube": cubes, "mixture": mixtures, "wobbled": wobbled}
_HIDDEN = 96
_STEPS, _BATCH, _RATE, _DECAY = 500, 128, 2e-3, 1e-2
_CHUNK = 256


class ForeignHead(nn.Module):
    """Two layers on the network's last features and logits; above 0, foreign is likelier where half of all curves are.

    Parameters
    ----------
    features:
        Of the network.
    generator:
        First weights.
    """

    def __init__(self, features: int, generator: torch.Generator) -> None:
        super().__init__()
        self.centre: Tensor
        self.unit: Tensor
        self.register_buffer("centre", torch.zeros(features + len(CLASSES), dtype=torch.float32))
        self.register_buffer("unit", torch.ones(features + len(CLASSES), dtype=torch.float32))
        self.hidden = nn.Linear(features + len(CLASSES), _HIDDEN, dtype=torch.float32)
        self.score = nn.Linear(_HIDDEN, 1, dtype=torch.float32)
        for layer in (self.hidden, self.score):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, told: Float[Tensor, "curve told"]) -> Float[Tensor, "curve"]:
        """Score of what :func:`told` gives."""
        standard = (told - self.centre) / self.unit
        return self.score(functional.silu(self.hidden(standard)))[:, 0]


def told(answer: Answer) -> Float[Tensor, "curve told"]:
    """What the head looks at."""
    return torch.cat([answer.common, answer.logits], dim=1)


def told_of(network: ShapeNetwork, example: Example) -> Float[Tensor, "curve told"]:
    """What the head looks at, of many curves."""
    parts = []
    with torch.no_grad():
        for begin in range(0, len(example.label), _CHUNK):
            some = type(example.seen)(*(one[begin : begin + _CHUNK] for one in example.seen))
            parts.append(told(network(some)))
    return torch.cat(parts)


def train_head(
    network: ShapeNetwork,
    table: Table,
    config: SaxsTrainConfig,
    generator: torch.Generator,
    kinds: tuple[str, ...] = tuple(KINDS),
) -> ForeignHead:
    """Train a head to tell a table's curves from foreign kinds; the network stays as it is.

    Parameters
    ----------
    network, table, config:
        A trained network and its training's curves.
    generator:
        Of curves and first weights.
    kinds:
        Of foreign curves.
    """
    known = told_of(network, draw(table, config, config.foreign_curves, generator))
    examples = (KINDS[kind](table, config.foreign_curves, config, generator) for kind in kinds)
    foreign = torch.cat([told_of(network, one) for one in examples])
    head = ForeignHead(network.classifier.classes.in_features, generator)
    head.centre.copy_(known.mean(0))
    head.unit.copy_(known.std(0) + 1e-3)
    optimiser = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    right = torch.cat([torch.zeros(_BATCH, dtype=torch.float32), torch.ones(_BATCH, dtype=torch.float32)])
    for _ in range(_STEPS):
        rows = (torch.randint(len(one), (_BATCH,), generator=generator) for one in (known, foreign))
        batch = torch.cat([one[pick] for one, pick in zip((known, foreign), rows, strict=True)])
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(head(batch), right).backward()
        optimiser.step()
    return head.eval()


def areas_left_out(
    network: ShapeNetwork, tables: tuple[Table, Table], config: SaxsTrainConfig, generator: torch.Generator, count: int
) -> dict[str, float]:
    """Area under the receiver operating characteristic for each foreign kind, by a head that has not seen it.

    Parameters
    ----------
    network, config:
        A trained network.
    tables:
        Its training's curves, and others for the test.
    generator, count:
        Of curves, how many of each kind.
    """
    own, others = tables
    found = {}
    for left in KINDS:
        head = train_head(network, own, config, generator, tuple(kind for kind in KINDS if kind != left))
        with torch.no_grad():
            foreign = head(told_of(network, KINDS[left](others, count, config, generator)))
            known = head(told_of(network, draw(others, config, count, generator)))
        found[left] = area_under_curve(foreign, known)
    return found
