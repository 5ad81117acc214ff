"""Images in NeXus, application definition NXmx: DECTRIS' Eiger, Jungfrau, and what this program writes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  filters of compressed images, known to h5py once this is imported
import numpy as np

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file
from madpipe.base.warned import warn
from madpipe.physics.crystal import HC
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.measured.images import Images, Source, panel_of
from madpipe.stills.measured.transformations import chain_of, in_mm, next_of, placed, text_of, vector_of

SUFFIXES = (".nxs", ".h5", ".hdf5", ".nx5", ".hdf")
_FWHM = 2 * np.sqrt(2 * np.log(2))  # over the standard deviation, of a normal law
_TURNED = 1e-6  # between images, that still is a still [radian]
_ENERGIES = {"ev": 1.0, "kev": 1e3, "j": 1 / 1.602176634e-19}


@dataclass(frozen=True)
class _Module:
    """A panel, and which part of the stored image it is."""

    panel: Panel
    place: tuple[slice, ...]  # of all axes but the images'


@dataclass(frozen=True)
class _Stack:
    """Some images that lie in one dataset."""

    path: str  # of the dataset
    frames: int


def is_nxmx(path: str | Path) -> bool:
    """Tell by its name whether a file may be one of these."""
    return str(path).lower().endswith(SUFFIXES)


def read_nxmx(path: str | Path, as_stills: bool = False) -> Images:
    """Read beam and detector of a file in NXmx; counts are read when they are asked for.

    The frame is NeXus' own: z along the beam, y up. Virtual and external datasets are followed.

    Parameters
    ----------
    path:
        The master file.
    as_stills:
        Take images between which the crystal turned for stills.

    Raises
    ------
    InputError
        No wavelength, detector or images; a chain of transformations that leads nowhere; axes that are not at right
        angles; linked files that are not there; a rotation.
    """
    path = require_file(path, "file in NeXus (NXmx)")
    try:
        with h5py.File(path, "r") as file:
            return _images(file, path, as_stills)
    except OSError as error:
        raise InputError(f"{path}: needs a whole file in HDF5; got: {one_line(error)}; copy it again.") from error


def _images(file: h5py.File, path: Path, as_stills: bool) -> Images:
    """All that the file says."""
    entry = _only(file, "NXentry", path)
    name = str(path)
    if "definition" in entry and text_of(entry["definition"][()]) != "NXmx":
        warn(f"{path}: needs the definition NXmx; it says {text_of(entry['definition'][()])!r}; read as if it were.")
    instrument = _only(entry, "NXinstrument", path)
    detector = _only(instrument, "NXdetector", path)
    stacks = _stacks(entry, detector, path)
    count = sum(one.frames for one in stacks)
    _refuse_rotation(entry, count, path, as_stills)
    shape = file[stacks[0].path].shape[1:]
    modules = [_module(one, detector, shape, name) for one in _of_class(detector, "NXdetector_module")]
    if not modules:
        raise InputError(
            f"{path}: needs an NXdetector_module with fast_pixel_direction; there is none; add the geometry."
        )
    places = [(stack, k) for stack in stacks for k in range(stack.frames)]

    def load(number: int) -> tuple[np.ndarray, ...]:
        stack, frame = places[number]
        return _frame(path, stack, frame, modules)

    return Images(
        beams=_beams(entry, instrument, count, path),
        panels=tuple(one.panel for one in modules),
        sources=tuple(Source(path, k) for k in range(count)),
        exposures=_exposures(detector, count),
        load=load,
        mask=_mask(detector, shape, modules, path),
        saturation=_number(detector, "saturation_value", np.inf),
    )


def _of_class(group: h5py.Group, kind: str) -> Iterator[h5py.Group]:
    """Groups of a class directly in one, in the order of their names."""
    for name in sorted(group):
        found = group.get(name)
        if isinstance(found, h5py.Group) and text_of(found.attrs.get("NX_class", "")) == kind:
            yield found


def _only(group: h5py.Group, kind: str, path: Path) -> h5py.Group:
    """The one group of a class."""
    found = list(_of_class(group, kind))
    if len(found) != 1:
        raise InputError(f"{path}: needs one group of class {kind} in {group.name}; it has {len(found)}; write NXmx.")
    return found[0]


def _stacks(entry: h5py.Group, detector: h5py.Group, path: Path) -> list[_Stack]:
    """Datasets of the images, in their order."""
    groups = [*_of_class(entry, "NXdata"), detector]
    for group in groups:
        names = ["data"] if "data" in group else sorted(name for name in group if re.fullmatch(r"data_\d+", name))
        if names:
            stacks = [_stack(group, name, path) for name in names]
            if not sum(one.frames for one in stacks):
                raise InputError(f"{path}: needs at least one image; {group.name} has none; name a file with images.")
            return stacks
    raise InputError(f"{path}: needs images in entry/data/data or data_000001; there are none; name the master file.")


def _stack(group: h5py.Group, name: str, path: Path) -> _Stack:
    """One dataset, with what it links to at hand."""
    link = group.get(name, getlink=True)
    try:
        dataset = group[name]
    except (KeyError, OSError) as error:
        target = getattr(link, "filename", "what it links to")
        raise InputError(
            f"{path}: needs the file {target}, to which {group.name}/{name} links; it cannot be opened; put it beside."
        ) from error
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim < 3:
        raise InputError(f"{path}: needs images in {group.name}/{name}, image by image; it is none; write NXmx.")
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        if source.file_name != "." and not (path.parent / source.file_name).is_file():
            raise InputError(
                f"{path}: needs the file {source.file_name}, whose images it shows; there is none; put it beside."
            )
    return _Stack(f"{group.name}/{name}", dataset.shape[0])


def _frame(path: Path, stack: _Stack, frame: int, modules: list[_Module]) -> tuple[np.ndarray, ...]:
    """Counts of one image."""
    try:
        with h5py.File(path, "r") as file:
            whole = file[stack.path][frame]
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path}: needs image {frame} of {stack.path}; got: {one_line(error)}; copy it again."
        ) from error
    return tuple(whole[one.place].reshape(one.panel.shape) for one in modules)


def _module(group: h5py.Group, detector: h5py.Group, shape: tuple[int, ...], path: str) -> _Module:
    """A panel, from its module."""
    name = f"{path}: {group.name}"
    missing = [one for one in ("fast_pixel_direction", "slow_pixel_direction") if one not in group]
    if missing:
        raise InputError(f"{name}: needs {' and '.join(missing)} with vector and units; missing; add the geometry.")
    place, size = _place(group, shape, name)
    axes = [_direction(group, detector, one, path) for one in ("fast_pixel_direction", "slow_pixel_direction")]
    fast, slow = axes
    base = group["module_offset"] if "module_offset" in group else group["fast_pixel_direction"]
    chain = chain_of(base, path)
    chain = chain if "module_offset" in group else chain[1:]
    if not chain:
        raise InputError(f"{name}: needs a distance, as module_offset or what it depends on; there is none; add it.")
    panel = panel_of(
        origin=placed(chain, path)[:3, 3],
        fast=fast[0],
        slow=slow[0],
        pixel=(fast[1], slow[1]),
        shape=size,
        name=str(group.name).rsplit("/", 1)[-1],
        thickness=_thickness(detector, path),
        material=text_of(detector["sensor_material"][()]) if "sensor_material" in detector else "Si",
    )
    if not np.linalg.norm(panel.origin) > 0:
        raise InputError(f"{name}: needs a distance; the module stands at the sample; add module_offset or its chain.")
    return _Module(panel, place)


def _place(group: h5py.Group, shape: tuple[int, ...], name: str) -> tuple[tuple[slice, ...], tuple[int, int]]:
    """Part of the image that is this module; rows and columns."""
    origin = (
        np.atleast_1d(group["data_origin"][()]).astype(int) if "data_origin" in group else np.zeros(len(shape), int)
    )
    size = np.atleast_1d(group["data_size"][()]).astype(int) if "data_size" in group else np.array(shape)
    if origin.shape != (len(shape),) or size.shape != origin.shape or (origin < 0).any() or (size < 1).any():
        raise InputError(
            f"{name}: needs data_origin and data_size of {len(shape)} numbers; {origin.tolist()} and {size.tolist()} "
            "came; mend the file."
        )
    if (origin + size > shape).any() or (size[:-2] != 1).any():
        raise InputError(
            f"{name}: needs a module within the image of {list(shape)}; from {origin.tolist()}, {size.tolist()} came; "
            "mend it."
        )
    place = tuple(slice(int(a), int(a + b)) for a, b in zip(origin, size, strict=True))
    return place, (int(size[-2]), int(size[-1]))


def _direction(group: h5py.Group, detector: h5py.Group, word: str, path: str) -> tuple[np.ndarray, float]:
    """Direction of a pixel axis in the laboratory, and the pixel's size along it [mm]."""
    dataset = group[word]
    here = f"{path}: {dataset.name}"
    vector = vector_of(dataset, "vector", here)
    vector = vector / np.linalg.norm(vector)
    size = float(in_mm(np.atleast_1d(dataset[()])[:1], dataset.attrs.get("units", ""), here)[0])
    target = next_of(dataset, dataset.attrs.get("depends_on", "."), path)
    turn = np.eye(4) if target is None else placed(chain_of(target, path), path)
    return turn[:3, :3] @ vector * np.sign(size or 1.0), abs(size)


