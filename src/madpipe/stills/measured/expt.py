"""Crystals in DIALS' experiment lists (.expt, JSON), read without dxtbx.

Their frame is that of imgCIF: x and z are turned round against ours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file
from madpipe.base.warned import warn
from madpipe.stills.geometry import IMGCIF_TO_NEXUS, Beam, Crystal, Panel
from madpipe.stills.measured.images import Images, Source, panel_of

TOWARDS_SOURCE = -1.0  # the direction that the files give is the way back to the source
_Frame = tuple[np.ndarray, np.ndarray]  # columns fast, slow, normal; origin [mm]


@dataclass(frozen=True)
class Experiment:
    """One image with its beam and detector, and the crystal in it where one is known."""

    beam: Beam
    panels: tuple[Panel, ...]
    crystal: Crystal | None
    source: Source | None = None
    saturation: float = np.inf  # [photon]


def read_expt(path: str | Path, as_stills: bool = False) -> tuple[Experiment, ...]:
    """Read an experiment list.

    Parameters
    ----------
    path:
        Of the file.
    as_stills:
        Take images that were measured while the crystal turned for stills.

    Raises
    ------
    InputError
        No such list, or one without experiments, beam or detector; a singular cell; a rotation.
    """
    path = require_file(path, "experiment list (.expt)")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: needs JSON of DIALS; got: {one_line(error)}; export it again.") from error
    if not isinstance(said, dict) or said.get("__id__") != "ExperimentList" or not said.get("experiment"):
        raise InputError(f"{path}: needs an ExperimentList of DIALS with experiments; there is none; check the file.")
    try:
        return tuple(_experiments(said, path, as_stills))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: needs a whole ExperimentList; {error!r} is missing or wrong; export it again."
        ) from error


def _experiments(said: Mapping[str, Any], path: Path, as_stills: bool) -> list[Experiment]:
    """All experiments of a list."""
    found, seen = [], dict[int, int]()
    for one in said["experiment"]:
        missing = [word for word in ("beam", "detector") if one.get(word) is None]
        if missing:
            raise InputError(f"{path}: needs a {missing[0]} in each experiment; one has none; export it again.")
        scan = said["scan"][one["scan"]] if one.get("scan") is not None else None
        _refuse_rotation(scan, path, as_stills)
        detector = said["detector"][one["detector"]]
        which = one.get("imageset")
        source = None
        if which is not None:
            source = _source(said["imageset"][which], scan, seen.get(which, 0), path)
            seen[which] = seen.get(which, 0) + 1
        crystal = _crystal(said["crystal"][one["crystal"]], path) if one.get("crystal") is not None else None
        tops = [float(panel.get("trusted_range", [0, np.inf])[1]) for panel in detector["panels"]]
        found.append(
            Experiment(_beam(said["beam"][one["beam"]], path), _panels(detector, path), crystal, source, min(tops))
        )
    return found


def _refuse_rotation(scan: Mapping[str, Any] | None, path: Path, as_stills: bool) -> None:
    """Refuse images during which the crystal turned."""
    if scan is None or as_stills:
        return
    turned = np.ravel(scan.get("oscillation", scan.get("properties", {}).get("oscillation", [0.0, 0.0])))
    step = float(turned[1] - (turned[0] if "properties" in scan else 0.0)) if len(turned) > 1 else 0.0
    if step:
        raise InputError(
            f"{path}: needs stills; the crystal turns by {step:g} degrees in each image; use a program for rotation "
            "data, or say --as-stills."
        )


def _source(said: Mapping[str, Any], scan: Mapping[str, Any] | None, place: int, path: Path) -> Source | None:
    """File and frame of an experiment, the place-th of its image set."""
    inside = said.get("single_file_indices") or []
    number = int(scan["image_range"][0]) if scan is not None and "image_range" in scan else None
    template = said.get("template")
    if template:
        name, frame = str(template), number - 1 if number is not None else place
        if "#" in name:
            width = name.count("#")
            name, frame = name.replace("#" * width, f"{frame + 1:0{width}d}"), 0
    elif said.get("images"):
        names = said["images"]
        name, frame = str(names[min(place, len(names) - 1)]), 0
        frame = int(inside[min(place, len(inside) - 1)]) if inside else 0
    else:
        return None
    found = Path(name)
    return Source(found if found.is_absolute() else path.parent / found, frame)


def _vector(values: object) -> np.ndarray:
    """Three numbers."""
    found = np.asarray(values, dtype=float)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise ValueError(f"vector {values}")
    return found


def _beam(said: Mapping[str, Any], path: Path) -> Beam:
    """A beam; the file's direction points back to the source."""
    wavelength = said.get("wavelength")
    if wavelength is None or not float(wavelength) > 0:
        raise InputError(f"{path}: needs a positive wavelength [angstrom]; {wavelength} came; mend the beam.")
    direction = IMGCIF_TO_NEXUS @ _vector(said.get("direction", [0, 0, 1])) * TOWARDS_SOURCE
    direction = direction / np.linalg.norm(direction)
    polarised = 2 * float(said.get("polarization_fraction", 0.5)) - 1
    normal = IMGCIF_TO_NEXUS @ _vector(said.get("polarization_normal", [0, 1, 0]))
    electric = np.cross(normal, direction)
    if not polarised or not np.linalg.norm(electric) > 0:
        return Beam(direction, float(wavelength))
    return Beam(direction, float(wavelength), polarised=polarised, electric=electric / np.linalg.norm(electric))


