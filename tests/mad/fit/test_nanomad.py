"""The classical peer: it reaches the local least-squares minimum, and is biased as its weights must make it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from madpipe.mad.fit import nanomad
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.measurement import without_counts
from madpipe.mad.noise_law import NoiseLaw

# Chantler, Ni K, 8313 .. 8348 eV in steps of 5 (xraydb 4.5)
F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52
EPS = torch.finfo(torch.float64).eps


def expected(parameters, data):
    """Photons at unit exposure, from the equation itself."""
    x, a, b = parameters
    ratio = dispersion_ratio(data.f_prime[:, None], data.f_double_prime[:, None], data.f0)
    return mad_intensity(x.to(torch.complex128), torch.complex(a, -b), ratio)


def measurement(intensity, f_prime=F_PRIME, f_double_prime=F_DOUBLE_PRIME):
    channels, points = intensity.shape
    empty = without_counts(torch.tensor(f_prime), torch.tensor(f_double_prime), F0, points)
    good, background = torch.ones(channels, points, dtype=torch.bool), torch.zeros(channels, points)
    return replace(empty, intensity=intensity, background=background, good=good)


def drawn(points, photons, rng, noise=True, lowest=0.6, **dispersion):
    """Points with |F_A|/|F_T| from lowest to lowest + 0.5, any phase, so many photons per energy, and their truth."""
    ratio = lowest + 0.5 * torch.rand(points, generator=rng)
    phase = (2 * torch.rand(points, generator=rng) - 1) * math.pi
    truth = torch.stack([torch.ones(points), ratio * phase.cos(), ratio * phase.sin()])
    empty = measurement(torch.zeros(8, points), **dispersion)
    truth = truth * (photons / expected(truth, empty).mean(0)).sqrt()
    mean = expected(truth, empty)
    return replace(empty, intensity=torch.poisson(mean, generator=rng) if noise else mean), truth


def matrices(solution):
    """Covariance of every point, (point, 3, 3)."""
    return solution.covariance[[0, 1, 2, 1, 3, 4, 2, 4, 5]].T.reshape(-1, 3, 3)


def stationary(data, solution):
    """Largest gradient of the sum of squares by x, a, b, in standard errors of each."""
    parameters = solution.parameters.clone().requires_grad_()
    photons = expected(parameters, data) * data.exposure[:, None] + data.background
    weight = data.good / data.intensity.clamp(min=1)
    (gradient,) = torch.autograd.grad((weight * (data.intensity - photons).square()).sum() / 2, parameters)
    return (gradient * solution.covariance[[0, 3, 5]].sqrt()).abs().max()


@pytest.mark.parametrize("lowest", [0.05, 0.6, 1.2])
def test_noise_free_points_are_recovered(lowest, rng):
    data, truth = drawn(1000, 1e4, rng, noise=False, lowest=lowest)
    solution = nanomad.solve(data)
    # the last step is below 1e-6 standard errors; steps shrink at least tenfold near a minimum with chi2 = 0
    error = matrices(solution).diagonal(dim1=1, dim2=2).T.sqrt()
    assert ((solution.parameters - truth).abs() < 1e-6 * error + 1e-9).all()
    assert torch.allclose(solution.expected, data.intensity, rtol=1e-6)
    assert not solution.certified.any()
    assert (solution.dof == 5).all()


@pytest.mark.parametrize("photons", [5, 100, 1e5])
def test_every_answer_is_a_local_minimum(photons, rng):
    data, _ = drawn(300, photons, rng)
    solution = nanomad.solve(data)
    # the step left over is below 1e-6 standard errors along every axis; weak points stop at the limit of iterations
    assert stationary(data, solution) < (1e-4 if photons == 5 else 1e-5)


def problem_of(data):
    return nanomad._Problem(data.design(), data.intensity, 1 / data.intensity.clamp(min=1))


def test_the_fit_agrees_with_scipy_from_the_same_start(rng):
    data, _ = drawn(40, 30, rng)
    ratio = torch.complex(data.f_prime, data.f_double_prime).numpy()  # times |F_A/f0|
    problem = problem_of(data)
    start = nanomad._best_start(problem, torch.ones(40), data.f0)
    _, chi2, _ = nanomad._least_squares(problem, start, 1e-3, 2000, 1e-6)
    for point in range(40):
        counts = data.intensity[:, point].numpy()

        def residual(p, counts=counts):
            model = np.abs(p[0] + ratio * p[1] * np.exp(-1j * p[2])) ** 2
            return (counts - model) / np.sqrt(np.maximum(counts, 1))

        peer = least_squares(residual, start[:, point].numpy(), method="lm", xtol=1e-13, ftol=1e-13, max_nfev=50000)
        # a step of 1e-6 standard errors off the minimum changes chi2 by 1e-12; finite differences allow the peer 1e-7
        assert chi2[point] == pytest.approx(2 * peer.cost, rel=1e-7, abs=1e-7), point


def test_the_matrix_product_finds_the_start_that_a_loop_finds(rng):
    data, _ = drawn(5, 200, rng)
    ratio = torch.complex(data.f_prime, data.f_double_prime)
    starts, _ = nanomad._unit_starts(data.intensity)
    found, value = nanomad._search(problem_of(data), torch.tensor([[30.0], [3.0]]).expand(2, 5), starts)
    assert starts.shape == (3, 25 * 25 * 24)
    for point in range(5):
        x, modulus, phase = starts * torch.tensor([30.0, 3.0, 1.0])[:, None]
        every = (x + torch.polar(modulus, -phase) * ratio[:, None]).abs().square()
        counts = data.intensity[:, point, None]
        sums = ((counts - every).square() / counts.clamp(min=1)).sum(0)
        # rounding of the linear form: eps x the number of terms x the largest term, I'WI and u'Hu
        assert value[point] == pytest.approx(float(sums.min()), abs=100 * EPS * float(sums.max()))
        assert torch.allclose(found[:, point], torch.stack([x, modulus, phase])[:, sums.argmin()])


def test_a_suspect_answer_is_tried_again_and_the_better_one_kept(rng, monkeypatch):
    """|F_A| > |F_T| everywhere: every point goes through the retry; a wrong first answer is mended by it."""
    data, truth = drawn(200, 1e4, rng, noise=False, lowest=1.2)
    plain, calls = nanomad._least_squares, []

    def spoilt_at_first(problem, start, damping, max_iterations, tolerance):
        calls.append((damping, start))
        if len(calls) == 1:
            wrong = start * torch.tensor([0.5, 2.0, 1.0])[:, None]
            return wrong, nanomad._chi2(problem, wrong), 1
        return plain(problem, start, damping, max_iterations, tolerance)

    monkeypatch.setattr(nanomad, "_least_squares", spoilt_at_first)
    solution = nanomad.solve(data)
    (light, start), (heavy, again) = calls
    assert (light, heavy) == (1e-3, 10.0)
    # the spoilt answer has four times the start's |F_A| over |F_T|: all suspect where that was over a quarter
    assert again.shape == (3, 200)
    assert torch.equal(again[1], start[1] * 2 / 4)
    mended = (solution.parameters - truth).norm(dim=0) < 1e-6 * truth.norm(dim=0)
    wrong = nanomad._chi2(problem_of(data), start * torch.tensor([0.5, 2.0, 1.0])[:, None])
    assert mended.double().mean() > 0.9  # from |F_A| / 4 a few end in another local minimum
    assert (solution.chi2 <= wrong).all()


def test_an_answer_that_is_not_suspect_is_final(rng, monkeypatch):
    data, _ = drawn(100, 1e4, rng, noise=False, lowest=0.1)
    plain, calls = nanomad._least_squares, []
    monkeypatch.setattr(nanomad, "_least_squares", lambda *given: calls.append(given[2]) or plain(*given))
    nanomad.solve(data)
    assert calls == [1e-3]


def test_negative_moduli_turn_by_pi():
    polar = torch.tensor([[2.0, -2.0, 2.0, -2.0], [1.0, 1.0, -1.0, -1.0], [0.3, 0.3, 0.3, 0.3]])
    turned = nanomad._conventional(polar)
    assert (turned[:2] > 0).all()
    assert torch.allclose(turned[2], 0.3 + math.pi * torch.tensor([0.0, 1, 1, 2]))


def test_a_stack_without_mask_and_background_is_one_with_trivial_ones(rng):
    data, _ = drawn(50, 100, rng)
    bare = nanomad.solve(replace(data, good=None, background=None))
    assert torch.equal(bare.parameters, nanomad.solve(data).parameters)
    assert (bare.dof == 5).all()


def test_exposure_and_background_are_part_of_the_model(rng):
    data, truth = drawn(200, 1e4, rng, noise=False)
    exposure, background = 0.5 + torch.rand(8, generator=rng), torch.full((8, 200), 40.0)
    intensity = data.intensity * exposure[:, None] + background
    solution = nanomad.solve(replace(data, intensity=intensity, exposure=exposure, background=background))
    # as without noise above: 1e-6 standard errors, of about 30 sqrt(photon) at most here
    assert torch.allclose(solution.parameters, truth, rtol=1e-6, atol=1e-5)
    assert torch.allclose(solution.expected, intensity, rtol=1e-6)


def test_masked_energies_do_not_count(rng):
    data, truth = drawn(200, 1e4, rng, noise=False)
    good = data.good.clone()
    good[1] = good[5] = False
    solution = nanomad.solve(replace(data, intensity=data.measured(data.intensity) * good, good=good))
    assert torch.allclose(solution.parameters, truth, rtol=1e-6, atol=1e-5)
    assert (solution.dof == 3).all()


def test_points_that_say_nothing_have_large_finite_errors(rng):
    data, _ = drawn(6, 1e4, rng)
    intensity, good = data.intensity.clone(), data.good.clone()
    intensity[:, 0] = 0  # no photon
    good[:, 1] = False  # not measured
    good[1:, 2] = False  # one energy
    good[2:, 3] = False  # two
    intensity[:, 4] = torch.tensor([0, 0, 1, 0, 0, 0, 0, 0.0])  # one photon
    solution = nanomad.solve(replace(data, intensity=intensity * good, good=good))
    covariance = matrices(solution)
    assert torch.isfinite(covariance).all()
    assert torch.isfinite(solution.parameters).all()
    assert (torch.linalg.eigvalsh(matrices(solution)) > 0).all()
    assert (solution.parameters[:, :2] == 0).all()
    # ten times sqrt(sigma): sigma = 1 photon where there are none
    assert torch.allclose(covariance[:2].diagonal(dim1=1, dim2=2).sqrt(), torch.full((2, 3), 10.0))


def test_errors_are_those_of_the_least_squares(rng):
    """The spread of repeats meets the covariance where counts are high, and weights no longer matter."""
    data, truth = drawn(1, 1e6, rng, noise=False)
    repeats = torch.poisson(data.intensity.expand(8, 4000), generator=rng)
    solution = nanomad.solve(measurement(repeats))
    scaled = solution.parameters - truth
    covariance = matrices(solution).mean(0)
    deviate = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), scaled, upper=False)
    # rms of 12000 unit deviates scatters by 1 / sqrt(24000): 4 of these, and 1 % for the covariance of single repeats
    assert deviate.square().mean().sqrt() == pytest.approx(1, abs=4 / 24000**0.5 + 0.01)


def test_stated_errors_weigh_through_the_error_model(rng):
    data, _ = drawn(50, 1e4, rng, noise=False)
    off = data.intensity * (1 + 0.05 * torch.randn(8, 50, generator=rng))
    model = replace(data, intensity=off, noise=NoiseLaw(9.0, 0.0, 0.01))
    solution = nanomad.solve(model)
    residual = off - expected(solution.parameters, data)
    assert torch.allclose(solution.chi2, (residual.square() / (9.0 + 0.01 * off.square())).sum(0), rtol=1e-9)
    # negative and zero observations are data here, and no weight is infinite where the model states no constant
    low = off.clone()
    low[0] = -5.0
    for variance in ((9.0, 0.0, 0.01), (0.0, 0.0, 0.01)):
        assert torch.isfinite(nanomad.solve(replace(model, intensity=low, noise=NoiseLaw(*variance))).parameters).all()


@given(st.floats(0.01, 1e4), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_brighter_points_have_larger_moduli(factor, seed):
    """With an error model that scales along, the answer scales by the root: no absolute number is built in."""
    data, _ = drawn(10, 1e4, torch.Generator().manual_seed(seed))
    plain = nanomad.solve(replace(data, noise=NoiseLaw(100.0, 0.0, 1e-4)))
    scaled = replace(data, intensity=factor * data.intensity, noise=NoiseLaw(100.0 * factor**2, 0.0, 1e-4))
    assert torch.allclose(nanomad.solve(scaled).parameters, plain.parameters * factor**0.5, rtol=1e-5, atol=1e-5)


def test_chunks_change_nothing(rng, monkeypatch):
    data, _ = drawn(100, 1e3, rng)
    whole = nanomad.solve(data)
    monkeypatch.setattr(nanomad, "_CHUNK", 33)
    monkeypatch.setattr(nanomad, "_GRID_CHUNK", 7)
    parted = nanomad.solve(data)
    # sums of eight terms may be taken in another order in another chunk
    assert torch.allclose(parted.parameters, whole.parameters, rtol=1e-6, atol=1e-6)
    assert parted.covariance.shape == (6, 100)


# --- what its weights cost


def test_photons_are_lost_by_chi_square(rng):
    """Neyman's weights: at the minimum sum_k (I_k - mu_k) mu_k / I_k = 0, hence sum mu = sum I - chi2, exactly."""
    data, _ = drawn(2000, 12, rng)
    lit = (data.intensity >= 1).all(0)
    solution = nanomad.solve(data)
    lost = data.intensity.sum(0) - solution.expected.sum(0)
    # off the minimum by 1e-6 standard errors the identity is off by that share of sqrt(sum I), about 10
    assert torch.allclose(lost[lit], solution.chi2[lit], atol=1e-3)
    # chi2 of 5 degrees of freedom
    assert solution.chi2[lit].mean() == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("photons", [20, 5])
