"""What a kinetic scheme is: states, reactions between them, and the species that each state scatters as."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Law = Literal["mass action", "stretched", "avrami"]


@dataclass(frozen=True)
class Reaction:
    """One step: so many molecules of each state make so many of others."""

    reactants: tuple[tuple[int, int], ...]  # (state, molecules)
    products: tuple[tuple[int, int], ...]
    parameter: str  # name of its rate constant


@dataclass(frozen=True)
class Scheme:
    """A mechanism.

    The law is mass action, but for schemes of one step whose conversion is 1 - exp(-(k t)^n): ``stretched`` and
    ``avrami``.
    """

    text: str
    states: tuple[str, ...]
    species: tuple[str, ...]  # that scatter: several states may scatter alike
    species_of_state: tuple[int, ...]  # -1: a state that is not seen
    reactions: tuple[Reaction, ...]
    parameters: tuple[str, ...]  # names: rate constants, then exponents
    law: Law = "mass action"

    @property
    def is_linear(self) -> bool:
        """Whether every step turns one molecule into one: a matrix exponential then solves it."""
        return self.law == "mass action" and all(
            len(side) == 1 and side[0][1] == 1 for one in self.reactions for side in (one.reactants, one.products)
        )

    def shares(self) -> Float[np.ndarray, "state species"]:
        """Give 1 where a state scatters as a species."""
        found = np.zeros((len(self.states), len(self.species)))
        for state, species in enumerate(self.species_of_state):
            if species >= 0:
                found[state, species] = 1.0
        return found

    def sources(self) -> tuple[int, ...]:
        """Give the states that are there at the start if nothing else is said: the first, and what no step makes."""
        made = {state for one in self.reactions for state, _ in one.products}
        return tuple(state for state in range(len(self.states)) if state == 0 or state not in made)

    def reading(self) -> str:
        """Write the steps one by one, as the program understood them."""
        steps = []
        for one in self.reactions:
            left, right = (" + ".join(self._amount(*part) for part in side) for side in (one.reactants, one.products))
            steps.append(f"{left} -> {right} ({one.parameter})")
        alike = [
            f"{state} scatters as {self.species[place]}"
            for state, place in zip(self.states, self.species_of_state, strict=True)
            if place >= 0 and self.species[place] != state
        ]
        law = [] if self.law == "mass action" else [f"conversion 1 - exp(-(k t)^n), {self.law}"]
        return "; ".join([*steps, *law, *alike])

    def _amount(self, state: int, molecules: int) -> str:
        """A number of molecules in words."""
        return self.states[state] if molecules == 1 else f"{molecules} {self.states[state]}"
