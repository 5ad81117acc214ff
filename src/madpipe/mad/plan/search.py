"""The energies that serve |F_N| best: greedy choice and exchange over a grid of candidates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.plan.atom import Atom
from madpipe.mad.plan.errors import (
    Contributions,
    contributions,
    errors_from,
    expected_errors,
    points_of_unit_brightness,
)
from madpipe.mad.plan.records import ChoiceRow

FEWEST = 3  # energies: three unknowns per point
_MOST_CANDIDATES = 1000
_GAIN = 1e-6  # relative; an exchange that gains less is rounding


@dataclass(frozen=True)
class _Grid:
    """Candidates, what each tells, and how a choice among them is judged."""

    energy: Float[Tensor, "candidate"]
    parts: Contributions
    photons: float  # in all
    systematic: float

    def judged(self, chosen: Sequence[int]) -> float:
        """Median relative error of |F_N| of one choice, the photons split evenly."""
        return f_normal_error(self.parts.of(list(chosen)), self.photons, self.systematic)

    def row(self, chosen: Sequence[int]) -> ChoiceRow:
        """One choice beside as many energies evenly spread."""
        count, energies = len(chosen), tuple(sorted(self.energy[list(chosen)].tolist()))
        even = self.judged(_even(len(self.energy), count))
        return ChoiceRow(count, energies, self.judged(chosen), replace(self, systematic=0.0).judged(chosen), even)

    def with_each(self, kept: Sequence[int]) -> Float[Tensor, "candidate"]:
        """The same for the energies kept and one more, whichever it is; infinite for one that is there already."""
        count, (_, size, points) = len(kept) + 1, self.parts.information.shape
        shares = (self.parts.information, self.parts.pull)
        sums = (part + part[..., list(kept), :].sum(-2, keepdim=True) for part in shares)
        information, pull = (one.flatten(-2) for one in sums)
        parameters = self.parts.parameters.repeat(1, size)
        errors = errors_from(information, pull, parameters, self.photons / count, self.systematic)["f_normal"]
        result = errors.reshape(size, points).median(1).values
        result[list(kept)] = torch.inf
        return result


def f_normal_error(parts: Contributions, photons: float, systematic: float) -> float:
    """Median over the prior of the relative error of |F_N|, so many photons in all split evenly over the energies."""
    count = parts.information.shape[1]
    return float(expected_errors(parts, photons / count, systematic)["f_normal"].median())


def best_energies(
    atom: Atom,
    low_ev: float,
    high_ev: float,
    counts: Collection[int],
    photons: float,
    step_ev: float = 1.0,
    robust: bool = True,
    counted_over: Float[Tensor, "energy"] | None = None,
) -> tuple[ChoiceRow, ...]:
    """Choose energies that minimise the expected error of |F_N|, for each number of energies asked for.

    Parameters
    ----------
    atom:
        From :func:`madpipe.mad.plan.atom.atom_of`.
    low_ev, high_ev, step_ev:
        Candidates, both ends included [eV]; none is taken twice.
    counts:
        How many energies, three at least.
    photons:
        In each point over all energies together, split evenly [photon].
    robust:
        Whether the error from uncertain f', f'' counts too; then energies near the edge pay for their doubt.
    counted_over:
        Energies that would yield these photons, a dose that every choice gets; the whole range if left out [eV].

    Returns
    -------
    :
        For each number of energies the choice, its error, and that of as many evenly spread ones.

    Raises
    ------
    InputError
        A range, step or number of energies that leaves no choice.

    Notes
    -----
    The criterion is the median over the prior of the relative error of |F_N|, the photons' and the table's errors
    added in squares; more energies at the same number of photons need not be better. The search starts from the
    energies evenly spread, and from the best set of one fewer with the best one added; one energy after the other is
    exchanged for the best candidate until none gains. A local optimum: of 41 candidates around the Ni K edge it finds
    the best of all triples.

    References
    ----------
    V. V. Fedorov, Theory of Optimal Experiments (1972); R. D. Cook, C. J. Nachtsheim, Technometrics 22, 315 (1980).
    """
    energy = candidates(low_ev, high_ev, step_ev)
    _check(counts, len(energy), photons)
    unit = points_of_unit_brightness(atom, energy if counted_over is None else counted_over)
    grid = _Grid(energy, contributions(atom, energy, unit), photons, float(robust))
    found: list[ChoiceRow] = []
    before: list[int] = []
    for count in sorted(set(counts)):
        starts = [_even(len(energy), count)]
        if len(before) == count - 1:
            starts.append([*before, int(grid.with_each(before).argmin())])
        before = min((_exchanged(grid, start) for start in starts), key=grid.judged)
        found.append(grid.row(before))
    return tuple(found)


def _even(size: int, count: int) -> list[int]:
    """Indices spread evenly from the first candidate to the last."""
    return torch.linspace(0, size - 1, count, dtype=torch.float64).round().long().tolist()


def _exchanged(grid: _Grid, start: Sequence[int]) -> list[int]:
    """Exchange one energy after the other for the best candidate until none gains."""
    chosen, error = list(start), grid.judged(start)
    idle = 0
    while idle < len(chosen):
        kept = chosen[1:]
        each = grid.with_each(kept)
        best = int(each.argmin())
        gains = float(each[best]) < error * (1 - _GAIN)
        idle = 0 if gains else idle + 1
        error = float(each[best]) if gains else error
        chosen = [*kept, best if gains else chosen[0]]
    return chosen


def candidates(low_ev: float, high_ev: float, step_ev: float) -> Float[Tensor, "candidate"]:
    """Photon energies from low to high [eV].

    Raises
    ------
    InputError
        Low is not below high, the step is not above zero, or there are more than can be searched.
    """
    if not (0 < low_ev < high_ev < torch.inf and step_ev > 0):
        raise InputError(
            f"a range of photon energies, low < high, and a step above zero are required [eV]; {low_ev:g} to "
            f"{high_ev:g} in steps of {step_ev:g} came; give --range LOW,HIGH."
        )
    if (high_ev - low_ev) / step_ev >= _MOST_CANDIDATES:
        raise InputError(
            f"at most {_MOST_CANDIDATES} candidate energies are searched; the range holds "
            f"{(high_ev - low_ev) / step_ev:.4g}; take a larger step or a smaller range."
        )
    return torch.arange(low_ev, high_ev + 1e-6 * step_ev, step_ev, dtype=torch.float64)


def _check(counts: Collection[int], most: int, photons: float) -> None:
    """Between some candidates and so many energies there is a choice, and there are photons."""
    if not counts or min(counts) < FEWEST or max(counts) > most:
        raise InputError(
            f"from {FEWEST} to {most} energies can be chosen from this range; {', '.join(map(str, counts)) or 'none'} "
            "came; change the number, the range or the step."
        )
    if not 0 < photons < torch.inf:
        raise InputError(f"a photon budget above zero is required; {photons:g} came; give photons per point.")
