"""The workflow's steps for one file on the command line: the same functions, the same files.

Exit status: 0 done; 1 the input is at fault (one line: what is required, what came, what to do), or `verify` found
something stale; 2 wrong usage.
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import h5py

from madpipe import config as configuration
from madpipe.base import provenance, runtime, store
from madpipe.base.config import dropped_nulls, to_yaml, validate
from madpipe.base.errors import InputError
from madpipe.base.origin import BESIDE, READERS, read_origin, weights_header
from madpipe.base.shipped import shipped_weights
from madpipe.cli_rocking import add_rocking
from madpipe.cli_shared import add_config, origin_of, section
from madpipe.mad.config import FitConfig, InferConfig, MeasuredSample, RetrieveConfig, ValidateConfig
from madpipe.mad.fit.files import fit_file
from madpipe.mad.fit.fit import METHODS
from madpipe.mad.measured.convert import convert
from madpipe.mad.measured.readers.nanomad import SUFFIXES as NANOMAD
from madpipe.mad.measured.readers.nanomad import write_nanomad
from madpipe.mad.network.infer import infer
from madpipe.mad.network.weights import load_network
from madpipe.mad.plan.run import run_plan
from madpipe.mad.realspace.export import export_vtk
from madpipe.mad.realspace.retrieve import retrieve
from madpipe.mad.records import Fit, RealSpace, Stack
from madpipe.mad.scores.validate import score
from madpipe.verify import in_words, settings_of, verify


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.formatwarning = lambda message, *_, **__: f"madpipe: {message}\n"
    runtime.fix_threads(arguments.threads)
    try:
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"madpipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("madpipe: interrupted; a fit in slabs, asked for again, goes on with what is done", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    parser = argparse.ArgumentParser(prog="madpipe", description="Multi-wavelength anomalous diffraction.")
    parser.add_argument("--version", action="version", version=provenance.versions()["madpipe"])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_convert(commands)
    _add_fit(commands)
    _add_predict(commands)
    _add_retrieve(commands)
    _add_export(commands)
    _add_score(commands)
    _add_plan(commands)
    info = commands.add_parser("info", help="what a file holds, who made it and how")
    info.add_argument("file", help=f"any result: {', '.join([*READERS, *BESIDE])}")
    info.set_defaults(run=_info)
    _add_verify(commands)
    of_rocking = add_rocking(commands)
    default = commands.add_parser("config", help="print the default configuration, every key described")
    default.set_defaults(run=lambda _: print(to_yaml(configuration.DEFAULT), end=""))
    for command in (*commands.choices.values(), *of_rocking):
        threads = command.get_default("threads") or os.cpu_count() or 1
        command.add_argument("--threads", type=int, default=threads, help="CPU threads")
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
    """Options of convert."""
    command = commands.add_parser("convert", help="a beamline's files -> stack.h5")
    command.add_argument("path", nargs="+", metavar="IN", help="one file, or one per energy")
    command.add_argument("-o", "--output", required=True, help="stack.h5; .mad writes NanoMAD's text")
    command.add_argument("--element", help="resonant element, where the file does not name it")
    command.add_argument("--edge", help="its edge (default: the file's, else K)")
    command.add_argument("--energies", type=_numbers, help="photon energies in the files' order [eV]")
    command.add_argument("--spectrum", help="absorption spectrum (XDI or columns) that f', f'' are taken from")
    command.add_argument("--f-prime", type=_numbers, help="f' per energy instead of a table [electron]")
    command.add_argument("--f-double-prime", type=_numbers, help="f'' per energy instead of a table [electron]")
    command.set_defaults(run=_convert)


def _add_fit(commands: argparse._SubParsersAction) -> None:
    """Options of fit."""
    command = commands.add_parser("fit", help="stack.h5 -> fit.h5, point by point")
    command.add_argument("stack")
    command.add_argument("-o", "--output", required=True)
    command.add_argument("--method", choices=sorted(METHODS), help="how a point is solved (default: exact)")
    command.add_argument(
        "--refine", type=_words, default=(), help="nuisances to fit beside: scale, offset, dispersion, background"
    )
    add_config(command)
    command.set_defaults(run=_fit)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    """Options of predict."""
    command = commands.add_parser("predict", help="stack.h5 -> inferred.h5, by the network")
    command.add_argument("stack")
    command.add_argument("-o", "--output", required=True)
    command.add_argument("--weights", help="trained weights (default: those that come with madpipe)")
    help_only = "the network's prediction alone; by default the counts of each point correct it"
    command.add_argument("--prediction-only", dest="refine", action="store_false", default=None, help=help_only)
    add_config(command)
    command.set_defaults(run=_predict)


def _add_retrieve(commands: argparse._SubParsersAction) -> None:
    """Options of retrieve."""
    command = commands.add_parser("retrieve", help="stack.h5, and fit.h5 before it -> object.h5, in real space")
    command.add_argument("files", nargs="+", metavar="[fit.h5] stack.h5", help="the joint route needs no fit")
    command.add_argument("-o", "--output", required=True)
    command.add_argument("--route", choices=["joint", "linked", "separate"], default="joint")
    command.add_argument(
        "--refine", type=_words, default=(), help="joint route: any of scale,offset,dispersion,background"
    )
    command.add_argument("--partner", help="the other element (default: a simulation's; else they count by electrons)")
    command.add_argument("--seed", type=int, default=0, help="seed of the random starts")
    add_config(command)
    command.set_defaults(run=_retrieve)


def _add_export(commands: argparse._SubParsersAction) -> None:
    """Options of export."""
    command = commands.add_parser("export", help="object.h5 -> object.vti, a volume for ParaView")
    command.add_argument("object")
    command.add_argument("-o", "--output", required=True)
    command.set_defaults(run=_export)


def _add_score(commands: argparse._SubParsersAction) -> None:
    """Options of score."""
    command = commands.add_parser("score", help="score answers or objects against a stack and its truth")
    command.add_argument("files", nargs="+", metavar="FILE", help="fit.h5, inferred.h5, object.h5")
    command.add_argument("--truth", required=True, metavar="stack.h5")
    command.add_argument("-o", "--output", required=True)
    command.add_argument("--seed", type=int, default=0, help="seed of the noise floor")
    add_config(command)
    command.set_defaults(run=_score)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    """Options of plan."""
    command = commands.add_parser("plan", help="what photon energies will determine, and better ones")
    command.add_argument("--element", required=True)
    command.add_argument("--edge", default="K")
    command.add_argument("--energies", type=_numbers, required=True, dest="energies_ev", help="photon energies [eV]")
    command.add_argument("--photons", type=_numbers, help="per point and energy (default: 1e2,1e3,1e4,1e5)")
    command.add_argument("--q", type=float, help="|Q| of the Bragg peak [1/angstrom] (default: 3.09)")
    command.add_argument("--spectrum", help="absorption spectrum of the sample instead of Chantler's table")
    help_range = "where to look for better energies [eV] (default: edge +- 60)"
    command.add_argument("--range", type=_numbers, dest="range_ev", metavar="LOW,HIGH", help=help_range)
    command.add_argument("--step", type=float, dest="step_ev", help="of that search [eV] (default: 1)")
    command.add_argument("--count", type=int, help="how many energies (default: as many as given)")
    command.add_argument("--budget", type=float, help="photons per point in all (default: 1e4 per energy)")
    help_robust = "leave the table's doubt out of the search"
    command.add_argument("--photons-only", dest="robust", action="store_false", help=help_robust)
    command.add_argument("-o", "--output", nargs="+", default=(), help="plan.pdf (+ .png, .txt) and/or plan.json")
    command.set_defaults(run=_plan, threads=1)  # many small operations: a second thread only waits


def _add_verify(commands: argparse._SubParsersAction) -> None:
    """Options of verify."""
    command = commands.add_parser("verify", help="which results and figures are stale, and why; status 1 if any is")
    command.add_argument("folder", nargs="?", default="results")
    help_config = "compare with the default configuration and these overlays (default: with the folder's config.yaml)"
    command.add_argument("--config", nargs="+", default=[], metavar="FILE", help=help_config)
    command.set_defaults(run=_verify)


def _numbers(text: str) -> tuple[float, ...]:
    """Read numbers joined by commas."""
    return tuple(float(word) for word in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    """Read words joined by commas."""
    return tuple(text.split(","))


def _convert(arguments: argparse.Namespace) -> None:
    given = {
        "path": tuple(arguments.path),
        "element": arguments.element,
        "edge": arguments.edge,
        "energies_ev": arguments.energies,
        "spectrum": arguments.spectrum,
        "f_prime": arguments.f_prime,
        "f_double_prime": arguments.f_double_prime,
    }
    stack = convert(validate(MeasuredSample, dropped_nulls(given)))
    if Path(arguments.output).suffix.lower() in NANOMAD:
        write_nanomad(arguments.output, stack)
    else:
        process = origin_of(arguments, "mad.measured.convert", *arguments.path, arguments.spectrum)
        store.write(arguments.output, stack, process=process)


def _fit(arguments: argparse.Namespace) -> None:
    config = section(arguments, "fit", FitConfig)
    if arguments.method is not None:
        config = config.model_copy(update={"method": arguments.method})
    process = origin_of(arguments, "mad.fit.files", arguments.stack, settings=config)
    fit_file(arguments.stack, arguments.output, config, arguments.refine, process)


def _predict(arguments: argparse.Namespace) -> None:
    stack = store.read(arguments.stack, Stack)
    weights = str(arguments.weights or shipped_weights("mad"))
    network = load_network(weights)
    config = section(arguments, "infer", InferConfig)
    if arguments.refine is not None:
        config = config.model_copy(update={"refine": arguments.refine})
    process = origin_of(arguments, "mad.network.infer", arguments.stack, weights, settings=config)
    store.write(arguments.output, infer(stack, network, config), process=process)


def _retrieve(arguments: argparse.Namespace) -> None:
    if len(arguments.files) > 2:
        raise InputError(f"retrieve takes stack.h5, or fit.h5 and stack.h5; {len(arguments.files)} files came.")
    stack = store.read(arguments.files[-1], Stack)
    fit = store.read(arguments.files[0], Fit) if len(arguments.files) == 2 else None
    config = section(arguments, "retrieve", RetrieveConfig)
    generator = runtime.generator_for(arguments.seed, "retrieve", arguments.route)
    found = retrieve(fit, stack, config, generator, arguments.route, arguments.partner, arguments.refine)
    process = origin_of(arguments, "mad.realspace.retrieve", *arguments.files, settings=config)
    store.write(arguments.output, found, process=process)


def _export(arguments: argparse.Namespace) -> None:
    export_vtk(store.read(arguments.object, RealSpace), arguments.output)


def _plan(arguments: argparse.Namespace) -> None:
    other = {"run", "output", "threads"}
    settings = {key: value for key, value in vars(arguments).items() if key not in other}
    print("\n".join(run_plan(settings, arguments.output, origin_of(arguments, "mad.plan.run", arguments.spectrum))))


def _score(arguments: argparse.Namespace) -> None:
    stack = store.read(arguments.truth, Stack)
    answers, objects = {}, {}
    for file in arguments.files:
        if _holds_object(file):
            item = store.read(file, RealSpace)
            objects[item.route] = item
        else:
            answer = store.read(file, Fit)
            answers["network" if answer.method.startswith("network") else "fit"] = answer
    config = section(arguments, "validate_", ValidateConfig)
    scores = score(stack, answers, objects, config, runtime.generator_for(arguments.seed, "score"))
    process = origin_of(arguments, "mad.scores.validate", arguments.truth, *arguments.files, settings=config)
    store.write_json(arguments.output, scores, process=process)


def _holds_object(file: str) -> bool:
    """Say whether a file holds a real-space object; what is no HDF5 file is left to the reader's message."""
    if not (Path(file).is_file() and h5py.is_hdf5(file)):
        return False
    with h5py.File(file, "r") as opened:
        return "entry_1/object_1" in opened


def _info(arguments: argparse.Namespace) -> None:
    path = Path(arguments.file)
    origin = read_origin(path)
    if h5py.is_hdf5(path):
        store.tree(path, lambda name, description: print(f"/{name}: {description}"))
    if path.suffix == ".safetensors":
        print(json.dumps({**weights_header(path), "process": "below"}, indent=1, sort_keys=True))
    for name in ("program", "version", "date"):
        print(f"{name}: {origin.get(name, 'unknown')}")
    if "note_1" in origin:
        print(json.dumps(origin["note_1"], indent=1, sort_keys=True))


def _verify(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    found, versions = verify(folder, settings_of(folder, arguments.config))
    print("\n".join(in_words(found, versions)))
    return int(any(one.reasons for one in found))
