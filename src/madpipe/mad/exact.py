"""The exact solution of the MAD equation in every point, with a certificate that it is the global optimum.

Two steps. In the linear unknowns z the weighted least-squares problem has one quadratic equality, z0 z1 = z2^2 + z3^2,
and its global optimum is the root of one scalar function (Moré 1993): no starts to search. Fisher scoring from there
renews the expected-variance weights to the maximum of the likelihood, and the certificate is checked at its end.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.mad.measurement import Measurement

_EXACT_SOLUTIONS = 3  # the global optimum moves with the weights: renew them before the local steps
_ROOT_STEPS = 60  # bisection halves the bracket each time: 60 reach float64's resolution
# of the largest column norm; it decides where channels do not determine all four unknowns, and scoring undoes its bias
_RIDGE = 1e-6
_CERTIFICATE = 1e-6  # rounding allowed in H + lambda M >= 0, relative to H
_FLAT = 1e-4  # largest step left over, in standard errors, in a converged point
CONE = torch.tensor(
    [[0.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [0.0, 0.0, 0.0, -1.0]],
    dtype=torch.float64,
)


@dataclass(frozen=True)
class Solution:
    """Maximum-likelihood answer per point: x = |F_T|, a + ib = |F_A| exp(i Delta_phi), and what it rests on."""

    parameters: Float[Tensor, "point 3"]  # x, a, b [sqrt(photon)]
    information: Float[Tensor, "point 3 3"]  # Fisher information [1/photon]
    expected: Float[Tensor, "point channel"]  # [photon], background included
    chi2: Float[Tensor, "point"]
    dof: Float[Tensor, "point"]
    certified: Bool[Tensor, "point"]
    iterations: int


def solve(measurement: Measurement, max_reweightings: int = 30, tolerance: float = 1e-6) -> Solution:
    r"""Fit every point on its own.

    .. math:: \min_z \sum_k w_k (I_k - b_k - \tau_k a_k \cdot z)^2,\quad z_0 z_1 = z_2^2 + z_3^2,\quad w_k = 1/v(\mu_k)

    Parameters
    ----------
    measurement:
        Points and channels; three channels at least must be good, else the point comes out with large errors and
        without certificate.
    max_reweightings:
        Renewals of the weights at most.
    tolerance:
        Stop when every point's last step is below this share of its standard error.

    Notes
    -----
    Noise-free data are met to rounding times the condition number of the design matrix. ``certified`` says that at
    the final weights H + lambda M is positive semidefinite: no other (|F_T|, |F_A|, Delta_phi) has a smaller sum.

    References
    ----------
    J. J. Moré, Generalizations of the trust region problem, Optim. Methods Softw. 2, 189 (1993), theorem 3.2.
    """
    design, data = measurement.design(), (measurement.intensity - measurement.background) * measurement.good
    expected = measurement.flat_start()
    for _ in range(_EXACT_SOLUTIONS):
        parameters = _parameters_of(constrained_least_squares(design, data, measurement.weights(expected)))
        expected = expected_photons(design, parameters) + measurement.background
    parameters, iterations = _score(measurement, design, data, parameters, max_reweightings, tolerance)
    parameters = _conventional(parameters)
    photons = expected_photons(design, parameters)
    weight, residual = measurement.weights(photons + measurement.background), data - photons
    chi2 = (weight * residual.square()).sum(-1)
    channels = measurement.good.sum(-1)
    certified = _is_global(design, data, weight, parameters) & (channels >= 3)
    return Solution(
        parameters,
        fisher_information(measurement, design, parameters),
        photons + measurement.background,
        chi2,
        (channels - 3).clamp(min=0).to(chi2.dtype),
        certified,
        iterations,
    )


def expected_photons(design: Float[Tensor, "point channel 4"], parameters: Float[Tensor, "point 3"]) -> Tensor:
    """Expected photons without background, from x, a, b."""
    return (design @ _unknowns(parameters)[..., None])[..., 0]


def fisher_information(
    measurement: Measurement, design: Float[Tensor, "point channel 4"], parameters: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 3 3"]:
    r"""Information on (x, a, b), with a prior so wide that it acts only where the data say nothing.

    .. math:: \mathcal I = \sum_k \frac{1}{v_k} \frac{\partial\mu_k}{\partial p} \frac{\partial\mu_k}{\partial p}^T

    Where no photon came it is evaluated at the modulus that gives a quarter of a photon in all, since the
    information on a modulus, 4 tau per channel, does not vanish with it.
    """
    exposure = design[..., 0].sum(-1)
    floor = 0.25 / exposure.clamp(min=1e-30)
    x = (parameters[:, 0].square() + floor).sqrt()
    here = torch.cat([x[:, None], parameters[:, 1:]], dim=-1)
    weight = measurement.weights(expected_photons(design, here) + measurement.background)
    jacobian = design @ _derivatives(here)
    information = jacobian.mT @ (weight[..., None] * jacobian)
    bound = 100 * (here.square().sum(-1) + floor)
    return information + torch.eye(3).to(here) / bound[:, None, None]


def constrained_least_squares(
    design: Float[Tensor, "point channel 4"],
    data: Float[Tensor, "point channel"],
    weight: Float[Tensor, "point channel"],
) -> Float[Tensor, "point 4"]:
    """Solve the weighted problem on the cone exactly; all zero where the best cone point is the apex."""
    root = weight.sqrt()
    basis, triangle = _triangulate(design * root[..., None])
    target = (basis * (data * root)[..., None]).sum(-2)
    inverse = torch.linalg.solve_triangular(triangle, torch.eye(4).to(triangle).expand_as(triangle), upper=True)
    curvature, axes = torch.linalg.eigh(inverse.mT @ CONE.to(inverse) @ inverse)
    along = (axes.mT @ target[..., None])[..., 0]
    multiplier = _multiplier(curvature, along)
    z = inverse @ axes @ (along / (1 + multiplier[:, None] * curvature))[..., None]
    z = z[..., 0]
    return torch.where((z[:, 0] + z[:, 1] > 0)[:, None], z, 0.0)


def _triangulate(matrix: Float[Tensor, "point row 4"]) -> tuple[Tensor, Tensor]:
    """QR by modified Gram-Schmidt, twice, over all points at once; a ridge keeps rank-deficient ones solvable.

    Four columns in plain tensor operations are several times faster than a batched library call.
    """
    scale = matrix.square().sum(-2).sqrt().amax(-1)
    ridge = torch.eye(4).to(matrix) * torch.where(scale > 0, scale * _RIDGE, 1.0)[:, None, None]
    columns = list(torch.cat([matrix, ridge], dim=-2).unbind(-1))
    triangle = torch.zeros(*matrix.shape[:-2], 4, 4).to(matrix)
    for j in range(4):
        for _ in range(2):
            for i in range(j):
                overlap = (columns[i] * columns[j]).sum(-1)
                triangle[..., i, j] += overlap
                columns[j] = columns[j] - overlap[..., None] * columns[i]
        triangle[..., j, j] = columns[j].norm(dim=-1)
        columns[j] = columns[j] / triangle[..., j, j][..., None]
    return torch.stack(columns, dim=-1)[..., : matrix.shape[-2], :], triangle


def _multiplier(curvature: Float[Tensor, "point 4"], along: Float[Tensor, "point 4"]) -> Float[Tensor, "point"]:
    r"""Root of the constraint's value, :math:`\sum_i \mu_i c_i^2 / (1 + \lambda\mu_i)^2`, falling on its interval.

    The interval is where H + lambda M is positive semidefinite: (-1 / mu_max, -1 / mu_min).
    """
    low, high = -1 / curvature[:, 3], -1 / curvature[:, 0]
    for _ in range(_ROOT_STEPS):
        middle = (low + high) / 2
        value = (curvature * along.square() / (1 + middle[:, None] * curvature).square()).sum(-1)
        low, high = torch.where(value > 0, middle, low), torch.where(value > 0, high, middle)
    return (low + high) / 2


def _score(
    measurement: Measurement,
    design: Tensor,
    data: Tensor,
    parameters: Tensor,
    max_reweightings: int,
    tolerance: float,
) -> tuple[Tensor, int]:
    """Fisher scoring with damping per point: each step renews the weights from the model."""
    damping = torch.zeros(len(parameters)).to(parameters)
    count = 0
    converged = False
    while count < max_reweightings and not converged:
        photons = expected_photons(design, parameters)
        weight, residual = measurement.weights(photons + measurement.background), data - photons
        jacobian = design @ _derivatives(parameters)
        gradient = (jacobian * (weight * residual)[..., None]).sum(-2)
        information = jacobian.mT @ (weight[..., None] * jacobian)
        diagonal = information.diagonal(dim1=-2, dim2=-1)
        loading = damping[:, None] * diagonal + 1e-12 * diagonal.amax(-1, keepdim=True) + 1e-300
        step = torch.linalg.solve_ex(information + torch.diag_embed(loading), gradient)[0]
        candidate = parameters + step
        before = (weight * residual.square()).sum(-1)
        after = (weight * (data - expected_photons(design, candidate)).square()).sum(-1)
        better = after <= before * (1 + 1e-10) + 1e-300
        parameters = torch.where(better[:, None], candidate, parameters)
        damping = torch.where(better, damping / 10, (damping * 10).clamp(min=1e-2))
        in_errors = (step * gradient).sum(-1).clamp(min=0).sqrt()
        converged = bool((in_errors <= tolerance).all())
        count += 1
    return parameters, count


def _is_global(design: Tensor, data: Tensor, weight: Tensor, parameters: Tensor) -> Bool[Tensor, "point"]:
    """Check stationarity and H + lambda M >= 0 at the final weights, in columns of unit norm."""
    weighted = design * weight.sqrt()[..., None]
    scale = weighted.square().sum(-2).sqrt().clamp(min=1e-150)
    weighted = weighted / scale[:, None, :]
    residual = (data - expected_photons(design, parameters)) * weight.sqrt()
    slope = (weighted * residual[..., None]).sum(-2)
    normal = (CONE.to(scale) @ _unknowns(parameters)[..., None])[..., 0] / scale
    multiplier = (slope * normal).sum(-1) / normal.square().sum(-1).clamp(min=1e-300)
    leftover = (slope - multiplier[:, None] * normal).norm(dim=-1)
    cone = CONE.to(scale) / (scale[:, :, None] * scale[:, None, :])
    lowest = torch.linalg.eigvalsh(weighted.mT @ weighted + multiplier[:, None, None] * cone)[:, 0]
    empty = (data <= 0).all(-1) & (parameters == 0).all(-1)
    flat = leftover <= _FLAT * (1 + residual.norm(dim=-1))
    return (flat & (lowest >= -_CERTIFICATE)) | empty


def _unknowns(parameters: Float[Tensor, "point 3"]) -> Float[Tensor, "point 4"]:
    """Linear unknowns from x, a, b: always on the cone's positive nappe."""
    x, a, b = parameters.unbind(-1)
    return torch.stack([x * x, a * a + b * b, x * a, x * b], dim=-1)


