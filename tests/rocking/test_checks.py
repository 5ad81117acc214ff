"""Checks of a curve: those that its scores hold, of the fit or of the network."""

import json

import pytest

from madpipe.base.plain import to_plain
from madpipe.base.verdict import verdict
from madpipe.rocking.scores.checks import checks, checks_of_file
from madpipe.rocking.scores.records import CurveScores, ParameterScore


@pytest.mark.parametrize(("method", "of"), [("spline", "fit"), ("network, refined", "network")])
def test_every_verdict_of_a_curve_is_a_check(tmp_path, method, of):
    made = {"chi2": verdict(1.4, 1.3, True, "a"), "strain": verdict(0.05, 0.1, True, "b")}
    scores = CurveScores(
        title="one",
        method=method,
        points=9,
        starts=1,
        chi2=1.5,
        chi2_outside_peak=1.4,
        log_rms=0.1,
        parameters={"L1": ParameterScore(1.0, 0.1, False)},
        verdicts=made,
    )
    file = tmp_path / "mine" / "scores_network.json"
    file.parent.mkdir()
    file.write_text(json.dumps(to_plain(scores)))
    found = checks_of_file(file)
    assert found == checks(scores, "mine")
    assert [(one.study, one.sample, one.of, one.name, one.value, one.limit, one.passed) for one in found] == [
        ("rocking", "mine", of, "chi2", 1.4, 1.3, False),
        ("rocking", "mine", of, "strain", 0.05, 0.1, True),
    ]
