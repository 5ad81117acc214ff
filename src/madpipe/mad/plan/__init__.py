"""Does the experiment determine it? Expected errors of chosen photon energies before any photon is spent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.anomalous import is_near_edge
from madpipe.mad.forward import design_matrix, dispersion_ratio
from madpipe.mad.measured.energies import energies_in_ev
from madpipe.mad.plan.atom import Atom, atom_of, least_certain, table_error, uncertainty
from madpipe.mad.plan.errors import (
    QUANTITIES,
    Contributions,
    contributions,
    expected_errors,
    hand_distance,
    points_of_unit_brightness,
)
from madpipe.mad.plan.records import EnergyRow, ErrorRow, HandRow, Plan
from madpipe.mad.plan.search import FEWEST, best_energies, candidates, f_normal_error
from madpipe.mad.plan.words import verdict_of

__all__ = ["Atom", "Plan", "atom_of", "best_energies", "plan"]

PHOTONS = (1e2, 1e3, 1e4, 1e5)
_CURVE = 12  # energies; the curve of errors ends there, or at the number asked for
_BUDGET = 1e4  # photons per point and energy, where no budget is given
_REACH = 60.0  # eV to either side of the edge that energies are sought in
_SIGMAS = 3.0  # standard deviations that decide the hand
_UNKNOWNS = ("|F_T|^2", "|F_A|^2", "|F_T||F_A| cos Delta_phi", "|F_T||F_A| sin Delta_phi")
_SINGULAR = 1e-10  # of the largest eigenvalue of the normalised normal matrix; below, rounding


def plan(
    element: str,
    edge: str,
    energies_ev: Sequence[float],
    photons: Sequence[float] = PHOTONS,
    q: float = 3.09,
    spectrum: str | Path | None = None,
    range_ev: Sequence[float] | None = None,
    count: int | None = None,
    budget: float | None = None,
    step_ev: float = 1.0,
    robust: bool = True,
) -> Plan:
    r"""Say what energies can determine at so many photons, and which energies would serve \|F_N\| better.

    Parameters
    ----------
    element, edge:
        Resonant element and absorption edge.
    energies_ev:
        Photon energies of the experiment [eV]; one that comes twice is measured twice as long. Energies that lie at
        the edge in keV, J or as wavelengths alone are taken so, saying it (:func:`energies_in_ev`).
    photons:
        Per point and energy, averaged over the energies [photon].
    q:
        True momentum transfer \|Q\| of the Bragg peak, which f0 is taken at [1/angstrom].
    spectrum:
        Absorption spectrum of the sample instead of Chantler's table.
    range_ev, step_ev:
        Where better energies are sought, from low to high; 60 eV to either side of the edge if left out [eV].
    count:
        How many; as many as given, three at least, if left out.
    budget:
        Photons of a point over all energies together; 1e4 per given energy if left out. Only with ``robust`` does
        the choice depend on it.
    robust:
        Whether the search counts the error from f', f'' in doubt beside that of the photons.

    Returns
    -------
    :
        Errors over points with \|F_A\|/\|F_T\| evenly in 0.6 .. 1.1, any Delta_phi.

    Raises
    ------
    InputError
        Whatever leaves no plan: unknown element or edge, no energies or none at the edge, photons or budget not above
        zero, a range without a choice.

    Notes
    -----
    Poisson noise alone, no background, no nuisance but f', f''. The bound is a lower limit: below some 100 photons no
    per-point estimate reaches it. The error from doubt is first order in it: within a factor of two of a fit with the
    table to data made with a nickel foil's f', f''.
    """
    atom = atom_of(element, edge, q, spectrum)
    energy = _checked(energies_ev, photons, budget, atom)
    unit = points_of_unit_brightness(atom, energy)
    parts = contributions(atom, energy, unit)
    low, high = _range(atom, range_ev)
    count = max(FEWEST, len(energy)) if count is None else count
    budget = _BUDGET * len(energy) if budget is None else budget
    most = min(_CURVE, len(candidates(low, high, step_ev)))
    given = [f_normal_error(parts, budget, systematic) for systematic in (float(robust), 0.0)]
    exact_million = f_normal_error(parts, 1e6 * len(energy), 0.0)
    number, weakest = condition(atom, energy)
    place, doubt = least_certain(atom)
    distance = hand_distance(atom, energy, unit)
    made = Plan(
        element=element,
        edge=edge,
        edge_ev=atom.edge_ev,
        source=atom.source,
        q=q,
        f0=atom.f0,
        energies=_energy_rows(atom, energy),
        condition_number=number,
        weakest_unknown=weakest,
        errors=tuple(row for many in photons for row in _error_rows(parts, many)),
        doubt_errors=None if number is None else _medians(expected_errors(parts, torch.inf, 1.0)),
        hand=tuple(HandRow(many, _share(distance * many**0.5 < _SIGMAS)) for many in photons),
        photons_for_ten_percent=None if number is None else 1e6 * (10 * exact_million) ** 2,
        least_certain_ev=place,
        least_certain_doubt=doubt,
        range_ev=(low, high),
        count=count,
        budget=budget,
        robust=robust,
        given_error=given[0],
        given_photon_error=given[1],
        best=best_energies(
            atom, low, high, {count, *range(FEWEST, max(most, count) + 1)}, budget, step_ev, robust, energy
        ),
        verdict=(),
    )
    return replace(made, verdict=verdict_of(made))


def condition(atom: Atom, energy: Float[Tensor, "energy"]) -> tuple[float | None, str]:
    """Condition number of the design with columns of unit norm, and the linear unknown that suffers most.

    An energy that comes twice counts once: it brings photons, not an equation. None, for infinite: fewer than three
    energies, or f', f'' that do not differ. Three energies leave one of four unknowns to z0 z1 = z2^2 + z3^2; their
    number is that of what is left.
    """
    distinct = torch.unique(energy)
    ratio = dispersion_ratio(*atom.dispersion(distinct), torch.full_like(distinct, atom.f0))
    matrix = design_matrix(ratio)
    matrix = matrix / matrix.norm(dim=0)
    _, sizes, directions = torch.linalg.svd(matrix)
    weakest = _UNKNOWNS[int(directions[-1].abs().argmax())]
    if len(distinct) < 3 or float(sizes[-1]) <= _SINGULAR * float(sizes[0]):
        return None, weakest
    return float(sizes[0] / sizes[-1]), weakest


def _checked(
    energies_ev: Sequence[float], photons: Sequence[float], budget: float | None, atom: Atom
) -> Float[Tensor, "energy"]:
    """Energies in order and in eV, after a look at all numbers."""
    if not energies_ev or not all(0 < one < torch.inf for one in energies_ev):
        raise InputError(
            f"at least one photon energy above zero is required [eV]; "
            f"{', '.join(f'{one:g}' for one in energies_ev) or 'none'} came; give --energies 8313,8323,8333."
        )
    if not photons or not all(0 < one < torch.inf for one in (*photons, 1.0 if budget is None else budget)):
        raise InputError("photons per point and energy, and the budget, must be above zero; give --photons 1e3,1e5.")
    return torch.as_tensor(energies_in_ev(energies_ev, atom.element, atom.edge)).sort().values


def _range(atom: Atom, range_ev: Sequence[float] | None) -> tuple[float, float]:
    """Low and high end of the search [eV]."""
    if range_ev is None:
        return round(atom.edge_ev) - _REACH, round(atom.edge_ev) + _REACH
    if len(range_ev) != 2:
        raise InputError(f"a range is two energies [eV], low and high; {len(range_ev)} came; give --range LOW,HIGH.")
    low, high = energies_in_ev(range_ev, atom.element, atom.edge) if min(range_ev) > 0 else range_ev
    return float(low), float(high)


def _energy_rows(atom: Atom, energy: Float[Tensor, "energy"]) -> tuple[EnergyRow, ...]:
    """What is known of f' and f'' at each energy."""
    error = table_error(atom, energy)
    columns = (energy, *atom.dispersion(energy), uncertainty(atom, energy))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    errors = [None] * len(energy) if error is None else error.tolist()
    return tuple(
        EnergyRow(at, first, second, spread, table, is_near_edge(at, atom.edge_ev))
        for (at, first, second, spread), table in zip(rows, errors, strict=True)
    )


def _error_rows(parts: Contributions, photons: float) -> list[ErrorRow]:
    """Median and range of every quantity's error over the prior."""
    bound, doubted = expected_errors(parts, photons), expected_errors(parts, photons, 1.0)
    share = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    rows = []
    for name in QUANTITIES:
        median, low, high = bound[name].quantile(share).tolist()
        rows.append(ErrorRow(photons, name, median, low, high, float(doubted[name].median())))
    return rows


def _medians(errors: Mapping[str, Float[Tensor, "point"]]) -> dict[str, float]:
    """Median over the prior."""
    return {name: float(each.median()) for name, each in errors.items()}


def _share(true: Tensor) -> float:
    """Share of points where something holds."""
    return float(true.double().mean())
