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
from madpipe.rocking.pseudo_voigt import convolved
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

    def width_and_share(self, levels: _Levels) -> tuple[float, float]:
        """Half width at half maximum [radian] and Lorentzian share of a resolution that is being found."""
        width = self.half_width * math.exp(min(max(levels[3], -_WIDEST), _WIDEST))
        return width, 1 / (1 + math.exp(-min(max(levels[4], -_SURE), _SURE)))

    def expected(self, numbers: _Numbers) -> Float[np.ndarray, "point"]:
        """Expected counts."""
        free, levels = self.split(numbers)
        layers = layers_of(self.profile, free)
        value = forward.reflectivity(self.shifted(levels), layers, self.reflection)
        return _level(levels[0]) * (self._seen(value, levels)[0] @ value) + _level(levels[1])

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
        shifted = forward.reflectivity(angles + _SHIFT, layers, self.reflection)
        by_offset = (shifted - value) / _SHIFT * math.radians(OFFSET_UNIT) / 2
        matrix, of_resolution = self._seen(value, levels)
        found = scale * (matrix @ np.column_stack([of_value, value, by_offset]))
        signal = found[:, -2]
        flat = np.full((len(signal), 1), background)
        return signal + background, np.concatenate([found[:, :-1], flat, found[:, -1:], scale * of_resolution], axis=1)

    def _seen(
        self, value: Float[np.ndarray, "angle"], levels: _Levels
    ) -> tuple[csr_array | np.ndarray, Float[np.ndarray, "point 0|2"]]:
        """The resolution that the numbers say, and derivatives of what is seen by its width's and its share's number."""
        if not self.finds_resolution:
            return self.matrix, np.empty((len(self.measured), 0))
        width, share = self.width_and_share(levels)
        found = convolved(self.measured, self.angles, value, width, share)
        free = float(abs(levels[3]) < _WIDEST)
        return found.matrix, np.column_stack([free * found.by_ln_width, share * (1 - share) * found.by_share])

    def shifted(self, levels: _Levels) -> Float[np.ndarray, "angle"]:
        """Angles of the reflectivity, which move with the offset."""
        return self.angles + math.radians(levels[2] * OFFSET_UNIT) / 2

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


def _level(logarithm: float) -> float:
    """Scale or background; a search's wild step must not overflow."""
    return math.exp(min(max(logarithm, -60.0), 60.0))


def model_of(curve: Curve, reflection: Reflection, profile: Profile, finds_resolution: bool = False) -> Model:
    """Model of a curve by a profile."""
    half_width = math.radians(curve.half_width) / 2
    angles = forward.as_radian(curve.two_theta)
    finds = finds_resolution and curve.instrument is None and curve.half_width > 0
    return Model(profile, reflection, angles, half_width, curve.lorentzian, finds, curve.instrument)
