"""What the network's training makes least."""

import torch
from torch import Tensor, nn

from madpipe.stills.network.design import ln_densities, off
from madpipe.stills.network.exposures import Batch

_UNITS = (5.0, 5.0, 5.0, 0.1)  # in which absolute errors are counted [degree, 1]
_MOST = 50.0  # minus ln density that counts, of an image


class Loss:
    """Likelihood of the truth under all hypotheses, and the absolute errors of those that it favours.

    Parameters
    ----------
    absolute:
        Weight of the latter.
    """

    def __init__(self, absolute: float) -> None:
        self.absolute = absolute

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the value to minimise, and its terms."""
        answer = model(batch.seen, batch.told)
        apart = off(answer, batch.rotation, batch.ln_spread)
        densities = ln_densities(answer, apart)
        likelihood = -torch.logsumexp(densities, dim=1).clamp(min=-_MOST).mean()
        share = torch.softmax(densities.detach(), dim=1)[..., None]
        errors = (share * apart.abs() / torch.tensor(_UNITS, device=apart.device)).sum(1).mean(0)
        squares = (share * apart.detach().square()).sum(1).mean(0)
        terms = {
            "likelihood": likelihood,
            "absolute": errors.mean(),
            "turn_rms": squares[:3].sum().sqrt(),
            "ln_spread_rms": squares[3].sqrt(),
        }
        return likelihood + self.absolute * terms["absolute"], terms
