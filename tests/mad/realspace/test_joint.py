"""Joint retrieval: derivatives against differences and autograd, priors, errors, and particles from cold starts."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base import runtime
from madpipe.base.errors import InputError
from madpipe.mad.config import NuisanceConfig, RetrieveConfig, SimulatedSample, ValidateConfig
from madpipe.mad.forward import mad_intensity
from madpipe.mad.noise_law import NoiseLaw
from madpipe.mad.realspace.joint.domain import box_of, core_of, cut, pasted
from madpipe.mad.realspace.joint.errors import composition_errors, draws, marginal_sums
from madpipe.mad.realspace.joint.model import (
    Experiment,
    expected_photons,
    experiment_of,
    linearise,
    minus_log_likelihood,
    summed,
    with_noise,
)
from madpipe.mad.realspace.joint.nuisances import Vector, nuisances_of
from madpipe.mad.realspace.joint.priors import composition_prior, even_density, together
from madpipe.mad.realspace.joint.search import Place, search
from madpipe.mad.realspace.joint.start import Evenness, Guess, both_hands, evenness_of, is_explained, resonant_share
from madpipe.mad.realspace.retrieve import retrieve
from madpipe.mad.realspace.separation import composition_from_atoms, scattering_factors
from madpipe.mad.scores.validate import score
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.alignment import twin
from madpipe.physics.fourier import cornered, diffract, diffract_box, onto_box

SMALL = SimulatedSample(dimensions=2, grid=48, photons=1e7, strain_phase_rms=0.5, nonresonant_dispersion="mean", seed=3)


def case(sample=SMALL):
    stack = simulate(sample, torch.Generator().manual_seed(sample.seed + 1))
    factors = scattering_factors(stack)
    root = math.sqrt(stack.truth.photons_per_electron2)
    atoms = np.stack(
        [stack.truth.rho_resonant * root / factors.resonant, stack.truth.rho_normal * root / factors.normal]
    )
    return stack, experiment_of(stack, factors), torch.as_tensor(atoms).to(torch.complex64)


@pytest.fixture(scope="module")
def measured():
    return case()


def boxed(atoms):
    domain = atoms.sum(0).abs() > 0
    box = box_of(domain)
    return cut(atoms, box), cut(domain, box), box


def double(experiment):
    """The same in float64, for derivatives by differences."""

    def wide(value):
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(torch.complex128) if value.is_complex() else value.double()

    return Experiment(**{name: wide(value) for name, value in vars(experiment).items()})


def test_box_transform_is_the_grid_s_but_for_a_ramp(rng):
    box = torch.randn(5, 7, 6, generator=rng, dtype=torch.complex128)
    whole = pasted(box, (slice(0, 5), slice(0, 7), slice(0, 6)), (12, 10, 16))
    torch.testing.assert_close(diffract_box(box, (12, 10, 16)), torch.fft.ifftn(whole, norm="forward"))
    centred = diffract(whole.roll((6, 5, 8), (0, 1, 2)), 3)  # r = 0 from index 0 to index n // 2
    torch.testing.assert_close(cornered(centred, 3), diffract_box(box, (12, 10, 16)))


def test_onto_box_is_the_adjoint(rng):
    box = torch.randn(4, 5, generator=rng, dtype=torch.complex128)
    factor = torch.randn(9, 8, generator=rng, dtype=torch.complex128)
    left = (factor.conj() * diffract_box(box, (9, 8))).sum()
    torch.testing.assert_close((onto_box(factor, (4, 5)).conj() * box).sum(), left)


def test_expected_photons_are_the_simulation_s(measured):
    stack, experiment, atoms = measured
    inside, _, _ = boxed(atoms)
    total, reduced = experiment.transformed(inside)
    expected = cornered(torch.as_tensor(stack.truth.expected), 2)
    for energy in range(len(expected)):
        found = mad_intensity(total, reduced, experiment.ratio(energy)) * experiment.exposure[energy]
        # float32 amplitudes, each to 1e-6 of the strongest
        assert float((found - expected[energy]).abs().max()) < 1e-4 * float(expected[energy].max())


@pytest.mark.parametrize("background", [False, True])
def test_gradient_is_autograd_s(measured, background):
    stack, _, atoms = measured
    if background:
        stack = replace(stack, background=np.full(stack.data.shape, 0.3), data=stack.data + 1)
    experiment = double(experiment_of(stack, scattering_factors(stack)))
    inside, _, _ = boxed(atoms.to(torch.complex128))
    pair = experiment.transformed(inside * 1.1).detach()
    parts = torch.view_as_real(pair).clone().requires_grad_()
    loss = 0
    for energy in range(len(experiment.counts)):
        total, reduced = torch.view_as_complex(parts)
        ratio = torch.complex(experiment.f_prime[energy], experiment.f_double_prime[energy])
        mu = experiment.exposure[energy] * mad_intensity(total, reduced, ratio)
        mu = mu + (0 if experiment.background is None else experiment.background[energy])
        bright = mu > 1e-3  # below the floor of the expectation the derivative is cut off
        loss = loss + (bright * (mu - experiment.counts[energy] * mu.clamp(min=1e-3).log())).sum()
    loss.backward()
    found, _ = linearise(experiment, pair)
    plain = -torch.view_as_complex(parts.grad)
    ratio = torch.complex(experiment.f_prime, experiment.f_double_prime)[:, None, None].to(pair)
    photons = mad_intensity(pair[0], pair[1], ratio).amin(0)
    lit = photons > 2e-3
    scale = plain.abs().max()
    assert float(((found - plain) * lit).abs().max()) < 1e-6 * float(scale)


def test_expected_curvature_is_that_of_the_mean_likelihood(measured):
    """Counts at their expectation: the curvature along any change is the second difference of the likelihood."""
    _, experiment, atoms = measured
    inside, domain, _ = boxed(atoms.to(torch.complex128))
    experiment = double(experiment)
    pair = experiment.transformed(inside)
    ratio = torch.complex(experiment.f_prime, experiment.f_double_prime)[:, None, None].to(pair)
    experiment = replace(experiment, counts=mad_intensity(pair[0], pair[1], ratio))
    generator = torch.Generator().manual_seed(2)
    change = torch.randn(inside.shape, generator=generator, dtype=torch.complex128) * domain
    step = experiment.transformed(change)
    for expected in (True, False):  # the observed one is the expected one here
        _, curvature = linearise(experiment, pair, expected_information=expected)
        bend = float((step.conj() * curvature.times(step)).real.sum())
        width = 1e-3 * float(inside.abs().max() / change.abs().max())
        losses = [minus_log_likelihood(experiment, pair + k * width * step) for k in (-1, 1)]
        assert sum(losses) / width**2 == pytest.approx(bend, rel=1e-3)


def stated(experiment):
    """The same in float64 with stated errors; counts some standard errors off."""
    wide = replace(double(experiment), noise=NoiseLaw(4.0, 0.0, 0.01))
    return replace(wide, counts=wide.counts * 1.3 + 2.0)


def test_with_stated_errors_the_likelihood_is_half_of_chi_square(measured):
    _, experiment, atoms = measured
    experiment = stated(experiment)
    pair = experiment.transformed(boxed(atoms.to(torch.complex128))[0])
    ratio = torch.complex(experiment.f_prime, experiment.f_double_prime)[:, None, None]
    mu = (experiment.exposure[:, None, None] * (pair[0] + ratio * pair[1]).abs().square()).clamp(min=1e-4)
    chi2 = ((experiment.counts - mu) ** 2 / (4.0 + 0.01 * mu**2)).sum()
    assert minus_log_likelihood(experiment, pair) == pytest.approx(float(chi2) / 2, rel=1e-6)  # ratios are complex64


def test_the_curvature_is_a_sum_over_energies_of_what_lies_along_each_amplitude(measured):
    r"""Fisher's: :math:`v_E^* (4 \tau^2 / v) F_E \Re(F_E^* v_E \cdot \delta)` with v_E = (1, rho_E)."""
    _, experiment, atoms = measured
    experiment = stated(experiment)
    pair = experiment.transformed(boxed(atoms.to(torch.complex128))[0])
    change = torch.randn(pair.shape, generator=torch.Generator().manual_seed(2), dtype=torch.complex128)
    right = torch.zeros_like(pair)
    for energy, tau in enumerate(experiment.exposure):
        ratio = experiment.ratio(energy).to(torch.complex128)
        amplitude = pair[0] + ratio * pair[1]
        mu = (tau * amplitude.abs().square()).clamp(min=1e-4)
        along = 4 * tau**2 / (4.0 + 0.01 * mu.square()) * (amplitude.conj() * (change[0] + ratio * change[1])).real
        right += torch.stack([along * amplitude, ratio.conj() * along * amplitude])
    found = linearise(experiment, pair, expected_information=True)[1].times(change)
    # ratios are complex64, and small beside F_T's share: each component on its own scale
    for one, other in zip(found, right, strict=True):
        assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


