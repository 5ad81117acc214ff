"""stills_infer: images, crystals and weights -> crystals as the network sees them, and their errors."""

from madpipe.base import provenance, runtime, store
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.reading import read_set
from madpipe.stills.network.infer import Predictor, predict_images
from madpipe.stills.network.weights import load_network

given, files = snakemake.params, snakemake.input
with runtime.job(snakemake.log[0]):
    images, crystals = read_set(files.images, files.crystals, given.get("space_group") or "P 1", given.get("as_stills"))
    listed, found = predict_images(images, crystals, Predictor(load_network(files.weights)), given.cells)
    process = provenance.process_of(snakemake, [*files.images, files.crystals, files.weights])
    write_expt(snakemake.output.crystals, found, process)
    store.write_json(snakemake.output.table, listed, process=process)
