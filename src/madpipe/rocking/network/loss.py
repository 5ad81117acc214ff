"""What the network's training makes least."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.rocking.config import RockingTrainConfig
from madpipe.rocking.network.design import Answer, coarse_curve, negative_log_likelihood
from madpipe.rocking.network.exposures import Batch
from madpipe.rocking.prior import RANGES
from madpipe.rocking.profiles import from_free

_RECONSTRUCTED = 8  # curves of a batch whose predicted layers' curves are compared


class Loss:
    """Likelihood of the truth, absolute errors of the parameters over their ranges, and the remedies' terms.

    Parameters
    ----------
    config:
        Weights of the terms.
    weights:
        Of the parameters in the absolute errors.
    curves:
        From free numbers to reflectivities, differentiable; of the predicted layers, for ``reconstruction``.
    """

    def __init__(
        self, config: RockingTrainConfig, weights: Float[Tensor, "7"], curves: Callable[[Tensor], Tensor]
    ) -> None:
        self.config, self.weights, self.curves = config, weights, curves
        self.ranges = torch.tensor(RANGES, device=weights.device)

    def __call__(self, answer: Answer, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the value to minimise, and its terms."""
        config = self.config
        truth, found = from_free(batch.free.T).T, from_free(answer.mean.T).T
        off = ((found - truth).abs() / self.ranges).mean(0)
        terms = {"likelihood": negative_log_likelihood(answer, batch.free).clamp(max=50.0).mean()}
        total = terms["likelihood"] + config.absolute * (off * self.weights).mean()
        terms["absolute"] = 100 * off.mean()
        if config.reconstruction:
            terms["reconstruction"] = self._reconstruction(answer.mean, batch)
            counts = (batch.done >= config.reconstruction_from).to(total.dtype)
            total = total + config.reconstruction * counts * terms["reconstruction"]
        if answer.curve is not None:
            terms["curve"] = (answer.curve - coarse_curve(batch.expected, answer.curve.shape[1])).abs().mean()
            total = total + config.multi_task * terms["curve"]
        return total, terms

    def _reconstruction(self, found: Tensor, batch: Batch) -> Tensor:
        """Mean absolute error of log10(R + floor)."""
        some, floor = slice(0, _RECONSTRUCTED), batch.floor[:_RECONSTRUCTED, None]
        with torch.no_grad():
            right = torch.log10(self.curves(batch.free[some]) + floor)
        return (torch.log10(self.curves(found[some]) + floor) - right).abs().mean()