def test_the_observed_curvature_bends_along_and_across_each_amplitude(measured):
    r"""For n photons, :math:`2 \tau (1 - n/\mu)`; along F_E :math:`4 \tau^2 r^2 n / \mu^2` more; none below zero."""
    _, experiment, atoms = measured
    experiment = double(experiment)
    pair = experiment.transformed(boxed(atoms.to(torch.complex128))[0])
    generator = torch.Generator().manual_seed(2)
    more = 0.5 + torch.rand(experiment.counts.shape, generator=generator, dtype=torch.float64)
    change = torch.randn(pair.shape, generator=generator, dtype=torch.complex128)
    counts, right = torch.empty_like(more), torch.zeros_like(pair)
    for energy, tau in enumerate(experiment.exposure):
        ratio = experiment.ratio(energy).to(torch.complex128)
        amplitude = pair[0] + ratio * pair[1]
        mu = (tau * amplitude.abs().square()).clamp(min=1e-4)
        n = counts[energy] = more[energy] * mu
        across = 2 * tau * (1 - n / mu)
        along = across + 4 * tau**2 * amplitude.abs().square() * n / mu**2
        turned = amplitude.sgn().conj() * (change[0] + ratio * change[1])
        bend = torch.complex(along.clamp(min=0) * turned.real, across.clamp(min=0) * turned.imag) * amplitude.sgn()
        right += torch.stack([bend, ratio.conj() * bend])
    found = linearise(replace(experiment, counts=counts), pair)[1].times(change)
    for one, other in zip(found, right, strict=True):  # ratios are complex64, and small beside F_T's share
        assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


