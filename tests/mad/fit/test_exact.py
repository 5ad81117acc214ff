"""The exact solution: noise-free recovery, global optimality, error bars, degenerate points."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from madpipe.base.runtime import fix_threads
from madpipe.mad.fit import exact
from madpipe.mad.fit.cone import CONE, constrained_least_squares, is_positive, parameters_on, unknowns
from madpipe.mad.fit.exact import (
    _end,
    _global_optimum,
    _second,
    covariance,
    expected_photons,
    fisher_information,
    flat_optimum,
    solve,
)
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.fit.likelihood import climb, problem_of
from madpipe.mad.measurement import without_counts
from madpipe.physics.atoms import dispersion_correction, edge_energy, form_factor

# Chantler, Ni K, 8313 .. 8348 eV in steps of 5 (xraydb 4.5)
F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52
QUANTITIES = ("f_total", "f_resonant", "delta_phi", "f_normal")


def measurement(points, f_prime=F_PRIME, f_double_prime=F_DOUBLE_PRIME, f0=F0):
    return without_counts(torch.tensor(f_prime), torch.tensor(f_double_prime), f0, points)


def drawn(points, photons, rng, noise=True, **atom):
    """Points with |F_A|/|F_T| in 0.6 .. 1.1, any phase, so many photons per energy: (measurement, truth)."""
    ratio = 0.6 + 0.5 * torch.rand(points, generator=rng)
    phase = (2 * torch.rand(points, generator=rng) - 1) * math.pi
    truth = torch.stack([torch.ones(points), ratio * phase.cos(), ratio * phase.sin()])
    empty = measurement(points, **atom)
    truth = truth * (photons / expected_photons(empty, truth).mean(0)).sqrt()
    expected = expected_photons(empty, truth)
    return replace(empty, intensity=torch.poisson(expected, generator=rng) if noise else expected), truth


def deviates(found, true):
    """Errors over the Cramer-Rao bound, by quantity."""
    for name in QUANTITIES:
        error = found[name] - true[name]
        if name == "delta_phi":
            error = (error + math.pi) % (2 * math.pi) - math.pi
        yield name, error, error / true[f"{name}_errors"]


def both(data, truth):
    """What is found, and the truth with its bounds."""
    solution = solve(data)
    found = structure_factors(solution.parameters, solution.covariance)
    return found, structure_factors(truth, covariance(fisher_information(data, truth)), exact=True)


def test_noise_free_points_are_recovered_to_rounding(rng):
    data, truth = drawn(2000, 1e4, rng, noise=False)
    solution = solve(data)
    # rounding of the intensities times the condition number of the normalised design, about 300
    assert ((solution.parameters - truth).norm(dim=0) / truth.norm(dim=0)).max() < 300 * 64 * 2.2e-16
    assert solution.certified.all()


@pytest.mark.parametrize(
    ("element", "edge", "shifts"),
    [
        ("Fe", "K", (-40, -7, -1, 3, 11, 60)),
        ("Pt", "L3", (-35, -20, -3, 2, 17, 31, 80)),
        ("Au", "L3", (-10, 0, 10, 30)),
        ("Se", "K", (-3, 1, 300)),
        ("Co", "K", tuple(range(-60, 60, 10))),
    ],
)
def test_any_edge_and_uneven_energies(element, edge, shifts, rng):
    energies = [edge_energy(element, edge) + shift for shift in shifts]
    f_prime, f_double_prime = (f.tolist() for f in dispersion_correction(element, torch.tensor(energies)))
    f0 = float(form_factor(element, torch.tensor([3.0])))
    data, truth = drawn(500, 1e5, rng, noise=False, f_prime=tuple(f_prime), f_double_prime=tuple(f_double_prime), f0=f0)
    found = solve(data)
    error = ((found.parameters - truth).abs().sum() / truth.abs().sum()).item()
    normalised = data.design() / data.design().norm(dim=0)
    # three energies determine three unknowns only through the cone, where the flat directions meet it with any slope
    assert error < max(1e-9, 1e4 * float(torch.linalg.cond(normalised)) * 2.2e-16)
    normal = structure_factors(found.parameters, found.covariance)["f_normal"]
    true = torch.hypot(truth[0] - truth[1], truth[2])
    assert (normal - true).abs().sum() / true.sum() < 1e-7


@pytest.mark.parametrize("photons", [1e3, 1e4, 1e5])
def test_errors_meet_the_cramer_rao_bound(photons, rng):
    found, true = both(*drawn(20000, photons, rng))
    for name, error, deviate in deviates(found, true):
        # rms of 20000 unit deviates scatters by 0.005; 5 % allows for the curvature left at 1e3 photons
        assert 0.95 < deviate.square().mean().sqrt() < 1.05, name
        assert deviate.mean().abs() < 0.1, name
        for width, low, high in ((1, 0.66, 0.70), (1.96, 0.94, 0.96)):
            covered = (error.abs() < width * found[f"{name}_errors"]).double().mean()
            assert low < covered < high, (name, width)


def test_no_second_branch_at_a_hundred_photons(rng):
    """Moduli meet the bound; a phase is curved over its error of 0.4 radian and stays 20 % above it."""
    data, truth = drawn(20000, 100, rng)
    found, true = both(data, truth)
    for name, _, deviate in deviates(found, true):
        assert deviate.square().mean().sqrt() < (1.25 if name == "delta_phi" else 1.05), name
    without = structure_factors(*_pair(solve(data, prior_breadth=0.0)))
    branch = (without["f_resonant"] > 5 * truth[1:].norm(dim=0)).double().mean()
    assert 1e-3 < branch < 1e-2  # what the prior is for
    assert (found["f_resonant"] > 5 * truth[1:].norm(dim=0)).double().mean() < 1e-4


def _pair(solution):
    return solution.parameters, solution.covariance


@pytest.mark.parametrize("photons", [0.1, 1.0, 10.0])
def test_few_photons_give_finite_answers_near_the_truth(photons, rng):
    data, truth = drawn(5000, photons, rng)
    found, _ = both(data, truth)
    assert all(column.isfinite().all() for column in found.values())
    for name, true in (("f_total", truth[0]), ("f_resonant", truth[1:].norm(dim=0))):
        error = (found[name] - true).abs()
        assert (error < 2 * found[f"{name}_errors"]).double().mean() > 0.9, (
            name
        )  # not below what 95 % intervals promise


def test_chi_square_has_its_degrees_of_freedom(rng):
    solution = solve(drawn(8000, 1e4, rng)[0])
    # chi2 of 5 degrees of freedom: standard deviation sqrt(10)
    assert abs(solution.chi2.mean() - 5) < 4 * (10 / 8000) ** 0.5
    assert (solution.dof == 5).all()


def brute_force(data, solution, prior, point, size=61):
    """Least weighted sum of squares on a fine grid of (|F_T|, |F_A|, Delta_phi) about 0 .. 2 of the answer's moduli."""
    reach = 2 * float(solution.parameters[:, point].norm()) + 1.0
    modulus, phase = torch.linspace(0, reach, size), torch.linspace(-math.pi, math.pi, 73)
    x, f_a, turn = torch.meshgrid(modulus, modulus, phase, indexing="ij")
    trial = torch.stack([x, f_a * turn.cos(), f_a * turn.sin()]).reshape(3, -1)
    one = data.part(torch.tensor([point]))
    everywhere = expected_photons(measurement(trial.shape[1]), trial)
    weight = one.weights(solution.expected[:, [point]])
    return (weight * (one.net() - everywhere).square()).sum(0) + 2 * prior * trial[1:].square().sum(0)


