"""Masks of an HDF5 file, from wherever CXI, NeXus and detectors put them, as one in CXI's bits."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madpipe.base.warned import warn
from madpipe.mad.measured.readers.hdf5.places import Signal, is_array, same_item
from madpipe.mad.measured.readers.hdf5.values import value_of

_MASK = re.compile(
    r"((pixel|data|detector|image|frame|gap|module|user|static|bad|dead|hot)_?)*masks?(_?\d+)?"
    r"|(bad|dead|hot|masked)_?pixels?(_?map)?",
    re.IGNORECASE,
)
_INVALID, _HOT, _DEAD, _IGNORED, _BAD, _MISSING, _NOISY = 0x1, 0x4, 0x8, 0x40, 0x80, 0x200, 0x400  # CXI's bits
# in a peak's mask, an artifact corrected, a peak for a hit finder, photon background corrected, above background
_NO_FAULT = np.uint32(0x20 | 0x800 | 0x2000 | 0x4000 | 0x10000)
_OF_NEXUS = {0: _MISSING, 1: _DEAD, 2: _BAD, 3: _HOT, 4: _NOISY, 8: _IGNORED, 31: _MISSING}  # pixel_mask: bit -> CXI's


def mask_of(path: Path, signal: Signal, shape: tuple[int, ...]) -> np.ndarray | None:
    """Every mask that belongs to the signal, combined: what one of them leaves out is left out.

    Parameters
    ----------
    path:
        The file.
    signal, shape:
        The intensities.

    Returns
    -------
    :
        uint32, 0 where good, of the shape of a frame, of one energy or of the signal; None where the file has none.
        NeXus' bits of ``pixel_mask`` are put into CXI's; bits of CXI that name no fault do not mask; of masks without
        bits, what is not zero is bad. Looked for everywhere below the entry, beside the signal and at the root, by the
        names that masks have, but not with another detector's array.

    Warns
    -----
    DataWarning
        Masks, but none of the signal's shape.
    """
    own = _masks_beside(signal)
    fitting = {name: item for name, item in own.items() if _fits(shape, _squeezed(item))}
    masks = [_in_cxi_bits(name, value_of(path, item)).reshape(_squeezed(item)) for name, item in fitting.items()]
    if own and not masks:
        named = ", ".join(f"/{name} {item.shape}" for name, item in own.items())
        warn(
            f"{path}: the mask {named} does not have the shape of the data {shape} and is not used, so gaps and bad "
            "pixels count as measured; crop it as the data",
        )
    combined = None
    for mask in masks:
        combined = mask if combined is None else combined | mask
    return combined


def _masks_beside(signal: Signal) -> dict[str, h5py.Dataset]:
    """Masks by their paths, each once, but for those of another detector."""
    found: dict[str, h5py.Dataset] = {}
    groups = (signal.beside, signal.entry.file)
    linked = [(f"{group.name}/{key}", group.get(key)) for group in groups for key in group if _MASK.fullmatch(key)]
    below = [(f"{signal.entry.name}/{name}", item) for name, item in signal.items.items()]
    for name, item in [*below, *linked]:
        is_mask = isinstance(item, h5py.Dataset) and _MASK.fullmatch(name.rsplit("/", 1)[-1])
        if is_mask and is_array(item, "biuf") and not any(same_item(item, other) for other in found.values()):
            found[name.strip("/")] = item
    return {name: item for name, item in found.items() if not _of_another(name, signal)}


def _fits(shape: tuple[int, ...], mask: tuple[int, ...]) -> bool:
    """A mask covers the last axes of the signal."""
    return len(mask) <= len(shape) and shape[len(shape) - len(mask) :] == mask


def _squeezed(item: h5py.Dataset) -> tuple[int, ...]:
    """Shape of a mask without leading ones: a frame kept as (1, y, x)."""
    shape: tuple[int, ...] = item.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _of_another(name: str, signal: Signal) -> bool:
    """Tell whether a mask lies with another array of counts than the signal."""
    group = name.rsplit("/", 1)[0]
    group = group.removesuffix("/detectorSpecific")
    if signal.place.startswith(f"{group}/") or group.count("/") < 2:
        return False
    parent = signal.entry.file.get(group)
    if not isinstance(parent, h5py.Group):
        return False
    counts = signal.entry.file[signal.place]
    arrays = [parent[key] for key in parent if is_array(parent.get(key)) and not _MASK.fullmatch(key)]
    return bool(arrays) and not any(same_item(one, counts) for one in arrays)


def _in_cxi_bits(name: str, came: Any) -> np.ndarray:
    """A mask's bits as CXI has them."""
    values = np.asarray(came)
    if name.rsplit("/", 1)[-1].lower() == "pixel_mask" and values.dtype.kind == "u":
        mask = np.zeros(values.shape, dtype=np.uint32)
        known = np.uint32(0)
        for bit, ours in _OF_NEXUS.items():
            known |= np.uint32(1 << bit)
            mask[(values >> bit) & 1 > 0] |= np.uint32(ours)
        mask[(values & ~known) != 0] |= np.uint32(_BAD)
        return mask
    if values.dtype.kind in "iu":
        bits = values.astype(np.uint32) & ~_NO_FAULT
        return np.where((values < 0) | (values > np.iinfo(np.uint32).max), np.uint32(_INVALID), bits)
    return np.where(values != 0, np.uint32(_INVALID), np.uint32(0))
