"""What the training of a network minimises. Unknowns are in units of r, the network's scale of every point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.belief import DEGREES, Belief, log_determinant, quadratic
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.fit.likelihood import curvature
from madpipe.mad.forward import real_parameters
from madpipe.mad.network.design.frames import corrected, normal_matrix
from madpipe.mad.network.design.sums import Seen
from madpipe.mad.noise_law import POISSON

_DARK = 1e-3  # intensity added on both sides of the deviance, in units of r^2: an extinction has no logarithm
_TAILS = 30.0  # degrees of freedom of the corrected answer's errors: one point must not decide a step
_EARLIER = 0.3  # weight of a pass that another one follows


@dataclass(frozen=True)
class Target:
    """The truth of a batch of frames."""

    theta: Float[Tensor, "3 point"]  # x, a, b [sqrt(photon)]
    expected: Float[Tensor, "batch energy y x"]  # at unit exposure, before noise and background [photon]
    rows: Float[Tensor, "batch energy 4"]  # of the linear form

    @classmethod
    def of(
        cls,
        f_total: Complex[Tensor, "batch y x"],
        f_resonant: Complex[Tensor, "batch y x"],
        expected: Float[Tensor, "batch energy y x"],
        rows: Float[Tensor, "batch energy 4"],
    ) -> "Target":
        """Take the truth from complex structure factors [sqrt(photon)]."""
        return cls(real_parameters(f_total, f_resonant).flatten(1), expected, rows)

    def to(self, device: torch.device) -> "Target":
        """Move to a device."""
        return Target(self.theta.to(device), self.expected.to(device), self.rows.to(device))


WEIGHTINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "uniform": torch.ones_like,
    "sqrt": torch.sqrt,
    "log": torch.log1p,
    # a modulus has variance 1 / (4 energies) photon at any brightness: in units of r, 1 / sigma^2 goes as r^2
    "sigma": lambda mean: mean + 1,
    "fisher": torch.ones_like,  # the errors themselves are weighted
}


def network_loss(
    answers: Sequence[tuple[Belief, Tensor]], seen: Seen, target: Target, config: TrainConfig
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """Loss of a batch, over the passes of a network, and its terms, each before its factor.

    Parameters
    ----------
    answers:
        Of each pass: prediction in units of r, and r^2 [photon].
    seen, target:
        What the network read, and the truth.
    config:
        Kind of loss and factors.
    """
    losses = []
    for prediction, intensity in answers:
        terms = _terms(prediction, intensity, seen, target, config)
        factors = {
            "corrected": config.corrected,
            "predicted": config.predicted,
            "circle": config.circle,
            "resonant": config.resonant,
            "intensity": config.intensity,
        }
        losses.append(torch.stack([factors.get(name, 1.0) * term for name, term in terms.items()]).sum())
    return losses[-1] + _EARLIER * sum(losses[:-1]), terms


def _terms(
    prediction: Belief, intensity: Tensor, seen: Seen, target: Target, config: TrainConfig
) -> dict[str, Float[Tensor, ""]]:
    """Terms of one pass."""
    truth = target.theta / intensity.flatten().sqrt()
    truth = prediction.nearer(truth)
    weight = frame_weights(target.expected, seen.sums[0][:, 4] > 0, config.weighting)

    def mean(values: Tensor) -> Tensor:
        return (weight * values.reshape(intensity.shape)).sum((1, 2)).mean()

    terms = {}
    if config.loss == "likelihood":
        theta, information = corrected(prediction, seen, intensity)
        terms["corrected"] = mean(surprise(theta, information, Belief(theta, information).nearer(truth), _TAILS))
        terms["predicted"] = mean(surprise(prediction.mean, prediction.precision, truth, DEGREES))
    else:
        off = prediction.mean - truth
        terms["squared"] = mean(_squares(off, truth, seen, intensity, config.weighting))
        terms["errors"] = mean(surprise(prediction.mean.detach(), prediction.precision, truth, DEGREES))
    if config.resonant:
        modulus = [(each[1].square() + each[2].square() + 1e-12).sqrt() for each in (prediction.mean, truth)]
        terms["resonant"] = mean((modulus[0] - modulus[1]).square())
    if config.circle and prediction.circle is not None:
        terms["circle"] = mean((prediction.circle - 1).square())
    if config.intensity:
        terms["intensity"] = mean(_deviance(prediction, intensity, target).mean(1))
    return terms


def surprise(
    mean: Float[Tensor, "3 point"], precision: Float[Tensor, "6 point"], truth: Float[Tensor, "3 point"], degrees: float
) -> Float[Tensor, "point"]:
    r"""Negative logarithm of Student's t density of the truth, but for a constant.

    .. math:: \tfrac{\nu + 3}{2} \ln(1 + e'Pe / \nu) - \tfrac12 \ln\det P
    """
    error = quadratic(precision, mean - truth)
    return 0.5 * (degrees + 3) * torch.log1p(error / degrees) - 0.5 * log_determinant(precision)


def frame_weights(
    expected: Float[Tensor, "batch energy y x"], good: Tensor, weighting: str
) -> Float[Tensor, "batch y x"]:
    """Weight of each point, of sum 1 in each frame: where it was measured, by the photons expected there."""
    weight = WEIGHTINGS[weighting](expected.mean(1)) * good
    return weight / weight.sum((1, 2), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def scaled_deviance(expected: Float[Tensor, "*shape"], predicted: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Poisson deviance :math:`2 (\mu \ln(\mu / I) - \mu + I)` of intensities in units of r^2."""
    expected, predicted = expected + _DARK, predicted + _DARK
    return 2 * POISSON.half_deviance(expected, predicted)


def _squares(
    off: Float[Tensor, "3 point"], truth: Float[Tensor, "3 point"], seen: Seen, intensity: Tensor, weighting: str
) -> Float[Tensor, "point"]:
    """Squared errors; with Fisher's weights in the metric of the counts' information, over its mean in the frame."""
    if weighting != "fisher":
        return off.square().sum(0)
    information = torch.stack(curvature(normal_matrix(seen, intensity), truth))
    trace = (information[0] + information[3] + information[5]).reshape(intensity.shape)
    scale = trace.mean((1, 2), keepdim=True).expand_as(trace).flatten()
    return quadratic(information, off) / scale


def _deviance(prediction: Belief, intensity: Tensor, target: Target) -> Float[Tensor, "batch energy y x"]:
    """Deviance of the intensities that follow from a prediction by the MAD equation in its linear form."""
    u = unknowns(prediction.mean).reshape(4, *intensity.shape)
    predicted = torch.einsum("bki,ibyx->bkyx", target.rows.to(u), u)
    return scaled_deviance(target.expected / intensity[:, None], predicted.clamp(min=0))
