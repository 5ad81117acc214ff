"""Images written in NXmx, whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from jaxtyping import Bool

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.store import whole_file
from madpipe.stills.geometry import Beam, Panel

_FWHM = 2 * np.sqrt(2 * np.log(2))  # over the standard deviation, of a normal law
_AXIS = np.array([0.0, 0.0, 1.0])  # of the beam, in NeXus' frame
_SAME = 1e-9
_ENTRY = "entry_1"


def write_nxmx(
    path: str | Path,
    frames: Iterable[Sequence[np.ndarray]],
    beams: Sequence[Beam],
    panels: Sequence[Panel],
    mask: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    saturation: float = np.inf,
    exposures: Sequence[float] | None = None,
    title: str = "still images",
    process: Mapping[str, str] | None = None,
) -> None:
    """Write stills: panels one below the other in one image, each a module with its own place.

    Parameters
    ----------
    path:
        To be written.
    frames:
        Counts of each image, an array for each panel [photon]; taken one by one.
    beams:
        Of each image, along z: the file's frame is NeXus'.
    panels:
        The detector.
    mask:
        Pixels that measure; None: all.
    saturation:
        Counts from which on a pixel is saturated.
    exposures:
        Of each image [s].
    title:
        Of the entry.
    process:
        Who made it and how.

    Raises
    ------
    InputError
        No image, more or fewer than beams, panels of another shape, a beam that is not along z, a disk that is full.
    """
    if not beams or not panels:
        raise InputError(f"{path}: needs at least one image and panel to write; {len(beams)} and {len(panels)} came.")
    if any(np.linalg.norm(one.direction - _AXIS) > _SAME for one in beams):
        raise InputError(f"{path}: needs beams along z, NeXus' frame; {beams[0].direction.tolist()} came; turn all.")
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"default": _ENTRY, "creator": "madpipe"})
        entry = _group(file, _ENTRY, "NXentry", default="data")
        entry["definition"], entry["title"] = "NXmx", title
        entry["definition"].attrs["version"] = "1.0"
        data = _group(entry, "data", "NXdata", signal="data")
        _write_frames(data, frames, panels, len(beams), path)
        instrument = _group(entry, "instrument", "NXinstrument")
        _write_beam(_group(instrument, "beam", "NXbeam"), beams)
        detector = _group(instrument, "detector", "NXdetector")
        _write_detector(detector, panels, mask, saturation, exposures)
        detector["data"] = h5py.SoftLink(f"/{_ENTRY}/data/data")
        sample = _group(entry, "sample", "NXsample")
        sample["depends_on"], sample["name"] = ".", "crystal"
        source = _group(entry, "source", "NXsource")
        source["name"] = "unknown"
        if process is not None:
            store.write_process(file, process)


def _group(parent: h5py.Group, name: str, kind: str, **attributes: str) -> h5py.Group:
    """A group of a class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    for key, value in attributes.items():
        group.attrs[key] = value
    return group


def _rows(panels: Sequence[Panel]) -> tuple[list[int], tuple[int, int]]:
    """First row of each panel in the image, and the image's shape."""
    ends = np.cumsum([0, *(one.shape[0] for one in panels)])
    return ends[:-1].tolist(), (int(ends[-1]), max(one.shape[1] for one in panels))


def _write_frames(
    group: h5py.Group, frames: Iterable[Sequence[np.ndarray]], panels: Sequence[Panel], count: int, path: str | Path
) -> None:
    """The images, one chunk each."""
    starts, shape = _rows(panels)
    dataset, number = None, 0
    for number, frame in enumerate(frames, 1):
        if number > count or [one.shape for one in frame] != [one.shape for one in panels]:
            raise InputError(
                f"{path}: needs {count} images with panels of {[one.shape for one in panels]} pixels; image {number} "
                f"has {[one.shape for one in frame]}; give one beam for each image and the detector's own panels."
            )
        if dataset is None:
            dataset = group.create_dataset(
                "data", (count, *shape), frame[0].dtype, chunks=(1, *shape), **hdf5plugin.Bitshuffle(cname="lz4")
            )
            dataset.attrs["units"] = "counts"
        whole = np.zeros(shape, dtype=frame[0].dtype)
        for start, one in zip(starts, frame, strict=True):
            whole[start : start + one.shape[0], : one.shape[1]] = one
        dataset[number - 1] = whole
    if number != count:
        raise InputError(
            f"{path}: needs {count} images, as many as beams; {number} came; give one beam for each image."
        )


