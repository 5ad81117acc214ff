"""Commands of the MAD study: `madpipe mad fit`, for which `madpipe fit` stands too, and the other steps."""

import argparse
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from madpipe.base.config import dropped_nulls, validate
from madpipe.base.errors import InputError
from madpipe.base.verdict import failed, verdicts_in
from madpipe.commands.options import (
    InputPath,
    add_config,
    add_output,
    add_seed,
    finite,
    numbers,
    origin_of,
    section,
    whole,
    words,
)
from madpipe.mad.config import (
    FitConfig,
    InferConfig,
    MeasuredSample,
    Refinable,
    RetrieveConfig,
    ValidateConfig,
)

CHECKS_FAILED = 3  # exit status: the answer is written, but does not pass its own checks
_REFINABLE = ",".join(typing.get_args(Refinable))


def add_steps(steps: argparse._SubParsersAction) -> None:
    """Add the steps with their options."""
    _add_convert(steps)
    _add_fit(steps)
    _add_predict(steps)
    _add_retrieve(steps)
    _add_export(steps)
    _add_validate(steps)
    _add_plan(steps)


def _add_convert(steps: argparse._SubParsersAction) -> None:
    """Options of convert."""
    command = steps.add_parser("convert", help="a beamline's files -> stack.h5")
    command.add_argument("path", nargs="+", type=InputPath, metavar="IN", help="one file, or one per energy")
    add_output(command, help="stack.h5; .mad writes NanoMAD's text")
    command.add_argument("--element", help="resonant element, where the file does not name it")
    command.add_argument("--edge", help="its edge (default: the file's, else K)")
    command.add_argument("--energies", type=numbers, help="photon energies in the files' order [eV]")
    help_spectrum = "absorption spectrum (XDI or columns) that f', f'' are taken from"
    command.add_argument("--spectrum", type=InputPath, help=help_spectrum)
    help_align = "shift the spectrum: its steepest rise to the table's edge, or to EV"
    command.add_argument("--align-edge", nargs="?", type=finite, const=True, metavar="EV", help=help_align)
    help_q = "Bragg vector along the data's axes, or |Q| alone [1/angstrom]"
    command.add_argument("--q-bragg", type=numbers, help=help_q)
    command.add_argument("--f0", type=finite, help="f0 of the resonant element at the Bragg peak [electron]")
    help_dataset = "where HDF5 files hold the intensities; several, joined by commas, are one energy each; * any"
    command.add_argument("--dataset", type=words, metavar="PATH", help=help_dataset)
    help_energy = "where HDF5 files hold the photon energy or the wavelength"
    command.add_argument("--energy-path", metavar="PATH", help=help_energy)
    command.add_argument("--f-prime", type=numbers, help="f' per energy instead of a table [electron]")
    command.add_argument("--f-double-prime", type=numbers, help="f'' per energy instead of a table [electron]")
    help_counts = "photons per unit of the data, where they are no counts (default: seen from the data)"
    command.add_argument("--counts-per-unit", type=finite, metavar="X", help=help_counts)
    help_hot = "mask isolated points far above all around them; by default they are named"
    command.add_argument("--mask-hot", action="store_true", default=None, help=help_hot)
    command.set_defaults(run=_convert)


def _add_fit(steps: argparse._SubParsersAction) -> None:
    """Options of fit."""
    command = steps.add_parser("fit", help="stack.h5 -> fit.h5, point by point")
    command.add_argument("stack", type=InputPath)
    add_output(command)
    methods = sorted(typing.get_args(FitConfig.model_fields["method"].annotation))
    command.add_argument("--method", choices=methods, help="how a point is solved (default: exact)")
    command.add_argument("--refine", type=words, default=(), help=f"nuisances to fit beside: any of {_REFINABLE}")
    add_config(command)
    command.set_defaults(run=_fit)


def _add_predict(steps: argparse._SubParsersAction) -> None:
    """Options of predict."""
    command = steps.add_parser("predict", help="stack.h5 -> inferred.h5, by the network")
    command.add_argument("stack", type=InputPath)
    add_output(command)
    command.add_argument("--weights", type=InputPath, help="trained weights (default: those that come with madpipe)")
    help_only = "the network's prediction alone; by default the counts of each point correct it"
    command.add_argument("--prediction-only", dest="refine", action="store_false", default=None, help=help_only)
    add_config(command)
    command.set_defaults(run=_predict)


