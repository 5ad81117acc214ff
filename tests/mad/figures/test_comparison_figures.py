"""Figures of the comparison: the scores' numbers in panels and captions, whatever methods and sets there are."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm
from numpy.testing import assert_allclose, assert_array_equal
from test_figures import image_of, panels, texts_on_canvas

from madpipe.base import store
from madpipe.base.plain import from_plain, to_plain
from madpipe.mad.config import FitConfig, SimulatedSample, SuiteConfig, ValidateConfig
from madpipe.mad.figures import FIGURES, of_one_sample, records_of
from madpipe.mad.figures.ablation import ablation
from madpipe.mad.figures.budgets import budgets
from madpipe.mad.figures.comparison import calibration, generalisation, shell_rows, suite_errors
from madpipe.mad.figures.quality import shell_centre
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.network.ablation import table as table_of
from madpipe.mad.network.variants import BASE
from madpipe.mad.scores.records import Ablation, ShellErrors, SuiteScores, TrainingScores
from madpipe.mad.scores.suite.cases import cases, suite_generator
from madpipe.mad.scores.suite.scores import score_suite
from madpipe.mad.scores.validate import truth_columns
from madpipe.mad.simulate.sample import simulate

ROUNDING = {"rtol": 1e-5}  # squares of errors near 1e-4 of a modulus, itself exact to 1e-15
TINY = SuiteConfig(sets=("reference", "energies"), grid=24, photons=(1e4, 3e6))
CHOSEN = ("core_shell_", "janus_", "pure_resonant_", "uniform_")
GAINS = {"reference": 0.5, "uniform": 1.0, "energies": 0.75}  # error of the "network" over the exact fit's
MODULI = ("f_total", "f_resonant", "f_normal")
SHELLS = ("0.1-1", "1-10", "10-100")
OVERALL = {BASE: (1.0, 1.02), "twice as bad": (2.0, 2.02), "better": (0.8, 0.81), "alike": (0.99, 1.03), "once": (1.5,)}
DRAWN = ("suite_errors", "calibration", "generalisation", "ablation", "budgets")


def exact(stack):
    return fit_stack(stack, FitConfig())


def network(stack):
    """Answer with the exact fit's moduli moved towards the truth: by half, or less far for other sets."""
    fit, truth = exact(stack), truth_columns(stack)
    kind = "reference" if len(stack.energy) == 8 else "energies"
    kind = "uniform" if json.loads(stack.truth.drawn)["sample"]["composition"] == "uniform" else kind
    moved = {
        name: truth[name].reshape(stack.shape) * (1 - GAINS[kind]) + GAINS[kind] * getattr(fit, name) for name in MODULI
    }
    return replace(fit, **moved)


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    """Scores of two methods on a tiny suite, through a file."""
    torch.set_default_dtype(torch.float64)
    folder, stacks = tmp_path_factory.mktemp("suite"), []
    for name, samples in cases(TINY).items():
        for case in (case for case in samples if case.startswith(CHOSEN)):
            stacks.append((name, case, folder / f"{name}_{case}.h5"))
            store.write(stacks[-1][2], simulate(samples[case], suite_generator(name, case)))
    answers = {"exact": exact, "network_refined": network}
    scores = [score_suite(stacks, answers[method], method, ValidateConfig(noise_draws=2)) for method in answers]
    return [from_plain(SuiteScores, json.loads(json.dumps(to_plain(one)))) for one in scores]


@pytest.fixture(scope="module")
def table():
    """The ablation's table of variants whose errors are chosen factors of the base's."""
    usual = {shell: {"f_normal": 0.4 / 3**number, "f_resonant": 0.3} for number, shell in enumerate(SHELLS)}
    runs = []
    for variant, factors in OVERALL.items():
        for factor in factors:
            shells = {shell: {name: factor * v for name, v in values.items()} for shell, values in usual.items()}
            score = ShellErrors(shells, 0.7)
            runs.append(TrainingScores(variant, 0, predicted=score, refined=score))
    return list(from_plain(Ablation, json.loads(json.dumps({"rows": to_plain(table_of(runs))}))).rows)


