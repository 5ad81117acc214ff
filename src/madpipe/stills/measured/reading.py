"""Images of any file that is known, crystals of any list that is known."""

from collections.abc import Sequence
from pathlib import Path

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Crystal
from madpipe.stills.measured.cbf import SUFFIXES as CBF
from madpipe.stills.measured.cbf import is_cbf, read_cbf
from madpipe.stills.measured.expt import Experiment, matched, read_expt
from madpipe.stills.measured.images import Images, joined
from madpipe.stills.measured.nxmx import SUFFIXES as NXMX
from madpipe.stills.measured.nxmx import is_nxmx, read_nxmx
from madpipe.stills.measured.stream import read_stream


def read_images(paths: Sequence[str | Path], as_stills: bool = False) -> Images:
    """Read images of one detector, from files in CBF or NXmx, or both.

    Parameters
    ----------
    paths:
        In the order that the images shall have.
    as_stills:
        Take images between or during which the crystal turned for stills.

    Raises
    ------
    InputError
        No file, an unknown kind, or detectors that differ; what the readers refuse.
    """
    if not paths:
        raise InputError("needs at least one image; none came; name files in CBF or NXmx.")
    sets = []
    for path in paths:
        if is_cbf(path):
            sets.append(read_cbf([path], as_stills))
        elif is_nxmx(path):
            sets.append(read_nxmx(path, as_stills))
        else:
            raise InputError(f"{path}: needs images in CBF ({', '.join(CBF)}) or NXmx ({', '.join(NXMX)}); convert it.")
    return joined(sets)


def read_crystals(path: str | Path, space_group: str = "P 1", as_stills: bool = False) -> tuple[Experiment, ...]:
    """Read crystals of DIALS (.expt, .json) or CrystFEL (.stream).

    Parameters
    ----------
    path:
        Of the list.
    space_group:
        Of the crystals of a stream, which names none.
    as_stills:
        As in :func:`read_images`.

    Raises
    ------
    InputError
        An unknown kind; what the readers refuse.
    """
    name = str(path).lower()
    if name.endswith(".stream"):
        return read_stream(path, space_group)
    if name.endswith((".expt", ".json")):
        return read_expt(path, as_stills)
    raise InputError(f"{path}: needs crystals of DIALS (.expt) or CrystFEL (.stream); export one of these.")


def read_set(
    images: Sequence[str | Path], crystals: str | Path, space_group: str = "P 1", as_stills: bool | None = False
) -> tuple[Images, tuple[Crystal | None, ...]]:
    """Read images, each with its crystal, on the detector that the list of crystals has.

    Parameters
    ----------
    images, crystals:
        As :func:`read_images` and :func:`read_crystals` take them.
    space_group:
        Of the crystals of a stream, which names none.
    as_stills:
        As in :func:`read_images`.
    """
    found = read_images(images, bool(as_stills))
    return matched(found, read_crystals(crystals, space_group, bool(as_stills)))