def _add_retrieve(steps: argparse._SubParsersAction) -> None:
    """Options of retrieve."""
    command = steps.add_parser("retrieve", help="stack.h5, and fit.h5 before it -> object.h5, in real space")
    help_files = "the joint route needs no fit"
    command.add_argument("files", nargs="+", type=InputPath, metavar="[fit.h5] stack.h5", help=help_files)
    add_output(command)
    command.add_argument("--route", choices=["joint", "linked", "separate"], default="joint")
    command.add_argument("--refine", type=words, default=(), help=f"joint route: any of {_REFINABLE}")
    help_partner = (
        "the other element (default: a simulation's; with none, composition is a share of electrons, not of atoms)"
    )
    command.add_argument("--partner", help=help_partner)
    add_seed(command, "seed of the random starts")
    help_accept = "exit with status 0 where checks of the object fail too, not 3"
    command.add_argument("--accept", action="store_true", help=help_accept)
    add_config(command)
    command.set_defaults(run=_retrieve)


def _add_export(steps: argparse._SubParsersAction) -> None:
    """Options of export."""
    command = steps.add_parser("export", help="object.h5 -> object.vti, a volume for ParaView")
    command.add_argument("object", type=InputPath)
    add_output(command)
    command.set_defaults(run=_export)


def _add_validate(steps: argparse._SubParsersAction) -> None:
    """Options of validate."""
    help_validate = "score answers or objects against their stack, and its truth where it has one"
    command = steps.add_parser("validate", aliases=["score"], help=help_validate)
    command.add_argument("files", nargs="+", type=InputPath, metavar="FILE", help="fit.h5, inferred.h5, object.h5")
    help_stack = "the stack that was answered, measured or simulated; a simulated one holds the truth"
    command.add_argument(
        "--stack", "--truth", dest="truth", type=InputPath, required=True, metavar="stack.h5", help=help_stack
    )
    add_output(command)
    add_seed(command, "seed of the noise floor")
    add_config(command)
    command.set_defaults(run=_validate)


def _add_plan(steps: argparse._SubParsersAction) -> None:
    """Options of plan."""
    command = steps.add_parser("plan", help="what photon energies will determine, and better ones")
    command.add_argument("--element", required=True)
    command.add_argument("--edge", default="K")
    command.add_argument("--energies", type=numbers, required=True, dest="energies_ev", help="photon energies [eV]")
    command.add_argument("--photons", type=numbers, help="per point and energy (default: 1e2,1e3,1e4,1e5)")
    command.add_argument("--q", type=finite, help="|Q| of the Bragg peak [1/angstrom] (default: 3.09)")
    help_spectrum = "absorption spectrum of the sample instead of Chantler's table"
    command.add_argument("--spectrum", type=InputPath, help=help_spectrum)
    help_range = "where to look for better energies [eV] (default: edge +- 60)"
    command.add_argument("--range", type=numbers, dest="range_ev", metavar="LOW,HIGH", help=help_range)
    command.add_argument("--step", type=finite, dest="step_ev", help="of that search [eV] (default: 1)")
    command.add_argument("--count", type=whole(1, 1000), help="how many energies (default: as many as given)")
    command.add_argument("--budget", type=finite, help="photons per point in all (default: 1e4 per energy)")
    help_robust = "leave the table's doubt out of the search"
    command.add_argument("--photons-only", dest="robust", action="store_false", help=help_robust)
    add_output(command, nargs="+", default=(), required=False, help="plan.pdf (+ .png, .txt) and/or plan.json")
    command.set_defaults(run=_plan, threads=1)  # many small operations: a second thread only waits


