"""stills_index: images -> crystals, and the table of images."""

import numpy as np

from madpipe.base import provenance, runtime, store
from madpipe.stills.config import StillsIndexConfig
from madpipe.stills.index.files import index_files
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.reading import read_images
from madpipe.stills.symmetry import crystal_of_cell

given = snakemake.params
with runtime.job(snakemake.log[0]):
    images = read_images(list(snakemake.input), given.get("as_stills") or False)
    crystal = crystal_of_cell(np.array(given.cell), given.get("space_group") or "P 1")
    listed, experiments = index_files(images, crystal, StillsIndexConfig(**given.config))
    process = provenance.process_of(snakemake)
    write_expt(snakemake.output.crystals, experiments, process)
    store.write_json(snakemake.output.table, listed, process=process)
