"""Fit of a model to an energy series: sizes and compositions, with energies, tables and scales in doubt."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import torch

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.atoms import edge_energies
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.anomalous.answer import error_scale, longest_runs, quantities, rivals, verdict
from madpipe.saxs.anomalous.dispersion import Dispersion, Spectrum
from madpipe.saxs.anomalous.matches import axis_of, matches
from madpipe.saxs.anomalous.partial import partial_terms
from madpipe.saxs.anomalous.problem import AnomalousProblem, FittedSeries
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.anomalous.sample import sample_of
from madpipe.saxs.anomalous.search import FoundSeries, refined, search
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.anomalous.starts import Start, library
from madpipe.saxs.anomalous.unknowns import unknowns_of
from madpipe.saxs.fit.measured import Prepared
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.model import Term, model_named

_REACHED = 500.0  # of an edge, within which an element's f' and f'' are in doubt [eV]
_NEAR = 15.0  # of an edge, within which neighbours change f' and f'' from the table's [eV]
_COARSE = 30.0  # of the largest dimension: the library's curves need no oscillations
_MARGIN = 1.5  # over a particle's size, by which it may grow in a search
_ROUNDS = 4  # of searches, each on a fine axis that the one before asks for
_REACH = 6.0  # standard deviations of the offset that bound it


@warned.keeping
def fit_anomalous(
    curves: Curves,
    config: AnomalousFitConfig,
    seed: int,
    spectra: Mapping[str, Spectrum] | None = None,
    starts: Sequence[Start] = (),
) -> AnomalousFit:
    """Fit a particle to an energy series.

    Parameters
    ----------
    curves:
        At two photon energies or more.
    config:
        Particle, priors, search.
    seed:
        Of the particles that are drawn to begin with.
    spectra:
        Measured absorption spectra by element, whose f', f'' then replace the table's.
    starts:
        Values of lengths and shares to begin with, before the drawn ones.

    Raises
    ------
    InputError
        No energies; no such model, material or share; energies outside a table; too few points; no errors.
    """
    task = _Task(curves, config, spectra or {})
    problem, found = task.searched(seed, starts)
    fitted = problem.fitted(found.best.numbers)
    _warn_near_edges(problem, spectra or {})
    return _record(curves, config, fitted, found)


def anomalous_problem(
    curves: Curves, config: AnomalousFitConfig, largest: float, spectra: Mapping[str, Spectrum] | None = None
) -> AnomalousProblem:
    """Make the problem that a fit solves, for particles of at most a size [angstrom]: of use for bounds of errors.

    Raises
    ------
    InputError
        As of :func:`fit_anomalous`.
    """
    return _Task(curves, config, spectra or {}).problem(largest)


class _Task:
    """What every search of a fit shares."""

    def __init__(self, curves: Curves, config: AnomalousFitConfig, spectra: Mapping[str, Spectrum]) -> None:
        energy = _energies(curves)
        self.config, self.term = config, _term(config)
        self.sample = sample_of(self.term.regions, config.materials, config.solvent, config.shares)
        own = SaxsFitConfig(
            background=config.background,
            power=config.power,
            q_min=config.q_min,
            q_max=config.q_max,
            smear=config.smear,
        )
        self.prepared = Prepared(curves, own)
        try:
            self.dispersion = Dispersion(self.sample.elements, energy, config.offset, spectra)
            self.tables = _in_doubt(self.sample.elements, energy, config)
        except ValueError as error:
            raise InputError(f"energy series: {error}.") from error
        reach = _REACH * config.offset
        self.unknowns = unknowns_of(self.term, self.sample, self.tables, len(energy), reach, config)

    def problem(self, largest: float) -> AnomalousProblem:
        """The problem for particles of at most a size [angstrom]."""
        curves = [self.prepared.measured(number, largest) for number in range(len(self.dispersion.energy))]
        return AnomalousProblem(
            curves,
            self.term,
            self.config.distribution,
            self.sample,
            self.dispersion,
            self.tables,
            self.unknowns,
        )

    def searched(self, seed: int, given: Sequence[Start]) -> tuple[AnomalousProblem, FoundSeries]:
        """Search; the fine axis follows the particles' size."""
        config = self.config
        problem = self.problem(self.prepared.largest / _COARSE)
        drawn = _apart(library(problem, config.library, seed), config.starts)
        begun = [*given, *drawn][: max(config.starts, len(given))]
        sizes = [problem.largest(problem.unknowns.numbers(one)) for one in begun[:3]]
        problem = self.problem(_MARGIN * max(sizes))
        found = search(problem, begun, config.evaluations)
        for _ in range(_ROUNDS if self.prepared.is_smeared else 0):
            wanted = self.problem(_MARGIN * problem.largest(found.best.numbers))
            if len(wanted.curves[0].fine) <= len(problem.curves[0].fine):
                break
            best = problem.unknowns.natural(found.best.numbers)
            problem, before = wanted, found
            found = FoundSeries(refined(problem, best, config.evaluations), before.others, before.starts + 1)
        return problem, found


def _energies(curves: Curves) -> np.ndarray:
    """Photon energies, after a look at them."""
    count = 0 if curves.energy is None else len(np.unique(curves.energy))
    if curves.energy is None or count < 2:
        raise InputError(
            f"{curves.title}: needs curves at two photon energies or more; {count} came; give their energies, or use "
            "the fit of single curves."
        )
    energy = np.asarray(curves.energy, dtype=np.float64)
    if not (np.isfinite(energy) & (energy > 0)).all():
        raise InputError(f"{curves.title}: needs photon energies above 0 eV; another came; correct them.")
    return energy


