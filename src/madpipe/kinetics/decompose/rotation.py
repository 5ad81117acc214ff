r"""The set of solutions that fit a series equally well, and its extremes.

With the singular value decomposition :math:`X = U \Sigma V^T` of rank K, every :math:`C = U A`,
:math:`S = A^{-1} \Sigma V^T` fits alike. The constraints, each within the noise that it has, leave a set of matrices
A; a linear measure of the concentrations is driven to both its ends there by linear programmes. One gauge, A 1 = g,
fixes the scales.

References
----------
Extremes of a component's contribution under constraints: Gemperline, Anal. Chem. 71, 5398 (1999); Tauler, J. Chemometr.
15, 627 (2001); Jaumot and Tauler, Chemometr. Intell. Lab. Syst. 103, 96 (2010).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linprog

_Matrix = Float[np.ndarray, "component component"]
_TRUST, _LEAST_TRUST, _MOST_TRUST = 0.2, 1e-3, 0.5  # of a relative change of A
_BREACH = 0.2  # by which a step may leave the set, as the programme is linear [standard deviation]
_GAIN = 2e-3  # of a measure, which a step promises, below which an extreme has been reached
_STEPS = 40
_CORRECTIONS = (0.3, 0.1)  # lengths, over that of the step, of those that bring it back to the bent edge of the set
_UNBOUNDED = 10.0  # of a measure, which is of the order of 1: nothing bounds it
_CONDITION = 1e10  # of a matrix that still has an inverse
_COST = 10.0  # of one standard deviation outside the set, in the unit of the measure


@dataclass(frozen=True)
class Rows:
    """Linear bounds on concentrations (A) or on curves (its inverse), in the space of the singular vectors."""

    vectors: Float[np.ndarray, "row component"]  # value = vector . A[:, k], or A^-1[k] . vector
    component: Int[np.ndarray, " row"]
    target: Float[np.ndarray, " row"]
    two_sided: Bool[np.ndarray, " row"]  # else at least the target
    noise: Float[np.ndarray, " row"]  # of the value, over the noise of a singular vector


def joined(*some: Rows) -> Rows:
    """Put rows together."""
    return Rows(
        *(
            np.concatenate([getattr(one, name) for one in some])
            for name in ("vectors", "component", "target", "two_sided", "noise")
        )
    )


@dataclass(frozen=True)
class Measure:
    """What is driven to its ends: the sum of one matrix times A, and of another times the inverse of A."""

    of_concentrations: _Matrix
    of_profiles: _Matrix

    def value(self, a: _Matrix) -> float:
        """Value of a solution."""
        return float(np.sum(self.of_concentrations * a) + np.sum(self.of_profiles * np.linalg.inv(a)))

    def slope(self, a: _Matrix) -> _Matrix:
        """Derivative by a relative change E of A, which becomes A (1 + E)."""
        return a.T @ self.of_concentrations - self.of_profiles @ np.linalg.inv(a).T

    def reversed(self) -> "Measure":
        """The same with the other sign."""
        return Measure(-self.of_concentrations, -self.of_profiles)


@dataclass(frozen=True)
class FeasibleSet:
    """All that decides whether a matrix A is a solution."""

    of_concentrations: Rows
    of_profiles: Rows
    values: Float[np.ndarray, " component"]  # singular values
    noise: float  # factor of the noise over the stated one
    tolerance: float  # of every bound, in standard deviations
    summed: Bool[np.ndarray, " component"]  # components whose concentrations the gauge adds up

    def concentration_noise(self, a: _Matrix) -> Float[np.ndarray, " component"]:
        """Standard deviation of a concentration made of a unit row of U, by component."""
        return self.noise * np.sqrt(np.sum((a / self.values[:, None]) ** 2, axis=0))

    def profile_noise(self, inverse: _Matrix) -> Float[np.ndarray, " component"]:
        """Standard deviation of a weighted curve, by component."""
        return self.noise * np.sqrt(np.sum(inverse**2, axis=1))

    def breach(self, a: _Matrix) -> float:
        """By how many standard deviations the worst bound is broken beyond the tolerance; 0 inside the set."""
        inverse = np.linalg.inv(a)
        worst = 0.0
        for rows, away, noise in (
            (self.of_concentrations, _concentration_values(self.of_concentrations, a), self.concentration_noise(a)),
            (self.of_profiles, _profile_values(self.of_profiles, inverse), self.profile_noise(inverse)),
        ):
            if len(rows.target):
                off = (away - rows.target) / (rows.noise * noise[rows.component])
                worst = max(worst, float(np.max(np.where(rows.two_sided, np.abs(off), -off))) - self.tolerance)
        return worst


def _concentration_values(rows: Rows, a: _Matrix) -> Float[np.ndarray, " row"]:
    """Value of each row of concentrations."""
    return np.sum(rows.vectors * a.T[rows.component], axis=1)


def _profile_values(rows: Rows, inverse: _Matrix) -> Float[np.ndarray, " row"]:
    """Value of each row of curves."""
    return np.sum(rows.vectors * inverse[rows.component], axis=1)


def gauged(a: _Matrix, gauge: Float[np.ndarray, " component"], summed: Bool[np.ndarray, " component"]) -> _Matrix:
    """Scale the columns of A so that those that are summed add up to the gauge, as far as they can."""
    scale = np.ones(len(a))
    scale[summed] = np.linalg.lstsq(a[:, summed], gauge, rcond=None)[0]
    return a * np.where(np.abs(scale) > 1e-12, np.abs(scale), 1.0)


def into_the_set(start: _Matrix, within: FeasibleSet) -> tuple[_Matrix, float]:
    """Move a solution into the set, or as near as it gets: the matrix and how far outside it stays [sd]."""
    nothing = Measure(np.zeros_like(start), np.zeros_like(start))
    best, breach = start, within.breach(start)
    for a in _steps(start, within, nothing):
        now = within.breach(a)
        if now < breach:
            best, breach = a, now
        if breach <= 0:
            break
    return best, breach


def extreme(start: _Matrix, within: FeasibleSet, measure: Measure) -> list[_Matrix]:
    """Solutions on the way to the largest value of a measure: the last is the largest."""
    return list(_steps(start, within, measure))


def _steps(a: _Matrix, within: FeasibleSet, measure: Measure) -> Iterator[_Matrix]:
    """Walk by linear programmes: a step that leaves the set is corrected, else tried again, half as long."""
    trust, value, breach = _TRUST, measure.value(a), within.breach(a)
    for _ in range(_STEPS):
        change = _programme(a, within, measure, trust)
        if change is None or (breach <= _BREACH and float(np.sum(measure.slope(a) * change)) < _GAIN):
            return
        tried = _moved(a, change)
        if tried is None:
            return
        now = within.breach(tried)
        for part in _CORRECTIONS if now > _BREACH else ():
            corrected = _programme(tried, within, measure, part * trust)
            tried = None if corrected is None else _moved(tried, corrected)
            if tried is None:
                return
            now = within.breach(tried)
        reached = measure.value(tried)
        if (now < breach - 1e-3) if breach > _BREACH else (now <= _BREACH and reached > value):
            a, value, breach = tried, reached, now
            yield a
            if abs(value) > _UNBOUNDED:
                return
            trust = min(1.5 * trust, _MOST_TRUST)
        else:
            trust /= 2
            if trust < _LEAST_TRUST:
                return


def _moved(a: _Matrix, change: _Matrix) -> _Matrix | None:
    """A after a relative change; None where it would lose its inverse."""
    moved = a + a @ change
    return moved if np.linalg.cond(moved) < _CONDITION else None


def _programme(a: _Matrix, within: FeasibleSet, measure: Measure, trust: float) -> _Matrix | None:
    """Best relative change E of A, to A (1 + E), with bounds linear in E: A^-1 becomes (1 - E) A^-1."""
    count = len(a)
    inverse = np.linalg.inv(a)
    left, right = zip(_concentration_bounds(within, a, trust), _profile_bounds(within, inverse, trust), strict=True)
    fixed = np.zeros((count, count, count))  # E times the ones of the gauge is zero
    for i in range(count):
        fixed[i, i, within.summed] = 1.0
    equal = np.column_stack([fixed.reshape(count, -1), np.zeros(count)])
    free = np.flatnonzero(~within.summed)  # the scale of these is of no meaning: their size is kept
    kept = np.zeros((len(free), count, count))
    for row, k in enumerate(free):
        kept[row, k, k] = 1.0
    equal = np.vstack([equal, np.column_stack([kept.reshape(len(free), count**2), np.zeros(len(free))])])
    found = linprog(
        np.concatenate([-measure.slope(a).ravel(), [_COST]]),
        A_ub=np.vstack(left),
        b_ub=np.concatenate(right),
        A_eq=equal,
        b_eq=np.zeros(len(equal)),
        bounds=[(-trust, trust)] * count**2 + [(0, None)],
        method="highs",
    )
    return found.x[:-1].reshape(count, count) if found.status == 0 else None


def _concentration_bounds(
    within: FeasibleSet, a: _Matrix, trust: float
) -> tuple[Float[np.ndarray, "bound unknown"], Float[np.ndarray, " bound"]]:
    """Bounds that a change of concentrations must keep."""
    rows = within.of_concentrations
    moved = rows.vectors @ a
    coefficients = np.zeros((len(moved), len(a), len(a)))
    coefficients[np.arange(len(moved)), :, rows.component] = moved
    return _bounds(within, rows, coefficients, _concentration_values(rows, a), within.concentration_noise(a), trust)


def _profile_bounds(
    within: FeasibleSet, inverse: _Matrix, trust: float
) -> tuple[Float[np.ndarray, "bound unknown"], Float[np.ndarray, " bound"]]:
    """Bounds that a change of curves must keep."""
    rows = within.of_profiles
    coefficients = np.zeros((len(rows.vectors), len(inverse), len(inverse)))
    coefficients[np.arange(len(rows.vectors)), rows.component, :] = -(rows.vectors @ inverse.T)
    return _bounds(within, rows, coefficients, _profile_values(rows, inverse), within.profile_noise(inverse), trust)


def _bounds(
    within: FeasibleSet,
    rows: Rows,
    coefficients: Float[np.ndarray, "row component component"],
    now: Float[np.ndarray, " row"],
    noise: Float[np.ndarray, " component"],
    trust: float,
) -> tuple[Float[np.ndarray, "bound unknown"], Float[np.ndarray, " bound"]]:
    """Write bounds as G x <= h, in standard deviations; those out of reach of this step are left out."""
    deviation = rows.noise * noise[rows.component]
    scaled = coefficients.reshape(len(now), len(noise) ** 2) / deviation[:, None]
    away = (now - rows.target) / deviation
    reach = trust * np.sum(np.abs(scaled), axis=1)
    low = away - reach < -within.tolerance
    high = rows.two_sided & (away + reach > within.tolerance)
    slack = -np.ones(int(low.sum() + high.sum()))
    matrix = np.column_stack([np.vstack([-scaled[low], scaled[high]]), slack])
    return matrix, np.concatenate([within.tolerance + away[low], within.tolerance - away[high]])