def test_no_start_of_a_fine_grid_finds_a_better_point(rng):
    data = [drawn(65, photons, rng)[0] for photons in (30, 300, 1e4)]
    intensity = torch.cat([*(one.intensity for one in data), degenerate(rng).intensity], -1)
    data = replace(measurement(201), intensity=intensity)
    solution = solve(data, prior_breadth=0.0)
    weight = data.weights(solution.expected)
    best = (weight * (data.net() - solution.expected).square()).sum(0)
    certified = torch.nonzero(solution.certified)[:, 0].tolist()
    assert len(certified) > 190
    for point in certified:
        assert best[point] <= brute_force(data, solution, 0.0, point, 31).min() * (1 + 1e-9) + 1e-9


def test_the_certificate_refuses_a_local_optimum(rng):
    """Of the stationary points only the global one may carry the certificate: climb from the twin, Delta_phi < 0."""
    below = {"f_prime": F_PRIME[:5], "f_double_prime": F_DOUBLE_PRIME[:5]}  # f'' hardly tells twins apart there
    data, truth = drawn(500, 1e4, rng, **below)
    problem = problem_of(data, 0.0)
    best = solve(data, prior_breadth=0.0)
    twin = torch.stack([truth[0], truth[1] / F0, -truth[2] / F0])
    local, settled, steps = climb(problem, twin, 200, 1e-8)
    end = _end(problem, twin, local, settled, steps, torch.zeros_like(settled))
    worse = settled & (end.chi2 > best.chi2 + 1)
    assert worse.sum() >= 5
    assert not end.certified[worse].any()
    assert best.certified.all()


