r"""Partial intensities of a resonant element from an energy series, with energies, tables and scales in doubt.

.. math:: I_E(q) = s_E\, a_E(\delta, \alpha, \beta) \cdot x(q) + b_E, \quad
          r_E = [(1 + \alpha) f'(E + \delta) + i (1 + \beta) f''(E + \delta)] / Z

x(q) is free at each q and eliminated (variable projection, Kaufman's derivatives); the few numbers that all q share
have Gaussian priors and are found together. Their errors are part of those of x. Schwarz's inequality bounds x within
the search, but not the errors: they are those of the free fit, so an upper limit where the inequality binds.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.atoms import atomic_number, dispersion_correction, edge_energies
from madpipe.physics.scattering.contrast import design_matrix
from madpipe.physics.scattering.separation import Separated, separate
from madpipe.saxs.config_separation import SeparationSettings
from madpipe.saxs.records_separation import Separation

_STEPS_MOST, _HALVINGS = 40, 12
_LEAST_GAIN = 1e-5  # of the deviance: a hundredth of a standard deviation is 1e-4
_STEPS = (0.05, 1e-4, 1e-4)  # of the differences that give slopes: in energy [eV], of f' and f'' [1]
_NEAR = 15.0  # of an edge, within which neighbours change f' and f'' from the table's [eV]
_CHANCE = 4.0  # standard deviations of chi-square that noise alone does not make


@dataclass(frozen=True)
class _Problem:
    """Curves and priors; the shared numbers come in standard deviations of their priors."""

    intensity: np.ndarray  # (energy, q)
    sigma: np.ndarray
    energy: np.ndarray
    element: str
    settings: SeparationSettings

    @cached_property
    def layout(self) -> list[tuple[str, float]]:
        """Kind and prior standard deviation of each shared number."""
        energies, chosen = len(self.energy), self.settings
        kinds = [("offset", chosen.offset), ("first", chosen.table), ("second", chosen.table)]
        kinds += [("scale", chosen.scale)] * energies + [("background", chosen.background)] * energies
        return kinds

    @cached_property
    def free(self) -> np.ndarray:
        """Which of them are in doubt."""
        return np.array([sigma > 0 for _, sigma in self.layout])

    def full(self, numbers: np.ndarray) -> np.ndarray:
        """All shared values, in their units, those without doubt 0."""
        values = np.zeros(len(self.layout))
        values[self.free] = numbers * np.array([sigma for _, sigma in self.layout])[self.free]
        return values

    def ratio(self, values: np.ndarray) -> np.ndarray:
        """R at each energy."""
        energy = torch.from_numpy(self.energy + values[0])
        first, second = (part.numpy() for part in dispersion_correction(self.element, energy))
        found: np.ndarray = ((1 + values[1]) * first + 1j * (1 + values[2]) * second) / atomic_number(self.element)
        return found

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Design matrix without the scales."""
        terms = 4 if self.settings.imaginary else 3
        made: np.ndarray = design_matrix(torch.from_numpy(self.ratio(values))).numpy()
        return made[:, :terms]

    def scales(self, values: np.ndarray) -> np.ndarray:
        """S at each energy."""
        found: np.ndarray = np.exp(values[3 : 3 + len(self.energy)])
        return found


class _Trial:
    """What the search knows of one set of shared numbers."""

    def __init__(self, problem: _Problem, numbers: np.ndarray) -> None:
        self.problem, self.numbers = problem, numbers
        self.values = problem.full(numbers)
        self.rows, self.scales = problem.rows(self.values), problem.scales(self.values)
        background = self.values[3 + len(self.scales) :, None]
        self.found: Separated = separate(
            problem.intensity - background, problem.sigma, self.scales[:, None] * self.rows
        )
        self.deviance = float(np.square(self.found.residual).sum() + np.square(numbers).sum())

    @cached_property
    def raw(self) -> np.ndarray:
        """Derivatives of the expected curves over sigma by the shared numbers, the terms fixed (q, energy, number)."""
        problem, energies = self.problem, len(self.scales)
        made = np.zeros((len(self.found.terms), energies, len(problem.layout)))
        expected = self.found.terms @ (self.scales[:, None] * self.rows).T
        for place in (place for place in range(3) if problem.free[place]):
            step = _STEPS[place]
            change = np.zeros(len(self.values))
            change[place] = step
            slope = (problem.rows(self.values + change) - problem.rows(self.values - change)) / (2 * step)
            made[:, :, place] = self.found.terms @ (self.scales[:, None] * slope).T
        for place in range(energies):
            made[:, place, 3 + place] = expected[:, place]
            made[:, place, 3 + energies + place] = 1.0
        made *= np.array([sigma for _, sigma in problem.layout]) / problem.sigma.T[:, :, None]
        found: np.ndarray = made[:, :, problem.free]
        return found

    @cached_property
    def slope(self) -> np.ndarray:
        """Half the gradient of the deviance; the terms being best, only the shared numbers' own change counts."""
        back: np.ndarray = self.numbers - np.einsum("qen,qe->n", self.raw, self.found.residual)
        return back

    @cached_property
    def free_normal(self) -> np.ndarray:
        """Normal equations of the shared numbers with their priors, all terms free."""
        weighted, raw = self.found.weighted, self.raw
        left = raw - weighted @ (self.found.covariance @ (weighted.transpose(0, 2, 1) @ raw))
        made: np.ndarray = np.einsum("qen,qem->nm", left, left) + np.eye(len(self.numbers))
        return made

    @cached_property
    def normal(self) -> np.ndarray:
        """The same where bounded terms move along the cone's surface alone."""
        bounded, terms = self.found.bounded, self.found.terms[self.found.bounded]
        across = np.concatenate([terms[:, 1::-1], -2 * terms[:, 2:]], 1)  # gradient of x0 x1 - x2^2 - x3^2
        size = np.square(across).sum(1)[:, None, None]
        keep = np.eye(terms.shape[1]) - across[:, :, None] * across[:, None] / np.where(size > 0, size, 1.0)
        weighted = self.found.weighted.copy()
        weighted[bounded] = weighted[bounded] @ np.where(size > 0, keep, 0.0)
        left = self.raw - weighted @ (np.linalg.pinv(weighted, rcond=1e-10) @ self.raw)
        made: np.ndarray = np.einsum("qen,qem->nm", left, left) + np.eye(len(self.numbers))
        return made


