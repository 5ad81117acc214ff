"""Crystals written as DIALS' experiment lists (.expt, JSON), whole or not at all, in the frame of imgCIF."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.store import whole_file
from madpipe.stills.geometry import IMGCIF_TO_NEXUS, Beam, Crystal
from madpipe.stills.measured.expt import TOWARDS_SOURCE, Experiment
from madpipe.stills.measured.images import Source
from madpipe.stills.symmetry import group_named


def write_expt(path: str | Path, experiments: Sequence[Experiment], process: Mapping[str, str] | None = None) -> None:
    """Write an experiment list that DIALS reads; an image without a crystal stays one.

    Parameters
    ----------
    path:
        To be written.
    experiments:
        In any order; each brings its beam, detectors that are one are written once.
    process:
        Who made it and how: a key more, which other programs pass over.

    Raises
    ------
    InputError
        None, or a disk that is full.
    """
    if not experiments:
        raise InputError(f"{path}: needs at least one experiment to write; none came.")
    detectors = list({id(one.panels): one for one in reversed(experiments)}.values())
    place = {id(one.panels): number for number, one in enumerate(detectors)}
    crystals = [one.crystal for one in experiments if one.crystal is not None]
    listed, count = [], 0
    for number, one in enumerate(experiments):
        entry: dict[str, object] = {"__id__": "Experiment", "identifier": str(number), "beam": number}
        entry |= {"detector": place[id(one.panels)], "imageset": number}
        if one.crystal is not None:
            entry["crystal"] = count
            count += 1
        listed.append(entry)
    content: dict[str, object] = {
        "__id__": "ExperimentList",
        "experiment": listed,
        "imageset": [_said_of_source(one.source, Path(path).resolve().parent) for one in experiments],
        "beam": [_said_of_beam(one.beam) for one in experiments],
        "detector": [_said_of_detector(one) for one in detectors],
        "goniometer": [],
        "scan": [],
        "crystal": [_said_of_crystal(one) for one in crystals],
        "profile": [],
        "scaling_model": [],
    }
    if process is not None:
        content["process"] = {**process, "note_1": json.loads(process["note_1"])}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _said_of_source(source: Source | None, folder: Path) -> dict[str, object]:
    """An image set of one image, whose name is told from the list's folder."""
    said: dict[str, object] = {
        "__id__": "ImageSet",
        "images": [],
        "mask": "",
        "gain": "",
        "pedestal": "",
        "dx": "",
        "dy": "",
    }
    if source is not None:
        said |= {"images": [os.path.relpath(source.path.resolve(), folder)], "single_file_indices": [source.frame]}
    return {**said, "params": {}}


def _said_of_beam(beam: Beam) -> dict[str, object]:
    """A beam in their frame."""
    normal = np.cross(beam.direction, beam.electric) if beam.electric is not None else np.array([0.0, 1.0, 0.0])
    return {
        "__id__": "monochromatic",
        "direction": (IMGCIF_TO_NEXUS @ beam.direction * TOWARDS_SOURCE).tolist(),
        "wavelength": beam.wavelength,
        "divergence": 0.0,
        "sigma_divergence": 0.0,
        "polarization_normal": (IMGCIF_TO_NEXUS @ normal).tolist(),
        "polarization_fraction": (1 + beam.polarised) / 2 if beam.electric is not None else 0.5,
        "flux": 0.0,
        "transmission": 1.0,
        "probe": "x-ray",
        "sample_to_source_distance": 0.0,
    }


def _said_of_detector(one: Experiment) -> dict[str, object]:
    """A detector in their frame, all panels in one group that stands in the laboratory."""
    top = one.saturation if np.isfinite(one.saturation) else float(2**31 - 1)
    panels = [
        {
            "name": panel.name,
            "type": "SENSOR_PAD",
            "fast_axis": (IMGCIF_TO_NEXUS @ panel.fast).tolist(),
            "slow_axis": (IMGCIF_TO_NEXUS @ panel.slow).tolist(),
            "origin": (IMGCIF_TO_NEXUS @ panel.origin).tolist(),
            "raw_image_offset": [0, 0],
            "image_size": [panel.shape[1], panel.shape[0]],
            "pixel_size": list(panel.pixel),
            "trusted_range": [0.0, top],
            "thickness": panel.thickness,
            "material": panel.material,
            "mu": 0.0,
            "identifier": "",
            "mask": [],
            "gain": 1.0,
            "pedestal": 0.0,
            "px_mm_strategy": {"type": "SimplePxMmStrategy"},
        }
        for panel in one.panels
    ]
    root = {"name": "", "type": "", "fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0], "origin": [0, 0, 0]}
    return {"panels": panels, "hierarchy": {**root, "children": [{"panel": k} for k in range(len(panels))]}}


def _said_of_crystal(crystal: Crystal) -> dict[str, object]:
    """A crystal in their frame."""
    axes = crystal.axes @ IMGCIF_TO_NEXUS
    real = {f"real_space_{letter}": axis.tolist() for letter, axis in zip("abc", axes, strict=True)}
    return {"__id__": "crystal", **real, "space_group_hall_symbol": " " + group_named(crystal.space_group).hall}