def _thickness(detector: h5py.Group, path: str) -> float:
    """Thickness of the sensor [mm]; 0 where it is not said."""
    if "sensor_thickness" not in detector:
        return 0.0
    said = detector["sensor_thickness"]
    return float(in_mm(np.atleast_1d(said[()])[:1], said.attrs.get("units", ""), f"{path}: {said.name}")[0])


def _number(group: h5py.Group, name: str, otherwise: float) -> float:
    """A number where there is one."""
    return float(np.atleast_1d(group[name][()]).flat[0]) if name in group else otherwise


def _exposures(detector: h5py.Group, count: int) -> tuple[float, ...]:
    """Exposure of each image [s]."""
    for name in ("count_time", "frame_time"):
        if name in detector:
            times = np.atleast_1d(detector[name][()]).astype(float).ravel()
            return tuple(np.broadcast_to(times if len(times) == count else times[:1], count).tolist())
    return (np.nan,) * count


def _mask(
    detector: h5py.Group, shape: tuple[int, ...], modules: list[_Module], path: Path
) -> tuple[np.ndarray, ...] | None:
    """Pixels that measure, by the file."""
    found = detector.get("pixel_mask")
    if found is None and "detectorSpecific" in detector:
        found = detector["detectorSpecific"].get("pixel_mask")
    if found is None:
        warn(f"{path}: needs a pixel_mask; there is none: pixels with negative counts, or the largest, are left out.")
        return None
    bad = np.asarray(found[()]) != 0
    if bad.shape[1:] == shape:
        bad = bad.any(axis=0)
    if bad.shape != shape:
        raise InputError(f"{path}: needs a pixel_mask of {list(shape)}; {list(bad.shape)} came; mend the file.")
    return tuple(~bad[one.place].reshape(one.panel.shape) for one in modules)


