"""The network: residual convolutions in time whose reach doubles, and two marks for each frame."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from madpipe.kinetics.events.network.features import CHANNELS
from madpipe.kinetics.events.network.settings import EventsTrainConfig

_KERNEL, _GROUPS, _FARTHEST = 5, 4, 5  # reach doubles up to 2^5 frames
_RARE = -4.0  # first logit: events are rare


class EventNetwork(nn.Module):
    """Gives the logits of a step and of a kink in each frame.

    Parameters
    ----------
    config:
        Width and layers.
    generator:
        First weights.
    """

    def __init__(self, config: EventsTrainConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Conv1d(CHANNELS, config.width, _KERNEL, padding=_KERNEL // 2)
        self.layers = nn.ModuleList(
            _Layer(config.width, 2 ** (place % (_FARTHEST + 1))) for place in range(config.layers)
        )
        self.last = nn.Conv1d(config.width, 2, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv1d):
                bound = 1 / (part.weight.shape[1] * part.weight.shape[2]) ** 0.5
                part.weight.data.uniform_(-bound, bound, generator=generator)
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.last.bias, _RARE)  # type: ignore[arg-type]

    def forward(self, seen: Float[Tensor, "series channel frame"]) -> Float[Tensor, "series 2 frame"]:
        """Answer for features of :func:`madpipe.kinetics.events.network.features.features_of`."""
        hidden = self.first(seen)
        for layer in self.layers:
            hidden = layer(hidden)
        marks: Tensor = self.last(hidden)
        return marks


class _Layer(nn.Module):
    """One residual convolution."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.near = nn.Conv1d(width, width, _KERNEL, padding=reach * (_KERNEL // 2), dilation=reach)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Add what the neighbours say."""
        found: Tensor = hidden + self.mix(nn.functional.gelu(self.near(self.norm(hidden))))
        return found
