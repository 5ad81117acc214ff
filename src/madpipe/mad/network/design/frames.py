"""The network of whole frames: dilated convolutions from windowed sums to a prediction per point. Layers only."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from madpipe.mad.fit.belief import Belief
from madpipe.mad.fit.likelihood import PAIRS
from madpipe.mad.network.design.sums import CHANNELS, Moments, Seen, channels
from madpipe.mad.network.posterior import refined

ANSWERS = 10  # three means, three logarithms of a root precision, three of its lower triangle, one for polar answers
_USUAL = 0.8  # of raw |F_T|, |F_A| and cos to begin with
_DTYPE = torch.float32
_FARTHEST = 6.0  # standard deviations of the prior that a mean may lie from its centre
_STIFFEST = 5.0  # largest logarithm of a root precision, in prior standard deviations
_FIRST_GUESS = 0.5  # of those logarithms
_HEADS, _PATCH = 4, 8  # of the attention
_SHARE = 0.5  # of a layer in what goes on


class Statistics(NamedTuple):
    """What the training particles are like: moments of z / r^2 and of theta / r = (x, a, b) / r over their points."""

    linear: Moments
    mean: Float[Tensor, "3"]
    root: Float[Tensor, "3 3"]


class _Attention(nn.Module):
    """Every patch of 8 x 8 points attends to every other, and tells its points what it found."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, 3 * width, 1, dtype=_DTYPE)
        self.out = nn.Conv2d(width, width, 1, dtype=_DTYPE)

    def forward(self, features: Tensor) -> Tensor:
        batch, width, height, length = features.shape
        coarse = functional.avg_pool2d(features, _PATCH, ceil_mode=True)
        mixed = self.mix(coarse).reshape(batch, 3, _HEADS, width // _HEADS, -1).transpose(-1, -2)
        found = functional.scaled_dot_product_attention(*mixed.unbind(1)).transpose(-1, -2).reshape(coarse.shape)
        fine = self.out(found).repeat_interleave(_PATCH, -2).repeat_interleave(_PATCH, -1)
        return features + fine[..., :height, :length]


class _Dilated(nn.Module):
    """Residual 3 x 3 convolutions of rising and falling dilation, all at full resolution.

    No pooling, so that no point of a frame is special; no normalisation, so that no frame tells on another.
    """

    def __init__(self, before: int, width: int, dilations: Sequence[int], attention: bool, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Conv2d(before, width, 3, padding=1, dtype=_DTYPE)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, dtype=_DTYPE) for dilation in dilations
        )
        self.attend = _Attention(width) if attention else nn.Identity()
        self.drop = nn.Dropout2d(dropout)
        self.leave = nn.Conv2d(width, ANSWERS, 1, dtype=_DTYPE)

    def forward(self, features: Tensor) -> Tensor:
        features = self.enter(features)
        for number, layer in enumerate(self.layers):
            features = features + _SHARE * self.drop(functional.relu(layer(features)))
            if number == len(self.layers) // 2:
                features = self.attend(features)
        return self.leave(functional.relu(features))


