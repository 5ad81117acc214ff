"""Crystals in streams of CrystFEL (.stream), with the detector's geometry that they repeat.

Their frame is ours: z along the beam, y up.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file
from madpipe.physics.crystal import HC
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.measured.expt import Experiment
from madpipe.stills.measured.images import Source, panel_of

_NM = 10.0  # angstrom
_NUMBER = r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"


@dataclass(frozen=True)
class _Geometry:
    """A geometry file: what holds for each panel, its own over what stands above it."""

    panels: dict[str, dict[str, str]]
    whole: dict[str, str]  # of the experiment


def read_stream(path: str | Path, space_group: str = "P 1") -> tuple[Experiment, ...]:
    """Read the indexed crystals of a stream, each with its beam and the geometry at the stream's head.

    Parameters
    ----------
    path:
        Of the file.
    space_group:
        Of the crystals: a stream names only the lattice.

    Raises
    ------
    InputError
        No stream, no geometry or panel in it, no crystal, no wavelength or distance.
    """
    path = require_file(path, "stream of CrystFEL")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: needs a stream of CrystFEL; got: {one_line(error)}; copy it again.") from error
    if "CrystFEL stream format" not in text[:200]:
        raise InputError(f"{path}: needs a stream of CrystFEL; its first line says none; check the file.")
    geometry = _geometry(text, path)
    known: dict[float, tuple[Panel, ...]] = {}
    found = []
    for chunk in _between(text, "----- Begin chunk -----", "----- End chunk -----"):
        energy, length = _energy(chunk, geometry, path), _camera(chunk, geometry, path)
        if length not in known:
            known[length] = tuple(_panel(name, said, length, path) for name, said in geometry.panels.items())
        for crystal in _between(chunk, "--- Begin crystal", "--- End crystal"):
            beam = Beam(np.array([0.0, 0.0, 1.0]), HC / energy)
            found.append(Experiment(beam, known[length], _crystal(crystal, space_group, path), _source(chunk, path)))
    if not found:
        raise InputError(f"{path}: needs at least one indexed crystal; the stream has none; index the images first.")
    return tuple(found)


def _between(text: str, begin: str, end: str) -> Iterator[str]:
    """Parts between two lines."""
    for part in text.split(begin)[1:]:
        yield part.split(end)[0]


def _geometry(text: str, path: Path) -> _Geometry:
    """The geometry file at the head of the stream."""
    found = list(_between(text, "----- Begin geometry file -----", "----- End geometry file -----"))
    if not found:
        raise InputError(f"{path}: needs the geometry file at its head; there is none; write the stream again with it.")
    panels: dict[str, dict[str, str]] = {}
    above: dict[str, str] = {}
    for line in found[0].splitlines():
        name, sign, value = line.split(";")[0].partition("=")
        if not sign:
            continue
        name, value = name.strip(), value.strip()
        panel, slash, key = name.partition("/")
        if not slash:
            above[name] = value
        elif not re.match(r"(bad|rigid_group|group)", panel):
            panels.setdefault(panel, dict(above))[key] = value
    if not panels:
        raise InputError(f"{path}: needs at least one panel in its geometry; there is none; check the geometry file.")
    return _Geometry(panels, above)


def _number(text: str, pattern: str) -> float | None:
    """The number that follows a pattern."""
    found = re.search(pattern + r"\s*[:=]?\s*" + _NUMBER, text)
    return float(found[1]) if found else None


def _energy(chunk: str, geometry: _Geometry, path: Path) -> float:
    """Photon energy of an image [eV]."""
    said = _number(chunk, r"photon_energy_eV")
    if said is None and "photon_energy" in geometry.whole:
        word = geometry.whole["photon_energy"]
        said = _number(word, "^")
        said = said * 1e3 if said is not None and "keV" in word else said
    if said is None or not said > 0:
        raise InputError(f"{path}: needs photon_energy_eV for each image; {said} came; write the stream again.")
    return said


def _camera(chunk: str, geometry: _Geometry, path: Path) -> float:
    """Length of the camera [m]."""
    said = _number(chunk, r"average_camera_length")
    first = next(iter(geometry.panels.values()))
    if said is None:
        said = _number(first.get("clen", ""), "^")
    if said is None or not said > 0:
        raise InputError(f"{path}: needs average_camera_length or clen in metres; {said} came; write the stream again.")
    # the average holds the panels' coffset, which they add themselves
    offsets = [_number(one.get("coffset", "0"), "^") or 0.0 for one in geometry.panels.values()]
    return said - float(np.mean(offsets)) if "average_camera_length" in chunk else said


def _panel(name: str, said: dict[str, str], length: float, path: Path) -> Panel:
    """A panel; corner_x, corner_y and the vectors fs, ss are in pixels."""
    try:
        bounds = [int(float(said[f"{word}_{axis}"])) for axis in ("fs", "ss") for word in ("min", "max")]
        pixel = 1e3 / float(said["res"])
        corner = np.array([float(said["corner_x"]), float(said["corner_y"])]) * pixel
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: needs the bounds, res and corner of panel {name}; {error} is missing; mend it."
        ) from error
    distance = 1e3 * (length + (_number(said.get("coffset", "0"), "^") or 0.0))
    return panel_of(
        origin=np.array([*corner, distance]),
        fast=_axis(said.get("fs", "+1.0x")),
        slow=_axis(said.get("ss", "+1.0y")),
        pixel=(pixel, pixel),
        shape=(bounds[3] - bounds[2] + 1, bounds[1] - bounds[0] + 1),
        name=name,
    )


def _axis(text: str) -> np.ndarray:
    """A direction such as -0.0025x +0.99y."""
    found = np.zeros(3)
    for sign, number, letter in re.findall(r"([-+]?)\s*([0-9.]*(?:[eE][-+]?[0-9]+)?)\s*([xyz])", text):
        found["xyz".index(letter)] += (-1.0 if sign == "-" else 1.0) * (float(number) if number else 1.0)
    return found


def _crystal(text: str, space_group: str, path: Path) -> Crystal:
    """A crystal, from its reciprocal axes in 1/nm."""
    rows = []
    for letter in "abc":
        found = re.search(rf"{letter}star\s*=\s*{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}", text)
        if found is None:
            raise InputError(
                f"{path}: needs astar, bstar, cstar of each crystal; {letter}star is missing; check the file."
            )
        rows.append([float(one) / _NM for one in found.groups()])
    reciprocal = np.array(rows)
    if abs(np.linalg.det(reciprocal)) <= 1e-6 * np.prod(np.linalg.norm(reciprocal, axis=1)):
        raise InputError(
            f"{path}: needs a crystal whose axes span a volume; {reciprocal.tolist()} came; index it again."
        )
    return Crystal(np.linalg.inv(reciprocal).T, space_group)


def _source(chunk: str, path: Path) -> Source | None:
    """File and frame of an image; events are //n."""
    found = re.search(r"Image filename:\s*(.+)", chunk)
    if found is None:
        return None
    event = re.search(r"Event:\s*\S*//(\d+)", chunk)
    name = Path(found[1].strip())
    return Source(name if name.is_absolute() else path.parent / name, int(event[1]) if event else 0)
