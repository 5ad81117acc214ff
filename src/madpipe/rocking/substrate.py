"""The substrate's peak in a curve: where it lies, whether theory has it there, whether the resolution can be its."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.rocking.forward import Reflection
from madpipe.rocking.limits import MOST_CELLS, NARROWEST_OVER_STEP, PEAK_OFF, PEAK_OFF_SAID, WIDER_THAN_PEAK
from madpipe.rocking.model import peak_two_theta
from madpipe.rocking.records import Curve

_BESIDE = 3  # points on either side that the peak's middle is averaged over
_COMPARABLE = 0.1  # counts of a second peak over those of the highest, from which either may be the substrate's
_AT_THEORY = 0.03  # degree of 2 theta, within which a peak is where theory has it
_DECIMALS = 6  # of angles [degree]; the sharpest peaks are a thousand times wider
_HALF_COUNTS = 100.0  # of a peak, for its half width to be known
_TURNED = {"omega": 2.0, "radian": np.degrees(1.0), "arcsec": 1 / 3600, "arcmin": 1 / 60, "mrad": np.degrees(1e-3)}


def centred(curve: Curve, reflection: Reflection) -> Curve:
    """Shift the angles so that the substrate's peak lies where theory has it, and check that it can be that.

    Angles are then rounded to a millionth of a degree and counts to seven digits: a search of many valleys must not end
    in another one because the last bits of a file, or of the shift, are others.

    Raises
    ------
    InputError
        The curve has no peak of the substrate, or its highest is too far from theory's; a resolution that is wider than
        the peak, or too narrow for the scan; too many points.
    """
    expected = peak_two_theta(reflection)
    place = _place(curve, expected)
    top = _top(curve, place)
    near = slice(max(0, top.start - _BESIDE), top.stop + _BESIDE)
    middle = float(np.average(curve.two_theta[near], weights=curve.data[near]))
    if curve.peak is None:
        _check_place(curve, middle, expected)
    _check_resolution(curve, place)
    two_theta = np.round(curve.two_theta + (expected - middle), _DECIMALS)
    data = curve.data.astype(np.float32).astype(float)
    return replace(curve, two_theta=two_theta, data=data, peak=None if curve.peak is None else expected)


def _top(curve: Curve, place: int) -> slice:
    """The peak's point, or all of a plateau of equal counts about it."""
    lower = np.flatnonzero(curve.data != curve.data[place])
    return slice(
        int(np.max(lower[lower < place], initial=place - 1 if not place else -1)) + 1,
        int(np.min(lower[lower > place], initial=len(curve.data))),
    )


def _place(curve: Curve, expected: float) -> int:
    """Point of the substrate's peak: near where it was said to be, else the highest, or one at theory's place.

    Raises
    ------
    InputError
        There is no peak.
    """
    smooth = gaussian_filter1d(np.sqrt(curve.data), 1.0)
    place = int(np.argmax(smooth))
    if curve.peak is not None:
        within = curve.near(curve.peak)
        if not within.any():
            raise InputError(
                f"{curve.title}: the substrate's peak needs to lie within the scan, {curve.two_theta[0]:.4f} to "
                f"{curve.two_theta[-1]:.4f} degrees; {curve.peak:.4f} was told; check --peak."
            )
        place = int(np.argmax(np.where(within, smooth, -1.0)))
    elif abs(curve.two_theta[place] - expected) > _AT_THEORY:
        place = _other(curve, smooth, place, expected)
    level = np.median(curve.data)
    if not 0 < place < len(curve.data) - 1 or curve.data[place] < 5 * level + 10:
        raise InputError(
            f"{curve.title}: a rocking curve needs the substrate's peak within the scan; the largest count "
            f"{curve.data[place]:g} at {curve.two_theta[place]:.4f} degrees is none (median {level:g}); scan over it."
        )
    return place


