"""Fits of curves that an independent generator made: answers, errors, rivals, several records, bad models."""

import dataclasses
import warnings

import numpy as np
import plain_curves as independent
import pytest

from madpipe.base.curves.reading import read_curves
from madpipe.base.curves.settings import CurvesSettings
from madpipe.base.errors import InputError
from madpipe.saxs.fit.fit import fit_curves, fit_together
from madpipe.saxs.fit.measured import Prepared
from madpipe.saxs.fit.problem import Problem
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.fit.together import together
from madpipe.saxs.model import model_named

Q = np.geomspace(0.005, 0.3, 90)
CASES = {
    "sphere": {"radius": 55.0, "pd": 0.12},
    "core_shell_sphere": {"core_radius": 40.0, "thickness": 20.0, "core_contrast_ratio": -0.6, "pd": 0.1},
    "vesicle": {"core_radius": 60.0, "thickness": 25.0, "pd": 0.1},
    "ellipsoid": {"radius_polar": 25.0, "radius_equatorial": 60.0, "pd": 0.1},
    "cylinder": {"radius": 20.0, "length": 150.0, "pd": 0.1},
}


def _curves(name, values, noise=0.01, seed=0, **resolution):
    def law(q):
        return independent.intensity(name, q, **values)

    clean = independent.smeared(law, Q, **resolution)
    return independent.curves(Q, clean / clean.max() + 1e-3, noise, np.random.default_rng(seed), **resolution)


def _problem(curves, model, **settings):
    config = SaxsFitConfig(model=model, **settings)
    prepared = Prepared(curves, config)
    return Problem([prepared.measured(0, 300.0)], model_named(model), config.distribution, {}, config.fix)


@pytest.mark.parametrize(
    ("name", "resolution"),
    [(name, {}) for name in CASES] + [("sphere", {"slit": 0.03}), ("vesicle", {"dq": 0.04 * Q + 3e-4})],
)
def test_a_model_is_the_independent_curve(name, resolution):
    values = CASES[name]
    exact = _curves(name, values, noise=1e-9, **resolution)
    problem = _problem(exact, name)
    fitted = problem.fitted(problem.numbers(values))
    # 81 Gaussian points and the slit's interpolation of the generator are right to about 1e-4
    np.testing.assert_allclose(fitted.models[0], exact.intensity[0], rtol=3e-4)
    largest = independent.smeared(lambda q: independent.intensity(name, q, **values), Q, **resolution).max()
    assert fitted.factors[0].factors[0] == pytest.approx(1 / largest, rel=1e-3)  # absolute: 1/cm


@pytest.mark.parametrize("name", ["sphere", "core_shell_sphere", "vesicle"])
def test_a_fit_finds_what_was_simulated_within_its_errors(name):
    found = fit_curves(_curves(name, CASES[name]), SaxsFitConfig(model=name), 0)
    assert found.explained[0] == 1
    for key, value in CASES[name].items():
        low, _, _, high = found.quantiles[0, found.column(key)]
        middle, error = found.of(key)
        assert low <= value <= high or abs(middle - value) < 4 * error  # |z| < 4
    assert found.chi2[0] < 1.6  # 85 degrees of freedom: four standard deviations are .61


def test_starts_and_last_bits_change_nothing():
    curves = _curves("core_shell_sphere", CASES["core_shell_sphere"])
    config = SaxsFitConfig(samples=0)
    first = fit_curves(curves, config, 0)
    told = fit_curves(curves, config, 3, starts=[[CASES["core_shell_sphere"]]])
    noise = 1 + 1e-13 * np.random.default_rng(5).standard_normal(len(Q))
    shaken = fit_curves(_shaken(curves, noise), config, 7)
    errors = np.maximum(first.errors[0], 1e-12)
    # a search ends within 3e-4 standard deviations (the root of 1e-7) of the least chi-square
    assert (np.abs(told.values - first.values)[0] / errors).max() < 2e-3
    assert (np.abs(shaken.values - first.values)[0] / errors).max() < 2e-3


def _shaken(curves, factor):
    return dataclasses.replace(curves, intensity=curves.intensity * factor)