def _beams(entry: h5py.Group, instrument: h5py.Group, count: int, path: Path) -> tuple[Beam, ...]:
    """Beam of each image."""
    groups = [*_of_class(instrument, "NXbeam")]
    for sample in _of_class(entry, "NXsample"):
        groups += _of_class(sample, "NXbeam")
    known = [one for one in groups if "incident_wavelength" in one or "incident_energy" in one]
    if not known:
        raise InputError(f"{path}: needs instrument/beam/incident_wavelength; there is none; add it.")
    lengths, bandwidth = _wavelengths(known[0], count, path)
    beam = _polarised(Beam(np.array([0.0, 0.0, 1.0]), 1.0, bandwidth), known[0], path)
    return tuple(replace(beam, wavelength=float(one)) for one in lengths)


def _wavelengths(group: h5py.Group, count: int, path: Path) -> tuple[np.ndarray, float]:
    """Wavelength of each image [angstrom], and the rms bandwidth, relative."""
    if "incident_wavelength" in group:
        said = group["incident_wavelength"]
        name = f"{path}: {said.name}"
        values = in_mm(np.atleast_1d(said[()]).ravel(), said.attrs.get("units", ""), name) * 1e7
    else:
        said = group["incident_energy"]
        name = f"{path}: {said.name}"
        factor = _ENERGIES.get(text_of(said.attrs.get("units", "")).lower())
        if factor is None:
            raise InputError(f"{name}: needs units eV or keV; {text_of(said.attrs.get('units', ''))!r} came; add them.")
        with np.errstate(divide="ignore"):
            values = HC / (np.atleast_1d(said[()]).astype(float).ravel() * factor)
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{name}: needs positive numbers; {values[:3].tolist()} came; mend the file.")
    bandwidth = _number(group, "incident_wavelength_spread", 0.0) / _FWHM
    if bandwidth:
        spread = group["incident_wavelength_spread"]
        unit = spread.attrs.get("units", said.attrs.get("units", ""))
        bandwidth = float(in_mm(np.array([bandwidth]), unit, f"{path}: {spread.name}")[0]) * 1e7 / float(values.mean())
    weights = group.get("incident_wavelength_weights", group.get("incident_wavelength_weight"))
    if weights is not None and np.size(weights[()]) == len(values) and len(values) > 1:
        weight = np.asarray(weights[()], dtype=float).ravel()
        mean = float(np.average(values, weights=weight))
        rms = float(np.sqrt(np.average((values - mean) ** 2, weights=weight))) / mean
        return np.full(count, mean), float(np.hypot(rms, bandwidth))
    if len(values) not in (1, count):
        raise InputError(
            f"{name}: needs one wavelength, or one for each of {count} images; {len(values)} came; mend it."
        )
    return np.broadcast_to(values, count).copy(), bandwidth


