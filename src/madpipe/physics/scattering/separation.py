r"""Partial intensities from curves at several photon energies, point by point and without a model of the particle.

At each q the intensities are :math:`I_E = a_E \cdot x` with :math:`x = (\langle|F_T|^2\rangle, \langle|F_A|^2\rangle,
\Re\langle F_T F_A^*\rangle)` and, where another element absorbs, the imaginary part
(:func:`madpipe.physics.scattering.contrast.design_matrix`). By Schwarz's inequality

.. math:: x_0 \ge 0, \quad x_1 \ge 0, \quad x_2^2 + x_3^2 \le x_0 x_1.

Where the least squares leave this cone, the best point of the cone lies on its surface:
:math:`x = \rho\, (1, t^2, t \cos\chi, t \sin\chi)`, the intensity of a particle without spread. For a given
:math:`\chi` (0 without the imaginary part) the gain is a quotient of polynomials in t; its maxima are roots of one of
degree 5.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_TURNS = 64  # angles chi that are tried
_REFINED = 40  # halvings of the interval around the best
_FLAT = 1e-12  # of the largest coefficient, below which a polynomial has one root less
_SINGULAR = 1e-12  # of the largest eigenvalue of the normal matrix, its columns of unit norm


@dataclass(frozen=True)
class Separated:
    """Partial intensities of every q, in the unit of the intensity."""

    terms: Float[np.ndarray, "q term"]
    covariance: Float[np.ndarray, "q term term"]  # of the free least squares: it holds where the cone is not reached
    bounded: Bool[np.ndarray, "q"]  # whether the cone bounds it there
    residual: Float[np.ndarray, "q energy"]  # over sigma
    weighted: Float[np.ndarray, "q energy term"]  # the design over sigma


def separate(
    intensity: Float[np.ndarray, "energy q"],
    sigma: Float[np.ndarray, "energy q"],
    design: Float[np.ndarray, "energy term"],
    within_cone: bool = True,
) -> Separated:
    """Separate curves of one sample at several energies by weighted least squares within the cone.

    Parameters
    ----------
    intensity, sigma:
        [any unit]; a sigma of infinity is a point that was not measured.
    design:
        Rows :math:`a_E` with three or four terms; a factor of the curve's scale may multiply them.
    within_cone:
        False: least squares alone.

    Raises
    ------
    ValueError
        The energies measured at some q do not determine the terms.
    """
    weighted = (design[:, None] / sigma[..., None]).transpose(1, 0, 2)  # (q, energy, term)
    measured = (np.where(np.isfinite(sigma), intensity, 0.0) / sigma).T
    normal = weighted.transpose(0, 2, 1) @ weighted
    _check(normal, design)
    right = (weighted * measured[..., None]).sum(1)
    terms = np.linalg.solve(normal, right[..., None])[..., 0]
    bounded = ~_in_cone(terms) & within_cone
    if bounded.any():
        terms[bounded] = _on_surface(normal[bounded], right[bounded])
    residual = measured - (weighted * terms[:, None]).sum(-1)
    return Separated(terms, np.linalg.inv(normal), bounded, residual, weighted)


def _check(normal: np.ndarray, design: np.ndarray) -> None:
    """Refuse points whose energies leave a term open."""
    size = np.sqrt(np.maximum(np.einsum("qii->qi", normal), np.finfo(float).tiny))
    values = np.linalg.eigvalsh(normal / size[:, :, None] / size[:, None, :])
    open_ = ~(values[:, 0] > _SINGULAR * values[:, -1])
    if open_.any():
        raise ValueError(
            f"at least {design.shape[1]} energies of different f', f'' are required at each q; {int(open_.sum())} of "
            f"{len(normal)} points have less among {len(design)}; leave them out, or add energies nearer to the edge"
        )


def _in_cone(terms: np.ndarray) -> np.ndarray:
    """Whether Schwarz's inequality holds."""
    cross = np.square(terms[:, 2:]).sum(1)
    inside: np.ndarray = (terms[:, :2] >= 0).all(1) & (cross <= terms[:, 0] * terms[:, 1])
    return inside


