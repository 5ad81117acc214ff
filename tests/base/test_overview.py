"""The overview's page: it counts, names what fails, and keeps studies and what is only compared apart."""

from dataclasses import replace

import pytest

from madpipe.base.overview import CHECKS, Check, Listed, Said, check_of, in_words, page
from madpipe.base.store import write_json
from madpipe.base.tables import frame, read_csv, records, write_csv
from madpipe.base.verdict import verdict

CHI2 = Check("mad", "s", "fit", "chi2", 1.0, 1.2, True, "m", False)
FOUND = [
    *(replace(CHI2, name=name) for name in ("r_factor", "certified", "errors")),
    replace(CHI2, value=2.5, passed=False),
    *(replace(CHI2, of="joint", name=name) for name in ("hand", "covered")),
    replace(CHI2, of="separate", name="hand", passed=False, value=0.5, compared=True),
]


def test_the_page_counts_and_names_what_fails():
    text = "\n".join(page(FOUND))
    assert "failed: 5 of 6 checks pass, 1 do not." in text
    assert "not counted in it: 0 of 1 checks pass" in text
    failing = text.partition("Checks that fail")[2].partition("By sample")[0]
    assert ("chi2" in failing, "hand" in failing, "at most 1.2" in failing) == (True, False, True)
    assert "failed 3 of 4" in text
    assert "<td>0 of 1</td>" in text
    good = [check for check in FOUND if check.passed or check.compared]
    assert "Checks that fail" not in "\n".join(page(good))


def test_samples_of_one_name_in_two_studies_have_a_line_each():
    text = "\n".join(page([*FOUND, replace(CHI2, study="rocking", of="network")]))
    by_sample = text.partition("By sample")[2].partition("<details>")[0]
    lines = [line for line in by_sample.splitlines() if "<td>s</td>" in line]
    assert [("<td>mad</td>" in line, "failed 3 of 4" in line) for line in lines] == [(True, True), (False, False)]
    assert "<td>-</td>" not in lines[1]  # nor has the one the other's columns


def test_failures_and_warnings_come_first_and_in_words(tmp_path):
    text = "\n".join(page(FOUND, [Said("mad", "t", "<odd> data"), Said("mad", "s", "other")]))
    places = [
        text.index(word) for word in ("Checks that fail", "Warnings", "<td>other", "&lt;odd&gt; data", "By sample")
    ]
    assert places == sorted(places)
    write_json(tmp_path / "overview.json", Listed(tuple(FOUND), (Said("mad", "t", "odd"),)))
    assert in_words(tmp_path / "overview.json") == [
        "5 of 6 checks pass; failing: mad s fit chi2 2.5 (at most 1.2)",
        "warning: mad t: odd",
    ]
    good = [check for check in FOUND if check.passed]
    write_json(tmp_path / "overview.json", Listed(tuple(good)))
    assert in_words(tmp_path / "overview.json") == ["5 of 5 checks pass"]


@pytest.mark.parametrize(("value", "at_most"), [(float("nan"), True), (float("inf"), False)])
def test_what_is_no_number_has_no_value(value, at_most):
    check = check_of("mad", "s", "fit", "chi2", verdict(value, 1.0, at_most, "m"))
    assert check.value is None
    assert "<td>1</td>" in "\n".join(page([replace(check, passed=False)]))


def test_the_table_holds_every_check(tmp_path):
    checks = [*FOUND, check_of("mad", "s", "fit", "nan", verdict(float("nan"), 1.0, True, "m"))]
    write_csv(tmp_path / "overview.csv", frame(CHECKS, checks), CHECKS)
    again = records(read_csv(tmp_path / "overview.csv", CHECKS))
    assert [row["value"] for row in again] == [check.value for check in checks]
    assert list(again[0]) == ["study", "sample", "of", "check", "value", "limit", "passed", "meaning", "compared"]
