"""Files that other programs read: merged and unmerged MTZ, and a table of images."""

from collections.abc import Mapping
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float

from madpipe.base import store, tables
from madpipe.base.errors import InputError
from madpipe.base.plain import to_plain
from madpipe.stills.geometry import Crystal
from madpipe.stills.merge.merged import Observations, half_sets, merge
from madpipe.stills.merge.records import ImageRow, MergedQuality
from madpipe.stills.merge.summary import image_rows, merged_quality
from madpipe.stills.mtz import fill, new_mtz, write_mtz
from madpipe.stills.names import IMAGES, beside
from madpipe.stills.records import Integrated

IMAGE_TABLE = tables.Schema("images", tables.columns_of(ImageRow))
_MERGED = (
    ("IMEAN", "J"), ("SIGIMEAN", "Q"), ("I(+)", "K"), ("SIGI(+)", "M"), ("I(-)", "K"), ("SIGI(-)", "M"),
    ("IHALF1", "J"), ("SIGIHALF1", "Q"), ("IHALF2", "J"), ("SIGIHALF2", "Q"), ("N", "I"),
    ("IPOST", "J"), ("SIGIPOST", "Q"),
)  # fmt: skip
_UNMERGED = (
    ("M/ISYM", "Y"), ("BATCH", "B"), ("I", "J"), ("SIGI", "Q"), ("FRACTIONCALC", "R"), ("XDET", "R"), ("YDET", "R"),
    ("ROT", "R"), ("LP", "R"), ("FLAG", "I"), ("PARTIALITY", "R"), ("SCALE", "R"),
)  # fmt: skip


def write_set(
    path: str | Path, integrated: Integrated, least_partiality: float, seed: int, process: Mapping[str, str]
) -> MergedQuality:
    """Merge, and write NAME.mtz with .json, and NAME_images.mtz (unmerged) with its table as .csv and .json.

    Parameters
    ----------
    path:
        NAME.mtz.
    integrated:
        From :func:`madpipe.stills.integrate.files.integrate_images`.
    least_partiality:
        Of a spot that is merged.
    seed:
        Of the halves and of shuffled references.
    process:
        Who made it and how.
    """
    generator = np.random.default_rng(seed)
    found, observations = merged_quality(integrated, least_partiality, generator)
    write_merged(path, integrated, observations, np.random.default_rng(seed))
    store.write_json(Path(path).with_suffix(".json"), found, process=process)
    write_unmerged(beside(path, f"{IMAGES}.mtz"), integrated)
    rows = [to_plain(one) for one in image_rows(integrated)]
    tables.write_csv(beside(path, f"{IMAGES}.csv"), tables.frame(IMAGE_TABLE, rows), IMAGE_TABLE)
    store.write_json(beside(path, f"{IMAGES}.json"), {"rows": rows}, process=process)
    return found


def write_merged(
    path: str | Path, integrated: Integrated, observations: Observations, generator: np.random.Generator
) -> None:
    """Write a merged MTZ: IMEAN, Friedel mates, halves, number of measurements, posterior intensities.

    Reflections that were predicted but not measured have a posterior alone. A measurement of a centric reflection
    counts as I(+). With one image the halves are empty.

    Parameters
    ----------
    path:
        Written whole or not at all.
    integrated:
        Cell, space group, posterior.
    observations:
        Measurements with the errors to be used.
    generator:
        Draws the halves.
    """
    intensities = integrated.intensities
    if intensities is None:
        raise InputError("a merged file needs intensities; the record has none; integrate again.")
    plus = observations.plus | intensities.centric.astype(bool)[observations.unique]
    parts = [merge(observations), merge(observations, plus), merge(observations, ~plus)]
    if len(np.unique(observations.image)) > 1:
        parts += half_sets(observations, generator)
    else:
        parts += [merge(observations, np.zeros(len(plus), dtype=bool))] * 2
    columns = [column for one in parts for column in (one.mean, one.sigma)]
    rows = np.column_stack([intensities.hkl, *columns, parts[0].number, intensities.mean, intensities.sd])
    mtz = _new(integrated, _MERGED)
    fill(mtz, rows, ["merged still images, madpipe stills", "IPOST: posterior intensity given reference and images"])
    write_mtz(path, mtz)


def write_unmerged(path: str | Path, integrated: Integrated) -> None:
    """Write an unmerged MTZ with a batch for each image, for pointless and aimless.

    I is on the common scale and made full by its partiality, so that each counts as a full one: M of M/ISYM is 0 and
    FRACTIONCALC is 1, else scaling programs filter partials out and nothing is left of a still. PARTIALITY says what
    was seen. Indices are in the asymmetric unit, M/ISYM tells which operation took them there.

    Parameters
    ----------
    path:
        Written whole or not at all.
    integrated:
        Spots, of which all that are no outliers are written, and images.
    """
    spots, images = integrated.spots, integrated.images
    if spots is None or images is None:
        raise InputError("an unmerged file needs spots; the record has none; integrate again.")
    use = (spots.outlier == 0) & (spots.factor > 0)
    mtz = _new(integrated, _UNMERGED)
    for number, axes in enumerate(images.axes):
        mtz.batches.append(_batch(number + 1, axes, integrated.wavelength, images.names.split("\n")[number]))
    factor, none, one = spots.factor[use], np.zeros(int(use.sum())), np.ones(int(use.sum()))
    group = gemmi.SpaceGroup(integrated.space_group)
    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    inside = [unit.to_asu(hkl, operations) for hkl in spots.hkl[use].tolist()]
    columns = [
        np.array([one[1] for one in inside]),
        spots.image[use] + 1,
        spots.photons[use] / factor,
        spots.photon_errors[use] / factor,
        one,
    ]
    columns += [spots.xy[use, 0], spots.xy[use, 1], none, one, none, spots.partiality[use], factor]
    rows = np.column_stack([np.array([one[0] for one in inside]), *columns])
    fill(mtz, rows, ["unmerged still images, madpipe stills", "I is scaled and divided by PARTIALITY"])
    mtz.sort(5)
    write_mtz(path, mtz)


def _new(integrated: Integrated, columns: tuple[tuple[str, str], ...]) -> gemmi.Mtz:
    """An MTZ of the crystal, without reflections."""
    told = integrated.cell, integrated.space_group, integrated.wavelength
    return new_mtz(*told, "stills", "still images", columns)


def _batch(number: int, axes: Float[np.ndarray, "3 3"], wavelength: float, title: str) -> gemmi.Mtz.Batch:
    """Header of an image: cell, orientation, wavelength, no rotation."""
    batch = gemmi.Mtz.Batch()
    cell = gemmi.UnitCell(*Crystal(axes).cell)
    batch.number, batch.title, batch.wavelength, batch.dataset_id = number, title[:70], wavelength, 1
    batch.cell = cell
    orthogonal = np.array(cell.orth.mat.tolist())  # columns a, b, c in the PDB's axes
    rotation = axes.T @ np.linalg.inv(orthogonal)
    for index, value in enumerate(rotation.T.ravel()):  # column by column
        batch.floats[6 + index] = float(value)
    return batch
