"""Real-space imaging of simulated stacks: truth back in, hand, errors, verdicts, bad input."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.verdict import text_of, verdict, verdicts_in
from madpipe.base.warned import DataWarning
from madpipe.mad.config import FitConfig, RetrieveConfig, SimulatedSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.realspace.export import volumes
from madpipe.mad.realspace.imaging import fitted_signal, mean_signal
from madpipe.mad.realspace.lone import without_isolated
from madpipe.mad.realspace.retrieve import _bragg_length, displacement_from_phase, retrieve
from madpipe.mad.realspace.separation import (
    Factors,
    Separation,
    composition_from_atoms,
    linked_separation,
    scattering_factors,
)
from madpipe.mad.realspace.verdicts import check_object, compare_routes
from madpipe.mad.realspace.words import told
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.alignment import twin
from madpipe.physics.fourier import image

SMALL = SimulatedSample(dimensions=2, grid=64, photons=1e8, strain_phase_rms=0.5, seed=3)


def simulated(sample):
    stack = simulate(sample, torch.Generator().manual_seed(sample.seed + 1))
    return stack, fit_stack(stack, FitConfig())


@pytest.fixture(scope="module")
def measured():
    torch.set_default_dtype(torch.float64)
    return simulated(SMALL)


@pytest.fixture(scope="module")
def linked(measured):
    stack, fit = measured
    return retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(4), route="linked")


@pytest.fixture(scope="module")
def separate(measured):
    stack, fit = measured
    return retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(4), route="separate")


@pytest.fixture(scope="module")
def noise_free():
    torch.set_default_dtype(torch.float64)
    return simulated(SMALL.model_copy(update={"noise": False, "nonresonant_dispersion": "mean"}))


def ideal_factor(stack, from_mean):
    """True phased signal: F_T, or the root of the mean intensity with the phase of G."""
    total, resonant = (torch.as_tensor(a) for a in (stack.truth.f_total, stack.truth.f_resonant))
    if not from_mean:
        return total
    ratio = torch.as_tensor((stack.f_prime + 1j * stack.f_double_prime).mean() / stack.f0)
    return mean_signal(stack).modulus * (total + ratio * resonant).sgn()


@pytest.mark.parametrize("from_mean", [False, True])
def test_true_phases_give_the_true_densities_and_composition(noise_free, from_mean):
    stack, fit = noise_free
    truth = stack.truth
    inside = torch.as_tensor(truth.support > 0)
    factor = ideal_factor(stack, from_mean)
    found = linked_separation(
        fit, stack, factor, torch.zeros(stack.shape), inside, from_mean, scattering_factors(stack)
    )
    scale = math.sqrt(truth.photons_per_electron2)
    # noise-free, but the fit's errors stay those of its photons, so weak points still take the mean composition
    expected = torch.as_tensor(truth.rho_resonant) * scale
    off = (found.resonant - expected)[inside].abs().square().mean().sqrt()
    assert off < 0.02 * expected[inside].abs().square().mean().sqrt()
    x = found.composition().numpy()[truth.support > 0]
    assert np.sqrt(np.mean((x - truth.composition[truth.support > 0]) ** 2)) < 0.01
    assert abs(np.mean(x - truth.composition[truth.support > 0])) < 0.005


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_true_hand_is_the_more_consistent_one(seed):
    stack, fit = simulated(SMALL.model_copy(update={"seed": seed}))
    inside = torch.as_tensor(stack.truth.support > 0)
    factor = ideal_factor(stack, False)
    error = torch.zeros(stack.shape)
    true = linked_separation(fit, stack, factor, error, inside, False, scattering_factors(stack))
    turned = twin(inside, 2)
    wrong = linked_separation(fit, stack, factor.conj().resolve_conj(), error, turned, False, scattering_factors(stack))
    assert wrong.inconsistency(turned) > true.inconsistency(inside)


def test_scattering_factors_are_the_simulation_s(measured):
    stack, _ = measured
    known = scattering_factors(stack)
    assert known.partner == "Fe"
    assert known.resonant == pytest.approx(stack.truth.f0_resonant, rel=1e-9)
    assert known.normal == pytest.approx(stack.truth.f_normal_atom, rel=1e-9)
    with pytest.warns(DataWarning, match="share of the scattering electrons"):
        unknown = scattering_factors(replace(stack, truth=None))
    assert unknown.partner is None
    assert unknown.normal == pytest.approx(unknown.resonant)


@pytest.mark.parametrize("one_number", [False, True])
def test_the_partner_s_f0_is_taken_at_the_q_that_f0_tells(measured, one_number):
    """Without a Bragg vector: |Q| from the resonant element's own f0, of every point or of all."""
    stack, _ = measured
    f0 = float(np.asarray(stack.f0)[32, 32]) if one_number else stack.f0
    found = scattering_factors(replace(stack, truth=None, q_bragg=None, f0=f0), "Pt")
    expected = scattering_factors(replace(stack, truth=None), "Pt")
    assert found.partner == "Pt"
    assert found.normal == pytest.approx(expected.normal, rel=1e-4)
    if not one_number:
        torch.testing.assert_close(found.normal_slope, expected.normal_slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "partner", "words"),
    [
        ({}, "Ni", "another element than the resonant one, Ni; Ni came"),
        ({}, "nickel", "another element than the resonant one, Ni; nickel came"),
        ({}, "Xx", "partner: .*'Xx'"),
        ({"q_bragg": None, "f0": 31.0}, "Fe", r"where Ni has the stack's f0.*31 to 31 came"),
    ],
)
def test_a_partner_that_cannot_be_is_one_line(measured, changes, partner, words):
    stack = replace(measured[0], truth=None, **changes)
    with pytest.raises(InputError, match=words) as refused:
        retrieve(None, stack, RetrieveConfig(), torch.Generator(), partner=partner)
    assert "\n" not in str(refused.value)