def test_noise_of_stated_errors_has_their_variance(measured):
    _, experiment, atoms = measured
    experiment = stated(experiment)
    pair = experiment.transformed(boxed(atoms.to(torch.complex128))[0])
    drawn = with_noise(experiment, pair, torch.Generator().manual_seed(1)).counts
    for energy, counts in enumerate(drawn):
        mu = expected_photons(experiment, pair, energy)[1]
        chi2 = ((counts - mu).square() / (4.0 + 0.01 * mu.square())).mean()
        assert float(chi2) == pytest.approx(1, abs=4 * math.sqrt(2 / mu.numel()))


def test_a_bright_point_costs_no_digits_of_the_likelihood(measured):
    """In float32 n ln(n / mu) - n + mu cancels to one for 1e7 photons; a search's last steps gain less."""
    _, experiment, atoms = measured
    inside, _, _ = boxed(atoms)
    bright = replace(experiment, exposure=experiment.exposure * 100)
    pair = bright.transformed(inside)
    expected = torch.stack([expected_photons(bright, pair, energy)[1] for energy in range(len(bright.counts))])
    bright = replace(bright, counts=(expected + expected.sqrt()).round())
    n, mu = bright.counts.double(), expected.double()
    exact = float((torch.xlogy(n, n / mu) - n + mu).sum())
    assert float(expected.max()) > 1e7
    assert minus_log_likelihood(bright, pair) == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize(
    ("kinds", "alike"),
    [(("Ni", "Fe"), True), (("Ni", "Pt"), False), (("Se", "C"), False)],
)
def test_only_kinds_that_scatter_alike_make_a_particle_even(kinds, alike):
    energies = {"Ni": (8313.0, 8333.0, 8348.0), "Se": (12638.0, 12658.0, 12673.0)}[kinds[0]]
    changes = {"element": kinds[0], "partner": kinds[1], "energies_ev": energies}
    _, experiment, _ = case(SMALL.model_copy(update=changes))
    even = evenness_of(experiment, 0.85)
    assert (even.spread == 0) is alike
    assert (even.ceiling, even.least) == (1.25, 0.5) if alike else even.ceiling > 1.4 and even.least < 0.45
    doubted = evenness_of(experiment, 0.85, 2.0)
    assert doubted.spread == pytest.approx(2 * even.spread)


