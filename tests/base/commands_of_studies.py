"""Every study's commands as its tests list them, tests/<study>/commands.py, by the study's name."""

import importlib.util
from pathlib import Path

from madpipe.studies import STUDIES

TESTS = Path(__file__).resolve().parents[1]


def _commands_of(study):
    """Load tests/<study>/commands.py."""
    spec = importlib.util.spec_from_file_location(f"{study}_commands", TESTS / study / "commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OF_STUDIES = {study.name: _commands_of(study.name) for study in STUDIES}
