"""Benchmark files of Snakemake: read by rule, summed, damage named."""

import pytest

from madpipe.base.costs import JOBS, RUNTIMES, Cost, by_rule, costs_from_csv, kind_of, read_costs
from madpipe.base.errors import InputError
from madpipe.base.tables import frame, read_csv, records, write_csv

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
PATTERNS = {
    "fit": r".*/logs/(?P<sample>.+)/fit\.tsv",
    "apart": r".*/logs/(?P<sample>.+)/apart(?P<answer>|_network)\.tsv",
}
LINES = {
    "one/fit": ("2.5", "300.0", "2.0"),
    "two/fit": ("4.0", "500.5", "3.5"),
    "one/apart": ("9.0", "NA", "NA"),
    "one/apart_network": ("1.0", "-", "0.5"),
    "one/other": ("1", "0", "0"),
}


@pytest.fixture
def logs(tmp_path):
    for name, (seconds, memory, busy) in LINES.items():
        path = tmp_path / "logs" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEAD}{seconds}\t0:00:00\t{memory}\t0\t0\t0\t0\t0\t90\t{busy}\n")
    return tmp_path / "logs"


def test_jobs_are_summed_by_rule_the_dearest_first(logs):
    table = by_rule(read_costs(logs, PATTERNS, {}))
    assert [list(row.values()) for row in records(table)] == [
        ["apart", 2, 10.0, 9.0, 0.5, None],
        ["fit", 2, 6.5, 4.0, 5.5, 500.5],
    ]


@pytest.mark.parametrize("rules", [["fit", "apart"], []])
def test_the_table_of_rules_is_of_its_schema(logs, tmp_path, rules):
    table = by_rule(read_costs(logs, {rule: PATTERNS[rule] for rule in rules}, {}))
    write_csv(tmp_path / "runtimes.csv", table, RUNTIMES)
    assert records(read_csv(tmp_path / "runtimes.csv", RUNTIMES)) == records(table)


def test_what_nobody_measured_is_missing():
    (row,) = records(by_rule([Cost("a", "a", "", None, 1.0, None, None)]))
    assert list(row.values()) == ["a", 1, 1.0, 1.0, None, None]


def test_each_job_knows_its_sample_size_and_kind(logs):
    costs = read_costs(logs, PATTERNS, {"fit": {"one": 800, "fit": 5}, "apart": {"one": 800}})
    assert [(cost.kind, cost.sample, cost.size) for cost in costs] == [
        ("apart", "one", 800),
        ("apart network", "one", 800),
        ("fit", "one", 800),
        ("fit", "two", 5),
    ]


def test_a_file_named_without_wildcards_belongs_to_the_rule_that_names_it(logs):
    patterns = {"any": r".*/logs/one/(?P<method>.+)\.tsv", "other": r".*/logs/one/other\.tsv"}
    assert {cost.kind for cost in read_costs(logs, patterns, {})} == {
        "any fit",
        "any apart",
        "any apart_network",
        "other",
    }


def test_numbers_do_not_make_a_kind():
    assert kind_of("ablate", {"number": "3", "training": "0"}) == "ablate"


def test_costs_come_back_from_the_table(logs, tmp_path):
    costs = read_costs(logs, PATTERNS, {"fit": {"one": 800}, "apart": {"one": 800}})
    write_csv(tmp_path / "jobs.csv", frame(JOBS, costs), JOBS)
    assert costs_from_csv(tmp_path / "jobs.csv") == costs
    assert isinstance(costs[0], Cost)


def test_no_logs_are_no_costs(tmp_path):
    assert read_costs(tmp_path / "absent", PATTERNS, {}) == []


@pytest.mark.parametrize("content", ["", HEAD, "a\tb\n1\t2\n"])
def test_a_file_of_anything_else_is_refused_with_a_line(tmp_path, content):
    path = tmp_path / "logs" / "one" / "fit.tsv"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(InputError, match=r"fit\.tsv: a (benchmark file|table of benchmarks) .*is required"):
        read_costs(tmp_path / "logs", PATTERNS, {})
    with pytest.raises(InputError, match=r"fit\.tsv: a table of the costs of a run's jobs (needs|is required)"):
        costs_from_csv(path)
    with pytest.raises(InputError, match="there is no such file"):
        costs_from_csv(tmp_path / "absent.csv")
