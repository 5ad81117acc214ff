"""The weighted problem in the linear unknowns u of one point: a quadratic form with one quadratic equality, u'Mu = 0.

u = (|F_T|^2, |F_A/f0|^2, |F_T F_A/f0| cos Delta_phi, |F_T F_A/f0| sin Delta_phi) lies on the cone
u0 u1 = u2^2 + u3^2, its vertex the dark point. With H = B'WB and g = B'W(I - b) the stationary points solve
(H + lambda M) u = g, and the global minimum is the one where H + lambda M is positive semidefinite: no starts to
search, and a certificate to check.
Arrays are component first, (4, point).

References
----------
J. J. Moré, Generalizations of the trust region problem, Optim. Methods Softw. 2, 189 (1993), theorem 3.2.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.physics.sums import added, times

_NEWTON_STEPS = 4  # enough for a start: what they leave is far below a standard error
_RIDGE = 1e-12  # of the unit diagonal: where the channels do not determine all four unknowns
_TINY = 1e-150
CONE = torch.tensor(
    [[0.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [0.0, 0.0, 0.0, -1.0]],
    dtype=torch.float64,
)


def unknowns(parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "4 point"]:
    """Linear unknowns from x = |F_T| and p + iq = |F_A/f0| exp(i Delta_phi): always on the cone's positive nappe."""
    x, p, q = parameters
    return torch.stack([x * x, p * p + q * q, x * p, x * q])


def parameters_on(u: Float[Tensor, "4 point"]) -> Float[Tensor, "3 point"]:
    """Read x, p, q from a cone point; the larger of u0, u1 carries the digits."""
    total, resonant = u[0].clamp(min=0), u[1].clamp(min=0)
    cross = torch.hypot(u[2], u[3])
    large = torch.maximum(total, resonant).sqrt()
    small = cross / large.clamp(min=_TINY)
    x, modulus = torch.where(total >= resonant, large, small), torch.where(total >= resonant, small, large)
    turn = torch.where(cross > 0, modulus / cross.clamp(min=_TINY), 0.0)
    forward = torch.where(cross > 0, 0.0, modulus)  # |F_T| or |F_A| is zero: any phase will do
    return torch.stack([x, turn * u[2] + forward, turn * u[3]])


def constrained_least_squares(
    normal: Float[Tensor, "pattern 4 4"], slope: Float[Tensor, "4 point"], pattern: Int[Tensor, "point"] | None
) -> Float[Tensor, "4 point"]:
    r"""Global minimum of :math:`u'Hu/2 - g'u` on the cone.

    Parameters
    ----------
    normal:
        H, one for each pattern of weights, which many points can share.
    slope:
        g of every point.
    pattern:
        Which H each point has; None where there is only one.

    Notes
    -----
    H and M are diagonalised together; then :math:`u'Mu = \sum_i m_i c_i^2 / (1 + \lambda m_i)^2` has one positive and
    three negative terms, one root on the interval where H + lambda M > 0. With P and N for the two signs' sums
    :math:`N^{-1/2} - P^{-1/2}` falls and is concave there, so that Newton's steps converge from the right of the root.
    """
    scale = normal.diagonal(dim1=-2, dim2=-1).clamp(min=_TINY).rsqrt()
    ridge = _RIDGE * torch.eye(4).to(normal)
    root = torch.linalg.cholesky_ex(normal * scale[:, :, None] * scale[:, None, :] + ridge)[0]
    inverse = scale[:, :, None] * torch.linalg.inv_ex(root)[0].mT
    curvature, axes = torch.linalg.eigh(inverse.mT @ CONE.to(normal) @ inverse)
    back = inverse @ axes
    curvature, back = curvature.T, back.permute(1, 2, 0)
    if pattern is not None:
        curvature, back = curvature[:, pattern], back[..., pattern]
    along = times(back.transpose(0, 1), slope)
    return times(back, along / (1 + _multiplier(curvature, along) * curvature))


def _multiplier(curvature: Float[Tensor, "4 #point"], along: Float[Tensor, "4 point"]) -> Float[Tensor, "point"]:
    """Root lambda of the constraint's value on (-1 / m_max, -1 / m_min); the one positive m is the last."""
    negative, positive = -curvature[:3], curvature[3]
    low, high = -1 / positive, 1 / negative[0]
    weight = negative * along[:3] * along[:3]
    rise = positive.sqrt() / along[3].abs().clamp(min=_TINY)
    offset = rise / positive
    multiplier = torch.zeros_like(along[3])
    for _ in range(_NEWTON_STEPS):
        inverse = 1 / (1 - multiplier * negative)
        term = weight * inverse * inverse
        root = added(term).clamp(min=_TINY**2).rsqrt()
        value = root - offset - rise * multiplier
        fall = root * root * root * added(term * inverse * negative) + rise
        step = multiplier + value / fall
        step = torch.minimum(step, multiplier + 0.9 * (high - multiplier))
        multiplier = torch.maximum(step, multiplier + 0.9 * (low - multiplier))
    return multiplier


def is_positive(rows: list[list[Float[Tensor, "point"]]], least: float) -> Bool[Tensor, "point"]:
    """Whether symmetric 4x4 matrices, given by their entries, plus least x identity are positive definite."""
    rows = [list(row) for row in rows]
    positive = torch.ones_like(rows[0][0], dtype=torch.bool)
    for i in range(4):
        pivot = rows[i][i] + least
        positive = positive & (pivot > 0)
        for j in range(i + 1, 4):
            factor = rows[i][j] / pivot
            for k in range(j, 4):
                rows[j][k] = rows[j][k] - factor * rows[i][k]
    return positive
