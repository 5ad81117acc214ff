"""Figures of stills: text apart and on the page, panels lettered, numbers in captions; and that they show the data."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_texts import texts_on_canvas
from matplotlib.quiver import Quiver
from scipy.integrate import quad

from madpipe.base.plain import from_plain, to_plain
from madpipe.base.shipped import shipped_weights
from madpipe.stills.config import SimulatedStills, StillsEvaluateConfig, StillsFitConfig
from madpipe.stills.figures import evaluation as of_evaluation
from madpipe.stills.figures import sample as of_sample
from madpipe.stills.figures.drawn import Drawn
from madpipe.stills.figures.merged import by_others, true_correlations
from madpipe.stills.figures.model import deviations
from madpipe.stills.figures.pixels import pixels
from madpipe.stills.figures.spots import residuals, seen
from madpipe.stills.fit.images import fit_images
from madpipe.stills.index.records import CrystalList, CrystalRow
from madpipe.stills.integrate.files import integrate_images
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.measured.images import Images, Source
from madpipe.stills.measured.reference import Reference
from madpipe.stills.merge.merged import Observations
from madpipe.stills.merge.summary import merged_quality
from madpipe.stills.network.infer import Predictor
from madpipe.stills.network.records import NetworkScore, StartScore
from madpipe.stills.network.weights import load_network
from madpipe.stills.reflections.model import indices_within, predicted
from madpipe.stills.scores import evaluate as evaluating
from madpipe.stills.scores.integration import NUMBERS, integration
from madpipe.stills.scores.learned_partiality import learned_partialities
from madpipe.stills.scores.records import Evaluation
from madpipe.stills.scores.recovery import START_MISSET, START_SPREAD, MethodScore, RadiusScore, TrialScore, pull_score
from madpipe.stills.scores.traces import trace
from madpipe.stills.scores.validate import Answers
from madpipe.stills.scores.width_error import theory, width_errors
from madpipe.stills.simulate.crystals import draw_stills
from madpipe.stills.simulate.demo import demo

CELL = (79.6, 77.2, 38.7, 90.0, 90.0, 90.0)
SET = SimulatedStills(cell=CELL, space_group="P 21 21 21", images=3, size=448, photons=4e5, told_off=0.02)
DEMO = SimulatedStills(
    cell=(100.0, 100.0, 100.0, 90.0, 90.0, 90.0), images=1, size=64, pixel=0.1, distance=100.0, cells=(5.0, 5.0, 5.0),
    shape="square", spread=0.8, misset=(5.0, 3.0, -2.0), told_off=1.0, amplitude=100.0, photons=1e4, b_sd=0.0,
    background=1.0,
)  # fmt: skip
MERGED = ("images", "shells", "instrument", "scales")
SPOTS = ("predictions", "residuals")


def images_of(drawn, counts, name):
    count = len(counts)
    sources = tuple(Source(path=Path(name), frame=k) for k in range(count))
    return Images((drawn.beam,) * count, (drawn.panel,), sources, (np.nan,) * count, lambda k: tuple(counts[k]))


def exposed(sample, seed):
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_stills(sample, generator)
    return drawn, images_of(drawn, list(drawn.counts(generator)), "made.nxs")


def listed(images):
    row = {"saturated": 0, "failed": None, "cell": CELL, "misorientation": None, "excitation": 7e-4, "mosaic": 0.0}
    rows = [
        CrystalRow(image=one.label, spots=9, within=(1.0, 1.0, 1.0), chance=(0.0, 0.0, 0.0), rms=(0.1, 0.1, 0.1), **row)
        for one in images.sources
    ]
    return CrystalList(
        space_group="P 21 21 21", images=tuple(rows), tilt=(), tilt_errors=(), distance=None, beam_centre=(), said=()
    )


@pytest.fixture(scope="module")
def crystals():
    """Three images with spots, integrated with a reference and merged."""
    drawn, images = exposed(SET, 5)
    truth = drawn.truth
    reference = Reference(truth.hkl, truth.reference, 0.3 * truth.reference, np.array(CELL), "P 21 21 21", "drawn")
    integrated = integrate_images(images, drawn.told, IntegrateConfig(resolution=3.3), reference)
    merged, _ = merged_quality(integrated, 0.1, np.random.default_rng(0))
    answers = Answers(indexed=listed(images), integrated=integrated, merged=merged)
    return Drawn("three", images, drawn.told, answers, truth, StillsFitConfig())


@pytest.fixture(scope="module")
def fitted():
    """The demo, its pixels fitted."""
    drawn, images = exposed(DEMO, 6)
    config = StillsFitConfig(method="low-angles")
    return Drawn(
        "demo", images, drawn.told, Answers(fitted=fit_images(images, drawn.told, config)), drawn.truth, config
    )


@pytest.fixture(scope="module")
def evaluation():
    """A comparison whose searches are made up and whose integration is not."""
    rng = np.random.default_rng(2)
    names = ("misset_x", "misset_y", "misset_z", "spread")
    shared = {"truth": 0.8, "start": 0.2, "evaluations": 30, "seconds": 0.1}
    rows = [
        MethodScore(method=method, parameter=name, found=0.8 + off, error=0.05, **shared)
        for method, off in (("adam", 1.9), ("low-angles", 1e-6))
        for name in names
    ]
    radii = [
        RadiusScore(
            method="low-angles", pixel=0.1, offset=offset, trials=4, recovered=good, share_error=0.2, evaluations=20.0,
            seconds=0.3,
        )
        for offset, good in ((2.0, 4), (8.0, 3))
    ]  # fmt: skip
    trials = [
        TrialScore(
            trial=k, offset=2.0, spread=0.3 + 0.2 * k, spread_error=0.01 * (k - 1), orientation_error=1e-3, seconds=1.0,
            pulls=tuple(rng.normal(size=4).tolist()), pearson=1.0,
        )
        for k in range(4)
    ]  # fmt: skip
    made = Evaluation(
        methods=tuple(rows[4:]),
        same_domains=tuple(rows),
        radii=tuple(radii),
        trials=tuple(replace(one, pulls=()) for one in trials),
        noisy=tuple(trials),
        pulls=pull_score(trials),
        traces=(trace("marquardt", 1, START_MISSET, START_SPREAD),),
        integration=integration(("joint", "pixel-ml", "pixel-unweighted"), 1),
        starts=tuple(start_of(method, offset) for method in ("low-angles", "network") for offset in (4.0, 10.0)),
        network=(
            NetworkScore(
                photons=1e4,
                background=1.0,
                images=9,
                turn_rms=0.4,
                turn_median=0.3,
                spread_rms=0.15,
                within=(0.6, 0.9),
                within_spread=(0.7, 0.95),
                share_error=0.1,
                seconds=None,
            ),
        ),
        partialities=tuple(learned_partialities(("round",), 1)),
    )
    return from_plain(Evaluation, to_plain(made))  # as the file keeps it


def start_of(method, offset):
    """Trials of which half succeed."""
    return StartScore(
        method=method, offset=offset, trials=4, recovered=2, share_error=0.25, evaluations=20.0, seconds=None
    )


def picture_of(name, request):
    if name in of_evaluation.FIGURES:
        return of_evaluation.FIGURES[name](request.getfixturevalue("evaluation"))
    return of_sample.FIGURES[name](request.getfixturevalue("fitted" if name == "pixels" else "crystals"))


@pytest.mark.parametrize("name", ["pixels", *SPOTS, *MERGED, *of_evaluation.FIGURES])
def test_a_figure_is_legible_and_its_caption_has_the_numbers(name, request):
    picture = picture_of(name, request)
    width, height = picture.figure.get_size_inches()
    assert width <= 7.0
    assert height <= 9.0
    texts, page = texts_on_canvas(picture.figure), picture.figure.bbox
    for number, (text, box) in enumerate(texts):
        outside = (page.x0 - box.x0, page.y0 - box.y0, box.x1 - page.x1, box.y1 - page.y1)
        assert max(outside) <= 1, text
        for other, neighbour in texts[:number]:
            across = min(box.x1, neighbour.x1) - max(box.x0, neighbour.x0)
            up = min(box.y1, neighbour.y1) - max(box.y0, neighbour.y0)
            assert across <= 1 or up <= 1, f"{text!r} on {other!r}"
    titles = [text for text, _ in texts if text.startswith(r"$\bf{(")]
    assert [title[6] for title in sorted(titles)] == [chr(ord("a") + number) for number in range(len(titles))]
    assert titles
    assert any(letter.isdigit() for letter in picture.caption)
    assert not re.search(r"\b(nan|inf|None)\b|\$|  ", picture.caption)


def test_every_figure_of_the_rules_is_there():
    assert set(of_sample.FIGURES) == {"pixels", *SPOTS, *MERGED}


# --- pixels


def test_pixels_show_the_counts_upright_and_deviations_in_errors(fitted):
    figure = pixels(fitted).figure
    counts, start, refined, deviation = (axes.get_images()[0] for axes in figure.axes)
    told = fitted.images[0].counts[0]
    left, right, bottom, top = counts.get_extent()
    assert (left, right, bottom, top) == (0, 64, 64, 0)
    np.testing.assert_allclose(np.asarray(refined.get_array())[::-1].sum(), told.sum(), rtol=0.02)
    row, column = np.unravel_index(told.argmax(), told.shape)
    assert counts.get_array()[63 - row, column] == told.max()
    shown, (begun, ended) = told[::-1], (np.asarray(one.get_array()) for one in (start, refined))
    np.testing.assert_allclose(deviation.get_array(), (shown - ended) / np.sqrt(ended))
    few = 5 / np.sqrt(2 * told.size)  # five standard errors of a standard deviation
    assert np.std(deviation.get_array()) == pytest.approx(1.0, abs=few)
    missed = [np.sum((shown - one) ** 2 / one) for one in (begun, ended)]
    assert missed[0] - missed[1] > 50  # six numbers are free, each is worth about one by chance


def test_the_caption_says_how_far_the_truth_is(fitted):
    found = fitted.answers.fitted
    said = float(re.search(r"stands (\S+) degree", pixels(fitted).caption).group(1))
    turn = fitted.truth.axes[0].T @ np.linalg.inv(found.axes[0].T)
    angle = np.degrees(np.arcsin(np.linalg.norm(turn - turn.T) / np.sqrt(8)))
    assert said == pytest.approx(angle, rel=0.06)
    assert angle < 5 * np.degrees(np.radians(np.linalg.norm(found.errors[0][:3])))


# --- spots


def test_arrows_show_by_how_much_spots_are_moved(crystals):
    """The same spots on a detector that is said to stand elsewhere."""
    panel = crystals.images.panels[0]
    moved = replace(panel, origin=panel.origin - 0.6 * panel.pixel[0] * panel.fast + 0.4 * panel.pixel[1] * panel.slow)
    away = replace(crystals, images=replace(crystals.images, panels=(moved,)), crystals=true_of(crystals))
    figure = residuals(away).figure
    [arrows] = [one for one in figure.axes[0].collections if isinstance(one, Quiver)]
    mean = np.median(np.stack([arrows.U, arrows.V]), axis=1)
    np.testing.assert_allclose(mean, [-0.6, 0.4], atol=0.05)


def true_of(drawn):
    """The crystals as they are."""
    return tuple(replace(one, axes=axes) for one, axes in zip(drawn.crystals, drawn.truth.axes, strict=True))


def test_spots_lie_on_the_predictions_and_not_by_chance(crystals):
    right = residuals(replace(crystals, crystals=true_of(crystals))).figure.axes[1]
    found, chance = (line.get_ydata() for line in right.get_lines()[:2])
    at = right.get_lines()[0].get_xdata()
    assert found[np.argmin(np.abs(at - 1.0))] > 95
    assert chance[np.argmin(np.abs(at - 1.0))] < 10
    assert (np.diff(found) >= 0).all()


def test_the_part_enlarged_has_its_spots_in_the_circles(crystals):
    truth = replace(crystals, crystals=true_of(crystals))
    figure = of_sample.FIGURES["predictions"](truth).figure
    circles, crosses = (np.array(line.get_data()).T for line in figure.axes[1].get_lines())
    assert len(crosses) > 5
    apart = np.linalg.norm(crosses[:, None] - circles[None], axis=2).min(axis=1)
    assert np.quantile(apart, 0.9) < 0.5
    one = seen(truth, 0)
    hkl = indices_within(one.crystal, 2.0)
    expected = predicted(truth.images.beams[0], list(truth.images.panels), one.crystal, hkl, 1.4e-3).xy
    drawn = np.array(figure.axes[0].get_lines()[0].get_data()).T
    assert np.isin(np.round(drawn, 6), np.round(expected, 6)).all()


# --- images and shells


def test_a_scale_by_the_others_is_what_an_image_is_off():
    """Five images of fifty reflections, one of which is a factor 1.3 too strong."""
    rng = np.random.default_rng(1)
    true = rng.exponential(100.0, 50)
    unique, image = np.tile(np.arange(50), 5), np.repeat(np.arange(5), 50)
    factor = np.where(image == 2, 1.3, 1.0)
    value = factor * true[unique] + rng.normal(0, 2.0, 250)
    found = by_others(Observations(unique, image, np.ones(250, dtype=bool), value, np.full(250, 2.0), 50), 2)
    assert found.change == pytest.approx(np.log(1.3), abs=4 * found.error)
    assert 0 < found.error < 0.01
    assert found.logarithms.shape[1] < 50  # none below three errors
    assert np.corrcoef(found.logarithms)[0, 1] > 0.98


def test_deviations_from_the_others_have_unit_variance():
    """Two to six measurements of one value each, with errors of their own; one reflection is measured once."""
    rng = np.random.default_rng(4)
    unique = np.concatenate([np.repeat(np.arange(400), rng.integers(2, 7, 400)), [400]])
    sigma = rng.uniform(1.0, 9.0, len(unique))
    value = 50.0 + 7.0 * unique + sigma * rng.normal(size=len(unique))
    nothing = np.zeros(len(unique), dtype=int)
    found = deviations(Observations(unique, nothing, nothing > 0, value, sigma, 401))
    assert len(found) == len(unique) - 1
    pairs = Observations(
        np.array([0, 0]), np.arange(2), np.ones(2, dtype=bool), np.array([1.0, 11.0]), np.array([3.0, 4.0]), 1
    )
    np.testing.assert_allclose(deviations(pairs), [-2.0, 2.0])
    # measurements of a reflection are correlated through one another: 400 reflections count
    assert np.std(found) == pytest.approx(1.0, abs=5 / np.sqrt(2 * 400))


def test_few_pairs_tell_no_scale():
    few = Observations(np.zeros(2, dtype=int), np.arange(2), np.ones(2, dtype=bool), np.ones(2), np.ones(2), 1)
    assert np.isnan(by_others(few, 0).change)


def test_correlations_with_the_truth_know_shuffled_ones(crystals):
    integrated, shells = crystals.answers.integrated, crystals.answers.merged.shells
    right = [one for one in true_correlations(integrated, crystals.truth, shells) if one is not None]
    assert min(right) > 0.9
    wrong = replace(crystals.truth, intensity=np.random.default_rng(1).permutation(crystals.truth.intensity))
    assert np.mean([one for one in true_correlations(integrated, wrong, shells) if one is not None]) < 0.3
    assert set(true_correlations(integrated, None, shells)) == {None}


def test_correlations_with_the_truth_are_those_of_each_shell(crystals):
    """Wrong intensities in the last shell alone."""
    integrated, shells, truth = crystals.answers.integrated, crystals.answers.merged.shells, crystals.truth
    d = 1 / np.linalg.norm(truth.hkl / np.array(CELL[:3]), axis=1)
    some = np.flatnonzero(d <= shells[-1].lowest * (1 + 1e-3))
    intensity = truth.intensity.copy()
    intensity[some] = np.random.default_rng(3).permutation(intensity[some])
    *others, last = true_correlations(integrated, replace(truth, intensity=intensity), shells)
    assert min(others) > 0.9
    assert last < 0.5


def test_scales_are_drawn_against_the_truth(crystals):
    figure = of_sample.FIGURES["scales"](crystals).figure
    shown = figure.axes[0].containers[0].lines[0].get_xdata()
    np.testing.assert_allclose(shown, crystals.truth.ln_scale)


def test_partiality_falls_as_the_law(crystals):
    axes = of_sample.FIGURES["instrument"](crystals).figure.axes[1]
    [bars] = axes.containers
    at, share = bars.lines[0].get_data()
    radius = 1e3 * np.exp(crystals.answers.integrated.instrument.values[0])
    assert len(at) > 8
    np.testing.assert_allclose(np.array(share, dtype=float), np.exp(-((np.array(at) / radius) ** 2)), atol=0.15)


# --- the evaluation


@pytest.mark.parametrize("signal", [0.1, 1.0, 30.0])
def test_the_law_of_a_wrong_width_is_its_integral(signal):
    weight = lambda x: np.exp(-2 * x) / (1 + signal * np.exp(-x))  # noqa: E731
    numerator = quad(lambda x: (2 - 2 * x) * weight(x), 0, 50)[0]
    assert theory(signal) == pytest.approx(numerator / quad(weight, 0, 50)[0], abs=1e-4)


def test_counts_follow_the_law_of_a_wrong_width():
    for one in width_errors(3):
        # a step of 5 % on both sides: the third derivative is below 3, which leaves 3 * .05^2 / 6
        assert one.found == pytest.approx(one.theory, abs=4 * one.error + 1.3e-3)


def test_a_trace_is_the_search_that_it_follows():
    found = trace("marquardt", 1, START_MISSET, START_SPREAD)
    assert found.loss[0] == 1.0
    assert found.spread[0] == pytest.approx(np.degrees(START_SPREAD))
    expected = np.degrees(np.linalg.norm(away(demo().crystal, demo(START_MISSET).crystal)))
    assert found.orientation[0] == pytest.approx(expected, rel=1e-6)
    assert found.loss[-1] < 1e-9
    assert found.spread[-1] == pytest.approx(0.8, abs=1e-4)


def away(one, other):
    """Rotation vector between two crystals, from the antisymmetric part."""
    turn = (one.reciprocal @ other.axes).T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
    size = np.linalg.norm(axis)
    return axis / size * np.arcsin(size)


def test_methods_with_the_reference_s_error_are_nearer_to_the_truth_than_they_would_be_without(evaluation):
    joint, plain, unweighted = evaluation.integration.methods
    rms = lambda values: np.sqrt(np.mean(np.square(values)))  # noqa: E731
    assert rms(joint.ln_scale) < rms(plain.ln_scale)
    assert joint.cc_true > unweighted.cc_true
    assert rms(unweighted.ln_scale_errors) < rms(unweighted.ln_scale) / 3  # stated far too small


def test_correlations_are_those_of_a_covariance_and_weights_join_width_to_scale(evaluation):
    scale, width = NUMBERS.index("ln G"), NUMBERS.index("ln R1")
    for row in evaluation.integration.methods:
        matrix = np.array(row.correlations)
        np.testing.assert_allclose(np.diag(matrix), 1.0)
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
        assert np.linalg.eigvalsh(matrix).min() > 0
    joint, _, unweighted = (abs(row.correlations[scale][width]) for row in evaluation.integration.methods)
    assert joint < 0.1 < unweighted


def test_a_prior_of_the_radius_narrows_the_scale_of_one_image(evaluation):
    found = evaluation.integration.degeneracy
    alone, believed = found.fits
    assert alone.correlation < -0.3
    assert abs(believed.correlation) < abs(alone.correlation)
    assert believed.ln_scale_error < alone.ln_scale_error
    assert found.held[len(found.held) // 2] == pytest.approx(np.exp(alone.ln_radius))
    assert found.ln_scale[len(found.held) // 2] == pytest.approx(alone.ln_scale, abs=alone.ln_scale_error)
    assert found.ln_scale[0] > found.ln_scale[-1]


def test_the_orientation_comes_back_and_centroids_with_it(evaluation):
    found = evaluation.integration.geometry
    assert np.all(np.abs(found.left) < 4 * np.array(found.errors))
    before, after = (np.array([getattr(one, name) for one in found.shifts]) for name in ("before", "after"))
    assert np.sqrt(np.mean(after**2)) < np.sqrt(np.mean(before**2)) / 3
    # the turn about the beam, 0.15 degree, moves columns by less rows, rows by columns: both axes run against x and y
    at = np.array([one.at for one in found.shifts]) - found.size / 2
    turned = (at[:, 0] * before[:, 1] - at[:, 1] * before[:, 0]) / np.sum(at**2, axis=1)
    far = np.linalg.norm(at, axis=1) > found.size / 4
    assert np.degrees(np.median(turned[far])) == pytest.approx(0.15, abs=0.03)


def test_points_of_a_partiality_lie_on_the_law_of_crystals_that_are_gaussian(evaluation):
    [row] = evaluation.partialities
    law = np.exp(-np.square(row.bins))
    # orientations and R0 of eight images leave a few per cent
    np.testing.assert_allclose(row.seen, law, atol=0.04)
    np.testing.assert_allclose(row.learned, row.gaussian, atol=0.02)
    assert abs(row.gain) < 4 * row.gain_error + 0.5
    assert row.deviance_learned == pytest.approx(row.deviance_gaussian, rel=0.01)


def test_an_evaluation_runs_the_parts_that_are_asked_for(monkeypatch, evaluation):
    config = StillsEvaluateConfig(
        methods=("low-angles",),
        offset_methods=("low-angles",),
        offsets=(1.0,),
        trials=1,
        pulls=1,
        integration=("joint",),
        beginnings=("network",),
        network_images=3,
        partialities=("round",),
    )
    asked, predictor = [], Predictor(load_network(shipped_weights("stills")))
    alone = evaluation.network[0]
    monkeypatch.setattr(evaluating, "integration", lambda methods, seed: asked.append((methods, seed)))
    monkeypatch.setattr(evaluating, "SHOWN", ("marquardt",))
    monkeypatch.setattr(evaluating, "mosaic_score", lambda number, seed, *noise: noisy(number, bool(noise)))
    monkeypatch.setattr(evaluating, "start_scores", lambda *given: asked.append(given) or [start_of("network", 1.0)])
    monkeypatch.setattr(evaluating, "network_score", lambda *given: asked.append(given) or alone)
    monkeypatch.setattr(evaluating, "learned_partialities", lambda *given: asked.append(given) or [])
    found = evaluating.evaluate(config, 7, predictor)
    assert asked[:2] == [(("joint",), 7), (predictor, (1.0,), 1, 7, ("network",))]
    assert asked[2:5] == [(predictor, 3, photons, dark, 7) for photons, dark in ((1e4, 1.0), (1e5, 1.0), (1e6, 0.1))]
    assert asked[5:] == [(("round",), 7)]
    assert [row.method for row in found.starts] == ["network"]
    assert [row.method for row in found.radii] == ["low-angles"]
    assert [one.method for one in found.traces] == ["marquardt"]
    assert {row.method for row in found.methods} == {"low-angles"}


def noisy(number, counted):
    return TrialScore(
        trial=number, offset=1.0, spread=0.5, spread_error=0.0, orientation_error=0.0, seconds=0.0, pearson=1.0,
        pulls=(0.1, -0.2, 0.3, 0.4) if counted else (),
    )  # fmt: skip
