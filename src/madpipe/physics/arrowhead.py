"""Least squares of many blocks of parameters that only a few shared ones join: an arrowhead of normal equations.

Images are the blocks, the instrument is what they share. Each block is eliminated against the shared parameters
(Schur's complement), so that time and memory grow in proportion to the number of blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_PerBlock = Float[np.ndarray, "block own"]
_Shared = Float[np.ndarray, "shared"]
_LEAST_DAMPING, _HOPELESS = 1e-9, 1e12
_TINY = 1e-300  # keeps a parameter that nothing depends on from dividing by zero


@dataclass(frozen=True)
class Arrowhead:
    """Normal equations H x = -g of blocks with parameters of their own and parameters that all share."""

    own: Float[np.ndarray, "block own own"]  # second derivatives within each block
    mixed: Float[np.ndarray, "block own shared"]
    shared: Float[np.ndarray, "shared shared"]
    own_slope: _PerBlock  # g
    shared_slope: _Shared


@dataclass(frozen=True)
class Covariance:
    """Inverse of an arrowhead, as far as it is kept: no block against another."""

    own: Float[np.ndarray, "block own own"]
    mixed: Float[np.ndarray, "block own shared"]
    shared: Float[np.ndarray, "shared shared"]


@dataclass(frozen=True)
class Minimum:
    """Where a search ended."""

    own: _PerBlock
    shared: _Shared
    value: float
    normal: Arrowhead
    evaluations: int


def solve(normal: Arrowhead, damping: float = 0.0) -> tuple[_PerBlock, _Shared]:
    r"""Step that makes the quadratic of an arrowhead least.

    .. math::
        S = H_{ss} - \sum_k H_{sk} H_{kk}^{-1} H_{ks},\quad
        x_s = -S^{-1} (g_s - \sum_k H_{sk} H_{kk}^{-1} g_k),\quad
        x_k = -H_{kk}^{-1} (g_k + H_{ks} x_s)

    Parameters
    ----------
    normal:
        H, positive definite, and g.
    damping:
        Marquardt's: each diagonal element grows by this share of itself.

    References
    ----------
    Triggs, McLauchlan, Hartley, Fitzgibbon, Bundle adjustment - a modern synthesis, LNCS 1883 (2000), section 6.1;
    Marquardt, J. SIAM 11, 431 (1963).
    """
    own, shared = _damped(normal.own, damping), _damped(normal.shared, damping)
    right = np.concatenate([normal.own_slope[..., None], normal.mixed], axis=2)
    solved = np.linalg.solve(own, right)  # of g_k, and of H_ks
    slope, mixed = solved[..., 0], solved[..., 1:]
    schur = shared - np.einsum("kpi,kpj->ij", normal.mixed, mixed)
    step = -np.linalg.solve(schur, normal.shared_slope - np.einsum("kpi,kp->i", normal.mixed, slope))
    return -slope - mixed @ step, step


def covariance(normal: Arrowhead) -> Covariance:
    """Give the inverse of H: each block's own part, its part with the shared ones, and theirs.

    Raises
    ------
    numpy.linalg.LinAlgError
        H is singular: a parameter has neither data nor a prior.
    """
    inverse = np.linalg.inv(normal.own)
    mixed = inverse @ normal.mixed
    schur = normal.shared - np.einsum("kpi,kpj->ij", normal.mixed, mixed)
    shared = np.linalg.inv(schur)
    cross = -mixed @ shared
    return Covariance(inverse - cross @ mixed.transpose(0, 2, 1), cross, shared)


def minimise(
    evaluate: Callable[[_PerBlock, _Shared], tuple[float, Arrowhead]],
    own: _PerBlock,
    shared: _Shared,
    evaluations: int = 50,
    least_gain: float = 1e-6,
    damping: float = 1e-3,
) -> Minimum:
    """Least value from one start, by Levenberg's and Marquardt's method with Nielsen's damping.

    Parameters
    ----------
    evaluate:
        Gives half a sum of squares, its gradient and its Gauss-Newton second derivatives.
    own, shared:
        Start.
    evaluations:
        At most so many.
    least_gain:
        Ends where the quadratic promises no more, in the value's unit.
    damping:
        At first, relative to the diagonal.

    References
    ----------
    Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05.
    """
    value, normal = evaluate(own, shared)
    growth, made = 2.0, 1
    while made < evaluations:
        own_step, shared_step = solve(normal, damping)
        promised = -0.5 * float(np.sum(normal.own_slope * own_step) + normal.shared_slope @ shared_step)
        if not promised > least_gain:
            break
        trial, equations = evaluate(own + own_step, shared + shared_step)
        made += 1
        gain = value - trial
        if gain > 0:
            own, shared, value, normal = own + own_step, shared + shared_step, trial, equations
            damping = max(damping * max(1 / 3, 1 - (2 * gain / promised - 1) ** 3), _LEAST_DAMPING)
            growth = 2.0
        else:
            damping, growth = damping * growth, growth * 2
        if damping > _HOPELESS:
            break
    return Minimum(own, shared, value, normal, made)


def _damped(matrix: Float[np.ndarray, "*block n n"], damping: float) -> Float[np.ndarray, "*block n n"]:
    """Grow the diagonal."""
    diagonal = np.einsum("...ii->...i", matrix)
    damped: np.ndarray = matrix + (damping * diagonal + _TINY)[..., None] * np.eye(matrix.shape[-1])
    return damped
