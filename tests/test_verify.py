"""What is stale, and why: by what the files themselves say, wherever they lie."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from madpipe.base import provenance, store
from madpipe.base.config import plain, to_yaml, validate
from madpipe.base.errors import InputError
from madpipe.config import Config
from madpipe.verify import in_words, settings_of, verify

SAMPLE = {"path": ["data/w1.npz"], "element": "Ni", "edge": "K", "steps": ["fit"]}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Scores made of a fit's stand-in, which was made of measured data; and the configuration beside them."""
    monkeypatch.chdir(tmp_path)
    settings = validate(Config, {"mad": {"samples": {"mine": SAMPLE}}})
    Path("data").mkdir()
    Path("data/w1.npz").write_bytes(b"counts")
    convert, fit = ["mad", "samples", "mine"], ["mad", "fit"]
    make("mad_convert", "stack", [str(tmp_path / "data/w1.npz")], settings.mad.samples["mine"], convert)
    make("mad_fit", "fit", ["results/mad/mine/stack.json"], settings.mad.fit, fit, refine=[])
    Path("results/config.yaml").write_text(to_yaml(settings))
    return Path("results")


def make(rule, name, inputs, section, key, **others):
    """Do as a rule's script does."""
    output = Path(f"results/mad/mine/{name}.json")
    about = {"config": plain(section), "config_keys": {"config": key}}
    params = {**about, "code": provenance.code_of("madpipe.mad.fit.cone"), **others}
    job = SimpleNamespace(rule=rule, wildcards={"sample": "mine"}, params=params, input=inputs, output=[output])
    output.parent.mkdir(parents=True, exist_ok=True)
    store.write_json(output, {"rule": rule}, process=provenance.process_of(job))


def said(folder, *overlays):
    """Lines about a folder."""
    found, versions = verify(folder, settings_of(Path(folder), list(overlays)))
    return list(in_words(found, versions))


UP_TO_DATE = ["2 files: 0 stale, 0 unknown, 2 up to date"]


def test_nothing_is_stale_at_first_nor_after_a_move_or_a_touch(results, tmp_path):
    assert said(results) == UP_TO_DATE
    Path("results/mad/mine/stack.json").touch()
    shutil.move(results, tmp_path / "archive")
    assert said("archive") == UP_TO_DATE


def test_measured_data_that_changed_make_all_that_follows_stale(results):
    Path("data/w1.npz").write_bytes(b"others")
    assert said(results)[:2] == [
        "stale: results/mad/mine/fit.json: input is stale: stack.json",
        "stale: results/mad/mine/stack.json: input changed: w1.npz",
    ]


def test_what_is_not_at_hand_is_unknown_and_not_stale(results):
    Path("data/w1.npz").unlink()
    assert said(results) == [
        "unknown: results/mad/mine/stack.json: input w1.npz is not at hand",
        "2 files: 0 stale, 1 unknown, 1 up to date",
    ]
    store.write_json("results/other.json", {"of": "another program"})
    assert "unknown: results/other.json: does not say how it was made" in said(results)


def test_each_changed_key_is_named_from_what_to_what(results):
    settings = validate(Config, {"mad": {"samples": {"mine": {**SAMPLE, "edge": "L3"}}, "fit": {"method": "nanomad"}}})
    (results / "config.yaml").write_text(to_yaml(settings))
    assert said(results)[:2] == [
        'stale: results/mad/mine/fit.json: config changed: mad.fit.method "exact" -> "nanomad"; '
        "input is stale: stack.json",
        'stale: results/mad/mine/stack.json: config changed: mad.samples.mine.edge "K" -> "L3"',
    ]


def test_a_sample_that_left_the_configuration_is_stale(results):
    (results / "config.yaml").write_text(to_yaml(Config()))
    assert any("mad.samples.mine" in line and "-> absent" in line for line in said(results)[:2])


def test_changed_and_gone_modules_are_named(results, monkeypatch):
    digests = provenance.digests("madpipe.mad.fit.cone")
    monkeypatch.setattr(provenance, "digests", lambda *_: {**digests, "madpipe.mad.fit.cone": "0", "madpipe.new": "1"})
    assert "stack.json: code changed: madpipe.mad.fit.cone, madpipe.new" in said(results)[1]

    def gone(*_):
        raise FileNotFoundError

    monkeypatch.setattr(provenance, "digests", gone)
    assert "stack.json: code changed: madpipe.mad.fit.cone is gone" in said(results)[1]


def test_other_versions_are_told_and_make_nothing_stale(results, monkeypatch):
    now = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**now, "numpy": "9.9"})
    assert said(results) == [f"versions differ: numpy {now['numpy']} -> 9.9 (2 files)", *UP_TO_DATE]


def test_a_damaged_result_is_stale(results):
    Path("results/mad/mine/fit.json").write_text('{"rule": "mad_f')
    assert "stale: results/mad/mine/fit.json: damaged: " in said(results)[0]


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs results"):
        verify(tmp_path, None)
