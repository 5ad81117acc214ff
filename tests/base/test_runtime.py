"""Jobs draw their own numbers, log to their own file and show how far they are."""

import logging
import os
import pty
import select
import sys
import termios
import threading
import warnings

import pytest
import torch

from madpipe.base import runtime
from madpipe.base.errors import InputError


@pytest.fixture
def logging_restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def threads_restored():
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


# -- random numbers -------------------------------------------------------------------------------------------


def draw(*names, seed=1):
    return torch.rand(4, generator=runtime.generator_for(seed, *names))


def test_a_job_draws_the_same_numbers_whatever_was_drawn_before():
    first = draw("mad_simulate", "ni3fe")
    draw("mad_simulate", "control")
    torch.rand(3)
    assert torch.equal(draw("mad_simulate", "ni3fe"), first)


def test_seed_rule_and_wildcard_each_give_other_numbers():
    draws = [draw("a", "x"), draw("a", "y"), draw("b", "x"), draw("a"), draw("a", "x", seed=2)]
    assert len({tuple(numbers.tolist()) for numbers in draws}) == len(draws)


def test_numbers_are_those_of_every_machine_and_session():
    """The seed is 63 bits of what `printf 1/a | sha256sum` prints: bf1d987701909d7b3e..."""
    assert runtime.generator_for(1, "a").initial_seed() == 0xBF1D987701909D7B // 2


# -- device and threads ---------------------------------------------------------------------------------------


def test_device_is_cuda_exactly_where_there_is_one():
    assert (runtime.device().type == "cuda") == torch.cuda.is_available()
    assert torch.ones(1, device=runtime.device()).sum().item() == 1


@pytest.mark.usefixtures("threads_restored")
def test_threads_are_as_many_as_asked_for_and_denormals_are_zero():
    least = torch.tensor([1]).view(torch.float64)  # bits 0...01, the smallest number above 0
    torch.set_flush_denormal(False)
    assert (least * 1.0).view(torch.int64).item() == 1
    runtime.fix_threads(2)
    assert torch.get_num_threads() == 2
    assert (least * 1.0).view(torch.int64).item() == 0