def _on_surface(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Best points of the cone's surface."""
    scale = np.sqrt(normal[:, 0, 0] / normal[:, 1, 1])  # t in units in which both squares weigh the same
    if normal.shape[1] == 3:
        return _best_on_line(normal, right, scale, np.zeros(len(normal)))[0]
    turns = np.pi * np.arange(_TURNS) / _TURNS
    gains = np.array([_best_on_line(normal, right, scale, np.full(len(normal), chi))[1] for chi in turns])
    low = turns[gains.argmax(0)] - np.pi / _TURNS
    high = low + 2 * np.pi / _TURNS
    for _ in range(_REFINED):
        inner, outer = low + (high - low) / 3, high - (high - low) / 3
        better = _best_on_line(normal, right, scale, inner)[1] > _best_on_line(normal, right, scale, outer)[1]
        low, high = np.where(better, low, inner), np.where(better, outer, high)
    return _best_on_line(normal, right, scale, (low + high) / 2)[0]


def _directions(chi: np.ndarray, terms: int) -> np.ndarray:
    """Matrix from (1, t^2, t) to the terms (q, term, 3)."""
    made = np.zeros((len(chi), terms, 3))
    made[:, 0, 0] = made[:, 1, 1] = 1
    made[:, 2, 2] = np.cos(chi)
    if terms == 4:
        made[:, 3, 2] = np.sin(chi)
    return made


def _unit(slope: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(1, t^2, t) / (1 + t^2)."""
    angle = np.arctan(slope)
    return np.cos(angle) ** 2, np.sin(angle) ** 2, np.sin(angle) * np.cos(angle)


def _best_on_line(
    normal: np.ndarray, right: np.ndarray, scale: np.ndarray, chi: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best point at angles chi and its gain: b(t)^2 / n(t) at the roots of 2 b' n - b n'."""
    to_terms = _directions(chi, normal.shape[1])
    to_terms[:, :, 1] *= scale[:, None] ** 2
    to_terms[:, :, 2] *= scale[:, None]
    inner = to_terms.transpose(0, 2, 1) @ normal @ to_terms
    linear = (to_terms.transpose(0, 2, 1) @ right[..., None])[..., 0]
    b = linear[:, [0, 2, 1]]  # rising powers of t
    n = np.stack(
        [inner[:, 0, 0], 2 * inner[:, 0, 2], inner[:, 2, 2] + 2 * inner[:, 0, 1], 2 * inner[:, 1, 2], inner[:, 1, 1]], 1
    )
    tried = np.array(
        [np.append(_real_roots(*pair), [0.0, 1e9, *_real_parts(pair[0])]) for pair in zip(b, n, strict=True)]
    )
    powers = tried[:, None] ** np.arange(5)[:, None]
    value, weight = (b[..., None] * powers[:, :3]).sum(1), (n[..., None] * powers).sum(1)
    gain = np.where(value > 0, value**2 / weight, 0.0)
    best = gain.argmax(1)[:, None]
    slope = np.take_along_axis(tried, best, 1)[:, 0] * scale
    found = np.take_along_axis(gain, best, 1)[:, 0]
    shape = (_directions(chi, normal.shape[1]) @ np.stack(_unit(slope), 1)[..., None])[..., 0]
    size = np.maximum((shape * right).sum(1), 0) / np.einsum("qi,qij,qj->q", shape, normal, shape)
    return size[:, None] * shape, found


def _real_roots(b: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Real parts of the five roots of 2 b' n - b n', 0 for those that are missing."""
    polynomial = 2 * np.polymul(np.polyder(b[::-1]), n[::-1])
    polynomial = np.polysub(polynomial, np.polymul(b[::-1], np.polyder(n[::-1])))
    polynomial = np.where(np.abs(polynomial) < _FLAT * np.abs(polynomial).max(), 0.0, polynomial)
    roots = np.roots(polynomial).real
    return np.append(roots, np.zeros(5 - len(roots)))[:5]


def _real_parts(b: np.ndarray) -> np.ndarray:
    """Middle between the two zeros of b, where it is largest or smallest."""
    return np.array([-b[1] / (2 * b[2]) if b[2] != 0 else 0.0])