def _term(config: AnomalousFitConfig) -> Term:
    """The particle's shape."""
    model = model_named(config.model, None if config.spread == "none" else config.spread)
    term = model.terms[0]
    if len(model.terms) > 1 or term.structure is not None or not isinstance(term.shape, FormFactor):
        raise InputError(
            f"{config.model}: an energy series needs one shape that has regions, without a structure factor; choose "
            "core_shell_sphere or another such shape."
        )
    return term


def _in_doubt(elements: Sequence[str], energy: np.ndarray, config: AnomalousFitConfig) -> tuple[str, ...]:
    """Elements whose f' and f'' are in doubt."""
    if strange := [name for name in config.tables if name not in elements]:
        raise InputError(f"tables: needs elements of {', '.join(elements)}; {strange[0]} came; leave it out.")
    return config.tables or tuple(name for name in elements if _nearest_edge(name, energy) < _REACHED)


def _nearest_edge(element: str, energy: np.ndarray) -> float:
    """Distance of the energies from an element's edges [eV]."""
    edges = np.array(list(edge_energies(element).values()))
    return float(np.abs(energy[:, None] - edges).min()) if len(edges) else np.inf


def _apart(drawn: Sequence[Start], count: int, factor: float = 1.15) -> list[Start]:
    """Leave out starts that are nearly one that went before."""
    taken: list[Start] = []
    for one in islice(drawn, 50 * count):
        near = (all(abs(one[k] - other[k]) < (factor - 1) * abs(one[k]) for k in one) for other in taken)
        if not any(near):
            taken.append(one)
        if len(taken) == count:
            break
    return taken


def _warn_near_edges(problem: AnomalousProblem, spectra: Mapping[str, Spectrum]) -> None:
    """Say where the tables are not to be believed."""
    for element in problem.sample.elements:
        distances = [_nearest_edge(element, np.array([one])) for one in problem.dispersion.energy]
        near = sum(one < _NEAR for one in distances)
        if near and element not in spectra:
            warned.warn(
                f"energy series: {near} energies lie within {_NEAR:g} eV of an edge of {element}, where f' and f'' of "
                "a sample differ from the table: give its spectrum, leave them out, or let the table be in more doubt."
            )


def _record(curves: Curves, config: AnomalousFitConfig, fitted: FittedSeries, found: FoundSeries) -> AnomalousFit:
    """Put the answer into a record."""
    problem, numbers = fitted.problem, torch.from_numpy(fitted.numbers)
    told = quantities(fitted, bool(curves.absolute))
    calculated, sigma = np.full(curves.intensity.shape, np.nan), np.full(curves.intensity.shape, np.inf)
    for row, (one, model) in enumerate(zip(problem.curves, fitted.models, strict=True)):
        calculated[row, one.rows], sigma[row, one.rows] = model, one.sigma
    words, explained = verdict(fitted, told)
    offset = float(problem.unknowns.of_kind("offset", numbers)[0])
    used = problem.factors_used(numbers, torch.from_numpy(problem.dispersion.at(offset)[0])).numpy()
    axis = axis_of(problem)
    pairs, energies = matches(problem, fitted.numbers, told.moved, axis)
    scales = [told.names.index(name) for name in problem.unknowns.every["scale"]]
    materials = [*(config.materials[name] for name in problem.sample.regions), config.solvent or "vacuum"]
    residuals = [fitted.factors.residuals[own] for own in problem.rows]
    return AnomalousFit(
        q=curves.q,
        intensity=curves.intensity,
        sigma=sigma,
        calculated=calculated,
        energy=problem.dispersion.energy,
        curve_names=curves.names,
        model=config.model,
        materials="\n".join(materials),
        names="\n".join(told.names),
        units="\n".join(told.units),
        values=told.values,
        errors=told.errors,
        quantiles=told.quantiles,
        states=told.states,
        priors=told.priors,
        covariance=told.covariance,
        scales=np.stack([told.values[scales], told.errors[scales]], axis=1),
        elements="\n".join(problem.sample.elements),
        f_prime=used.real,
        f_double_prime=used.imag,
        doubted="\n".join(problem.tables),
        partials=_partials(fitted, len(curves.q)),
        regions="\n".join(problem.sample.regions),
        contrast=_split(problem.contrasts(numbers, offset)),
        axis=axis,
        along=_split(problem.contrasts_of(numbers, torch.from_numpy(problem.dispersion.exactly(axis)))),
        match_pairs="\n".join(pairs),
        matches=energies,
        chi2=fitted.deviance / max(fitted.dof, 1),
        degrees_of_freedom=fitted.dof,
        chi2_of_curves=np.array([float(one @ one) / len(one) for one in residuals]),
        longest_run=np.array(longest_runs(fitted)),
        error_scale=error_scale(fitted),
        starts=found.starts,
        explained=int(explained),
        verdict=words,
        rivals="\n".join(rivals(problem, found)),
        warnings=warned.kept(curves.warnings),
    )


def _partials(fitted: FittedSeries, points: int) -> np.ndarray:
    """Partial intensities of each element near an edge, on the record's q."""
    problem, first = fitted.problem, fitted.problem.curves[0]
    found = np.full((len(problem.tables), points, 4), np.nan)
    for place, element in enumerate(problem.tables):
        terms = partial_terms(problem, fitted.numbers, element)
        found[place, first.rows] = fitted.factors.factors[0] * first.smeared(terms.numpy())
    return found


def _split(contrasts: torch.Tensor) -> np.ndarray:
    """Real and imaginary parts along a last axis."""
    found: np.ndarray = torch.view_as_real(contrasts.resolve_conj()).numpy()
    return found