# -- log ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("logging_restored")
def test_log_lines_and_warnings_go_to_the_file_and_to_the_terminal(tmp_path, capsys):
    runtime.log_to(tmp_path / "logs" / "job.log")
    runtime.log.info("read %d points", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # pytest makes an error of it
        warnings.warn("the hand is undetermined", stacklevel=1)
    for text in ((tmp_path / "logs" / "job.log").read_text(), capsys.readouterr().err):
        assert "read 7 points" in text
        assert "the hand is undetermined" in text


@pytest.mark.usefixtures("logging_restored")
def test_a_second_job_starts_its_own_log(tmp_path):
    for name in ("one", "two"):
        runtime.log_to(tmp_path / f"{name}.log")
        runtime.log.info("job %s", name)
    assert "job two" not in (tmp_path / "one.log").read_text()
    assert "job one" not in (tmp_path / "two.log").read_text()


@pytest.mark.usefixtures("logging_restored", "threads_restored")
def test_a_job_ends_with_one_line_when_the_input_is_at_fault(tmp_path):
    with pytest.raises(SystemExit) as caught, runtime.job(tmp_path / "job.log"):
        raise InputError("mask must have the shape of data; it has (3,); transpose it")
    assert caught.value.code == 1
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("mask must have the shape of data; it has (3,); transpose it")


@pytest.mark.usefixtures("logging_restored", "threads_restored")
def test_a_job_that_breaks_leaves_the_trace_in_its_log(tmp_path):
    with pytest.raises(ZeroDivisionError), runtime.job(tmp_path / "job.log"):
        raise ZeroDivisionError("no photons")
    assert "ZeroDivisionError: no photons" in (tmp_path / "job.log").read_text()


# -- progress -------------------------------------------------------------------------------------------------


def test_progress_passes_every_item_on():
    assert list(runtime.progress([3, 1, 2], "points")) == [3, 1, 2]
    assert list(runtime.progress((item for item in "ab"), "letters")) == ["a", "b"]
    assert list(runtime.progress([], "nothing")) == []


def test_progress_writes_lines_where_there_is_no_terminal(monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "madpipe"):
        list(runtime.progress("abc", "letters"))
        list(runtime.progress(iter("ab"), "unknown"))
        list(runtime.progress(iter("a"), "given", total=5))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("letters: 1 of 3, ")
    assert lines[2] == "letters: 3 of 3, 0 s left"
    assert lines[3:5] == ["unknown: 1", "unknown: 2"]
    assert lines[5].startswith("given: 1 of 5, ")


def test_progress_is_silent_when_it_takes_no_time(caplog):
    with caplog.at_level(logging.INFO, "madpipe"):
        list(runtime.progress(range(100), "quick"))
    assert caplog.records == []


def test_progress_counts_in_a_unit_with_rate_and_time_left(monkeypatch, caplog):
    seconds = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(runtime.time, "monotonic", lambda: next(seconds))
    with caplog.at_level(logging.INFO, "madpipe"):
        list(
            runtime.progress(["abc", "ab"], "fit", 8000, unit="points", amount=lambda item: 1000 * len(item), done=2000)
        )
    assert caplog.messages == [
        "fit: 5.00k of 8.00k points, 300 points/s, 10 s left",
        "fit: 7.00k of 8.00k points, 250 points/s, 4 s left",
    ]


def test_pieces_are_counted_from_within(monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_SECONDS_BETWEEN_LINES", 0.0)
    runtime.count()  # nobody shows it
    with caplog.at_level(logging.INFO, "madpipe"):
        with runtime.counted("6 splines", 80):
            runtime.count()
            with runtime.without_progress(), runtime.counted("inside", 3):
                runtime.count()
            runtime.count()
        runtime.count()
    assert [line.rsplit(", ", 1)[0] for line in caplog.messages] == ["6 splines: 1 of 80", "6 splines: 2 of 80"]


def test_the_first_line_comes_within_five_seconds(monkeypatch, caplog):
    seconds = iter([0.0, 3.0, 4.5, 9.0, 14.9])
    monkeypatch.setattr(runtime.time, "monotonic", lambda: next(seconds))
    with caplog.at_level(logging.INFO, "madpipe"):
        list(runtime.progress("abcd", "fit"))
    assert [line.split(",")[0] for line in caplog.messages] == ["fit: 2 of 4", "fit: 4 of 4"]


def test_what_shows_its_own_progress_keeps_the_rest_silent(monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "madpipe"):
        with runtime.without_progress():
            assert list(runtime.progress("ab", "inner")) == ["a", "b"]
        list(runtime.progress("a", "outer"))
    assert [line.split(":")[0] for line in caplog.messages] == ["outer"]


def on_a_terminal(monkeypatch, show):
    """Call show where stderr is a terminal and give what it wrote there."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        show()
        terminal.flush()
        written = select.select([leader], [], [], 5.0)[0]
        shown = os.read(leader, 4096).decode() if written else ""
    os.close(leader)
    return shown


def test_a_bar_counts_in_a_unit(monkeypatch):
    def show():
        list(runtime.progress([1500, 2500], "fit", 6000, unit="points", amount=lambda item: item, done=2000))

    shown = on_a_terminal(monkeypatch, show)
    assert "2.00k/6.00k" in shown
    assert "points/s" in shown


def test_progress_shows_a_bar_on_a_terminal(monkeypatch):
    passed = []
    shown = on_a_terminal(monkeypatch, lambda: passed.extend(runtime.progress(range(4), "slices")))
    assert passed == [0, 1, 2, 3]
    assert "slices:" in shown
    assert "0/4" in shown


# -- threads --------------------------------------------------------------------------------------------------


@pytest.fixture
def four_threads():
    runtime.fix_threads(4)
    yield
    runtime.fix_threads(1)


def test_independent_work_shares_the_threads_and_keeps_its_order(four_threads):
    together = threading.Barrier(4, timeout=30)

    def work(number):
        together.wait()
        return number, torch.get_num_threads()

    assert runtime.side_by_side(work, range(4)) == [(number, 1) for number in range(4)]
    assert torch.get_num_threads() == 4


def test_less_work_than_threads_has_several_each(four_threads):
    assert runtime.side_by_side(lambda _: torch.get_num_threads(), range(2)) == [2, 2]
    assert runtime.side_by_side(lambda _: torch.get_num_threads(), range(1)) == [4]


def test_threads_to_come_have_all_of_them_again_also_after_a_fault(four_threads):
    def fault(number):
        raise InputError(f"needs a reason; got {number}; see there")

    with pytest.raises(InputError, match="got 0"):
        runtime.side_by_side(fault, range(4))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]


def test_one_thread_starts_no_other(monkeypatch):
    monkeypatch.setattr(runtime, "ThreadPoolExecutor", None)
    assert runtime.side_by_side(lambda number: number + 1, range(3)) == [1, 2, 3]