@pytest.mark.parametrize("kinds", [("Ni", "Pt"), ("Fe", "Pd")])
def test_a_heavy_partner_s_particle_is_found(kinds):
    """A light shell about a heavy core: found, converged, and right within its errors at the limit of the counts."""
    edge = {"Ni": 8333.0, "Fe": 7112.0}[kinds[0]]
    energies = tuple(edge + step for step in (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0))
    changes = {
        "element": kinds[0],
        "partner": kinds[1],
        "energies_ev": energies,
        "photons": 1e8,
        "strain_phase_rms": 1.0,
    }
    stack, _, _ = case(SMALL.model_copy(update=changes))
    found = retrieve(None, stack, RetrieveConfig(), torch.Generator().manual_seed(4))
    checks = json.loads(found.verdicts)
    assert all(check["passed"] for check in checks.values()), checks
    retrieved = score(stack, {}, {"joint": found}, ValidateConfig(), torch.Generator()).retrieved["joint"]
    assert retrieved.rms_error < 0.002
    assert retrieved.coverage_95 > 0.9


def test_a_guess_is_explained_where_noise_leaves_as_much(measured):
    """Three standard errors of half a chi-square, and 2e-4 for every photon, are what it may be worse by."""
    _, experiment, atoms = measured
    one = summed(experiment)
    domain = atoms.sum(0).abs() > 0
    one = replace(one, f_normal=one.f_resonant.to(torch.complex64))
    single = atoms.sum(0)[None]
    pair = one.transformed(cut(single, box_of(domain)))
    noise = minus_log_likelihood(with_noise(one, pair, torch.Generator().manual_seed(1)), pair)
    spread, share = math.sqrt(one.counts.numel() / 2), 2e-4 * float(one.counts.sum())
    for worse, explained in ((2.9 * spread + share, True), (3.1 * spread + share, False)):
        guess = Guess(single, domain, noise + worse)
        assert is_explained(one, guess, Evenness(0.3), torch.Generator().manual_seed(1)) == explained


def test_noise_of_the_nuisances_prior_is_about_its_slope_taken_back():
    nuisances = nuisances_of(case()[0], ("scale",), NuisanceConfig())
    theta = nuisances.theta.clone()
    theta[:3] = torch.tensor([0.1, -0.2, 0.05])
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([nuisances.prior_noise(theta, generator) for _ in range(400)])
    precision = nuisances.unknowns.precision.diagonal()[nuisances.free]
    off = (drawn - precision * theta[nuisances.free]) / precision.sqrt()
    assert float(off.mean(0).abs().max()) < 4 / math.sqrt(400)
    assert off.var(0).numpy() == pytest.approx(1, abs=4 * math.sqrt(2 / 400))