@pytest.fixture(scope="module")
def three():
    """Stacks of one particle at three budgets, and answers to them."""
    torch.set_default_dtype(torch.float64)
    samples = [SimulatedSample(dimensions=2, grid=32, photons=photons) for photons in (3e4, 3e6, 3e8)]
    stacks = [simulate(sample, torch.Generator().manual_seed(3)) for sample in samples]
    return {
        "stacks": stacks,
        "fits": [exact(stack) for stack in stacks],
        "networks": [network(stack) for stack in stacks],
    }


@pytest.fixture(scope="module")
def pictures(comparisons, table, three):
    """Every figure with the texts on its canvas."""
    records = {"comparisons": comparisons, "table": table, **three}
    drawn = {}
    for name in DRAWN:
        picture = FIGURES[name](**{record: records[record] for record in records_of(name)})
        drawn[name] = picture, texts_on_canvas(picture.figure)
    return drawn


def of_method(comparisons, method):
    return next(scores for scores in comparisons if scores.method == method)


def points_of(axes, colour):
    """Marks of the error-bar line of a colour."""
    (line,) = [container[0] for container in axes.containers if container[0].get_color() == colour]
    return line.get_xydata().T


def changed(comparisons, method, change, suite_set="reference"):
    """Scores of which one method's rows of a set have what a function of each gives."""
    (one,) = [scores for scores in comparisons if scores.method == method]
    rows = tuple(replace(row, **change(row)) for row in one.sets[suite_set].rows)
    sets = {**one.sets, suite_set: replace(one.sets[suite_set], rows=rows)}
    return [replace(one, sets=sets) if scores is one else scores for scores in comparisons]


@pytest.mark.parametrize("name", DRAWN)
def test_axes_have_units_and_texts_stay_apart(pictures, name):
    picture, texts = pictures[name]
    for axes in panels(picture.figure):
        for axis, siblings in ((axes.xaxis, axes.get_shared_x_axes()), (axes.yaxis, axes.get_shared_y_axes())):
            others = [axes, *siblings.get_siblings(axes)]
            labels = [getattr(other, f"{axis.axis_name}axis").label.get_text() for other in others]
            names = [label.get_text() for label in axis.get_ticklabels() if label.get_visible()]
            assert not any(names) or BASE in names or any(re.search(r"\(.+\)", label) for label in labels)
    for number, (text, box) in enumerate(texts):
        outside = (-box.x0, -box.y0, box.x1 - picture.figure.bbox.x1, box.y1 - picture.figure.bbox.y1)
        assert max(outside) <= 1, text  # a pixel: hinting rounds glyphs outwards
        for other, neighbour in texts[:number]:
            width = min(box.x1, neighbour.x1) - max(box.x0, neighbour.x0)
            height = min(box.y1, neighbour.y1) - max(box.y0, neighbour.y0)
            assert width <= 1 or height <= 1, f"{text!r} on {other!r}"


@pytest.mark.parametrize("name", DRAWN)
def test_captions_are_plain_words_and_numbers(pictures, name):
    picture, texts = pictures[name]
    titles = [text for text, _ in texts if text.startswith(r"$\bf{(")]
    assert sorted(title[6] for title in titles) == [chr(ord("a") + number) for number in range(len(titles))]
    assert not re.search(r"\b(nan|inf|None)\b", picture.caption)
    assert "$" not in picture.caption
    assert "  " not in picture.caption
    assert not of_one_sample(name)
    assert max(picture.figure.get_size_inches()) <= 9.0


# errors


def test_the_errors_drawn_are_those_of_the_scores(comparisons):
    figure = suite_errors(comparisons).figure
    for number, quantity in enumerate(("F_A", "F_N", "F_T", "delta_phi")):
        for scores, colour in zip(comparisons, ("#0072B2", "#D55E00"), strict=True):
            rows = shell_rows(scores, "reference", quantity)
            assert len(rows) > 3
            expected = [[shell_centre(row) for row in rows], [row.relative_rms for row in rows]]
            assert_allclose(points_of(figure.axes[number], colour), expected)
        bound = [line for line in figure.axes[number].get_lines() if line.get_color() == "black"]
        assert_allclose(bound[0].get_ydata(), [row.relative_bound for row in rows])


