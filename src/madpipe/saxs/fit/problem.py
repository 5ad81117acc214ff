"""What a fit moves and what it compares: curves, a model, values that are held, and the derivatives of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.physics.scattering.distributions import Distribution
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.fit.elimination import Eliminated, eliminated, reduced
from madpipe.saxs.intensities import ACCURACY, largest_dimension, unit_intensities
from madpipe.saxs.model import ParticleModel
from madpipe.saxs.parameters import Parameter

_Numbers = Float[np.ndarray, "number"]
_Value = TypeVar("_Value")
_UNSEEN = 30.0  # over the lowest q: a length of which the curve tells nothing more
_Parts = tuple[list[np.ndarray], list[Eliminated]]  # weighted columns and factors of each curve


@dataclass(frozen=True)
class Measured:
    """One curve as a fit sees it.

    Attributes
    ----------
    q:
        [1/angstrom].
    intensity, sigma:
        [1/cm].
    fine:
        Where the model is computed [1/angstrom]; q itself without smearing.
    smearing:
        Matrix from ``fine`` to ``q``; none: no smearing.
    background:
        Columns added to the model, such as 1 and q^-4, each with a factor of its own.
    positive:
        Which of these factors must not be negative.
    rows:
        Of the record, that these points are.
    """

    q: Float[np.ndarray, "q"]
    intensity: Float[np.ndarray, "q"]
    sigma: Float[np.ndarray, "q"]
    fine: Float[Tensor, "fine"]
    smearing: Float[np.ndarray, "q fine"] | None
    background: Float[np.ndarray, "q column"]
    positive: Bool[np.ndarray, "column"]
    rows: np.ndarray = field(default_factory=lambda: np.arange(0))

    def smeared(self, fine: Float[np.ndarray, "fine column"]) -> Float[np.ndarray, "q column"]:
        """Bring what was computed on the fine axis to the data's."""
        return fine if self.smearing is None else self.smearing @ fine