def test_weights_from_observed_counts_make_weak_data_too_dark(photons, rng):
    r"""The bias beside least squares with the true variances, derived to leading order in 1 / photons.

    w = 1/I = (1 - delta / mu) / mu, and <delta_k r_k> = mu_k (1 - h_k) with h the leverage of the fit, so that
    <p> falls by N^{-1} sum_k (1 - h_k) J_k / mu_k.
    """
    apart = {"f_prime": (-14.0, -3, 8, 0, -9, 5, 12, -6), "f_double_prime": (0.5, 0.6, 12, 3, 2, 10, 1, 14)}
    data, truth = drawn(4000, photons, rng, lowest=0.05, **apart)  # wide apart: |F_T| is determined at 5 photons
    mu = expected(truth, data)
    per_f0 = truth / torch.stack([torch.ones(4000), data.f0, data.f0])
    jacobian = data.design() @ nanomad._derivatives(per_f0)
    normal = (jacobian[:, None] * jacobian / mu).sum(2).movedim(-1, 0)
    step = torch.linalg.solve(normal, (jacobian / mu).permute(2, 0, 1))
    leverage = (jacobian.permute(2, 0, 1) * step).sum(1)
    derived = -(step[:, 0] * (1 - leverage)).sum(-1).mean()
    start = torch.stack([per_f0[0], per_f0[1:].norm(dim=0), torch.atan2(per_f0[2], per_f0[1])])
    fair = nanomad._least_squares(nanomad._Problem(data.design(), data.intensity, 1 / mu), start, 1e-3, 300, 1e-6)[0]
    lost = nanomad.solve(data).parameters[0].mean() - fair[0].abs().mean()
    # the next order: <1/I> = (1 + 1 / mu + 2 / mu^2) / mu, with mu down to a quarter of the mean in single channels
    assert lost == pytest.approx(float(derived), rel=4 / photons)
    assert lost / truth[0].mean() < -0.3 / photons