def test_medians_are_relative_to_the_rms_truth_too(comparisons):
    axes = suite_errors(comparisons).figure.axes[5]
    sums = [stack.sums.get("F_N") for stack in of_method(comparisons, "exact").sets["reference"].stacks]
    points, truth = (
        np.sum([getattr(one, kind) for one in sums if one], axis=0) for kind in ("points", "squared_truth")
    )
    rows = shell_rows(of_method(comparisons, "exact"), "reference", "F_N")
    lows = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of the suite's shells, as the sums have them
    rms = {low: math.sqrt(truth[n] / points[n]) for n, low in enumerate(lows) if points[n]}
    (line,) = [line for line in axes.get_lines() if line.get_color() == "#0072B2"]
    assert_allclose(line.get_ydata(), [row.median_error / rms[row.shell_low] for row in rows])


@pytest.mark.parametrize("method", ["exact", "network_refined"])
def test_the_caption_repeats_the_errors_and_their_ratio(comparisons, method):
    def doubled(row):
        if row.quantity == "F_N" and row.relative_rms is not None:
            return {"relative_rms": 2 * row.relative_rms}
        return {}

    before, after = (suite_errors(scores).caption for scores in (comparisons, changed(comparisons, method, doubled)))
    row = shell_rows(of_method(comparisons, method), "reference", "F_N")[-1]
    limits = f"{row.shell_low:g}" if row.shell_low < 1e3 else f"1e{math.log10(row.shell_low):.0f}"
    assert re.search(rf"{limits}-1e\d+: {row.relative_rms:.3g} \+- ", before)
    assert re.search(rf"{limits}-1e\d+: {2 * row.relative_rms:.3g} \+- ", after)
    assert before.split("Refined network over")[1] == after.split("Refined network over")[1]  # the stacks' own sums


def test_controls_and_shells_of_few_points_are_left_out(comparisons):
    def thinned(row):
        return {"points": 9 if row.shell_low < 1 else row.points}

    scores = changed(comparisons, "exact", thinned)
    assert {row.shell_low for row in shell_rows(scores[0], "reference", "F_N")} == {
        row.shell_low for row in shell_rows(comparisons[0], "reference", "F_N") if row.shell_low >= 1
    }
    assert any(row.control and row.quantity == "F_N" for row in comparisons[0].sets["reference"].rows)
    assert not any(row.control for row in shell_rows(comparisons[0], "reference", "F_N"))


# calibration


def test_reliability_is_observed_less_gaussian_share(comparisons):
    figure = calibration(comparisons).figure
    entries = of_method(comparisons, "network_refined").sets["reference"].reliability
    wanted = {row.shell_low for row in shell_rows(of_method(comparisons, "network_refined"), "reference", "F_A")}
    entries = [one for one in entries if one.quantity == "F_A" and one.shell_low in wanted]
    lines = [line for line in figure.axes[0].get_lines() if "photons" in line.get_label()]
    assert len(lines) == len(entries) > 3
    # shares within k standard deviations of a Gaussian, from tables
    gaussian = [19.741, 38.292, 54.675, 68.269, 78.870, 86.639, 95.000]
    for line, entry in zip(lines, entries, strict=True):
        assert_allclose(line.get_xdata(), gaussian, atol=6e-4)
        assert_allclose(line.get_ydata(), 100 * np.array(entry.shares) - gaussian, atol=6e-4)


def test_coverages_are_those_of_the_scores(comparisons):
    axes = calibration(comparisons).figure.axes[5]
    rows = shell_rows(of_method(comparisons, "network_refined"), "reference", "F_N")
    for name, colour in (("coverage_68", "#0072B2"), ("coverage_95", "#D55E00")):
        expected = [[shell_centre(row) for row in rows], [100 * getattr(row, name) for row in rows]]
        assert_allclose(points_of(axes, colour), expected)


