"""The two files of the study: a measured or simulated curve, and the profile that explains it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madpipe.base import warned
from madpipe.base.errors import InputError
from madpipe.base.store import Groups, entry, part
from madpipe.physics.susceptibility import crystal_named
from madpipe.rocking.config import CurveSample

_Array = np.ndarray
_PEAK = 5.0  # half widths of the resolution on either side of the substrate's peak, which are judged apart
_NARROWEST = 0.004  # half width of such a peak at least [degree]


@dataclass(frozen=True)
class CurveTruth:
    """What a simulation drew."""

    depth: _Array = entry("depth", "angstrom")
    strain: _Array = entry("strain")
    parameters: _Array = entry("parameters")  # of prior.NAMES
    expected: _Array = entry("expected", "photon")

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class InstrumentFunction:
    """A measured resolution: what the instrument makes of a line."""

    two_theta: _Array = entry("two_theta", "degree")  # about the middle of its upper half
    intensity: _Array = entry("intensity")  # in any unit

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXdata", "signal": "intensity", "axes": ["two_theta"]}}


@dataclass(frozen=True)
class Curve:
    """Counts against 2 theta of a symmetric reflection."""

    data: _Array = entry("entry_1/data_1/data", "photon", long_name="detected photons")
    two_theta: _Array = entry("entry_1/data_1/two_theta", "degree")
    wavelength: float = entry("entry_1/instrument_1/wavelength", "angstrom")
    sigma_share: float = entry("entry_1/instrument_1/sigma_share")
    monochromator: float = entry("entry_1/instrument_1/monochromator")
    half_width: float = entry("entry_1/instrument_1/half_width", "degree")  # of the resolution in 2 theta
    lorentzian: float = entry("entry_1/instrument_1/lorentzian")
    crystal: str = entry("entry_1/sample_1/name")
    lattice_constant: float = entry("entry_1/sample_1/lattice_constant", "angstrom")
    indices: _Array = entry("entry_1/sample_1/miller_indices")
    title: str = entry("entry_1/title")
    systematic: float = entry("entry_1/data_1/systematic")  # error beside counting, relative to the curve
    peak_systematic: float = entry("entry_1/data_1/peak_systematic")  # the same at the substrate's peak, where larger
    point_systematic: _Array | None = entry("entry_1/data_1/point_systematic", optional=True)  # and that of each point
    peak: float | None = entry("entry_1/data_1/substrate_peak", "degree", optional=True)  # where it was said to be
    warnings: str | None = entry(warned.PATH, optional=True)
    instrument: InstrumentFunction | None = part("entry_1/instrument_1/resolution", InstrumentFunction)
    truth: CurveTruth | None = part("entry_1/truth", CurveTruth)

    def __post_init__(self) -> None:
        check_curve(self.data, self.two_theta)
        if self.point_systematic is not None:
            _check_errors(self.point_systematic, len(self.data))

    @cached_property
    def relative_error(self) -> _Array:
        """Error beside counting at each point, relative to the curve: larger at the substrate's peak."""
        peak = self.two_theta[np.argmax(self.data)] if self.peak is None else self.peak
        found: _Array = np.where(self.near(peak), max(self.systematic, self.peak_systematic), self.systematic)
        return found if self.point_systematic is None else np.hypot(found, self.point_systematic)

    def near(self, peak: float) -> _Array:
        """Points within the resolution of a peak at a 2 theta [degree]."""
        return np.abs(self.two_theta - peak) < _PEAK * max(self.half_width, _NARROWEST)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            "entry_1/sample_1": {"NX_class": "NXsample"},
            "entry_1/instrument_1": {"NX_class": "NXinstrument"},
            "entry_1/data_1": {"NX_class": "NXdata", "signal": "data", "axes": ["two_theta"]},
        }


