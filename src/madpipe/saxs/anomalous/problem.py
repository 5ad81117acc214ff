r"""An energy series and a particle: residuals, and their derivatives by all that is unknown.

.. math:: I_E(q) = \phi\, s_E\, W \frac{d\Sigma}{d\Omega}(q; c(E + \delta)) / \phi + b_E

The cross section is that of ``forward.cross_section`` with complex contrasts. :math:`\phi` and the backgrounds
:math:`b_E` are found exactly at each trial; lengths, shares, densities, :math:`\delta`, factors of f' and f'' and the
scales :math:`s_E` are moved, those that are in doubt with their priors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy.linalg import block_diag
from torch import Tensor

from madpipe.physics.scattering.distributions import Distribution
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.anomalous.dispersion import Dispersion
from madpipe.saxs.anomalous.sample import Sample
from madpipe.saxs.anomalous.unknowns import Unknowns
from madpipe.saxs.fit.elimination import Eliminated, eliminated, reduced
from madpipe.saxs.fit.problem import Evaluated, Measured
from madpipe.saxs.forward import cross_section
from madpipe.saxs.intensities import averages, largest_dimension
from madpipe.saxs.model import Term

_Numbers = Float[np.ndarray, "number"]


@dataclass(frozen=True)
class AnomalousProblem:
    """Curves that one particle explains at all energies.

    Attributes
    ----------
    curves:
        One at each energy.
    term:
        The particle's shape.
    distribution:
        Of the size that is spread.
    sample:
        What it is made of.
    dispersion:
        f' + i f'' at the curves' energies.
    tables:
        Elements whose f', f'' are in doubt.
    unknowns:
        What is moved, and values of the rest.
    """

    curves: Sequence[Measured]
    term: Term
    distribution: Distribution
    sample: Sample
    dispersion: Dispersion
    tables: tuple[str, ...]
    unknowns: Unknowns

    @cached_property
    def rows(self) -> list[slice]:
        """Each curve's rows among the residuals."""
        ends = np.cumsum([0, *(len(one.q) for one in self.curves)])
        return [slice(int(first), int(last)) for first, last in pairwise(ends)]

    @cached_property
    def data(self) -> Float[np.ndarray, "row"]:
        """All intensities over sigma."""
        return np.concatenate([one.intensity / one.sigma for one in self.curves])

    @cached_property
    def background(self) -> Float[np.ndarray, "row column"]:
        """Columns of all backgrounds over sigma, each 0 outside its curve."""
        return np.asarray(block_diag(*(one.background / one.sigma[:, None] for one in self.curves)))

    @cached_property
    def positive(self) -> np.ndarray:
        """Factors that must not be negative: phi, and powers of q."""
        return np.concatenate([[True], *(one.positive for one in self.curves)])

    @cached_property
    def _alike(self) -> list[list[int]]:
        """Curves by their fine axes."""
        known: dict[bytes, list[int]] = {}
        for place, one in enumerate(self.curves):
            known.setdefault(one.fine.numpy().tobytes(), []).append(place)
        return list(known.values())

    def evaluated(self, numbers: _Numbers) -> Evaluated:
        """Evaluate the fit and its derivatives at some free numbers."""
        found = self.fitted(numbers)
        slope, normal = reduced(found.slopes, found.columns[:, found.factors.free], found.factors.residuals)
        off, steps = self.unknowns.prior(numbers)
        return Evaluated(numbers, found.deviance, slope + off * steps, normal + np.diag(steps**2))

    def fitted(self, numbers: _Numbers) -> "FittedSeries":
        """Curves, factors, and derivatives of the weighted curves with the factors held."""
        curves = self._unit(numbers)
        columns = np.column_stack([np.concatenate([one[:, -1] for one in curves]), self.background])
        factors = eliminated(columns, self.data, self.positive)
        slopes = factors.factors[0] * np.concatenate([one[:, :-1] for one in curves])
        off, _ = self.unknowns.prior(numbers)
        return FittedSeries(
            self, numbers, factors, columns, slopes, float(factors.residuals @ factors.residuals + off @ off)
        )

    def roughly(self, doubt: float) -> "AnomalousProblem":
        """Lengths and shares alone, for curves with a relative error more in place of all doubts."""
        curves = [replace(one, sigma=np.hypot(one.sigma, doubt * np.abs(one.intensity))) for one in self.curves]
        return replace(self, curves=curves, unknowns=self.unknowns.without_doubts())

    def contrasts(self, numbers: Float[Tensor, "number"], about: float) -> Complex[Tensor, "energy region"]:
        """Contrasts at the curves' energies; f' and f'' are straight lines about an offset [eV]."""
        value, slope = (torch.from_numpy(one) for one in self.dispersion.at(about))
        moved = self.unknowns.of_kind("offset", numbers)[0] - about
        return self.contrasts_of(numbers, value + slope * moved)

    def factors_used(
        self, numbers: Float[Tensor, "number"], dispersion: Complex[Tensor, "some element"]
    ) -> Complex[Tensor, "some element"]:
        """f' + i f'' times what the fit makes of the tables' errors [electron]."""
        factors = self.unknowns.of_kind("table", numbers)
        columns = list(dispersion.unbind(1))
        for place, element in enumerate(self.tables):
            own = self.sample.elements.index(element)
            columns[own] = torch.complex(
                columns[own].real * factors[2 * place], columns[own].imag * factors[2 * place + 1]
            )
        return torch.stack(columns, dim=1)

    def contrasts_of(
        self, numbers: Float[Tensor, "number"], dispersion: Complex[Tensor, "some element"]
    ) -> Complex[Tensor, "some region"]:
        """Contrasts [1e-6/angstrom^2] for f' + i f'' of the tables [electron]."""
        shares, densities = (self.unknowns.of_kind(kind, numbers) for kind in ("share", "density"))
        return self.sample.contrasts(shares, densities, self.factors_used(numbers, dispersion))

    def _unit(self, numbers: _Numbers) -> list[Float[np.ndarray, "q column"]]:
        """Weighted curves for phi of 1, each behind its derivatives by the free numbers."""
        moved = torch.from_numpy(numbers)
        about = float(self.unknowns.of_kind("offset", moved)[0])
        contrasts, by_numbers = self._contrasts(moved, about)
        scales, by_scales = self._scales(numbers)
        found: list[np.ndarray] = [np.zeros(0)] * len(self.curves)
        for places in self._alike:
            averages = self._averages(self.curves[places[0]].fine, moved)
            for place, unit in zip(
                places, _with_slopes(averages, contrasts[places], by_numbers[:, places]), strict=True
            ):
                whole = scales[place] * unit.numpy()
                whole[:, :-1] += unit[:, -1:].numpy() * by_scales[place]
                found[place] = self.curves[place].smeared(whole) / self.curves[place].sigma[:, None]
        return found

    def _contrasts(
        self, numbers: Float[Tensor, "number"], about: float
    ) -> tuple[Complex[Tensor, "energy region"], Complex[Tensor, "number energy region"]]:
        """Contrasts, and their derivatives by the free numbers."""
        jacobian = torch.autograd.functional.jacobian(
            lambda one: torch.view_as_real(self.contrasts(one, about)), numbers
        )
        return self.contrasts(numbers, about), torch.view_as_complex(jacobian.movedim(-1, 0).contiguous())

    def _scales(self, numbers: _Numbers) -> tuple[Float[np.ndarray, "curve"], Float[np.ndarray, "curve number"]]:
        """Scales of the curves, and their derivatives by the free numbers."""
        names, steps = self.unknowns.every["scale"], self.unknowns.slopes(numbers)
        by_numbers = np.zeros((len(names), len(numbers)))
        for place, one in enumerate(self.unknowns.moved):
            if one.kind == "scale":
                by_numbers[names.index(one.name), place] = steps[place]
        return self.unknowns.of_kind("scale", torch.from_numpy(numbers)).numpy(), by_numbers

    def _averages(self, q: Float[Tensor, "point"], numbers: Float[Tensor, "number"]) -> tuple[Tensor, ...]:
        """Products of amplitudes [angstrom^6] and volume [angstrom^3] at each point, and derivatives of both."""
        points = numbers.repeat(len(q), 1).requires_grad_()
        gram, volume = self.averages(q, points)
        region = gram.shape[-1]
        by_gram = torch.zeros(*gram.shape, len(numbers), dtype=q.dtype)
        for first in range(region):
            for second in range(first, region):
                by_gram[:, first, second] = by_gram[:, second, first] = _by(gram[:, first, second], points)
        return gram.detach(), volume.detach(), by_gram, _by(volume, points)

    def averages(
        self, q: Float[Tensor, "point"], points: Float[Tensor, "point number"]
    ) -> tuple[Float[Tensor, "point region region"], Float[Tensor, "point"]]:
        """Products of the regions' amplitudes [angstrom^6] and volume of the particle [angstrom^3], over sizes."""
        shape = self.term.shape
        if not isinstance(shape, FormFactor):
            raise TypeError("a shape with regions is required; an empirical law came; choose another model")
        values = self.unknowns.of_kind("shape", points.T)
        lengths = values[: len(shape.lengths)].T
        width = None if self.term.spread is None else values[len(shape.lengths)]
        gram, _, volume = averages(shape, self.term.spread, q, lengths, width, self.distribution)
        return gram, volume

    def largest(self, numbers: _Numbers) -> float:
        """Largest dimension of the particles, those of the distribution's upper end included [angstrom]."""
        shape, values = self.term.shape, self.unknowns.of_kind("shape", torch.from_numpy(numbers))
        if not isinstance(shape, FormFactor) or shape.is_sheet:
            return 0.0
        count = len(shape.lengths)
        width = 0.0 if self.term.spread is None else float(values[count])
        return largest_dimension(shape, values[:count], width, deviations=2.0)


