"""The network: from a small image to a few hypotheses of turn and ln spread, each with its covariance."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from madpipe.stills.config import StillsTrainConfig
from madpipe.stills.network.turns import rotation_of_six, vector_of_rotation

SIDE = 64  # pixels of a side
NUMBERS = ("turn_x", "turn_y", "turn_z", "ln_spread")
_COUNT = len(NUMBERS)
_BELOW = _COUNT * (_COUNT - 1) // 2
_OF_HYPOTHESIS = 6 + 1 + _COUNT + _BELOW + 1  # rotation, ln spread, root, weight
_LIMIT = 7.0  # ln of a diagonal of the precision's root is between -7 and 7
_LAST, _COMMON = 16, 256  # features of each pixel of the last map, and of the layer that joins them
_MIDDLE = math.log(0.6)  # of ln spread [ln degree]
_TOLD = 5  # numbers beside the image
_UNIT = math.degrees(1.0)
BRIGHTNESSES = (
    1e4,
    3e4,
    1e5,
    3e5,
    1e6,
)  # photons above the median pixel, at which errors are widened by their own factors


class Answer(NamedTuple):
    """What the network says of images, hypothesis by hypothesis."""

    rotation: Float[Tensor, "image hypothesis 3 3"]  # from the nominal orientation
    ln_spread: Float[Tensor, "image hypothesis"]  # of degrees
    root: Float[Tensor, "image hypothesis 4 4"]  # lower triangle, precision = root root^T [1/degree, 1]
    ln_weight: Float[Tensor, "image hypothesis"]  # of probabilities, which sum to 1


class StartNetwork(nn.Module):
    """Residual convolutions, and a layer that sees all of the last map: where a spot is matters, not only that it is.

    Parameters
    ----------
    config:
        Width and hypotheses.
    generator:
        First weights.

    Notes
    -----
    ``widening`` is a buffer: standard errors are multiplied by it, interpolated between :data:`BRIGHTNESSES`, from
    images that decided nothing in the training.
    """

    def __init__(self, config: StillsTrainConfig, generator: torch.Generator) -> None:
        super().__init__()
        width = config.width
        self.trunk = nn.Sequential(
            nn.Conv2d(2 + _TOLD, width, 5, stride=2, padding=2),
            _Residual(width),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            _Residual(2 * width),
            _Residual(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            _Residual(4 * width),
            _Residual(4 * width),
            nn.Conv2d(4 * width, _LAST, 1),
            nn.Flatten(),
        )
        self.common = nn.Sequential(
            nn.SiLU(),
            nn.Linear(_LAST * (SIDE // 8) ** 2 + _TOLD, _COMMON),
            nn.SiLU(),
            nn.Linear(_COMMON, _COMMON // 2),
            nn.SiLU(),
        )
        self.answer = nn.Linear(_COMMON // 2, config.hypotheses * _OF_HYPOTHESIS)
        self.widening: Tensor
        self.register_buffer("widening", torch.ones(len(BRIGHTNESSES), _COUNT))
        self._draw_weights(generator)

    def forward(self, seen: Float[Tensor, "image 2 64 64"], told: Float[Tensor, "image 5"]) -> Answer:
        """Answer for images that :func:`what_is_seen` prepared, with what is known of crystal and detector."""
        planes = told[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        common = self.common(torch.cat([self.trunk(torch.cat([seen, planes], dim=1)), told], dim=1))
        numbers = self.answer(common).float().unflatten(1, (-1, _OF_HYPOTHESIS))
        six, middle, diagonal, below, weight = numbers.split([6, 1, _COUNT, _BELOW, 1], dim=-1)
        straight = torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=six.dtype, device=seen.device)
        root = torch.diag_embed(torch.exp(_LIMIT * torch.tanh(diagonal / _LIMIT)))
        rows, columns = torch.tril_indices(_COUNT, _COUNT, -1, device=seen.device)
        every = torch.zeros_like(root)
        every[..., rows, columns] = below
        return Answer(
            rotation_of_six(straight + 0.3 * six),
            middle[..., 0] + _MIDDLE,
            (root + every) / self._widened(seen)[:, None, :, None],
            torch.log_softmax(weight[..., 0], dim=1),
        )

    def _widened(self, seen: Float[Tensor, "image 2 64 64"]) -> Float[Tensor, "image 4"]:
        """Factors on the standard errors of images of this brightness."""
        at = torch.log(photons_seen(seen).clamp(BRIGHTNESSES[0], BRIGHTNESSES[-1]))
        knots = torch.log(torch.tensor(BRIGHTNESSES, dtype=at.dtype, device=at.device))
        after = torch.searchsorted(knots, at.contiguous()).clamp(1, len(knots) - 1)
        share = ((at - knots[after - 1]) / (knots[after] - knots[after - 1]))[:, None]
        return (1 - share) * self.widening[after - 1] + share * self.widening[after]

    def _draw_weights(self, generator: torch.Generator) -> None:
        """First weights: He's, small ones for the answers."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                with torch.no_grad():
                    module.weight.mul_(0.7)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.answer.weight, std=0.03, generator=generator)


class _Residual(nn.Module):
    """x + convolved x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "image feature row column"]) -> Float[Tensor, "image feature row column"]:
        """One block."""
        return x + 0.5 * self.inner(x)


def what_is_seen(counts: Float[Tensor, "image 64 64"]) -> Float[Tensor, "image 2 64 64"]:
    """What the network reads of counts: log(1 + n) over the largest, which is the shape, and itself: the noise."""
    logs = torch.log1p(counts)
    return torch.stack([logs - logs.amax((1, 2), keepdim=True) + 3.5, logs - 2.0], dim=1) / 1.5


def photons_seen(seen: Float[Tensor, "image 2 64 64"]) -> Float[Tensor, "image"]:
    """Photons above the median pixel, from what :func:`what_is_seen` made of the counts."""
    counts = torch.expm1(1.5 * seen[:, 1] + 2.0).flatten(1)
    return (counts - counts.median(dim=1, keepdim=True).values).clamp(min=0).sum(1)


def off(
    answer: Answer, rotation: Float[Tensor, "image 3 3"], ln_spread: Float[Tensor, "image"]
) -> Float[Tensor, "image hypothesis 4"]:
    """Truth less each hypothesis: rotation vector from it to the truth [degree], and ln spread."""
    turn = vector_of_rotation(rotation[:, None] @ answer.rotation.transpose(-1, -2)) * _UNIT
    return torch.cat([turn, (ln_spread[:, None] - answer.ln_spread)[..., None]], dim=-1)


def ln_densities(answer: Answer, off: Float[Tensor, "image hypothesis 4"]) -> Float[Tensor, "image hypothesis"]:
    """ln of weight times Gaussian density of the truth, but for a constant."""
    scaled = (answer.root.transpose(-1, -2) @ off[..., None])[..., 0]
    logs = answer.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return answer.ln_weight + logs - 0.5 * scaled.square().sum(-1)


def covariances(answer: Answer) -> Float[Tensor, "image hypothesis 4 4"]:
    """Covariance of the numbers of each hypothesis [degree, 1]."""
    return torch.cholesky_inverse(answer.root.double())
