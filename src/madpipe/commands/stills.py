"""Commands of the study of still images: simulate, index, predict, fit, integrate, merge."""

import argparse
import typing

from madpipe.base.config import AnyModel, plain, read_yaml, validate
from madpipe.commands.options import (
    InputPath,
    add_config,
    add_output,
    add_seed,
    finite,
    numbers,
    origin_of,
    section,
    words,
)
from madpipe.stills.config import (
    Recovering,
    SimulatedStills,
    StillsFitConfig,
    StillsIndexConfig,
    StillsMergeConfig,
)
from madpipe.stills.integrate.settings import METHOD_NAMES, IntegrateConfig

if typing.TYPE_CHECKING:
    from madpipe.stills.geometry import Crystal
    from madpipe.stills.measured.images import Images
    from madpipe.stills.network.records import StartRow

_IMAGES = "images in NXmx (.nxs, .h5) or CBF (.cbf, .cbf.gz, .cbf.bz2)"
_CRYSTALS = "crystals of DIALS (.expt) or CrystFEL (.stream)"


def add_steps(steps: argparse._SubParsersAction) -> None:
    """Add the steps with their options."""
    simulate = steps.add_parser("simulate", help="case.yaml -> images.nxs, .expt, _reference.mtz, _truth.h5")
    simulate.add_argument("case", type=InputPath, help="keys of stills.samples of a simulated set, as YAML")
    add_output(simulate)
    add_seed(simulate, "of all that is drawn")
    simulate.set_defaults(run=_simulate)
    index = steps.add_parser("index", help="images and a cell -> crystals.expt, with a table of the images (.json)")
    index.add_argument("images", type=InputPath, nargs="+", help=_IMAGES)
    add_output(index)
    index.add_argument(
        "--cell", type=numbers, required=True, help="a,b,c,alpha,beta,gamma, as 58,58,150.4,90,90,90 [angstrom, degree]"
    )
    index.add_argument("--space-group", default="P 1", help="Hermann-Mauguin symbol, as P41212 (default: P 1)")
    index.add_argument("--free", type=words, help="what is refined (default: all), as orientation,tilt,distance")
    _add_stills(index)
    predict = steps.add_parser("predict", help="small images, crystals -> start.expt, .json: orientations by a network")
    _add_images(predict)
    predict.add_argument("--cells", type=numbers, help="of a domain along a, b, c (default: stills.fit.cells: 5,5,5)")
    help_weights = "weights.safetensors of a training (default: those that come with madpipe)"
    predict.add_argument("--weights", type=InputPath, help=help_weights)
    _add_stills(predict)
    predict.set_defaults(run=_predict)
    fit = steps.add_parser("fit", help="images and crystals -> fit.h5: misset, mosaic spread from pixels")
    _add_images(fit)
    fit.add_argument("--method", choices=typing.get_args(Recovering), help="of the search (default: starts)")
    fit.add_argument("--free", type=words, help="what is found (default: misset,spread,scale,background)")
    help_reference = "structure factors: MTZ, mmCIF, PDB or text (default: all reflections alike)"
    fit.add_argument("--reference", type=InputPath, help=help_reference)
    _add_stills(fit)
    fit.set_defaults(run=_fit)
    integrate = steps.add_parser("integrate", help="images and crystals -> integrated.h5: scales, intensities")
    _add_images(integrate)
    help_reference = "intensities or a model: MTZ, mmCIF, PDB or text (default: Wilson's law alone)"
    integrate.add_argument("--reference", type=InputPath, help=help_reference)
    help_table = "crystals.json of `index`, which tells the mosaicity to begin with"
    integrate.add_argument("--table", type=InputPath, help=help_table)
    integrate.add_argument("--method", choices=METHOD_NAMES, help="residuals and how they count (default: joint)")
    integrate.add_argument("--resolution", type=finite, help="least d (default: of the detector's corners) [angstrom]")
    _add_stills(integrate)
    integrate.set_defaults(run=_integrate)
    index.set_defaults(run=_index)
    merge = steps.add_parser("merge", help="integrated.h5 -> merged.mtz with .json, unmerged _images.mtz with .csv")
    merge.add_argument("integrated", type=InputPath, help="of `integrate`")
    add_output(merge)
    merge.add_argument("--least-partiality", type=finite, help="of a spot that is merged (default: 0.1)")
    add_seed(merge, "of the halves and the shuffled references")
    add_config(merge)
    merge.set_defaults(run=_merge)


def _add_images(command: argparse.ArgumentParser) -> None:
    """Images, and the list of their crystals as the last word."""
    command.add_argument("images", type=InputPath, nargs="+", help=_IMAGES)
    command.add_argument("crystals", type=InputPath, help=_CRYSTALS)
    add_output(command)
    command.add_argument("--space-group", default="P 1", help="of a .stream, which names none (default: P 1)")


def _add_stills(command: argparse.ArgumentParser) -> None:
    """What all that read images have in common."""
    help_stills = "take images during which the crystal turned for stills"
    command.add_argument("--as-stills", action="store_true", help=help_stills)
    add_config(command)
    command.set_defaults(threads=1)


def _simulate(arguments: argparse.Namespace) -> None:
    import torch

    from madpipe.stills.simulate.files import write_stills

    sample = validate(SimulatedStills, read_yaml(arguments.case))
    generator = torch.Generator().manual_seed(arguments.seed)
    drawn = write_stills(arguments.output, sample, generator, origin_of(arguments, "stills.simulate.files"))
    print(f"{sample.images} images of {sample.size} x {sample.size} pixels, {len(drawn.truth.hkl)} unique reflections")