def test_a_partner_with_its_edge_among_the_energies_is_told(measured):
    stack = replace(measured[0], truth=None)
    near = replace(stack, element="Au", edge="L3", energy=stack.energy - 8333 + 11919)
    with pytest.warns(DataWarning, match=r"other element, As, changes by up to 0\.\d electron"):
        scattering_factors(near, "As")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for partner in ("Fe", "Pt", "O"):
            scattering_factors(stack, partner)


def test_lengths_need_no_bragg_vector_where_f0_tells_q(measured):
    stack = measured[0]
    length = float(np.linalg.norm(stack.q_bragg))
    assert _bragg_length(stack) == pytest.approx(length)
    assert _bragg_length(replace(stack, q_bragg=None)) == pytest.approx(length, rel=1e-3)
    with pytest.warns(DataWarning, match=r"Q\.u in radian"):
        assert _bragg_length(replace(stack, q_bragg=None, f0=30.0)) == 1.0


def test_a_hot_pixel_is_left_out_and_named(measured):
    """One pixel of 4e9: the support filled the frame, nickel was .1 % of it, and R .4 of the noise passed."""
    stack = measured[0]
    data = stack.data.copy()
    data[:, 5, 5] = 4_000_000_000
    with pytest.warns(DataWarning, match=r"\(5, 5\), 4e\+09 counts; left out of the retrieval"):
        seen = without_isolated(replace(stack, data=data))
    assert not seen.good[:, 5, 5].any()
    assert seen.good.sum() == stack.good.sum() - len(stack.energy)
    data = stack.data.copy()
    data[2, 9, 60] = 60_000  # of one energy: a cosmic ray
    with pytest.warns(DataWarning, match=r"\(9, 60\)"):
        seen = without_isolated(replace(stack, data=data))
    assert (~seen.good).sum() == 1


@pytest.mark.parametrize("changes", [{"photons": 1e4}, {"photons": 1e6, "background": 0.1}, {"oversampling": 2.0}])
@pytest.mark.parametrize("composition", ["core_shell", "pure_resonant"])
def test_good_data_keep_every_point(changes, composition):
    sample = SMALL.model_copy(update={"composition": composition, "strain_phase_rms": 0.0, **changes})
    stack = simulate(sample, torch.Generator().manual_seed(1))
    assert without_isolated(stack) is stack


def test_a_support_that_fills_the_frame_fails(linked, measured):
    stack, _ = measured
    assert json.loads(linked.verdicts)["support"]["passed"]
    whole = replace(linked, support=np.ones_like(linked.support))
    made = check_object(whole, replace(stack, truth=None))["support"]
    assert (made.value, made.limit, made.passed) == (1.0, 0.25, False)


def test_without_a_partner_shares_are_of_electrons_everywhere(measured):
    stack, fit = measured
    with pytest.warns(DataWarning, match="name it with --partner"):
        found = retrieve(fit, replace(stack, truth=None), RetrieveConfig(), torch.Generator().manual_seed(4), "linked")
    assert (found.partner, found.composition_of) == (None, "electrons")
    assert "share of the scattering electrons" in found.warnings
    assert found.share_in_words("Ni") == "Ni atoms' share of the electrons"
    assert "Ni atoms' share of the electrons" in told(found, stack)[0]
    assert "composition_of_electrons" in volumes(found)
    known = retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(4), "linked")
    assert (known.partner, known.composition_of) == ("Fe", "atoms")
    assert known.share_in_words("Ni") == "Ni atoms' share"


