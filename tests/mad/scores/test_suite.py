"""The test suite: the same for every run, new to every network, and scored as if by hand."""

import hashlib
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base import metrics, store
from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, to_plain
from madpipe.base.tables import frame, records
from madpipe.mad.config import (
    REFERENCE_ENERGIES,
    FitConfig,
    PriorConfig,
    SuiteConfig,
    SuiteSet,
    ValidateConfig,
)
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.records import QUANTITIES, Stack
from madpipe.mad.scores.records import SuiteScores
from madpipe.mad.scores.suite import outline
from madpipe.mad.scores.suite.cases import cases, suite_generator
from madpipe.mad.scores.suite.scores import LEVELS, SHELL_EDGES, compare, score_suite
from madpipe.mad.scores.tables import COMPARISON
from madpipe.mad.scores.validate import truth_columns
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.atoms import edge_energy

CONFIG = SuiteConfig(sets=SuiteSet.__args__)
TINY = SuiteConfig(sets=("reference", "volumes"), grid=24, volume_grid=16, photons=(3e6,), volume_photons=(1e6,))
SCORING = ValidateConfig(noise_draws=2)
CONTROLS = ("pure_resonant", "no_resonant")
HARD = ("hard", "hard_volumes")
OF_THE_REFERENCE = (  # the compositions that the reference set has had from the first; later ones are in the hard sets
    "core_shell",
    "radial_gradient",
    "linear_gradient",
    "janus",
    "multi_shell",
    "uniform",
    "off_centre_core",
    *CONTROLS,
)


