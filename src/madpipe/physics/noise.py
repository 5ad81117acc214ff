"""What stands between expected photons and a detector's counts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def poisson(expected: Float[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Draw photon counts [photon] from their expectation [photon]."""
    return torch.poisson(expected, generator=generator)


def mean_deviation(expected: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Mean absolute deviation of a Poisson count from its expectation [photon].

    .. math:: \langle |n - \mu| \rangle = 2 e^{-\mu} \mu^{\lfloor\mu\rfloor + 1} / \lfloor\mu\rfloor!

    Parameters
    ----------
    expected:
        :math:`\mu \ge 0` [photon].

    References
    ----------
    P. Diaconis, S. Zabell, Statistical Science 6, 284 (1991), eq. 1.6 (De Moivre's identity, for the Poisson law).
    """
    whole = expected.floor()
    return 2 * torch.exp(torch.xlogy(whole + 1, expected) - expected - torch.lgamma(whole + 1))


def scale_jitter(energies: int, relative: float, generator: torch.Generator) -> Float[Tensor, "energy"]:
    """Draw one factor per energy, log-normal of rms ln G = relative: monitor drift, absorption, beam on the sample."""
    return torch.exp(relative * torch.randn(energies, generator=generator, dtype=torch.float64))


def beam_stop(coordinates: Float[Tensor, "axis *grid"], radius: float) -> Bool[Tensor, "*grid"]:
    """Mark the points hidden by a round beam stop about the origin; coordinates and radius in one unit."""
    return coordinates.square().sum(0) < radius**2


def gap(coordinate: Float[Tensor, "*grid"], start: float, width: float) -> Bool[Tensor, "*grid"]:
    """Mark the points in a straight gap between detector modules, start <= coordinate < start + width."""
    return (coordinate >= start) & (coordinate < start + width)