def _panels(said: Mapping[str, Any], path: Path) -> tuple[Panel, ...]:
    """Panels of a detector, each in the frame of the group that holds it."""
    frames: dict[int, _Frame] = {}
    if "hierarchy" in said:
        _descend(said["hierarchy"], (np.eye(3), np.zeros(3)), frames)
    return tuple(
        _panel(one, frames.get(number, (np.eye(3), np.zeros(3))), f"{path}: panel {number}")
        for number, one in enumerate(said["panels"])
    )


def _descend(node: Mapping[str, Any], parent: _Frame, frames: dict[int, _Frame]) -> None:
    """Note for each panel the frame of its group."""
    if "panel" in node:
        frames[int(node["panel"])] = parent
        return
    here = _within(node, parent)
    for child in node.get("children", []):
        _descend(child, here, frames)


def _within(node: Mapping[str, Any], parent: _Frame) -> _Frame:
    """A node's own frame in the laboratory."""
    fast, slow = (
        _vector(node.get(word, default)) for word, default in (("fast_axis", [1, 0, 0]), ("slow_axis", [0, 1, 0]))
    )
    turn, origin = parent
    local = np.stack([fast, slow, np.cross(fast, slow)], axis=1)
    return turn @ local, origin + turn @ _vector(node.get("origin", [0, 0, 0]))


def _panel(said: Mapping[str, Any], parent: _Frame, name: str) -> Panel:
    """One panel, turned into our frame."""
    turn, origin = _within(said, parent)
    columns, rows = said["image_size"]
    fast, slow = said["pixel_size"]
    return panel_of(
        origin=IMGCIF_TO_NEXUS @ origin,
        fast=IMGCIF_TO_NEXUS @ turn[:, 0],
        slow=IMGCIF_TO_NEXUS @ turn[:, 1],
        pixel=(float(fast), float(slow)),
        shape=(int(rows), int(columns)),
        name=str(said.get("name") or name),
        thickness=float(said.get("thickness", 0.0)),
        material=str(said.get("material") or "Si"),
    )


def _crystal(said: Mapping[str, Any], path: Path) -> Crystal:
    """A crystal, turned into our frame."""
    axes = np.array([_vector(said[f"real_space_{letter}"]) for letter in "abc"]) @ IMGCIF_TO_NEXUS
    volume = float(np.linalg.det(axes))
    if abs(volume) <= 1e-6 * np.prod(np.linalg.norm(axes, axis=1)):
        raise InputError(f"{path}: needs a crystal whose axes span a volume; {axes.tolist()} came; index it again.")
    if volume < 0:
        raise InputError(
            f"{path}: needs right-handed axes a, b, c; these are left-handed: frame or image are mirrored; turn one "
            "axis."
        )
    hall = str(said.get("space_group_hall_symbol", "P 1"))
    group = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))
    if group is None:
        raise InputError(
            f"{path}: needs a space group; Hall symbol {hall!r} is none of the usual settings; reindex it."
        )
    return Crystal(axes, group.xhm())


def matched(images: Images, experiments: Sequence[Experiment]) -> tuple[Images, tuple[Crystal | None, ...]]:
    """Give each image its crystal, and the set the detector of the experiments, which may have been refined.

    By file and frame where the list names the images, else in order.

    Parameters
    ----------
    images, experiments:
        Of one detector.

    Raises
    ------
    InputError
        No image; fewer experiments than images; a detector of another size.
    """
    if not len(images):
        raise InputError("needs at least one image; none came; name the files of the images.")
    places: dict[tuple[Path, int], list[Experiment]] = {}
    for one in experiments:
        if one.source is not None:
            places.setdefault((one.source.path.resolve(), one.source.frame), []).append(one)
    keys = [(one.path.resolve(), one.frame) for one in images.sources]
    chosen: list[Experiment] = []
    if any(key in places for key in keys):
        missing = [str(source) for key, source in zip(keys, images.sources, strict=True) if key not in places]
        if missing:
            raise InputError(
                f"needs a crystal for each image; the list has none for {len(missing)} of {len(keys)}, the first is "
                f"{missing[0]}; leave these images out, or index them."
            )
        chosen = [places[key][0] for key in keys]
        several = sum(len(places[key]) > 1 for key in keys)
        if several:
            warn(
                f"{several} images have more than one crystal; the first of each is used; spots of others remain in "
                "them."
            )
    elif len(experiments) < len(images):
        raise InputError(
            f"needs a crystal for each image; {len(experiments)} crystals came for {len(images)} images; leave images "
            "out, or index them."
        )
    else:
        chosen = list(experiments[: len(images)])
    return _with_detector(images, chosen), tuple(one.crystal for one in chosen)


def _with_detector(images: Images, experiments: Sequence[Experiment]) -> Images:
    """The images on the detector of their experiments."""
    first = experiments[0]
    shapes, needed = [one.shape for one in first.panels], [one.shape for one in images.panels]
    if shapes != needed:
        raise InputError(
            f"needs crystals of the images' own detector, panels of {needed} pixels; the list has {shapes}; name its "
            "own images."
        )
    return Images(
        beams=tuple(one.beam for one in experiments),
        panels=first.panels,
        sources=images.sources,
        exposures=images.exposures,
        load=images.load,
        mask=images.mask,
        saturation=images.saturation,
    )
