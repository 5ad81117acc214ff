"""What the commands of every study of curves share: options of reading, and the curves that the words name."""

import argparse
import typing

from madpipe.base.curves.settings import CurvesSettings
from madpipe.commands.options import InputPath, add_config, add_output, numbers, section, words

if typing.TYPE_CHECKING:
    from madpipe.base.curves.records import Curves

_IN = "curves of any format: text, canSAS (.xml), NXcanSAS (.h5), .npz and others; several are one series"
_UNITS = {"1/angstrom": "1/angstrom", "1/A": "1/angstrom", "1/nm": "1/nm", "1/um": "1/um", "1/m": "1/m"}


def add_curves(command: argparse.ArgumentParser) -> None:
    """Give a command its curves, its output, and the options that tell what files of curves do not say."""
    command.add_argument("curves", type=InputPath, nargs="+", help=_IN)
    add_output(command)
    command.add_argument("--unit", choices=sorted(_UNITS), help="of q (default: the files', else 1/angstrom)")
    help_absolute = "unit of the intensities (default: the files', else arbitrary)"
    command.add_argument("--absolute", choices=("1/cm", "1/m", "arbitrary"), help=help_absolute)
    command.add_argument("--entry", help="name or number, from 1, of a file's curve; all: all as one series")
    command.add_argument("--path", help="in an HDF5 file: group of the curves, or q=/a/q,intensity=/a/I,sigma=/a/e")
    command.add_argument("--columns", type=words, help="of text: names or numbers of q, intensity, sigma, dq")
    command.add_argument("--energies", type=numbers, help="photon energy of each curve [eV]")
    command.add_argument("--times", type=numbers, help="time of each curve [s]")
    add_config(command)
    command.set_defaults(threads=1)


def reading(arguments: argparse.Namespace, study: str) -> CurvesSettings:
    """Give the settings of reading: the study's section ``read``, with what the words say."""
    return section(
        arguments,
        study,
        "read",
        CurvesSettings,
        unit_q=_UNITS.get(arguments.unit),
        unit_intensity=arguments.absolute,
        entry=arguments.entry,
        path=arguments.path,
        columns=arguments.columns,
        energies=arguments.energies,
        times=arguments.times,
    )


def told_curves(arguments: argparse.Namespace, study: str) -> "Curves":
    """Read the curves that the words name, as one series.

    Raises
    ------
    InputError
        What cannot be read, in a line.
    """
    from madpipe.base.curves.reading import read_curves

    return read_curves(arguments.curves, reading(arguments, study))
