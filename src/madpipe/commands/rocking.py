"""Commands of the rocking-curve study: `madpipe rocking fit` and `madpipe rocking predict`."""

import argparse
import typing

from madpipe.base.config import dropped_nulls, validate
from madpipe.commands.options import (
    InputPath,
    add_config,
    add_output,
    add_seed,
    finite,
    origin_of,
    section,
    whole,
    words,
)
from madpipe.rocking.config import MeasuredCurve, RockingFitConfig, RockingInferConfig, profile_of

if typing.TYPE_CHECKING:
    from madpipe.rocking.records import Curve, LayerProfile

# what a command tells of a curve that is text
_CURVE = (
    "crystal",
    "lattice_constant",
    "indices",
    "wavelength",
    "half_width",
    "lorentzian",
    "systematic",
    "instrument",
    "counts_per_unit",
    "scan",
    "columns",
    "axis",
    "unit",
    "peak",
)


def add_steps(steps: argparse._SubParsersAction) -> None:
    """Add the steps with their options."""
    fit = steps.add_parser("fit", help="curve.txt or curve.h5 -> profile.h5: strain and disorder against depth")
    _add_curve(fit)
    fit.add_argument("--depth", type=finite, help="where a free-form layer ends (default: 2000) [angstrom]")
    fit.add_argument("--profile", choices=("implanted", "spline"), help="seven parameters, or free form (default)")
    fit.set_defaults(run=_fit)
    predict = steps.add_parser("predict", help="curve.txt or curve.h5 -> profile.h5: an implanted layer, by a network")
    _add_curve(predict)
    help_weights = "weights.safetensors of a training (default: those that come with madpipe)"
    predict.add_argument("--weights", type=InputPath, help=help_weights)
    predict.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="fit from the prediction on (default), or the prediction alone",
    )
    predict.set_defaults(run=_predict)


def _add_curve(command: argparse.ArgumentParser) -> None:
    """Options that tell of a curve."""
    help_curve = "text of 2 theta [degree] and intensity, .xrdml, .ras, .uxd, .brml, or curve.h5 of the workflow"
    command.add_argument("curve", type=InputPath, help=help_curve)
    add_output(command)
    command.add_argument("--crystal", help="Si, Ge, GaAs, SiC-3C, YSZ, GGG (default: GGG)")
    command.add_argument("--lattice-constant", type=finite, help="unstrained (default: built in) [angstrom]")
    command.add_argument("--indices", type=_indices, help="of the symmetric reflection, as 4,0,0 (default: 4,4,4)")
    command.add_argument("--wavelength", type=finite, help="(default: the file's, else 1.5406) [angstrom]")
    command.add_argument("--half-width", type=finite, help="of the resolution in 2 theta (default: 0.006) [degree]")
    command.add_argument("--lorentzian", type=finite, help="Lorentzian share of the resolution (default: 0)")
    help_instrument = "text of 2 theta and intensity: a measured instrument function instead"
    command.add_argument("--instrument", type=InputPath, help=help_instrument)
    command.add_argument("--systematic", type=finite, help="relative error beside counting (default: 0)")
    help_photons = "photons for one unit of intensity (default: found)"
    command.add_argument("--counts-per-unit", type=finite, help=help_photons)
    command.add_argument("--scan", type=whole(1), help="which of the file's scans, from 1 (default: its only one)")
    help_columns = "names or numbers of a text's columns, as 1,3 (default: by their names)"
    command.add_argument("--columns", type=words, metavar="ANGLE,INTENSITY", help=help_columns)
    help_axis = "what the angles are; omega of a symmetric reflection is half of 2 theta (default: as the file says)"
    command.add_argument("--axis", choices=("two_theta", "omega"), help=help_axis)
    help_unit = "of the angles (default: degree)"
    command.add_argument("--unit", choices=("degree", "arcmin", "arcsec", "mrad", "radian"), help=help_unit)
    help_peak = "angle of the substrate's peak, as in the file (default: the highest)"
    command.add_argument("--peak", type=finite, help=help_peak)
    add_seed(command, "of what a search draws")
    add_config(command)
    command.set_defaults(threads=1)  # many small operations: a second thread only waits


def _indices(text: str) -> tuple[int, ...]:
    """Read three whole numbers joined by commas."""
    try:
        h, k, l = map(int, text.split(","))  # noqa: E741
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"h,k,l, as 4,0,0, are required; {text!r} came") from error
    return h, k, l


def _told(arguments: argparse.Namespace, *more: str) -> "tuple[Curve, MeasuredCurve]":
    """Give the curve, and what the command tells of it."""
    from madpipe.base import store
    from madpipe.base.warned import warn
    from madpipe.rocking.measured.curve import read_curve
    from madpipe.rocking.records import Curve

    told = dropped_nulls({name: getattr(arguments, name) for name in (*_CURVE, *more)})
    sample = validate(MeasuredCurve, {"path": arguments.curve, **told})
    is_text = not arguments.curve.endswith(".h5")
    if not is_text and (given := [name for name in told if name in _CURVE]):
        warn(f"a curve.h5 says {', '.join(given)} itself; what was told of these is not used; leave the options out.")
    return (read_curve(arguments.curve, sample) if is_text else store.read(arguments.curve, Curve)), sample


def _fit(arguments: argparse.Namespace) -> None:
    import torch

    from madpipe.base import store
    from madpipe.rocking.fit.fit import fit_curve

    curve, sample = _told(arguments, "depth")
    told = section(arguments, "rocking", "fit", RockingFitConfig, profile=arguments.profile)
    config = section(arguments, "rocking", "fit", RockingFitConfig, profile=profile_of(sample, told))
    found = fit_curve(curve, config, sample.depth, torch.Generator().manual_seed(arguments.seed))
    store.write(arguments.output, found, process=origin_of(arguments, "rocking.fit.fit"))
    _tell(found)


def _predict(arguments: argparse.Namespace) -> None:
    import torch

    from madpipe.base import store
    from madpipe.base.shipped import shipped_weights
    from madpipe.rocking.network.infer import Predictor, infer
    from madpipe.rocking.network.weights import load_network

    config = section(arguments, "rocking", "infer", RockingInferConfig, refine=arguments.refine)
    fit = section(arguments, "rocking", "fit", RockingFitConfig)
    curve, _ = _told(arguments)
    weights = str(arguments.weights or shipped_weights("rocking"))
    generator = torch.Generator().manual_seed(arguments.seed)
    found = infer(curve, Predictor(load_network(weights)), config, fit, generator)
    origin = origin_of(arguments, "rocking.network.infer", more=() if arguments.weights else (weights,))
    store.write(arguments.output, found, process=origin)
    _tell(found)


def _tell(found: "LayerProfile") -> None:
    """Say how well the curve is explained, and what was found, in a line."""
    from madpipe.base.metrics import with_error

    place = int(found.strain.argmax())
    strain, error, depth = 100 * found.strain[place], 100 * found.strain_errors[place], found.depth[place]
    points = len(found.two_theta)
    used, freedom = found.points_used or points, max(1, found.degrees_of_freedom or points)
    print(
        f"{found.method}: chi-square per point {found.chi2:.2f}, per degree of freedom "
        f"{found.chi2 * points / freedom:.2f} ({used} of {points} points used), rms of log10 {found.log_rms:.3f}; "
        f"largest strain {with_error(strain, error)} % at {depth:.0f} angstrom"
    )
