"""Commands of the study of series in time: convert, decompose, rates, events."""

import argparse
import typing

from madpipe.commands.curves import add_curves, told_curves
from madpipe.commands.options import (
    finite,
    origin_of,
    section,
    whole,
)
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.events.settings import EventsSettings
from madpipe.kinetics.rates.settings import RatesSettings

if typing.TYPE_CHECKING:
    from madpipe.kinetics.records import Events, Parts, Rates

_EXPLAIN = ("components", "constraints", "contradiction", "closure")  # checks that say whether an answer fits its data


def add_steps(steps: argparse._SubParsersAction) -> None:
    """Add the steps with their options."""
    convert = steps.add_parser("convert", help="curves of any format -> series.h5, NXcanSAS; says what it assumed")
    add_curves(convert)
    convert.set_defaults(run=_convert)
    decompose = steps.add_parser("decompose", help="a series -> parts.h5: how many components, and the band of each")
    add_curves(decompose)
    _add_decompose(decompose)
    decompose.set_defaults(run=_decompose)
    rates = steps.add_parser("rates", help="a series with times -> rates.h5: rates of a scheme, or that it is rejected")
    add_curves(rates)
    help_scheme = "mechanism, as A->B->C, A<->B, 2A<->A2, 'A->B (avrami)', finke-watzky (default: A->B)"
    rates.add_argument("--scheme", help=help_scheme)
    rates.add_argument("--instrument-time", type=finite, help="standard deviation of the response (default: 0) [s]")
    rates.add_argument("--dead-time", type=finite, help="the reaction started so long before the time 0 [s]")
    rates.add_argument(
        "--drift", choices=("auto", "none", "beam", "buffer", "both"), help="beside the reaction (default: auto)"
    )
    rates.set_defaults(run=_rates)
    events = steps.add_parser("events", help="a series -> events.json: frames where the law of change changes")
    add_curves(events)
    events.add_argument("--false-alarms", type=_chance, help="chance in a series of noise alone (default: 0.01)")
    events.add_argument("--online", action="store_true", help="frame by frame, as the series comes: alarms alone")
    help_rate = "false alarms per frame of --online (default: 0.001)"
    events.add_argument("--rate", type=_chance, default=1e-3, help=help_rate)
    events.set_defaults(run=_events)


def _add_decompose(command: argparse.ArgumentParser) -> None:
    """Options of a decomposition."""
    command.add_argument("--rank", type=_rank, help="number of components, or auto: by parallel analysis (default)")
    command.add_argument("--buffer", type=_frames, help="frames whose mean is subtracted, from 0, as 0:90")
    command.add_argument("--frames", type=_frames, help="frames that are analysed, as 100:250 (default: all)")
    help_known = "frames that hold one component alone (default: none)"
    command.add_argument("--known", choices=("none", "first", "last", "ends"), help=help_known)
    flag = argparse.BooleanOptionalAction
    help_closure = "concentrations add up to 1 (default: no)"
    command.add_argument("--closure", action=flag, default=None, help=help_closure)
    help_unimodal = "each concentration has one maximum, as in chromatography (default: no)"
    command.add_argument("--unimodal", action=flag, default=None, help=help_unimodal)
    help_smooth = "axis on which concentrations are smooth (default: none)"
    command.add_argument("--smooth", choices=("none", "time", "log_time"), help=help_smooth)
    command.add_argument("--ranges", choices=("free", "evolving"), help="evolving: by evolving factors (default: free)")
    command.add_argument("--q-min", type=finite, help="least q that is used [1/angstrom]")
    command.add_argument("--q-max", type=finite, help="largest q that is used [1/angstrom]")
    help_bands = "search the band of every component (default: yes)"
    command.add_argument("--bands", action=flag, default=None, help=help_bands)


def _frames(text: str) -> tuple[int, int]:
    """Read first and stop of frames."""
    first, _, stop = text.partition(":")
    if not (first.isdecimal() and stop.isdecimal() and int(first) < int(stop)):
        raise argparse.ArgumentTypeError(f"first and stop of frames, from 0, as 0:90, are required; {text!r} came")
    return int(first), int(stop)


def _rank(text: str) -> int | None:
    """Read a number of components, or auto."""
    return None if text == "auto" else whole(1, 8)(text)


def _chance(text: str) -> float:
    """Read a chance."""
    value = finite(text)
    if not 0 < value < 0.1:
        raise argparse.ArgumentTypeError(f"a chance between 0 and 0.1 is required; {text!r} came")
    return value


def _convert(arguments: argparse.Namespace) -> None:
    from madpipe.base import store

    curves = told_curves(arguments, "kinetics")
    store.write(arguments.output, curves, process=origin_of(arguments, "base.curves.reading"))
    times = "no times" if curves.time is None else f"{curves.time[0]:.4g} to {curves.time[-1]:.4g} s"
    print(
        f"{curves.title}: {len(curves.intensity)} frames of {len(curves.q)} points, q {curves.q[0]:.4g} to "
        f"{curves.q[-1]:.4g}/angstrom, {times}"
    )


