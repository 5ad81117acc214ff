"""A simulated set in files: images, crystals as a user is told them, reference intensities, and the truth."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from madpipe.base import store
from madpipe.stills.config import SimulatedStills
from madpipe.stills.measured.expt import Experiment
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.images import Source
from madpipe.stills.measured.nxmx_writing import write_nxmx
from madpipe.stills.mtz import fill, new_mtz, write_mtz
from madpipe.stills.names import REFERENCE, TRUTH, beside
from madpipe.stills.simulate.crystals import DrawnStills, draw_stills

_SIGMA = 0.3  # of a reference intensity without errors, relative: a program wants some [1]


def write_stills(
    path: str | Path, sample: SimulatedStills, generator: torch.Generator, process: Mapping[str, str]
) -> DrawnStills:
    """Draw a set and write it: NAME.nxs, NAME.expt, NAME_reference.mtz with .json, NAME_truth.h5.

    Parameters
    ----------
    path:
        NAME.nxs.
    sample:
        Its section of the configuration.
    generator:
        Draws all.
    process:
        Who made it and how.
    """
    path = Path(path)
    drawn = draw_stills(sample, generator)
    beams = [scene.beam for scene in drawn.scenes]
    write_nxmx(path, drawn.counts(generator), beams, [drawn.panel], title=path.stem, process=process)
    panels = (drawn.panel,)
    told = [Experiment(drawn.beam, panels, one, Source(path, number)) for number, one in enumerate(drawn.told)]
    write_expt(path.with_suffix(".expt"), told, process)
    _write_reference(beside(path, f"{REFERENCE}.mtz"), sample, drawn, process)
    store.write(beside(path, f"{TRUTH}.h5"), drawn.truth, process=process)
    return drawn


def _write_reference(path: Path, sample: SimulatedStills, drawn: DrawnStills, process: Mapping[str, str]) -> None:
    """Reference intensities as an MTZ, and what they are in the JSON beside it."""
    truth = drawn.truth
    columns = (("IMEAN", "J"), ("SIGIMEAN", "Q"))
    told = sample.cell, sample.space_group, sample.wavelength
    mtz = new_mtz(*told, "reference", "reference of simulated still images", columns)
    sigma = (sample.reference_error or _SIGMA) * truth.reference
    rows = np.column_stack([truth.hkl, truth.reference, sigma])
    fill(mtz, rows, ["reference intensities, madpipe stills"])
    write_mtz(path, mtz)
    about = {"reflections": len(truth.hkl), "relative_error": sample.reference_error}
    store.write_json(path.with_suffix(".json"), about, process=process)
