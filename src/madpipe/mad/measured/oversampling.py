"""How finely a stack samples its speckles, from the counts alone."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.records import Stack
from madpipe.physics.fourier import autocorrelation_cornered

_SIGNIFICANT = 6.0  # standard deviations of the noise that an autocorrelation must exceed
_LEAST_PHOTONS = 1e6  # in all: fewer show too little of the particle
_LEAST_SHARE = 2e-3  # of the autocorrelation's peak: below, the intensity beyond the frame's rim shows


def photons_of(stack: Stack) -> Float[Tensor, "*point"]:
    """Photons of every point, all energies together, masked ones left out."""
    counts = torch.zeros(stack.shape, dtype=torch.float64)
    for values, good in zip(stack.data, stack.good, strict=True):
        counts += torch.as_tensor(np.where(good, values, 0).astype(float))
    return counts


def oversampling_of(stack: Stack) -> float | None:
    """Estimate the oversampling, field of view over particle size; None where the counts do not tell."""
    return oversampling_from(photons_of(stack))


def oversampling_from(counts: Float[Tensor, "*point"]) -> float | None:
    """Estimate the oversampling from the photons of every point (:func:`photons_of`).

    The transform of the intensities is the particle's autocorrelation, twice as wide as the particle. Its extent is
    read along the axis where the particle is widest, above the noise, which is the same at every distance; so it is an
    underestimate of the particle, and an overestimate of the oversampling, the more the fewer photons there are.
    """
    total = float(counts.sum())
    if total < _LEAST_PHOTONS:
        return None
    correlation = autocorrelation_cornered(counts)
    extents = [_extent(correlation, axis, size, total) for axis, size in enumerate(counts.shape)]
    return 2 / max(extents) if max(extents) > 0 else None


def _extent(correlation: Float[Tensor, "*kept"], axis: int, size: int, total: float) -> float:
    """Largest distance along an axis at which the autocorrelation is significant, over half the field of view."""
    along = correlation.amax([other for other in range(correlation.ndim) if other != axis])
    threshold = max(_SIGNIFICANT * total**0.5, _LEAST_SHARE * total)
    place = torch.arange(len(along))
    distance = torch.minimum(place, size - place)
    seen = distance[along > threshold]
    return float(seen.max()) / (size / 2) if len(seen) else 0.0
