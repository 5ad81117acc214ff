"""Curves of species, given their concentrations: one half of the alternation."""

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.decompose import pair_distance
from madpipe.kinetics.decompose.component import Component
from madpipe.kinetics.decompose.least_squares import dense, small_nonnegative
from madpipe.kinetics.decompose.weights import SeparableSigma

_TURNS = 3  # of curves with and without P(r), where both are there


class ProfileStep:
    """Weighted curves s / sigma_q of all components, given their concentrations.

    What does not change with the concentrations, the matrices of P(r) and their products, is made once.
    """

    def __init__(
        self,
        block: Float[np.ndarray, "frame q"],
        q: Float[np.ndarray, " q"],
        weights: SeparableSigma,
        components: tuple[Component, ...],
        fixed_scale: tuple[bool, ...],
    ) -> None:
        self._block, self._weights, self._components, self._fixed = block, weights, components, fixed_scale
        unknown = [k for k, one in enumerate(components) if one.known_profile is None]
        self._free = [k for k in unknown if components[k].d_max is None]
        self._real = [k for k in unknown if components[k].d_max is not None]
        self._matrix = {k: pair_distance.transform(q, components[k].d_max or 0.0) for k in self._real}
        self._weighted = {k: matrix / weights.q[:, None] for k, matrix in self._matrix.items()}
        self._gram = {(k, j): self._weighted[k].T @ self._weighted[j] for k in self._real for j in self._real}
        difference = pair_distance.second_difference(pair_distance.NODES, drop_first=True, drop_last=True)
        self._roughness = difference.T @ difference
        self._span = float(np.ptp(q))
        self._penalty = dict[int, float]()
        self._found = dict[int, Float[np.ndarray, " r"]]()

    def __call__(
        self, c: Float[np.ndarray, "frame component"], before: Float[np.ndarray, "component q"]
    ) -> Float[np.ndarray, "component q"]:
        """Solve for all curves that are not known, and give those that have no scale of their own a norm of 1."""
        weighted = c / self._weights.frame[:, None]
        gram, right = weighted.T @ weighted, weighted.T @ self._block
        curves = before.copy()
        for k, one in enumerate(self._components):
            if one.known_profile is not None:
                curves[k] = one.known_profile / self._weights.q
        for _ in range(_TURNS if self._free and self._real else 1):
            self._solve_free(gram, right, curves)
            self._solve_real(gram, right, curves)
        self._normalise(curves)
        return curves

    def _solve_free(
        self,
        gram: Float[np.ndarray, "component component"],
        right: Float[np.ndarray, "component q"],
        curves: Float[np.ndarray, "component q"],
    ) -> None:
        """Curves without a basis: each q on its own."""
        if self._free:
            others = [k for k in range(len(curves)) if k not in self._free]
            wanted = right[self._free] - gram[self._free][:, others] @ curves[others]
            positive = np.array([self._components[k].positive_profile for k in self._free])
            curves[self._free] = small_nonnegative(gram[self._free][:, self._free], wanted, positive)

    def _solve_real(
        self,
        gram: Float[np.ndarray, "component component"],
        right: Float[np.ndarray, "component q"],
        curves: Float[np.ndarray, "component q"],
    ) -> None:
        """Curves that P(r) makes: all nodes of all of them at once."""
        if not self._real:
            return
        others = [k for k in range(len(curves)) if k not in self._real]
        wanted = right - gram[:, others] @ curves[others]
        size = pair_distance.NODES - 2
        matrix = np.block([[gram[k, j] * self._gram[k, j] for j in self._real] for k in self._real])
        for place, k in enumerate(self._real):
            part = slice(place * size, (place + 1) * size)
            matrix[part, part] += self._penalty_of(k, gram[k, k]) * self._roughness
        vector = np.concatenate([self._weighted[k].T @ wanted[k] for k in self._real])
        positive = np.repeat([self._components[k].positive_pair_distance for k in self._real], size)
        for k, values in zip(self._real, dense(matrix, vector, positive).reshape(-1, size), strict=True):
            self._found[k] = values
            curves[k] = self._weighted[k] @ values

    def _penalty_of(self, k: int, power: float) -> float:
        """Penalty of a P(r): as given, or by its number of effective parameters when first asked."""
        one = self._components[k]
        if one.profile_penalty is not None:
            return one.profile_penalty
        if k not in self._penalty:
            channels = 0.9 * self._span * (one.d_max or 0.0) / np.pi
            count = min(one.profile_parameters, channels)
            self._penalty[k] = pair_distance.penalty_for(self._gram[k, k], self._roughness, count)
        return self._penalty[k] * power

    def _normalise(self, curves: Float[np.ndarray, "component q"]) -> None:
        """Curves of P(r) have I(0) = 1, others a root mean square of 1; but those whose scale is known."""
        for k, one in enumerate(self._components):
            if self._fixed[k]:
                continue
            if k in self._found:
                at_zero = float(pair_distance.transform(np.zeros(1), one.d_max or 0.0)[0] @ self._found[k])
                scale = at_zero
                self._found[k] = self._found[k] / scale if scale != 0 else self._found[k]
            else:
                scale = float(np.sqrt(np.mean((curves[k] * self._weights.q) ** 2)))
            curves[k] = curves[k] / scale if scale != 0 else curves[k]

    def pair_distances(self) -> tuple[Float[np.ndarray, " r"] | None, ...]:
        """P(r) of each component as last solved; None without a D_max."""
        return tuple(self._found.get(k) for k in range(len(self._components)))
