"""The network: from a curve on the grid to its class and, for each class, the parameters with their covariance."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from madpipe.saxs.network.classes import CLASSES, MOST, ShapeClass
from madpipe.saxs.network.features import CHANNELS, SCALARS, Seen

MIXTURE = 2  # solutions of a class that may exchange radius and thickness
_KERNEL = 5
_GROUPS = 4
_HEADS = 4
_QUERIES = 6
_STAGES = (1.0, 1.5, 2.0, 3.0)
_SPREAD = 6.0  # ln of a diagonal of the precision's root is between -6 and 6
_BELOW = MOST * (MOST - 1) // 2


class Answer(NamedTuple):
    """What the network says of curves; parameters are standardised by :meth:`ShapeNetwork.standardised`."""

    logits: Float[Tensor, "curve class"]
    shares: Float[Tensor, "curve class mixture"]  # ln
    mean: Float[Tensor, "curve class mixture parameter"]
    root: Float[Tensor, "curve class mixture parameter parameter"]  # lower: precision = root root^T
    common: Float[Tensor, "curve feature"]  # of the layer before the answers


class Classifier(nn.Module):
    """Residual convolutions along ln q, attention of a few queries to all q, and a class.

    Parameters
    ----------
    classes:
        How many.
    width, blocks:
        Features of the first stage, residual blocks of each.
    generator:
        First weights.
    """

    def __init__(self, classes: int, width: int, blocks: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [_GROUPS * round(width * factor / _GROUPS) for factor in _STAGES]
        last = widths[-1]
        layers: list[nn.Module] = [nn.Conv1d(CHANNELS, widths[0], 9, stride=2, padding=4)]
        for place, (before, here) in enumerate(zip([widths[0], *widths], widths, strict=False)):
            if place:
                layers.append(nn.Conv1d(before, here, 3, stride=2, padding=1))
            layers += [_Residual(here) for _ in range(blocks if place else 1)]
        self.trunk = nn.Sequential(*layers)
        self.pooling = _Pooling(last)
        self.told = nn.Linear(SCALARS, last)
        self.common = nn.Sequential(
            nn.Linear(last * (_QUERIES + 1), 2 * last), nn.SiLU(), nn.Linear(2 * last, 2 * last), nn.SiLU()
        )
        self.classes = nn.Linear(2 * last, classes)
        _draw_weights(self, generator)

    def features(self, seen: Seen) -> Float[Tensor, "curve feature"]:
        """Last features before the answers."""
        tokens = self.trunk(seen.channels).transpose(1, 2)
        return self.common(torch.cat([self.pooling(tokens).flatten(1), self.told(seen.scalars)], dim=1))

    def forward(self, seen: Seen) -> Float[Tensor, "curve class"]:
        """Logits of the classes."""
        return self.classes(self.features(seen))


class ShapeNetwork(nn.Module):
    """A classifier that also answers the parameters of each class.

    Parameters
    ----------
    width, blocks, generator:
        As of :class:`Classifier`.
    """

    def __init__(self, width: int, blocks: int, generator: torch.Generator) -> None:
        super().__init__()
        self.classifier = Classifier(len(CLASSES), width, blocks, generator)
        features = self.classifier.classes.in_features
        self.hidden = nn.Sequential(nn.Linear(features, features), nn.SiLU())
        self.shares = nn.Linear(features, len(CLASSES) * MIXTURE)
        self.means = nn.Linear(features, len(CLASSES) * MIXTURE * MOST)
        self.roots = nn.Linear(features, len(CLASSES) * MIXTURE * (MOST + _BELOW))
        self.used: Tensor
        self.centre: Tensor
        self.unit: Tensor
        self.register_buffer("used", used_parameters(), persistent=False)
        for name, value in (("centre", 0.0), ("unit", 1.0)):
            self.register_buffer(name, torch.full((len(CLASSES), MOST), value, dtype=torch.float32))
        for layer in (self.hidden[0], self.shares, self.means, self.roots):
            _draw(layer, generator, 0.05)
        with torch.no_grad():  # the two solutions begin apart
            self.means.bias.copy_(0.3 * torch.randn(self.means.bias.shape, generator=generator))

    def forward(self, seen: Seen) -> Answer:
        """Answer for curves that :func:`madpipe.saxs.network.features.seen` prepared."""
        common = self.classifier.features(seen)
        hidden = common + self.hidden(common)
        size = (len(CLASSES), MIXTURE)
        used = self.used[:, None]
        mean = self.means(hidden).unflatten(1, (*size, MOST)) * used
        numbers = self.roots(hidden).unflatten(1, (*size, MOST + _BELOW))
        diagonal = torch.exp(_SPREAD * torch.tanh(numbers[..., :MOST] / _SPREAD) * used)
        root = torch.diag_embed(diagonal)
        rows, columns = torch.tril_indices(MOST, MOST, -1)
        pairs = used[..., rows] * used[..., columns]
        root = _with_lower(root, numbers[..., MOST:] * pairs, rows, columns)
        shares = functional.log_softmax(self.shares(hidden).unflatten(1, size), dim=-1)
        return Answer(self.classifier.classes(common), shares, mean, root, common)

    def standardise(self, truth: Float[Tensor, "curve parameter"], label: Int[Tensor, "curve"]) -> None:
        """Choose the parameters' centres and units: mean and standard deviation of each class in a sample."""
        for number in label.unique().tolist():
            values = truth[label == number]
            self.centre[number] = values.mean(0)
            self.unit[number] = values.std(0).clamp(min=1e-2)

    def standardised(
        self, truth: Float[Tensor, "curve parameter"], label: Int[Tensor, "curve"]
    ) -> Float[Tensor, "curve parameter"]:
        """Parameters of the true class less centre over unit, as :class:`Answer` has them; 0 where there is none."""
        return (truth - self.centre[label]) / self.unit[label] * self.used[label]