@pytest.fixture(scope="module")
def drawn():
    return cases(CONFIG)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The tiny suite on disc: set, case, file."""
    torch.set_default_dtype(torch.float64)
    folder, found = tmp_path_factory.mktemp("suite"), []
    for name, samples in cases(TINY).items():
        for case, sample in samples.items():
            found.append((name, case, folder / name / f"{case}.h5"))
            store.write(found[-1][2], simulate(sample, suite_generator(name, case)))
    return found


def exact(stack):
    return fit_stack(stack, FitConfig())


@pytest.fixture(scope="module")
def scores(files):
    torch.set_default_dtype(torch.float64)
    return score_suite(files, exact, "exact", SCORING)


def only(files, *starts):
    """Files of the reference set whose case starts with one of some compositions."""
    return [file for file in files if file[0] == "reference" and file[1].startswith(starts)]


def row(scores, quantity, low, *, control=False, name="reference"):
    rows = scores.sets[name].rows
    found = [r for r in rows if (r.quantity, r.shell_low, r.control) == (quantity, low, control)]
    return found[0] if found else None


def with_noise(share, rng):
    """An answer whose moduli miss the truth by Gaussian noise of 2 %, of which it states this share as its error."""

    def answer(stack):
        columns = {k: v for k, v in truth_columns(stack).items() if not k.endswith("_errors")}
        for name in ("f_total", "f_resonant"):
            noise = torch.randn(*stack.shape, generator=rng, dtype=torch.float64).numpy()
            columns |= {name: columns[name] * (1 + 0.02 * noise), f"{name}_errors": 0.02 * share * columns[name]}
        return replace(exact(stack), **columns)

    return answer


def test_a_case_is_the_same_whatever_else_is_drawn(drawn):
    alone = SuiteConfig(sets=("disturbed",), particles=2, photons=CONFIG.photons[2:4])
    again = cases(alone)["disturbed"]
    assert len(again) == 3 * 2 * 2
    shared = again.keys() & drawn["disturbed"].keys()
    assert len(shared) == 6
    assert all(again[case] == drawn["disturbed"][case] for case in shared)


def test_a_stack_is_drawn_alike_every_time():
    sample = cases(TINY)["reference"]["janus_3e6_0"]
    first, second = (simulate(sample, suite_generator("reference", "janus_3e6_0")) for _ in range(2))
    assert np.array_equal(first.data, second.data)
    assert np.array_equal(first.truth.rho_resonant, second.truth.rho_resonant)


def test_no_two_cases_share_a_particle(drawn):
    every = [(name, case, sample) for name, samples in drawn.items() for case, sample in samples.items()]
    seeds = {suite_generator(name, case).initial_seed() for name, case, _ in every}
    assert len(seeds) == len(every) == 63 + 16 + 63 + 63 + 21 + 14 * 3 + 6 * 2
    drawn_too = [sample for name, _, sample in every if name not in HARD]
    for field in ("oversampling", "core_fraction", "shell_fraction", "misfit", "strain_phase_rms"):
        assert len({getattr(sample, field) for sample in drawn_too}) == len(drawn_too), field


def test_the_reference_holds_every_composition_at_every_budget(drawn):
    found = {(sample.composition, sample.photons) for sample in drawn["reference"].values()}
    assert found == {(c, p) for c in OF_THE_REFERENCE for p in CONFIG.photons}
    assert {"core_shell_6.8e4_0", "no_resonant_1e9_0"} <= drawn["reference"].keys()
    for sample in drawn["reference"].values():
        assert (sample.element, sample.partner, sample.energies_ev) == ("Ni", "Fe", REFERENCE_ENERGIES)
        assert (sample.dimensions, sample.grid) == (2, 96)


def test_what_is_drawn_fills_its_range(drawn):
    samples = [sample for name, samples in drawn.items() if name not in HARD for sample in samples.values()]
    assert {sample.shape for sample in samples} == {"facetted", "smooth"}
    # of 226 uniform draws the outermost lie within 5 % of either end but for a chance of 2 x 0.95^226 = 2e-5
    for field, low, high in (("oversampling", 2, 6), ("strain_phase_rms", 0, 8), ("misfit", -0.004, 0.004)):
        values, margin = [getattr(sample, field) for sample in samples], 0.05 * (high - low)
        assert low <= min(values) < low + margin
        assert high - margin < max(values) <= high


def test_unseen_energies_are_uneven_and_near_the_edge(drawn):
    sets = {sample.energies_ev for sample in drawn["energies"].values()}
    assert sorted(len(energies) for energies in sets) == [5, 7, 11]
    for energies in sets:
        assert not set(energies) & set(REFERENCE_ENERGIES)
        assert max(abs(energy - edge_energy("Ni", "K")) for energy in energies) <= 80
        assert min(energies) < edge_energy("Ni", "K") < max(energies)
        assert np.ptp(np.diff(energies)) > 1


def test_unseen_elements_are_measured_about_their_own_edge(drawn):
    edges = {(sample.element, sample.edge, sample.partner) for sample in drawn["elements"].values()}
    assert edges == {("Mn", "K", "Ni"), ("Zn", "K", "Cu"), ("Ir", "L3", "Ni")}
    assert not {edge[0] for edge in edges} & {edge[0] for edge in PriorConfig().edges}
    about_ni = np.array(REFERENCE_ENERGIES) - edge_energy("Ni", "K")
    for sample in drawn["elements"].values():
        about = np.array(sample.energies_ev) - edge_energy(sample.element, sample.edge)
        assert np.allclose(about, about_ni, rtol=0, atol=1e-9)


def test_volumes_and_disturbances_are_what_they_say(drawn):
    assert {(s.dimensions, s.grid) for s in drawn["volumes"].values()} == {(3, 48)}
    assert {s.photons for s in drawn["volumes"].values()} == set(CONFIG.volume_photons)
    spoiled = {(s.background, s.beam_stop_radius, s.gap_width, s.scale_jitter) for s in drawn["disturbed"].values()}
    assert spoiled == {(0.5, 3.0, 3, 0.003)}


def test_what_there_was_before_the_hard_sets_is_unchanged():
    """To the last bit, order included; of the seeds with which particles and counts are drawn, too."""
    config = SuiteConfig(sets=[name for name in SuiteSet.__args__ if name not in HARD], particles=2)
    fields = ("element", "edge", "partner", "energies_ev", "dimensions", "grid", "oversampling", "shape", "composition")
    fields += ("core_fraction", "shell_fraction", "shell_thickness_angstrom", "misfit", "strain_phase_rms", "photons")
    fields += ("background", "beam_stop_radius", "gap_width", "scale_jitter")
    found = [
        (name, case, suite_generator(name, case).initial_seed(), [getattr(sample, field) for field in fields])
        for name, each in cases(config).items()
        for case, sample in each.items()
    ]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == "edb6fa6c522d2385"


def test_hard_particles_are_what_their_names_say(drawn):
    words = {
        "concave": lambda s: s.shape == "concave",
        "polyhedron": lambda s: s.shape == "polyhedron",
        "facetted": lambda s: s.shape == "facetted",
        "smooth": lambda s: s.shape == "smooth",
        "precipitates": lambda s: s.composition == "precipitates",
        "domains": lambda s: s.composition == "domains",
        "janus": lambda s: s.composition == "janus",
        "patchy_shell": lambda s: s.composition == "patchy_shell",
        "multi_shell": lambda s: s.composition == "multi_shell",
        "uneven_shell": lambda s: s.composition == "off_centre_core",
        "alloy": lambda s: s.composition == "uniform",
        "core": lambda s: s.composition == "core_shell",
        "thin": lambda s: (
            s.composition == "core_shell" and s.shell_thickness_angstrom <= 0.04 * s.particle_size_angstrom
        ),
        "void": lambda s: s.voids == 1,
        "voids": lambda s: s.voids > 0,
        "dislocation": lambda s: s.dislocations == 1,
        "dislocations": lambda s: s.dislocations > 1,
        "step": lambda s: abs(s.phase_step) >= 2,
        "dilute": lambda s: max(s.core_fraction, s.shell_fraction) < 0.1,
        "drift": lambda s: s.scale_jitter > 0,
        "energy_offset": lambda s: s.energy_offset_ev != 0,
    }
    for name in HARD:
        for case, sample in drawn[name].items():
            kind, atoms, photons = case.rsplit("_", 2)
            assert atoms == sample.element + sample.partner
            assert float(photons) == sample.photons
            said = {word for word in words if f"_{word}_" in f"_{kind}_"}
            assert said, case
            assert [word for word in said if not words[word](sample)] == [], case
            # and nothing but strain goes unsaid
            assert (sample.voids > 0) == bool(said & {"void", "voids"}), case
            assert (sample.dislocations > 0) == bool(said & {"dislocation", "dislocations"}), case
            assert (sample.scale_jitter > 0) == ("drift" in said), case
            assert (sample.energy_offset_ev != 0) == ("energy_offset" in said), case


def test_hard_particles_are_mostly_of_kinds_that_no_training_draws(drawn):
    prior = PriorConfig()
    kinds = {(name, case.rsplit("_", 1)[0]): sample for name in HARD for case, sample in drawn[name].items()}
    assert [sum(name == one for name, _ in kinds) for one in HARD] == [14, 6]
    new = [s for s in kinds.values() if s.shape not in prior.shapes or s.composition not in prior.compositions]
    assert {sample.shape for sample in new} >= {"concave"}
    assert {sample.composition for sample in new} >= {"precipitates"}
    assert 2 * len(new) >= len(kinds)
    for name in HARD:
        own = [sample for (one, _), sample in kinds.items() if one == name]
        assert 2 * sum(sample in new for sample in own) >= len(own)
    assert {"Pt", "Au"} <= {s.element for s in kinds.values()} & {s.partner for s in kinds.values()}
    disturbed = [s for s in kinds.values() if s.scale_jitter or s.energy_offset_ev or s.background]
    assert len(disturbed) == 2
    over = [sample.oversampling for sample in kinds.values()]
    assert (min(over), max(over)) == (1.4, 6.0)


def test_hard_particles_are_prescribed_and_drawn_anew_for_every_budget(drawn):
    for name, photons, ndim in (("hard", CONFIG.hard_photons, 2), ("hard_volumes", CONFIG.hard_volume_photons, 3)):
        assert {(s.photons, s.dimensions) for s in drawn[name].values()} == {(p, ndim) for p in photons}
        again = cases(SuiteConfig(sets=(name,), particles=2))[name]
        assert again == drawn[name]  # there is one particle of each kind, however many of others
        for sample in drawn[name].values():
            edge = edge_energy(sample.element, sample.edge)
            assert min(sample.energies_ev) < edge < max(sample.energies_ev)
            assert max(abs(energy - edge) for energy in sample.energies_ev) <= 80
    tiny = SuiteConfig(sets=("hard",), grid=24)
    stems = ("concave_janus_step_PtCo_1e5", "concave_janus_step_PtCo_1e7")
    first, second = (simulate(cases(tiny)["hard"][case], suite_generator("hard", case)) for case in stems)
    assert not np.array_equal(first.truth.support, second.truth.support)


def test_every_hard_particle_can_be_simulated_and_scored(tmp_path):
    tiny = SuiteConfig(sets=HARD, grid=24, volume_grid=16, hard_photons=(1e6,), hard_volume_photons=(1e6,))
    stacks = []
    for name, samples in cases(tiny).items():
        for case, sample in samples.items():
            stacks.append((name, case, tmp_path / f"{case}.h5"))
            store.write(stacks[-1][2], simulate(sample, suite_generator(name, case)))
    scored = score_suite(stacks, exact, "exact", SCORING)
    assert {name: len(one.stacks) for name, one in scored.sets.items()} == {"hard": 14, "hard_volumes": 6}
    assert not any(one.refused for one in scored.sets.values())


@pytest.mark.parametrize("field", ["photons", "hard_photons", "hard_volume_photons"])
def test_cases_of_one_name_are_refused(field):
    with pytest.raises(InputError, match="two digits"):
        outline(SuiteConfig(sets=("reference", *HARD), **{field: (1e6, 1.01e6)}))


def test_the_outline_is_cheap():
    """The workflow lists the suite's files whenever it starts; torch alone would take it seconds."""
    code = "import sys, madpipe.mad.scores.suite; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert outline(CONFIG).keys() == set(SuiteSet.__args__)


