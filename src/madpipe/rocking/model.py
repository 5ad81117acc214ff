"""Expected counts of a rocking curve and their derivatives: what the fit and the simulation share."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from madpipe.base.derivatives import along
from madpipe.base.errors import InputError
from madpipe.physics.susceptibility import crystal_named, susceptibility
from madpipe.rocking import forward
from madpipe.rocking.forward import Derivatives, Layers, Reflection
from madpipe.rocking.profiles import Profile
from madpipe.rocking.pseudo_voigt import blurred, convolved
from madpipe.rocking.records import Curve, InstrumentFunction

_Numbers = Float[np.ndarray, "number"]
_Levels = Float[np.ndarray, "level"]
_WIDEST = 2.0  # |ln| of the width found over the stated one
_SURE = 60.0  # |number| of the share beyond which it is 0 or 1
_SHIFT = 1e-8  # radian, for the derivative by angle
LEAST_COUNTS = 0.05  # below which expected counts are not let
OFFSET_UNIT = 1e-3  # degree of 2 theta; the fit's offset is counted in it


def reflection_of(curve: Curve) -> Reflection:
    """Reflection and beam of a curve.

    Raises
    ------
    InputError
        Unknown crystal, forbidden reflection, or a wavelength that cannot reach it.
    """
    indices = tuple(int(index) for index in curve.indices)
    try:
        return _reflection(
            curve.crystal, curve.lattice_constant, indices, curve.wavelength, curve.sigma_share, curve.monochromator
        )
    except ValueError as error:
        raise InputError(f"{curve.title}: {error}.") from error


@lru_cache(maxsize=64)
def _reflection(
    name: str, lattice_constant: float, indices: tuple[int, ...], wavelength: float, share: float, monochromator: float
) -> Reflection:
    """Look a reflection up once: its form factors take as long as a curve."""
    chi = susceptibility(crystal_named(name).with_lattice_constant(lattice_constant), list(indices), wavelength)
    spacing = lattice_constant / math.sqrt(sum(index**2 for index in indices))
    return Reflection(wavelength, spacing, chi, share, monochromator)


def peak_two_theta(reflection: Reflection) -> float:
    """Where the substrate's peak lies, refraction included [degree of 2 theta]."""
    return 2 * math.degrees(reflection.peak)