def test_a_search_that_settles_in_a_local_optimum_starts_again_from_the_global_one(rng):
    """Settled is not solved: where the certificate refuses, the second round leaves the twin's optimum."""
    below = {"f_prime": F_PRIME[:5], "f_double_prime": F_DOUBLE_PRIME[:5]}
    data, truth = drawn(500, 1e4, rng, **below)
    best, twin = solve(data, prior_breadth=0.0), torch.stack([truth[0], truth[1] / F0, -truth[2] / F0])
    end = _second(problem_of(data, 0.0), twin, 200, 1e-8)
    assert (end.settled & end.certified).all()
    torch.testing.assert_close(end.chi2, best.chi2, rtol=1e-6, atol=1e-6)


def test_the_cone_problem_is_solved_globally(rng):
    """Random problems, many with the free optimum inside the cone: no random cone point is lower."""
    rows = torch.randn(40, 6, 4, generator=rng, dtype=torch.float64)
    normal = rows.mT @ rows
    slope = torch.randn(4, 40, generator=rng)
    u = constrained_least_squares(normal, slope, torch.arange(40))
    value = u[0] * u[1] - u[2] ** 2 - u[3] ** 2
    assert (value.abs() < 1e-3 * u.square().sum(0)).all()  # the few Newton steps leave the rest to those that follow
    positive = u[0] + u[1] > 0
    found = unknowns(parameters_on(u))
    trial = unknowns(3 * torch.randn(3, 20000, generator=rng))
    for point in torch.nonzero(positive)[:, 0]:
        target = (normal[point], slope[:, point])
        assert objective(found[:, [point]], *target)[0] <= objective(trial, *target).min() + 1e-2


def objective(u, normal, slope):
    return ((normal @ u) * u).sum(0) / 2 - slope @ u


def test_positive_definite_is_told_by_the_pivots(rng):
    rows = torch.randn(300, 4, 4, generator=rng)
    matrix = rows + rows.mT + 3 * torch.eye(4)
    truth = torch.linalg.eigvalsh(matrix)[:, 0] > 0
    entries = [[matrix[:, i, j] for j in range(4)] for i in range(4)]
    assert (is_positive(entries, 0.0) == truth).all()
    assert 0.1 < truth.double().mean() < 0.9


