"""What is odd about measured intensities, mended where that is certain, and said in a line each."""

import itertools
from dataclasses import replace

import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.limits import EXPOSURES_APART, TOTALS_OFF
from madpipe.mad.measured.counts import good_points, in_photons
from madpipe.mad.measured.points import (
    check_mask,
    with_blocked_masked,
    with_hot_pixels,
    with_markers_masked,
    with_saturated_masked,
)
from madpipe.mad.measured.readers.arrays import Fields
from madpipe.mad.records import Stack

_COUNTED = 100.0  # photons of an energy; fewer do not tell its exposure


def checked_points(values: Fields, counts_per_unit: float | None = None, mask_hot: bool = False) -> Fields:
    """Intensities in photons, and points masked that were not measured.

    Parameters
    ----------
    values:
        Fields of a stack to be; the energies in any order.
    counts_per_unit:
        Photons per unit of the data, where it is known.
    mask_hot:
        Whether isolated points far above all around them are masked, or named only.

    Raises
    ------
    InputError
        No photon counts and no errors (:func:`madpipe.mad.measured.counts.in_photons`), or errors that are all zero.
    """
    if np.shape(values["data"])[:1] != np.shape(values["energy"]):
        return values  # refused later, with both shapes
    is_list = np.ndim(values["data"]) not in (3, 4)
    values = _with_positive_errors(values)
    if not is_list:
        check_mask(values)
        values = with_saturated_masked(with_markers_masked(values))
    values = in_photons(values, counts_per_unit)
    if not is_list:
        values = with_hot_pixels(with_blocked_masked(values), mask_hot)
    _check_repeated(values)
    return values


def screened(stack: Stack) -> Stack:
    """Mask points that were not measured in a stack whose file others may have written.

    The same marks, cut counts and blocked regions as :func:`checked_points` masks, and hot pixels named; counts stay as
    they are. Lists of reflections and parts of a larger stack come back unchanged.
    """
    if stack.reflection is not None or not stack.whole:
        return stack
    given = {"data": stack.data, "energy": stack.energy, "mask": stack.mask, "data_errors": stack.data_errors}
    values: Fields = {name: value for name, value in given.items() if value is not None}
    check_mask(values)
    values = with_blocked_masked(with_saturated_masked(with_markers_masked(values)))
    with_hot_pixels(values, mask_hot=False)
    return stack if values.get("mask") is stack.mask else replace(stack, mask=values["mask"])


def checked_scales(stack: Stack) -> None:
    r"""Say where exposures are far apart, or the intensities disagree with them.

    The intensity of a pure resonant element follows :math:`|f^0 + f' + i f''|^2`, that of the other atoms alone does
    not change; a sum over many points lies between.

    Warns
    -----
    DataWarning
        Monitors, and energies whose intensities are off by more than a factor.
    """
    if stack.reflection is not None:
        return  # lists are put on one scale when they are joined
    monitor = np.ones(len(stack.energy)) if stack.monitor is None else np.asarray(stack.monitor, dtype=float)
    if not (np.isfinite(monitor) & (monitor > 0)).all():
        return  # refused by check_stack
    if monitor.max() > EXPOSURES_APART * monitor.min():
        least, most = stack.energy[monitor.argmin()], stack.energy[monitor.argmax()]
        warn(
            f"the monitor at {most:g} eV is {monitor.max() / monitor.min():.3g} times that at {least:g} eV: check that "
            "both are of one unit and counting time, and that none stopped"
        )
    points = stack.good.all(axis=0)
    total = np.array([float(frame[points].sum(dtype=float)) for frame in stack.data])
    if np.median(total) <= _COUNTED:
        return
    _check_totals(stack, total / monitor)


def _check_totals(stack: Stack, per_exposure: np.ndarray) -> None:
    """Compare intensities at unit exposure with what the resonant atoms can change."""
    f0 = float(np.median(stack.f0))
    pure = np.hypot(f0 + stack.f_prime, stack.f_double_prime) ** 2
    typical, typical_pure = np.median(per_exposure), np.median(pure)
    relative, resonant = per_exposure / typical, pure / typical_pure
    above = relative / np.maximum(resonant, 1.0)
    below = np.minimum(resonant, 1.0) / np.maximum(relative, 1e-300)
    off = np.maximum(above, below)
    worst = int(off.argmax())
    if off[worst] > TOTALS_OFF:
        scale = "the monitor does not account for" if stack.monitor is not None else "no monitor accounts for"
        warn(
            f"intensities at {stack.energy[worst]:g} eV are {relative[worst]:.3g} times those of the other energies, "
            f"which {scale} and no resonant atom can do: |F_A| will be wrong; give each energy's exposure (monitor), "
            "or check the order of the files and energies"
        )


def _with_positive_errors(values: Fields) -> Fields:
    """Stated errors are above zero; where single ones are 0, as the root of no count, the least other one is taken."""
    if "data_errors" not in values or np.shape(values["data_errors"]) != np.shape(values["data"]):
        return values
    good, errors = good_points(values), np.asarray(values["data_errors"])
    if good.any() and not (errors[good] > 0).any():
        raise InputError(
            "data_errors must be above 0 where intensities were measured; none is; give standard errors, or leave "
            "data_errors out where the data are photon counts."
        )
    zero = good & (errors == 0)
    if not zero.any():
        return values
    least = errors[good & (errors > 0)].min()
    warn(
        f"data_errors are 0 at {np.count_nonzero(zero)} points, as the root of no count is, which would outweigh all "
        f"others: {least:.4g}, the least of the others, is taken there; leave data_errors out where the data are counts"
    )
    return {**values, "data_errors": np.where(zero, least, errors)}


def _check_repeated(values: Fields) -> None:
    """Say where two energies have the very same intensities."""
    data, energy = np.asarray(values["data"]), np.asarray(values["energy"])
    same = [
        (energy[one], energy[two])
        for one, two in itertools.combinations(range(len(data)), 2)
        if np.array_equal(data[one], data[two]) and data[one].min() < data[one].max()
    ]
    if same and len(same) < len(data) * (len(data) - 1) // 2:  # all alike: no noise and no resonant atoms, or a test
        one, two = same[0]
        warn(
            f"the intensities at {one:g} and {two:g} eV are the same, number for number: the same file came twice, and "
            "f', f'' of one of the two are wrong; give each energy its own file"
        )
