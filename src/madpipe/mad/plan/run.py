"""The command ``madpipe plan``: a plan, its table for the terminal, its file and its figure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.plotting import save
from madpipe.mad.figures.planning import planning
from madpipe.mad.plan import atom_of, plan
from madpipe.mad.plan.words import lines


def run_plan(
    settings: Mapping[str, Any], outputs: Sequence[str] = (), process: Mapping[str, str] | None = None
) -> list[str]:
    """Make a plan, write it, and give the lines for the terminal.

    Parameters
    ----------
    settings:
        Arguments of :func:`madpipe.mad.plan.plan` by name; None means its default.
    outputs:
        Files to write: the figure (.pdf, with .png and .txt beside it), the numbers (.json).
    process:
        Provenance of both.

    Raises
    ------
    InputError
        As :func:`madpipe.mad.plan.plan`; an output of another kind; a folder that cannot be written.
    """
    odd = [name for name in outputs if Path(name).suffix not in (".pdf", ".json")]
    if odd:
        raise InputError(f"a plan is written as .pdf or .json; {odd[0]} came; name it so.")
    given = {name: value for name, value in settings.items() if value is not None}
    made = plan(**given)
    for name in outputs:
        if Path(name).suffix == ".json":
            store.write_json(name, asdict(made), process=process)
        else:
            picture = planning(made, atom_of(made.element, made.edge, made.q, given.get("spectrum")))
            save(picture.figure, name, process or {}, caption=picture.caption)
    return lines(made)