def _index(arguments: argparse.Namespace) -> None:
    import numpy as np

    from madpipe.base import store
    from madpipe.stills.index.files import index_files
    from madpipe.stills.measured.expt_writing import write_expt
    from madpipe.stills.measured.reading import read_images
    from madpipe.stills.names import beside
    from madpipe.stills.symmetry import crystal_of_cell

    config = _checked(section(arguments, "stills", "index", StillsIndexConfig, free=arguments.free))
    crystal = crystal_of_cell(np.array(arguments.cell), arguments.space_group)
    images = read_images(arguments.images, arguments.as_stills)
    listed, experiments = index_files(images, crystal, config)
    process = origin_of(arguments, "stills.index.files")
    write_expt(arguments.output, experiments, process)
    store.write_json(beside(arguments.output, ".json"), listed, process=process)
    for row in listed.images:
        print(f"{row.image}: {row.failed or _in_words(row.within, row.spots)}")
    print(*listed.said, sep="\n")


def _in_words(within: tuple[float, ...], spots: int) -> str:
    """How many spots a crystal explains."""
    shares = ", ".join(f"{100 * share:.0f}" for share in within)
    return f"indexed; of {spots} spots {shares} % within 1, 2, 3 pixels"


def _checked(section: AnyModel) -> AnyModel:
    """Check a section again whose keys the command's options have changed."""
    return validate(type(section), plain(section))


def _read(arguments: argparse.Namespace) -> "tuple[Images, tuple[Crystal | None, ...]]":
    """Images, each with its crystal."""
    from madpipe.stills.measured.reading import read_set

    return read_set(arguments.images, arguments.crystals, arguments.space_group, arguments.as_stills)


def _fit(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.stills.fit.images import factors_of, fit_images

    told = {"method": arguments.method, "free": arguments.free}
    config = _checked(section(arguments, "stills", "fit", StillsFitConfig, **told))
    images, crystals = _read(arguments)
    found = fit_images(images, crystals, config, factors_of(arguments.reference, crystals))
    store.write(arguments.output, found, process=origin_of(arguments, "stills.fit.images"))
    for number, (name, verdict) in enumerate(zip(found.names.split("\n"), found.verdicts.split("\n"), strict=True)):
        print(f"{name}: mosaic spread {found.spread[number]:.4g} degree; {verdict}")


def _predict(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.shipped import shipped_weights
    from madpipe.stills.measured.expt_writing import write_expt
    from madpipe.stills.names import beside
    from madpipe.stills.network.infer import Predictor, predict_images
    from madpipe.stills.network.weights import load_network

    config = _checked(section(arguments, "stills", "fit", StillsFitConfig, cells=arguments.cells))
    weights = str(arguments.weights or shipped_weights("stills"))
    images, crystals = _read(arguments)
    listed, experiments = predict_images(images, crystals, Predictor(load_network(weights)), config.cells)
    origin = origin_of(arguments, "stills.network.infer", more=() if arguments.weights else (weights,))
    write_expt(arguments.output, experiments, origin)
    store.write_json(beside(arguments.output, ".json"), listed, process=origin)
    for row in listed.images:
        print(f"{row.image}: {row.failed or _start_in_words(row)}")


def _start_in_words(row: "StartRow") -> str:
    """Turn and spread with their errors."""
    turn, errors = (", ".join(f"{one:.2f}" for one in part) for part in (row.turn, row.turn_errors))
    return f"turned by {turn} +- {errors} degree, mosaic spread {row.spread:.2f} +- {row.spread_error:.2f} degree"


def _integrate(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.plain import read_json
    from madpipe.stills.index.records import CrystalList
    from madpipe.stills.integrate.files import integrate_images, reference_of

    told = {"method": arguments.method, "resolution": arguments.resolution}
    config = _checked(section(arguments, "stills", "integrate", IntegrateConfig, **told))
    images, crystals = _read(arguments)
    reference = reference_of(arguments.reference, images, config)
    excitation = arguments.table and read_json(arguments.table, CrystalList).excitation
    found = integrate_images(images, crystals, config, reference, excitation)
    store.write(arguments.output, found, process=origin_of(arguments, "stills.integrate.files"))
    table = found.tables()[1]
    good, spots = int(table.good.sum()), int(table.spots.sum())
    print(f"{good} of {len(images)} images integrated and good, {spots} spots, {found.method}")


def _merge(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.stills.merge.files import write_set
    from madpipe.stills.records import Integrated

    told = {"least_partiality": arguments.least_partiality}
    config = _checked(section(arguments, "stills", "merge", StillsMergeConfig, **told))
    integrated = store.read(arguments.integrated, Integrated)
    process = origin_of(arguments, "stills.merge.files")
    found = write_set(arguments.output, integrated, config.least_partiality, arguments.seed, process)
    whole = found.whole
    halves = "no halves" if whole.cc_half is None else f"CC1/2 {whole.cc_half:.3f}"
    limit = "no limit" if found.resolution is None else f"{found.resolution:.2f} angstrom"
    print(
        f"{whole.unique} reflections of {whole.measurements} measurements, {halves}; resolution {limit}: {found.rule}"
    )
