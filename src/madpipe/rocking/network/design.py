"""The network: from a rocking curve to an implanted layer's free numbers, with their covariance."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.prior import NAMES

_STAGES = (1.0, 1.5, 2.0, 3.0)  # features of each stage over those of the first; points halve between stages
_KERNEL = 5
_GROUPS = 4
_HEADS = 4
_MIXED = 4  # layers of attention between the angles
_COUNT = len(NAMES)
_BELOW = _COUNT * (_COUNT - 1) // 2
_SPREAD = 7.0  # ln of a diagonal of the precision's root is between -7 and 7


class Answer(NamedTuple):
    """What the network says of curves."""

    mean: Float[Tensor, "curve 7"]  # free numbers
    root: Float[Tensor, "curve 7 7"]  # lower triangle, the precision's root: precision = root root^T
    curve: Float[Tensor, "curve coarse"] | None  # log10 of the curve without noise, if it was trained to say that


class CurveNetwork(nn.Module):
    """Residual convolutions along the angle, attention between angles, and attention of each parameter to angles.

    Parameters
    ----------
    config:
        Width, blocks, pooling.
    generator:
        First weights.
    """

    def __init__(self, config: RockingTrainConfig, generator: torch.Generator) -> None:
        super().__init__()
        widths = [_GROUPS * round(config.width * factor / _GROUPS) for factor in _STAGES]
        last = widths[-1]
        queries = _COUNT if config.pooling == "per_parameter" else 1
        stages: list[nn.Module] = [nn.Conv1d(3, widths[0], 9, stride=2, padding=4)]
        for before, width in zip([widths[0], *widths], widths, strict=False):
            if len(stages) > 1:
                stages.append(nn.Conv1d(before, width, 3, stride=2, padding=1))
            stages += [_Residual(width) for _ in range(config.blocks)]
        self.trunk = nn.Sequential(*stages)
        points = config.scan.points
        for _ in widths:
            points = (points + 1) // 2
        self.place = nn.Parameter(torch.zeros(points, last))
        self.mixing = nn.ModuleList(_Mixing(last) for _ in range(_MIXED))
        self.queries = nn.Parameter(torch.zeros(queries, last))
        self.pooling = _Attention(last)
        self.mean = nn.Linear(last, _COUNT // queries)
        self.all = nn.Sequential(
            nn.Linear(last * queries, 4 * last), nn.GELU(), nn.Linear(4 * last, 2 * last), nn.GELU()
        )
        self.correction = nn.Linear(2 * last, _COUNT)
        self.covariance = nn.Linear(2 * last, _COUNT + _BELOW)
        self.beside = nn.Linear(2 * last, points * 4) if config.multi_task else None
        self._draw_weights(generator)

    def forward(self, seen: Float[Tensor, "curve 2 point"]) -> Answer:
        """Answer for curves that :func:`what_is_seen` prepared."""
        position = torch.linspace(-1, 1, seen.shape[2], dtype=seen.dtype, device=seen.device)
        tokens = self.trunk(torch.cat([seen, position.expand(len(seen), 1, -1)], dim=1)).transpose(1, 2) + self.place
        for layer in self.mixing:
            tokens = layer(tokens)
        pooled = self.pooling(self.queries.expand(len(seen), -1, -1), tokens)
        common = self.all(pooled.flatten(1))
        mean = self.mean(pooled).flatten(1) + self.correction(common)
        numbers = self.covariance(common).float()
        diagonal = torch.exp(_SPREAD * torch.tanh(numbers[:, :_COUNT] / _SPREAD))
        root = torch.diag_embed(diagonal)
        rows, columns = torch.tril_indices(_COUNT, _COUNT, -1, device=seen.device)
        root = root.index_put(
            (torch.arange(len(seen), device=seen.device)[:, None], rows, columns), numbers[:, _COUNT:]
        )
        return Answer(mean.float(), root, self.beside(common) if self.beside is not None else None)

    def _draw_weights(self, generator: torch.Generator) -> None:
        """First weights: He's for convolutions and linear layers, small ones for answers."""
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                with torch.no_grad():
                    module.weight.mul_(0.7)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for answer in (self.mean, self.correction, self.covariance):
            nn.init.normal_(answer.weight, std=0.01, generator=generator)
        for table in (self.place, self.queries):
            nn.init.normal_(table, std=0.5, generator=generator)


class _Residual(nn.Module):
    """x + convolved x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), _conv(width))
        self.second = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), _conv(width))

    def forward(self, x: Float[Tensor, "curve feature point"]) -> Float[Tensor, "curve feature point"]:
        """One block."""
        return x + 0.5 * self.second(self.first(x))


class _Attention(nn.Module):
    """Attention of queries to tokens, several heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Give what each query found."""
        tokens = self.norm(tokens)
        split = (
            linear(part).unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for linear, part in ((self.query, queries), (self.key, tokens), (self.value, tokens))
        )
        return self.out(functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class _Mixing(nn.Module):
    """Attention between tokens and a linear layer of each, both residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = _Attention(width)
        self.each = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """One layer."""
        tokens = tokens + 0.5 * self.attention(self.norm(tokens), tokens)
        return tokens + 0.5 * self.each(tokens)


def _conv(width: int) -> nn.Conv1d:
    """Convolution that keeps the number of points."""
    return nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2)


def negative_log_likelihood(answer: Answer, free: Float[Tensor, "curve 7"]) -> Float[Tensor, "curve"]:
    """-ln of the Gaussian density of the truth, per parameter, but for a constant."""
    off = (answer.root.transpose(1, 2) @ (free - answer.mean)[..., None])[..., 0]
    logs = torch.log(torch.diagonal(answer.root, dim1=1, dim2=2))
    return (0.5 * off**2 - logs).mean(1)


def covariance_of(answer: Answer) -> Float[Tensor, "curve 7 7"]:
    """Covariance of the free numbers."""
    return torch.cholesky_inverse(answer.root.double())


def coarse_curve(curve: Float[Tensor, "curve point"], points: int) -> Float[Tensor, "curve coarse"]:
    """What the multi-task answer says: a curve at fewer points."""
    return functional.interpolate(curve[:, None], points, mode="linear", align_corners=True)[:, 0]
