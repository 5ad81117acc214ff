"""Nuisances found again: exactly without noise, within honest error bars with it; what nothing tells is left alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import least_squares

from madpipe.base import runtime
from madpipe.base.errors import InputError
from madpipe.mad.config import FitConfig, NuisanceConfig, SimulatedSample
from madpipe.mad.fit.fit import fit_stack, fit_with_nuisances
from madpipe.mad.fit.refine import refine_nuisances
from madpipe.mad.fit.refine.dispersion import dispersion_covariance
from madpipe.mad.fit.refine.search import deviance, evaluate, free_covariance, linearised, minimise
from madpipe.mad.fit.refine.unknowns import unknowns_of
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.measurement import calculated_photons, measurement_from_stack
from madpipe.mad.noise_law import NoiseLaw
from madpipe.mad.records import Stack
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.atoms import dispersion_correction

F_PRIME = np.array([-9.0, -7.0, -3.0])
F_DOUBLE_PRIME = np.array([3.0, 6.0, 4.0])
COLD = (np.array([-8.0, -8.0, -3.0]), np.array([4.0, 4.0, 4.0]))
EIGHT = np.arange(8313.0, 8349.0, 5.0)
WIDE = np.array([8233.0, 8323.0, 8328.0, 8333.0, 8338.0, 8343.0, 8348.0, 8433.0])
FOUR = 4.0  # |z| below this: 6e-5 of draws beyond, with a fixed generator


def complex_normal(generator, size, scale):
    return torch.randn(size, dtype=torch.complex128, generator=generator) * scale


def reflections(generator, noise=0.0, count=150, start=COLD):
    """Friedel pairs of random structure factors with f', f'' unknown; sigma is noise x (I + 0.15 mean I)."""
    resonant = complex_normal(generator, count, 100.0)
    total = resonant + complex_normal(generator, count, 250.0)
    f0 = 20 + 13 * torch.rand(count, dtype=torch.float64, generator=generator)
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(count)
    f_prime = torch.as_tensor(F_PRIME)[:, None].expand(3, 2 * count)
    ratio = dispersion_ratio(f_prime, torch.as_tensor(F_DOUBLE_PRIME)[:, None] * sign, f0.repeat(2)[None])
    intensity = mad_intensity(total.repeat(2)[None], resonant.repeat(2)[None], ratio)
    floor = 0.15 * intensity.mean()
    sigma = noise * torch.hypot(intensity, floor)
    data = intensity + sigma * torch.randn(sigma.shape, dtype=torch.float64, generator=generator)
    stated = (noise or 0.01) * torch.hypot(data.clamp(min=0), floor)
    return Stack(
        data=data.numpy(),
        data_errors=stated.numpy(),
        energy=np.array([12650.0, 12660.0, 12900.0]),
        f_prime=start[0],
        f_double_prime=start[1],
        f0=f0.repeat(2).numpy(),
        element="Se",
        edge="K",
        table="nominal; to be refined",
        title="",
        name="",
        reflection=np.arange(2 * count),
        miller_indices=np.column_stack([np.tile(np.arange(count), 2)] * 3),
        friedel_sign=sign.numpy().astype(int),
    )


def free_dispersion(stack):
    """f', f'' from a cold start, without a prior."""
    return refine_nuisances(stack, ("dispersion",), FitConfig())