@given(st.floats(0.1, 1e3), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_more_exposure_scales_every_modulus_by_its_root(factor, seed):
    data, _ = drawn(20, 1e4, torch.Generator().manual_seed(seed), noise=False)
    plain, brighter = solve(data), solve(replace(data, intensity=factor * data.intensity))
    assert torch.allclose(brighter.parameters, plain.parameters * factor**0.5, rtol=1e-9, atol=1e-9 * factor**0.5)


@given(st.permutations(range(8)), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_energies_changes_nothing(order, seed):
    data, _ = drawn(20, 1e4, torch.Generator().manual_seed(seed))
    order = torch.tensor(order)
    moved = replace(
        data, intensity=data.intensity[order], f_prime=data.f_prime[order], f_double_prime=data.f_double_prime[order]
    )
    assert torch.allclose(solve(moved).parameters, solve(data).parameters, rtol=1e-6, atol=1e-6)


def test_neighbours_change_nothing_to_the_bit(rng):
    """Volumes are fitted in slabs and clusters in parts: where a point stands must not matter."""
    data, _ = drawn(3000, 50, rng)
    whole = solve(data)
    mask = torch.ones(8, 3000, dtype=torch.bool)
    mask[3, 2000:] = False
    masked = replace(data, good=mask, intensity=data.intensity * mask)
    for all_of_it, solution in ((data, whole), (masked, solve(masked))):
        for start, stop in ((0, 1), (1, 1000), (1000, 1777), (1777, 3000)):
            part = solve(all_of_it.part(slice(start, stop)))
            assert torch.equal(part.parameters, solution.parameters[:, start:stop])
            assert torch.equal(part.covariance, solution.covariance[:, start:stop])
    assert torch.equal(solve(masked).parameters[:, :2000], whole.parameters[:, :2000])


def test_exposure_and_background_are_part_of_the_model(rng):
    data, truth = drawn(300, 1e4, rng, noise=False)
    exposure, background = 0.5 + torch.rand(8, generator=rng), torch.full((8, 300), 40.0)
    intensity = data.intensity * exposure[:, None] + background
    solution = solve(replace(data, intensity=intensity, exposure=exposure, background=background))
    assert torch.allclose(solution.parameters, truth, rtol=1e-9, atol=1e-9)
    assert torch.allclose(solution.expected, intensity, rtol=1e-9)


def test_masked_energies_do_not_count(rng):
    data, truth = drawn(300, 1e4, rng, noise=False)
    good = torch.rand(8, 300, generator=rng) > 0.3
    good[:5] = True
    spoiled = torch.where(good, data.intensity, 0.0)
    solution = solve(replace(data, intensity=spoiled, good=good))
    assert ((solution.parameters - truth).norm(dim=0) / truth.norm(dim=0)).max() < 1e-9
    assert (solution.dof == good.sum(0) - 3).all()


def test_friedel_mates_are_channels_of_one_point(rng):
    atom = {"f_prime": F_PRIME[3:6] * 2, "f_double_prime": (*F_DOUBLE_PRIME[3:6], *(-f for f in F_DOUBLE_PRIME[3:6]))}
    data, truth = drawn(300, 1e5, rng, noise=False, **atom)
    assert torch.allclose(solve(data).parameters, truth, rtol=1e-9, atol=1e-9)


def degenerate(rng):
    """No photons; one photon; no resonant atoms; two energies; nothing measured; a typical point."""
    data, _ = drawn(6, 1e4, rng)
    intensity, good = data.intensity.clone(), torch.ones(8, 6, dtype=torch.bool)
    intensity[:, 0] = 0
    intensity[:, 1] = torch.tensor([0, 0, 0, 1.0, 0, 0, 0, 0])
    intensity[:, 2] = 1e4
    good[2:, 3] = False
    good[:, 4] = False
    return replace(data, intensity=intensity * good, good=good)


def test_degenerate_points_are_finite_and_honest(rng):
    solution = solve(degenerate(rng))
    found = structure_factors(solution.parameters, solution.covariance)
    for name, column in found.items():
        assert column.isfinite().all(), name
    assert not solution.certified[3:5].any()
    assert found["f_resonant"][2] < 4 * found["f_resonant_errors"][2]
    # no photon in 8 channels: information of 4 per unit of exposure on |F_T|, less what |F_A| hides; a photon at most
    assert (4 * 8) ** -0.5 < found["f_total_errors"][0] < 1
    undetermined = math.pi / math.sqrt(3)
    assert (found["delta_phi_errors"][[0, 4]] > 0.9 * undetermined).all()
    assert (found["delta_phi_errors"] <= undetermined * (1 + 1e-12)).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_as_many_channels_as_unknowns_are_met(channels, rng):
    """Three energies leave the four linear unknowns short of one equation; the cone gives it back."""
    few = slice(1, 2 * channels, 2)
    data, _ = drawn(500, 1e5, rng, f_prime=F_PRIME[few], f_double_prime=F_DOUBLE_PRIME[few])
    solution = solve(data, prior_breadth=0.0)
    # noise may put three intensities where no structure factor leads; nine in ten must be met exactly
    met = solution.chi2 < (1e-6 if channels == 3 else 12)
    assert met.double().mean() > 0.9
    assert solution.parameters.isfinite().all()


def test_where_the_problem_is_convex_the_certificate_needs_no_positive_matrix(rng):
    """Noise of single photons puts a tenth of all points where no structure factor leads: their multiplier is < 0."""
    assert solve(drawn(500, 1.0, rng)[0]).certified.all()


def test_the_certificate_is_more_s_condition_in_dense_algebra(rng):
    """Moré's multiplier by least squares of H u - g = -lambda M u, then eigenvalues; few photons try it hardest."""
    data, truth = drawn(2000, 10.0, rng)
    problem, start = problem_of(data, 0.0), truth / data.reduction()
    theta, settled, steps = climb(problem, start, 200, 1e-12)
    found = _end(problem, start, theta, settled, steps, torch.zeros_like(settled)).certified
    u, design = unknowns(theta), data.design()
    weight = data.weights(design @ u)
    normal = ((weight[:, None, None] * design[:, :, None, None]) * design[:, None, :, None]).sum(0).movedim(-1, 0)
    slope = (design.T @ (weight * (data.net() - design @ u))).T
    along = (CONE @ u).T
    scale = normal.diagonal(dim1=1, dim2=2).rsqrt()  # columns of unit norm, as the entries of u differ by decades
    multiplier = (slope * along * scale**2).sum(1) / (along * scale).square().sum(1)
    whole = (normal + multiplier[:, None, None] * CONE) * scale[:, :, None] * scale[:, None, :]
    least = torch.linalg.eigvalsh(whole)[:, 0]
    clear = settled & (least.abs() > 1e-9)  # else it is rounding, of the condition number times eps, that decides
    assert torch.equal(found[clear], ((least > 0) | (multiplier <= 0))[clear])
    assert 0.5 < found[clear].double().mean() < 0.95  # both verdicts occur


def test_no_point_has_a_likelier_optimum_at_its_own_weights(rng):
    """Few photons leave some searches in a lesser optimum; the global one of the last weights leads out of it."""
    data, _ = drawn(2000, 3.0, rng)
    problem, solution = problem_of(data, 10.0), solve(data)
    theta = solution.parameters / data.reduction()
    again, settled, _ = climb(problem, _global_optimum(problem, theta), 50, 1e-6)

    def likely(trial):
        mu = expected_photons(data, trial * data.reduction())
        prior = 2 * torch.log1p(trial[1:].square().sum(0) / problem.prior_scale)
        return (torch.xlogy(data.intensity, mu) - mu).sum(0) - prior

    assert (likely(theta) > likely(again) - 1e-3)[settled].all()


def test_the_prior_is_in_the_first_optimum_too(rng):
    """The optimum with flat weights has a smaller resonant part with the prior: it has less prior and more misfit."""
    data, _ = drawn(300, 30.0, rng)
    with_prior, without = (flat_optimum(problem_of(data, breadth)) for breadth in (1.0, 0.0))
    assert (with_prior[1:].norm(dim=0) < without[1:].norm(dim=0) + 1e-6).all()


@pytest.mark.parametrize("photons", [0.3, 30.0])
def test_the_number_of_threads_changes_no_bit(photons, rng, monkeypatch):
    """Dim points have stragglers, which go on in tiles of their own."""
    data, _ = drawn(5000, photons, rng)
    monkeypatch.setattr(exact, "_TILE", 700)
    alone = solve(data)
    fix_threads(3)
    together = solve(data)
    fix_threads(1)
    for name, value in vars(alone).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(together, name))), name


def test_two_photons_are_not_answered_by_thousands():
    """At the last step that may be taken the likelihood is nearly flat here: none came to cut it, which led to 1e6."""
    points = 400
    counts = torch.zeros(len(F_PRIME), points)
    counts[4] = 2  # at the edge only
    data = replace(measurement(points), f0=torch.linspace(21.0, 21.4, points), intensity=counts)
    expected = solve(data).expected.sum(0)
    # the likelihood of 2 photons falls by 2 where 6 are expected
    assert expected.max() < 6
