"""How intensities scatter about their expectation: one law for fit, refinement, joint retrieval and loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.noise import mean_deviation, poisson


@dataclass(frozen=True)
class NoiseLaw:
    r"""Variance of an observation where :math:`\mu` photons are expected: :math:`v = c_0 + c_1 \mu + c_2 \mu^2`."""

    constant: float = 0.0  # c0 [photon^2]
    linear: float = 1.0  # c1 [photon]
    quadratic: float = 0.0  # c2 [1]

    @property
    def is_poisson(self) -> bool:
        """Whether the observations are counts: the variance is the expectation."""
        return self.is_proportional and self.linear == 1

    @property
    def is_proportional(self) -> bool:
        """Whether the variance is a multiple of the expectation."""
        return self.constant == 0 and self.quadratic == 0

    def variance(self, expected: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Variance of the observation where this many photons are expected [photon^2]."""
        if self.is_proportional:
            return expected if self.linear == 1 else self.linear * expected
        return self.constant + self.linear * expected + self.quadratic * expected.square()

    def mean_deviation(self, expected: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""Mean absolute deviation of the observation [photon]: of counts, or :math:`\sigma\sqrt{2/\pi}`."""
        if self.is_poisson:
            return mean_deviation(expected)
        return (self.variance(expected) * (2 / torch.pi)).sqrt()

    def rate(self, expected: Float[Tensor, "*shape"]) -> float | Float[Tensor, "*shape"]:
        """Derivative of the variance by the expectation [photon]."""
        return self.linear if self.quadratic == 0 else self.linear + 2 * self.quadratic * expected

    def times(self, factor: float) -> "NoiseLaw":
        """Multiply the variance."""
        return NoiseLaw(factor * self.constant, factor * self.linear, factor * self.quadratic)

    def half_deviance(
        self, observed: Float[Tensor, "*shape"], expected: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        r"""Log-likelihood of a perfect model less that of the expectation, of each observation.

        .. math:: \int_\mu^I \frac{I - t}{v(t)}\,dt

        Poisson's, :math:`I \ln(I/\mu) - I + \mu`, or the quasi-likelihood's with constant and square term; half of
        chi-square where the variance has other terms.
        """
        if self.is_proportional:
            return (torch.xlogy(observed, observed / expected) - observed + expected) / self.linear
        if self.linear != 0 or self.quadratic <= 0:
            return self.half_chi_square(observed, expected)
        rate = (self.quadratic / self.constant) ** 0.5
        turn = torch.atan(rate * (observed - expected) / (1 + rate * rate * observed * expected))
        turn += torch.pi * (1 + rate * rate * observed * expected < 0) * (observed - expected).sign()
        ratio = (1 + (rate * observed).square()) / (1 + (rate * expected).square())
        return (rate * observed * turn - 0.5 * ratio.log()) / self.quadratic

    def half_chi_square(
        self, observed: Float[Tensor, "*shape"], expected: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        r"""Half of :math:`(I - \mu)^2 / v(\mu)`, of each observation."""
        return 0.5 * (observed - expected).square() / self.variance(expected)

    def drawn(
        self, expected: Float[Tensor, "*shape"], generator: torch.Generator, *, normal: bool = False
    ) -> Float[Tensor, "*shape"]:
        """Draw observations: counts where it is Poisson's law, else, or with ``normal``, normal noise [photon]."""
        if self.is_poisson and not normal:
            return poisson(expected.cpu(), generator).to(expected.device)
        noise = torch.randn(expected.shape, generator=generator, dtype=expected.dtype, device=generator.device)
        return expected + self.variance(expected).sqrt() * noise.to(expected.device)


POISSON = NoiseLaw()
