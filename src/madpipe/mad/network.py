"""The reference network: counts at several photon energies -> |F_T|, |F_A|, sin and cos of Delta_phi. Layers only.

It is fully convolutional: trained on patches, used on whole frames. Everything in it is float32.
"""

import math
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from madpipe.mad.forward import in_resonant_gauge

_DTYPE = torch.float32
_CODE = 32  # features that f' and f'' of the energies are encoded into
_TYPICAL_DISPERSION = (-6.0, 2.0)  # f', f'' about an edge [electron]: centres of what is encoded
_DISPERSION_SPREAD = 2.0  # [electron]
_TYPICAL_F0 = 20.0  # [electron]
_LOG_SPREAD = 3.0  # of log r over the exposures met


class Measured(NamedTuple):
    """What the network looks at: a batch of patches, frames or slices."""

    counts: Float[Tensor, "batch energy y x"]  # at unit exposure, less background, >= 0 [photon]
    good: Bool[Tensor, "batch y x"]  # measured at every energy
    f_prime: Float[Tensor, "batch energy"]  # [electron]
    f_double_prime: Float[Tensor, "batch energy"]  # [electron]
    f0: Float[Tensor, "batch y x"]  # [electron]


class Unknowns(NamedTuple):
    """What the network says, and the unit it says it in."""

    f_total: Float[Tensor, "batch y x"]  # |F_T| / scale
    f_resonant: Float[Tensor, "batch y x"]  # |F_A| / scale
    sine: Float[Tensor, "batch y x"]  # of Delta_phi, within (-1, 1)
    cosine: Float[Tensor, "batch y x"]
    scale: Float[Tensor, "batch y x"]  # r [sqrt(photon)]

    def structure_factors(self) -> dict[str, Float[Tensor, "batch y x"]]:
        r"""Moduli in units of r and phases [radian] that follow from the four answers.

        .. math:: \Delta\phi = \mathrm{atan2}(\sin, \cos),\quad F_N = |F_T| e^{i\Delta\phi} - |F_A|
        """
        delta_phi = torch.atan2(self.sine, self.cosine)
        f_normal = in_resonant_gauge(self.f_total, delta_phi) - self.f_resonant
        return {
            "f_total": self.f_total,
            "f_resonant": self.f_resonant,
            "delta_phi": delta_phi,
            "f_normal": f_normal.abs(),
            "delta_phi_na": f_normal.angle(),
        }


def normalised_counts(
    counts: Float[Tensor, "batch energy y x"], good: Bool[Tensor, "batch y x"]
) -> tuple[Float[Tensor, "batch energy y x"], Float[Tensor, "batch y x"]]:
    r"""Counts as the network sees them, and the unit that it answers in.

    .. math:: \sqrt{n_E} / r,\qquad r = \sqrt{\bar n + 1}

    n: counts of the point; of the 3 x 3 points about it, averaged, where it was not measured; their mean over the
    energies gives r.

    Returns
    -------
    :
        Channels [1] and r [sqrt(photon)], r >= 1.

    Notes
    -----
    The square root makes Poisson noise alike at any brightness (standard deviation 1/2 from a few photons upward)
    and leaves 0 and 1, all there is at low counts, as they are: the convolutions then sum photons, which is the best
    that can be done with them. Far above one photon the channels are the spectrum of the point, the same at any
    exposure, and a dark fringe is as well resolved as the bright one beside it. Far below, r is 1 and the channels
    are the counts: without the 1 a lone photon would look like a bright point. Together with log r, a channel of its
    own, they determine n, so the count scale is never lost.
    """
    weight = good[:, None].to(counts.dtype)
    total, number = (functional.avg_pool2d(each, 3, stride=1, padding=1) for each in (counts * weight, weight))
    nearby = total / number.clamp(min=0.1)  # the least number there is, but for none, is 1/9
    filled = torch.where(good[:, None], counts, nearby)
    scale = (filled.mean(1) + 1).sqrt()
    return filled.sqrt() / scale[:, None], scale


