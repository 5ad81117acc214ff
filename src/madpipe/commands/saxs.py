"""Commands of the small-angle study: convert, fit, predict, size, guinier, separate, anomalous, plan."""

import argparse
import typing

from madpipe.commands.curves import add_curves, reading, told_curves
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
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.config_separation import SeparationSettings
from madpipe.saxs.config_size import SizeSettings
from madpipe.saxs.fit.settings import SaxsChoiceConfig, SaxsFitConfig
from madpipe.saxs.network.settings import SaxsInferConfig

if typing.TYPE_CHECKING:
    from madpipe.saxs.anomalous.records import AnomalousFit
    from madpipe.saxs.records import ParticleFit


def add_steps(steps: argparse._SubParsersAction) -> None:
    """Add the steps with their options."""
    convert = steps.add_parser("convert", help="curves of any format -> curves.h5, NXcanSAS; says what it assumed")
    add_curves(convert)
    add_seed(convert, "of what is drawn")
    convert.set_defaults(run=_convert)
    fit = steps.add_parser("fit", help="curves -> fit.h5: sizes with errors by a model, or by the best of all models")
    add_curves(fit)
    add_seed(fit, "of what is drawn")
    fit.add_argument(
        "--model",
        help="shapes joined by +, as core_shell_sphere@hard_sphere; auto: the best (default: core_shell_sphere)",
    )
    _add_fit(fit)
    fit.set_defaults(run=_fit)
    predict = steps.add_parser("predict", help="curves -> fit.h5: the shape by a network, then the fit from its answer")
    add_curves(predict)
    add_seed(predict, "of what is drawn")
    help_weights = "weights.safetensors of a training (default: those that come with madpipe)"
    predict.add_argument("--weights", type=InputPath, help=help_weights)
    _add_fit(predict)
    predict.set_defaults(run=_predict)
    classify = steps.add_parser("classify", help="curves -> classes.json: calibrated probabilities of shapes")
    add_curves(classify)
    add_seed(classify, "of what is drawn")
    classify.add_argument("--weights", type=InputPath, help=help_weights)
    classify.set_defaults(run=_classify)
    size = steps.add_parser("size", help="a curve -> size.h5: size distribution without a model of its form")
    add_curves(size)
    add_seed(size, "of what is drawn")
    size.add_argument("--method", choices=("smooth", "entropy"), help="regularisation (default: entropy)")
    size.add_argument("--contrast", type=finite, help="to the surroundings (default: 1) [1e-6/angstrom^2]")
    _add_range(size)
    size.set_defaults(run=_size)
    guinier = steps.add_parser("guinier", help="curves -> guinier.json: Rg, I(0) and their trend, Porod, invariant")
    add_curves(guinier)
    add_seed(guinier, "of what is drawn")
    guinier.set_defaults(run=_guinier)
    separate = steps.add_parser("separate", help="an energy series -> partial.h5: partial intensities, no model")
    add_curves(separate)
    add_seed(separate, "of what is drawn")
    separate.add_argument("--element", help="the resonant element (default: Ni)")
    separate.set_defaults(run=_separate)
    anomalous = steps.add_parser("anomalous", help="an energy series -> anomalous.h5: core and shell by their elements")
    add_curves(anomalous)
    add_seed(anomalous, "of what is drawn")
    help_material = "of every region, as core=Fe3O4@5.17 with its density (default: core=Ni3Fe, shell=Ni)"
    anomalous.add_argument("--material", type=_material, action="append", metavar="REGION=FORMULA", help=help_material)
    help_shares = "shares of atoms that are unknown, as core:Fe, joined by commas; none (default: core:Fe)"
    anomalous.add_argument("--shares", type=_shares, help=help_shares)
    anomalous.set_defaults(run=_anomalous)
    plan = steps.add_parser("plan", help="errors that a measurement at an edge would have, and where contrasts match")
    add_output(plan, required=False)
    plan.add_argument("--core", help="formula of the core (default: Ni3Fe)")
    plan.add_argument("--shell", help="formula of the shell (default: Ni)")
    plan.add_argument("--edge", type=_edge, help="element and edge, as Fe-K (default: Fe-K)")
    plan.add_argument("--energies", type=numbers, help="photon energies (default: five below the edge) [eV]")
    plan.add_argument("--photons", type=numbers, help="detected at each energy (default: 1e6,1e7,1e8)")
    add_config(plan)
    plan.set_defaults(run=_plan)