@pytest.mark.parametrize(("points", "is_named"), [(300, True), (299, False)])
def test_the_worst_coverage_is_named_if_it_is_of_points_enough(comparisons, points, is_named):
    def spoilt(row):
        if row.quantity == "F_T" and row.shell_low == 10.0:
            return {"coverage_95": 0.0213, "coverage_95_standard_error": 0.01, "points": points}
        return {}

    caption = calibration(changed(comparisons, "network_refined", spoilt)).caption
    assert ("2.1 +- 1 % instead of 95.0 % (|F_T|, 10-100 photons)" in caption) == is_named
    assert "instead of 68.3 %" in caption


def test_a_shell_keeps_its_colour_where_darker_ones_are_missing(comparisons):
    def thinned(row):
        return {"points": 9 if row.shell_low < 10 and row.quantity == "F_A" else row.points}

    figure = calibration(changed(comparisons, "network_refined", thinned)).figure
    colours = [
        {line.get_label(): line.get_color() for line in figure.axes[column].get_lines() if "-" in line.get_label()}
        for column in (0, 1)
    ]
    assert "0.1-1 photons" not in colours[0]
    assert "10-100 photons" in colours[0]
    assert all(colours[1][label] == colour for label, colour in colours[0].items() if label in colours[1])


# generalisation


def test_ratios_are_those_of_the_errors(comparisons):
    """Errors of a half and of three quarters of the exact fit's; the uniform reference particle gains nothing."""
    without = [
        replace(scores, sets={name: only(one, "core_shell", "janus") for name, one in scores.sets.items()})
        for scores in comparisons
    ]
    axes = generalisation(without).figure.axes[1]  # |F_A|, whose error is moved itself, not by its parts
    for colour, ratio in (("#0072B2", GAINS["reference"]), ("#D55E00", GAINS["energies"])):
        values = points_of(axes, colour)[1]
        assert len(values) > 3
        assert_allclose(values, ratio, **ROUNDING)
    reference = [line for line in axes.get_lines() if line.get_color() == "black"]
    assert_array_equal(reference[0].get_ydata(), 1.0)


def only(scored, *compositions):
    """A set without the particles of other compositions."""
    return replace(scored, stacks=tuple(stack for stack in scored.stacks if stack.composition in compositions))


def test_the_gain_is_compared_on_particles_of_the_same_compositions(comparisons):
    """A gain of a half in the reference and of a quarter at unseen energies: half of it is lost."""
    caption = generalisation(comparisons).caption
    match = re.search(
        r"energies (\S+), reference particles of the same compositions (\S+): .*lose (\S+) \+- 0 %", caption
    )
    assert [float(number) for number in match.groups()] == [0.25, 0.5, 50]
    assert "unseen elements" not in caption


@pytest.mark.parametrize("draw", [suite_errors, calibration, generalisation])
@pytest.mark.parametrize("methods", [[], ["exact"], ["network_refined"], ["exact", "network_refined"]])
@pytest.mark.parametrize("sets", [["reference"], ["energies"]])
def test_missing_methods_and_sets_are_left_out(comparisons, draw, methods, sets):
    chosen = [
        replace(of_method(comparisons, m), sets={s: of_method(comparisons, m).sets[s] for s in sets}) for m in methods
    ]
    picture = draw(chosen)
    texts_on_canvas(picture.figure)
    assert not re.search(r"\b(nan|inf|None)\b", picture.caption)
    absent = {"reference", "energies"} - set(sets)
    if draw is generalisation:
        assert all(f"|F_N|, {name}" not in picture.caption for name in absent)
        assert (f"|F_N|, {sets[0]}" in picture.caption) == (len(methods) == 2)


def test_every_method_has_a_line_and_a_name(comparisons):
    methods = ("exact", "nanomad", "unet_patches", "network", "network_refined")
    figure = suite_errors([replace(comparisons[0], method=method) for method in methods]).figure
    assert len({container[0].get_color() for container in figure.axes[0].containers}) == len(methods)
    assert len({text.get_text() for text in figure.legends[0].get_texts()}) == len(methods) + 1
    texts = texts_on_canvas(figure)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for _, box in texts)


