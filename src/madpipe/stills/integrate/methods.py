r"""Six ways to compare the pixels of a box with the model, each as equations of the spot's own four numbers.

A spot is known by A, column, row and ln R1. Whatever the method, its pixels give a slope g and an information F of
these four, so that near the model minus ln L = -g . x + x . F x / 2; images and instrument never see a pixel.

With a reference that is in doubt, I ~ N(m, V), A varies by u = S sqrt(V) beside the counts, S = A / m: the covariance
of the pixels is v + u^2 P P^T, and by Sherman and Morrison F - u^2 F_A F_A^T / (1 + u^2 F_AA), the same for g.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.stills.integrate.settings import MethodName
from madpipe.stills.reflections.boxes import Boxes
from madpipe.stills.reflections.moments import centre, expected_variance, width
from madpipe.stills.reflections.template import Template

_Spots = Float[np.ndarray, "spot"]
_PHOTONS = 20.0  # of a spot whose moments count
_HUBER = 2.5  # standard deviations beyond which a centroid's residual counts by its size, not its square


@dataclass(frozen=True)
class Seen:
    """What an image shows of its spots, and what the model expects."""

    boxes: Boxes
    profile: Template
    amount: _Spots  # A of the model [photon]
    xy: Float[np.ndarray, "spot 2"]
    metric: Float[np.ndarray, "spot 2 2"]


@dataclass(frozen=True)
class Equations:
    """Slope and information of (A, column, row, ln R1) of each spot, at the model."""

    slope: Float[np.ndarray, "spot 4"]
    information: Float[np.ndarray, "spot 4 4"]


@dataclass(frozen=True)
class Method:
    """One way."""

    equations: Callable[[Seen, Equations], Equations]  # of the pixels' Poisson equations too
    free_width: bool  # R1 by likelihood with free amplitudes, else along with everything
    doubts: bool  # whether the reference's error counts
    about: str


def pixel_equations(seen: Seen, weight: Float[np.ndarray, "spot row column"]) -> Equations:
    r"""Normal equations of the pixels, :math:`g = D^T W (y - \mu)`, :math:`F = D^T W D`, D = dmu/d(A, x, y, ln R1).

    Parameters
    ----------
    seen:
        Boxes, profile and A.
    weight:
        W, 0 where a pixel is not used.
    """
    profile = seen.profile
    count = len(seen.boxes)
    amount = seen.amount[:, None]
    rows = [profile.value.reshape(count, -1)]
    rows += [amount * one.reshape(count, -1) for one in (profile.by_column, profile.by_row, profile.by_log_width)]
    design = np.stack(rows, axis=1)
    weighted = design * weight.reshape(count, 1, -1)
    residual = seen.boxes.counts.reshape(count, -1) - seen.boxes.background[:, None] - amount * rows[0]
    return Equations((weighted @ residual[..., None])[..., 0], weighted @ design.transpose(0, 2, 1))


def doubted(equations: Equations, doubt: _Spots) -> Equations:
    """Equations where A varies by a standard deviation of its own beside the counts."""
    first = equations.information[:, 0]
    share = doubt**2 / (1 + doubt**2 * first[:, 0])
    slope = equations.slope - (share * equations.slope[:, 0])[:, None] * first
    return Equations(slope, equations.information - share[:, None, None] * first[:, :, None] * first[:, None, :])


def poisson_equations(seen: Seen) -> Equations:
    """Poisson likelihood: one over the expected counts as weight."""
    variance = expected_variance(seen.boxes, seen.profile, seen.amount)
    return pixel_equations(seen, seen.boxes.good / variance)


def _unweighted(seen: Seen, pixels: Equations) -> Equations:
    """All pixels alike, at the mean variance: the original's first form."""
    mean = float(np.mean(expected_variance(seen.boxes, seen.profile, seen.amount)[seen.boxes.good]))
    return pixel_equations(seen, seen.boxes.good / mean)


def _observed(seen: Seen, pixels: Equations) -> Equations:
    """Counts as their own variance, at least 1: biased where they are few."""
    return pixel_equations(seen, seen.boxes.good / np.maximum(seen.boxes.counts, 1.0))


def _poisson(seen: Seen, pixels: Equations) -> Equations:
    """The pixels' Poisson equations as they are."""
    return pixels


def _factored(seen: Seen, pixels: Equations) -> Equations:
    """Term 1, fitted photons against A, and Term 2, second moment against R1."""
    known = np.maximum(pixels.information[:, 0, 0], 1e-300)
    moment = width(seen.boxes, seen.profile, seen.amount, seen.xy, seen.metric)
    row, residual = np.zeros((len(known), 2, 4)), np.zeros((len(known), 2))
    row[:, 0, 0] = np.sqrt(known)
    row[:, 0, 3] = pixels.information[:, 0, 3] / np.sqrt(known)  # J grows with R1
    residual[:, 0] = pixels.slope[:, 0] / np.sqrt(known)
    use = _bright(seen)
    row[use, 1, 3] = (moment.slope / moment.sigma)[use]
    residual[use, 1] = (moment.share * (moment.value - moment.expected) / moment.sigma)[use]
    return Equations(np.einsum("sri,sr->si", row, residual), np.einsum("sri,srj->sij", row, row))


def _factored_geometry(seen: Seen, pixels: Equations) -> Equations:
    """Terms 1 and 2, and Term 3, centroids of spots without neighbours and gaps, by Huber's rule."""
    both, use = _factored(seen, pixels), _bright(seen)
    found = centre(seen.boxes, seen.profile, seen.amount, seen.xy)
    precision = np.zeros((len(use), 2, 2))
    precision[use] = np.linalg.inv(found.covariance[use])
    shift = found.share[:, None] * found.shift  # linear in the counts
    distance = np.sqrt(np.einsum("si,sij,sj->s", shift, precision, shift))
    precision *= np.minimum(1.0, _HUBER / np.maximum(distance, 1e-12))[:, None, None]
    slope, information = both.slope.copy(), both.information.copy()
    slope[:, 1:3] += np.einsum("sij,sj->si", precision, shift)
    information[:, 1:3, 1:3] += precision
    return Equations(slope, information)


def _bright(seen: Seen) -> np.ndarray:
    """Spots whose moments count: photons enough, nothing wrong."""
    bright: np.ndarray = (seen.amount > _PHOTONS) & (seen.boxes.flags == 0)
    return bright


METHODS: dict[MethodName, Method] = {
    "joint": Method(_poisson, True, True, "Poisson likelihood of the pixels with the reference's error"),
    "factored-geometry": Method(_factored_geometry, False, True, "photons, second moments and centroids"),
    "factored": Method(_factored, False, True, "photons and second moments"),
    "pixel-ml": Method(_poisson, False, False, "Poisson likelihood of the pixels, the reference without error"),
    "pixel-observed": Method(_observed, False, False, "pixels weighted by their counts"),
    "pixel-unweighted": Method(_unweighted, False, False, "pixels all alike"),
}