@pytest.mark.parametrize("kind", ["even", "composition"])
def test_priors_have_their_own_derivatives(rng, kind):
    shape = (6, 7)
    atoms = torch.randn(2, *shape, generator=rng, dtype=torch.complex128) + torch.tensor([3.0, 1.0])[:, None, None]
    inside = torch.rand(shape, generator=rng) > 0.2
    prior = even_density(inside, 3.0, 0.3) if kind == "even" else composition_prior(inside, 0.2, 0.1, 0.05)
    term = prior(atoms)
    change = torch.randn(2, *shape, generator=rng, dtype=torch.complex128)
    ahead, behind = (prior(atoms + k * 1e-5 * change).value for k in (1, -1))
    slope = float((term.downhill.conj() * change).real.sum())
    assert (ahead - behind) / 2e-5 == pytest.approx(-slope, rel=1e-3)
    bend = float((change.conj() * term.curvature(change)).real.sum())
    assert bend > 0
    drawn = torch.stack([term.noise(rng) for _ in range(4000)])
    spread = float((drawn.conj() * change).real.sum((1, 2, 3)).var())
    assert spread == pytest.approx(bend, rel=4 * math.sqrt(2 / 4000))  # four standard errors of a variance


def test_priors_add_up(rng):
    inside = torch.ones(4, 5, dtype=torch.bool)
    atoms = torch.randn(2, 4, 5, generator=rng, dtype=torch.complex128) + 2
    one, two = even_density(inside, 2.0, 0.5), composition_prior(inside, 0.3, 0.0, 0.0)
    both = together([one, two])(atoms)
    assert both.value == pytest.approx(one(atoms).value + two(atoms).value)
    assert together([]) is None


def test_search_ends_at_the_limit_from_the_truth(measured):
    _, experiment, atoms = measured
    inside, domain, _ = boxed(atoms)
    found = search(experiment, inside, domain, most=40, tolerance=0.01)
    assert found.converged
    place = Place(experiment, domain, experiment.whitening(), None, None)
    system = place.system(place.at(found.atoms, None))
    start = place.system(place.at(inside, None))
    assert system.right.dot(system.right) < 1e-3 * start.right.dot(start.right)
    assert found.loss < minus_log_likelihood(experiment, experiment.transformed(inside))


def test_a_search_does_not_hang_on_the_last_bits(measured):
    """Starts and counts apart by what single precision rounds, on one thread and two: one composition."""
    _, experiment, atoms = measured
    inside, domain, _ = boxed(atoms)
    found = []
    for number in range(10):
        runtime.fix_threads(2 if number == 7 else 1)
        generator = torch.Generator().manual_seed(number)
        noise = torch.randn(inside.shape, generator=generator, dtype=torch.complex64)
        more = torch.randn(experiment.counts.shape, generator=generator, dtype=torch.float32)
        other = replace(experiment, counts=experiment.counts * (1 + 1e-7 * more))
        start = inside * (1 + 10.0 ** -(4 + number % 4) * noise)
        found.append(search(other, start, domain, most=40, tolerance=0.01))
    place = Place(experiment, domain, experiment.whitening(), None, None)
    changes = list(draws(place, found[0].atoms, None, 8, torch.Generator().manual_seed(10)))
    errors = composition_errors(place, found[0].atoms, domain, changes)
    compositions = [composition_from_atoms(*one.atoms) for one in found]
    off = torch.stack([((one - compositions[0]).abs() / errors)[domain].max() for one in compositions])
    assert float(off.max()) < 0.1
    assert max(abs(one.loss - found[0].loss) for one in found) < 0.5


def test_whitened_unknowns_have_unit_information(measured):
    _, experiment, atoms = measured
    inside, domain, _ = boxed(atoms)
    place = Place(experiment, domain, experiment.whitening(), None, None)
    system = place.system(place.at(inside, None), expected_information=True)
    generator = torch.Generator().manual_seed(1)
    none = torch.zeros(0, dtype=torch.float64)
    change = Vector(torch.randn(2, *domain.shape, generator=generator, dtype=torch.complex64) * domain, none)
    # by Parseval the mean over random changes is 1, but for the slope of f0 and the real part's share
    assert change.dot(system.apply(change)) / change.dot(change) == pytest.approx(1, abs=0.15)