class FrameNetwork(nn.Module):
    """Windowed sums in, a prediction out, in units of r.

    Parameters
    ----------
    width:
        Features of every layer.
    dilations:
        Of its 3 x 3 convolutions, in points.
    passes:
        2: a second stack of layers reads the first one's prediction once the counts have corrected it.
    attention:
        In the middle layer; then the answer of a tile differs from that of the whole.
    dropout:
        Share of features dropped in training.
    polar:
        Answer |F_T|, |F_A|, sin and cos of Delta_phi; else x, a, b, where sin^2 + cos^2 = 1 by construction.
    generator:
        Draws the first weights; torch's global generator has no say.
    """

    z_mean: Tensor
    z_root: Tensor
    mean: Tensor
    root: Tensor

    def __init__(
        self,
        width: int,
        dilations: Sequence[int],
        passes: int,
        attention: bool,
        dropout: float,
        polar: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.polar = polar
        self.bodies = nn.ModuleList(
            _Dilated(CHANNELS + (0 if number == 0 else 6 + ANSWERS), width, dilations, attention, dropout)
            for number in range(passes)
        )
        # how far from a point what it depends on may lie [point]; attention sees everything
        self.reach = None if attention else passes * (1 + sum(dilations))
        for name, shape in {"z_mean": (4,), "z_root": (4, 4), "mean": (3,), "root": (3, 3)}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        draw_weights(self, generator)

    def describe(self, statistics: Statistics) -> None:
        """Tell the network what its training particles are like; before the first step."""
        for name, value in zip(
            ("z_mean", "z_root", "mean", "root"), (*statistics.linear, *statistics[1:]), strict=True
        ):
            getattr(self, name).copy_(value)

    def forward(self, seen: Seen, precision: torch.dtype = _DTYPE) -> list[tuple[Belief, Tensor]]:
        """Predict: after each pass the prediction, its points flattened, and r^2 [photon], (batch, y, x).

        Convolutions run in ``precision``, weights and all else in float32 or better.
        """
        with torch.no_grad():
            read, intensity = channels(seen, Moments(self.z_mean, self.z_root))
        answers = []
        raw = None
        for body in self.bodies:
            more = read if raw is None else torch.cat([read, self._known(answers[-1][0], seen, intensity), raw], 1)
            found = _run(body, more, precision)
            raw = found if raw is None else raw + found
            answers.append((self._prediction(raw), intensity))
        return answers

    def _prediction(self, raw: Float[Tensor, "batch 10 y x"]) -> Belief:
        """Mean and precision from the raw answer."""
        flat = raw.movedim(1, 0).flatten(1)
        bounded = _FARTHEST * torch.tanh(flat[:3] / _FARTHEST)
        mean, circle = self.mean.to(flat)[:, None] + self.root.to(flat) @ bounded, None
        if self.polar:
            total, resonant, sine = flat[:3] + _USUAL
            mean, circle = from_polar(total, resonant, sine, flat[9])
        diagonal = (_STIFFEST - 1) * torch.tanh(flat[3:6] / (_STIFFEST - 1)) + _FIRST_GUESS
        precision = _precision(diagonal.exp(), flat[6:9], torch.linalg.inv(self.root).to(flat))
        return Belief(mean, precision, circle)

    def _known(self, prediction: Belief, seen: Seen, intensity: Tensor) -> Tensor:
        """What the counts of each point make of a prediction: mean and log information, whitened."""
        theta, information = corrected(prediction, seen, intensity)
        batch, height, width = intensity.shape
        inverse = torch.linalg.inv(self.root).to(theta)
        mean = (inverse @ (theta - self.mean.to(theta)[:, None])).clamp(-6, 6)
        scale = information[[0, 3, 5]].clamp(min=1e-6).log() / 8
        both = torch.cat([mean, scale]).reshape(6, batch, height, width)
        return both.movedim(0, 1)


def corrected(
    prediction: Belief, seen: Seen, intensity: Float[Tensor, "batch y x"], steps: int = 4
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "6 point"]]:
    """Let a prediction meet the counts of its own points, their variance taken at the brightness; in units of r."""
    linear = seen.sums[0][:, :4] * _signal(seen, intensity)[:, None]
    return refined(prediction, normal_matrix(seen, intensity), linear.movedim(1, 0).flatten(1), steps)


def normal_matrix(seen: Seen, intensity: Float[Tensor, "batch y x"]) -> Float[Tensor, "10 point"]:
    """Normal matrix of each point's own counts for unknowns in units of r^2, their variance taken at the brightness."""
    normal = torch.stack([seen.normal[:, i, j] for i, j in PAIRS])[:, :, None, None]
    return (normal.to(intensity) * (intensity * seen.sums[0][:, 4] * _signal(seen, intensity))).flatten(1)


def _signal(seen: Seen, intensity: Float[Tensor, "batch y x"]) -> Float[Tensor, "batch y x"]:
    """Share of a point's photons that are not background: what its variance leaves of their weight."""
    photons = intensity * seen.sums[0][:, 4]
    return (photons / (photons + seen.sums[0][:, 5])).nan_to_num(0.0)


def from_polar(total: Tensor, resonant: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """x, a, b from |F_T|, |F_A|, cos and sin of Delta_phi before their bounds; and sin^2 + cos^2 as they came."""
    f_total, f_resonant = functional.softplus(total), functional.softplus(resonant)
    cosine, sine = torch.tanh(cosine), torch.tanh(sine)
    circle = cosine.square() + sine.square()
    length = (circle + 1e-6).sqrt()
    return torch.stack([f_total, f_resonant * cosine / length, f_resonant * sine / length]), circle


def _run(body: nn.Module, features: Tensor, precision: torch.dtype) -> Tensor:
    """Run a body, its convolutions in the precision asked for."""
    with torch.autocast(features.device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        return body(features.to(_DTYPE)).to(_DTYPE)


def _precision(
    diagonal: Float[Tensor, "3 point"], lower: Float[Tensor, "3 point"], whiten: Float[Tensor, "3 3"]
) -> Float[Tensor, "6 point"]:
    """Precision W L L' W' with L = (1 + lower triangle) times its diagonal and W' the whitening."""
    zero = torch.zeros_like(diagonal[0])
    first, second, third = diagonal
    columns = torch.stack(
        [
            torch.stack([first, lower[0] * first, lower[1] * first]),
            torch.stack([zero, second, lower[2] * second]),
            torch.stack([zero, zero, third]),
        ]
    )
    root = torch.einsum("ji,cjp->cip", whiten, columns)
    return torch.stack([(root[:, i] * root[:, j]).sum(0) for i in range(3) for j in range(i, 3)])


@torch.no_grad()
def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """He's initialisation for layers before or after a ReLU; the answer starts at the prior."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan = module.weight[0].numel()
            module.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
            if module.bias is not None:
                module.bias.zero_()
    for module in network.modules():
        if isinstance(module, _Dilated):
            module.leave.weight.zero_()
        elif isinstance(module, _Attention):
            module.out.weight.zero_()
