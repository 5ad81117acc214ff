"""Where a job runs: device, threads, log file, progress, and one random generator per job."""

import hashlib
import itertools
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from madpipe.base.errors import InputError

log = logging.getLogger("madpipe")
_Item = TypeVar("_Item")
_Found = TypeVar("_Found")
_SECONDS_BEFORE_A_LINE, _SECONDS_BETWEEN_LINES = 4.0, 10.0
_counter: ContextVar[Generator[None, None, None] | None] = ContextVar("counter", default=None)
_shown = ContextVar("shown", default=True)


def generator_for(seed: int, *names: str) -> torch.Generator:
    """Make a job's generator from the seed and the job's own names, so that jobs do not depend on their order."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def device() -> torch.device:
    """Choose CUDA when present, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fix_threads(count: int) -> None:
    """Use this many CPU threads: their number changes the last bits of a sum, hence it is part of the result."""
    torch.set_num_threads(count)
    threadpool_limits(count)  # numpy's and scipy's BLAS, whose waiting threads also make small work slower
    torch.set_flush_denormal(True)


def side_by_side(work: Callable[[_Item], _Found], items: Sequence[_Item]) -> list[_Found]:
    """Do independent work on each item, in as many CPU threads together as torch has; what was found is in order.

    Threads that share one operation wait for each other at its end and keep their cores busy meanwhile: a thousand
    short ones took ten times as long where anything else ran, be it the thread that reads the next slab.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(items))
    if workers < 2:
        return [work(item) for item in items]
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)  # the workers' number became that of threads to come


def require_threads(count: int) -> None:
    """Refuse to go on with another number of CPU threads than the result is to be made with.

    Raises
    ------
    InputError
        torch has another number of threads.
    """
    if torch.get_num_threads() != count:
        raise InputError(
            f"this result is made with {count} CPU threads, which are part of it; torch has {torch.get_num_threads()}; "
            f"call madpipe.base.runtime.fix_threads({count}) first, or change `threads` in the configuration."
        )


def log_to(path: str | Path) -> None:
    """Send log lines to a job's log file, and to the terminal too."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.FileHandler(path, mode="w"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}"  # the line, not where it was said
    logging.captureWarnings(True)


def progress(
    items: Iterable[_Item],
    label: str,
    total: int | None = None,
    *,
    unit: str = "",
    amount: Callable[[_Item], int] = lambda _: 1,
    done: int = 0,
) -> Generator[_Item, None, None]:
    """Pass items on, showing a bar on a terminal, and elsewhere a log line after four seconds and every ten more.

    Parameters
    ----------
    items, label:
        What to pass on, and what to call it.
    total:
        All that there is to do, in units; the number of items, if left out.
    unit, amount, done:
        What is counted, where it is not items: its name, how many units an item is, and how many were done before.
        Rate and time left are then shown in that unit.
    """
    total = total if total is not None else getattr(items, "__len__", lambda: None)()
    if not _shown.get():
        yield from items
    elif sys.stderr.isatty() and "SNAKEMAKE_JOB" not in os.environ:
        named = {"unit": f" {unit}", "unit_scale": True} if unit else {}
        with tqdm(desc=label, total=total, initial=done, leave=False, **named) as bar:
            for item in items:
                yield item
                bar.update(amount(item))
    else:
        start = time.monotonic()
        last = start - max(_SECONDS_BETWEEN_LINES - _SECONDS_BEFORE_A_LINE, 0.0)
        number = 0
        for item in items:
            yield item
            number += amount(item)
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES:
                last = now
                log.info("%s: %s", label, _how_far(number, now - start, total, unit, done))


@contextmanager
def counted(label: str, total: int | None = None) -> Iterator[None]:
    """Show how far work is that tells of each piece by :func:`count`, as :func:`progress` does.

    Parameters
    ----------
    label, total:
        What it is; pieces, at most.
    """
    token = _counter.set(progress(itertools.repeat(None), label, total))
    try:
        count()
        yield
    finally:
        _counter.get().close()  # type: ignore[union-attr]
        _counter.reset(token)


def count() -> None:
    """Tell that a piece of what is shown by :func:`counted` is done; where nobody shows it, nothing happens."""
    counter = _counter.get()
    if counter is not None:
        next(counter)


def _how_far(number: int, seconds: float, total: int | None, unit: str, done: int) -> str:
    """How much is done and how long the rest takes, in words; what was done before does not count for the rate."""
    rate = number / max(seconds, 1e-9)
    left = "" if total is None else f", {max(total - done - number, 0) / max(rate, 1e-9):.0f} s left"
    if not unit:
        return f"{number}" + (f" of {total}{left}" if total else "")
    share = "" if total is None else f" of {tqdm.format_sizeof(total)}"
    return f"{tqdm.format_sizeof(done + number)}{share} {unit}, {tqdm.format_sizeof(rate)} {unit}/s{left}"


@contextmanager
def without_progress() -> Iterator[None]:
    """Keep what runs inside from showing how far it is: whoever calls it shows that."""
    token = _shown.set(False)
    try:
        yield
    finally:
        _shown.reset(token)


@contextmanager
def job(log_file: str | Path, threads: int = 1) -> Iterator[None]:
    """Run a workflow's job: log file, fixed threads; a fault of the input ends it with one line instead of a trace."""
    log_to(log_file)
    fix_threads(threads)
    try:
        yield
    except InputError as error:
        log.error("%s", error)
        raise SystemExit(1) from None
    except Exception:
        log.exception("the job failed")
        raise


def reproducible() -> AbstractContextManager[None]:
    """Context in which CUDA convolves in full float32, not TF32, and with the same order of sums every time."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False)


@contextmanager
def rounding() -> Iterator[None]:
    """Context in which CUDA's convolutions and products may round to TF32 and sum in any order: quicker."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=False, benchmark=True, allow_tf32=True):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