def _write_beam(group: h5py.Group, beams: Sequence[Beam]) -> None:
    """Wavelengths, bandwidth, polarisation."""
    lengths = np.array([one.wavelength for one in beams])
    dataset = group.create_dataset("incident_wavelength", data=lengths[0] if np.ptp(lengths) == 0 else lengths)
    dataset.attrs["units"] = "angstrom"
    first = beams[0]
    if first.bandwidth:
        spread = group.create_dataset("incident_wavelength_spread", data=_FWHM * first.bandwidth * lengths.mean())
        spread.attrs["units"] = "angstrom"
    if first.electric is not None:
        twice = 2 * np.arctan2(first.electric[1], first.electric[0])
        stokes = np.array([1.0, first.polarised * np.cos(twice), first.polarised * np.sin(twice), 0.0])
        group["incident_polarization_stokes"] = stokes


def _write_detector(
    group: h5py.Group,
    panels: Sequence[Panel],
    mask: Sequence[np.ndarray] | None,
    saturation: float,
    exposures: Sequence[float] | None,
) -> None:
    """Modules, mask and the sensor."""
    starts, shape = _rows(panels)
    bad = np.ones(shape, dtype=np.uint32)
    for number, (start, one) in enumerate(zip(starts, panels, strict=True)):
        here = np.s_[start : start + one.shape[0], : one.shape[1]]
        bad[here] = 0 if mask is None else ~mask[number]
        _write_module(_group(group, f"module{number:03d}", "NXdetector_module"), one, start)
    group.create_dataset("pixel_mask", data=bad, compression="gzip")
    if panels[0].thickness:
        group["sensor_thickness"] = panels[0].thickness
        group["sensor_thickness"].attrs["units"] = "mm"
    group["sensor_material"] = panels[0].material
    group["description"], group["type"] = "area detector", "pixel"
    if np.isfinite(saturation):
        group["saturation_value"] = saturation
    if exposures is not None and np.isfinite(exposures).all():
        group["count_time"] = np.array(exposures)
        group["count_time"].attrs["units"] = "s"
    chain = _group(group, "transformations", "NXtransformations")
    distance = float(panels[0].origin @ _AXIS)
    _transformation(chain, "distance", distance, _AXIS, ".")
    group["depends_on"] = f"/{_ENTRY}/instrument/detector/transformations/distance"
    group["distance"] = distance
    group["distance"].attrs["units"] = "mm"


def _write_module(group: h5py.Group, panel: Panel, start: int) -> None:
    """Where a panel lies in the image and in space."""
    group["data_origin"], group["data_size"] = np.array([start, 0]), np.array(panel.shape)
    group["data_stride"] = np.array([1, 1])
    size = float(np.linalg.norm(panel.origin))
    vector = panel.origin / size if size else _AXIS
    _transformation(group, "module_offset", size, vector, ".")
    for word, axis, pixel in (("fast", panel.fast, panel.pixel[0]), ("slow", panel.slow, panel.pixel[1])):
        _transformation(group, f"{word}_pixel_direction", pixel, axis, str(group.name) + "/module_offset")


def _transformation(group: h5py.Group, name: str, value: float, vector: np.ndarray, parent: str) -> None:
    """A translation."""
    dataset = group.create_dataset(name, data=value)
    attributes = {"units": "mm", "transformation_type": "translation", "depends_on": parent, "vector": vector}
    for key, one in {**attributes, "offset": np.zeros(3), "offset_units": "mm"}.items():
        dataset.attrs[key] = one