def test_derivatives_agree_with_differences():
    problem = _problem(_curves("core_shell_sphere", CASES["core_shell_sphere"]), "core_shell_sphere@hard_sphere")
    here = problem.numbers({**CASES["core_shell_sphere"], "structure_phi": 0.15})
    slope = problem.evaluated(here).slope
    for number in range(len(here)):
        step = np.zeros(len(here))
        step[number] = 1e-5
        rise = problem.deviance(here + step) - problem.deviance(here - step)
        # the projection makes half the gradient of the deviance exact; differences lose 1e-5 squared and rounding
        assert slope[number] == pytest.approx(rise / 4e-5, rel=1e-4, abs=1e-4 * np.abs(slope).max())


def test_several_places_at_once_are_each_place_alone():
    problem = _problem(_curves("sphere", CASES["sphere"]), "sphere")
    places = np.array([problem.numbers({"radius": r, "pd": p}) for r, p in ((50.0, 0.1), (70.0, 0.3))])
    for place, trial in zip(places, problem.trials(places), strict=True):
        alone = problem.evaluated(place)
        assert trial.deviance == pytest.approx(alone.deviance, rel=1e-12)
        np.testing.assert_allclose(trial.normal, alone.normal, rtol=1e-9)
        assert problem.deviance(place) == pytest.approx(alone.deviance, rel=1e-12)
        whole = problem.fitted(place).information()  # what is left of it once the factors follow: Schur's complement
        beside = whole[:2, 2:] @ np.linalg.solve(whole[2:, 2:], whole[2:, :2])
        np.testing.assert_allclose(whole[:2, :2] - beside, alone.normal, rtol=1e-7)


def test_coverage_of_spheres():
    inside, outer = 0, 0
    count = 24
    for seed in range(count):
        curves = _curves("sphere", CASES["sphere"], 0.03, seed)
        found = fit_curves(curves, SaxsFitConfig(model="sphere", starts=1, samples=0), 0, starts=[[CASES["sphere"]]])
        low, inner_low, inner_high, high = found.quantiles[0, found.column("radius")]
        inside += inner_low <= 55.0 <= inner_high
        outer += low <= 55.0 <= high
    # binomial: .68 of 24 is 16.3 +- 2.3, .95 is 22.8 +- 1.1; four of these
    assert 7 <= inside <= 23
    assert outer >= 19


def test_intervals_follow_a_valley_that_is_no_ellipse():
    values = {**CASES["core_shell_sphere"], "thickness": 6.0}
    curves = _curves("core_shell_sphere", values, 0.05)
    found = fit_curves(curves, SaxsFitConfig(starts=1, samples=60), 0, starts=[[values]])
    low, _, _, high = found.quantiles[0, found.column("thickness")]
    value, error = found.of("thickness")
    assert low < 6.0 < high
    assert abs((high - value) / (value - low) - 1) > 0.2 or high - low > 3 * error


def test_what_the_data_leave_open_is_named():
    # a shell of the core's own contrast: where it begins cannot be seen
    config = SaxsFitConfig(spread="none", fix={"core_contrast_ratio": 1.0}, samples=0, starts=4, library=64)
    assert "left open by the data" in fit_curves(_curves("sphere", {"radius": 55.0, "pd": 0.02}), config, 0).verdicts


def test_particles_that_are_no_fluid_are_refused_by_the_search_and_raise_nothing():
    curves = _curves("sphere", CASES["sphere"])
    problem = _problem(curves, "sphere@sticky_hard_sphere")
    bad = problem.numbers({"radius": 55.0, "pd": 0.12, "structure_phi": 0.3, "stickiness": 0.03})
    assert problem.deviance(bad) == np.inf
    assert problem.evaluated(bad).deviance == np.inf
    found = fit_curves(curves, SaxsFitConfig(model="sphere@sticky_hard_sphere", samples=0), 0)
    assert np.isfinite(found.chi2[0])


