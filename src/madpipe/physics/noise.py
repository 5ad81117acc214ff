"""What stands between expected photons and a detector's counts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def poisson(expected: Float[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Draw photon counts [photon] from their expectation [photon]."""
    return torch.poisson(expected, generator=generator)


def thinned(
    counts: Float[Tensor, "*shape"], share: float, generator: torch.Generator
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Give each photon to one of two, the first with probability ``share``.

    Where the counts are Poisson's both parts are so too, of means ``share`` and 1 - ``share`` of theirs, and they are
    independent (Kingman, Poisson Processes (1993), section 5.1, colouring theorem).

    Parameters
    ----------
    counts:
        Whole numbers, 0 or more [photon].
    share:
        0 to 1.
    generator:
        Draws who gets them.
    """
    first = torch.binomial(counts, torch.full_like(counts, share), generator=generator)
    return first, counts - first


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
