"""The reference design: a U-Net on patches of raw counts at fixed energies. Layers only."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from madpipe.mad.fit.belief import Belief
from madpipe.mad.network.design.frames import Statistics, draw_weights, from_polar
from madpipe.mad.network.design.sums import Seen, brightness

_DTYPE = torch.float32
_CODE = 32  # features that f' and f'' of the energies are encoded into
_TYPICAL = (-6.0, 2.0, 2.0)  # f', f'' about an edge and their spread [electron]
_LOG_SPREAD = 3.0  # of log r over the exposures met
_ERRORS = 3  # logarithms of the precision of x, a, b; the reference design itself has none


class _Block(nn.Sequential):
    """3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False, dtype=_DTYPE),
            nn.BatchNorm2d(after, dtype=_DTYPE),
            nn.ReLU(),
        )


class PatchNetwork(nn.Module):
    """|F_T|, |F_A|, sin and cos of Delta_phi from the counts at fixed energies: two poolings, skips at both levels.

    Every energy is a channel, as the root of its counts over r; f' and f'' are encoded and added at the bottleneck. It
    is trained on patches and used on whole frames. Errors are an addition of ours: they see the features, but the
    means are trained without them.

    Parameters
    ----------
    energies:
        How many photon energies.
    generator:
        Draws the first weights.
    """

    reach = 24  # two poolings: how far from a point what it depends on may lie [point]

    def __init__(self, energies: int, generator: torch.Generator) -> None:
        super().__init__()
        self.fine = nn.Sequential(_Block(energies + 2, 32), _Block(32, 32))
        self.middle = nn.Sequential(_Block(32, 64), _Block(64, 64))
        self.coarse = _Block(64, 128)
        self.encode = nn.Sequential(
            nn.Linear(2 * energies, _CODE, dtype=_DTYPE),
            nn.ReLU(),
            nn.Linear(_CODE, 128, dtype=_DTYPE),
        )
        self.bottleneck = _Block(128, 128)
        self.to_middle = nn.Sequential(_Block(128 + 64, 64), _Block(64, 64))
        self.to_fine = nn.Sequential(_Block(64 + 32, 32), _Block(32, 32))
        self.head = nn.Conv2d(32, 4 + _ERRORS, 1, dtype=_DTYPE)
        draw_weights(self, generator)

    def describe(self, statistics: Statistics) -> None:
        """Do nothing: the reference design knows nothing of its particles beforehand."""

    def forward(self, seen: Seen, precision: torch.dtype = _DTYPE) -> list[tuple[Belief, Tensor]]:
        """Predict, as :meth:`madpipe.mad.network.design.frames.FrameNetwork.forward` does, in one pass."""
        intensity = brightness(seen.sums)[0]
        good = (seen.sums[0][:, 4] > 0).to(_DTYPE)
        scale = intensity.sqrt()
        roots = seen.counts.clamp(min=0).sqrt() / scale[:, None] * good[:, None]
        channels = torch.cat([roots, (scale.log() / _LOG_SPREAD)[:, None], good[:, None]], 1)
        height, width = channels.shape[-2:]
        padded = functional.pad(channels, (0, -width % 4, 0, -height % 4))
        with torch.autocast(padded.device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            raw = self._features(padded, seen.dispersion)
        return [(self._prediction(raw[..., :height, :width].to(_DTYPE).movedim(1, 0).flatten(1)), intensity)]

    def _features(self, channels: Tensor, dispersion: Float[Tensor, "batch energies2"]) -> Tensor:
        """The U-Net itself."""
        half = dispersion.shape[1] // 2
        centres = torch.tensor([_TYPICAL[0]] * half + [_TYPICAL[1]] * half, dtype=_DTYPE, device=dispersion.device)
        code = self.encode(((dispersion - centres) / _TYPICAL[2]).to(_DTYPE))[:, :, None, None]
        fine = self.fine(channels)
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.bottleneck(self.coarse(functional.max_pool2d(middle, 2)) + code)
        middle = self.to_middle(torch.cat([_doubled(coarse), middle], dim=1))
        return self.head(self.to_fine(torch.cat([_doubled(middle), fine], dim=1)))

    def _prediction(self, raw: Float[Tensor, "7 point"]) -> Belief:
        """x, a, b and their precision from |F_T|, |F_A|, sin, cos."""
        mean, circle = from_polar(raw[0], raw[1], raw[3], raw[2])
        xx, aa, bb = raw[4:].clamp(-3, 8).exp()
        zero = torch.zeros_like(xx)
        return Belief(mean, torch.stack([xx, zero, zero, aa, zero, bb]), circle)


def _doubled(features: Float[Tensor, "batch feature y x"]) -> Float[Tensor, "batch feature y2 x2"]:
    """Repeat every point twice along both axes; unlike an interpolation it is deterministic on CUDA too."""
    return features.repeat_interleave(2, -2).repeat_interleave(2, -1)
