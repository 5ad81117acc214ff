"""What the network's training minimises."""

from torch import Tensor, nn
from torch.nn import functional

from madpipe.saxs.network.design import ShapeNetwork, negative_log_likelihood
from madpipe.saxs.network.physics_loss import curve_misfit
from madpipe.saxs.network.settings import SaxsTrainConfig
from madpipe.saxs.network.simulate import Example

_WORST = 8.0  # of a curve's likelihood, so that a single one does not turn a step


class Loss:
    """Cross entropy of the class, likelihood of the parameters of the true class, misfit of the predicted curve.

    Parameters
    ----------
    config:
        Weights of the terms.
    """

    def __init__(self, config: SaxsTrainConfig) -> None:
        self.config = config

    def __call__(self, network: nn.Module, batch: Example) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the value to minimise, and its terms."""
        if not isinstance(network, ShapeNetwork):
            raise TypeError(f"the loss is of a ShapeNetwork; {type(network).__name__} came; train one of these")
        answer = network(batch.seen)
        terms = {"class": functional.cross_entropy(answer.logits, batch.label)}
        total = terms["class"]
        terms["wrong"] = (answer.logits.argmax(1) != batch.label).to(total.dtype).mean()
        if self.config.parameters:
            standard = network.standardised(batch.truth, batch.label)
            terms["parameters"] = negative_log_likelihood(answer, batch.label, standard).clamp(max=_WORST).mean()
            total = total + self.config.parameters * terms["parameters"]
        if self.config.physics:
            terms["physics"] = curve_misfit(network, answer, batch).to(total.dtype)
            total = total + self.config.physics * terms["physics"]
        return total, terms