def _add_range(command: argparse.ArgumentParser) -> None:
    """Options of the range of q."""
    command.add_argument("--q-min", type=finite, help="least q that is used [1/angstrom]")
    command.add_argument("--q-max", type=finite, help="largest q that is used [1/angstrom]")


def _add_fit(command: argparse.ArgumentParser) -> None:
    """Options of a fit."""
    command.add_argument(
        "--fix", type=_pair, action="append", metavar="NAME=VALUE", help="hold a parameter, as radius=50; repeatable"
    )
    command.add_argument(
        "--contrast",
        type=_pair,
        action="append",
        metavar="REGION=VALUE",
        help="of every region, less the solvent's: the scale is then a volume fraction [1e-6/angstrom^2]",
    )
    kinds = ("gaussian", "schulz", "lognormal", "uniform")
    command.add_argument("--distribution", choices=kinds, help="of the size that is spread (default: schulz)")
    command.add_argument("--spread", help="length that is spread; all, or none (default: the first)")
    command.add_argument("--background", choices=("flat", "none", "power"), help="(default: flat)")
    command.add_argument(
        "--smear", action=argparse.BooleanOptionalAction, default=None, help="by the resolution told (default: yes)"
    )
    series = ("independent", "chained", "global")
    help_series = "how several curves are fitted (default: independent); global: together, each file on its own q"
    command.add_argument("--series", choices=series, help=help_series)
    help_own = "with global: parameters that each curve has for itself, as core_contrast_ratio"
    command.add_argument("--own", type=words, metavar="NAME,...", help=help_own)
    help_relative = "error of every point beside the stated one, relative to the intensity (default: 0)"
    command.add_argument("--relative-error", type=finite, help=help_relative)
    _add_range(command)


def _pair(text: str) -> tuple[str, float]:
    """Read NAME=VALUE."""
    name, _, value = text.partition("=")
    try:
        return name, finite(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"NAME=VALUE, as radius=50, is required; {text!r} came") from error


def _material(text: str) -> tuple[str, str]:
    """Read REGION=FORMULA."""
    region, _, formula = text.partition("=")
    if not region or not formula:
        raise argparse.ArgumentTypeError(f"REGION=FORMULA, as core=Ni3Fe, is required; {text!r} came")
    return region, formula


def _shares(text: str) -> tuple[str, ...]:
    """Read shares joined by commas, or none."""
    return () if text == "none" else words(text)


def _edge(text: str) -> tuple[str, str]:
    """Read an element and its edge."""
    element, _, edge = text.partition("-")
    if not element or not edge:
        raise argparse.ArgumentTypeError(f"an element and its edge, as Fe-K, are required; {text!r} came")
    return element, edge


def _convert(arguments: argparse.Namespace) -> None:
    from madpipe.base import store

    curves = told_curves(arguments, "saxs")
    store.write(arguments.output, curves, process=origin_of(arguments, "base.curves.reading"))
    span = f"q {curves.q[0]:.4g} to {curves.q[-1]:.4g}/angstrom"
    print(f"{curves.title}: {len(curves.intensity)} curves of {len(curves.q)} points, {span}")