def test_even_composition_is_found_from_the_energies():
    stack, experiment, _ = case(SMALL.model_copy(update={"composition": "uniform", "core_fraction": 0.6}))
    assert resonant_share(experiment) == pytest.approx(0.6, abs=0.03)
    one = summed(experiment)
    assert one.counts.shape == (1, *stack.shape)
    assert float(one.counts.sum()) == pytest.approx(float(stack.data.sum()))


def test_the_true_hand_is_likelier(measured):
    _, experiment, atoms = measured
    domain = atoms.sum(0).abs() > 0
    losses = []
    for guess in both_hands(Guess(atoms, domain, 0.0)):
        inside, kept, _ = boxed(guess.atoms)
        losses.append(search(experiment, inside, kept, most=20, tolerance=0.02).loss)
    assert losses[0] < losses[1] - 100


def test_errors_cover():
    """Composition errors of searches that start at the truth: shares within 1 and 1.96 errors, pooled over noise."""
    inside = []
    for seed in range(3):
        _, experiment, _ = case(SMALL)
        stack = simulate(SMALL, torch.Generator().manual_seed(SMALL.seed + 1))
        counts = torch.poisson(torch.as_tensor(stack.truth.expected), torch.Generator().manual_seed(seed))
        stack = replace(stack, data=counts.numpy())
        factors = scattering_factors(stack)
        experiment = experiment_of(stack, factors)
        atoms = case(SMALL)[2]
        box_atoms, domain, box = boxed(atoms)
        found = search(experiment, box_atoms, domain, most=30, tolerance=0.02)
        place = Place(experiment, domain, experiment.whitening(), None, None)
        core = cut(torch.as_tensor(stack.truth.support > 0), box)
        changes = list(draws(place, found.atoms, None, 16, torch.Generator().manual_seed(seed + 10)))
        errors = composition_errors(place, found.atoms, core, changes)
        off = composition_from_atoms(*found.atoms) - torch.as_tensor(stack.truth.composition[box])
        inside.append((off / errors).abs()[core])
    deviations = torch.cat(inside)
    # neighbouring voxels share little: about 500 independent ones, four standard errors are 0.08 and 0.04
    assert float((deviations < 1).double().mean()) == pytest.approx(0.683, abs=0.08)
    assert float((deviations < 1.96).double().mean()) == pytest.approx(0.95, abs=0.05)


def test_nuisances_slope_is_the_likelihood_s():
    sample = SMALL.model_copy(update={"scale_jitter": 0.01, "background": 0.2})
    stack, experiment, atoms = case(sample)
    experiment = double(experiment)
    nuisances = nuisances_of(stack, ("scale", "dispersion", "offset", "background"), NuisanceConfig())
    inside, domain, _ = boxed(atoms.to(torch.complex128))
    theta = nuisances.theta
    pair = experiment.transformed(inside)
    whitening = experiment.whitening().to(torch.complex128)
    place = Place(experiment, domain, whitening, None, nuisances)
    found = place.right(place.at(inside, theta)).nuisances
    free = nuisances.free
    for place_of, entry in enumerate(free.tolist()):
        step = 1e-4
        losses = []
        for sign in (1, -1):
            moved = theta.clone()
            moved[entry] += sign * step
            losses.append(minus_log_likelihood(nuisances.applied(experiment, moved), pair) + nuisances.value(moved))
        slope = (losses[1] - losses[0]) / (2 * step)
        # the offset's derivative of the table is a difference over half an electronvolt
        tolerance = 0.2 if entry == len(theta) - 1 else 1e-3
        assert float(found[place_of]) == pytest.approx(slope, rel=tolerance, abs=1e-3 * float(found.abs().max()))