def test_the_error_of_a_mean_is_the_textbooks(rng):
    values = torch.rand(17, generator=rng).numpy()
    value, error = metrics.pooled_ratio(values, np.ones(17))
    assert value == pytest.approx(values.mean(), rel=1e-14)
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(17), rel=1e-12)


def test_the_error_of_two_samples_root_by_hand():
    # roots without either sample: sqrt(16 / 1) and sqrt(9 / 4); half the squared distance of both from their mean
    value, error = metrics.pooled_ratio(np.array([9.0, 16.0]), np.array([4.0, 1.0]), root=True)
    assert value == pytest.approx(math.sqrt(5))
    assert error == pytest.approx(math.sqrt(0.5 * 2 * (4 - 2.75) ** 2))


def test_the_error_of_a_pooled_rms_is_its_spread_over_repeats(rng):
    """Points of one sample share a scale: an error over points would be sixfold too small."""
    scales = 1 + torch.rand(400, 30, 1, generator=rng)
    squares = (scales * torch.randn(400, 30, 200, generator=rng)).square().sum(2).numpy()
    found = np.array([metrics.pooled_ratio(one, np.full(30, 200.0), root=True) for one in squares])
    spread = found[:, 0].std(ddof=1)  # known to 1 / sqrt(2 x 399) = 3.5 %
    assert found[:, 1].mean() == pytest.approx(spread, rel=4 * 0.035)


