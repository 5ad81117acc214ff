"""Crystals of the images of a file: the experiment list, and the table beside it."""

import math

from madpipe.base.errors import InputError
from madpipe.base.metrics import finite
from madpipe.base.warned import keeping
from madpipe.stills.config import StillsIndexConfig
from madpipe.stills.geometry import Crystal
from madpipe.stills.index.index import IndexConfig, Indexed, Result, index_images
from madpipe.stills.index.records import CrystalList, CrystalRow
from madpipe.stills.index.refine import Free
from madpipe.stills.measured.expt import Experiment
from madpipe.stills.measured.images import Images

_SAID = 3  # images that are named where all fail


def index_files(images: Images, crystal: Crystal, config: StillsIndexConfig) -> tuple[CrystalList, list[Experiment]]:
    """Find the crystal of each image from its cell; an image without one is an experiment without a crystal.

    Parameters
    ----------
    images:
        Of one detector.
    crystal:
        Cell and space group.
    config:
        Limits, and what is refined.

    Raises
    ------
    InputError
        No image is indexed.
    """
    free = Free(**{name: name in config.free for name in Free.__dataclass_fields__ if not name.endswith("_sd")})
    settings = IndexConfig(
        free=free,
        fewest_spots=config.fewest_spots,
        fewest_indexed=config.fewest_indexed,
        smallest_share=config.smallest_share,
        tolerance=config.tolerance,
    )
    kept: list[Result] = []

    @keeping
    def table() -> CrystalList:
        kept.append(index_images(images, crystal, settings))
        return _table(images, crystal, kept[0])

    listed = table()
    failed = [f"{one.image}: {one.failed}" for one in listed.images if one.failed is not None]
    if len(failed) == len(listed.images):
        more = f" and {len(failed) - _SAID} more" if len(failed) > _SAID else ""
        raise InputError(
            f"indexing needs an image that this cell explains; none of {len(failed)} is: {'; '.join(failed[:_SAID])}"
            f"{more}; check cell, distance, wavelength and beam centre."
        )
    experiments = [
        Experiment(beam, kept[0].panels, one.crystal, source, images.saturation)
        for beam, one, source in zip(images.beams, kept[0].images, images.sources, strict=True)
    ]
    return listed, experiments


def _table(images: Images, crystal: Crystal, found: Result) -> CrystalList:
    """All that is known of the images, as plain values."""
    return CrystalList(
        space_group=crystal.space_group,
        images=tuple(_row(source.label, one) for source, one in zip(images.sources, found.images, strict=True)),
        tilt=found.tilt,
        tilt_errors=tuple(finite(one) for one in found.tilt_sd),
        distance=finite(found.distance),
        beam_centre=tuple(finite(one) for one in found.beam_centre),
        said=found.said,
    )


def _row(image: str, one: Indexed) -> CrystalRow:
    """One image."""
    record = one.record
    return CrystalRow(
        image=image,
        spots=record.spots,
        saturated=record.saturated,
        failed=record.failed,
        within=record.indexed,
        chance=record.chance,
        rms=tuple(value if math.isfinite(value) else 0.0 for value in record.rms),
        cell=record.cell,
        misorientation=finite(record.misorientation),
        excitation=finite(record.excitation),
        mosaic=finite(record.mosaic),
    )
