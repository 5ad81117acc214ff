r"""Intensities that the images share: what is believed before, and what remains to be believed after.

Each spot of image k gives J = S I + noise, so that the images' word on I has precision :math:`\sum S^2 / \sigma_J^2`
and mean :math:`\sum S J / \sigma_J^2` over it. An image's own parameters are fitted to what the *others* say of I
(mean and variance without that image): the likelihood of all images, as a function of one image's parameters, is
p(J_k | J of the others), so that going round the images climbs the likelihood with every I integrated out.
"""

from dataclasses import dataclass

import gemmi
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import erfcx, log_ndtr

_Unique = Float[np.ndarray, "unique"]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_REACH = 8.0  # standard deviations within which a density is summed


@dataclass(frozen=True)
class Belief:
    """Mean and variance of each unique reflection's intensity before any image, and of which kind it is."""

    mean: _Unique
    variance: _Unique
    wilson: bool  # exponential or chi-square of that mean; else Gaussian
    centric: Bool[np.ndarray, "unique"]


@dataclass(frozen=True)
class Word:
    """What images say of each unique reflection: a Gaussian likelihood of I."""

    precision: _Unique  # 0 where they say nothing
    weighted: _Unique  # precision x mean


@dataclass(frozen=True)
class Unique:
    """The reflections that are measured, each once."""

    hkl: Int[np.ndarray, "unique 3"]  # in the asymmetric unit
    of_spot: Int[np.ndarray, "spot"]  # number of each spot's
    plus: Bool[np.ndarray, "spot"]  # whether the spot is on the side of h k l, not of its Friedel mate


def unique_of(hkl: Int[np.ndarray, "spot 3"], space_group: str) -> Unique:
    """Unique reflections of a list of indices, Friedel mates taken as one (Laue symmetry)."""
    asu, plus = asymmetric_of(hkl, space_group)
    found, number = np.unique(asu, axis=0, return_inverse=True)
    return Unique(found, number.reshape(-1), plus)


def asymmetric_of(hkl: Int[np.ndarray, "spot 3"], space_group: str) -> tuple[Int[np.ndarray, "spot 3"], np.ndarray]:
    """Indices in gemmi's reciprocal asymmetric unit, and whether each lies on its + side."""
    group = gemmi.SpaceGroup(space_group)
    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    distinct, number = np.unique(hkl, axis=0, return_inverse=True)
    found = [unit.to_asu(one, operations) for one in distinct.tolist()]
    number = number.reshape(-1)
    inside = np.array([one[0] for one in found], dtype=int).reshape(-1, 3)
    plus = np.array([one[1] % 2 == 1 for one in found], dtype=bool)
    return inside[number], plus[number]


def centric_of(hkl: Int[np.ndarray, "unique 3"], space_group: str) -> Bool[np.ndarray, "unique"]:
    """Whether symmetry restricts a reflection's phase."""
    operations = gemmi.SpaceGroup(space_group).operations()
    return np.asarray(operations.centric_flag_array(hkl.astype(np.int32)), dtype=bool)


def reference_belief(reference: _Unique, doubt: float | _Unique, centric: np.ndarray) -> Belief:
    """I ~ N(I_ref, (tau I_ref)^2); NaN where the reference lacks a reflection."""
    return Belief(reference, (doubt * reference) ** 2, False, centric)


def wilson_belief(mean: _Unique, centric: Bool[np.ndarray, "unique"]) -> Belief:
    """I of a given mean: exponential, of variance mean^2, or for centric ones chi-square of 1, of variance 2 mean^2."""
    return Belief(mean, np.where(centric, 2.0, 1.0) * mean**2, True, centric)


def word_of(
    number: Int[np.ndarray, "spot"], factor: np.ndarray, value: np.ndarray, sigma: np.ndarray, count: int
) -> Word:
    """Sum of what spots say.

    Parameters
    ----------
    number:
        Unique reflection of each spot.
    factor:
        S of each spot, 0 where it is not used [photon per unit of I].
    value, sigma:
        J and its error [photon].
    count:
        How many unique reflections there are.
    """
    precision = np.bincount(number, factor**2 / sigma**2, count)
    return Word(precision, np.bincount(number, factor * value / sigma**2, count))


def without(
    word: Word, number: Int[np.ndarray, "spot"], factor: np.ndarray, value: np.ndarray, sigma: np.ndarray
) -> Word:
    """What the others say, for each spot: all less its own; rounding below 0 counts as nothing."""
    precision = word.precision[number] - factor**2 / sigma**2
    nothing = precision <= 1e-9 * word.precision[number]
    weighted = np.where(nothing, 0.0, word.weighted[number] - factor * value / sigma**2)
    return Word(np.where(nothing, 0.0, precision), weighted)


def posterior(belief: Belief, word: Word) -> tuple[_Unique, _Unique]:
    r"""Mean and variance of I given the images.

    Gaussian: precisions add. Wilson's: acentric, a Gaussian of mean x - v / Sigma and variance v, cut off below 0, with
    the images' x and v; centric, a sum over F = sqrt(I) of exp(-F^2 / 2 Sigma - (x - F^2)^2 / 2 v).

    References
    ----------
    French, Wilson, Acta Cryst. A34, 517 (1978).
    """
    if not belief.wilson:
        precision = 1 / belief.variance + word.precision
        return (belief.mean / belief.variance + word.weighted) / precision, 1 / precision
    mean, variance = belief.mean.copy(), belief.variance.copy()
    told = word.precision > 0
    v = 1 / np.where(told, word.precision, 1.0)
    x = word.weighted * v
    for chosen, moments in ((told & ~belief.centric, _acentric), (told & belief.centric, _centric)):
        mean[chosen], variance[chosen] = moments(x[chosen], v[chosen], belief.mean[chosen])
    return mean, variance


