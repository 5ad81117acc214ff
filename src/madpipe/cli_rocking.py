"""`madpipe rocking`: rocking curves, one file at a time, with the same functions and files as the workflow."""

import argparse

import torch

from madpipe.base import provenance, store
from madpipe.base.config import dropped_nulls, read_yaml, validate
from madpipe.rocking.config import MeasuredCurve, RockingFitConfig
from madpipe.rocking.fit import fit_curve
from madpipe.rocking.readers import read_curve
from madpipe.rocking.records import Curve

_SAMPLE = ("crystal", "lattice_constant", "indices", "wavelength", "half_width", "lorentzian", "systematic", "depth")


def add_rocking(commands: argparse._SubParsersAction) -> list[argparse.ArgumentParser]:
    """Add the commands of the study, and give them."""
    study = commands.add_parser("rocking", help="rocking curves of strained layers")
    steps = study.add_subparsers(required=True, metavar="STEP")
    fit = steps.add_parser("fit", help="curve.txt or curve.h5 -> profile.h5: strain and disorder against depth")
    fit.add_argument("curve", help="text of 2 theta [degree] and intensity, or curve.h5 of the workflow")
    fit.add_argument("-o", "--output", required=True)
    fit.add_argument("--crystal", help="Si, Ge, GaAs, SiC-3C, YSZ, GGG (default: GGG)")
    fit.add_argument("--lattice-constant", type=float, help="of the unstrained crystal (default: built in) [angstrom]")
    fit.add_argument("--indices", type=_indices, help="of the symmetric reflection, as 4,0,0 (default: 4,4,4)")
    fit.add_argument("--wavelength", type=float, help="(default: 1.5406) [angstrom]")
    fit.add_argument("--half-width", type=float, help="of the resolution in 2 theta (default: 0.006) [degree]")
    fit.add_argument("--lorentzian", type=float, help="Lorentzian share of the resolution (default: 0)")
    fit.add_argument("--systematic", type=float, help="relative error beside counting (default: 0)")
    fit.add_argument("--depth", type=float, help="where a free-form layer ends (default: 2000) [angstrom]")
    fit.add_argument("--profile", choices=("implanted", "spline"), help="seven parameters, or free form (default)")
    fit.add_argument("--seed", type=int, default=0, help="of the library that starts come from")
    fit.add_argument("--config", help="YAML whose rocking.fit section is taken")
    fit.set_defaults(run=_fit)
    return [fit]


def _indices(text: str) -> tuple[int, ...]:
    """Three whole numbers."""
    indices = tuple(int(word) for word in text.split(","))
    if len(indices) != 3:
        raise ValueError(text)
    return indices


def _fit(arguments: argparse.Namespace) -> None:
    """Fit one curve, and say how well."""
    section = read_yaml(arguments.config).get("rocking", {}).get("fit", {}) if arguments.config else {}
    given = {"profile": arguments.profile} if arguments.profile else {}
    config = validate(RockingFitConfig, {**dropped_nulls(section), **given})
    told = {name: getattr(arguments, name) for name in _SAMPLE if getattr(arguments, name) is not None}
    sample = validate(MeasuredCurve, {"path": arguments.curve, **told})
    if arguments.curve.endswith(".h5"):
        curve = store.read(arguments.curve, Curve)
    else:
        curve = read_curve(arguments.curve, sample)
    found = fit_curve(curve, config, sample.depth, torch.Generator().manual_seed(arguments.seed))
    parameters = {
        "sample": told,
        "config": config.model_dump(mode="json"),
        "seed": arguments.seed,
        "code": provenance.code_of("madpipe.rocking.fit"),
    }
    process = provenance.process(parameters, output=arguments.output, inputs=[arguments.curve])
    store.write(arguments.output, found, process=process)
    place = int(found.strain.argmax())
    strain, error, depth = 100 * found.strain[place], 100 * found.strain_errors[place], found.depth[place]
    print(
        f"chi-square per point {found.chi2:.2f}, rms of log10 {found.log_rms:.3f}; "
        f"largest strain {strain:.3f} +- {error:.3f} % at {depth:.0f} angstrom"
    )