def _with_lower(root: Tensor, values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Put values below the diagonal."""
    flat = root.flatten(-2)
    place = (rows * MOST + columns).expand(*flat.shape[:-1], -1)
    return flat.scatter(-1, place, values).unflatten(-1, (MOST, MOST))


def used_parameters(classes: tuple[ShapeClass, ...] = CLASSES) -> Float[Tensor, "class parameter"]:
    """1 where a class has a parameter, 0 where its row is filled up."""
    used = torch.zeros(len(classes), MOST, dtype=torch.float32)
    for row, one in zip(used, classes, strict=True):
        row[: len(one.parameters)] = 1
    return used


def negative_log_likelihood(
    answer: Answer, label: Tensor, truth: Float[Tensor, "curve parameter"]
) -> Float[Tensor, "curve"]:
    """-ln of the mixture's density at the parameters of the true class, for each parameter, but for a constant."""
    here = torch.arange(len(label))
    mean, root, shares = answer.mean[here, label], answer.root[here, label], answer.shares[here, label]
    off = (root.transpose(-1, -2) @ (truth[:, None] - mean)[..., None])[..., 0]
    logs = torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
    density = shares + logs - 0.5 * (off**2).sum(-1).clamp(max=400.0)
    count = used_parameters()[label].sum(1)
    return -torch.logsumexp(density, dim=1) / count


class _Residual(nn.Module):
    """x + convolved x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), _conv(width))
        self.second = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), _conv(width))

    def forward(self, x: Float[Tensor, "curve feature point"]) -> Float[Tensor, "curve feature point"]:
        """One block."""
        return x + 0.5 * self.second(self.first(x))


class _Pooling(nn.Module):
    """Attention of queries that are learned to tokens, several heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(_QUERIES, width))
        self.key, self.value = (nn.Linear(width, width) for _ in range(2))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Float[Tensor, "curve token feature"]) -> Float[Tensor, "curve query feature"]:
        """Give what each query found."""
        tokens = self.norm(tokens)
        queries = self.queries.expand(len(tokens), -1, -1)
        split = (
            part.unflatten(2, (_HEADS, -1)).transpose(1, 2) for part in (queries, self.key(tokens), self.value(tokens))
        )
        return functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)


def _conv(width: int) -> nn.Conv1d:
    """Convolution that keeps the number of points."""
    return nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2)


def _draw(layer: nn.Module, generator: torch.Generator, factor: float) -> None:
    """First weights of one layer: He's, times a factor."""
    if isinstance(layer, nn.Conv1d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        with torch.no_grad():
            layer.weight.mul_(factor)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """First weights of all layers and queries."""
    for module in network.modules():
        _draw(module, generator, 0.7)
        if isinstance(module, _Pooling):
            nn.init.normal_(module.queries, std=0.5, generator=generator)
