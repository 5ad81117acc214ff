"""Angles of a measured scan: in rising order, and as 2 theta in degrees, whatever axis, unit and zero the file has."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.limits import LARGEST_MISCUT
from madpipe.rocking.measured.scan import RawScan
from madpipe.rocking.model import peak_two_theta, reflection_of
from madpipe.rocking.records import curve_of

_Points = Float[np.ndarray, "point"]
DEGREES = {"degree": 1.0, "arcmin": 1 / 60, "arcsec": 1 / 3600, "mrad": np.degrees(1e-3), "radian": np.degrees(1.0)}
_BACK = 3.0  # median steps that a scan may go back, as read encoders do; further is another scan


def in_order(scan: RawScan) -> RawScan:
    """Points with numbers, their angles rising.

    Raises
    ------
    InputError
        More than half of the points have no number, or the angles begin anew.
    """
    scan = _with_numbers(scan)
    steps = np.diff(scan.angle)
    if len(steps) and (steps <= 0).all():
        scan = _taken(scan, np.arange(len(scan.angle))[::-1])
    elif len(steps) and np.min(steps) < 0:
        back = int(np.argmin(steps)) + 1
        if -np.min(steps) > _BACK * np.median(np.abs(steps)):
            raise InputError(
                f"angles need to rise, or fall, from point to point; number {back + 1} goes back by "
                f"{-np.min(steps):g}; several scans need a file each."
            )
        warn(f"angles of {int(np.sum(steps < 0))} points are not in order; points are sorted; check the scan.")
        scan = _taken(scan, np.argsort(scan.angle, kind="stable"))
    return scan


def joined(scan: RawScan) -> RawScan:
    """One point, of the mean intensity, for those of one angle, which is said."""
    angle, where = np.unique(scan.angle, return_inverse=True)
    if len(angle) == len(scan.angle):
        return scan
    warn(f"{len(scan.angle) - len(angle)} points have the angle of another; their mean is taken; check the scan.")
    intensity = np.bincount(where, scan.intensity) / np.bincount(where)
    enlarged = None if scan.enlarged is None else np.bincount(where, scan.enlarged) / np.bincount(where)
    return replace(scan, angle=angle, intensity=intensity, enlarged=enlarged)


def two_theta_of(scan: RawScan, sample: MeasuredCurve, wavelength: float) -> tuple[_Points, float | None]:
    """2 theta of a scan's points, and of the substrate's peak where it was told or decides on the zero [degree].

    A scan of omega has the peak of a symmetric reflection at half of 2 theta, but for the miscut and the zero, which
    are taken out. Angles about 0 are relative: the peak's place is that of theory.

    Raises
    ------
    InputError
        The peak of a scan of omega is too far from half of 2 theta: the reflection is asymmetric, or another one.
    """
    axis = sample.axis or scan.axis or "two_theta"
    factor = DEGREES[sample.unit or scan.unit or "degree"] * (2.0 if axis == "omega" else 1.0)
    angle = scan.angle * factor
    peak = None if sample.peak is None else sample.peak * factor
    relative = angle[0] <= 0.0
    if not relative and axis == "two_theta":
        return angle, peak
    blank = curve_of(sample, wavelength, "curve", np.linspace(89.0, 91.0, 30), np.zeros(30))
    theory = peak_two_theta(reflection_of(blank))
    found = float(angle[np.argmax(scan.intensity)]) if peak is None else peak
    off = theory - found
    if not relative and abs(off) > 2 * LARGEST_MISCUT:
        raise InputError(
            f"needs a scan of omega of a symmetric reflection; its peak lies at omega = {found / 2:.3f} degrees, half "
            f"of 2 theta of {sample.crystal} {tuple(sample.indices)} at {theory / 2:.3f}: asymmetric, or another "
            "crystal, reflection, wavelength or axis; check them."
        )
    if relative and sample.peak is None:
        warn(
            f"angles from {angle[0]:.4g} to {angle[-1]:.4g} degrees are taken as relative to the substrate's peak, for "
            "which the highest is taken; give its place with --peak if another one is."
        )
    elif not relative and abs(off) > LARGEST_MISCUT / 5:
        warn(
            f"omega of the substrate's peak, {found / 2:.3f} degrees, is off half of 2 theta by {-off / 2:.3f}, which "
            "is taken for miscut and zero; strains are wrong if the reflection is another; check it."
        )
    return angle + off, theory


def _with_numbers(scan: RawScan) -> RawScan:
    """Leave out points without a number, and say so."""
    known = np.isfinite(scan.angle) & np.isfinite(scan.intensity)
    lost = int(np.sum(~known))
    if lost > len(known) / 2:
        raise InputError(f"needs a number at every point; {lost} of {len(known)} have none; check the file.")
    if lost:
        warn(f"{lost} of {len(known)} points have no number and are left out; check the file.")
        return _taken(scan, np.flatnonzero(known))
    return scan


def _taken(scan: RawScan, chosen: np.ndarray) -> RawScan:
    """Take some of the points."""
    enlarged = None if scan.enlarged is None else scan.enlarged[chosen]
    return replace(scan, angle=scan.angle[chosen], intensity=scan.intensity[chosen], enlarged=enlarged)