def test_records_of_different_q_share_their_size_and_keep_their_contrast():
    rng = np.random.default_rng(3)
    axes = (np.geomspace(0.005, 0.2, 60), np.linspace(0.01, 0.3, 70))
    ratios, records = (-0.6, 3.0), []
    for q, ratio in zip(axes, ratios, strict=True):
        clean = independent.intensity(
            "core_shell_sphere", q, **{**CASES["core_shell_sphere"], "core_contrast_ratio": ratio}
        )
        records.append(independent.curves(q, clean / clean.max() + 1e-3, 0.01, rng))
    found = fit_together(records, SaxsFitConfig(own=("core_contrast_ratio",), samples=0), 0)
    assert found.values.shape[0] == 1
    assert found.explained[0] == 1
    for name, value in (("core_radius", 40.0), ("core_contrast_ratio[1]", -0.6), ("core_contrast_ratio[2]", 3.0)):
        assert abs(found.of(name)[0] - value) < 4 * found.of(name)[1]
    joined = together(records)
    assert (np.diff(joined.q) >= 0).all()
    assert np.isfinite(joined.sigma).sum(axis=1).tolist() == [60, 70]


def test_names_that_the_model_lacks_are_refused_in_one_line():
    with pytest.raises(InputError, match="own needs parameters of the model"):
        fit_curves(_curves("sphere", CASES["sphere"]), SaxsFitConfig(model="sphere", own=("thickness",)), 0)
    with pytest.raises(InputError, match="at least one record"):
        together([])


def _read(path, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_curves([path], CurvesSettings(**settings))


def test_apoferritin_has_the_crystals_radius_of_gyration(shared):
    curves = _read(shared / "saxs" / "apoferritin.txt")
    config = SaxsFitConfig(distribution="gaussian", fix={"core_contrast_ratio": 0.0}, q_min=0.012, q_max=0.35)
    found = fit_curves(curves, config, 0)
    value, _ = found.of("radius_of_gyration")
    low, _, _, high = found.quantiles[0, found.column("radius_of_gyration")]
    assert value == pytest.approx(52.96, rel=0.01)
    assert low < 52.96 < high
    assert found.explained[0] == 0  # chi-square 1.74, as an independent analysis has it: said, and errors are scaled


def test_latex_behind_a_slit_predicts_its_pinhole_curve(shared):
    path = shared / "saxs" / "latex_smeared.xml"
    slit = _read(path, entry="latex_usans")
    settings = {"model": "sphere", "distribution": "gaussian", "q_min": 1e-4, "samples": 0}
    found = fit_curves(slit, SaxsFitConfig(**settings), 0)
    radius, _ = found.of("radius")
    assert radius == pytest.approx(2307, rel=0.005)
    assert found.chi2[0] <= 1.3
    wrong = fit_curves(slit, SaxsFitConfig(**settings, smear=False), 0)
    assert wrong.explained[0] == 0
    assert wrong.of("radius")[0] < 2200
    pinhole = _read(path, entry="latex_sans")
    problem = _problem(pinhole, "sphere", distribution="gaussian", q_max=0.02)
    size = {name: found.of(name)[0] for name in ("radius", "pd")}
    whole = Prepared(pinhole, SaxsFitConfig(model="sphere", distribution="gaussian", q_max=0.02)).measured(0, 6000.0)
    fitted = Problem([whole], model_named("sphere"), "gaussian").fitted(problem.numbers(size))
    scale = fitted.factors[0].factors[0]
    assert scale == pytest.approx(found.of("scale")[0], rel=0.3)  # two instruments' absolute scales


def test_microemulsion_needs_a_structure_factor(shared):
    names = ("Core", "Drop", "Shell")
    records = [_read(shared / "saxs" / f"AOT_Microemulsion-{name}_Contrast.xml") for name in names]
    settings = {"own": ("core_contrast_ratio",), "relative_error": 0.02, "samples": 0, "starts": 8}
    placed = fit_together(records, SaxsFitConfig(model="core_shell_sphere@hard_sphere", **settings), 0)
    weights = [np.isfinite(one).sum() for one in placed.calculated]
    assert np.average(placed.chi2, weights=weights) < 2.0  # dilute ones: 4.1


def test_a_curve_below_its_background_everywhere_leaves_no_particle_and_raises_nothing():
    curves = _curves("sphere", CASES["sphere"])
    below = dataclasses.replace(curves, intensity=-curves.intensity)
    found = fit_curves(below, SaxsFitConfig(model="sphere", starts=2, library=64, samples=0), 0)
    assert found.of("scale")[0] == 0.0
    assert not found.explained[0]