def _decompose(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.kinetics.decompose.decompose import decompose

    told = ("rank", "buffer", "frames", "known", "closure", "unimodal", "smooth", "ranges", "q_min", "q_max", "bands")
    given = {name: getattr(arguments, name) for name in told}
    settings = section(arguments, "kinetics", "decompose", DecomposeSettings, **given)
    found = decompose(told_curves(arguments, "kinetics"), settings)
    store.write(arguments.output, found, process=origin_of(arguments, "kinetics.decompose.decompose"))
    _tell_parts(found)


def _rates(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.base.errors import InputError
    from madpipe.kinetics.rates.fit import fit_rates

    if arguments.instrument_time is not None and arguments.instrument_time < 0:
        raise InputError(f"--instrument-time: needs 0 s or more; {arguments.instrument_time:g} came; mend it.")
    given = {name: getattr(arguments, name) for name in ("scheme", "instrument_time", "dead_time", "drift")}
    settings = section(arguments, "kinetics", "rates", RatesSettings, **given)
    found = fit_rates(told_curves(arguments, "kinetics"), settings)
    store.write(arguments.output, found, process=origin_of(arguments, "kinetics.rates.fit"))
    _tell_rates(found)


def _events(arguments: argparse.Namespace) -> None:
    from madpipe.base import store
    from madpipe.kinetics.events.find import find_events
    from madpipe.kinetics.events.online import watch

    settings = section(arguments, "kinetics", "events", EventsSettings, false_alarms=arguments.false_alarms)
    curves = told_curves(arguments, "kinetics")
    process = origin_of(arguments, "kinetics.events.find", "kinetics.events.online")
    if not arguments.online:
        found = find_events(curves, settings)
        store.write_json(arguments.output, found, process=process)
        _tell_events(found)
        return
    alarms = watch(curves, arguments.rate)
    store.write_json(arguments.output, {"alarms": alarms}, process=process)
    for one in alarms:
        print(f"frame {one.told}: {one.kind} at frame {one.frame}")
    frames = len(curves.intensity)
    print(f"{len(alarms)} alarms in {frames} frames, of which noise alone gives {arguments.rate * frames:.2g}")


def _tell_parts(found: "Parts") -> None:
    """Say what each component is and how far it is determined, and in the last line whether they explain the series."""
    from madpipe.base.verdict import in_words, verdicts_in

    for name, share, ends, rg, its in zip(
        found.names.split("\n"), found.share, found.share_band, found.rg, found.rg_band, strict=True
    ):
        radius = f", Rg {rg:.2f} ({its[0]:.2f} to {its[1]:.2f}) angstrom" if rg == rg else ""
        print(f"{name}: {share:.3f} of the series ({ends[0]:.3f} to {ends[1]:.3f}){radius}")
    print(
        f"{found.rank} components above the noise (by its edge alone {found.rank_by_edge}), which is "
        f"{found.noise_factor:.3f} times the stated sigmas"
    )
    if found.frame_scale.min() < found.frame_scale.max():
        print(f"frames were multiplied with {found.frame_scale.min():.4f} to {found.frame_scale.max():.4f}")
    verdicts = verdicts_in(found.verdict)
    print(*in_words(verdicts), sep="\n")
    failed = [name for name in _EXPLAIN if name in verdicts and not verdicts[name].passed]
    state = f"do not explain the series: {', '.join(failed)} failed" if failed else "explain the series"
    print(f"the components {state}; chi-square {found.chi2:.4g}, best matrix of this rank {found.chi2_floor:.4g}")


def _tell_rates(found: "Rates") -> None:
    """Say every solution's parameters, and in the last line whether the scheme explains the series."""
    from madpipe.base.metrics import with_error

    print(f"read as: {found.reading}; drift: {found.drift}")
    names = found.parameters.split("\n")
    for values, errors in zip(found.values, found.relative_error, strict=True):
        told = (
            f"{name} {with_error(value, value * error)}"
            for name, value, error in zip(names, values, errors, strict=True)
        )
        print(f"{'solution' if not found.rejected else 'nearest'}: {', '.join(told)} (1/s, exponents 1)")
    if found.undetermined:
        print(f"not determined: {', '.join(found.undetermined.split())}")
    print(found.verdict)


def _tell_events(found: "Events") -> None:
    """Say each event, and in the last line whether the laws between them explain the series."""
    for one in found.events:
        when = "" if one.time is None else f" ({one.time:.4g} s)"
        print(f"{one.kind} at frame {one.frame}{when}: evident by frame {one.evident}, size {one.size:.3g} sd")
    explains = "explain" if found.chi2 <= found.chi2_limit else "do not explain"
    print(
        f"{len(found.events)} events in {found.frames} frames, {found.components} components above the noise; the laws "
        f"between them {explains} the series: chi-square {found.chi2:.3f} per degree of freedom, at most "
        f"{found.chi2_limit:.3f}"
    )