def _by(values: Float[Tensor, "point"], points: Float[Tensor, "point number"]) -> Float[Tensor, "point number"]:
    """Derivatives at every point by its own numbers, in one backward pass."""
    (found,) = torch.autograd.grad(values.sum(), points, retain_graph=True, allow_unused=True, materialize_grads=True)
    return found


def _with_slopes(
    averages: tuple[Tensor, ...],
    contrasts: Complex[Tensor, "energy region"],
    by_numbers: Complex[Tensor, "number energy region"],
) -> Float[Tensor, "energy point column"]:
    """Cross sections for phi of 1, each behind its derivatives by the free numbers: one backward pass at points."""
    gram, volume, by_gram, by_volume = averages
    energies, points = len(contrasts), len(volume)
    at_gram = gram.expand(energies, *gram.shape).clone().requires_grad_()
    at_volume = volume.expand(energies, points).clone().requires_grad_()
    at_contrast = contrasts[:, None].repeat(1, points, 1).requires_grad_()
    mean = gram.new_zeros(energies, points, gram.shape[-1])  # of use only where places are ordered
    whole = cross_section(at_gram, mean, at_volume, at_contrast)
    of_gram, of_volume, of_contrast = torch.autograd.grad(whole.sum(), (at_gram, at_volume, at_contrast))
    columns = (
        torch.einsum("epkl,pkln->epn", of_gram, by_gram)
        + of_volume[..., None] * by_volume
        + torch.einsum("epk,nek->epn", of_contrast.conj(), by_numbers).real
    )
    return torch.cat([columns, whole.detach()[..., None]], dim=-1)


