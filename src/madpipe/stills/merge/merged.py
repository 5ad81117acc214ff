"""Intensities of many stills as one for each reflection, and of halves of the images."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.stills.records import Integrated

_Spots = Float[np.ndarray, "spot"]
_Unique = Float[np.ndarray, "unique"]


@dataclass(frozen=True)
class Observations:
    """Every measurement on the intensities' scale."""

    unique: Int[np.ndarray, "spot"]
    image: Int[np.ndarray, "spot"]
    plus: Bool[np.ndarray, "spot"]
    value: _Spots  # I
    sigma: _Spots
    count: int  # of unique reflections


@dataclass(frozen=True)
class ErrorModel:
    """Errors of stills: sigma'^2 = scale^2 (sigma^2 + (systematic I)^2), with I the merged intensity."""

    scale: float
    systematic: float


@dataclass(frozen=True)
class Merged:
    """One intensity for each reflection."""

    mean: _Unique  # NaN where nothing was measured
    sigma: _Unique
    number: Int[np.ndarray, "unique"]  # of measurements


def observations_of(integrated: Integrated, least_partiality: float = 0.1) -> Observations:
    """Measurements I = J / S of good images, less outliers and spots of which too little is seen.

    Parameters
    ----------
    integrated:
        With its tables.
    least_partiality:
        Below it a measurement is left out: its error is that of the partiality, which the error model takes for
        constant.

    Raises
    ------
    InputError
        Nothing is left.
    """
    spots, images, intensities = integrated.spots, integrated.images, integrated.intensities
    if spots is None or images is None or intensities is None:
        raise InputError("merging needs spots, images and intensities; the file lacks them; integrate again.")
    if not images.good.any():
        warn("no image is good, by its verdict; all are merged: look at merged_images.csv before using any of it")
    good = images.good[spots.image].astype(bool) | ~images.good.astype(bool).any()
    use = good & (spots.outlier == 0) & (spots.partiality >= least_partiality) & (spots.factor > 0)
    if not use.any():
        raise InputError("merging needs spots; none of a good image is left; look at the images' verdicts.")
    return Observations(
        spots.unique[use],
        spots.image[use],
        spots.plus[use].astype(bool),
        spots.photons[use] / spots.factor[use],
        spots.photon_errors[use] / spots.factor[use],
        len(intensities.hkl),
    )


def merge(observations: Observations, chosen: Bool[np.ndarray, "spot"] | None = None) -> Merged:
    """Weighted mean of each reflection's measurements, weights 1 / sigma^2."""
    use = np.ones(len(observations.value), dtype=bool) if chosen is None else chosen
    weight = use / observations.sigma**2
    total = np.bincount(observations.unique, weight, observations.count)
    number = np.bincount(observations.unique[use], minlength=observations.count)
    mean = np.bincount(observations.unique, weight * observations.value, observations.count)
    safe = np.where(number > 0, total, 1.0)
    return Merged(np.where(number > 0, mean / safe, np.nan), np.where(number > 0, 1 / np.sqrt(safe), np.nan), number)


def half_sets(observations: Observations, generator: np.random.Generator) -> tuple[Merged, Merged]:
    """Merge two halves of the images, drawn at random.

    Raises
    ------
    InputError
        A half is empty: fewer than two images.
    """
    images = np.unique(observations.image)
    if len(images) < 2:
        raise InputError(f"half sets need at least 2 images; {len(images)} came; merge more images.")
    first = generator.permutation(images)[: len(images) // 2]
    in_first = np.isin(observations.image, first)
    return merge(observations, in_first), merge(observations, ~in_first)


def error_model(observations: Observations) -> ErrorModel:
    r"""Most likely errors, from how measurements of one reflection differ from the mean of its others.

    Minus 2 ln L is the sum of :math:`\ln V + (I_i - \bar I_{-i})^2 / V`, V the variance of both, over reflections
    measured at least twice. Without 50 such measurements the errors stay as they are.

    References
    ----------
    Brewster et al., Acta Cryst. D75, 959 (2019), on error models of stills.
    """
    merged = merge(observations)
    several = merged.number[observations.unique] > 1
    if several.sum() < 50:
        return ErrorModel(1.0, 0.0)
    number, value = observations.unique[several], observations.value[several]
    variance, typical2 = observations.sigma[several] ** 2, merged.mean[number] ** 2

    def deviance(logarithms: np.ndarray) -> float:
        wide = np.exp(2 * logarithms[0]) * (variance + np.exp(2 * logarithms[1]) * typical2)
        total = np.bincount(number, 1 / wide, observations.count)[number] - 1 / wide
        mean = (np.bincount(number, value / wide, observations.count)[number] - value / wide) / total
        spread = wide + 1 / total
        return float(np.sum(np.log(spread) + (value - mean) ** 2 / spread))

    found = minimize(deviance, np.log([1.0, 0.1]), method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3}).x
    return ErrorModel(float(np.exp(found[0])), float(np.exp(found[1])))


def with_errors(observations: Observations, model: ErrorModel) -> Observations:
    """Give measurements the errors of a model."""
    typical = np.nan_to_num(merge(observations).mean)[observations.unique]
    sigma = model.scale * np.sqrt(observations.sigma**2 + (model.systematic * typical) ** 2)
    return Observations(
        observations.unique, observations.image, observations.plus, observations.value, sigma, observations.count
    )