def _polarised(beam: Beam, group: h5py.Group, path: Path) -> Beam:
    """The beam with its linear polarisation, from Stokes' parameters I, Q, U, V; Q > 0 is along x, the horizon."""
    if "incident_polarization_stokes" not in group:
        return beam
    stokes = np.asarray(group["incident_polarization_stokes"][()], dtype=float).reshape(-1, 4)[0]
    if not np.isfinite(stokes).all() or stokes[0] <= 0 or np.linalg.norm(stokes[1:]) > 1.001 * stokes[0]:
        raise InputError(
            f"{path}: needs Stokes' parameters I, Q, U, V with I at least the length of the rest; {stokes.tolist()} "
            "came; mend the file."
        )
    angle = 0.5 * np.arctan2(stokes[2], stokes[1])
    electric = np.array([np.cos(angle), np.sin(angle), 0.0])
    return replace(beam, polarised=float(np.hypot(stokes[1], stokes[2]) / stokes[0]), electric=electric)


def _refuse_rotation(entry: h5py.Group, count: int, path: Path, as_stills: bool) -> None:
    """Refuse images between or during which the crystal turned."""
    turned = 0.0
    for sample in _of_class(entry, "NXsample"):
        target = sample["depends_on"][()] if "depends_on" in sample else "."
        link = next_of(sample, target, str(path))
        for step in chain_of(link, str(path)) if link is not None else ():
            if step.kind == "rotation":
                turned = max(turned, float(np.degrees(np.ptp(step.values))), _increment(entry.file, step.name))
    if turned <= np.degrees(_TURNED):
        return
    line = f"{path}: needs stills; the crystal turns by {turned:.4g} degrees over {count} images"
    if not as_stills:
        raise InputError(f"{line}; use a program for rotation data, or say --as-stills.")
    warn(f"{line}; as stills their spots are wider than mosaicity makes them.")


def _increment(file: h5py.File, name: str) -> float:
    """What a rotation says to turn during each image, in whatever unit."""
    found = [file[f"{name}{word}"][()] for word in ("_increment_set", "_increment") if f"{name}{word}" in file]
    return max((float(np.abs(np.asarray(one, dtype=float)).max(initial=0.0)) for one in found), default=0.0)