@dataclass(frozen=True)
class FittedSeries:
    """The particle at some free numbers, with all that errors need."""

    problem: AnomalousProblem
    numbers: _Numbers
    factors: Eliminated
    columns: Float[np.ndarray, "row column"]
    slopes: Float[np.ndarray, "row number"]
    deviance: float  # that of the priors included

    @property
    def models(self) -> list[Float[np.ndarray, "q"]]:
        """Smeared curves with their backgrounds [1/cm]."""
        weighted = self.problem.data + self.factors.residuals
        return [weighted[own] * one.sigma for own, one in zip(self.problem.rows, self.problem.curves, strict=True)]

    @property
    def dof(self) -> int:
        """Points less everything that the data alone determine: a prior counts as a point."""
        alone = sum(one.prior is None for one in self.problem.unknowns.moved)
        return len(self.problem.data) - alone - int(self.factors.free.sum())

    def information(self) -> Float[np.ndarray, "all all"]:
        """Fisher information of the free numbers, priors included, and, behind them, phi and the backgrounds."""
        both = np.column_stack([self.slopes, self.columns])
        whole: np.ndarray = both.T @ both
        count = len(self.numbers)
        whole[:count, :count] += np.diag(self.problem.unknowns.prior(self.numbers)[1] ** 2)
        return whole
