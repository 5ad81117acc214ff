"""What a person wants to know of a result first: what it is, of what, how well it explains the data, what is wrong."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from madpipe.base import overview, store, warned
from madpipe.base.errors import InputError
from madpipe.base.store import entry, part
from madpipe.base.verdict import in_words, verdicts_in
from madpipe.mad.records import LOWER_BOUNDS, Explained, Split, factor_in_words
from madpipe.mad.scores import split as split_counts

_KINDS = {  # a dataset that only one kind of file has
    "entry_1/object_1/rho_A": "densities in real space",
    "entry_1/fit_1/F_A": "structure factors of every point",
    "entry_1/anomalous/f_prime": "intensities at several photon energies",
    "entry_1/data_1/strain": "strain and disorder against depth",
    "entry_1/data_1/two_theta": "a rocking curve",
    "entry_1/images/ln_scale": "integrated spots of still images",
    "entry_1/images/spread": "misset and mosaic spread of still images",
    "entry_1/truth/axes": "the truth of simulated still images",
    "entry_1/instrument/detector/module000": "still images",
}
_MANY = 12  # energies that are listed one by one


@dataclass(frozen=True)
class _About:
    """Small datasets that say what a file holds, of any of our records."""

    title: str | None = entry("entry_1/title", optional=True)
    sample: str | None = entry("entry_1/sample_1/name", optional=True)
    element: str | None = entry("entry_1/anomalous/element", optional=True)
    edge: str | None = entry("entry_1/anomalous/edge", optional=True)
    table: str | None = entry("entry_1/anomalous/table", optional=True)
    energy: np.ndarray | None = entry("entry_1/data_1/energy", "eV", optional=True)
    method: str | None = entry("entry_1/fit_1/method", optional=True)
    chi2: Any = entry("entry_1/fit_1/chi2", optional=True)
    route: str | None = entry("entry_1/object_1/route", optional=True)
    verdicts: str | None = entry("entry_1/object_1/verdicts", optional=True)
    errors_are: str | None = entry("entry_1/object_1/composition_errors_are", optional=True)
    factor_errors: float | None = entry("entry_1/object_1/resonant_factor_errors", optional=True)
    refined: str | None = entry("entry_1/fit_1/nuisance/verdicts", optional=True)
    warnings: str | None = entry(warned.PATH, optional=True)
    explained: Explained | None = part("entry_1/fit_1/explained", Explained)
    split: Split | None = part("entry_1/fit_1/split", Split)


def about(path: Path) -> list[str]:
    """Say what an HDF5 file of ours holds in a few lines, warnings last; nothing of another program's file."""
    kind = next((words for place, words in _KINDS.items() if store.holds(path, place)), None)
    if kind is None:
        return []
    shapes = dict[str, str]()
    store.tree(path, lambda name, description: shapes.update({name: description}))
    try:
        found = store.read(path, _About)
    except InputError:  # another program's, which means something else by these places
        return []
    return [*_lines(found, kind, shapes)]


def about_json(path: Path) -> list[str]:
    """Say which checks pass and what is warned of, where a JSON file lists checks or warnings."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        return []
    if "checks" in content:
        return overview.in_words(path)
    return [f"warning: {line}" for line in content.get("warnings", [])]


def _lines(found: _About, kind: str, shapes: dict[str, str]) -> Iterator[str]:
    """One line for each thing that is known."""
    yield kind + (f", by {found.method}" if found.method else "") + (f", {found.route} route" if found.route else "")
    if found.title or found.sample:
        yield f"of: {', '.join(dict.fromkeys(filter(None, (found.title, found.sample))))}"
    if found.element:
        yield f"resonant element: {found.element}, {found.edge} edge; f', f'': {found.table}"
    if found.energy is not None:
        yield f"energies: {_energies(np.asarray(found.energy))}"
    for place in ("entry_1/data_1/data", "entry_1/fit_1/F_A", "entry_1/object_1/rho_A", "entry_1/data_1/strain"):
        if place in shapes:
            yield f"shape: {shapes[place].partition(')')[0]})"
            break
    yield from _answer(found)
    for line in warned.lines_of(found.warnings):
        yield f"warning: {line}"


def _answer(found: _About) -> Iterator[str]:
    """How well it explains the data, and whether it passes its checks."""
    if found.explained is not None:
        yield f"explains the data: {found.explained.line()}"
    elif found.chi2 is not None and np.ndim(found.chi2) == 0 and math.isfinite(found.chi2):
        yield f"explains the data: chi-square per point {found.chi2:.3g}"
    if found.split is not None:
        yield f"split counts: {split_counts.in_words(split_counts.split_scores(found.split))}"
    for line in warned.lines_of(found.refined):
        yield f"refined {line}"
    if found.errors_are == LOWER_BOUNDS:
        yield f"errors of the composition: {found.errors_are}"
    if found.factor_errors is not None:
        yield factor_in_words(float(found.factor_errors))
    yield from in_words(verdicts_in(found.verdicts)) if found.verdicts else ()


def _energies(energy: np.ndarray) -> str:
    """Photon energies in words."""
    if len(energy) > _MANY:
        return f"{len(energy)} from {energy.min():g} to {energy.max():g} eV"
    return f"{', '.join(f'{one:g}' for one in energy)} eV"
