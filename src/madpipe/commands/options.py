"""What commands share: words of their options, settings of a step, and what a result keeps of both."""

import argparse
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from madpipe.base import provenance
from madpipe.base.config import AnyModel, dropped_nulls, plain, read_yaml, validate
from madpipe.base.errors import InputError
from madpipe.base.files import require_file, require_outputs

_BESIDE = {  # endings of what is written beside a file, by its suffix
    ".pdf": (".png", ".txt"),
    ".expt": (".json",),
    ".mtz": (".json", "_images.mtz", "_images.csv", "_images.json"),
    ".nxs": (".expt", "_reference.mtz", "_reference.json", "_truth.h5"),
}
MOST_THREADS = 1024  # more than any machine has for one job; without a limit the system fails to start them
_LARGEST_SEED = 2**63 - 1  # of torch


class PathWord(str):
    """A path among a command's words: this machine's folders are no business of a result."""


class InputPath(PathWord):
    """A file that a command reads: a result keeps its name and the hash of its content."""


class SettingsPath(PathWord):
    """A configuration that a command reads: a result keeps the settings, not the file."""


class OutputPath(PathWord):
    """A file that a command writes."""

    @property
    def written(self) -> tuple[str, ...]:
        """All files that are written under this name: a figure's picture and caption too, a table beside a list."""
        path = Path(self)
        return (str(self), *(str(path.with_name(path.stem + ending)) for ending in _BESIDE.get(path.suffix, ())))


class Parser(argparse.ArgumentParser):
    """A parser that takes -5.8,-6.1 for numbers; argparse by itself knows only a single negative number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._negative_number_matcher = re.compile(r"-\.?\d[\d.,eE+-]*$")


def finite(text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"a finite number is required; {text!r} came")
    return value


def numbers(text: str) -> tuple[float, ...]:
    """Read finite numbers joined by commas."""
    try:
        return tuple(finite(word) for word in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"finite numbers joined by commas, as 8313,8333, are required; {text!r} came"
        ) from error


def whole(least: int, most: int = _LARGEST_SEED) -> Callable[[str], int]:
    """Give the reader of a whole number between two."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most} is required; {text!r} came")
        return value

    return read


def words(text: str) -> tuple[str, ...]:
    """Read words joined by commas."""
    return tuple(text.split(","))


def add_output(command: argparse.ArgumentParser, **options: Any) -> None:
    """Give a command the option that says what to write."""
    command.add_argument("-o", "--output", type=OutputPath, **{"required": True, **options})


def add_config(command: argparse.ArgumentParser) -> None:
    """Give a command the option to read its settings from a configuration file; a result keeps the settings."""
    command.add_argument("--config", type=SettingsPath, help="take this step's settings from a configuration file")


def add_seed(command: argparse.ArgumentParser, help: str) -> None:
    """Give a command the option that seeds what it draws."""
    command.add_argument("--seed", type=whole(0), default=0, help=help)


def check_files(arguments: argparse.Namespace) -> None:
    """See before any work that a command's files can be read and written, and that nothing is lost by it.

    Raises
    ------
    InputError
        A file that is read is there but no ordinary file; one that is written is read too, cannot be written, or is
        there and no result of madpipe.
    """
    every = [path for value in vars(arguments).values() for path in _paths(value)]
    read = [path for path in every if isinstance(path, InputPath | SettingsPath)]
    written = [name for path in every if isinstance(path, OutputPath) for name in path.written]
    for path in read:
        if Path(path).exists():
            require_file(path)
    require_outputs(written, read)
    for name in written:
        _require_own(Path(name))


def _require_own(path: Path) -> None:
    """Refuse to replace what madpipe has not made: a measurement cannot be made again."""
    if not path.exists() or path.stat().st_size == 0:
        return
    from madpipe.base.origin import is_own

    if not is_own(path):
        raise InputError(
            f"{path}: exists and does not say that madpipe made it, so it would be lost; name another output, or "
            "remove it first."
        )


def section(arguments: argparse.Namespace, study: str, name: str, model: type[AnyModel], /, **told: object) -> AnyModel:
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
