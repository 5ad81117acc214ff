"""What a fit of pixels may vary, as plain numbers that are 0 at its start and of the order of 1."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.physics.rotations import rotation, turning
from madpipe.stills.geometry import Panel
from madpipe.stills.jacobian import PARAMETERS
from madpipe.stills.scene import Scene

_Numbers = Float[np.ndarray, "number"]
_Chain = Float[np.ndarray, "parameter number"]
_DEGREE = math.pi / 180


@dataclass(frozen=True)
class Unknown:
    """How numbers of a fit move a parameter of the scene."""

    parameter: str  # of PARAMETERS
    units: str  # of its numbers
    farthest: float  # change in a step
    moved: Callable[[Scene, Panel, _Numbers], tuple[Scene, Panel]]  # from the start
    chain: Callable[[Scene, _Numbers], _Chain]  # derivative of the parameter by the numbers, given the start


def _turned(scene: Scene, panel: Panel, numbers: _Numbers) -> tuple[Scene, Panel]:
    """The crystal turned from its start by a rotation vector [degree]."""
    return replace(scene, crystal=scene.crystal.turned(rotation(numbers * _DEGREE))), panel


def _spread(scene: Scene, numbers: _Numbers) -> float:
    """Spread, whose sign means nothing [radian]."""
    return abs(scene.spread + float(numbers[0]) * _DEGREE)


def _cells(scene: Scene, numbers: _Numbers) -> Float[np.ndarray, "3"]:
    """Numbers of cells, by factors e^x."""
    grown: np.ndarray = scene.cells * np.exp(numbers)
    return grown


def _background(scene: Scene, numbers: _Numbers) -> float:
    """Constant background, by a factor e^x."""
    return scene.background.constant * math.exp(float(numbers[0]))


UNKNOWNS = {
    "misset": Unknown("misset", "degree", 3.0, _turned, lambda s, x: turning(x * _DEGREE) * _DEGREE),
    "spread": Unknown(
        "spread",
        "degree",
        0.5,
        lambda s, p, x: (replace(s, spread=_spread(s, x)), p),
        lambda s, x: np.array([[math.copysign(_DEGREE, s.spread + float(x[0]) * _DEGREE)]]),
    ),
    "scale": Unknown(
        "scale",
        "relative",
        1.0,
        lambda s, p, x: (replace(s, scale=s.scale * math.exp(float(x[0]))), p),
        lambda s, x: np.array([[s.scale * math.exp(float(x[0]))]]),
    ),
    "background": Unknown(
        "background",
        "relative",
        1.0,
        lambda s, p, x: (replace(s, background=replace(s.background, constant=_background(s, x))), p),
        lambda s, x: np.array([[_background(s, x)]]),
    ),
    "cells": Unknown(
        "cells",
        "relative",
        0.2,
        lambda s, p, x: (replace(s, cells=_cells(s, x)), p),
        lambda s, x: np.diag(_cells(s, x)),
    ),
    "distance": Unknown("distance", "mm", 1.0, PARAMETERS["distance"].moved, lambda s, x: np.eye(1)),
    "beam_centre": Unknown("beam_centre", "pixel", 2.0, PARAMETERS["beam_centre"].moved, lambda s, x: np.eye(2)),
}


@dataclass(frozen=True)
class Layout:
    """Where the numbers of each unknown stand."""

    names: tuple[str, ...]

    @property
    def slices(self) -> dict[str, slice]:
        """Place of each unknown among all numbers."""
        ends = np.cumsum([0] + [len(PARAMETERS[UNKNOWNS[name].parameter].labels) for name in self.names])
        return {name: slice(int(a), int(b)) for name, a, b in zip(self.names, ends[:-1], ends[1:], strict=True)}

    @property
    def labels(self) -> list[str]:
        """Name of each number."""
        return [label for name in self.names for label in PARAMETERS[UNKNOWNS[name].parameter].labels]

    @property
    def count(self) -> int:
        """How many numbers."""
        return len(self.labels)

    @property
    def farthest(self) -> _Numbers:
        """Largest change of each number in a step."""
        return np.concatenate(
            [np.full(at.stop - at.start, UNKNOWNS[name].farthest) for name, at in self.slices.items()]
        )

    def moved(self, scene: Scene, panel: Panel, numbers: _Numbers) -> tuple[Scene, Panel]:
        """Scene and panel after all numbers."""
        for name, at in self.slices.items():
            scene, panel = UNKNOWNS[name].moved(scene, panel, numbers[at])
        return scene, panel

    def chained(
        self, scene: Scene, numbers: _Numbers, jacobian: Float[np.ndarray, "pixel number"]
    ) -> Float[np.ndarray, "pixel number"]:
        """Derivatives by the numbers from those by the parameters; ``scene`` is the start."""
        parts = [jacobian[:, at] @ UNKNOWNS[name].chain(scene, numbers[at]) for name, at in self.slices.items()]
        return np.concatenate(parts, axis=1)

    @property
    def parameters(self) -> Sequence[str]:
        """Parameters of the Jacobian, in order."""
        return [UNKNOWNS[name].parameter for name in self.names]
