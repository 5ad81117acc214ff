"""A plan in words: what its numbers mean, and a table for the terminal."""

from madpipe.mad.anomalous import NEAR_EDGE
from madpipe.mad.plan.records import NAMES, ErrorRow, Plan

_OPEN = 0.1  # share of points with the hand undecided that is worth a word
_USELESS = 1.0  # relative error, or radian, from which on a quantity is not determined


def verdict_of(plan: Plan) -> tuple[str, ...]:
    """Sentences: what the energies determine, what they do not, which would do better."""
    determined = plan.condition_number is not None
    return (
        _of_condition(plan),
        *(_of_sides(plan) if determined else []),
        *(_of_hand(plan) if determined else []),
        *_of_near_edge(plan),
        *_of_doubt(plan),
        *_of_photons(plan),
        _of_choice(plan),
    )


def lines(plan: Plan) -> list[str]:
    """Table for the terminal."""
    return [
        f"{plan.element} {plan.edge} edge at {plan.edge_ev:.1f} eV, |Q| = {plan.q:g} 1/angstrom, f0 = {plan.f0:.2f}; "
        f"f', f'': {plan.source}",
        "",
        *_energy_lines(plan),
        "",
        *_error_lines(plan),
        "",
        *_choice_lines(plan),
        "",
        *(f"- {sentence}" for sentence in plan.verdict),
    ]


def _energy_lines(plan: Plan) -> list[str]:
    """One line per energy."""
    measured = any(row.table_error is not None for row in plan.energies)
    head = "    energy/eV      f'     f''   doubt" + ("   table off by" if measured else "")
    return [head] + [
        f"{row.energy_ev:13.1f} {row.f_prime:7.2f} {row.f_double_prime:7.2f} {row.doubt:7.2f}"
        + ("" if row.table_error is None else f" {row.table_error:14.2f}")
        + ("   near the edge" if row.near_edge else "")
        for row in plan.energies
    ]


def _error_lines(plan: Plan) -> list[str]:
    """One line per number of photons: median and 10-90 % range of every quantity, and the hand."""
    head = "    expected error, median (10-90 % of points), photons alone; Delta_phi in radian, the others relative"
    names = "".join(f"{name:>24}" for name in NAMES.values())
    result = [head, f"      photons  {names}   hand open"]
    for hand in plan.hand:
        rows = [row for row in plan.errors if row.photons == hand.photons]
        cells = "".join(f" {_cell(row):>23}" for row in rows)
        result.append(f"{hand.photons:13.3g}  {cells} {hand.undecided:11.0%}")
    if plan.doubt_errors is None:
        return result
    return [*result, "  from doubt in f" + "".join(f"{plan.doubt_errors[name]:24.3g}" for name in NAMES)]


def _cell(row: ErrorRow) -> str:
    """One median with its range."""
    return f"{row.median:.3g} ({row.low:.2g}-{row.high:.2g})"


def _choice_lines(plan: Plan) -> list[str]:
    """One line per number of energies."""
    result = [
        f"    best energies from {plan.range_ev[0]:g} to {plan.range_ev[1]:g} eV, {plan.budget:.3g} photons per point "
        "in all; median relative error of |F_N|",
        "        N    best    even  energies less the edge/eV",
    ]
    for row in plan.best:
        shifts = " ".join(f"{energy - plan.edge_ev:+g}" for energy in row.energies_ev)
        mark = ">" if row.count == plan.count else " "
        result.append(f"      {mark}{row.count:2d} {row.error:7.3g} {row.even_error:7.3g}  {shifts}")
    return result


def _of_condition(plan: Plan) -> str:
    """What the condition number means."""
    distinct = len({row.energy_ev for row in plan.energies})
    if plan.condition_number is None:
        came = f"{distinct} came" if distinct < 3 else f"f', f'' of the {distinct} that came do not"
        return (
            f"Condition number infinite: at least three energies whose f', f'' differ are needed to tell |F_T|, |F_A| "
            f"and Delta_phi apart; {came}, and no number of photons makes up for that."
        )
    rest = "" if distinct > 3 else " Three energies determine three unknowns and leave nothing to check them with."
    return (
        f"Condition number {plan.condition_number:.3g}: the worst combination of the linear unknowns, mostly "
        f"{plan.weakest_unknown}, has that many times the relative error of the best.{rest}"
    )


