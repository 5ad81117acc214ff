"""What the study adds to its steps: samples, scores, peers, checks, figures, and what the commands say."""

import json
import re

import numpy as np
import pytest

from madpipe import cli
from madpipe.base import store
from madpipe.base.curves.reading import read_curves
from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, to_plain
from madpipe.kinetics.answers import read_answers
from madpipe.kinetics.config import KineticsConfig, KineticsEvaluateConfig
from madpipe.kinetics.decompose.decompose import decompose
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.events.find import find_events
from madpipe.kinetics.events.settings import EventsSettings
from madpipe.kinetics.figures import evaluation as of_evaluation
from madpipe.kinetics.figures.sample import drawings
from madpipe.kinetics.rates.fit import fit_rates
from madpipe.kinetics.rates.settings import RatesSettings
from madpipe.kinetics.scores.checks import checks_of_file, said_of_file
from madpipe.kinetics.scores.evaluate import evaluate
from madpipe.kinetics.scores.peers import change_points
from madpipe.kinetics.scores.records import Evaluation, SeriesScores
from madpipe.kinetics.scores.validate import score, true_events, truth_in_order
from madpipe.kinetics.simulate.sample import chain, simulate
from madpipe.kinetics.simulate.settings import SeriesSettings
from madpipe.kinetics.study import KINETICS

quiet = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")


def drawn(seed=1, **settings):
    return simulate(SeriesSettings(**settings), "mine", np.random.default_rng(seed))


@pytest.fixture(scope="module")
def reaction():
    """A->B->C, decomposed and fitted."""
    curves, truth = drawn(frames=40, points=60)
    parts = decompose(curves, DecomposeSettings(rank=3, closure=True, smooth="log_time", known="first", iterations=80))
    return (
        curves,
        parts,
        fit_rates(curves, RatesSettings(scheme="A->B->C")),
        find_events(curves, EventsSettings()),
        truth,
    )


def test_the_samples_of_the_study_are_samples():
    config = KineticsConfig.model_validate({"samples": KINETICS.samples})
    assert config.samples["msba"].decompose.components[1].name == "monomer"
    assert not hasattr(config.samples["reaction"], "path")


def test_a_chain_s_concentrations_are_those_of_its_rate_equations():
    """A = exp(-k1 t), B = k1 (exp(-k1 t) - exp(-k2 t)) / (k2 - k1), counted from the time 0."""
    time = np.geomspace(0.02, 20, 30)
    found = chain((2.0, 0.3), time)
    np.testing.assert_allclose(found[:, 0], np.exp(-2 * time), rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], 2.0 * (np.exp(-2 * time) - np.exp(-0.3 * time)) / (0.3 - 2.0), rtol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


@quiet
def test_a_series_is_scored_beside_its_truth(reaction, tmp_path):
    curves, *answers, truth = reaction
    found = score(curves, *answers, truth)
    assert found.rates.error < 0.008
    assert found.parts.error == pytest.approx(
        np.sqrt(np.mean((answers[0].concentrations - truth_in_order(answers[0], truth.series)) ** 2))
    )
    assert found.parts.inside > 0.8
    assert {"parts.components", "parts.inside", "rates.scheme", "rates.concentrations"} <= set(found.verdicts)
    assert from_plain(SeriesScores, to_plain(found)) == found
    file = tmp_path / "mine" / "scores.json"
    file.parent.mkdir()
    file.write_text(json.dumps(to_plain(found)))
    checks = {(one.sample, one.of, one.name): one for one in checks_of_file(file)}
    assert checks["mine", "rates", "scheme"].passed
    assert [one.warning for one in said_of_file(file)] == list(found.warnings)


def test_the_truth_is_put_into_the_answer_s_unit():
    """Answers that are the truth in another order and scale: the truth comes back as they are."""
    curves, truth = drawn(kind="elution", frames=60, points=50)
    parts = decompose(curves, DecomposeSettings(unimodal=True, rank=2))
    series = truth.series
    weight = 1 / parts.profiles_sigma[0]
    signal = (series.profiles[::-1] * weight) @ np.ones(50)
    exact = {
        "profiles": series.profiles[::-1] / signal[:, None],
        "concentrations": series.concentrations[:, ::-1] * signal,
    }
    changed = type(parts)(**{**vars(parts), **exact})
    np.testing.assert_allclose(truth_in_order(changed, series), exact["concentrations"], rtol=1e-6, atol=1e-12)


@quiet
def test_a_reference_of_other_components_is_compared(shared):
    """MsbA by its sample's settings: chi-square of REGALS, and a difference to its shares below the limit."""
    sample = KineticsConfig.model_validate({"samples": {"msba": KINETICS.samples["msba"]}}).samples["msba"]
    curves = read_curves([shared / "kinetics" / "msba.h5"])
    settings = sample.decompose.model_copy(update={"bands": False})
    found = score(curves, decompose(curves, settings), reference=sample.reference)
    assert found.parts.chi2 == pytest.approx(0.334059, rel=0.01)
    assert found.parts.off_reference < 0.03
    assert not found.verdicts["parts.components"].passed  # three stand above the noise
    moved = {"monomer": [one + 0.2 for one in sample.reference["monomer"]]}
    assert not score(curves, decompose(curves, settings), reference=moved).verdicts["parts.reference"].passed


