"""What an object leaves of the counts: R beside that of noise alone, chi-square, and the least R that is honest."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from madpipe.mad import limits
from madpipe.mad.realspace.joint.model import Experiment, expected_photons, measured, with_noise

_MEAN_DEVIATION = math.sqrt(2 / math.pi)  # of a normal distribution, in standard deviations
_PER_VOXEL = 4  # real unknowns: two complex densities


@dataclass(frozen=True)
class Residual:
    """What is left of the counts."""

    r: float  # sum |n - mu| / sum n
    r_noise: float  # the same of one draw of noise about mu
    chi2: float  # per degree of freedom
    chi2_model: float  # what an error of limits.MODEL_ERROR of the equation itself adds to it
    least: float  # r / r_noise that an object can reach by its unknowns and by chance

    @property
    def most_chi2(self) -> float:
        """Chi-square up to which noise, and the equation's own error, explain what is left."""
        return limits.CHI2 + self.chi2_model

    @property
    def r_over_noise(self) -> float:
        """R over the R of noise alone."""
        return self.r / max(self.r_noise, 1e-30)


def residual_of(
    experiment: Experiment, pair: Complex[Tensor, "2 *q"], voxels: int, generator: torch.Generator
) -> Residual:
    r"""Compare the counts with those that an object makes one expect.

    With P unknowns and M observations, what is left of noise is :math:`\sqrt{1 - P / M}` of it: the leverage of a count
    does not depend on its size, since :math:`\partial \sqrt\mu / \partial n` does not. P is four for each voxel, of no
    more voxels than an object may have whose autocorrelation lies in the frame: an R that only a larger one reaches is
    not honest. The scatter of both R about that is :math:`s^2 = 2 \sum (v - m^2) / (\sum m)^2`, with m the mean
    deviation of a count, :math:`\sqrt{2 v / \pi}`, or :math:`2 \mu` of few photons.

    .. math:: \chi^2 = \sum w (n - \mu)^2 / \sum w v \cdot M / (M - P),\quad w = 1 / \max(v, 1)

    Weights end at a variance of one: a photon where hardly any is expected says little of the object, and would be
    most of the sum.

    Parameters
    ----------
    voxels:
        That the object's unknowns stand in.
    generator:
        Draws the noise that R is compared with.
    """
    noisy = with_noise(experiment, pair, generator).counts
    names = ("missed", "drawn", "counted", "square", "due", "model", "deviation", "scatter", "points")
    sums = dict.fromkeys(names, 0.0)
    for energy in range(len(noisy)):
        expected = expected_photons(experiment, pair, energy)[1]
        good = measured(experiment, energy, torch.ones_like(expected))
        variance, counts = experiment.noise.variance(expected), experiment.counts[energy]
        deviation = _MEAN_DEVIATION * variance.sqrt()
        if experiment.noise.is_poisson:
            deviation = torch.minimum(deviation, 2 * expected)
        weight = 1 / variance.clamp(min=1)
        parts = {
            "missed": (counts - expected).abs(),
            "drawn": (noisy[energy] - expected).abs(),
            "counted": counts.abs(),
            "square": weight * (counts - expected).square(),
            "due": weight * variance,
            "model": weight * expected.square(),
            "deviation": deviation,
            "scatter": variance - deviation.square(),
            "points": torch.ones_like(expected),
        }
        for name, part in parts.items():
            sums[name] += float((part * good).sum(dtype=torch.float64))
    points, counted = max(sums["points"], 1.0), max(sums["counted"], 1e-30)
    honest = min(voxels, experiment.f_resonant.numel() / limits.OVERSAMPLING ** len(experiment.shape))
    left = [max(1 - _PER_VOXEL * number / points, 0.0) for number in (voxels, honest)]
    scatter = math.sqrt(2 * sums["scatter"]) / max(sums["deviation"], 1e-30)
    due = max(sums["due"] * left[0], 1e-30)
    return Residual(
        r=sums["missed"] / counted,
        r_noise=sums["drawn"] / counted,
        chi2=sums["square"] / due,
        chi2_model=limits.MODEL_ERROR**2 * sums["model"] / due,
        least=math.sqrt(left[1]) * max(1 - limits.R_SCATTER * scatter, limits.LEAST_R),
    )