def test_an_object_in_words_gives_its_error_only_where_all_checks_pass(linked, measured):
    stack, _ = measured
    line, factor, *rest = told(linked, stack)
    assert factor.startswith("common factor of the resonant atoms")
    assert not rest
    assert "on average, +- 0.0" in line
    checks = verdicts_in(linked.verdicts)
    poor = {**checks, "free_error": verdict(0.5, 0.3, True, "of points held out")}
    line, _, count, failure = told(replace(linked, verdicts=text_of(poor)), stack)
    assert "+-" not in line
    assert "its stated error does not hold" in line
    assert count.startswith(f"1 of {len(checks)} checks failed")
    assert failure == "failed: free error 0.5 (at most 0.3): of points held out"


def test_corrections_take_the_form_factors_variation_out(measured):
    stack, _ = measured
    factors = scattering_factors(stack)
    flat = torch.as_tensor(stack.f0) * factors.correction("resonant")
    torch.testing.assert_close(flat, torch.full_like(flat, factors.resonant))
    assert stack.f0.std() > 1e-3 * stack.f0.mean()  # there is a variation to take out
    # F_N of the truth is number density's transform times the partner's factor: what is left is a bare transform
    bare = image(torch.as_tensor(stack.truth.f_normal) * factors.correction("normal"), 2)
    scale = math.sqrt(stack.truth.photons_per_electron2)
    torch.testing.assert_close(bare, torch.as_tensor(stack.truth.rho_normal) * scale, rtol=1e-9, atol=1e-9)


def test_composition_of_complex_densities_is_exact():
    phase = torch.exp(1j * torch.linspace(0, 9, 7))
    x = torch.linspace(0, 1, 7)
    torch.testing.assert_close(composition_from_atoms(3 * x * phase, 3 * (1 - x) * phase), x)


def test_linked_route_finds_the_particle(linked, measured):
    checks = json.loads(linked.verdicts)
    stack, _ = measured
    assert all(check["passed"] for check in checks.values()), checks
    assert checks["correlation"]["value"] > 0.97
    # step of the q axis x voxels: field of view = oversampling x particle size
    assert linked.voxel_size == pytest.approx(SMALL.oversampling * SMALL.particle_size_angstrom / SMALL.grid)
    assert linked.rho_resonant.shape == stack.shape


def test_displacement_is_the_truth_s(linked, measured):
    truth, bragg = measured[0].truth, np.linalg.norm(measured[0].q_bragg)
    # whole-voxel registration by the supports' overlap is enough for a smooth field
    shifts = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
    best = max(shifts, key=lambda s: (np.roll(linked.support, s, (0, 1)) * truth.support).sum())
    both = (np.roll(linked.support, best, (0, 1)) > 0) & (truth.support > 0)
    off = (np.roll(linked.displacement, best, (0, 1)) - truth.displacement)[both] * bragg
    spread = (truth.displacement[both] * bragg).std()
    assert (off - off.mean()).std() < 0.35 * spread  # up to half a voxel of misregistration is left in it


TOO_SMALL = pytest.mark.xfail(
    reason="the lost part is underestimated where few points are determined: 0.46 of the true error, six particles"
)


@pytest.mark.parametrize("photons", [1e8, 1e7, pytest.param(1e6, marks=TOO_SMALL)])
def test_composition_errors_are_those_of_the_separation(photons):
    # what is claimed: errors of F_A and of the mean intensity, and what Wiener's weights lose; phases are true.
    # The lost part is modelled as isotropic in q, which a particle is not: a factor of 2 either way is allowed.
    stack, fit = simulated(SMALL.model_copy(update={"photons": photons}))
    inside = stack.truth.support > 0
    signal = mean_signal(stack)
    found = linked_separation(
        fit, stack, ideal_factor(stack, True), signal.error, torch.as_tensor(inside), True, scattering_factors(stack)
    )
    off = (found.composition().numpy() - stack.truth.composition)[inside]
    support = torch.as_tensor(inside)
    claimed = found.composition_errors(16, torch.Generator().manual_seed(1), support).numpy()[inside]
    assert 0.5 < np.sqrt(np.mean(claimed**2) / np.mean(off**2)) < 2