# ablation


def test_dots_are_the_ratios_of_the_table(table):
    overall, shells = ablation(table).figure.axes
    ratios, places = points_of(overall, "#0072B2")
    assert_allclose(ratios, [row.overall for row in table])
    assert_array_equal(places, range(len(OVERALL)))
    assert [label.get_text() for label in overall.get_yticklabels()] == [row.variant for row in table]
    for line, shell in zip(shells.get_lines(), SHELLS, strict=False):
        assert line.get_label() == f"{shell} photons"
        assert_allclose(line.get_xdata(), [row.ratios[f"f_normal {shell}"] for row in table])
    low, high = overall.get_ylim()
    assert low > high  # the best on top


def test_the_caption_says_what_helped_and_what_did_not(table):
    verdicts = dict(part.split(": ", 1) for part in re.split(r"\.\s(?=[A-Z])", ablation(table).caption)[1:])
    named = {verdict: [one for one in OVERALL if f"{one} " in f"; {words}"] for verdict, words in verdicts.items()}
    by_verdict = {"Base": BASE, "Better": "better", "Worse": "twice as bad", "No difference": "alike"}
    assert named == {verdict: [one] for verdict, one in {**by_verdict, "Not judged": "once"}.items()}
    (row,) = [row for row in table if row.variant == "better"]
    assert f"better {row.overall:.3f} +- {row.overall_error:.2g}" in verdicts["Better"]
    assert "one training" in verdicts["Not judged"]


def test_an_error_of_the_base_counts(table):
    """Twice the standard error of the difference decides, of which the base has its part."""
    wide = [replace(row, overall_error=0.2) if row.variant == BASE else row for row in table]
    assert "No difference: " in ablation(wide).caption
    assert "better" in ablation(wide).caption.split("No difference: ")[1].split(". ")[0]


# budgets


def test_budgets_show_truth_and_answers_in_common_colours(three):
    figure = budgets(**three).figure
    grid = np.array(panels(figure)).reshape(3, 3)
    for column, stack, fit, answer in zip(grid.T, *three.values(), strict=True):
        images = [axes.get_images()[0] for axes in column]
        assert isinstance(images[0].norm, LogNorm)
        assert len({(image.norm.vmin, image.norm.vmax) for image in images}) == 1
        for axes, values in zip(column, (np.abs(stack.truth.f_normal), fit.f_normal, answer.f_normal), strict=True):
            assert_allclose(image_of(axes), np.maximum(values, images[0].norm.vmin))
    tops = [axes.get_images()[0].norm.vmax for axes in grid[0]]
    assert tops == sorted(tops)


def test_the_errors_of_the_budgets_are_over_lit_points(three):
    caption = budgets(**three).caption
    for stack, fit, answer in zip(*three.values(), strict=True):
        lit = stack.truth.expected.mean(axis=0) > 1
        true = np.abs(stack.truth.f_normal)[lit]
        error, half = (np.sqrt(np.square(a.f_normal[lit] - true).sum() / np.square(true).sum()) for a in (fit, answer))
        assert f"{lit.sum()} points: exact fit {error:.3g} +- " in caption
        assert f"network {half:.3g} +- " in caption
    for photons in ("3e+04", "3e+06", "3e+08"):
        assert f"{photons} photons at the brightest energy" in caption
    other = {**three, "networks": three["fits"]}
    assert budgets(**other).caption != caption


@pytest.mark.parametrize("number", [1, 2])
def test_any_number_of_budgets_has_its_columns(three, number):
    few = {name: records[:number] for name, records in three.items()}
    assert len(panels(budgets(**few).figure)) == 3 * number


def test_a_control_has_no_relative_error():
    sample = SimulatedSample(dimensions=2, grid=24, photons=1e6, composition="pure_resonant")
    stack = simulate(sample, torch.Generator().manual_seed(2))
    assert "without a truth" in budgets([stack], [exact(stack)], [exact(stack)]).caption