def test_events_are_scored_beside_their_truth():
    curves, truth = drawn(kind="events", frames=120, points=60, seed=4)
    found = find_events(curves, EventsSettings())
    assert found.chi2 <= found.chi2_limit
    scored = score(curves, events=found, truth=truth).events
    assert scored.right + scored.missed == len(truth.events.frame) == len(true_events(truth.events))
    silent, none = drawn(kind="events", frames=120, points=60, quiet=True)
    assert true_events(none.events) == []
    assert score(silent, events=find_events(silent, EventsSettings()), truth=none).verdicts["events.false"].value == 0


def test_change_points_are_those_of_all_partitions():
    """Constants by least squares with a penalty, against every choice of at most two points."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(16, 2))
    scores[6:] += 2.0
    scores[11:, 1] -= 3.0

    def cost(penalty, *ends):
        return sum(np.square(part - part.mean(axis=0)).sum() for part in np.split(scores, ends)) + penalty * len(ends)

    tried = [(), *((a,) for a in range(2, 15)), *((a, b) for a in range(2, 13) for b in range(a + 2, 15))]
    for penalty in (5.0, 12.0, 18.0, 25.0, 35.0, 50.0):
        assert cost(penalty, *change_points(scores, penalty)) <= min(cost(penalty, *one) for one in tried) + 1e-9
    assert change_points(scores, 1e6) == []


@pytest.fixture(scope="module")
def evaluated():
    few = {"rank_draws": 2, "scheme_draws": 2, "event_series": 2, "quiet_series": 1, "frames": (80, 90)}
    return evaluate(KineticsEvaluateConfig(**few), 5)


def test_the_evaluation_is_written_and_drawn(evaluated):
    assert from_plain(Evaluation, to_plain(evaluated)) == evaluated
    assert evaluated.methods[0].quiet == 0
    assert len(evaluated.latencies) == evaluated.events
    for draw in of_evaluation.FIGURES.values():
        assert re.search(r"\d", draw(evaluated).caption)


@quiet
def test_every_figure_is_drawn_with_its_numbers(reaction):
    curves, parts, rates, events, truth = reaction
    made = {name: draw() for name, draw in drawings(curves, parts, rates, events, truth, {}).items()}
    assert list(made) == ["scree", "evolving_factors", "concentrations", "components", "rates", "events"]
    for picture in made.values():
        picture.figure.draw_without_rendering()
    assert f"{parts.rank} above the threshold" in made["scree"].caption
    assert "explains the data" in made["rates"].caption


@quiet
def test_known_frames_and_scales(reaction):
    """The first frame is the first component's alone; scaled frames have sums on a polynomial."""
    curves, parts, *_ = reaction
    assert parts.concentrations[0] == pytest.approx([1, 0, 0], abs=1e-4)
    factor = 1 + 0.1 * np.sin(np.arange(40))[:, None]
    moved = type(curves)(**{**vars(curves), "intensity": curves.intensity * factor, "sigma": curves.sigma * factor})
    found = decompose(moved, DecomposeSettings(rank=3, scale_order=6, bands=False, iterations=5))
    steady = decompose(curves, DecomposeSettings(rank=3, scale_order=6, bands=False, iterations=5))
    ratio = found.frame_scale * factor[:, 0] / steady.frame_scale
    assert np.ptp(ratio) < 0.12  # what is left of 20 % is the waves' own polynomial
    with pytest.raises(InputError, match="scale_order"):
        decompose(moved, DecomposeSettings(scale_order=12, frames=(0, 8)))


def test_answers_are_read_by_their_names(reaction, tmp_path):
    curves, parts, *_, truth = reaction
    store.write(tmp_path / "curves.h5", curves)
    store.write(tmp_path / "truth.h5", truth)
    store.write(tmp_path / "parts.h5", parts)
    files = {"curves": str(tmp_path / "curves.h5"), "decompose": str(tmp_path / "parts.h5")}
    found = read_answers({**files, "truth": [str(tmp_path / "truth.h5")]})
    assert found.rates is None
    np.testing.assert_array_equal(found.truth.series.concentrations, truth.series.concentrations)
    assert read_answers({**files, "truth": []}).truth is None


@quiet
@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["decompose", "--rank", "3", "--closure", "--smooth", "log_time", "--no-bands"], "the components explain"),
        (["decompose", "--rank", "1", "--no-bands"], "the components do not explain the series: components"),
        (["rates", "--scheme", "A->B->C"], "scheme explains the data"),
        (["rates", "--scheme", "A->B", "--drift", "none"], "scheme rejected"),
        (["events"], "the laws between them"),
        (["events", "--online"], "alarms in 40 frames"),
    ],
)
def test_the_last_line_of_a_command_says_whether_the_answer_explains_the_data(reaction, tmp_path, capsys, words, last):
    store.write(tmp_path / "series.h5", reaction[0])
    suffix = "json" if words[0] == "events" else "h5"
    output = str(tmp_path / f"found.{suffix}")
    assert cli.main(["kinetics", words[0], str(tmp_path / "series.h5"), "-o", output, *words[1:]]) == 0
    assert last in capsys.readouterr().out.strip().split("\n")[-1]


@pytest.mark.parametrize("words", [["--buffer", "9:3"], ["--rank", "0"], ["--known", "middle"]])
def test_a_word_that_is_none_is_refused(words, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["kinetics", "decompose", str(tmp_path / "series.h5"), "-o", str(tmp_path / "parts.h5"), *words])
    assert words[0] in capsys.readouterr().err