def _other(curve: Curve, smooth: np.ndarray, highest: int, expected: float) -> int:
    """A comparable peak at theory's place instead of the highest, which is then the layer's; it is said."""
    tops = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    at_theory = [
        top
        for top in tops
        if abs(curve.two_theta[top] - expected) < _AT_THEORY and smooth[top] ** 2 > _COMPARABLE * smooth[highest] ** 2
    ]
    if not at_theory:
        return highest
    found = int(max(at_theory, key=lambda top: smooth[top]))
    warn(
        f"the peak at 2 theta = {curve.two_theta[found]:.4f} degrees, where theory has the substrate's, is taken for "
        f"it, not the highest, at {curve.two_theta[highest]:.4f}; give --peak if the highest is the substrate's."
    )
    return found


def _check_place(curve: Curve, middle: float, expected: float) -> None:
    """Refuse a highest peak that is not where theory has the substrate's, and say where they differ a little."""
    indices = tuple(int(index) for index in curve.indices)
    both = (
        f"{curve.title}: the highest peak lies at 2 theta = {middle:.3f} degrees, that of {curve.crystal} {indices} at "
        f"{expected:.3f} (wavelength {curve.wavelength:g}, lattice constant {curve.lattice_constant:g} angstrom)"
    )
    first, last = curve.two_theta[[0, -1]]
    if abs(middle - expected) > PEAK_OFF:
        hint = next((name for name, by in _TURNED.items() if abs(middle * by - expected) < PEAK_OFF), None)
        likely = (
            f"the angles look like {hint}: --{'axis' if hint == 'omega' else 'unit'} {hint}"
            if hint
            else ("check unit, wavelength, indices, crystal, lattice constant")
        )
        raise InputError(f"{both}; {likely}, or say where the substrate's peak is with --peak.")
    if not first <= expected <= last and abs(middle - expected) > PEAK_OFF_SAID / 2:
        raise InputError(
            f"{both}, outside the scan of {first:.3f} to {last:.3f}: the highest seems to be the layer's; a scan needs "
            "to go over the substrate's peak; if it does, say where that is with --peak."
        )
    if abs(middle - expected) > PEAK_OFF_SAID:
        warn(f"{both}; angles are shifted by the difference; check wavelength, lattice constant, indices.")


def _check_resolution(curve: Curve, place: int) -> None:
    """Refuse a resolution that the curve cannot have been measured with, or not be calculated with.

    A peak is at least as wide as the resolution.
    """
    count, step = len(curve.data), float(np.median(np.diff(curve.two_theta)))
    if 0 < curve.half_width < NARROWEST_OVER_STEP * step:
        raise InputError(
            f"{curve.title}: a resolution's half width needs at least {NARROWEST_OVER_STEP:g} of the scan's step of "
            f"{step:.4g} degrees; {curve.half_width:g} came; check its unit (degrees of 2 theta)."
        )
    angles = max(count, float(np.ptp(curve.two_theta)) / curve.half_width) if curve.half_width > 0 else count
    if count * angles > MOST_CELLS:
        raise InputError(
            f"{curve.title}: a scan needs at most {MOST_CELLS:g} points times angles of the resolution; {count} points "
            f"at {angles:.0f} angles came; add neighbouring points up, or check the half width."
        )
    found = _half_width(curve, place)
    if found is not None and curve.half_width > WIDER_THAN_PEAK * found + step:
        raise InputError(
            f"{curve.title}: a peak is at least as wide as the resolution; the substrate's has a half width at half "
            f"maximum of {found:.4g} degrees, {curve.half_width:g} was told of the resolution; give --half-width in "
            "degrees of 2 theta, at most that of the peak."
        )


def _half_width(curve: Curve, place: int) -> float | None:
    """Half width at half maximum of a peak [degree], between the points on both sides that fall below half of it."""
    top = curve.data[place]
    below = np.flatnonzero(curve.data < top / 2)
    left, right = below[below < place], below[below > place]
    if top < _HALF_COUNTS or not len(left) or not len(right):
        return None
    return float(curve.two_theta[right[0]] - curve.two_theta[left[-1]]) / 2