def test_atoms_out_of_phase_raise_the_composition_errors():
    """Both kinds share one displacement: turning one image by 0.3 rad must show in the stated errors."""
    stack, fit = simulated(SMALL)
    support = torch.as_tensor(stack.truth.support > 0)
    signal = mean_signal(stack)
    found = linked_separation(
        fit, stack, ideal_factor(stack, True), signal.error, support, True, scattering_factors(stack)
    )
    turned = replace(found, normal=found.normal * np.exp(0.3j))
    plain, raised = (one.composition_errors(8, torch.Generator().manual_seed(1), support) for one in (found, turned))
    # x (1 - x) sin(0.3) is 0.055 in the core, where x = 0.75, and nothing in the shell
    assert raised[support].square().mean().sqrt() > 0.02
    assert raised[support].square().mean() > 2 * plain[support].square().mean()


@pytest.mark.parametrize("from_mean", [True, False])
def test_what_noise_adds_to_the_resonant_atoms_it_takes_off_the_others(measured, from_mean):
    r"""G = F_N + (1 + mean rho) F_A is held: :math:`dF_N / dF_A = -(1 + \bar\rho)`, with rho = 0 where G is F_T."""
    stack, fit = measured
    signal, inside = mean_signal(stack), torch.as_tensor(stack.truth.support > 0)
    found = linked_separation(
        fit, stack, ideal_factor(stack, from_mean), signal.error, inside, from_mean, scattering_factors(stack)
    )
    rho = np.mean(stack.f_prime + 1j * stack.f_double_prime) * np.mean(1 / stack.f0) if from_mean else 0.0
    assert found.counter == pytest.approx(-(1 + rho), rel=1e-9)


def test_the_composition_s_spread_is_the_standard_deviation_of_its_redraws():
    """Two redraws, in a loop; noise of F_A moves F_N by dF_N / dF_A, and factors vary with q."""
    generator = torch.Generator().manual_seed(2)
    resonant, normal = (torch.polar(1 + torch.rand(8, 8, generator=generator), torch.zeros(8, 8)) for _ in range(2))
    slopes = (1 + 0.1 * torch.rand(8, 8, generator=generator), torch.ones(8, 8, dtype=torch.complex128))
    factors = Factors(20.0, 18.0 + 3.0j, *slopes, "Fe")
    error = torch.rand(8, 8, generator=generator)
    made = Separation(20 * resonant, (18 + 3j) * normal, factors, error, None, -0.7 + 0.1j)
    draws = [error * torch.randn(8, 8, generator=torch_at(5, number), dtype=torch.complex128) for number in range(2)]
    found = made.composition_errors(2, torch.Generator().manual_seed(5), torch.ones(8, 8, dtype=torch.bool))
    shares = [
        composition_from_atoms(
            resonant + image(one / slopes[0], 2) / 20, normal + image(one * made.counter, 2) / (18 + 3j)
        )
        for one in draws
    ]
    torch.testing.assert_close(found, (shares[0] - shares[1]).abs() / math.sqrt(2), rtol=1e-9, atol=1e-12)


