"""What the training of the reference network minimises. Moduli are in units of r, the network's photon scale."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.mad.config import TrainConfig
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.network import Measured, Unknowns

_DARK = 1e-3  # intensity added on both sides of the deviance, in units of r^2: an extinction has no logarithm


class Target(NamedTuple):
    """The truth at a batch's exposure."""

    f_total: Float[Tensor, "batch y x"]  # |F_T| [sqrt(photon)]
    f_resonant: Float[Tensor, "batch y x"]  # |F_A| [sqrt(photon)]
    sine: Float[Tensor, "batch y x"]  # of Delta_phi
    cosine: Float[Tensor, "batch y x"]
    expected: Float[Tensor, "batch energy y x"]  # before noise [photon]


WEIGHTINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sqrt": torch.sqrt,
    "log": torch.log1p,
    "uniform": torch.ones_like,
    # a modulus has variance 1 / (4 energies) photon at any brightness: in units of r, 1 / sigma^2 goes as r^2
    "sigma": lambda mean: mean + 1,
}


def point_weights(
    expected: Float[Tensor, "batch energy y x"],
    good: Bool[Tensor, "batch y x"],
    weighting: str,
    least_photons: float,
) -> Float[Tensor, "batch y x"]:
    """Weight of each point, of sum 1 in each patch.

    Parameters
    ----------
    expected:
        Photons before noise: weights from the counts themselves would favour points that came out high.
    good:
        Points that were measured; the others have no weight, as nothing near them may tell their brightness.
    weighting:
        Key of WEIGHTINGS: what the mean over the energies is worth.
    least_photons:
        Points whose mean is below have no weight; a patch that has no other points has none at all.

    Notes
    -----
    Over a frame brightness spans eight decades, and a sum over all points would see the centre of the peak only.
    The squared errors are therefore relative (moduli in units of r), and the weights choose among the points of one
    patch, while all patches count alike.
    """
    mean = expected.mean(1)
    weight = WEIGHTINGS[weighting](mean) * (good & (mean >= least_photons))
    return weight / weight.sum((1, 2), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def scaled_deviance(expected: Float[Tensor, "*shape"], predicted: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Poisson deviance of predicted intensities, both in units of r^2.

    .. math:: D = 2 \left(\nu \ln\frac{\nu}{m} - \nu + m\right)

    Zero at m = nu, (m - nu)^2 / nu about it. With nu the expected, not the drawn photons, it is the deviance of
    another measurement of the same particle less that measurement's own noise: the network is not asked to
    reproduce the noise that it sees. Division by r^2 makes it an error relative to one photon's share, which no
    bright centre drowns.
    """
    expected, predicted = expected + _DARK, predicted + _DARK
    return 2 * (torch.xlogy(expected, expected / predicted) - expected + predicted)


def reconstructed(answer: Unknowns, measured: Measured) -> Float[Tensor, "batch energy y x"]:
    """Intensities that follow from the network's answer by the MAD equation, in units of r^2."""
    length = (answer.sine.square() + answer.cosine.square() + 1e-6).sqrt()
    f_total = torch.complex(answer.f_total * answer.cosine / length, answer.f_total * answer.sine / length)
    ratio = dispersion_ratio(
        measured.f_prime[:, :, None, None], measured.f_double_prime[:, :, None, None], measured.f0[:, None]
    )
    return mad_intensity(f_total[:, None], answer.f_resonant[:, None].to(f_total.dtype), ratio)


def patch_loss(
    answer: Unknowns, measured: Measured, target: Target, config: TrainConfig
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    r"""Loss of a batch and its terms, each before its factor.

    .. math::
        L = \langle\delta_T^2\rangle + \langle g\,(\delta_{\sin}^2 + \delta_{\cos}^2)\rangle
            + c_A \langle\delta_A^2\rangle + c_\circ \langle(\sin^2 + \cos^2 - 1)^2\rangle + c_I \langle D\rangle
            + c_< \langle\max(0, |F_A| - |F_T|)\rangle

    Brackets are means with :func:`point_weights`; g = |F_T||F_A|/r^2 of the truth, since a phase matters as much as
    the moduli it belongs to and means nothing where one of them vanishes; D is :func:`scaled_deviance`.
    """
    weight = point_weights(target.expected, measured.good, config.weighting, config.least_photons)

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum((1, 2)).mean()

    scale = answer.scale
    f_total, f_resonant = target.f_total / scale, target.f_resonant / scale
    phase = (answer.sine - target.sine).square() + (answer.cosine - target.cosine).square()
    expected = target.expected / scale.square()[:, None]
    terms = {
        "total": mean((answer.f_total - f_total).square()),
        "phase": mean(f_total * f_resonant * phase),
        "resonant": mean((answer.f_resonant - f_resonant).square()),
        "circle": mean((answer.sine.square() + answer.cosine.square() - 1).square()),
        "intensity": mean(scaled_deviance(expected, reconstructed(answer, measured)).mean(1)),
        "total_below_resonant": mean((answer.f_resonant - answer.f_total).relu()),
    }
    factors = {
        "total": 1.0,
        "phase": 1.0,
        "resonant": config.resonant,
        "circle": config.circle,
        "intensity": config.intensity,
        "total_below_resonant": config.total_below_resonant,
    }
    return torch.stack([factors[name] * term for name, term in terms.items()]).sum(), terms