def _of_sides(plan: Plan) -> list[str]:
    """Whether the energies lie on one side of the edge."""
    energies = [row.energy_ev for row in plan.energies]
    if max(energies) < plan.edge_ev:
        return [
            "All energies lie below the edge, where f'' is small and hardly changes: the hand, the sign of Delta_phi, "
            "is undetermined; measure above the edge too."
        ]
    if min(energies) > plan.edge_ev:
        return [
            "All energies lie above the edge, where f', f'' change together: |F_A| and the hand are badly determined; "
            "measure below the edge too."
        ]
    return []


def _of_hand(plan: Plan) -> list[str]:
    """At how many photons the sign of Delta_phi is still open."""
    still = [row for row in plan.hand if row.undecided > _OPEN]
    if not still:
        return []
    most = max(still, key=lambda row: row.photons)
    return [
        f"With {most.photons:.3g} photons per point and energy the sign of Delta_phi is less than 3 standard "
        f"deviations sure in {most.undecided:.0%} of the points."
    ]


def _of_near_edge(plan: Plan) -> list[str]:
    """Energies at which the table is in doubt."""
    near = [row for row in plan.energies if row.near_edge]
    place = f"{plan.least_certain_ev:.1f} eV, by {plan.least_certain_doubt:.2g} electron"
    if any(row.table_error is not None for row in plan.energies):
        return [f"Within {NEAR_EDGE:g} eV of the edge Chantler's table is furthest from the spectrum at {place}."]
    least = f"Within {NEAR_EDGE:g} eV of the edge the table is least certain at {place}."
    if not near:
        return [least]
    worst = max(near, key=lambda row: row.doubt)
    return [
        f"{len(near)} of {len(plan.energies)} energies lie within {NEAR_EDGE:g} eV of the edge, where a bare atom's "
        f"f', f'' are in doubt, by {worst.doubt:.2g} electron at {worst.energy_ev:.1f} eV, and R cannot tell: measure "
        f"an absorption spectrum of the sample, or move them. {least}"
    ]


def _of_doubt(plan: Plan) -> list[str]:
    """What is left with any number of photons."""
    if plan.doubt_errors is None:
        return []
    told = []
    for name, error in plan.doubt_errors.items():
        size = f"{error:.2g}" + (" rad" if name == "delta_phi" else "")
        told.append(f"{NAMES[name]} {size if error < _USELESS else 'not determined'}")
    return [f"Doubt in f', f'' leaves, with any number of photons, a median error of {', '.join(told)} (1 is 100 %)."]


def _of_photons(plan: Plan) -> list[str]:
    """Photons for a tenth of |F_N|."""
    if plan.photons_for_ten_percent is None:
        return []
    return [f"|F_N| to 10 % takes {plan.photons_for_ten_percent:.2g} photons per point and energy, f', f'' exact."]


def _of_choice(plan: Plan) -> str:
    """What better energies gain."""
    choice = plan.choice
    energies = ", ".join(f"{energy:g}" for energy in choice.energies_ev)
    counted = "photons and doubt in f', f''" if plan.robust else "photons alone"
    gain = (
        f"{plan.given_error / choice.error:.2g} times less than with the given ones ({plan.given_error:.2g}; "
        f"{plan.given_photon_error:.2g}), "
    )
    return (
        f"Best {choice.count} energies of the range for |F_N| ({counted}): {energies} eV; error {choice.error:.2g} "
        f"({choice.photon_error:.2g} from photons), {gain if plan.condition_number is not None else ''}"
        f"{choice.even_error / choice.error:.2g} times less than evenly spread."
    )


def lines_of_caption(plan: Plan) -> str:
    """Caption of the figure, with its numbers."""
    far = max(plan.errors, key=lambda row: row.photons).photons
    rows = {row.quantity: row for row in plan.errors if row.photons == far}
    errors = ", ".join(f"{NAMES[name]} {rows[name].median:.2g}" for name in ("f_resonant", "delta_phi", "f_normal"))
    return (
        f"Planned {plan.element} {plan.edge} experiment, edge at {plan.edge_ev:.1f} eV, f0 = {plan.f0:.2f}. Above: f', "
        f"f'' ({plan.source}) with bands of their doubt, and that doubt; grey: within {NEAR_EDGE:g} eV of the edge. "
        f"Below left: median and 10-90 % range over the points of the expected error at the given energies, dotted "
        f"with the doubt; {far:.3g} photons per point and energy: {errors}. Below right: error of |F_N| against the "
        f"number of energies. {' '.join(plan.verdict)}"
    )
