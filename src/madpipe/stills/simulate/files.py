"""A simulated set in files: images, crystals as a user is told them, reference intensities, and the truth."""

from collections.abc import Mapping
from pathlib import Path

import gemmi
import numpy as np
import torch

from madpipe.base import store
from madpipe.base.store import whole_file
from madpipe.stills.config import SimulatedStills
from madpipe.stills.measured.expt import Experiment
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.images import Source
from madpipe.stills.measured.nxmx_writing import write_nxmx
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
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(sample.space_group)
    mtz.set_cell_for_all(gemmi.UnitCell(*sample.cell))
    mtz.title = "reference of simulated still images"
    dataset = mtz.add_dataset("reference")
    dataset.wavelength = sample.wavelength
    mtz.set_cell_for_all(gemmi.UnitCell(*sample.cell))
    for label, kind in (("IMEAN", "J"), ("SIGIMEAN", "Q")):
        mtz.add_column(label, kind)
    sigma = (sample.reference_error or _SIGMA) * truth.reference
    mtz.set_data(np.ascontiguousarray(np.column_stack([truth.hkl, truth.reference, sigma]), dtype=np.float32))
    mtz.history = ["reference intensities, madpipe stills"]
    with whole_file(path) as temporary:
        mtz.write_to_file(str(temporary))
    about = {"reflections": len(truth.hkl), "relative_error": sample.reference_error}
    store.write_json(path.with_suffix(".json"), about, process=process)
