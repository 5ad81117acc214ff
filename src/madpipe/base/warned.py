"""What a user has to know of data or an answer: a line on the terminal and in the log, kept in the result too.

A result keeps its lines as ``entry_1/warnings``; ``madpipe info`` shows them first, scores.json and the report's first
page repeat them. What cannot be used at all is an :class:`madpipe.base.errors.InputError` instead.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

PATH = "entry_1/warnings"  # of a record, one line each
_Made = TypeVar("_Made")
_Told = ParamSpec("_Told")
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class DataWarning(UserWarning):
    """The data can be used, but do not determine, or do not say, all that is asked of them."""


def warn(line: str) -> None:
    """Say a line: what is odd, what it does to the answer, what to do. Those who listen (:func:`heard`) keep it."""
    known = _heard.get()
    if known is not None:
        if line in known:
            return
        known.append(line)
    warnings.warn(line, DataWarning, stacklevel=2)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Listen to what is warned of inside, each line once; who listens outside hears it too."""
    outside, inside = _heard.get(), list[str]()
    token = _heard.set(inside)
    try:
        yield inside
    finally:
        _heard.reset(token)
        if outside is not None:
            outside += [line for line in inside if line not in outside]


def keeping(make: Callable[_Told, _Made]) -> Callable[_Told, _Made]:
    """Let a function that makes a record listen: the record keeps what is said, in its field ``warnings``."""

    @functools.wraps(make)
    def listening(*args: _Told.args, **kwargs: _Told.kwargs) -> _Made:
        with heard() as said:
            made = make(*args, **kwargs)
        if said:
            record: Any = made
            made = dataclasses.replace(record, warnings=kept(record.warnings, said))
        return made

    return listening


def kept(*some: str | Iterable[str] | None) -> str | None:
    """Text that a record keeps: lines of several sources, each once; None where there are none."""
    every = [line for one in some for line in lines_of(one)]
    return "\n".join(dict.fromkeys(every)) or None


def lines_of(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """Lines of a text that a record keeps."""
    return tuple(text.splitlines()) if isinstance(text, str) else tuple(text or ())