@dataclass(frozen=True)
class LayerProfile:
    """Strain and static Debye-Waller factor against depth, with what the fit says of them."""

    strain: _Array = entry("entry_1/data_1/strain", long_name="strain")
    depth: _Array = entry("entry_1/data_1/depth", "angstrom")
    strain_errors: _Array = entry("entry_1/data_1/strain_errors")
    debye_waller: _Array = entry("entry_1/data_1/debye_waller")
    debye_waller_errors: _Array = entry("entry_1/data_1/debye_waller_errors")
    names: str = entry("entry_1/fit_1/names")  # of the parameters, separated by commas
    parameters: _Array = entry("entry_1/fit_1/parameters")
    parameter_errors: _Array = entry("entry_1/fit_1/parameter_errors")
    parameter_quantiles: _Array = entry("entry_1/fit_1/parameter_quantiles")  # at 2.5, 16, 84 and 97.5 %
    undetermined: _Array = entry("entry_1/fit_1/undetermined")  # 1 where the curve says no more than the prior
    scale: float = entry("entry_1/fit_1/scale", "photon")
    background: float = entry("entry_1/fit_1/background", "photon")
    offset: float = entry("entry_1/fit_1/offset", "degree")  # of 2 theta
    chi2: float = entry("entry_1/fit_1/chi2")  # Pearson's, per point
    log_rms: float = entry("entry_1/fit_1/log_rms")  # rms of log10 of data over calculated curve
    starts: int = entry("entry_1/fit_1/starts")  # until the best one
    method: str = entry("entry_1/fit_1/method")
    calculated: _Array = entry("entry_1/fit_1/calculated", "photon")
    two_theta: _Array = entry("entry_1/fit_1/two_theta", "degree")
    points_used: int | None = entry("entry_1/fit_1/points_used", optional=True)
    degrees_of_freedom: int | None = entry("entry_1/fit_1/degrees_of_freedom", optional=True)  # points less numbers
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "data_1"},
            "entry_1/data_1": {"NX_class": "NXdata", "signal": "strain", "axes": ["depth"]},
            "entry_1/fit_1": {"NX_class": "NXdata", "signal": "calculated", "axes": ["two_theta"]},
        }


def curve_of(
    sample: CurveSample,
    wavelength: float,
    title: str,
    two_theta: _Array,
    data: _Array,
    systematic: float = 0.0,
    peak_systematic: float = 0.0,
) -> Curve:
    """Make the curve of a sample; the lattice constant is the built-in one where the sample states none.

    Raises
    ------
    InputError
        Unknown crystal, or no rocking curve (:func:`check_curve`).
    """
    try:
        crystal = crystal_named(sample.crystal)
    except ValueError as error:
        raise InputError(f"{error}.") from error
    return Curve(
        data=data,
        two_theta=two_theta,
        wavelength=wavelength,
        sigma_share=sample.sigma_share,
        monochromator=sample.monochromator,
        half_width=sample.half_width,
        lorentzian=sample.lorentzian,
        crystal=sample.crystal,
        lattice_constant=sample.lattice_constant or crystal.lattice_constant,
        indices=np.array(sample.indices),
        title=title,
        systematic=systematic,
        peak_systematic=peak_systematic,
    )


def check_curve(data: _Array, two_theta: _Array) -> None:
    """Refuse what is no rocking curve.

    Raises
    ------
    InputError
        Too few points, another number of angles, values that are not finite, negative counts, angles that do not rise
        or lie outside 0 to 180 degrees.
    """
    if len(data) < 30 or len(data) != len(two_theta):
        raise InputError(
            f"a rocking curve needs at least 30 points with an angle each; {len(data)} counts and {len(two_theta)} "
            "angles came; check the file."
        )
    if not (np.isfinite(data).all() and np.isfinite(two_theta).all()):
        raise InputError("a rocking curve needs finite numbers; some are not; leave such points out.")
    if np.min(data) < 0:
        raise InputError(
            f"counts cannot be negative; {int(np.sum(data < 0))} of {len(data)} are, the least {np.min(data):g}; give "
            "raw counts, without a background taken off."
        )
    if np.min(np.diff(two_theta)) <= 0:
        place = int(np.argmin(np.diff(two_theta))) + 1
        raise InputError(
            f"angles need to rise from point to point; number {place + 1} does not; sort or split the scan."
        )
    if not 0 < two_theta[0] < two_theta[-1] < 180:
        raise InputError(
            f"2 theta in degrees lies between 0 and 180; {two_theta[0]:g} to {two_theta[-1]:g} came; check the unit."
        )


def _check_errors(errors: _Array, count: int) -> None:
    """Refuse errors of points that are none."""
    if errors.shape != (count,) or not np.isfinite(errors).all() or np.min(errors) < 0:
        raise InputError(
            f"point_systematic needs {count} finite errors of at least 0; others came; write the curve again."
        )