def test_ratios_without_samples_are_left_open():
    assert all(map(math.isnan, metrics.pooled_ratio(np.array([]), np.array([]))))
    assert all(map(math.isnan, metrics.pooled_ratio(np.ones(3), np.zeros(3))))
    value, error = metrics.pooled_ratio(np.array([2.0]), np.array([1.0]))
    assert value == 2
    assert math.isnan(error)
    value, error = metrics.pooled_ratio(np.ones(2), np.array([1.0, 0.0]))
    assert value == 2
    assert math.isnan(error)


@pytest.mark.parametrize(("quantity", "field"), [("F_A", "f_resonant"), ("delta_phi", "delta_phi")])
def test_pooled_errors_are_those_of_all_points_together(files, quantity, field):
    two = only(files, "core_shell", "janus")
    scored = score_suite(two, exact, "exact", SCORING)
    errors, truths, bounds, sigmas = [], [], [], []
    for _, _, path in two:
        stack = store.read(path, Stack)
        truth, fit, photons = truth_columns(stack), exact(stack), stack.truth.expected.mean(axis=0)
        points = (photons >= 10) & (photons < 100)  # faint: phases miss by more than half a turn
        error = (getattr(fit, field) - truth[field])[points]
        errors.append(np.angle(np.exp(1j * error)) if quantity == "delta_phi" else error)
        truths.append(truth[field][points])
        bounds.append(truth[f"{field}_errors"][points])
        sigmas.append(getattr(fit, f"{field}_errors")[points])
    error, true, bound, sigma = (np.concatenate(each) for each in (errors, truths, bounds, sigmas))
    scale = 1.0 if quantity == "delta_phi" else np.sqrt((true**2).mean())
    found = row(scored, quantity, 10)
    assert (found.points, found.stacks) == (len(error), 2)
    assert found.rms_error == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert found.relative_rms == pytest.approx(np.sqrt((error**2).mean()) / scale, rel=1e-12)
    assert found.relative_bound == pytest.approx(np.sqrt((bound**2).mean()) / scale, rel=1e-12)
    assert found.median_error == pytest.approx(np.median(np.abs(error)), rel=1e-6)  # of float32
    assert found.coverage_68 == pytest.approx((np.abs(error) < sigma).mean())
    assert found.coverage_95 == pytest.approx((np.abs(error) < 1.96 * sigma).mean())
    assert found.bias_sigma == pytest.approx((error / sigma).mean(), rel=1e-10)
    # two samples: the jackknife's error of a share is half the distance of the two that leave one out
    shares = [(np.abs(e) < s).mean() for e, s in zip(errors, sigmas, strict=True)]
    assert found.coverage_68_standard_error == pytest.approx(abs(shares[0] - shares[1]) / 2, rel=1e-9)


