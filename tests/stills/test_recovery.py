"""Recovery of misset and spread: exactness, twins, other domains, errors, the same place from elsewhere, bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.physics import marquardt
from madpipe.physics.rotations import rotation, rotation_vector
from madpipe.stills.fit import pixels
from madpipe.stills.fit.pixels import Observed, evaluated
from madpipe.stills.fit.recovery import METHODS, recover, starts_in_box
from madpipe.stills.fit.twins import lattice_rotations, twin
from madpipe.stills.fit.unknowns import UNKNOWNS, Layout
from madpipe.stills.forward import image
from madpipe.stills.geometry import Crystal
from madpipe.stills.misset import standing
from madpipe.stills.mosaic import SpotKernel, drawn
from madpipe.stills.scene import Background
from madpipe.stills.scores.recovery import (
    START_MISSET,
    START_SPREAD,
    method_scores,
    mosaic_score,
    pull_score,
    radius_score,
)
from madpipe.stills.simulate.demo import demo
from madpipe.stills.simulate.sample import counted_images, expected_images, scaled_to


def quick(**changes):
    """The demo with a kernel: an evaluation takes a fifth of the quadrature's time."""
    return demo(shape="gauss", mosaicity=SpotKernel.isotropic(), **changes)


def away(found, truth):
    """Rotation vector from truth to what was found, and difference of the spreads [degree]."""
    turn = rotation_vector((truth.crystal.reciprocal @ found.scene.crystal.axes).T)
    return np.degrees([*turn, found.scene.spread - truth.spread])


def test_from_the_original_s_start_within_a_thousandth_of_a_degree():
    truth = demo()
    found = recover(demo(START_MISSET, START_SPREAD), image(truth, truth.panels[0]))
    assert np.abs(away(found, truth)).max() < 1e-3
    assert found.evaluations <= 20


def test_the_original_s_way_does_not_get_there():
    """Adam, 100 steps, the very domains that made the data."""
    rows = {row.parameter: row for row in method_scores(["adam"], domains=5)}
    assert rows["spread"].evaluations == 101
    assert max(abs(row.found - row.truth) for row in rows.values()) > 1


def test_every_method_goes_down_to_the_truth_from_near():
    """Half a degree off."""
    truth = quick()
    turned = truth.crystal.turned(rotation(np.radians([0.3, -0.3, 0.2])))
    start = replace(truth, crystal=turned, spread=math.radians(0.6))
    for method in METHODS:
        if not method.startswith("adam"):
            found = recover(start, image(truth, truth.panels[0]), method=method)
            assert np.abs(away(found, truth)).max() < 1e-3, method


def test_far_starts_are_recovered_low_angles_first():
    score = radius_score("low-angles", 10.0, 1)
    assert score.recovered == score.trials == 1


def test_domains_of_another_seed_have_the_spread_that_they_have():
    """1500 domains that no model knows: within .03 and .02 degree of what they really have."""
    score = mosaic_score(0, method="low-angles")
    assert abs(score.spread_error) < 0.03
    assert score.orientation_error < 0.02


def test_stated_errors_are_right(rng):
    """Spread and rotation of 20 counted images: pulls of mean 0, deviation 1, each within 4 standard errors."""
    truth = scaled_to(quick(), 1e4, 5.0)
    start = replace(
        truth, crystal=truth.crystal.turned(rotation(np.radians([0.1, -0.1, 0.1]))), spread=math.radians(0.7)
    )
    pulls = []
    for _ in range(20):
        counts = counted_images(truth, rng)[0].astype(float)
        found = recover(start, counts, ("misset", "spread", "scale", "background"), "marquardt")
        pulls += list(away(found, truth) / found.errors[:4])
    assert abs(np.mean(pulls)) < 4 / math.sqrt(80)
    assert abs(np.std(pulls, ddof=1) - 1) < 4 / math.sqrt(160)


def test_pulls_are_those_of_a_trial_s_own_errors():
    scores = [mosaic_score(trial, photons=1e4, background=5.0, method="marquardt") for trial in range(1)]
    assert scores[0].pearson == pytest.approx(1, abs=4 * math.sqrt(2 / 4096))
    assert max(abs(pull) for pull in scores[0].pulls) < 4
    assert pull_score(scores).numbers == 4


