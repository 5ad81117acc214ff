"""Concentrations of species, given their curves: the other half of the alternation."""

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.decompose import pair_distance
from madpipe.kinetics.decompose.component import Component
from madpipe.kinetics.decompose.least_squares import dense, small_nonnegative
from madpipe.kinetics.decompose.weights import SeparableSigma

_TURNS = 3  # of smooth concentrations and of others, where both are there
_HELD = 1e6  # weight of a known concentration, or of closure, among smooth ones, over that of the data


class ConcentrationStep:
    """Concentrations of all components, given their weighted curves."""

    def __init__(
        self,
        block: Float[np.ndarray, "frame q"],
        weights: SeparableSigma,
        components: tuple[Component, ...],
        closure: bool,
    ) -> None:
        self._block, self._frame, self._components = block, weights.frame, components
        self._summed = np.array([one.in_closure for one in components]) if closure else None
        present = np.array([one.present(len(block)) for one in components])
        unknown = np.full((len(components), len(block)), np.nan)
        self._known = np.array(
            [
                unknown[k] if one.known_concentration is None else one.known_concentration
                for k, one in enumerate(components)
            ]
        )
        self._known[~present] = 0.0
        self._free = [k for k, one in enumerate(components) if one.is_free_in_time()]
        self._smooth = [k for k, one in enumerate(components) if not one.is_free_in_time()]
        self._basis = {k: components[k].smooth.basis() * present[k][:, None] for k in self._smooth}  # type: ignore[union-attr]
        self._penalty = dict[int, float]()

    def __call__(self, curves: Float[np.ndarray, "component q"]) -> Float[np.ndarray, "frame component"]:
        """Solve for all concentrations that are not known."""
        gram, right = curves @ curves.T, curves @ self._block.T
        c = np.where(np.isfinite(self._known), self._known, 0.0) / self._frame
        for _ in range(_TURNS if self._free and self._smooth else 1):
            self._solve_smooth(gram, right, c)
            self._solve_free(gram, right, c)
        return (c * self._frame).T

    def _solve_free(
        self,
        gram: Float[np.ndarray, "component component"],
        right: Float[np.ndarray, "component frame"],
        c: Float[np.ndarray, "component frame"],
    ) -> None:
        """Concentrations that each frame has on its own: frames of which the same components are known, together."""
        if not self._free:
            return
        open_to = ~np.isfinite(self._known[self._free])
        for pattern in np.unique(open_to, axis=1).T:
            frames = np.flatnonzero((open_to == pattern[:, None]).all(axis=0))
            solved = [k for k, is_open in zip(self._free, pattern, strict=True) if is_open]
            if not solved:
                continue
            others = [k for k in range(len(c)) if k not in solved]
            given = c[others][:, frames]
            wanted = right[solved][:, frames] - gram[solved][:, others] @ given
            positive = np.array([self._components[k].positive_concentration for k in solved])
            summed, total = None, None
            if self._summed is not None and self._summed[solved].any():
                summed, total = self._summed[solved], 1 / self._frame[frames] - self._summed[others] @ given
            c[np.array(solved)[:, None], frames] = small_nonnegative(
                gram[solved][:, solved], wanted, positive, summed, total
            )

    def _solve_smooth(
        self,
        gram: Float[np.ndarray, "component component"],
        right: Float[np.ndarray, "component frame"],
        c: Float[np.ndarray, "component frame"],
    ) -> None:
        """Concentrations that nodes make: all nodes of all of them at once."""
        if not self._smooth:
            return
        others = [k for k in range(len(c)) if k not in self._smooth]
        wanted = right - gram[:, others] @ c[others]
        weighted = {k: basis / self._frame[:, None] for k, basis in self._basis.items()}
        matrix = np.block([[gram[k, j] * weighted[k].T @ weighted[j] for j in self._smooth] for k in self._smooth])
        vector = np.concatenate([weighted[k].T @ wanted[k] for k in self._smooth])
        stops = np.cumsum([0, *(self._basis[k].shape[1] for k in self._smooth)])
        parts = {k: slice(stops[i], stops[i + 1]) for i, k in enumerate(self._smooth)}
        for k, part in parts.items():
            matrix[part, part] += self._penalty_of(k, gram[k, k]) * self._roughness(k)
        self._hold(matrix, vector, parts, c, _HELD * float(np.mean(np.diag(gram))))
        positive = np.repeat([self._components[k].positive_concentration for k in self._smooth], np.diff(stops))
        nodes = dense(matrix, vector, positive)
        for k, part in parts.items():
            c[k] = self._basis[k] @ nodes[part] / self._frame

    def _hold(
        self,
        matrix: Float[np.ndarray, "node node"],
        vector: Float[np.ndarray, " node"],
        parts: dict[int, slice],
        c: Float[np.ndarray, "component frame"],
        weight: float,
    ) -> None:
        """Add known concentrations and closure to smooth ones, as rows of great weight."""
        for k, part in parts.items():
            known = np.isfinite(self._known[k]) & (self._components[k].known_concentration is not None)
            rows = self._basis[k][known]
            matrix[part, part] += weight * rows.T @ rows
            vector[part] += weight * rows.T @ self._known[k][known]
        if self._summed is None:
            return
        counted = [k for k in parts if self._summed[k]]
        others = [k for k in range(len(c)) if k not in parts and self._summed[k]]
        left = 1 - np.sum(c[others], axis=0) * self._frame
        rows = np.zeros((len(left), len(vector)))
        for k in counted:
            rows[:, parts[k]] = self._basis[k]
        matrix += weight * rows.T @ rows
        vector += weight * rows.T @ left

    def _roughness(self, k: int) -> Float[np.ndarray, "node node"]:
        """Square of the second difference of a component's nodes."""
        smooth = self._components[k].smooth
        return np.zeros((0, 0)) if smooth is None else smooth.roughness()

    def _penalty_of(self, k: int, power: float) -> float:
        """Penalty of a smooth concentration: as given, or by its number of effective parameters."""
        smooth = self._components[k].smooth
        if smooth is None or smooth.penalty is not None:
            return 0.0 if smooth is None or smooth.penalty is None else smooth.penalty
        if k not in self._penalty:
            basis = self._basis[k] / self._frame[:, None]
            count = smooth.parameters or 0.8 * min(basis.shape)
            self._penalty[k] = pair_distance.penalty_for(basis.T @ basis, smooth.roughness(), count)
        return self._penalty[k] * power