def points(
    generator, count=400, photons=1e4, energy=EIGHT, *, scale=None, offset=0.0, shift=None, background=0.0, beta=None
):
    """Random structure factors of Ni as a list; scale, beta: per energy; shift: of f', f'' from the table."""
    resonant = complex_normal(generator, count, photons**0.5)
    total = resonant + complex_normal(generator, count, photons**0.5)
    f0 = 15 + 10 * torch.rand(count, dtype=torch.float64, generator=generator)
    table = torch.stack(dispersion_correction("Ni", torch.tensor(energy)))
    true = torch.stack(dispersion_correction("Ni", torch.tensor(energy) + offset))
    true = true if shift is None else true + torch.as_tensor(shift)
    ratio = dispersion_ratio(*true[..., None].expand(2, len(energy), count), f0[None])
    one = np.ones(len(energy))
    signal = (
        mad_intensity(total[None], resonant[None], ratio) * torch.as_tensor(one if scale is None else scale)[:, None]
    )
    level = background * torch.as_tensor(one if beta is None else beta)[:, None]
    return Stack(
        data=torch.poisson(signal + level, generator=generator).numpy(),
        energy=energy,
        f_prime=table[0].numpy(),
        f_double_prime=table[1].numpy(),
        f0=f0.numpy(),
        element="Ni",
        edge="K",
        table="Chantler (xraydb)",
        title="",
        name="",
        background=np.full(signal.shape, background) if background else None,
        reflection=np.arange(count),
    )


