"""How well a curve can determine a layer: Fisher information, counts and prior together."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import progress
from madpipe.rocking.fit.search import prior_roots
from madpipe.rocking.forward import COARSER
from madpipe.rocking.model import Model, model_of, variance
from madpipe.rocking.prior import RANGES
from madpipe.rocking.profiles import Implanted, draw_implanted, from_free, to_free
from madpipe.rocking.simulate.scan import Setup

_Seven = Float[np.ndarray, "7"]
_NEAREST_SPREAD = 0.5  # of free numbers about a layer of the pool


class Information:
    """Standard errors that no unbiased estimate of a scan's curves can go below.

    Parameters
    ----------
    setup:
        The scan.
    coarser:
        Sublayers over those of a fit.
    """

    def __init__(self, setup: Setup, coarser: float = 1.0) -> None:
        self.model: Model = model_of(setup.blank, setup.reflection, Implanted(coarser * setup.step))

    def standard_errors(self, values: _Seven, peak_counts: float, floor: float, systematic: float = 0.0) -> _Seven:
        """Give standard errors of the seven parameters over their ranges; scale, background, offset are unknown too.

        Parameters
        ----------
        values:
            The layer's parameters.
        peak_counts, floor:
            Counts of full reflectivity, and background over them.
        systematic:
            Error beside counting, relative to the curve.
        """
        free = to_free(torch.from_numpy(values))
        numbers = np.concatenate([free.numpy(), [math.log(peak_counts), math.log(peak_counts * floor), 0.0]])
        expected, jacobian = self.model.expected_with_derivatives(numbers)
        information = jacobian.T @ (jacobian / variance(expected, systematic)[:, None])
        information += np.diag(prior_roots(numbers, self.model)[1] ** 2)
        covariance = np.linalg.inv(information)[:7, :7]
        slopes = torch.autograd.functional.jacobian(from_free, free).numpy()
        return np.sqrt(np.maximum(np.diag(slopes @ covariance @ slopes.T), 0.0)) / np.array(RANGES)

    def sensitivities(self, values: _Seven, floor: float) -> _Seven:
        """Give rms changes of log10(R + floor) for a change of each parameter by one percent of its value."""
        free = to_free(torch.from_numpy(values))
        numbers = np.concatenate([free.numpy(), [0.0, math.log(floor), 0.0]])
        expected, jacobian = self.model.expected_with_derivatives(numbers)
        slopes = torch.autograd.functional.jacobian(from_free, free).numpy()
        by_parameter = (jacobian[:, :7] / expected[:, None] / math.log(10)) @ np.linalg.inv(slopes)
        return np.sqrt(np.mean(by_parameter**2, axis=0)) * np.abs(values) / 100


class Pool:
    """Layers of the prior with the errors that their curves leave, to draw ill-determined ones more often.

    Parameters
    ----------
    setup:
        The scan.
    count:
        Layers.
    peak_counts, floor:
        Of their curves.
    generator:
        Draws the layers.
    """

    def __init__(self, setup: Setup, count: int, peak_counts: float, floor: float, generator: torch.Generator) -> None:
        information = Information(setup, COARSER)
        self.values = draw_implanted(count, generator)
        errors = [
            information.standard_errors(one.numpy(), peak_counts, floor) for one in progress(self.values, "information")
        ]
        self.errors = torch.from_numpy(np.array(errors))
        self.chance = self.errors.mean(1)

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "curve 7"]:
        """Draw layers near those of the pool, each chosen by its mean error."""
        chosen = torch.multinomial(self.chance, count, replacement=True, generator=generator)
        free = to_free(self.values[chosen].T)
        noise = torch.randn(free.shape, generator=generator, dtype=free.dtype)
        return from_free(free + _NEAREST_SPREAD * noise).T

    def sensitivity(self) -> Float[Tensor, "7"]:
        """Give weights of the parameters by how well curves determine them: 1 on average."""
        weights = 1 / self.errors.median(0).values
        return (weights / weights.mean()).float()
