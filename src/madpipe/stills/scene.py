"""What an image is made from: beam, panels, crystal, structure factors, mosaicity, background, photons."""

from dataclasses import dataclass, field

import gemmi
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.lattice import SHAPES
from madpipe.stills.mosaic import Domains, Mosaicity, SpotKernel, single

_INDEX_LIMIT = 2**27  # entries of a table of structure factors: 1 GiB


@dataclass(frozen=True)
class Sources:
    """Light of several directions and wavelengths; without them a scene has its beam alone."""

    directions: Float[np.ndarray, "source 3"]  # of travel, of unit length
    wavelengths: Float[np.ndarray, "source"]  # [angstrom]
    weights: Float[np.ndarray, "source"]  # relative numbers of photons


@dataclass(frozen=True)
class StructureFactors:
    """F^2 [electron^2] of reflections by their indices, as a block of the reciprocal lattice."""

    first: tuple[int, int, int]  # indices of the block's corner
    squared: Float[np.ndarray, "h k l"]
    outside: float = 0.0  # F^2 of all other reflections

    @classmethod
    def flat(cls, amplitude: float) -> "StructureFactors":
        """The same F [electron] for each reflection."""
        return cls((0, 0, 0), np.full((1, 1, 1), amplitude**2), amplitude**2)

    @classmethod
    def listed(
        cls, indices: Int[np.ndarray, "reflection 3"], amplitudes: Float[np.ndarray, "reflection"], other: float = 0.0
    ) -> "StructureFactors":
        """Reflections of a list, both Friedel mates, in no symmetry but P 1; all others have the amplitude ``other``.

        Raises
        ------
        InputError
            The list is empty, or its indices span more than 2^27 reflections.
        """
        if not len(indices):
            raise InputError("structure factors: a list of reflections is required; got none; give h k l and F")
        first = indices.min(0)
        shape = indices.max(0) - first + 1
        if np.prod(shape.astype(float)) > _INDEX_LIMIT:
            raise InputError(
                f"structure factors: indices within 2^27 reflections are required; got {first.tolist()} to "
                f"{indices.max(0).tolist()}; cut the list at a resolution"
            )
        squared = np.full(shape, float(other) ** 2)
        squared[tuple((indices - first).T)] = amplitudes**2
        return cls((int(first[0]), int(first[1]), int(first[2])), squared, float(other) ** 2)

    @classmethod
    def symmetric(
        cls,
        indices: Int[np.ndarray, "reflection 3"],
        amplitudes: Float[np.ndarray, "reflection"],
        group: gemmi.SpaceGroup,
    ) -> "StructureFactors":
        """Reflections of an asymmetric unit with all that symmetry and Friedel's law make equal; all others are 0.

        Raises
        ------
        InputError
            As :meth:`listed`.
        """
        turns = [np.array(op.rot) // op.DEN for op in group.operations().sym_ops]
        mates = np.concatenate([sign * indices @ turn for turn in turns for sign in (1, -1)]).astype(int)
        return cls.listed(mates, np.tile(amplitudes, 2 * len(turns)))

    def at(self, indices: Float[Tensor, "*domain 3 point"]) -> Float[Tensor, "*domain point"]:
        """F^2 of reflections of whole indices [electron^2]."""
        table = torch.from_numpy(self.squared)
        place = indices - torch.tensor(self.first, dtype=indices.dtype)[:, None]
        last = torch.tensor(table.shape, dtype=indices.dtype)[:, None] - 1
        inside = ((place >= 0) & (place <= last)).all(-2)
        step = torch.tensor([table.shape[1] * table.shape[2], table.shape[2], 1], dtype=indices.dtype)[:, None]
        entry = (place * step).sum(-2).mul_(inside).long()
        found: Tensor = torch.where(inside, table.reshape(-1)[entry], self.outside)
        return found

    @property
    def constant(self) -> bool:
        """Whether all reflections have the same F."""
        return bool((self.squared == self.outside).all())


@dataclass(frozen=True)
class Phi:
    """Steps of a spindle; a still has one, at 0."""

    axis: Float[np.ndarray, "3"] = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    angles: Float[np.ndarray, "step"] = field(default_factory=lambda: np.zeros(1))  # [radian]


@dataclass(frozen=True)
class Background:
    """Photons that the lattice does not scatter."""

    constant: float = 0.0  # [photon/pixel]
    water: float = (
        0.0  # [photon/pixel] at the top of water's ring in the direction of least absorption and polarisation
    )


@dataclass(frozen=True)
class Scene:
    """All that determines the expected photons of each pixel."""

    beam: Beam
    panels: tuple[Panel, ...]
    crystal: Crystal
    cells: Float[np.ndarray, "3"]  # N along a, b, c; need not be whole
    factors: StructureFactors
    scale: float  # photons per electron^2 and steradian: r_e^2 times photons per area of the beam
    shape: str = "square"  # of SHAPES
    fudge: float = 1.0
    mosaicity: Mosaicity = field(default_factory=single)
    spread: float = 0.0  # rms rotation of the domains about their mean [radian]
    background: Background = field(default_factory=Background)
    sources: Sources | None = None
    phi: Phi = field(default_factory=Phi)
    oversample: int = 1  # sub-pixels along each side of a pixel
    first_subpixel: bool = False  # solid angle, polarisation, absorption of a pixel's first sub-pixel and first source
    negligible: float = 0.0  # share of the peak below which a spot's tail is that of the mean orientation

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(f"shape: one of {', '.join(SHAPES)} is required; got '{self.shape}'; choose one of them")
        if isinstance(self.mosaicity, SpotKernel) and self.shape != "gauss":
            raise InputError(
                f"mosaicity: a kernel widens Gaussian spots, the shape 'gauss' is required; got '{self.shape}'; "
                "use the quadrature, or that shape"
            )
        if self.oversample < 1:
            raise InputError(f"oversample: 1 or more is required; got {self.oversample}; 1 is the pixel's middle")

    @property
    def light(self) -> Sources:
        """Sources of weights that sum to 1."""
        found = self.sources or Sources(self.beam.direction[None], np.array([self.beam.wavelength]), np.ones(1))
        return Sources(found.directions, found.wavelengths, found.weights / found.weights.sum())

    @property
    def domains(self) -> Domains:
        """Domains to sum over: one where a kernel stands for them."""
        return self.mosaicity if isinstance(self.mosaicity, Domains) else single()
