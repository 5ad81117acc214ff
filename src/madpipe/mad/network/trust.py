"""What split counts have found, put to use: how far a prediction is widened, and what is said of the errors."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from madpipe.mad.fit.belief import Belief
from madpipe.mad.records import NORMAL_95, Split

STRENGTHS = "calibration.widening"  # of the particles that the errors were calibrated on, in the weights' file
_MODULI = ("f_total", "f_resonant", "f_normal")  # in the order of a split's columns
_SAME = 1e-6  # difference of two logarithms of one factor, at most
_NEIGHBOUR = 0.25  # weight of a shell's neighbours beside its own
_NEAR = 0.5  # weight of the next shell's likelihood of found over stated error beside a shell's own
_DOUBT = 0.4  # of the logarithm of found over stated error, before anything is found
_SURE = 2.0  # standard errors
_LOGARITHMS = torch.linspace(-1.5, 2.5, 161, dtype=torch.float64)


def widening(split: Split | None, photons: Float[Tensor, "point"]) -> Float[Tensor, "point"]:
    """Factor by which a prediction's standard deviations are multiplied, from photons per energy of every point."""
    if split is None:
        return torch.ones_like(photons)
    return interpolated(split.photons, np.log(split.widened), photons).exp()


def widened(prediction: Belief, factor: Float[Tensor, "point"]) -> Belief:
    """Multiply a prediction's standard deviations by a factor."""
    return prediction._replace(precision=prediction.precision / factor.square())


def log_ratio(split: Split | None, photons: Float[Tensor, "point"]) -> Float[Tensor, "3 point"]:
    """Logarithm of found over stated error of F_T, F_A, F_N, drawn towards 0 where the halves tell little."""
    if split is None:
        return photons.new_zeros(3, len(photons))
    return torch.stack([interpolated(split.photons, column, photons) for column in shrunken(split).T])


def spread(
    covariance: Float[Tensor, "6 point"], split: Split | None, photons: Float[Tensor, "point"]
) -> Float[Tensor, "6 point"]:
    """Multiply the standard deviations of x by what split counts found for F_T, of a and b by that for F_A."""
    total, resonant, _ = log_ratio(split, photons).exp()
    scale = [total * total, total * resonant, total * resonant, *[resonant * resonant] * 3]
    return covariance * torch.stack(scale)


def least(split: Split, photons: Float[Tensor, "point"]) -> Float[Tensor, "3 point"]:
    """Factor on the errors of F_T, F_A, F_N that keeps them from falling below what split counts found for sure.

    That is the found error less two standard errors of its square, over what :func:`spread` has made of the stated one;
    below 1 where a calibration may still make the error smaller.
    """
    sure = np.maximum(split.squared_error - _SURE * split.squared_error_errors, 0.0)
    found = np.sqrt(sure / np.maximum(split.uncalibrated, 1e-300)).clip(1e-3) / np.exp(shrunken(split))
    return torch.stack([interpolated(split.photons, np.log(column), photons).exp() for column in found.T])


def strength(split: Split | None) -> float:
    """How much a stack's prediction was widened: the largest logarithm of its factors, 0 where there is none."""
    return 0.0 if split is None or not len(split.widened) else float(np.log(split.widened).max())


def usual(split: Split, kept: Mapping[str, Tensor]) -> float:
    """Share of the calibration's particles that were widened as much or more; NaN where weights do not say."""
    if STRENGTHS not in kept:
        return math.nan
    others = kept[STRENGTHS]
    return float((others >= strength(split) - _SAME).double().mean())


def shrunken(split: Split) -> Float[np.ndarray, "shell 3"]:
    """Mean of the logarithm of found over stated error, from its likelihood and a normal prior about 0.

    Other shells' likelihoods count as well, the less the farther away in brightness (local likelihood: Tibshirani and
    Hastie, J. Am. Stat. Assoc. 82, 559 (1987)).
    """
    found, error, stated = (
        torch.as_tensor(each).double() for each in (split.squared_error, split.squared_error_errors, split.uncalibrated)
    )
    miss = (found - stated * (2 * _LOGARITHMS).exp()[:, None, None]) / error.clamp(min=1e-300)
    place = torch.arange(len(found), dtype=torch.float64)
    near = _NEAR ** (place[:, None] - place).abs()
    likelihood = -0.5 * torch.einsum("st,ltq->lsq", near, miss.square())
    prior = -0.5 * (_LOGARITHMS / _DOUBT).square()[:, None, None]
    weight = (likelihood + prior).softmax(0)
    return (weight * _LOGARITHMS[:, None, None]).sum(0).numpy()


def squares_by_shell(
    split: Split, photons: Float[Tensor, "point"], before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> Float[Tensor, "two shell 3"]:
    """Sums over the points of each shell of squared errors of F_T, F_A, F_N, before and after calibration.

    Of the latter the 95 % interval counts, as if it were a normal one: the tails are what an rms error is of.
    """
    edges = torch.as_tensor(split.photons[:, 0].copy()).to(photons)
    shell = torch.bucketize(photons, edges, right=True) - 1
    sums = torch.zeros(2, len(edges), len(_MODULI), dtype=torch.float64, device=photons.device)
    known = shell >= 0
    for column, name in enumerate(_MODULI):
        for row, error in enumerate((before[f"{name}_errors"], after[f"{name}_errors_95"] / NORMAL_95)):
            sums[row, :, column].index_add_(0, shell[known], error[known].double().square())
    return sums


def calibrated(split: Split, sums: Float[Tensor, "two shell 3"]) -> Split:
    """Put what spread and calibration make of the stated errors into a split, from :func:`squares_by_shell`."""
    before, after = sums.cpu().numpy()
    factor = np.where(before > 0, after / np.maximum(before, 1e-300), 1.0)
    return replace(split, stated=split.uncalibrated * np.exp(2 * shrunken(split)) * factor)


def interpolated(
    edges: Float[np.ndarray, "shell 2"], values: Float[np.ndarray, "shell"], photons: Float[Tensor, "point"]
) -> Float[Tensor, "point"]:
    """Values of shells at the photons per energy of every point, straight in their logarithm from middle to middle.

    Beyond the outer middles the nearest one's value holds. A shell without end has its middle at three times its start.
    """
    low, high = edges.T
    middle = np.log(np.where(np.isfinite(high), np.sqrt(low * np.where(np.isfinite(high), high, 1.0)), 3 * low))
    at = photons.clamp(min=1e-3).log().cpu().numpy()
    return torch.as_tensor(np.interp(at, middle, values)).to(photons)


def with_neighbours(
    values: Float[Tensor, "shell value"], points: Num[Tensor, "shell"], power: int
) -> Float[Tensor, "shell value"]:
    """Mean of each shell and, at less weight, its neighbours; of standard errors (power 2) the mean's error."""
    beside = torch.full((len(points) - 1,), _NEIGHBOUR, dtype=torch.float64)
    near = torch.eye(len(points), dtype=torch.float64) + torch.diag(beside, 1) + torch.diag(beside, -1)
    weight = near * points.double()
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-300)
    return (weight**power @ values.double() ** power) ** (1 / power)