def _acentric(x: _Unique, v: _Unique, sigma: _Unique) -> tuple[_Unique, _Unique]:
    """Moments of a Gaussian cut off below 0, by the ratio of density to tail."""
    root = np.sqrt(v)
    all_t = (x - v / sigma) / root
    far = all_t < -30  # an exponential there, to 1 / t^2
    t = np.maximum(all_t, -30.0)
    hazard = np.exp(-(t**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(t))
    mean = np.where(far, -root / np.minimum(all_t, -1), root * (t + hazard))
    return mean, np.where(far, mean**2, np.maximum(v * (1 - hazard * (t + hazard)), 1e-12 * v))


def log_evidence(belief: Belief, word: Word) -> _Unique:
    r"""Logarithm of Wilson's integral, :math:`\ln \int p(I) \exp(w I - P I^2 / 2) dI`, P and w the images'; 0 for none.

    With t = (x - v / Sigma) / sqrt(v) an acentric one is :math:`\sqrt{2 \pi v}\, e^{t^2 / 2}\, \Phi(t) / \Sigma`; a
    centric one is summed over F.
    """
    found = np.zeros(len(belief.mean))
    told = word.precision > 0
    v = 1 / np.where(told, word.precision, 1.0)
    x = word.weighted * v
    acentric, centric = told & ~belief.centric, told & belief.centric
    root, sigma = np.sqrt(v[acentric]), belief.mean[acentric]
    t = (x[acentric] - v[acentric] / sigma) / root
    tail = np.where(t < 0, np.log(erfcx(-np.minimum(t, 0.0) / np.sqrt(2)) / 2), t**2 / 2 + log_ndtr(np.maximum(t, 0.0)))
    found[acentric] = tail + np.log(np.sqrt(2 * np.pi) * root / sigma)
    f, density, top = _summed(x[centric], v[centric], belief.mean[centric])
    half = (f[:, -1] - f[:, 0]) / (_NODES[-1] - _NODES[0])
    whole = top + x[centric] ** 2 / v[centric] / 2 - np.log(np.pi * belief.mean[centric] / 2) / 2
    found[centric] = whole + np.log(half * density.sum(axis=1))
    return found


def _centric(x: _Unique, v: _Unique, sigma: _Unique) -> tuple[_Unique, _Unique]:
    """Moments by Gauss and Legendre's rule over the structure factor."""
    f, density, _ = _summed(x, v, sigma)
    density /= density.sum(axis=1, keepdims=True)
    mean = np.sum(density * f**2, axis=1)
    return mean, np.sum(density * (f**2 - mean[:, None]) ** 2, axis=1)


def _summed(x: _Unique, v: _Unique, sigma: _Unique) -> tuple[np.ndarray, np.ndarray, _Unique]:
    """Structure factors at the nodes, weighted density there over its largest, and that one's logarithm."""
    root = np.sqrt(v)
    middle = np.maximum(x - v / (2 * sigma), 0.0)
    top = np.sqrt(np.minimum(middle + _REACH * root, 80 * sigma + 4 * np.maximum(x, 0)))
    bottom = np.sqrt(np.maximum(middle - _REACH * root, 0.0))
    f = (top + bottom)[:, None] / 2 + (top - bottom)[:, None] / 2 * _NODES
    power = -(f**2) / (2 * sigma[:, None]) - (x[:, None] - f**2) ** 2 / (2 * v[:, None])
    top_power = power.max(axis=1)
    return f, _WEIGHTS * np.exp(power - top_power[:, None]), top_power


def likely_doubt(reference: Float[np.ndarray, "known"], word: Word, start: float, spread: float | None = None) -> float:
    r"""tau that makes the marginal likelihood largest: the images' mean of I varies by v + (tau I_ref)^2.

    .. math:: -2 \ln L = \sum \ln(v + \tau^2 I_{ref}^2) + (x - I_{ref})^2 / (v + \tau^2 I_{ref}^2)

    Parameters
    ----------
    reference, word:
        Of each unique reflection; those without reference or images are left out.
    start:
        Answer where none is left.
    spread:
        Standard deviation of ln tau about that of the start, a belief that few or weak reflections do not move.
    """
    use = np.isfinite(reference) & (word.precision > 0)
    if not use.any():
        return start
    v = 1 / word.precision[use]
    square, apart2 = reference[use] ** 2, (word.weighted[use] * v - reference[use]) ** 2

    def deviance(log_doubt: float) -> float:
        total = v + np.exp(2 * log_doubt) * square
        belief = 0.0 if spread is None else ((log_doubt - np.log(start)) / spread) ** 2
        return float(np.sum(np.log(total) + apart2 / total)) + belief

    return float(np.exp(minimize_scalar(deviance, bounds=(np.log(1e-3), np.log(5.0)), method="bounded").x))
