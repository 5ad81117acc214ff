"""What commands share: settings of a step, and what the results say of where they come from."""

import argparse

from madpipe import config as configuration
from madpipe.base import provenance
from madpipe.base.config import AnyModel, Model, dropped_nulls, read_yaml, validate

# files among a command's words: inputs are kept by name and content, without this machine's folders
_NO_PARAMETERS = ("run", "output", "path", "stack", "files", "truth", "weights", "spectrum", "config", "curve")


def add_config(command: argparse.ArgumentParser) -> None:
    """Give a command the option to read its section from a configuration file."""
    command.add_argument("--config", help="take this step's settings from a configuration file")


def section(arguments: argparse.Namespace, name: str, model: type[AnyModel], study: str = "mad") -> AnyModel:
    """Give a step's settings: those of the file named by --config, else the defaults."""
    if arguments.config is None:
        return model()
    given = validate(configuration.Config, dropped_nulls(read_yaml(arguments.config)))
    return getattr(getattr(given, study), name)


def origin_of(
    arguments: argparse.Namespace, module: str, *inputs: str | None, settings: Model | None = None
) -> dict[str, str]:
    """Give a command's own words, its settings, the code that it runs and its inputs as provenance."""
    told = {key: value for key, value in vars(arguments).items() if key not in _NO_PARAMETERS}
    if settings is not None:
        told["settings"] = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    told["code"] = provenance.code_of(f"madpipe.{module}")
    output = arguments.output if isinstance(arguments.output, str) else next(iter(arguments.output), None)
    return provenance.process(told, output=output, inputs=[path for path in inputs if path])