@pytest.mark.parametrize("share", [1.0, 2.0])
def test_true_errors_are_covered_and_wrong_ones_seen(files, rng, share):
    found = row(score_suite(only(files, "core", "janus", "linear"), with_noise(share, rng), "m", SCORING), "F_A", 1)
    for name, level in (("coverage_68", 1.0), ("coverage_95", 1.96)):
        expected = math.erf(share * level / math.sqrt(2))
        spread = math.sqrt(expected * (1 - expected) / found.points)
        assert abs(getattr(found, name) - expected) < 4 * spread
    assert abs(found.bias_sigma) < 4 / share / math.sqrt(found.points)


def test_reliability_follows_the_error_function(files, rng):
    scored = score_suite(only(files, "core", "janus", "linear"), with_noise(1.0, rng), "m", SCORING)
    lines = scored.sets["reference"].reliability
    found = next(line for line in lines if (line.quantity, line.shell_low) == ("F_T", 1))
    points = row(scored, "F_T", 1).points
    assert found.levels == LEVELS
    for level, share in zip(LEVELS, found.shares, strict=True):
        expected = math.erf(level / math.sqrt(2))
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / points), level


@pytest.mark.parametrize(("composition", "zero"), [("pure_resonant", "F_N"), ("no_resonant", "F_A")])
def test_of_a_control_no_error_is_relative_to_nothing(files, composition, zero):
    scored = score_suite(only(files, composition), exact, "exact", SCORING)
    rows = scored.sets["reference"].rows
    assert {r.quantity for r in rows if r.control} == {zero}
    defined = {"F_T", "F_A", "F_N"} - {zero} | ({"delta_phi"} if zero == "F_N" else set())
    assert {r.quantity for r in rows if not r.control} == defined
    for r in rows:
        other = r.relative_rms, r.coverage_95, r.coverage_68, r.bias_sigma, r.relative_bound
        own = r.zero_consistency, r.mean_over_sigma
        assert all(value is None for value in (other if r.control else own))
        assert None not in (own if r.control else other)
    assert scored.sets["reference"].stacks[0].sums.keys() == defined


def test_zero_consistency_is_counted_by_hand(files):
    (control,) = only(files, "pure_resonant")
    stack = store.read(control[2], Stack)
    fit, photons = exact(stack), stack.truth.expected.mean(axis=0)
    points = (photons >= 10) & (photons < 100)
    significance = (fit.f_normal / fit.f_normal_errors)[points]
    found = row(score_suite([control], exact, "exact", SCORING), "F_N", 10, control=True)
    assert found.zero_consistency == pytest.approx((significance < 1.96).mean())
    assert found.mean_over_sigma == pytest.approx(significance.mean(), rel=1e-8)


def test_controls_stand_apart_in_the_whole_suite(scores):
    names = OF_THE_REFERENCE
    assert row(scores, "F_T", 10).stacks == len(names)
    assert row(scores, "F_N", 10).stacks == row(scores, "F_A", 10).stacks == len(names) - 1
    assert row(scores, "delta_phi_NA", 10).stacks == len(names) - len(CONTROLS)
    assert row(scores, "F_N", 10, control=True).stacks == 1


