"""Plan of a measurement: contrasts against energy, matches, errors by photons, energies and range of q."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.physics.atoms import dispersion_correction, edge_energies, edge_energy
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.plan.information import Derivatives, Particle, derivatives, standard_errors
from madpipe.saxs.plan.materials import densities, elements_of, matches, material_of
from madpipe.saxs.plan.records import EnergyRow, ErrorRow, MatchRow, SaxsPlan, SingleRow

BELOW = (300.0, 100.0, 50.0, 25.0, 16.0)  # of the edge, where no energies are told [eV]; nearer ones see neighbours
_NEAR_EDGE = 15.0  # within which f' and f'' of a sample differ from the table's [eV]
_AROUND, _EDGES = 400.0, (0.8, 1.25)  # matches are sought so near to edges [eV] between such multiples of the edge
_WEAK = 0.02  # contrast over the larger density of the two, below which a pair hardly shows
_UNDETERMINED = 0.1  # relative error


def plan(settings: PlanSettings) -> SaxsPlan:
    """Say what a measurement can determine of core-shell particles, by Cramer and Rao's bound.

    Parameters
    ----------
    settings:
        Particle, energies, photons and range of q.

    Raises
    ------
    InputError
        No formula or density; an element without the edge, or not in the core; energies or q out of order.

    Notes
    -----
    Poisson noise, flat backgrounds, scales, the core's density and one error of energy in doubt; f', f'' of the tables.
    Not included: errors of the tables, structure factors, smearing, another shape. No real fit goes below these errors.
    """
    particle, edge = _particle(settings)
    energy = _energies(settings, edge)
    made = derivatives(particle, energy)
    rows = tuple(_energy_rows(particle, energy))
    found = _matches(particle, edge)
    errors = tuple(_row(made, settings, many, made.q) for many in sorted(settings.photons))
    most = max(settings.photons)
    middle = math.sqrt(settings.q_min * settings.q_max)
    halves = (made.q[made.q <= middle], made.q[made.q >= middle])
    singles = tuple(_singles(made, energy, settings, most, errors[-1]))
    return SaxsPlan(
        core=particle.core.name,
        shell=particle.shell.name,
        solvent=particle.solvent.name,
        element=settings.element,
        edge_ev=edge,
        core_density=particle.core.density,
        shell_density=particle.shell.density,
        share=particle.core.share(settings.element),
        energies=rows,
        matches=found,
        errors=errors,
        ranges=tuple(_row(made, settings, most, part) for part in halves),
        singles=singles,
        verdict=tuple(_verdict(particle, rows, found, errors, singles, edge)),
    )


def _particle(settings: PlanSettings) -> tuple[Particle, float]:
    """The particle and the edge [eV], after a look at the settings."""
    core, shell, solvent = (material_of(one) for one in (settings.core, settings.shell, settings.solvent))
    if not core.atoms or not shell.atoms:
        raise InputError("plan: needs formulas of core and shell; an empty one came; give --core Ni3Fe --shell Ni.")
    try:
        edge = edge_energy(settings.element, settings.edge)
    except ValueError as error:
        raise InputError(f"plan: {error}.") from error
    if not 0 < core.share(settings.element) < 1:
        raise InputError(
            f"plan: needs {settings.element} with other elements in the core, whose share is wanted; {core.name} came; "
            f"choose another edge or core."
        )
    if settings.q_min >= settings.q_max:
        raise InputError(
            f"plan: needs q from low to high; {settings.q_min:g} to {settings.q_max:g}/angstrom came; exchange them."
        )
    return Particle(core, shell, solvent, settings.element, settings), edge


def _energies(settings: PlanSettings, edge: float) -> Float[Tensor, "energy"]:
    """Told energies, or some below the edge, rising."""
    chosen = settings.energies or tuple(edge - below for below in BELOW)
    if not all(0 < one < math.inf for one in (*chosen, *settings.photons)) or not settings.photons:
        raise InputError("plan: needs energies [eV] and photons above 0; another came; give 6900,7080 and 1e6,1e8.")
    energy = torch.tensor(sorted(chosen), dtype=torch.float64)
    try:
        dispersion_correction(settings.element, energy)
    except ValueError as error:
        raise InputError(f"plan: {error}.") from error
    return energy


def _energy_rows(particle: Particle, energy: Tensor) -> list[EnergyRow]:
    """f', f'' and contrasts at each energy."""
    both = particle.contrast(energy, particle.core.share(particle.element))
    between = densities([particle.core, particle.shell], energy)
    between = between[:, 0] - between[:, 1]
    own = dispersion_correction(particle.element, energy)
    columns = [energy, *own, both[:, 0].real, both[:, 1].real, between.real, between.imag]
    return [EnergyRow(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _matches(particle: Particle, edge: float) -> tuple[MatchRow, ...]:
    """Matches near every edge of the particle's elements within reach of the planned one."""
    pairs = [(particle.core, particle.shell)]
    if particle.solvent.atoms:
        pairs += [(particle.core, particle.solvent), (particle.shell, particle.solvent)]
    edges = [one for name in elements_of(*pairs[0]) for one in edge_energies(name).values()]
    near = sorted({one for one in edges if _EDGES[0] * edge <= one <= _EDGES[1] * edge})
    found: dict[tuple[str, float], MatchRow] = {}
    for first, second in pairs:
        for place in near:
            for row in matches(first, second, place - _AROUND, place + _AROUND):
                found[row.pair, round(row.energy_ev, 2)] = row
    return tuple(found.values())


def _row(made: Derivatives, settings: PlanSettings, photons: float, q: Tensor) -> ErrorRow:
    """Errors at so many photons for each energy, with the part of q."""
    within = (float(q.min()), float(q.max()))
    many = torch.full((len(made.expected),), photons, dtype=torch.float64)
    errors = standard_errors(made, settings, many, within).tolist()
    return ErrorRow(photons, len(made.expected), *within, *errors)


def _singles(
    made: Derivatives, energy: Tensor, settings: PlanSettings, photons: float, every: ErrorRow
) -> list[SingleRow]:
    """The photons of all energies spent at one of them: errors over those of all."""
    found = []
    for place, one in enumerate(energy.tolist()):
        alone = slice(place, place + 1)
        part = Derivatives(made.q, made.expected[alone], made.jacobian[alone], made.offset[alone])
        row = _row(part, settings, photons * len(energy), made.q)
        over = (row.core_radius / every.core_radius, row.thickness / every.thickness, row.share / every.share)
        found.append(SingleRow(one, *over))
    return found


def _verdict(
    particle: Particle,
    rows: tuple[EnergyRow, ...],
    found: tuple[MatchRow, ...],
    errors: tuple[ErrorRow, ...],
    singles: tuple[SingleRow, ...],
    edge: float,
) -> list[str]:
    """What a reader needs to know, a line each."""
    said = [
        f"{row.photons:.2g} photons at each of {row.energies} energies: core radius +- {row.core_radius:.2g} A, "
        f"shell +- {row.thickness:.2g} A, {particle.element} share +- {row.share:.2g}."
        for row in errors
    ]
    if len(rows) > 1:
        worse = [one.share for one in singles]
        said.append(
            f"The same photons at one energy: error of the {particle.element} share {min(worse):.2g} to "
            f"{max(worse):.2g} times as large."
        )
    said += [
        f"{one.pair} match at {one.energy_ev / 1e3:.4f} keV: real contrast 0, imaginary {one.left:.2g}e-6/A^2; one "
        f"percent of density moves it by {one.shift_ev:+.0f} eV."
        for one in found
    ]
    weak = [one for one in rows if abs(one.core_shell) < _WEAK * max(abs(one.core), abs(one.shell))]
    if weak:
        said.append(f"Core and shell hardly differ at {', '.join(f'{one.energy_ev:g}' for one in weak)} eV.")
    if any(abs(one.energy_ev - edge) < _NEAR_EDGE for one in rows):
        said.append(
            f"Within {_NEAR_EDGE:g} eV of the edge f', f'' of a sample differ from the table: measure a spectrum."
        )
    if errors[-1].share > _UNDETERMINED * particle.core.share(particle.element):
        said.append(f"The {particle.element} share stays undetermined: add photons, or energies nearer to the edge.")
    return said
