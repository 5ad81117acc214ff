"""The workflow's steps for one file on the command line: the same functions, the same files.

Exit status: 0 done; 1 the input is at fault (one line: what is required, what came, what to do), or `verify` found
something stale; 2 wrong usage; 3 the answer is written, but fails its own checks (`retrieve`; 0 with `--accept`).
"""

import argparse
import importlib
import importlib.metadata
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from madpipe.base.errors import InputError, one_line
from madpipe.commands.options import MOST_THREADS, Parser, check_files, whole
from madpipe.commands.results import add_commands
from madpipe.studies import STUDIES

_SHORT = "mad"  # its steps are commands by themselves too


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.formatwarning = lambda message, *_, **__: f"madpipe: {message}\n"
    try:
        if arguments.run.__module__ != add_commands.__module__:  # about files: no numbers, hence no threads
            check_files(arguments)
            _fix_threads(arguments.threads)
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"madpipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("madpipe: interrupted; a fit in slabs, asked for again, goes on with what is done", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, OSError) as error:  # of the machine: neither the input's fault nor the program's
        print(f"madpipe: {_of_machine(error)}", file=sys.stderr)
        return 1


def _of_machine(error: MemoryError | OSError) -> str:
    """What to say where the machine has no more memory or disk, or denies a file."""
    if isinstance(error, MemoryError):
        return f"needs more memory than is free; got: {one_line(error) or 'no more'}; crop or bin the data."
    return f"needs files that can be read and written; got: {one_line(error)}; check the disk and the permissions."


def parser() -> argparse.ArgumentParser:
    """Every command with its options; nothing that it would run is loaded."""
    top = Parser(prog="madpipe", description="Reproducible inverse problems with X-rays.")
    top.add_argument("--version", action="version", version=importlib.metadata.version("madpipe"))
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for study in STUDIES:
        of_study = importlib.import_module(f"madpipe.commands.{study.name}")
        steps = commands.add_parser(study.name, help=study.about).add_subparsers(required=True, metavar="STEP")
        of_study.add_steps(steps)
        if study.name == _SHORT:
            of_study.add_steps(commands)
    add_commands(commands)
    for command in steps_of(top):
        threads = command.get_default("threads") or _threads_at_hand()
        command.add_argument(
            "--threads", type=whole(1, MOST_THREADS), default=threads, help="CPU threads (default: %(default)s)"
        )
    return top


def steps_of(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give every command below one that runs something, each once."""
    below = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield command
    for actions in below:
        for one in dict.fromkeys(actions.choices.values()):
            yield from steps_of(one)


def _threads_at_hand() -> int:
    """OMP_NUM_THREADS where it is set, else the cores that this process may use: a cluster gives a job only some."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(told) if told.isdigit() and int(told) > 0 else cores


def _fix_threads(count: int) -> None:
    """Use this many CPU threads."""
    from madpipe.base import runtime

    runtime.fix_threads(count)