def test_scale_background_cells_and_geometry_come_back_too():
    truth = scaled_to(quick(), 1e6, 2.0)
    other = replace(truth, scale=0.8 * truth.scale, background=Background(3.0), cells=truth.cells * 1.1)
    names = ("misset", "spread", "scale", "background", "cells")
    found = recover(other, expected_images(truth)[0], names, "marquardt").scene
    assert found.cells == pytest.approx(truth.cells, rel=1e-4)
    assert found.scale == pytest.approx(truth.scale, rel=1e-4)
    assert found.background.constant == pytest.approx(2.0, rel=1e-4)
    shifted = replace(truth.panels[0], origin=truth.panels[0].origin + np.array([0.2, 0.03, -0.02]))
    moved = recover(
        replace(truth, panels=(shifted,)), expected_images(truth)[0], ("distance", "beam_centre"), "marquardt"
    )
    np.testing.assert_allclose(moved.scene.panels[0].origin, truth.panels[0].origin, atol=1e-4)


def test_the_search_ends_in_the_same_place(monkeypatch):
    """A start moved by 1e-12, data rounded otherwise: what differs stays below a grain."""
    truth = scaled_to(quick(), 1e4, 1.0)
    counts = counted_images(truth, torch.Generator().manual_seed(8))[0].astype(float)
    start = replace(
        truth, crystal=truth.crystal.turned(rotation(np.radians([4.0, -3.0, 5.0]))), spread=math.radians(0.2)
    )
    first = recover(start, counts)
    assert np.abs(away(first, truth)[:3]).max() < 0.3
    nudged = replace(
        start, crystal=start.crystal.turned(rotation(np.full(3, 1e-12))), spread=start.spread * (1 + 1e-12)
    )
    assert np.abs(away(recover(nudged, counts), first.scene)).max() < 1e-5
    plain = pixels.values_with_jacobian

    def rounded(*arguments):
        values, jacobian = plain(*arguments)
        return values * (1 + 1e-13), jacobian * (1 - 1e-13)

    monkeypatch.setattr(pixels, "values_with_jacobian", rounded)
    again = recover(start, counts)
    assert np.abs(away(again, first.scene)).max() < 1e-5
    assert again.evaluations == first.evaluations


def test_masked_pixels_are_not_used():
    truth = demo()
    seen = image(truth, truth.panels[0])
    seen[10:30, 5:20] = np.nan
    found = recover(demo(START_MISSET, START_SPREAD), seen)
    assert np.abs(away(found, truth)).max() < 1e-3


@pytest.mark.parametrize("name", UNKNOWNS)
def test_numbers_of_a_fit_have_their_derivatives(name):
    truth = scaled_to(quick(), 1e4, 1.0)
    observed = Observed.of_image(truth.panels[0], expected_images(truth)[0])
    layout, chosen = Layout((name,)), np.arange(0, 4096, 11)
    at = np.full(layout.count, 0.1)
    tried = evaluated(truth, observed, layout, at, chosen)
    for number, step in enumerate(1e-5 * np.eye(layout.count)):
        up, down = (evaluated(truth, observed, layout, at + sign * step, chosen).expected for sign in (1, -1))
        difference = (up - down) / 2e-5
        assert np.abs(difference - tried.jacobian[:, number]).max() < 1e-6 * np.abs(difference).max()


def test_slope_and_information_are_those_of_the_deviance(rng):
    truth = scaled_to(quick(), 1e4, 1.0)
    counts = counted_images(truth, rng)[0].astype(float)
    observed = Observed.of_image(truth.panels[0], counts)
    layout = Layout(("misset", "spread", "scale", "background"))
    chosen, at = observed.measured, np.full(layout.count, 0.05)
    tried = evaluated(truth, observed, layout, at, chosen)
    for number, step in enumerate(1e-5 * np.eye(layout.count)):
        up, down = (evaluated(truth, observed, layout, at + sign * step, chosen).deviance for sign in (1, -1))
        assert (up - down) / 4e-5 == pytest.approx(tried.slope[number], rel=1e-5)
    exact = Observed.of_image(truth.panels[0], expected_images(truth)[0], floor=0.0)
    there = evaluated(truth, exact, layout, np.zeros(layout.count), chosen)
    np.testing.assert_allclose(there.covariance(), np.linalg.inv(there.normal), rtol=1e-6)