def torch_at(seed, skipped):
    """A generator that has drawn some fields of 8 x 8 complex numbers already."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(skipped):
        torch.randn(8, 8, generator=generator, dtype=torch.complex128)
    return generator


def test_routes_agree(linked, separate):
    assert compare_routes(linked, separate).passed
    assert compare_routes(linked, linked).value == pytest.approx(1, abs=1e-9)
    assert separate.route == "separate"


def test_same_generator_same_object(linked, measured):
    stack, fit = measured
    again = retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(4), route="linked")
    np.testing.assert_array_equal(again.rho_resonant, linked.rho_resonant)
    np.testing.assert_array_equal(again.composition_errors, linked.composition_errors)


def test_three_dimensions():
    sample = SimulatedSample(grid=24, shape="smooth", misfit=0.001, strain_phase_rms=0.5, seed=5)
    stack, fit = simulated(sample)
    config = RetrieveConfig(seeds=4, keep=2, iterations=80, cycles=5)
    checks = json.loads(retrieve(fit, stack, config, torch.Generator().manual_seed(1), route="linked").verdicts)
    # eight voxels across: half of them touch the surface, so overlap and volume are coarse here
    assert checks["correlation"]["value"] > 0.95
    assert checks["core_composition"]["value"] < 0.08


@pytest.mark.parametrize(("kind", "expected"), [("pure_resonant", 1.0), ("no_resonant", 0.0)])
def test_controls(kind, expected):
    stack, fit = simulated(SMALL.model_copy(update={"composition": kind}))
    found = retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(1), route="linked")
    assert np.mean(found.composition[found.support > 0]) == pytest.approx(expected, abs=0.03)
    checks = json.loads(found.verdicts)
    assert not checks["hand"]["passed"]  # one kind of atom: no Delta_phi to tell the twins apart
    assert checks["correlation"]["passed"]  # found up to the hand


def test_masked_points_float(measured):
    stack, fit = measured
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[30:34, 40] = 1
    masked = replace(stack, mask=mask)
    assert not mean_signal(masked).known[30:34, 40].any()
    assert mean_signal(masked).known.sum() == mask.size - 4
    error = np.where(mask, np.inf, 0.4 * fit.f_total)
    assert fitted_signal(fit.f_total, error, mask == 0, 0.5).known.sum() == mask.size - 4
    assert not fitted_signal(fit.f_total, 0.6 * fit.f_total, mask == 0, 0.5).known.any()


def test_mean_signal_is_the_root_of_the_mean_rate(measured):
    stack, _ = measured
    monitor = np.linspace(0.5, 1.5, len(stack.energy))  # mean 1
    column = monitor[:, None, None]
    other = replace(stack, data=stack.data * column + 2.0, background=np.full(stack.data.shape, 2.0), monitor=monitor)
    torch.testing.assert_close(mean_signal(other).modulus, mean_signal(stack).modulus)
    torch.testing.assert_close(mean_signal(stack).modulus.square(), torch.as_tensor(stack.data.astype(float).mean(0)))


def test_error_of_the_mean_signal_is_half_a_photon_s_root_down_to_no_counts(measured):
    energies = len(measured[0].energy)
    data = measured[0].data.copy()
    data[:, :5] = 0
    data[0, 0] = 1
    signal = mean_signal(replace(measured[0], data=data))
    torch.testing.assert_close(signal.error, torch.full_like(signal.error, 0.5 / math.sqrt(energies)))


def test_phase_is_unwrapped_into_displacement():
    x = np.mgrid[:20, :20][1]
    support = (x > 3) & (x < 16)
    phase = 1.1 * (x - 9.5)
    found = displacement_from_phase(np.exp(1j * phase), support, 3.0)
    np.testing.assert_allclose(found[support], phase[support] / 3.0, atol=1e-12)
    assert not found[~support].any()


def test_a_vortex_fails_the_continuity_check(linked, measured):
    n = linked.support.shape[0]
    y, x = np.mgrid[:n, :n] - n // 2 + 0.5
    turned = np.exp(1j * np.arctan2(y, x))
    bad = replace(
        linked, rho_resonant=np.abs(linked.rho_resonant) * turned, rho_normal=np.abs(linked.rho_normal) * turned
    )
    assert check_object(bad, measured[0])["vortices"].passed is False


def test_a_wrong_composition_fails_its_checks(linked, measured):
    bad = replace(linked, composition=linked.composition + 0.1)
    checks = check_object(bad, measured[0])
    assert not checks["core_composition"].passed
    assert not checks["profile"].passed


def test_a_wrong_support_fails_its_checks(linked, measured):
    support = linked.support.copy()
    support[: support.shape[0] // 2] = 0
    checks = check_object(replace(linked, support=support), measured[0])
    assert not checks["support_overlap"].passed
    assert not checks["volume"].passed


def test_without_truth_only_truthless_checks_remain(linked, measured):
    checks = check_object(linked_without_checks(linked), replace(measured[0], truth=None))
    assert set(checks) == {"vortices", "support", "share"}


def linked_without_checks(found):
    return replace(found, verdicts="{}")


def test_verdicts_are_inclusive_and_nan_never_passes():
    assert verdict(1.0, 1.0, True, "").passed
    assert verdict(1.0, 1.0, False, "").passed
    assert not verdict(math.nan, 1.0, True, "").passed


def test_a_list_of_reflections_is_refused(measured):
    stack, fit = measured
    flat = stack.data.reshape(len(stack.energy), -1)
    listed = replace(stack, data=flat, reflection=np.arange(flat.shape[1]), f0=np.ravel(stack.f0), truth=None)
    with pytest.raises(InputError, match="list of reflections"):
        retrieve(fit, listed, RetrieveConfig(), torch.Generator(), route="linked")


def test_irregular_axes_are_refused(measured):
    stack, fit = measured
    with pytest.raises(InputError, match="regular q axes"):
        retrieve(fit, replace(stack, qx=stack.qx**3), RetrieveConfig(), torch.Generator(), route="linked")


def test_a_signal_below_the_noise_is_refused(measured):
    stack, fit = measured
    nothing = replace(fit, f_total=np.zeros(stack.shape))
    with pytest.raises(InputError, match="autocorrelation above its noise"):
        retrieve(nothing, stack, RetrieveConfig(signal="total"), torch.Generator(), route="linked")
