"""How foreign a curve looks: distance of its features from those of the classes, and how the classes are calibrated."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

_KEPT = 48  # principal directions of the features
_RIDGE = 1e-3  # of the mean variance
_QUANTILES = 1001
_TEMPERATURES = torch.exp(torch.linspace(-1.6, 1.6, 321, dtype=torch.float64))


class Calibration(NamedTuple):
    """What is learned from simulations of other draws than the training's."""

    temperature: Float[Tensor, ""]  # divides the logits
    centre: Float[Tensor, "feature"]
    directions: Float[Tensor, "feature kept"]  # principal ones, orthonormal
    means: Float[Tensor, "class coordinate"]  # of the coordinates: along the directions, and ln of what is left
    whitening: Float[Tensor, "coordinate coordinate"]  # coordinates times this have unit covariance within the classes
    distances: Float[Tensor, "quantile"]  # of known curves, at even probabilities from 0 to 1
    scores: Float[Tensor, "quantile"]  # of the same curves, by the head that has learned what is foreign


def best_temperature(logits: Float[Tensor, "curve class"], label: Int[Tensor, "curve"]) -> Float[Tensor, ""]:
    """Temperature of the least cross entropy, between .2 and 5, to one percent."""
    losses = torch.stack([functional.cross_entropy(logits.double() / one, label) for one in _TEMPERATURES])
    return _TEMPERATURES[losses.argmin()]


def calibrated(
    features: Float[Tensor, "curve feature"],
    logits: Float[Tensor, "curve class"],
    label: Int[Tensor, "curve"],
    classes: int,
    scores: Float[Tensor, "curve"],
) -> Calibration:
    """Learn the temperature of the probabilities, and how distances and scores of known curves are distributed.

    Parameters
    ----------
    features, logits, label:
        Of known curves that no training saw.
    classes:
        How many there are; one without a curve has no centre.
    scores:
        By the head that has learned what is foreign.
    """
    features = features.double()
    centre = features.mean(0)
    _, _, right = torch.linalg.svd(features - centre, full_matrices=False)
    directions = right[:_KEPT].T.contiguous()
    coordinates = _coordinates(features, centre, directions)
    means = torch.full((classes, coordinates.shape[1]), torch.inf, dtype=torch.float64)
    for number in label.unique().tolist():
        means[number] = coordinates[label == number].mean(0)
    within = coordinates - means[label]
    covariance = within.T @ within / len(within)
    covariance += _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    whitening = torch.linalg.inv(torch.linalg.cholesky(covariance)).T.contiguous()
    blank = torch.zeros(0)
    found = Calibration(best_temperature(logits, label), centre, directions, means, whitening, blank, blank)
    known = distance(features, found)
    levels = torch.linspace(0, 1, _QUANTILES, dtype=torch.float64)
    return found._replace(distances=torch.quantile(known, levels), scores=torch.quantile(scores.double(), levels))


def distance(features: Float[Tensor, "curve feature"], calibration: Calibration) -> Float[Tensor, "curve"]:
    """Mahalanobis distance to the nearest class, with one covariance for all."""
    coordinates = _coordinates(features.double(), calibration.centre, calibration.directions)
    known = torch.isfinite(calibration.means).all(1)
    white = coordinates @ calibration.whitening
    return torch.cdist(white, calibration.means[known] @ calibration.whitening).amin(1)


def known_share(values: Float[Tensor, "curve"], quantiles: Float[Tensor, "quantile"]) -> Float[Tensor, "curve"]:
    """Share of known curves whose distance or score is less than each: near 1 is foreign."""
    places = torch.searchsorted(quantiles.double(), values.double())
    return places.double() / len(quantiles)


def _coordinates(features: Tensor, centre: Tensor, directions: Tensor) -> Float[Tensor, "curve coordinate"]:
    """Along the directions, and the logarithm of the length of what is left."""
    off = features - centre
    along = off @ directions
    left = (off - along @ directions.T).norm(dim=1)
    return torch.cat([along, torch.log(left + 1e-6)[:, None]], dim=1)


def area_under_curve(foreign: Float[Tensor, "curve"], known: Float[Tensor, "other"]) -> float:
    """Chance that a foreign curve's score exceeds a known one's: area under the receiver operating characteristic."""
    order = torch.sort(known).values
    below = torch.searchsorted(order, foreign) + torch.searchsorted(order, foreign, right=True)
    return float(below.double().mean() / (2 * len(known)))


def reliability(
    probabilities: Float[Tensor, "curve class"], label: Int[Tensor, "curve"], bins: int = 15
) -> tuple[tuple[float, float, float], ...]:
    """Mean probability of the most probable class, share that is right, and share of curves, in even bins."""
    confidence, found = probabilities.double().max(1)
    right = (found == label).double()
    place = (confidence * bins).long().clamp(max=bins - 1)
    return tuple(
        (
            float(confidence[place == one].mean()),
            float(right[place == one].mean()),
            float((place == one).double().mean()),
        )
        for one in place.unique().tolist()
    )


def calibration_error(
    probabilities: Float[Tensor, "curve class"], label: Int[Tensor, "curve"], bins: int = 15
) -> float:
    """Expected calibration error of the most probable class, in even bins of its probability.

    References
    ----------
    Guo et al., ICML (2017), eq. 3.
    """
    return sum(abs(said - right) * share for said, right, share in reliability(probabilities, label, bins))