def _convert(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.mad.measured.convert import convert
    from madpipe.mad.measured.readers.nanomad import SUFFIXES, write_nanomad

    given = {
        "path": tuple(arguments.path),
        "element": arguments.element,
        "edge": arguments.edge,
        "energies_ev": arguments.energies,
        "spectrum": arguments.spectrum,
        "align_edge": arguments.align_edge,
        "q_bragg": arguments.q_bragg,
        "f0": arguments.f0,
        "dataset": arguments.dataset,
        "energy_path": arguments.energy_path,
        "f_prime": arguments.f_prime,
        "f_double_prime": arguments.f_double_prime,
        "counts_per_unit": arguments.counts_per_unit,
        "mask_hot": arguments.mask_hot,
    }
    stack = convert(validate(MeasuredSample, dropped_nulls(given)))
    if Path(arguments.output).suffix.lower() in SUFFIXES:
        write_nanomad(arguments.output, stack)
    else:
        store.write(arguments.output, stack, process=origin_of(arguments, "mad.measured.convert"))


def _fit(arguments: argparse.Namespace) -> None:
    from madpipe.mad.fit.files import fit_file

    config = section(arguments, "mad", "fit", FitConfig, method=arguments.method)
    process = origin_of(arguments, "mad.fit.files")
    fit_file(arguments.stack, arguments.output, config, arguments.refine, process)


def _predict(arguments: argparse.Namespace) -> None:
    from madpipe.base.shipped import shipped_weights
    from madpipe.mad.network.files import infer_file
    from madpipe.mad.network.weights import load_network

    weights = str(arguments.weights or shipped_weights("mad"))
    network = load_network(weights)
    config = section(arguments, "mad", "infer", InferConfig, refine=arguments.refine)
    process = origin_of(arguments, "mad.network.files", more=() if arguments.weights else (weights,))
    infer_file(arguments.stack, arguments.output, network, config, process)


def _retrieve(arguments: argparse.Namespace) -> int:
    from madpipe.base import runtime, store
    from madpipe.mad.realspace.retrieve import retrieve
    from madpipe.mad.realspace.words import told
    from madpipe.mad.records import Fit, Stack

    if len(arguments.files) > 2:
        raise InputError(f"retrieve takes stack.h5, or fit.h5 and stack.h5; {len(arguments.files)} files came.")
    stack = store.read(arguments.files[-1], Stack)
    fit = store.read(arguments.files[0], Fit) if len(arguments.files) == 2 else None
    config = section(arguments, "mad", "retrieve", RetrieveConfig)
    known = section(arguments, "mad", "fit", FitConfig).nuisance
    generator = runtime.generator_for(arguments.seed, "retrieve", arguments.route)
    found = retrieve(fit, stack, config, generator, arguments.route, arguments.partner, arguments.refine, known)
    store.write(arguments.output, found, process=origin_of(arguments, "mad.realspace.retrieve"))
    print("\n".join(told(found, stack)))
    wrong = failed(verdicts_in(found.verdicts))
    return CHECKS_FAILED if wrong and not arguments.accept else 0


def _export(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.mad.realspace.export import export_vtk
    from madpipe.mad.realspace.words import failures
    from madpipe.mad.records import RealSpace

    found = store.read(arguments.object, RealSpace)
    export_vtk(found, arguments.output)
    for line in failures(verdicts_in(found.verdicts)):
        print(line)


def _plan(arguments: argparse.Namespace) -> None:
    other = {"run", "output", "threads"}
    settings = {key: value for key, value in vars(arguments).items() if key not in other}
    process = origin_of(arguments, "mad.plan", "mad.figures.planning")
    print("\n".join(run_plan(settings, arguments.output, process)))


def run_plan(
    settings: Mapping[str, Any], outputs: Sequence[str] = (), process: Mapping[str, str] | None = None
) -> list[str]:
    """Make a plan, write it, and give the lines for the terminal.

    Parameters
    ----------
    settings:
        Arguments of :func:`madpipe.mad.plan.plan` by name; None means its default.
    outputs:
        Files to write: the figure (.pdf, with .png and .txt beside it), the numbers (.json).
    process:
        Provenance of both.

    Raises
    ------
    InputError
        As :func:`madpipe.mad.plan.plan`; an output of another kind; a folder that cannot be written.
    """
    from madpipe.base import store
    from madpipe.base.plotting import save
    from madpipe.mad.figures.planning import planning
    from madpipe.mad.plan import atom_of, plan
    from madpipe.mad.plan.words import lines

    odd = [name for name in outputs if Path(name).suffix not in (".pdf", ".json")]
    if odd:
        raise InputError(f"a plan is written as .pdf or .json; {odd[0]} came; name it so.")
    given = {name: value for name, value in settings.items() if value is not None}
    made = plan(**given)
    for name in outputs:
        if Path(name).suffix == ".json":
            store.write_json(name, asdict(made), process=process)
        else:
            picture = planning(made, atom_of(made.element, made.edge, made.q, given.get("spectrum")))
            save(picture.figure, name, process or {}, caption=picture.caption)
    return lines(made)


def _validate(arguments: argparse.Namespace) -> None:
    from madpipe.base import runtime, store
    from madpipe.base.verdict import Verdict, in_words
    from madpipe.mad.records import Fit, RealSpace, Stack
    from madpipe.mad.scores.checks import checks
    from madpipe.mad.scores.validate import score

    stack = store.read(arguments.truth, Stack)
    answers, objects = {}, {}
    for file in arguments.files:
        if store.holds(file, "entry_1/object_1"):
            item = store.read(file, RealSpace)
            objects[item.route] = item
        else:
            answer = store.read(file, Fit)
            answers["network" if answer.method.startswith("network") else "fit"] = answer
    config = section(arguments, "mad", "validate_", ValidateConfig)
    scores = score(stack, answers, objects, config, runtime.generator_for(arguments.seed, "score"))
    store.write_json(arguments.output, scores, process=origin_of(arguments, "mad.scores.validate"))
    verdicts = {
        f"{one.of} {one.name}": Verdict(one.value, one.limit, one.passed, one.meaning) for one in checks(scores)
    }
    print(*in_words(verdicts), sep="\n")
