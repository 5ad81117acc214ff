"""Predict one still from others of nearly the same orientation: a check that needs neither reference nor partialities.

Neighbours see the same reflections with nearly the same partialities: photons of one are those of the others times a
scale, and times the ratio of partialities, which the model gives.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from madpipe.base.errors import InputError
from madpipe.base.metrics import correlation
from madpipe.stills.records import Integrated, SpotTable

_FEWEST = 30  # reflections in common
_CLEAR = 3.0  # standard deviations of photons whose logarithm is taken
_ROUNDS = 10


@dataclass(frozen=True)
class LeftOut:
    """How well an image is predicted."""

    reflections: int  # in common with the others
    scale: float  # G of the image to the others'
    correlation: float  # of ln photons, of reflections above 3 standard deviations in both
    model_error: float  # relative, of a measurement, found on the others
    chi2: float  # per reflection above the least photons, with that error
    bright: int  # reflections above it


def left_out(
    integrated: Integrated, image: int, others: tuple[int, int], least_photons: float = 100.0, partial: bool = True
) -> LeftOut:
    """Predict an image's photons from two others.

    The error of the model is found on the two others alone, then told of the third.

    Parameters
    ----------
    integrated:
        With spots.
    image, others:
        Numbers of images.
    least_photons:
        Predicted, of the reflections whose chi-square counts.
    partial:
        Whether ratios of partialities count; else those of all images are taken as equal.

    Raises
    ------
    InputError
        Fewer than 30 reflections in common.
    """
    spots = integrated.spots
    if spots is None:
        raise InputError("a prediction needs spots; the record has none; integrate again.")
    values, sigmas = _common(spots, (image, *others), partial)
    scale_other = ratio(values[2], sigmas[2], values[1], sigmas[1])
    other, other_sigma = values[2] / scale_other, sigmas[2] / scale_other
    error = _relative_error(values[1], sigmas[1], other, other_sigma)
    first = sigmas[1] ** 2 + (error * values[1]) ** 2
    second = other_sigma**2 + (error * other) ** 2
    mean = (values[1] / first + other / second) / (1 / first + 1 / second)
    mean_variance = 1 / (1 / first + 1 / second)
    scale = ratio(values[0], sigmas[0], mean, np.sqrt(mean_variance))
    predicted = scale * mean
    variance = sigmas[0] ** 2 + (error * predicted) ** 2 + scale**2 * mean_variance
    bright = predicted > least_photons
    chi2 = float(np.mean((values[0] - predicted)[bright] ** 2 / variance[bright])) if bright.any() else np.nan
    clear = (values[0] > _CLEAR * sigmas[0]) & (mean > _CLEAR * np.sqrt(mean_variance))
    related = correlation(np.log(values[0][clear]), np.log(mean[clear]))
    return LeftOut(len(mean), scale, related, error, chi2, int(bright.sum()))


def ratio(
    one: Float[np.ndarray, "common"],
    one_sigma: Float[np.ndarray, "common"],
    other: Float[np.ndarray, "common"],
    other_sigma: Float[np.ndarray, "common"],
) -> float:
    """Scale of one list of photons to another, by least squares with the errors of both; iterated for its own part."""
    scale = float(np.sum(one) / np.sum(other))
    for _ in range(_ROUNDS):
        weight = 1 / (one_sigma**2 + (scale * other_sigma) ** 2 + (0.2 * scale * np.maximum(other, 0)) ** 2)
        scale = float(np.sum(weight * one * other) / np.sum(weight * (other**2 - other_sigma**2)))
    return scale


def _common(spots: SpotTable, images: tuple[int, ...], partial: bool) -> tuple[np.ndarray, np.ndarray]:
    """Photons and errors, (image, reflection), at the first image's partialities, of reflections that all measure."""
    tables = []
    for image in images:
        rows = np.flatnonzero(spots.image == image)
        tables.append({tuple(hkl): row for hkl, row in zip(spots.hkl[rows].tolist(), rows.tolist(), strict=True)})
    shared = [hkl for hkl in tables[0] if all(hkl in table for table in tables[1:])]
    if len(shared) < _FEWEST:
        raise InputError(
            f"a prediction needs {_FEWEST} reflections that all its images measure; {len(shared)} came; choose others."
        )
    chosen = np.array([[table[hkl] for hkl in shared] for table in tables])
    share = spots.partiality[chosen] / spots.partiality[chosen[0]] if partial else np.ones(chosen.shape)
    return spots.photons[chosen] / share, spots.photon_errors[chosen] / share


def _relative_error(one: np.ndarray, one_sigma: np.ndarray, other: np.ndarray, other_sigma: np.ndarray) -> float:
    """Most likely e, with variances sigma^2 + e^2 I^2 of both, I their mean."""
    mean2 = np.maximum((one + other) / 2, 0.0) ** 2
    known, apart2 = one_sigma**2 + other_sigma**2, (one - other) ** 2

    def deviance(log_error: float) -> float:
        total = known + 2 * np.exp(2 * log_error) * mean2
        return float(np.sum(np.log(total) + apart2 / total))

    return float(np.exp(minimize_scalar(deviance, bounds=(np.log(1e-3), np.log(2.0)), method="bounded").x))
