"""How finely a stack samples its speckles, from the counts alone."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.records import Stack
from madpipe.physics.fourier import image

_SIGNIFICANT = 6.0  # standard deviations of the noise that an autocorrelation must exceed
_LEAST_PHOTONS = 1e6  # in all: fewer show too little of the particle
_LEAST_SHARE = 2e-3  # of the autocorrelation's peak: below, the intensity beyond the frame's rim shows


def oversampling_of(stack: Stack) -> float | None:
    """Estimate the oversampling, field of view over particle size; None where the counts do not tell.

    The transform of the intensities is the particle's autocorrelation, twice as wide as the particle. Its extent is
    read along the axis where the particle is widest, above the noise, which is the same at every distance; so it is an
    underestimate of the particle, and an overestimate of the oversampling, the more the fewer photons there are.
    """
    counts = torch.as_tensor(np.where(stack.good, stack.data, 0).astype(float)).sum(0)
    total = float(counts.sum())
    if total < _LEAST_PHOTONS:
        return None
    correlation = image(counts.to(torch.complex128), counts.ndim).abs() * counts.numel()
    extents = [_extent(correlation, axis, total) for axis in range(counts.ndim)]
    return 2 / max(extents) if max(extents) > 0 else None


def _extent(correlation: Float[Tensor, "*shape"], axis: int, total: float) -> float:
    """Largest distance along an axis at which the autocorrelation is significant, over half the field of view."""
    size, middle = correlation.shape[axis], correlation.shape[axis] // 2
    along = correlation.amax([other for other in range(correlation.ndim) if other != axis])
    threshold = max(_SIGNIFICANT * total**0.5, _LEAST_SHARE * total)
    distance = (torch.arange(size) - middle).abs()
    seen = distance[along > threshold]
    return float(seen.max()) / (size / 2) if len(seen) else 0.0