def particle(seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    return simulate(SimulatedSample(**{"dimensions": 2, "grid": 96, "photons": 1e7, **changes}), generator)


def against_truth(stack, fit):
    """Relative errors of |F_A| and errors of Delta_phi where there are 100 photons and a resonant part."""
    f_total, f_resonant = stack.truth.f_total, stack.truth.f_resonant
    bright = (stack.truth.expected.mean(0) > 100) & (np.abs(f_resonant) > 0.2 * np.abs(f_total))
    turn = np.exp(1j * fit.delta_phi) / (f_total * f_resonant.conj())
    return (fit.f_resonant / np.abs(f_resonant) - 1)[bright], np.angle(turn)[bright]


def half_width(values):
    return np.subtract(*np.percentile(values, [84, 16])) / 2


def z_scores(nuisance):
    errors = np.concatenate([nuisance.f_prime_errors[:2], nuisance.f_double_prime_errors[:2]])
    return np.concatenate([(nuisance.f_prime - F_PRIME)[:2], (nuisance.f_double_prime - F_DOUBLE_PRIME)[:2]]) / errors


@pytest.mark.parametrize("cold", [True, False])
def test_the_optimum_does_not_hang_on_the_last_bits(cold):
    """Twenty perturbations of the intensities and of the threads: nothing moves by a hundredth of its error.

    That is ten times what the search leaves where it ends.
    """
    generator = torch.Generator().manual_seed(1)
    stack = reflections(generator, 0.02, count=60) if cold else points(generator, 200, scale=np.linspace(0.98, 1.02, 8))
    found = []
    for number in range(20):
        random, size = np.random.default_rng(number), 10.0 ** -(15 - number % 4)
        runtime.fix_threads(2 if number % 10 == 7 else 1)
        data = stack.data * (1 + size * random.standard_normal(stack.data.shape))
        nuisance = refine_nuisances(replace(stack, data=data), ("dispersion",) if cold else ("scale",), FitConfig())
        values, errors = (
            (nuisance.f_prime, nuisance.f_prime_errors) if cold else (nuisance.scale, nuisance.scale_errors)
        )
        found.append(values / np.where(errors > 0, errors, np.inf))
    assert np.abs(np.array(found) - found[0]).max() < 1e-2


# What the issue asks for


def test_one_per_cent_of_scale_errors_no_longer_spoils_the_resonant_part():
    """Au L3, where f' is small beside f0: 1 % rms in the pattern of f' itself, which |F_A| feels most."""
    gold = {"element": "Au", "edge": "L3", "partner": "Cu", "lattice_angstrom": 4.0, "core_fraction": 0.4}
    ideal = particle(energies_ev=(11899.0, 11909.0, 11919.0, 11929.0, 11949.0), photons=3e9, noise=False, **gold)
    pattern = ideal.f_prime - ideal.f_prime.mean()
    drift = np.exp(0.01 * pattern / np.sqrt((pattern**2).mean()))[:, None, None]
    generator, plain, refined = torch.Generator().manual_seed(5), [], []
    for _ in range(3):
        stack = replace(ideal, data=torch.poisson(torch.tensor(ideal.data * drift), generator=generator).numpy())
        plain.append(against_truth(stack, fit_stack(stack, FitConfig()))[0])
        refined.append(against_truth(stack, fit_with_nuisances(stack, FitConfig(), ("scale",)))[0])
    assert abs(np.median(plain)) > 0.1
    assert abs(np.median(refined)) < 0.2 * half_width(np.concatenate(refined))


@pytest.mark.parametrize("offset", [1.5, -1.5])
def test_an_energy_offset_is_found(offset):
    stack = particle(energy_offset_ev=offset)
    fit = fit_with_nuisances(stack, FitConfig(), ("offset",))
    found = fit.nuisance
    assert found.energy_offset == pytest.approx(offset, abs=0.3)
    # the partner's f', f'' drift by 0.01 electron over the energies, 0.1 % of I: as much as the photons' noise
    assert abs(found.energy_offset - offset) < FOUR * 2 * found.energy_offset_errors
    assert found.energy_offset_determined
    assert found.energy_offset_prior_errors == 3
    truth = np.array(json.loads(stack.truth.drawn)["f_prime"])
    np.testing.assert_allclose(found.f_prime, truth, atol=FOUR * 2 * found.f_prime_errors.max())
    wrong, right = (against_truth(stack, one)[0] for one in (fit_stack(stack, FitConfig()), fit))
    assert abs(np.median(right)) < 0.3 * abs(np.median(wrong))


def test_an_energy_offset_is_found_along_a_measured_spectrum(rng):
    def smooth(energy):
        """An edge 6 eV wide and its dip, somewhere else than in the table."""
        step = (energy - 8336) / 3
        return np.stack([-4 - 4 / (1 + step**2), 2 + 3.5 * np.arctan(step) / np.pi])

    nodes = np.arange(8300.0, 8361.0, 0.5)
    table = torch.stack(dispersion_correction("Ni", torch.tensor(EIGHT))).numpy()
    stack = points(rng, shift=smooth(EIGHT + 1.2) - table)
    along = {
        "spectrum_energy": nodes,
        "spectrum_f_prime": smooth(nodes)[0],
        "spectrum_f_double_prime": smooth(nodes)[1],
    }
    own = {"f_prime": smooth(EIGHT)[0], "f_double_prime": smooth(EIGHT)[1], "table": "absorption spectrum"}
    found = refine_nuisances(replace(stack, **along, **own), ("offset",), FitConfig())
    # straight lines between nodes 0.5 eV apart: 0.5^2 / 8 of a curvature of 1 electron / eV^2, over slopes of 1 / eV
    assert abs(found.energy_offset - 1.2) < FOUR * found.energy_offset_errors + 0.03
    with pytest.raises(InputError, match="along which the energies can move"):
        refine_nuisances(replace(stack, **own), ("offset",), FitConfig())


@pytest.fixture(scope="module")
def foil(shared):
    return str(shared / "xanes" / "Ni_metal_rt_01.xdi")


def test_the_foil_s_dispersion_is_found_with_the_free_atom_s_as_prior(foil):
    """The reference energies, all within 20 eV of the edge: the Kramers-Kronig tie holds factor and turn."""
    stack = particle(spectrum=foil, noise=False, photons=1e8)
    wrong, turned = against_truth(stack, fit_stack(stack, FitConfig()))
    assert np.median(wrong) == pytest.approx(-0.5, abs=0.05)
    assert np.sqrt((turned**2).mean()) > 0.4
    fit = fit_with_nuisances(stack, FitConfig(), ("dispersion",))
    right, phase = against_truth(stack, fit)
    assert abs(np.median(right)) < 0.1
    assert np.sqrt((phase**2).mean()) < 0.15
    assert "held by their prior alone" in fit.nuisance.gauge
    assert fit.nuisance.f_resonant_relative_error > 0.1  # said honestly: all energies are near the edge


@pytest.mark.parametrize("seed", [0, 1])
def test_the_foil_s_dispersion_is_found_in_noise_from_energies_that_reach_away(foil, seed):
    stack = particle(seed, spectrum=foil, photons=1e8, energies_ev=tuple(WIDE))
    fit = fit_with_nuisances(stack, FitConfig(), ("dispersion", "scale"))
    right, phase = against_truth(stack, fit)
    assert abs(np.median(right)) < 0.1
    assert np.sqrt((phase**2).mean()) < 0.15
    assert abs(np.median(right)) < FOUR * fit.nuisance.f_resonant_relative_error < 0.4


# The sums and the search


def test_schur_complement_is_the_joint_fit_of_twenty_points(rng):
    stack = points(rng, count=20, photons=1e5, scale=np.exp([0.01, -0.01, 0.0, 0.02, 0.0, -0.01, 0.01, 0.0]))
    config, refine = FitConfig(nuisance=NuisanceConfig(largest_error=9.0)), ("scale", "dispersion")
    unknowns, measurement = unknowns_of(stack, refine, config.nuisance), measurement_from_stack(stack)
    state, sums = minimise(measurement, unknowns, torch.zeros_like(unknowns.width), config)
    free, tall = (
        unknowns.free.nonzero()[:, 0],
        torch.linalg.cholesky(unknowns.precision[unknowns.free][:, unknowns.free]),
    )

    def theta_of(values):
        theta = torch.zeros_like(unknowns.width)
        theta[free] = torch.as_tensor(values[: len(free)])
        return theta

    def expected(values):
        trial = unknowns.applied(measurement, theta_of(values))
        x, a, b = torch.as_tensor(values[len(free) :]).reshape(3, -1) / torch.stack(
            [torch.ones(20), measurement.f0, measurement.f0]
        )
        return trial.design() @ torch.stack([x * x, a * a + b * b, x * a, x * b])

    def residual(values):
        mu, observed = expected(values), measurement.intensity
        each = 2 * (torch.xlogy(observed, observed / mu) - observed + mu)
        signed = each.clamp(min=0).sqrt() * (mu - observed).sign()
        return torch.cat([signed.flatten(), tall.T @ torch.as_tensor(values[: len(free)])]).numpy()

    start = np.concatenate([state.theta[free].numpy(), state.solution.parameters.flatten().numpy()])
    scale = np.maximum(np.abs(start), 1e-3)
    # forward differences end where their own error does, above the minimum on some processors
    joint = least_squares(residual, start * 1.001, "3-point", x_scale=scale, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert 2 * joint.cost == pytest.approx(state.merit, rel=1e-6)
    steps = np.maximum(1e-4 * np.abs(joint.x), 1e-4)  # the photons are of second order in each: no error but rounding's
    ends = [[expected(joint.x + sign * step).flatten() for sign in (1, -1)] for step in np.diag(steps)]
    slope = torch.stack([(ahead - behind) / (2 * step) for (ahead, behind), step in zip(ends, steps, strict=True)], 1)
    normal = slope.T @ (slope / expected(joint.x).flatten()[:, None])
    normal[: len(free), : len(free)] += unknowns.precision[unknowns.free][:, unknowns.free]
    brute = torch.linalg.inv(normal)[: len(free), : len(free)]
    scales = slice(0, 8)
    brute[scales, scales] -= 1 / unknowns.precision.diagonal()[:8].sum()  # the gauge, see free_covariance
    spread = free_covariance(unknowns, sums)[free][:, free]
    torch.testing.assert_close(spread.diagonal(), brute.diagonal(), rtol=1e-3, atol=0.0)
    # the merits are equal to 1e-6 of 60, which is (0.01 standard errors)^2
    errors = spread.diagonal().sqrt().numpy()
    assert (np.abs(joint.x[: len(free)] - state.theta[free].numpy()) / errors).max() < 1e-2


def test_gradient_and_response_are_the_derivatives_of_deviance_and_of_the_resonant_part(rng):
    stack = points(rng, count=50, photons=1e6, background=50.0)
    unknowns = unknowns_of(stack, ("scale", "dispersion", "background"), FitConfig().nuisance)
    measurement, theta = measurement_from_stack(stack), torch.zeros_like(unknowns.width)
    theta[unknowns.free] = 0.001
    state = evaluate(measurement, unknowns, theta, FitConfig())
    sums = linearised(state).on(unknowns.on_channels(state.measurement, theta))
    for place in (0, 7, 8, 15, 16, 23, 24, 31):
        step = torch.zeros_like(theta)
        step[place] = 1e-4
        ends = [evaluate(measurement, unknowns, theta + sign * step, FitConfig()) for sign in (1, -1)]
        # the points are solved to 1e-8 standard errors; second order in the step is 1e-4 of the curvature's part
        slope = -(ends[0].deviance - ends[1].deviance) / 4e-4
        assert float(sums.gradient[place]) == pytest.approx(slope, rel=1e-3, abs=1e-2)
        totals = [float(end.solution.parameters[1:].square().sum()) for end in ends]
        # Fisher's information stands for the curvature: they differ by the residuals' share, a few standard errors
        # of the photons, 1e-3 of them, times what the points' own unknowns amplify
        assert float(sums.resonant[place]) == pytest.approx(
            (totals[0] - totals[1]) / 2e-4, rel=0.05, abs=1e-3 * totals[0]
        )
    assert sums.resonant_total == pytest.approx(float(state.solution.parameters[1:].square().sum()))


@pytest.mark.parametrize("variance", [(0.0, 1.0, 0.0), (4.0, 0.0, 0.01), (2.0, 0.0, 0.0)])
def test_deviance_is_the_integral_of_the_score(rng, variance):
    stack = points(rng, count=5, photons=100.0)
    measurement = replace(measurement_from_stack(stack), noise=NoiseLaw(*variance))
    expected = measurement.intensity * 0.7 + 3.0
    if variance[0] > 0:  # what was measured below nothing, far from what is expected
        measurement.intensity[::2] -= 400
    pairs = zip(measurement.intensity.flatten().tolist(), expected.flatten().tolist(), strict=True)

    def score(t, observed):
        return (observed - t) / (variance[0] + variance[1] * t + variance[2] * t * t)

    direct = 2 * sum(quad(score, mu, observed, args=(observed,))[0] for observed, mu in pairs)
    assert deviance(measurement, expected) == pytest.approx(direct, rel=1e-7)  # quad's own tolerance is 1.5e-8


def test_points_without_noise_lose_nothing_to_the_prior_where_it_is_wide(rng):
    """Merit at the answer is never above that at the truth."""
    stack = points(rng, scale=np.exp(np.linspace(-0.02, 0.02, 8)))
    config = FitConfig()
    unknowns, measurement = unknowns_of(stack, ("scale",), config.nuisance), measurement_from_stack(stack)
    truth = torch.zeros_like(unknowns.width)
    truth[:8] = torch.linspace(-0.02, 0.02, 8)
    found, _ = minimise(measurement, unknowns, torch.zeros_like(truth), config)
    assert found.merit <= evaluate(measurement, unknowns, truth, config).merit


# Priors, gauges, error bars


def test_error_bars_of_scale_and_offset_hold_over_repeats(rng):
    scores = []
    for _ in range(6):
        drift = 0.01 * torch.randn(8, generator=rng).numpy()
        offset = float(torch.randn((), generator=rng))
        stack = points(rng, scale=np.exp(drift), offset=offset)
        found = refine_nuisances(stack, ("scale", "offset"), FitConfig())
        inside = (np.log(found.scale) - (drift - drift.mean())) * found.scale / found.scale_errors
        scores.append(np.append(inside, (found.energy_offset - offset) / found.energy_offset_errors))
    scores = np.array(scores)
    assert np.abs(scores).max() < FOUR
    # 6 repeats of 9 correlated scores: as if of 6 x 4, a mean of chi-square 1 +- sqrt(2 / 24)
    assert abs((scores**2).mean() - 1) < FOUR * np.sqrt(2 / 24)


def test_error_bars_of_the_dispersion_hold_where_the_truth_is_drawn_from_the_prior(rng):
    scores = []
    for _ in range(6):
        covariance = dispersion_covariance(points(rng, count=1, energy=WIDE), FitConfig().nuisance)
        draw = 0.3 * torch.linalg.cholesky(covariance) @ torch.randn(16, generator=rng)  # f'' stays positive
        stack = points(rng, energy=WIDE, shift=draw.reshape(2, 8), photons=1e5)
        found = refine_nuisances(stack, ("dispersion",), FitConfig())
        truth = draw.reshape(2, 8).numpy() + np.stack([stack.f_prime, stack.f_double_prime])
        difference = np.stack([found.f_prime, found.f_double_prime]) - truth
        scores.append((difference / np.stack([found.f_prime_errors, found.f_double_prime_errors])).ravel())
    scores = np.array(scores)
    assert np.abs(scores).max() < FOUR
    # truths drawn at 0.3 of the prior lie closer than it says: the scores are below 1 where it decides
    assert 0.02 < (scores**2).mean() < 1 + FOUR * np.sqrt(2 / 24)


def test_the_scales_geometric_mean_is_the_gauge(rng):
    stack = points(rng, scale=np.full(8, 1.3))
    found = refine_nuisances(stack, ("scale",), FitConfig())
    assert np.log(found.scale).mean() == pytest.approx(0, abs=1e-6)  # the search stops within 1e-3 standard errors
    assert "geometric mean" in found.gauge
    sigma = np.full(8, 0.01)
    sigma[2] = 0.001
    known = refine_nuisances(replace(stack, monitor=np.ones(8), monitor_sigma=sigma), ("scale",), FitConfig())
    assert (np.log(known.scale) / sigma**2).sum() * 1e-6 == pytest.approx(0, abs=1e-6)
    assert known.scale_prior_errors[2] < 0.001


def test_the_prior_follows_kramers_and_kronig_and_leaves_far_energies_alone(rng):
    covariance = dispersion_covariance(points(rng, count=1, energy=WIDE), FitConfig().nuisance)
    assert torch.linalg.eigvalsh(covariance)[0] > 0
    width = covariance.diagonal().sqrt().reshape(2, 8)
    f_double_prime = dispersion_correction("Ni", torch.tensor(WIDE))[1]
    torch.testing.assert_close(width[1, [0, 7]], 0.05 * f_double_prime[[0, 7]], rtol=1e-9, atol=0.0)
    assert (width[1, 4:7] > 1.5).all()  # above the edge, nearly 2 electron
    assert (width[1, 1:3] < 0.25).all()  # below it, the edge's own tail only
    assert (width[0, 3:6] > 1).all()
    # a rise of f'' above the edge lowers f' below it
    assert covariance[2, 8 + 5] < 0


def test_what_three_intensities_cannot_tell_is_left_at_the_prior(rng):
    stack = points(rng, energy=np.array([8313.0, 8333.0, 8348.0]))
    found = refine_nuisances(stack, ("scale", "offset"), FitConfig())
    assert (found.scale == 1).all()
    assert found.energy_offset == 0
    assert not found.scale_determined.any()
    assert not found.energy_offset_determined
    np.testing.assert_allclose(found.scale_errors, found.scale_prior_errors)
    assert found.verdicts.count("not determined by the data") == 2
    assert found.verdicts.startswith("scale: the data determine 0 of 3 values")


def test_a_background_is_refined_where_it_shows_and_left_alone_where_it_does_not(rng):
    beta = np.array([1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 1.2])  # fluorescence above the edge
    shows = points(rng, photons=1e4, background=1e4, beta=beta)
    found = refine_nuisances(shows, ("background",), FitConfig())
    assert found.background_scale_determined.any()
    scores = (found.background_scale - beta) / found.background_scale_errors
    assert np.abs(scores).max() < FOUR
    hides = points(rng, photons=1e4, background=1.0)
    left = refine_nuisances(hides, ("background",), FitConfig())
    assert (left.background_scale == 1).all()
    assert "not determined" in left.verdicts


def test_a_nuisance_changes_what_is_calculated_and_how_much_is_known_of_the_resonant_part(rng):
    drift = np.exp(np.array([0.02, -0.02, 0.01, 0.0, 0.0, -0.01, 0.02, -0.02]))
    stack = points(rng, scale=drift, background=20.0)
    plain, fit = fit_stack(stack, FitConfig()), fit_with_nuisances(stack, FitConfig(), ("scale", "background"))
    assert fit.chi2.sum() < 0.5 * plain.chi2.sum()
    assert fit.chi2.sum() == pytest.approx(fit.dof.sum(), rel=FOUR * np.sqrt(2 / fit.dof.sum()))
    np.testing.assert_allclose(calculated_photons(stack, fit).sum(1), stack.data.sum(1), rtol=0.002)
    assert np.abs(fit.nuisance.scale_correlation).max() <= 1
    assert 0 < fit.nuisance.f_resonant_relative_error < 0.1


def test_masks_are_respected(rng):
    drift = np.exp(np.array([0.02, -0.02, 0.01, 0.0, 0.0, -0.01, 0.02, -0.02]))
    stack = points(rng, scale=drift)
    lost = torch.rand(stack.data.shape, generator=rng).numpy() < 0.2
    spoiled = replace(stack, data=np.where(lost, 1e9, stack.data), mask=lost.astype(np.uint32))
    found = refine_nuisances(spoiled, ("scale",), FitConfig())
    assert (np.abs(np.log(found.scale) - np.log(drift) + np.log(drift).mean()) < FOUR * found.scale_errors).all()


@pytest.mark.parametrize(
    ("refine", "changes", "match"),
    [
        (("dispersion", "tilt"), {}, "refine knows scale, offset, dispersion, background; tilt came"),
        (("background",), {}, "needs a background"),
        (("offset",), {"f_prime": np.full(8, -7.0)}, "of Chantler's table, along which the"),
        (("offset",), {"element": "Xx"}, "the symbol of an element"),
        (("dispersion",), {"edge": "K9"}, "an absorption edge of Ni"),
        (("dispersion",), {"table": "values in the file; to be refined"}, "needs Friedel mates"),
    ],
)
def test_what_has_nothing_to_act_on_is_refused(rng, refine, changes, match):
    with pytest.raises(InputError, match=match):
        fit_with_nuisances(replace(points(rng, count=10), **changes), FitConfig(), refine)


# f', f'' without a prior, from Friedel mates


def test_without_noise_the_truth_comes_back_from_a_cold_start(rng):
    found = free_dispersion(reflections(rng))
    # the search stops where a step promises 1e-6 squared standard errors; the error is then its square at most, in
    # units of 0.15 electron at the 1e-3 of the stated noise that the weights are held at
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)
    assert found.noise_scale < 1e-5


def test_error_bars_hold_over_noisy_repeats(rng):
    found = [free_dispersion(reflections(rng, noise=0.01)) for _ in range(6)]
    scores = np.array([z_scores(one) for one in found])
    assert np.abs(scores).max() < FOUR
    # sum of 6 x 4 squares, correlated within a repeat: as if of 6 x 2, chi-square of mean 1 +- sqrt(2 / 12)
    assert abs((scores**2).mean() - 1) < FOUR * np.sqrt(2 / 12)
    # 150 x 3 - 4 degrees of freedom; the error model is fitted too, which costs a little
    scales = np.array([one.noise_scale for one in found])
    assert np.abs(scales - 1).max() < FOUR / np.sqrt(2 * 446) + 0.02


def test_the_minimum_where_nothing_is_determined_is_not_taken(rng):
    # at 3 % noise a minimum with all rho_k on one circle, f' near -13 and -9.7, is some 10 % lower than the true one
    found = [free_dispersion(reflections(rng, noise=0.03, count=300)) for _ in range(3)]
    scores = np.array([z_scores(one) for one in found])
    assert np.abs(scores).max() < FOUR


def test_stated_errors_three_times_too_large_show_in_the_noise_scale_only(rng):
    stack = reflections(rng, noise=0.01)
    found = free_dispersion(stack)
    loose = free_dispersion(replace(stack, data_errors=3 * stack.data_errors))
    np.testing.assert_allclose(loose.f_prime, found.f_prime, rtol=1e-4)
    np.testing.assert_allclose(loose.f_prime_errors, found.f_prime_errors, rtol=1e-3)
    assert loose.noise_scale == pytest.approx(found.noise_scale / 3, rel=1e-4)
    fits = [
        fit_with_nuisances(one, FitConfig(), ("dispersion",))
        for one in (stack, replace(stack, data_errors=3 * stack.data_errors))
    ]
    np.testing.assert_allclose(fits[1].f_total_errors, fits[0].f_total_errors, rtol=1e-3)


def test_the_last_energy_sets_the_gauge(rng):
    stack = reflections(rng, noise=0.01)
    found = free_dispersion(stack)
    assert (found.f_prime[-1], found.f_double_prime[-1]) == (-3, 4)
    assert (found.f_prime_errors[-1], found.f_double_prime_errors[-1]) == (0, 0)
    assert found.f_prime_determined.tolist() == [True, True, False]
    assert found.f_prime_prior is None
    other = free_dispersion(replace(stack, f_prime=COLD[0] - 1.5, f_double_prime=2 * COLD[1]))
    np.testing.assert_allclose(other.f_double_prime, 2 * found.f_double_prime, rtol=1e-3)
    np.testing.assert_allclose(other.f_prime + 4.5, 2 * (found.f_prime + 3), rtol=1e-3)
    np.testing.assert_allclose(other.f_prime_errors, 2 * found.f_prime_errors, rtol=1e-2)
    assert "f' = -4.5, f'' = 8" in other.gauge


def test_differences_of_f_prime_keep_the_side_of_the_start(rng):
    stack = reflections(rng)
    above = free_dispersion(replace(stack, f_prime=np.array([2.0, 1.0, -3.0])))
    np.testing.assert_allclose(above.f_prime, [3, 1, -3], atol=1e-6)
    np.testing.assert_allclose(above.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


def test_what_was_not_measured_is_left_out(rng):
    stack = reflections(rng)
    lost = torch.rand(stack.data.shape, generator=rng).numpy() < 0.2
    data, errors = (np.where(lost, np.nan, values) for values in (stack.data, stack.data_errors))
    found = free_dispersion(replace(stack, data=data, data_errors=errors, mask=lost.astype(np.uint32)))
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


def test_exposures_are_taken_into_account(rng):
    stack, monitor = reflections(rng), np.array([0.5, 2.0, 1.0])
    scaled = {"data": stack.data * monitor[:, None], "data_errors": stack.data_errors * monitor[:, None]}
    found = free_dispersion(replace(stack, **scaled, monitor=monitor))
    np.testing.assert_allclose(found.f_prime, F_PRIME, atol=1e-6)
    np.testing.assert_allclose(found.f_double_prime, F_DOUBLE_PRIME, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"friedel_sign": None}, "needs Friedel mates"),
        ({"friedel_sign": np.ones(300, dtype=int), "miller_indices": None}, "needs Friedel mates"),
        ({"miller_indices": None}, "more than three intensities"),
        ({"f_double_prime": np.array([4.0, 4.0, 0.0])}, "unit of all others"),
    ],
)
def test_what_the_data_cannot_determine_is_refused(rng, changes, match):
    with pytest.raises(InputError, match=match):
        free_dispersion(replace(reflections(rng), **changes))
