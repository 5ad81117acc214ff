"""Estimates of a run that was not made: jobs of a dry run, scaled by size, played through on so many slots."""

import pytest

from madpipe.base.costs import Cost
from madpipe.base.errors import InputError
from madpipe.base.estimate import Estimate, Job, estimate, followers, jobs_from_dry_run, makespan, tails

LISTING = """Building DAG of jobs...
job    count
-----  -----
fit        2

[Thu Nov 26 06:43:22 2026]
rule fit:
    input: r/one/stack.h5, r/weights
    output: r/one/fit.h5, r/one/more.h5
    log: l/one/fit.log
    jobid: 3
    wildcards: sample=one, answer=_network
    threads: 2
    resources: tmpdir=/tmp, gpu=1

[Thu Nov 26 06:43:22 2026]
localrule score:
    input: r/one/fit.h5
    output: r/one/scores.json
    jobid: 2
    wildcards: sample=one
    resources: tmpdir=<TBD>

[Thu Nov 26 06:43:22 2026]
rule all:
    input: r/one/scores.json
    jobid: 0

[Thu Nov 26 06:43:22 2026]
rule simulate:
    output: r/one/stack.h5
    jobid: 3
    wildcards: sample=one

Reasons:
    (check individual jobs above for details)
    input files updated by another job:
        all, fit
"""


def job(name, needs=(), size=None, sample="one"):
    return Job(name, name, sample, size, tuple(needs), (name,))


def cost(seconds, size, memory=None, kind="fit", rule="fit"):
    return Cost(rule, kind, "", size, 99.0, seconds, memory)


def test_jobs_are_read_from_the_listing():
    fit, score, everything, first = jobs_from_dry_run(LISTING, {rule: {"one": 800} for rule in ("fit", "score")})
    inputs, outputs = ("r/one/stack.h5", "r/weights"), ("r/one/fit.h5", "r/one/more.h5")
    assert fit == Job("fit", "fit network", "one", 800, inputs, outputs)
    assert (score.kind, score.size) == ("score", 800)
    assert first.inputs == everything.outputs == ()
    assert followers([fit, score, everything, first]) == [[1], [2], [], [0]]


def test_a_listing_without_jobs_is_refused():
    with pytest.raises(InputError, match="no job is in it"):
        jobs_from_dry_run("Nothing to be done\n", {})


@pytest.mark.parametrize(
    ("size", "seconds", "how"),
    [
        (50, 2.0, "measured"),
        (100, 2.0, "measured"),
        (1000, 6.0, "measured"),
        (10000, 18.0, "measured"),
        (20000, 36.0, "scaled"),
    ],
)
def test_seconds_follow_the_size_as_a_power_between_and_in_proportion_beyond(size, seconds, how):
    found = estimate(job("fit", size=size), [cost(2.0, 100), cost(16.0, 10000), cost(20.0, 10000)], {})
    assert found.seconds == pytest.approx(seconds)
    assert found.how == how


def test_what_is_told_goes_first_and_what_nobody_measured_is_said():
    assert estimate(job("train"), [cost(9.0, 1, kind="train")], {"train": 450.0}) == Estimate(450.0, None, "told")
    assert estimate(job("new"), [cost(9.0, 1)], {}).how == "unknown"


def test_jobs_of_the_rule_stand_in_for_a_kind_that_nobody_measured():
    assert estimate(job("fit", size=5), [cost(4.0, None, 300.0, "fit other")], {}).seconds == 4.0
    assert estimate(job("fit", size=5), [cost(4.0, 5, 300.0)], {}).memory_mb == pytest.approx(300.0)


def test_memory_grows_with_a_sample_and_not_with_a_count_of_frames():
    known = [cost(4.0, 10, 300.0)]
    assert estimate(job("fit", size=100), known, {}).memory_mb == pytest.approx(3000.0)
    assert estimate(job("fit", size=100, sample=""), known, {}).memory_mb == pytest.approx(300.0)


JOBS = [job("a"), job("b", ["a"]), job("c", ["a"]), job("d", ["b", "c"])]
SECONDS = [1.0, 5.0, 3.0, 2.0]


def test_tails_are_the_longest_chains():
    assert tails(SECONDS, followers(JOBS)) == [8.0, 7.0, 5.0, 2.0]


def test_the_run_is_played_through_on_so_many_slots():
    assert makespan(JOBS, SECONDS, slots=1) == 11.0
    assert makespan(JOBS, SECONDS, slots=2) == 8.0


def test_jobs_that_ask_for_a_gpu_wait_for_it():
    alone = [job("a"), job("b"), job("c")]
    assert makespan(alone, [3.0, 4.0, 5.0], slots=3, on_gpu={0, 1}) == 7.0
    assert makespan(alone, [3.0, 4.0, 5.0], slots=3, on_gpu={0, 1}, gpus=2) == 5.0