class _Block(nn.Sequential):
    """3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False, dtype=_DTYPE),
            nn.BatchNorm2d(after, dtype=_DTYPE),
            nn.ReLU(),
        )


class _Bottleneck(nn.Module):
    """3 x 3 convolution of features beside the encoded dispersion, batch norm, ReLU.

    The code is the same in every point, so its part of the convolution is one sum per feature: a linear layer.
    """

    def __init__(self, width: int, energies: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Linear(2 * energies, _CODE, dtype=_DTYPE),
            nn.ReLU(),
            nn.Linear(_CODE, _CODE, dtype=_DTYPE),
            nn.ReLU(),
        )
        self.inject = nn.Linear(_CODE, width, bias=False, dtype=_DTYPE)
        self.convolve = nn.Conv2d(width, width, 3, padding=1, bias=False, dtype=_DTYPE)
        self.norm = nn.BatchNorm2d(width, dtype=_DTYPE)

    def forward(self, features: Tensor, dispersion: Tensor) -> Tensor:
        injected = self.inject(self.encode(dispersion))[:, :, None, None]
        return functional.relu(self.norm(self.convolve(features) + injected))


class _Plain(nn.Module):
    """32-64-128, then 128-64-32, all at full resolution; a point sees the 13 x 13 points about it."""

    multiple = 1

    def __init__(self, channels: int, energies: int) -> None:
        super().__init__()
        self.before = nn.Sequential(_Block(channels, 32), _Block(32, 64), _Block(64, 128))
        self.bottleneck = _Bottleneck(128, energies)
        self.after = nn.Sequential(_Block(128, 64), _Block(64, 32))

    def forward(self, channels: Tensor, dispersion: Tensor) -> Tensor:
        return self.after(self.bottleneck(self.before(channels), dispersion))


class _UNet(nn.Module):
    """Two poolings, skips at both levels; frames must be a multiple of 4 wide."""

    multiple = 4

    def __init__(self, channels: int, energies: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(_Block(channels, 32), _Block(32, 32))
        self.middle = nn.Sequential(_Block(32, 64), _Block(64, 64))
        self.coarse = _Block(64, 128)
        self.bottleneck = _Bottleneck(128, energies)
        self.to_middle = nn.Sequential(_Block(128 + 64, 64), _Block(64, 64))
        self.to_fine = nn.Sequential(_Block(64 + 32, 32), _Block(32, 32))

    def forward(self, channels: Tensor, dispersion: Tensor) -> Tensor:
        fine = self.fine(channels)
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.bottleneck(self.coarse(functional.max_pool2d(middle, 2)), dispersion)
        middle = self.to_middle(torch.cat([_doubled(coarse), middle], dim=1))
        return self.to_fine(torch.cat([_doubled(middle), fine], dim=1))


ARCHITECTURES = {"cnn_patches": _Plain, "unet_patches": _UNet}


class Network(nn.Module):
    """Counts in, unknowns out, with one of the ARCHITECTURES between.

    Parameters
    ----------
    architecture:
        Key of ARCHITECTURES.
    energies:
        How many photon energies.
    f0_channel:
        Hand f0(Q) to it as a channel.
    generator:
        Draws the first weights; torch's global generator has no say.
    """

    def __init__(self, architecture: str, energies: int, f0_channel: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.f0_channel = f0_channel
        self.body = ARCHITECTURES[architecture](energies + 2 + f0_channel, energies)
        self.head = nn.Conv2d(32, 4, 1, dtype=_DTYPE)
        self._draw_weights(generator)

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        """He's initialisation for layers before a ReLU."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.normal_(0, math.sqrt(2 / layer.weight[0].numel()), generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()

    def forward(self, measured: Measured) -> Unknowns:
        """Answer for every point of a batch of any height and width."""
        counts, good, f_prime, f_double_prime, f0 = (
            each if each.dtype == torch.bool else each.to(_DTYPE) for each in measured
        )
        channels, scale = normalised_counts(counts, good)
        extra = [scale.log() / _LOG_SPREAD, good.to(_DTYPE)] + [f0 / _TYPICAL_F0 - 1] * self.f0_channel
        channels = torch.cat([channels, torch.stack(extra, dim=1)], dim=1)
        centred = torch.cat([f_prime - _TYPICAL_DISPERSION[0], f_double_prime - _TYPICAL_DISPERSION[1]], dim=1)
        height, width = channels.shape[-2:]
        # beyond its rim a frame reads as not measured: zeros, as the convolutions pad too
        padding = (0, -width % self.body.multiple, 0, -height % self.body.multiple)
        features = self.body(functional.pad(channels, padding), centred / _DISPERSION_SPREAD)
        raw = self.head(features)[..., :height, :width]
        moduli, direction = functional.softplus(raw[:, :2]), torch.tanh(raw[:, 2:])
        return Unknowns(moduli[:, 0], moduli[:, 1], direction[:, 0], direction[:, 1], scale)


def reproducible() -> AbstractContextManager[None]:
    """Context in which CUDA convolves in full float32, not TF32, and with the same order of sums every time."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False)


def _doubled(features: Float[Tensor, "batch feature y x"]) -> Float[Tensor, "batch feature y2 x2"]:
    """Repeat every point twice along both axes; unlike an interpolation it is deterministic on CUDA too."""
    batch, width, height, length = features.shape
    tiles = features[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
    return tiles.reshape(batch, width, 2 * height, 2 * length)
