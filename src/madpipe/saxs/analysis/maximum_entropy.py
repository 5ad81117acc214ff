r"""Maximum entropy: of all distributions that fit the data, the one that says least beyond them.

.. math:: \min_x \tfrac12 \chi^2(x) - \alpha S(x), \qquad S = \sum_j x_j - m_j - x_j \ln(x_j / m_j)

The problem is convex: Newton's steps end at its one minimum from any start. Skilling and Bryan's search in a few
directions finds the same point for the alpha at which chi-square is the number of points.
"""

import numpy as np
from jaxtyping import Float

_STEPS = 200
_SHRINK = 0.1  # the most that a step leaves of a volume
_CLOSE = 1e-9  # relative decrease of the objective, from which Newton's steps end
_SMALLEST = 1e-200


def entropy_fit(
    kernel: Float[np.ndarray, "point bin"],
    data: Float[np.ndarray, "point"],
    default: Float[np.ndarray, "bin"],
    alpha: float,
    start: Float[np.ndarray, "bin"] | None = None,
) -> Float[np.ndarray, "bin"]:
    r"""Minimise half of chi-square minus alpha times the entropy.

    Parameters
    ----------
    kernel, data:
        Both divided by sigma.
    default:
        m, above 0: what the distribution is where the data say nothing.
    alpha:
        Weight of the entropy.
    start:
        Where to begin; without it the default.

    Returns
    -------
    :
        Volumes, above 0.

    References
    ----------
    Skilling and Bryan, Mon. Not. R. Astron. Soc. 211, 111 (1984). Potton, Daniell, Rainford, J. Appl. Cryst. 21, 663
    (1988).
    """
    x = np.maximum(default if start is None else start, _SMALLEST)
    square, right = kernel.T @ kernel, kernel.T @ data

    def objective(one: Float[np.ndarray, "bin"]) -> float:
        misfit = kernel @ one - data
        return float(misfit @ misfit / 2 + alpha * (one * np.log(one / default) - one + default).sum())

    value = objective(x)
    for _ in range(_STEPS):
        gradient = square @ x - right + alpha * np.log(x / default)
        root = np.sqrt(x)
        hessian = square * np.outer(root, root)
        hessian[np.diag_indices_from(hessian)] += alpha
        step = -root * np.linalg.solve(hessian, root * gradient)
        decrease = float(-gradient @ step)
        if decrease <= _CLOSE * max(abs(value), 1.0) or not np.isfinite(decrease):
            break
        length = 1.0
        while True:
            trial = np.maximum(x + length * step, np.maximum(_SHRINK * x, _SMALLEST))
            now = objective(trial)
            if now <= value - 1e-4 * length * decrease or length < 1e-8:
                break
            length /= 2
        if not now < value:
            break
        x, value = np.asarray(trial), now
    return np.asarray(x)