@dataclass(frozen=True)
class Problem:
    """Curves that one set of parameters explains, each with factors of its own.

    Attributes
    ----------
    curves:
        At least one.
    model, distribution:
        Of the sample, and of the size that is spread.
    contrasts:
        Of regions, by name, where they are known [1e-6/angstrom^2].
    held:
        Values that the fit does not move, by name.
    accuracy:
        Relative, of averages over sizes.
    own:
        Names of parameters that each curve has for itself, such as a contrast; the others are shared.
    """

    curves: Sequence[Measured]
    model: ParticleModel
    distribution: Distribution
    contrasts: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    accuracy: float = ACCURACY
    own: frozenset[str] = frozenset()

    @property
    def free(self) -> tuple[Parameter, ...]:
        """What the fit moves; what each curve has for itself bears the curve's number."""
        return tuple(one for one in self.named if one.name not in self.held)

    @property
    def named(self) -> tuple[Parameter, ...]:
        """Parameters that are free or held, in order."""
        found: list[Parameter] = []
        for one in self.model.parameters():
            if one.name not in self.held and self._is_known(one):
                continue
            if one.name in self.own and one.name not in self.held:
                found += [replace(one, name=f"{one.name}[{k + 1}]") for k in range(len(self.curves))]
            else:
                found.append(one)
        return tuple(found)

    def of_curve(self, values: Mapping[str, _Value], number: int) -> dict[str, _Value]:
        """Values as one curve sees them, under the model's own names."""
        own = [name for name in self.own if name not in self.held]
        return {**values, **{name: values[f"{name}[{number + 1}]"] for name in own}}

    def _is_known(self, one: Parameter) -> bool:
        """Whether a contrast ratio follows from contrasts that are known."""
        region = one.name.removesuffix("_contrast_ratio")
        return region != one.name and region in self.contrasts

    def values(self, numbers: Float[Tensor, "number *point"]) -> dict[str, Tensor]:
        """Every parameter's value, from the free numbers."""
        found = {one.name: one.natural(number) for one, number in zip(self.free, numbers, strict=True)}
        held = {name: numbers.new_full(numbers.shape[1:], value) for name, value in self.held.items()}
        return {**held, **found}

    def natural(self, numbers: _Numbers) -> dict[str, float]:
        """Every parameter's value as a plain number."""
        return {name: float(value) for name, value in self.values(torch.from_numpy(numbers)).items()}

    def largest(self, values: Mapping[str, float]) -> float:
        """Largest dimension of the particles, those of the distribution's upper end included [angstrom]."""
        found = [0.0]
        values = self.of_curve(values, 0)
        for term in self.model.terms:
            if isinstance(term.shape, FormFactor) and not term.shape.is_sheet:
                lengths = torch.tensor([values[term.prefix + one.name] for one in term.shape.lengths]).double()
                width = 0.0 if term.spread is None else values[f"{term.prefix}pd"]
                found.append(largest_dimension(term.shape, lengths, width, deviations=2.0))
        return max(found)

    def numbers(self, values: Mapping[str, float]) -> _Numbers:
        """Free numbers of values, which are kept inside their ranges."""
        inside = [min(max(values[one.name], one.low), one.high) for one in self.free]
        inside = [_off_the_ends(one, value) for one, value in zip(self.free, inside, strict=True)]
        moved = [one.free(torch.tensor(v, dtype=torch.float64)) for one, v in zip(self.free, inside, strict=True)]
        return np.array([float(number) for number in moved])

    def inside(self, values: Mapping[str, float]) -> _Numbers:
        """Free numbers of values, within :meth:`box`."""
        found: _Numbers = np.clip(self.numbers(values), *self.box())
        return found

    def _axis(self) -> Float[Tensor, "point"]:
        """Every curve's fine axis, one behind the other."""
        return torch.cat([one.fine for one in self.curves])

    def _unit(
        self, at_points: Float[Tensor, "point number"], axis: Float[Tensor, "point"]
    ) -> Float[Tensor, "term point"]:
        """Unit intensities of the terms on an axis, for free numbers at each of its points."""
        values = self.values(at_points.T)
        if self.own:
            counts = torch.tensor([len(one.fine) for one in self.curves])
            which = torch.arange(len(self.curves)).repeat_interleave(counts).repeat(len(axis) // int(counts.sum()))
            each = [self.of_curve(values, number) for number in range(len(self.curves))]
            values = {name: torch.stack([one[name] for one in each]).gather(0, which[None])[0] for name in each[0]}
        return unit_intensities(self.model, values, axis, self.distribution, self.contrasts, self.accuracy)

    def box(self) -> tuple[_Numbers, _Numbers]:
        """Ends of the free numbers' ranges; lengths end where the lowest q no longer tells them from longer ones."""
        unseen = _UNSEEN / min(float(one.q.min()) for one in self.curves)
        high = {
            one.name: max(min(one.high, unseen), 2 * one.low) if one.unit == "angstrom" else one.high
            for one in self.free
        }
        return self.numbers({one.name: one.low for one in self.free}), self.numbers(high)

    def evaluated(self, numbers: _Numbers) -> "Evaluated":
        """Evaluate the fit and its derivatives at some free numbers."""
        return self.trials(numbers[None])[0]

    def trials(self, many: Float[np.ndarray, "trial number"]) -> list["Evaluated"]:
        """Evaluate the fit and its derivatives at several places at once; infinite where the model has no value."""
        axis = self._axis()
        points = torch.from_numpy(many).repeat_interleave(len(axis), 0).requires_grad_()
        unit = self._unit(points, axis.repeat(len(many)))
        shapes = unit.detach().reshape(-1, len(many), len(axis))
        parts = [self._eliminated(shapes[:, number]) for number in range(len(many))]
        scales = torch.stack([self._scales(factors) for _, factors in parts], dim=1)
        seen = torch.isfinite(shapes)
        summed = torch.where(seen, unit.reshape(-1, len(many), len(axis)) * scales, 0.0).sum()
        (gradient,) = torch.autograd.grad(summed, points)
        slopes = gradient.reshape(len(many), len(axis), -1)
        return [
            self._trial(numbers, parts[place], slopes[place], bool(seen[:, place].all()))
            for place, numbers in enumerate(many)
        ]

    def _trial(
        self, numbers: _Numbers, parts: _Parts, slopes: Float[Tensor, "point number"], has_value: bool
    ) -> "Evaluated":
        """Slope and normal matrix of one place."""
        slope, normal = np.zeros(len(numbers)), np.zeros((len(numbers),) * 2)
        columns, factors = parts
        if not has_value:
            return Evaluated(numbers, np.inf, slope, normal)
        for column, one, tangent in zip(columns, factors, self._weighted(slopes), strict=True):
            more = reduced(tangent, column[:, one.free], one.residuals)
            slope, normal = slope + more[0], normal + more[1]
        return Evaluated(numbers, sum(float(one.residuals @ one.residuals) for one in factors), slope, normal)

    def deviance(self, numbers: _Numbers) -> float:
        """Chi-square without derivatives; infinite where the model has no value."""
        return float(self.deviances(numbers[None])[0])

    def deviances(self, many: Float[np.ndarray, "trial number"]) -> Float[np.ndarray, "trial"]:
        """Chi-square at several places."""
        return np.array([sum(float(one.residuals @ one.residuals) for one in f) for _, f in self.solved(many)])

    def solved(self, many: Float[np.ndarray, "trial number"]) -> list[_Parts]:
        """Weighted columns and best factors at several places; residuals are infinite where the model has no value."""
        axis = self._axis()
        with torch.no_grad():
            points = torch.from_numpy(many).repeat_interleave(len(axis), 0)
            unit = self._unit(points, axis.repeat(len(many))).reshape(-1, len(many), len(axis))
        return [self._eliminated(unit[:, number]) for number in range(len(many))]

    def fitted(self, numbers: _Numbers) -> "Fitted":
        """Curves, factors and the covariance of free numbers and factors together."""
        axis = self._axis()
        points = torch.from_numpy(numbers).repeat(len(axis), 1).requires_grad_()
        unit = self._unit(points, axis)
        columns, factors = self._eliminated(unit.detach())
        (gradient,) = torch.autograd.grad((unit * self._scales(factors)).sum(), points)
        models = [one.intensity + found.residuals * one.sigma for one, found in zip(self.curves, factors, strict=True)]
        deviance = sum(float(one.residuals @ one.residuals) for one in factors)
        return Fitted(self, numbers, models, factors, columns, self._weighted(gradient), deviance)

    def _eliminated(self, unit: Float[Tensor, "term point"]) -> _Parts:
        """Weighted columns and best factors of each curve."""
        shapes = torch.split(unit, [len(one.fine) for one in self.curves], dim=1)
        has_value = bool(torch.isfinite(unit).all())
        columns = [
            np.column_stack([one.smeared(np.nan_to_num(shape.numpy().T)), one.background]) / one.sigma[:, None]
            for one, shape in zip(self.curves, shapes, strict=True)
        ]
        terms = np.ones(len(self.model.terms), dtype=bool)
        factors = [
            eliminated(column, one.intensity / one.sigma, np.concatenate([terms, one.positive]))
            for one, column in zip(self.curves, columns, strict=True)
        ]
        if not has_value:
            factors = [replace(one, residuals=np.full(len(one.residuals), np.inf)) for one in factors]
        return columns, factors

    def _scales(self, factors: Sequence[Eliminated]) -> Float[Tensor, "term point"]:
        """Each term's factor at every point."""
        terms = len(self.model.terms)
        return torch.from_numpy(
            np.concatenate(
                [
                    np.repeat(one.factors[:terms, None], len(curve.fine), axis=1)
                    for one, curve in zip(factors, self.curves, strict=True)
                ],
                axis=1,
            )
        )

    def _weighted(self, slopes: Float[Tensor, "point number"]) -> list[np.ndarray]:
        """Derivatives of each curve by the free numbers, smeared and over sigma, with the factors held."""
        parts = torch.split(slopes, [len(one.fine) for one in self.curves])
        return [one.smeared(part.numpy()) / one.sigma[:, None] for one, part in zip(self.curves, parts, strict=True)]


@dataclass(frozen=True)
class Evaluated:
    """A trial of the search: see `physics.marquardt.Trial`."""

    numbers: _Numbers
    deviance: float
    slope: _Numbers
    normal: Float[np.ndarray, "number number"]


@dataclass(frozen=True)
class Fitted:
    """Where a search ended, with all that errors need."""

    problem: Problem
    numbers: _Numbers
    models: Sequence[np.ndarray]  # (q)
    factors: Sequence[Eliminated]
    columns: Sequence[np.ndarray]  # (q, column)
    slopes: Sequence[np.ndarray]  # (q, number)
    deviance: float

    @property
    def dof(self) -> int:
        """Points less everything that is free."""
        free = sum(int(one.free.sum()) for one in self.factors)
        return sum(len(one.q) for one in self.problem.curves) - len(self.numbers) - free

    def information(self) -> Float[np.ndarray, "number number"]:
        """Fisher information of the free numbers and, behind them, of every curve's factors."""
        widths = [column.shape[1] for column in self.columns]
        size = len(self.numbers)
        whole = np.zeros((size + sum(widths),) * 2)
        at = size
        for column, slopes, width in zip(self.columns, self.slopes, widths, strict=True):
            own = slice(at, at + width)
            whole[:size, :size] += slopes.T @ slopes
            whole[:size, own] = slopes.T @ column
            whole[own, :size] = whole[:size, own].T
            whole[own, own] = column.T @ column
            at += width
        return whole


def _off_the_ends(one: Parameter, value: float) -> float:
    """Keep a value from the ends of a range where its free number would be infinite."""
    margin = 1e-6 * (one.high - one.low)
    return min(max(value, one.low + margin), one.high - margin) if one.scale == "logit" else value