def test_points_that_were_not_measured_or_are_dark_do_not_score(files):
    (file,) = only(files, "core_shell")
    sample = cases(TINY)["reference"][file[1]].model_copy(update={"photons": 300.0})
    stack = simulate(sample, suite_generator("reference", file[1]))
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[:12] = 1
    masked = file[2].with_name("masked.h5")
    store.write(masked, replace(stack, mask=mask))
    scored = score_suite([(*file[:2], masked)], exact, "exact", SCORING)
    photons = stack.truth.expected.mean(axis=0)[12:]
    rows = scored.sets["reference"].rows
    expected = ((photons >= SHELL_EDGES[0]) & (photons < SHELL_EDGES[-1])).sum()
    assert sum(r.points for r in rows if r.quantity == "F_T") == expected
    assert 0 < expected < 24 * 12


def test_stacks_are_held_against_their_noise(scores, files):
    bright = {s.case: s for s in scores.sets["reference"].stacks}["janus_3e6_0"]
    # 3 of 8 degrees of freedom are fitted: sqrt(5/8) = 0.79 where photons are many, less where they are few
    assert 0.6 < bright.r_over_noise < 0.85
    assert bright.r_over_noise == pytest.approx(bright.r_factor / bright.r_noise)
    assert (bright.composition, bright.photons, bright.energies) == ("janus", 3e6, 8)
    assert scores.points == 9 * 24**2 + 4 * 16**3


def test_scores_are_plain_values_and_rows_one_table(scores):
    plain = json.loads(json.dumps(to_plain(scores), allow_nan=False))
    assert from_plain(SuiteScores, plain) == scores
    assert scores.sets.keys() == {"reference", "volumes"}
    for scored in scores.sets.values():
        assert {r.quantity for r in scored.rows} == set(QUANTITIES)
    for scored in plain["sets"].values():
        assert len({tuple(r) for r in scored["rows"]}) == 1


def test_what_a_method_refuses_is_listed(files):
    def frames_only(stack):
        if len(stack.shape) == 3:
            raise InputError("no volumes.")
        return exact(stack)

    chosen = [*only(files, "janus"), *(file for file in files if file[0] == "volumes")]
    scored = score_suite(chosen, frames_only, "m", SCORING)
    assert len(scored.sets["reference"].stacks) == 1
    assert [refusal.reason for refusal in scored.sets["volumes"].refused] == ["no volumes."] * 4
    assert scored.sets["volumes"].rows == ()
    with pytest.raises(InputError, match="answers no stack"):
        score_suite(chosen[1:], frames_only, "m", SCORING)


def test_ratios_to_the_exact_fit_are_paired(files, scores):
    """An answer a third as wrong in every point is so without an error, however the particles differ."""

    def better(stack):
        fit, truth = exact(stack), truth_columns(stack)
        names = ("f_total", "f_resonant", "f_normal")
        return replace(fit, **{n: truth[n] + (getattr(fit, n) - truth[n]) / 3 for n in names})

    some = score_suite(only(files, "core_shell", "janus", *CONTROLS), better, "better", SCORING)
    through_json = [from_plain(SuiteScores, json.loads(json.dumps(to_plain(one)))) for one in (scores, some)]
    rows = compare(dict(zip(("exact", "better"), through_json, strict=True)))
    assert records(frame(COMPARISON, rows)) == [to_plain(r) for r in rows]
    moduli = [r for r in rows if r.quantity in ("F_T", "F_A", "F_N")]
    assert {(r.method, r.set) for r in rows} == {("better", "reference")}
    assert np.allclose([r.rms_ratio for r in moduli], 1 / 3, rtol=1e-9)
    # what is left is rounding, about 1e-16 over the least particle's share of the squared errors, and its root
    assert all(r.rms_ratio_standard_error < 1e-7 for r in moduli if r.stacks > 1)
    assert np.allclose([r.rms_ratio for r in rows if r.quantity == "delta_phi"], 1, rtol=1e-9)
    by_shell = {(r.quantity, r.shell_low): r for r in rows}
    assert [by_shell[quantity, 10].stacks for quantity in ("F_T", "F_A", "delta_phi_NA")] == [4, 3, 2]
    own = row(some, "F_A", 10)
    assert by_shell["F_A", 10].relative_rms == pytest.approx(own.relative_rms, rel=1e-12)
    assert by_shell["F_A", 10].reference_relative_rms == pytest.approx(3 * own.relative_rms, rel=1e-9)


def test_a_comparison_needs_its_reference(scores):
    with pytest.raises(InputError, match="'exact'"):
        compare({"network": scores})
