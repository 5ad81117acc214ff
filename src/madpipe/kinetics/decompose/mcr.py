r"""Multivariate curve resolution: a series as concentrations times curves of species, by alternating least squares.

.. math:: I(t, q) = \sum_k c_k(t)\, s_k(q)

Each half step is one weighted least-squares problem under that half's constraints, solved exactly, but where components
with a basis (P(r), smoothness) and without one mix: then the two groups take turns.

References
----------
Tauler, Chemometr. Intell. Lab. Syst. 30, 133 (1995); with P(r) and smoothness: Meisburger et al., IUCrJ 8, 225 (2021).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.decompose.component import Component, Projection
from madpipe.kinetics.decompose.concentrations import ConcentrationStep
from madpipe.kinetics.decompose.least_squares import unimodal
from madpipe.kinetics.decompose.profiles import ProfileStep
from madpipe.kinetics.decompose.weights import SeparableSigma

_LOOKED_BACK = 10  # iterations over which chi-square must have come to rest

_TURNS = 3  # over concentrations of one maximum, in each step of the alternation
_HELD = 1e6  # weight of a known concentration over that of the data
_Frames = Float[np.ndarray, " frame"]


@dataclass(frozen=True)
class Solution:
    """Concentrations and curves."""

    concentrations: Float[np.ndarray, "frame component"]
    profiles: Float[np.ndarray, "component q"]
    pair_distances: tuple[Float[np.ndarray, " r"] | None, ...]  # P(r) of components with a D_max
    chi2: float  # mean of ((I - c s) / sigma)^2
    iterations: int
    converged: bool


@dataclass(frozen=True)
class Stop:
    """When the alternation ends."""

    iterations: int = 400
    change: float = 1e-5  # of chi-square over ten iterations, relative


def resolve(
    intensity: Float[np.ndarray, "frame q"],
    sigma: Float[np.ndarray, "frame q"],
    q: Float[np.ndarray, " q"],
    weights: SeparableSigma,
    components: tuple[Component, ...],
    *,
    closure: bool = False,
    project: Projection | None = None,
    start: Float[np.ndarray, "frame component"] | None = None,
    stop: Stop | None = None,
) -> Solution:
    """Resolve a series under the constraints of its components.

    Parameters
    ----------
    intensity, sigma:
        The series, buffer subtracted, and its standard deviations, all measured.
    weights:
        sigma as a product; the alternation uses it, chi-square the full sigma.
    closure:
        The concentrations of components that are ``in_closure`` add up to 1 in every frame.
    project:
        Puts another law in the place of the concentrations after each step (hard-soft modelling): a kinetic scheme.
    start:
        Concentrations to begin with; else by :func:`first_guess`.
    """
    stop = stop or Stop()
    block = intensity / (weights.frame[:, None] * weights.q)
    profile_step = ProfileStep(block, q, weights, components, fixed_scale(components, closure))
    concentration_step = ConcentrationStep(block, weights, components, closure)
    c = first_guess(block, weights, components, concentration_step) if start is None else np.array(start, dtype=float)
    power, chi2 = float(np.sum(block**2)), list[float]()
    curves = np.zeros((len(components), len(q)))
    for _ in range(stop.iterations):
        curves = profile_step(c, curves)
        c = concentration_step(curves)
        c = _with_one_maximum(c, curves, block, weights, components, closure)
        c = c if project is None else project(c)
        chi2.append(_chi2(block, power, c / weights.frame[:, None], curves))
        if len(chi2) > _LOOKED_BACK and abs(chi2[-1 - _LOOKED_BACK] - chi2[-1]) <= stop.change * chi2[-1]:
            break
    profiles = curves * weights.q
    return Solution(
        concentrations=c,
        profiles=profiles,
        pair_distances=profile_step.pair_distances(),
        chi2=float(np.mean(((intensity - c @ profiles) / sigma) ** 2)),
        iterations=len(chi2),
        converged=len(chi2) < stop.iterations,
    )


def fixed_scale(components: tuple[Component, ...], closure: bool) -> tuple[bool, ...]:
    """Tell of which components the scale is known: by closure, a known curve or known concentrations."""
    return tuple(
        (closure and one.in_closure) or one.known_profile is not None or one.known_concentration is not None
        for one in components
    )


def _with_one_maximum(
    c: Float[np.ndarray, "frame component"],
    curves: Float[np.ndarray, "component q"],
    block: Float[np.ndarray, "frame q"],
    weights: SeparableSigma,
    components: tuple[Component, ...],
    closure: bool,
) -> Float[np.ndarray, "frame component"]:
    """Give concentrations one maximum each, by least squares over each of them in turn, the others as they are.

    So chi-square falls in every turn; the nearest series to each concentration would not do, for errors of two species
    that elute together go against each other. Smooth ones, and those that closure ties, are replaced by the nearest.
    """
    chosen = [k for k, one in enumerate(components) if one.unimodal]
    gram, right = curves @ curves.T, block @ curves.T
    for _ in range(_TURNS if len(chosen) > 1 else 1):
        for k in chosen:
            one, own = components[k], float(gram[k, k])
            if closure or one.smooth is not None or own <= 0:
                c[:, k] = unimodal(c[:, k])
                continue
            others = right[:, k] - (c / weights.frame[:, None]) @ gram[:, k] + c[:, k] / weights.frame * own
            c[:, k] = _one_maximum(others / own * weights.frame, 1 / weights.frame**2, one)
    return c


def _one_maximum(wanted: _Frames, weight: _Frames, one: Component) -> _Frames:
    """Nearest series of one maximum that keeps what is known, and its sign."""
    known = np.full(len(wanted), np.nan) if one.known_concentration is None else one.known_concentration.copy()
    known[~one.present(len(wanted))] = 0.0
    is_known = np.isfinite(known)
    found = unimodal(np.where(is_known, known, wanted), np.where(is_known, _HELD * weight, weight))
    found = np.maximum(found, 0.0) if one.positive_concentration else found
    return np.where(is_known, known, found)


def _chi2(
    block: Float[np.ndarray, "frame q"],
    power: float,
    c: Float[np.ndarray, "frame component"],
    curves: Float[np.ndarray, "component q"],
) -> float:
    """Mean square of the weighted residual, by products that do not make the whole matrix."""
    crossed = float(np.sum((block @ curves.T) * c))
    model = float(np.sum((c.T @ c) * (curves @ curves.T)))
    return (power - 2 * crossed + model) / block.size


def first_guess(
    block: Float[np.ndarray, "frame q"],
    weights: SeparableSigma,
    components: tuple[Component, ...],
    step: ConcentrationStep,
) -> Float[np.ndarray, "frame component"]:
    """Begin with the ranges and ends that are known, where they tell components apart, else with the purest frames."""
    shapes = np.stack([_shape(one, len(block)) for one in components], axis=1)
    unit = shapes / np.linalg.norm(shapes, axis=0)
    if len(components) == 1 or np.linalg.svd(unit, compute_uv=False)[-1] > 0.05:
        return shapes
    return step(purest_curves(block, components, weights))


def _shape(one: Component, frames: int) -> Float[np.ndarray, " frame"]:
    """Concentration of which only the range and the zeros at its ends are known."""
    if one.known_concentration is not None and np.isfinite(one.known_concentration).all():
        return np.array(one.known_concentration)
    if one.smooth is not None:
        place = np.linspace(0, 1, one.smooth.nodes)
        zeros = (one.smooth.zero_first, one.smooth.zero_last)
        nodes = {(True, True): 1 - (2 * place - 1) ** 2, (False, True): 1 - place, (True, False): place}
        values = nodes.get(zeros, np.ones_like(place))
        return one.smooth.basis() @ values[int(zeros[0]) : one.smooth.nodes - int(zeros[1])] * one.present(frames)
    return one.present(frames).astype(float)


def purest_curves(
    block: Float[np.ndarray, "frame q"], components: tuple[Component, ...], weights: SeparableSigma
) -> Float[np.ndarray, "component q"]:
    """Weighted curves of the frames that differ most: each the farthest from all mixtures of those before it.

    The frames are those of the best matrix of the rank, of a length of at least a tenth of the greatest. Known curves
    come first.

    References
    ----------
    Successive projections: Araujo et al., Chemometr. Intell. Lab. Syst. 57, 65 (2001).
    """
    count = len(components)
    left, values, right = np.linalg.svd(block, full_matrices=False)
    clean = (left[:, :count] * values[:count]) @ right[:count]
    length = np.linalg.norm(clean, axis=1)
    unit = clean[length > 0.1 * length.max()] / length[length > 0.1 * length.max(), None]
    known = [None if one.known_profile is None else one.known_profile / weights.q for one in components]
    chosen = [one / np.linalg.norm(one) for one in known if one is not None]
    found = list[Float[np.ndarray, " q"]]()
    rest = unit.copy()
    for direction in chosen:
        rest = rest - np.outer(rest @ direction, direction)
    for _ in range(count - len(chosen)):
        farthest = int(np.argmax(np.linalg.norm(rest, axis=1)))
        found.append(unit[farthest])
        direction = rest[farthest] / max(float(np.linalg.norm(rest[farthest])), 1e-300)
        rest = rest - np.outer(rest @ direction, direction)
    order = iter(sorted(found, key=lambda one: _place(clean, one)))
    return np.array([next(order) if one is None else one for one in known])


def _place(clean: Float[np.ndarray, "frame q"], curve: Float[np.ndarray, " q"]) -> float:
    """Frame at which a curve is most alike: components are numbered in the order of their appearance."""
    length = np.linalg.norm(clean, axis=1)
    return float(np.argmax(clean @ curve / np.where(length > 0.1 * length.max(), length, np.inf)))
