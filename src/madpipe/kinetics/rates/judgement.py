"""Whether a scheme explains the data, and how well its parameters are known."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from madpipe.kinetics.rates.elimination import Eliminated, information_of_noise
from madpipe.kinetics.rates.problem import Problem, Tried
from madpipe.kinetics.whitened import Noise, noise_of

_CHANCE = 1e-4  # of rejecting a scheme that is right
_DOUBT = 0.05  # of doubting one: where a drift more takes the doubt away, it is there
_CLEAR = 3.0  # times the noise's edge: components whose direction the data give well enough to test along it


@dataclass(frozen=True)
class Judgement:
    """Misfit of a scheme beside the noise."""

    rejected: bool
    doubtful: bool  # not rejected, but further off than nineteen in twenty right ones
    misfit: float  # chi2 per intensity
    floor: float  # of the best matrix of as many components
    noise: Noise
    words: str


def judged(problem: Problem, part: Eliminated) -> Judgement:
    """Test the residual in two ways, each at half the chance of rejecting a right scheme.

    1. Along the directions in q of the clear components: the squares are chi-square of (frames - species) per
    component,
       less the parameters. The direction's own noise adds columns / singular value^2.
    2. Everywhere: the largest singular value of the residual is below the noise's edge.

    The noise's level is that of the data beyond their rank, so that sigmas wrong by a factor reject nothing.
    """
    frames, species = problem.data.shape[0], len(problem.scheme.species)
    noise = noise_of(problem.singular, frames, problem.free_columns)
    variance = noise.level**2
    residual = part.residual if problem.non_negative else part.residual @ problem.directions
    clear = problem.singular > _CLEAR * noise.edge
    along = np.square(residual @ problem.directions[clear].T).sum() / variance
    share = 1 + problem.free_columns * variance / problem.singular[clear] ** 2
    freedom = max((frames - species) * float(share.sum()) - problem.numbers, 1.0) if clear.any() else 0.0
    limit = float(chi2.isf(_CHANCE / 2, freedom)) if clear.any() else np.inf
    largest = np.linalg.svd(residual, compute_uv=False)[0]
    most = (
        noise.edge if noise.rank <= species else noise.level * (np.sqrt(frames) + np.sqrt(problem.free_columns)) * 1.05
    )
    points = problem.data.shape[0] * problem.directions.shape[1]
    misfit = part.deviance / points
    floor = float(np.square(problem.singular[species:]).sum()) / points
    rejected = bool(along > limit or largest > 1.05 * most)
    words = (
        f"scheme {'rejected' if rejected else 'explains the data'}: misfit {misfit:.4g} per intensity, best matrix of "
        f"{species} components {floor:.4g}; along the components {along:.4g} where noise gives {freedom:.4g}, at most "
        f"{limit:.4g}; largest remaining component {largest:.4g} where noise gives at most {1.05 * most:.4g}"
    )
    if noise.rank < species:
        words += f"; {noise.rank} of {species} components are above the noise: some species may not be there"
    doubtful = bool(clear.any()) and along > float(chi2.isf(_DOUBT, freedom))
    return Judgement(rejected, bool(doubtful), misfit, floor, noise, words)


def covariance_of(problem: Problem, best: Tried, variance: float) -> Float[np.ndarray, "number number"]:
    r"""Give the covariance of ln parameters: :math:`H^{-1} V H^{-1}`.

    V = J^T J at the noisy curves is the variance of the gradient; H, the mean curvature, is V less what the noise of
    the curves adds to it. Where every q is noisy the two differ, and :math:`V^{-1}` alone would be too small.
    """
    columns, slopes = problem.columns(best.numbers)
    prior = best.normal - best.part.normal
    known = best.part.normal / variance
    noisy = information_of_noise(columns, slopes) * problem.free_columns
    values, vectors = np.linalg.eigh(known - noisy + prior)
    least = np.diag(prior).min()
    inverse = (vectors / np.maximum(values, least)) @ vectors.T
    found: np.ndarray = inverse @ (known + prior) @ inverse
    return found


def negativity(curves: np.ndarray, sigma: np.ndarray) -> float:
    """Say by how many standard deviations curves are below 0 beyond what noise about 0 does."""
    below = np.square(np.minimum(curves / sigma, 0.0)).sum(axis=1)
    count = curves.shape[1]  # of noise about 0: mean count / 2, variance 5 count / 4
    return float(((below - count / 2) / np.sqrt(1.25 * count)).max())