def _derivatives(parameters: Float[Tensor, "point 3"]) -> Float[Tensor, "point 4 3"]:
    """Derivatives of the linear unknowns by x, a, b."""
    x, a, b = parameters.unbind(-1)
    zero = torch.zeros_like(x)
    by_x = torch.stack([2 * x, zero, a, b], dim=-1)
    by_a = torch.stack([zero, 2 * a, x, zero], dim=-1)
    by_b = torch.stack([zero, 2 * b, zero, x], dim=-1)
    return torch.stack([by_x, by_a, by_b], dim=-1)


def _parameters_of(z: Float[Tensor, "point 4"]) -> Float[Tensor, "point 3"]:
    """Read x, a, b from a cone point; the larger of z0, z1 carries the digits."""
    total, resonant = z[:, 0].clamp(min=0), z[:, 1].clamp(min=0)
    cross = z[:, 2:]
    modulus = cross.norm(dim=-1)
    direction = torch.where(
        (modulus > 0)[:, None], cross / modulus.clamp(min=1e-300)[:, None], torch.tensor([1.0, 0.0]).to(z)
    )
    large = torch.maximum(total, resonant).sqrt()
    small = modulus / large.clamp(min=1e-150)
    x = torch.where(total >= resonant, large, small)
    f_resonant = torch.where(total >= resonant, small, large)
    return torch.cat([x[:, None], f_resonant[:, None] * direction], dim=-1)


def _conventional(parameters: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    """Make x >= 0: changing the sign of F_T and F_A together changes nothing."""
    return torch.where((parameters[:, 0] < 0)[:, None], -parameters, parameters)