def test_refined_scales_are_found():
    sample = SMALL.model_copy(update={"scale_jitter": 0.02, "photons": 1e8})
    stack, experiment, atoms = case(sample)
    nuisances = nuisances_of(stack, ("scale",), NuisanceConfig())
    inside, domain, _ = boxed(atoms)
    found = search(experiment, inside, domain, most=40, tolerance=0.01, nuisances=nuisances)
    true = np.log(json.loads(stack.truth.drawn)["scale"])
    got = found.theta[: len(true)].numpy()
    off = (got - got.mean()) - (true - true.mean())
    place = Place(experiment, domain, experiment.whitening(), None, nuisances)
    sums = marginal_sums(place, found.atoms, found.theta)
    record = nuisances.at(found.theta).record(stack, sums)
    assert np.abs(off).max() < 4 * record.scale_errors.max()
    assert record.scale_errors.max() < 0.01


@pytest.mark.parametrize("photons", [1e8, 1e7])
def test_cold_start_reaches_the_limit(photons):
    """Support and hand unknown: composition as good as from the truth, within its errors, and all verdicts pass."""
    stack, experiment, atoms = case(SMALL.model_copy(update={"photons": photons, "grid": 64}))
    found = retrieve(None, stack, RetrieveConfig(), torch.Generator().manual_seed(1))
    checks = json.loads(found.verdicts)
    assert all(check["passed"] for check in checks.values()), checks
    assert checks["support_overlap"]["value"] > 0.93
    scores = score(stack, {}, {"joint": found}, ValidateConfig(), torch.Generator())
    ours = scores.retrieved["joint"].rms_error
    inside, domain, box = boxed(atoms)
    best = search(experiment, inside, domain, most=40, tolerance=0.02)
    core = stack.truth.support[box] > 0
    off = (composition_from_atoms(*best.atoms).numpy() - stack.truth.composition[box])[core]
    assert ours < 1.25 * float(np.sqrt(np.mean(off**2)))


def test_a_pure_particle_has_no_other_atoms():
    stack, _, _ = case(SMALL.model_copy(update={"composition": "pure_resonant"}))
    found = retrieve(None, stack, RetrieveConfig(), torch.Generator().manual_seed(1))
    checks = json.loads(found.verdicts)
    assert checks["control"]["passed"], checks["control"]


def test_other_routes_need_a_fit(measured):
    with pytest.raises(InputError, match="linked route needs a fit"):
        retrieve(None, measured[0], RetrieveConfig(), torch.Generator(), "linked")


def test_core_of_takes_voxels_more_than_half_full():
    atoms = torch.zeros(2, 9, 9, dtype=torch.complex64)
    atoms[0, 2:7, 2:7] = 0.8
    atoms[1, 2:7, 2:7] = 0.2
    atoms[:, 2, :] *= 0.4
    core = core_of(atoms, atoms.sum(0).abs() > 0)
    assert int(core.sum()) == 20
    assert not core[2].any()


def test_both_hands_are_twins(measured):
    _, _, atoms = measured
    one, other = both_hands(Guess(atoms, atoms.sum(0).abs() > 0, 0.0))
    torch.testing.assert_close(other.atoms, twin(one.atoms, 2))


def test_a_partner_that_is_no_element_is_refused(measured):
    with pytest.raises(InputError, match=r"partner: .*'Xx'"):
        retrieve(None, measured[0], RetrieveConfig(), torch.Generator(), partner="Xx")


def test_what_scales_all_resonant_atoms_is_in_their_errors():
    """Scales and energies that are off: refined inside, and their common doubt in the composition's error."""
    sample = SMALL.model_copy(update={"scale_jitter": 0.01, "energy_offset_ev": 1.0, "photons": 1e8})
    stack = case(sample)[0]
    found = retrieve(None, stack, RetrieveConfig(), torch.Generator().manual_seed(1), refine=("scale", "offset"))
    assert found.nuisance.energy_offset == pytest.approx(1.0, abs=4 * found.nuisance.energy_offset_errors)
    assert found.nuisance.f_resonant_relative_error > 0
    retrieved = score(stack, {}, {"joint": found}, ValidateConfig(), torch.Generator()).retrieved["joint"]
    assert abs(retrieved.bias) < 4 * found.nuisance.f_resonant_relative_error * retrieved.mean
    assert retrieved.coverage_95 > 0.8
