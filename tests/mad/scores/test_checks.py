"""Checks of scores: each limit bites on its own side, and nothing that is no number passes."""

import json
from dataclasses import fields, replace

import pytest

from madpipe.base.plain import to_plain
from madpipe.base.verdict import Verdict
from madpipe.mad.scores.checks import checks, checks_of_file
from madpipe.mad.scores.records import AnswerScores, ObjectScores, SampleScores, ShellScore


def shell(quantity, coverage, points):
    nothing = {field.name: None for field in fields(ShellScore)}
    return ShellScore(**{**nothing, "quantity": quantity, "shell_low": 1.0, "coverage_95": coverage, "points": points})


ANSWER = AnswerScores(
    method="exact",
    energies_ev=(8333.0,),
    r_factor=0.008,
    r_noise=0.01,
    r_noise_standard_error=1e-5,
    r_factor_per_energy=(0.008,),
    r_noise_per_energy=(0.01,),
    certified_share=1.0,
    chi2_per_dof=1.0,
    shells=(
        shell("F_T", 0.95, 300),
        shell("F_A", 1.0, 100),
        shell("F_A", 0.88, 300),
        shell("delta_phi", None, 0),
        shell("delta_phi_NA", 0.5, 300),
    ),
)


def answer(**changes):
    return replace(ANSWER, **changes)


def verdict(passed):
    return Verdict(value=0.5, limit=0.8, passed=passed, meaning="m")


def scores(**changes):
    found = {
        "sample": "s",
        "title": "t",
        "simulated": True,
        "dimensions": 2,
        "photons": 1e6,
        "condition_number": 300.0,
        "answers": {"fit": answer(), "network": answer(method="network: frames")},
        "retrieve": {"joint": {"hand": verdict(True)}, "separate": {"hand": verdict(False)}},
        "retrieved": {"joint": ObjectScores(9, 0.5, 0.1, coverage_95=0.96), "separate": ObjectScores(9, 0.5, 0.1)},
    }
    return SampleScores(**{**found, **changes})


def of_fit(**changes):
    return {check.name: check for check in checks(scores(answers={"fit": answer(**changes)})) if check.of == "fit"}


def test_every_check_of_a_sample_is_listed_and_routes_beside_the_joint_one_are_marked():
    found = [(check.of, check.name, check.passed, check.compared) for check in checks(scores())]
    assert found == [
        *(("fit", name, True, False) for name in ("r_factor", "certified", "chi2", "errors")),
        ("network", "r_factor", True, False),
        ("network", "errors", True, False),
        ("joint", "hand", True, False),
        ("joint", "composition_covered", True, False),
        ("separate", "hand", False, True),
    ]
    assert {(check.study, check.sample) for check in checks(scores())} == {("mad", "s")}


def test_checks_of_a_file_are_those_of_its_scores(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(to_plain(scores())))
    assert checks_of_file(tmp_path / "scores.json") == checks(scores())


def test_coverage_is_the_least_over_quantities_and_counts_points():
    check = of_fit()["errors"]
    assert check.value == pytest.approx((100 * 1.0 + 300 * 0.88) / 400)
    assert check.meaning.startswith("F_A:")
    assert check.meaning.endswith("worst shell: 0.880 of F_A at 1 and more photons, 300 points")


def test_a_shell_that_a_good_mean_hides_is_named():
    check = of_fit(shells=(shell("F_T", 0.96, 10_000), shell("F_A", 0.97, 10_000), shell("F_A", 0.7, 400)))["errors"]
    assert check.passed
    assert "worst shell: 0.700 of F_A" in check.meaning
    assert "worst" not in of_fit(shells=(shell("F_T", 0.5, 299),))["errors"].meaning


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("r_factor", {"r_factor": 0.0101}),
        ("r_factor", {"r_noise": 0.0}),
        ("certified", {"certified_share": 0.94}),
        ("chi2", {"chi2_per_dof": 1.21}),
        ("chi2", {"chi2_per_dof": float("nan")}),
        ("errors", {"shells": (shell("F_N", 0.89, 5),)}),
    ],
)
def test_each_limit_bites(name, change):
    found = of_fit(**change)
    assert [check for check in found if not found[check].passed] == [name]


def test_a_network_may_lie_a_little_above_the_floor():
    for ratio, passes in ((1.09, True), (1.11, False)):
        found = checks(scores(answers={"network": answer(method="network: frames", r_factor=0.01 * ratio)}))
        assert found[0].passed == passes


def test_measured_samples_without_truth_or_object_have_the_checks_that_need_none():
    measured = scores(answers={"fit": answer(shells=())}, retrieve={}, retrieved={})
    assert [check.name for check in checks(measured)] == ["r_factor", "certified", "chi2"]


def test_errors_that_do_not_cover_say_where_and_what_the_equation_leaves_out():
    least = (shell("F_A", 0.7, 300),)
    thirds = {"F_A": (0.4, 0.8, 0.9), "F_T": (0.1, 0.1, 0.1)}
    found = scores(answers={"fit": answer(shells=least, by_stated_error=thirds)}, mad_residual=1e-3)
    [meaning] = [check.meaning for check in checks(found) if check.name == "errors"]
    assert "smallest, middle, largest: 0.40, 0.80, 0.90" in meaning
    assert "leaves 1.0e-03" in meaning
    assert "beyond 1e+05 photons" in meaning
    passing = scores(answers={"fit": answer(by_stated_error=thirds)}, mad_residual=1e-3)
    assert not any("stated smallest" in check.meaning for check in checks(passing))