@dataclass(frozen=True)
class Model:
    """Expected counts as a function of free numbers: the profile's, then those of :attr:`levels`."""

    profile: Profile
    reflection: Reflection
    measured: Float[np.ndarray, "point"]  # theta [radian]
    half_width: float  # of the resolution in theta [radian]
    lorentzian: float
    finds_resolution: bool = False
    instrument: InstrumentFunction | None = None  # instead of width and share

    @property
    def levels(self) -> tuple[str, ...]:
        """Numbers beside the profile's: ln of scale and background, offset; ln of the width's factor, and the share."""
        return ("scale", "background", "offset", "width", "lorentzian")[: 5 if self.finds_resolution else 3]

    @cached_property
    def angles(self) -> Float[np.ndarray, "angle"]:
        """Angles of the reflectivity [radian]."""
        return forward.angles_for(self.measured, self.half_width, self.reflection)

    @cached_property
    def matrix(self) -> csr_array:
        """The stated resolution."""
        if self.instrument is not None:
            offsets = np.radians(self.instrument.two_theta) / 2
            return forward.measured_resolution(self.measured, self.angles, offsets, self.instrument.intensity)
        return forward.resolution(self.measured, self.angles, self.half_width, self.lorentzian)

    @property
    def is_sampled(self) -> bool:
        """Whether the resolution is a table, or none at all."""
        return self.instrument is not None or self.half_width <= 0

    def width_and_share(self, levels: _Levels) -> tuple[float, float]:
        """Half width at half maximum [radian] and Lorentzian share of the resolution."""
        if not self.finds_resolution:
            return self.half_width, self.lorentzian
        width = self.half_width * math.exp(min(max(levels[3], -_WIDEST), _WIDEST))
        return width, 1 / (1 + math.exp(-min(max(levels[4], -_SURE), _SURE)))

    def expected(self, numbers: _Numbers) -> Float[np.ndarray, "point"]:
        """Expected counts."""
        free, levels = self.split(numbers)
        value = forward.reflectivity(self.shifted(levels), layers_of(self.profile, free), self.reflection)
        return _level(levels[0]) * self.seen(value[:, None], levels)[:, 0] + _level(levels[1])

    def seen(self, columns: Float[np.ndarray, "angle column"], levels: _Levels) -> Float[np.ndarray, "point column"]:
        """Convolve columns at :meth:`shifted` angles with the resolution."""
        if self.is_sampled:
            return self.matrix @ columns
        width, share = self.width_and_share(levels)
        measured = self.measured + _shift(levels)
        if share == 0:
            return blurred(measured, self.angles, columns, width)[0]
        return convolved(measured, self.angles, columns[:, -1].copy(), width, share).matrix @ columns

    def split(self, numbers: _Numbers) -> tuple[Tensor, _Levels]:
        """The profile's numbers, and the others."""
        count = len(numbers) - len(self.levels)
        return torch.from_numpy(np.asarray(numbers[:count], dtype=float)), numbers[count:]

    def expected_with_derivatives(
        self, numbers: _Numbers
    ) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point number"]]:
        """Expected counts and their Jacobian matrix."""
        free, levels = self.split(numbers)
        layers, slopes = self._tangents(free)
        angles = self.shifted(levels)
        value, by = forward.reflectivity_with_derivatives(angles, layers, self.reflection)
        of_value = _chained(by, slopes)
        scale, background = _level(levels[0]), _level(levels[1])
        by_free, signal, by_angle, more = self._seen_with_derivatives(of_value, value, layers, levels)
        flat = np.full(len(signal), background / scale)
        by_offset = by_angle * math.radians(OFFSET_UNIT) / 2
        jacobian = scale * np.column_stack([by_free, signal, flat, by_offset, *more])
        return scale * signal + background, jacobian

    def _seen_with_derivatives(
        self,
        of_value: Float[np.ndarray, "angle free"],
        value: Float[np.ndarray, "angle"],
        layers: Layers,
        levels: _Levels,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
        """What is seen of derivatives, what is seen, and its derivatives by the angle and the resolution's numbers."""
        if self.is_sampled:
            moved = forward.reflectivity(self.shifted(levels) + _SHIFT, layers, self.reflection)
            every = self.matrix @ np.column_stack([of_value, value, (moved - value) / _SHIFT])
            return every[:, :-2], every[:, -2], every[:, -1], []
        width, share = self.width_and_share(levels)
        measured = self.measured + _shift(levels)
        if share == 0:
            every, by_angle = blurred(measured, self.angles, np.column_stack([of_value, value]), width)
            return every[:, :-1], every[:, -1], by_angle, []
        one = convolved(measured, self.angles, value, width, share)
        within = float(abs(levels[3]) < _WIDEST) if self.finds_resolution else 0.0
        more = [within * one.by_ln_width, share * (1 - share) * one.by_share] if self.finds_resolution else []
        return one.matrix @ of_value, one.curve, one.by_angle, more

    def shifted(self, levels: _Levels) -> Float[np.ndarray, "angle"]:
        """Angles of the reflectivity: they move with the offset where the resolution is a table.

        Else the measured angles move instead: those of the reflectivity, fine at the substrate's peak, stay there, and
        the curve is a smooth function of the offset. Where they move, they sample the peak's edges at other places for
        every offset, and a search's path hangs on the last bits of it.
        """
        return self.angles + _shift(levels) if self.is_sampled else self.angles

    def _tangents(self, free: Tensor) -> tuple[Layers, tuple[np.ndarray, ...]]:
        """Sublayers and their derivatives by each free number, the last axis."""
        cut, count = self.profile.cut(free), len(free)
        columns = free[:, None].repeat(1, count)
        values, slopes = along(
            lambda numbers: self.profile.layers(numbers, cut), columns, torch.eye(count, dtype=free.dtype)
        )
        return Layers(*(part[..., 0].numpy() for part in values)), tuple(slope.numpy() for slope in slopes)


def _chained(by: Derivatives, slopes: tuple[np.ndarray, ...]) -> Float[np.ndarray, "angle free"]:
    """Derivatives of the reflectivity by the free numbers, from those by the sublayers."""
    angles, count = by.by_thickness.shape[1], slopes[0].shape[-1]
    parts = (by.by_thickness, by.by_strain, by.by_debye_waller)
    found = np.zeros((angles, count))
    for part, slope in zip(parts, slopes, strict=True):
        if slope.any():
            found += part.reshape(-1, angles).T @ slope.reshape(-1, count)
    return found


def layers_of(profile: Profile, free: Tensor) -> Layers:
    """Sublayers of a profile."""
    return Layers(*(part.numpy() for part in profile.layers(free)))


def variance(
    expected: Float[np.ndarray, "point"], systematic: float | Float[np.ndarray, "point"]
) -> Float[np.ndarray, "point"]:
    """Expected variance of the counts: of counting, and of an error that goes with the curve."""
    least = np.maximum(expected, LEAST_COUNTS)
    return least + (systematic * least) ** 2


def _shift(levels: _Levels) -> float:
    """The offset in theta [radian]."""
    return math.radians(levels[2] * OFFSET_UNIT) / 2


def _level(logarithm: float) -> float:
    """Scale or background; a search's wild step must not overflow."""
    return math.exp(min(max(logarithm, -60.0), 60.0))


def model_of(curve: Curve, reflection: Reflection, profile: Profile, finds_resolution: bool = False) -> Model:
    """Model of a curve by a profile."""
    half_width = math.radians(curve.half_width) / 2
    angles = forward.as_radian(curve.two_theta)
    finds = finds_resolution and curve.instrument is None and curve.half_width > 0
    return Model(profile, reflection, angles, half_width, curve.lorentzian, finds, curve.instrument)