def test_half_a_turn_about_the_beam_is_a_twin_at_low_angles():
    """Of a cube tilted by t: 2 t away, the same spots near the beam and others further out."""
    scene = demo()
    other = replace(scene, crystal=twin(scene.crystal, scene.beam.direction, math.radians(30)))
    cosine = scene.crystal.axes[0] @ scene.beam.direction / 100
    apart = np.linalg.norm(rotation_vector((scene.crystal.reciprocal @ other.crystal.axes).T))
    assert apart == pytest.approx(2 * math.acos(cosine), rel=1e-9)
    one, two = (image(each, each.panels[0]) for each in (scene, other))
    near = np.hypot(*(np.indices((64, 64)) + 0.5 - 33)) < 6
    assert np.abs(one - two)[near].max() < 0.02 * one.max()
    assert np.abs(one - two)[~near].max() > 0.3 * one[~near].max()


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ((50, 50, 50, 90, 90, 90), 24),
        ((50, 50, 70, 90, 90, 90), 8),
        ((50, 50, 70, 90, 90, 120), 12),
        ((50, 60, 70, 90, 90, 90), 4),
        ((50, 60, 70, 90, 100, 90), 2),
        ((50, 60, 70, 80, 95, 105), 1),
    ],
)
def test_rotations_of_a_lattice_are_as_many_as_its_point_group_has(cell, count):
    turns = lattice_rotations(standing(np.array(cell, dtype=float), np.array([0.3, 0.2, 0.1])))
    assert len(turns) == count


def test_a_lattice_without_symmetry_has_no_twin_near():
    crystal = standing(np.array([50.0, 60.0, 70.0, 80.0, 95.0, 105.0]), np.array([0.3, 0.2, 0.1]))
    assert isinstance(crystal, Crystal)
    assert twin(crystal, np.array([1.0, 0.0, 0.0]), math.radians(30)) is None


def test_starts_begin_with_the_scene_and_stay_in_the_box():
    scene = demo()
    starts = starts_in_box(scene, 8, 10.0)
    assert len(starts) == 8
    assert starts[0] is scene
    turns = [np.degrees(rotation_vector((scene.crystal.reciprocal @ one.crystal.axes).T)) for one in starts[1:]]
    assert np.abs(turns).max() <= 10
    assert np.abs(np.mean(turns, axis=0)).max() < 5


def test_a_drawn_crystal_s_spread_needs_its_own_domains():
    """What the original's demo shows is that one set of domains explains itself: another set ends elsewhere."""
    truth = demo(mosaicity=drawn(5, torch.Generator().manual_seed(1)))
    seen = image(truth, truth.panels[0])
    same, other = (
        recover(replace(truth, mosaicity=drawn(5, torch.Generator().manual_seed(seed))), seen, method="marquardt")
        for seed in (1, 2)
    )
    assert abs(away(same, truth)[3]) < 1e-3
    assert abs(away(other, truth)[3]) > 0.03


BAD = {
    "names": ({"names": ("tilt",)}, r"some of misset.*got tilt"),
    "no names": ({"names": ()}, r"some of misset"),
    "method": ({"method": "guess"}, r"one of adam.*got 'guess'"),
    "shape": ({"image": np.ones((3, 4))}, r"\(64, 64\) pixels.*got \(3, 4\)"),
    "dark": ({"image": np.zeros((64, 64))}, r"photons of 0 or more"),
    "masked": ({"image": np.full((64, 64), np.nan)}, r"in 0 measured pixels"),
    "negative": ({"image": np.full((64, 64), -1.0)}, r"got -1"),
    "spread": ({"scene": demo(spread=0.0)}, r"spread above 0 is required"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_no_fit_can_use_is_refused_in_a_line(kind):
    change, says = BAD[kind]
    with pytest.raises(InputError, match=says) as refusal:
        recover(**{"scene": demo(), "image": np.ones((64, 64)), **change})
    assert "\n" not in str(refusal.value)


class _Valley:
    """Rosenbrock's function as a trial."""

    def __init__(self, numbers):
        self.numbers = numbers
        roots = np.array([1 - numbers[0], 10 * (numbers[1] - numbers[0] ** 2)])
        slopes = np.array([[-1.0, 0.0], [-20 * numbers[0], 10.0]])
        self.deviance, self.slope, self.normal = float(roots @ roots), slopes.T @ roots, slopes.T @ slopes


def test_marquardt_goes_down_a_curved_valley_in_steps_of_limited_length():
    seen = []

    def tried(numbers):
        seen.append(numbers)
        return _Valley(numbers)

    found = marquardt.minimise(tried, np.array([-1.2, 1.0]), 200, 0.0, 0.5, 2.0**-30)
    np.testing.assert_allclose(found.numbers, [1, 1], atol=1e-6)
    assert len(seen) <= 200
    assert all(np.allclose(one * 2.0**30, np.round(one * 2.0**30)) for one in seen)
    assert np.abs(seen[1] - seen[0]).max() <= 0.5
