"""What commands share: words of their options, settings of a step, and what a result keeps of both."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from madpipe.base import provenance
from madpipe.base.config import AnyModel, dropped_nulls, plain, read_yaml, validate


class PathWord(str):
    """A path among a command's words: this machine's folders are no business of a result."""


class InputPath(PathWord):
    """A file that a command reads: a result keeps its name and the hash of its content."""


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers joined by commas."""
    return tuple(float(word) for word in text.split(","))


def words(text: str) -> tuple[str, ...]:
    """Read words joined by commas."""
    return tuple(text.split(","))


def add_output(command: argparse.ArgumentParser, **options: Any) -> None:
    """Give a command the option that says what to write."""
    command.add_argument("-o", "--output", type=PathWord, **{"required": True, **options})


def add_config(command: argparse.ArgumentParser) -> None:
    """Give a command the option to read its settings from a configuration file; a result keeps the settings."""
    command.add_argument("--config", type=PathWord, help="take this step's settings from a configuration file")


def section(arguments: argparse.Namespace, study: str, name: str, model: type[AnyModel], **told: object) -> AnyModel:
    """Give a step's settings, and note them for the result.

    Parameters
    ----------
    arguments:
        Words of the command.
    study, name, model:
        Section of the configuration, by the name of its field, and its type.
    told:
        What the command's own options say of it; None says nothing.

    Raises
    ------
    InputError
        The file named by --config is no valid configuration.
    """
    given = model()
    if arguments.config is not None:
        from madpipe.config import Config

        whole = validate(Config, dropped_nulls(read_yaml(arguments.config)))
        given = getattr(getattr(whole, study), name)
    given = given.model_copy(update={key: value for key, value in told.items() if value is not None})
    arguments.settings = {**vars(arguments).get("settings", {}), f"{study}.{name.rstrip('_')}": plain(given)}
    return given


def origin_of(arguments: argparse.Namespace, *modules: str, more: Sequence[str] = ()) -> dict[str, str]:
    """Give what a result says of its making: the command's words, its settings, the code that it runs, its inputs.

    Every file that the words name, :class:`InputPath`, is an input, and so is each of ``more``.
    """
    told = {key: value for key, value in vars(arguments).items() if key != "run" and not any(_paths(value))}
    inputs = [path for value in vars(arguments).values() for path in _paths(value) if isinstance(path, InputPath)]
    outputs = list(_paths(arguments.output))
    code = {"code": provenance.code_of(*(f"madpipe.{module}" for module in modules))}
    return provenance.process({**told, **code}, output=next(iter(outputs), None), inputs=[*inputs, *more])


def _paths(value: object) -> Iterator[PathWord]:
    """Paths in the value of an option: none, one or several."""
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    yield from (one for one in several if isinstance(one, PathWord))