def _fit_settings(arguments: argparse.Namespace, model: str | None) -> SaxsFitConfig:
    """Settings of a fit: the configuration's, with what the words say."""
    return section(
        arguments,
        "saxs",
        "fit",
        SaxsFitConfig,
        model=model,
        fix=dict(arguments.fix) if arguments.fix else None,
        contrast=dict(arguments.contrast) if arguments.contrast else None,
        distribution=arguments.distribution,
        spread=arguments.spread,
        background=arguments.background,
        smear=arguments.smear,
        series=arguments.series,
        own=arguments.own,
        relative_error=arguments.relative_error,
        q_min=arguments.q_min,
        q_max=arguments.q_max,
    )


def _fit(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.curves.reading import read_curves
    from madpipe.saxs.fit.choice import fit_best
    from madpipe.saxs.fit.fit import fit_curves, fit_together

    if arguments.series == "global" and len(arguments.curves) > 1:
        records = [read_curves([path], reading(arguments, "saxs")) for path in arguments.curves]
        found = fit_together(records, _fit_settings(arguments, arguments.model), arguments.seed)
        store.write(arguments.output, found, process=origin_of(arguments, "saxs.fit.choice"))
        _tell(found)
        return
    curves = told_curves(arguments, "saxs")
    if arguments.model == "auto":
        choice = section(arguments, "saxs", "choice", SaxsChoiceConfig)
        found = fit_best(curves, _fit_settings(arguments, None), choice, arguments.seed)
    else:
        found = fit_curves(curves, _fit_settings(arguments, arguments.model), arguments.seed)
    store.write(arguments.output, found, process=origin_of(arguments, "saxs.fit.choice"))
    _tell(found)


def _predict(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.shipped import shipped_weights
    from madpipe.saxs.network.refine import predict_and_fit

    curves = told_curves(arguments, "saxs")
    config = section(arguments, "saxs", "infer", SaxsInferConfig)
    weights = str(arguments.weights or shipped_weights("saxs"))
    found = predict_and_fit(curves, weights, config, _fit_settings(arguments, None), arguments.seed)
    more = () if arguments.weights else (weights,)
    store.write(arguments.output, found, process=origin_of(arguments, "saxs.network.refine", more=more))
    _tell(found)


def _classify(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.plain import to_plain
    from madpipe.base.shipped import shipped_weights
    from madpipe.saxs.network.refine import classes_of

    curves = told_curves(arguments, "saxs")
    config = section(arguments, "saxs", "infer", SaxsInferConfig)
    fit = section(arguments, "saxs", "fit", SaxsFitConfig)
    weights = str(arguments.weights or shipped_weights("saxs"))
    found = classes_of(curves, weights, config, fit, arguments.seed)
    more = () if arguments.weights else (weights,)
    store.write_json(
        arguments.output, {"curves": to_plain(found)}, process=origin_of(arguments, "saxs.network.refine", more=more)
    )
    for one in found:
        print(one.verdict)


def _size(arguments: argparse.Namespace) -> None:
    import numpy as np

    from madpipe.base import store
    from madpipe.base.errors import InputError
    from madpipe.base.metrics import with_error
    from madpipe.saxs.analysis.size_distribution import size_distribution
    from madpipe.saxs.records_size import size_record

    curves = told_curves(arguments, "saxs")
    if len(curves.intensity) > 1:
        raise InputError(f"size: needs one curve; {len(curves.intensity)} came; choose one with --entry.")
    given = {"method": arguments.method, "contrast": arguments.contrast}
    settings = section(arguments, "saxs", "size", SizeSettings, q_min=arguments.q_min, q_max=arguments.q_max, **given)
    data = curves.q, curves.intensity[0], curves.sigma[0]
    answer = size_distribution(*data, settings, np.random.default_rng(arguments.seed))
    found = size_record(answer, settings.method)
    store.write(arguments.output, found, process=origin_of(arguments, "saxs.analysis.size_distribution"))
    median, error = float(found.percentiles[1]), float(found.percentile_errors[1])
    total = with_error(found.total, found.total_error)
    print(
        f"volume fraction {total} at contrast {settings.contrast:g}e-6/angstrom^2, "
        f"median {with_error(median, error)} angstrom, chi-square per point {found.chi2:.2f}"
        + (f"; {answer.verdict}" if answer.verdict else "")
    )


def _guinier(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.plain import to_plain
    from madpipe.saxs.analysis.low_and_high_q import low_and_high_q

    found = low_and_high_q(told_curves(arguments, "saxs"))
    process = origin_of(arguments, "saxs.analysis.low_and_high_q")
    store.write_json(arguments.output, {"curves": to_plain(found)}, process=process)
    for one in found:
        print(one.verdict)


def _separate(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.saxs.analysis.separation import separate_series

    curves = told_curves(arguments, "saxs")
    settings = section(arguments, "saxs", "separation", SeparationSettings, element=arguments.element)
    found = separate_series(curves, settings)
    store.write(arguments.output, found, process=origin_of(arguments, "saxs.analysis.separation"))
    explains = "explain" if found.explains else "do not explain"
    print(
        f"partial intensities of {found.element} at {len(found.q)} q from {len(found.energy)} energies, "
        f"{int(found.bounded.sum())} of them bounded by Schwarz's inequality; chi-square {found.chi2:.3g} per degree "
        f"of freedom of {found.freedom}; they {explains} the curves"
    )


def _anomalous(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.saxs.anomalous.fit import fit_anomalous

    curves = told_curves(arguments, "saxs")
    materials = dict(arguments.material) if arguments.material else None
    told = {"materials": materials, "shares": arguments.shares}
    settings = section(arguments, "saxs", "anomalous", AnomalousFitConfig, **told)
    found = fit_anomalous(curves, settings, arguments.seed)
    store.write(arguments.output, found, process=origin_of(arguments, "saxs.anomalous.fit"))
    _tell_anomalous(found)


def _tell_anomalous(found: "AnomalousFit") -> None:
    """Say what was found of the particle, and in the last line whether it explains the curves."""
    from madpipe.base.metrics import with_error
    from madpipe.saxs.records import HELD

    names, units = found.names.split("\n"), found.units.split("\n")
    rows = zip(names, units, found.values, found.errors, found.states, strict=True)
    told = [
        f"{name} {with_error(value, error)}{'' if unit == '1' else f' {unit}'}"
        for name, unit, value, error, state in rows
        if state != HELD
    ]
    materials = found.materials.split("\n")
    print(f"{found.model} of {', '.join(materials[:-1])} in {materials[-1] or 'vacuum'}: {', '.join(told)}")
    for line in found.rivals.split("\n") if found.rivals else ():
        print(f"as good: {line}")
    print(found.verdict)


def _plan(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.saxs.plan.plan import plan

    element, edge = arguments.edge or (None, None)
    told = {name: getattr(arguments, name) for name in ("core", "shell", "energies", "photons")}
    settings = section(arguments, "saxs", "plan", PlanSettings, element=element, edge=edge, **told)
    found = plan(settings)
    if arguments.output is not None:
        store.write_json(arguments.output, found, process=origin_of(arguments, "saxs.plan.plan"))
    print(*found.verdict, sep="\n")


def _tell(found: "ParticleFit") -> None:
    """Say what was found of each curve, and in the last line whether the model explains it."""
    from madpipe.base.metrics import with_error
    from madpipe.saxs.records import HELD

    names, units = found.names.split("\n"), found.units.split("\n")
    for values, errors, states in zip(found.values, found.errors, found.states, strict=True):
        told = [
            f"{name} {with_error(value, error)}{'' if unit == '1' else f' {unit}'}"
            for name, unit, value, error, state in zip(names, units, values, errors, states, strict=True)
            if state != HELD
        ]
        print(f"{found.model}: {', '.join(told)}")
    for line in found.rivals.split("\n") if found.rivals else ():
        print(f"as good: {line}")
    print(found.verdicts)
