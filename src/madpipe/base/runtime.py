"""Where a job runs: device, threads, log file, progress, and one random generator per job."""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from madpipe.base.errors import InputError

log = logging.getLogger("madpipe")
_Item = TypeVar("_Item")
_SECONDS_BETWEEN_LINES = 10.0


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
    torch.set_flush_denormal(True)


def log_to(path: str | Path) -> None:
    """Send log lines to a job's log file, and to the terminal too."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.FileHandler(path, mode="w"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    logging.captureWarnings(True)


def progress(items: Iterable[_Item], label: str, total: int | None = None) -> Iterator[_Item]:
    """Pass items on, showing a bar on a terminal and a log line every ten seconds elsewhere."""
    total = total if total is not None else getattr(items, "__len__", lambda: None)()
    if sys.stderr.isatty() and "SNAKEMAKE_JOB" not in os.environ:
        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    start = last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            share = f" of {total}, {(total - number) * (now - start) / number:.0f} s left" if total else ""
            log.info("%s: %d%s", label, number, share)


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