@warned.keeping
def separate_series(curves: Curves, settings: SeparationSettings) -> Separation:
    """Separate an energy series into partial intensities of one resonant element, at each q on its own.

    Parameters
    ----------
    curves:
        At three energies or more (four with a complex cross term); sigma infinite where a point was not measured.
    settings:
        Element and priors.

    Returns
    -------
    :
        Terms with the covariance of noise and shared numbers together. Where Schwarz's inequality bounds them the
        covariance is that without it, an upper limit.

    Raises
    ------
    InputError
        No energies, too few, or no scale of errors; an energy outside the element's table; a q that too few measured.
    """
    problem = _problem(curves, settings)
    try:
        best = _search(problem)
    except ValueError as error:
        raise InputError(f"separation: {error}.") from error
    return _record(curves, problem, best)


def _search(problem: _Problem) -> _Trial:
    """Best shared numbers: steps of Gauss and Newton, halved until they help."""
    here = _Trial(problem, np.zeros(int(problem.free.sum())))
    for _ in range(_STEPS_MOST if problem.free.any() else 0):
        step = -np.linalg.solve(here.normal, here.slope)
        for _ in range(_HALVINGS):
            trial = _Trial(problem, here.numbers + step)
            if trial.deviance < here.deviance:
                break
            step = step / 2
        gain = here.deviance - trial.deviance
        here = trial if gain > 0 else here
        if gain < _LEAST_GAIN:
            break
    return here


def _problem(curves: Curves, settings: SeparationSettings) -> _Problem:
    """Curves as they are fitted, after a look at them."""
    terms = 4 if settings.imaginary else 3
    energies = 0 if curves.energy is None else len(np.unique(curves.energy))
    if curves.energy is None or energies < terms:
        raise InputError(
            f"separation: needs curves at {terms} photon energies or more; {energies} came; add some, or fit a model."
        )
    if not bool((curves.sigma > 0).all()):
        raise InputError("separation: needs a sigma above 0 of each point; another came; estimate errors first.")
    return _Problem(curves.intensity, curves.sigma, curves.energy, settings.element, settings)


def _record(curves: Curves, problem: _Problem, best: _Trial) -> Separation:
    """What was found, with errors."""
    found, energies = best.found, len(problem.energy)
    shared = np.linalg.inv(best.free_normal)
    pulled = found.covariance @ (found.weighted.transpose(0, 2, 1) @ best.raw)
    covariance = found.covariance + pulled @ shared @ pulled.transpose(0, 2, 1)
    sigmas = np.array([sigma for _, sigma in problem.layout])
    errors = np.zeros(len(sigmas))
    errors[problem.free] = np.sqrt(np.diag(shared)) * sigmas[problem.free]
    both = np.stack([best.values, errors], 1)
    scale = np.stack([best.scales, best.scales * errors[3 : 3 + energies]], 1)
    freedom = int(np.isfinite(problem.sigma).sum() - found.terms.size + found.bounded.sum())
    chi2 = best.deviance / max(freedom, 1)
    explains = freedom > 0 and abs(chi2 - 1) < _CHANCE * np.sqrt(2 / freedom)
    ratio = problem.ratio(best.values)
    _say(problem, best.numbers, chi2, freedom)
    return Separation(
        q=curves.q,
        terms=found.terms,
        covariance=covariance,
        bounded=found.bounded.astype(int),
        element=problem.element,
        energy=problem.energy,
        ratio=np.stack([ratio.real, ratio.imag], 1),
        offset=both[0],
        table=both[1:3],
        scale=scale,
        background=both[3 + energies :],
        chi2=chi2,
        freedom=freedom,
        explains=int(explains),
    )


def _say(problem: _Problem, numbers: np.ndarray, chi2: float, freedom: int) -> None:
    """Say what a reader must know before believing it."""
    off = 0.0 if freedom <= 0 else (chi2 - 1) / np.sqrt(2 / freedom)
    if off > _CHANCE:
        warned.warn(
            f"separation: chi2 {chi2:.3g} per degree of freedom: partial intensities do not explain the curves."
        )
    if off < -_CHANCE:
        warned.warn(f"separation: chi2 {chi2:.3g} per degree of freedom: the errors of the curves are too large.")
    if numbers.size and np.abs(numbers).max() > _CHANCE:
        warned.warn(
            f"separation: an energy, table, scale or background is {np.abs(numbers).max():.1f} standard deviations "
            f"of its prior off: check it, or widen the prior."
        )
    edges = np.array(list(edge_energies(problem.element).values()))
    near = np.abs(problem.energy[:, None] - edges).min(1) < _NEAR
    if near.any():
        warned.warn(
            f"separation: {int(near.sum())} energies lie within {_NEAR:g} eV of an edge of {problem.element}, where f' "
            f"and f'' of a sample differ from the table: leave them out, or let the table be in more doubt."
        )
