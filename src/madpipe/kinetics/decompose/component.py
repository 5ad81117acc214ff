"""What is known of a component, and the bases in which its curve and its concentration are then written."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.errors import InputError
from madpipe.kinetics.decompose import pair_distance

_Frames = Float[np.ndarray, " frame"]
_Curve = Float[np.ndarray, " q"]
Projection = Callable[[Float[np.ndarray, "frame component"]], Float[np.ndarray, "frame component"]]


@dataclass(frozen=True)
class Smoothness:
    """A concentration that is straight between nodes on an axis (t, or ln t), with a penalty on its bends."""

    axis: _Frames  # of the frames, rising
    ends: tuple[float, float]  # of the nodes, on the axis
    nodes: int = 31
    penalty: float | None = None  # of the second difference squared; None: by the number of parameters
    parameters: float | None = None  # effective ones, else 0.8 of those possible
    zero_first: bool = False
    zero_last: bool = False

    def basis(self) -> Float[np.ndarray, "frame node"]:
        """Values at the frames of straight lines between nodes; zero outside the ends."""
        step = (self.ends[1] - self.ends[0]) / (self.nodes - 1)
        place = (self.axis - self.ends[0]) / step
        inside = (place >= -1e-9) & (place <= self.nodes - 1 + 1e-9)
        hats = np.clip(1 - np.abs(place[:, None] - np.arange(self.nodes)), 0, None) * inside[:, None]
        return hats[:, int(self.zero_first) : self.nodes - int(self.zero_last)]

    def roughness(self) -> Float[np.ndarray, "node node"]:
        """Square of the second difference at the free nodes."""
        difference = pair_distance.second_difference(self.nodes, self.zero_first, self.zero_last)
        return difference.T @ difference


@dataclass(frozen=True)
class Component:
    """Constraints of one component; what is None or False is free."""

    name: str = "component"
    positive_concentration: bool = True
    positive_profile: bool = True  # of a curve without D_max
    d_max: float | None = None  # of P(r) [angstrom]
    profile_penalty: float | None = None  # of P(r)'s second difference squared; None: by the number of parameters
    profile_parameters: float = 10.0  # effective ones, at most 0.9 of the Shannon channels
    positive_pair_distance: bool = False
    frames: tuple[int, int] | None = None  # first and stop: zero elsewhere
    unimodal: bool = False
    smooth: Smoothness | None = None
    in_closure: bool = True  # where closure is asked for: a buffer or a drift is not
    known_profile: _Curve | None = None
    known_concentration: _Frames | None = None  # not a number where it is free

    def present(self, frames: int) -> Bool[np.ndarray, " frame"]:
        """Tell at which frames the component may be."""
        inside = np.ones(frames, dtype=bool)
        if self.frames is not None:
            inside[:] = False
            inside[slice(*self.frames)] = True
        return inside

    def is_free_in_time(self) -> bool:
        """Tell whether each frame has a concentration of its own."""
        return self.smooth is None


def require_consistent(components: tuple[Component, ...], frames: int, points: int) -> None:
    """Refuse constraints that do not fit the series.

    Raises
    ------
    InputError
        A known curve or concentration of another length, a range without frames, or a D_max that is no length.
    """
    for one in components:
        if one.known_profile is not None and len(one.known_profile) != points:
            raise InputError(
                f"component {one.name}: a known curve needs one intensity for each of the {points} q that are used; "
                f"{len(one.known_profile)} came; give it on the series' q."
            )
        if one.known_concentration is not None and len(one.known_concentration) != frames:
            raise InputError(
                f"component {one.name}: known concentrations need one value for each of the {frames} frames, nan where "
                f"free; {len(one.known_concentration)} came; add what is missing."
            )
        if not one.present(frames).any():
            raise InputError(
                f"component {one.name}: its range needs at least one of the {frames} frames; {one.frames} came; "
                "give first and stop, counted from 0."
            )
        if one.d_max is not None and not one.d_max > 0:
            raise InputError(f"component {one.name}: d_max needs a length above 0 angstrom; {one.d_max} came; mend it.")
