"""Checks of scores: each limit bites on its own side, nothing that is no number passes, the page counts them."""

import pytest

from madpipe.mad.overview import checks, page


def answer(**changes):
    return {
        "method": "exact",
        "r_factor": 0.008,
        "r_noise": 0.01,
        "r_noise_standard_error": 1e-5,
        "certified_share": 1.0,
        "chi2_per_dof": 1.0,
        "shells": [
            {"quantity": "F_T", "coverage_95": 0.95, "points": 300},
            {"quantity": "F_A", "coverage_95": 1.0, "points": 100},
            {"quantity": "F_A", "coverage_95": 0.88, "points": 300},
            {"quantity": "delta_phi", "coverage_95": None, "points": 0},
            {"quantity": "delta_phi_NA", "coverage_95": 0.5, "points": 300},
        ],
        **changes,
    }


def verdict(passed):
    return {"value": 0.5, "limit": 0.8, "passed": passed, "meaning": "m"}


def scores(**changes):
    one = {"sample": "s", "answers": {"fit": answer(), "network": answer(method="network: frames")}}
    objects = {"joint": {"hand": verdict(True)}, "separate": {"hand": verdict(False)}}
    retrieved = {"joint": {"coverage_95": 0.96}, "separate": {}}
    return {**one, "retrieve": objects, "retrieved": retrieved, **changes}


def of_fit(**changes):
    return {
        check["check"]: check for check in checks(scores(answers={"fit": answer(**changes)})) if check["of"] == "fit"
    }


def test_every_check_of_a_sample_is_listed_and_routes_beside_the_joint_one_are_marked():
    found = [(check["of"], check["check"], check["passed"], check["compared"]) for check in checks(scores())]
    assert found == [
        *(("fit", name, True, False) for name in ("r_factor", "certified", "chi2", "errors")),
        ("network", "r_factor", True, False),
        ("network", "errors", True, False),
        ("joint", "hand", True, False),
        ("joint", "composition_covered", True, False),
        ("separate", "hand", False, True),
    ]


def test_coverage_is_the_least_over_quantities_and_counts_points():
    check = of_fit()["errors"]
    assert check["value"] == pytest.approx((100 * 1.0 + 300 * 0.88) / 400)
    assert check["meaning"].startswith("F_A:")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("r_factor", {"r_factor": 0.0101}),
        ("r_factor", {"r_noise": 0.0}),
        ("certified", {"certified_share": 0.94}),
        ("chi2", {"chi2_per_dof": 1.21}),
        ("chi2", {"chi2_per_dof": float("nan")}),
        ("errors", {"shells": [{"quantity": "F_N", "coverage_95": 0.89, "points": 5}]}),
    ],
)
def test_each_limit_bites(name, change):
    found = of_fit(**change)
    assert [check for check in found if not found[check]["passed"]] == [name]


def test_a_network_may_lie_a_little_above_the_floor():
    for ratio, passes in ((1.09, True), (1.11, False)):
        found = checks(scores(answers={"network": answer(method="network: frames", r_factor=0.01 * ratio)}))
        assert found[0]["passed"] == passes


def test_measured_samples_without_truth_or_object_have_the_checks_that_need_none():
    measured = {"sample": "s", "answers": {"fit": answer(shells=[])}}
    assert [check["check"] for check in checks(measured)] == ["r_factor", "certified", "chi2"]


def test_the_page_counts_and_names_what_fails():
    found = checks(scores(answers={"fit": answer(chi2_per_dof=2.5)}))
    text = "\n".join(page(found))
    assert "failed: 5 of 6 checks pass, 1 do not." in text
    assert "not counted in it: 0 of 1 checks pass" in text
    failing = text.partition("Checks that fail")[2].partition("By sample")[0]
    assert ("chi2" in failing, "hand" in failing, "at most 1.2" in failing) == (True, False, True)
    assert "failed 3 of 4" in text
    assert "<td>0 of 1</td>" in text
    assert "Checks that fail" not in "\n".join(page(checks(scores())))
