"""A measured absorption spectrum put on the scale of the tabulated f''."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.atoms import absorptive_part, edge_energies, edge_energy

# From MARGIN_BELOW under an edge to MARGIN_ABOVE over it the free atom's table does not hold: core-hole width,
# white line, near-edge structure.
MARGIN_BELOW = 30.0  # eV
MARGIN_ABOVE = 50.0  # eV
QUADRATIC_FROM = 500.0  # eV above the edge; a shorter spectrum cannot tell a curved background from the step
WORST_MATCH = 0.5  # largest rms misfit away from the edges over what the background alone leaves; a foil has 0.1
# Names of columns in lower case, letters and digits alone, the first that there is: those of the XDI dictionary first.
_ENERGY = (
    "energy",
    "energyev",
    "photonenergy",
    "incidentenergy",
    "monoenergy",
    "enev",
    "en",
    "ev",
    "e",
    "energykev",
    "kev",
)
_MEASURED = (
    *("mutrans", "mu", "xmu", "mufluor", "normtrans", "norm", "normfluor"),
    *("mue", "mux", "mut", "xmue", "absorption", "absorbance", "absorptioncoefficient", "abs", "mutot"),
    *("flat", "normmu", "normalized", "normalised", "normalizedabsorption", "normalisedabsorption"),
)
_INCIDENT = ("i0", "io", "izero", "ion0", "ic0", "mon", "monitor")
_TRANSMITTED = ("itrans", "it", "i1", "itr", "itransmitted", "transmitted", "trans", "ion1", "ic1")
_FLUORESCENCE = ("ifluor", "if", "iff", "ifl", "ifluorescence", "fluor", "fluo", "fluorescence")
_TRANSMISSION = ("transmission", "transmittance")  # I_t over I_0


def interpolate(
    x: Float[Tensor, "node"], y: Float[Tensor, "node"], at: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Straight lines between nodes x (strictly increasing), continued beyond the first and the last."""
    segment = (torch.searchsorted(x, at.contiguous(), right=True) - 1).clamp(0, len(x) - 2)
    share = (at - x[segment]) / (x[segment + 1] - x[segment])
    return torch.lerp(y[segment], y[segment + 1], share)


def absorption_from_columns(
    columns: Mapping[str, Float[Tensor, "point"]],
) -> tuple[Float[Tensor, "distinct"], Float[Tensor, "distinct"]]:
    r"""Photon energy and absorption, up to a scale and a smooth background, from a measurement's columns.

    .. math:: \mu t = \ln(I_0 / I_t) \text{ in transmission}, \quad \mu \propto I_f / I_0 \text{ in fluorescence}

    Parameters
    ----------
    columns:
        ``energy`` [eV] and the first that there is of: ``mutrans``, ``mu``, ``xmu``, ``mufluor``, ``normtrans``,
        ``norm``, ``normfluor``; ``i0`` with ``itrans``, ``it`` or ``i1``; ``i0`` with ``ifluor`` or ``if``;
        ``transmission``. These are the names of the XDI dictionary and other usual ones, in upper or lower case, signs
        left out: ``I_0``, ``mu(E)``.

    Returns
    -------
    :
        Energy [eV], increasing, with repeated energies averaged, and absorption [1]. Not included: the
        self-absorption of a thick sample in fluorescence, which flattens the white line.

    Raises
    ------
    ValueError
        No energy; neither absorption nor a pair of counts; counts that are not positive.
    """
    named = {_plain(name): values for name, values in columns.items()}
    energies = _first(named, _ENERGY)
    if energies is None:
        raise ValueError(f"a column named energy [eV] is required; {', '.join(columns)} came; rename it")
    energy, place = torch.unique(energies.double(), sorted=True, return_inverse=True)
    total = torch.zeros_like(energy).index_add(0, place, _absorption(named).double())
    return energy, total / torch.bincount(place)


def is_energy(name: str) -> bool:
    """Tell whether a column's name is one of a photon energy."""
    return _plain(name) in _ENERGY


def _plain(name: str) -> str:
    """A column's name in lower case, letters and digits alone."""
    return "".join(letter for letter in name.lower().replace("μ", "mu").replace("µ", "mu") if letter.isalnum())


def _first(named: Mapping[str, Tensor], names: Sequence[str]) -> Tensor | None:
    """The first column that there is of several names."""
    return next((named[name] for name in names if name in named), None)


def steepest_rise(energy: Float[Tensor, "point"], mu: Float[Tensor, "point"], element: str, edge: str) -> float:
    """Energy at which the absorption rises fastest, looked for nearer to this edge than to any other [eV].

    The rise is taken over 2 eV, or over two steps of a coarser spectrum, every 0.1 eV; a parabola through the largest
    gives its place to a fraction of a step. ``edge_energy(element, edge) - steepest_rise(...)`` is the ``energy_shift``
    that puts a metal foil of the element on the table's scale; compounds rise elsewhere.

    Raises
    ------
    ValueError
        Unknown element or edge; the spectrum has nothing nearer to this edge than to another.
    """
    origin = edge_energy(element, edge)
    middles = [(origin + other) / 2 for other in edge_energies(element).values() if other != origin]
    low = max([float(energy[0]) + 1, *(middle for middle in middles if middle < origin)])
    high = min([float(energy[-1]) - 1, *(middle for middle in middles if middle > origin)])
    if low >= high:
        raise ValueError(
            f"a spectrum around the {element} {edge} edge ({origin:.6g} eV) is required; one from "
            f"{float(energy[0]):.6g} to {float(energy[-1]):.6g} came; check element and edge, and give energies in eV"
        )
    coarse = torch.arange(low, high, 0.1, dtype=energy.dtype, device=energy.device)
    rise = interpolate(energy, mu, coarse + 1) - interpolate(energy, mu, coarse - 1)
    peak = float(coarse[rise.argmax()])
    half = max(1.0, step_at(energy, peak))
    fine = coarse[(coarse > peak - 2 * half) & (coarse < peak + 2 * half)]
    before, here, after = (
        interpolate(energy, mu, fine + move + half) - interpolate(energy, mu, fine + move - half)
        for move in (-half, 0.0, half)
    )
    top = int(here.argmax())
    bend = float(before[top] - 2 * here[top] + after[top])
    moved = 0.5 * half * float(before[top] - after[top]) / bend if bend < 0 else 0.0
    return float(fine[top]) + min(half, max(-half, moved))


def step_at(energy: Float[Tensor, "point"], at: float) -> float:
    """Distance between the measured energies on either side of one, the largest within 3 eV of it [eV]."""
    near = energy[(energy > at - 3) & (energy < at + 3)]
    place = int(torch.searchsorted(energy, at).clamp(1, len(energy) - 1))
    steps: list[float] = [float(energy[place] - energy[place - 1]), *near.diff().tolist()]
    return max(steps)


def match_to_table(
    energy: Float[Tensor, "point"], mu: Float[Tensor, "point"], element: str, edge: str
) -> Float[Tensor, "point"]:
    r"""Measured f'': a scale and a smooth background put the spectrum on the table away from every edge.

    .. math:: f''_{measured}(E) = s \mu(E) + \sum_k c_k (E - E_0)^k, \quad
              \min_{s, c} \sum_{below, above} \left\langle (f''_{measured} - f''_{table})^2 \right\rangle

    Parameters
    ----------
    energy:
        Photon energies, strictly increasing [eV].
    mu:
        Absorption in any unit, on any smooth background.
    element, edge:
        Which edge the spectrum shows.

    Returns
    -------
    :
        f'' at the measured energies [electron].

    Notes
    -----
    The means run over energy, not over points, so that a denser grid does not weigh more; the regions below and
    above the edge count alike; 30 eV below to 50 eV above any edge of the element is left out. The background is
    a straight line, or a parabola where the spectrum reaches 500 eV beyond the edge. The Ni foil's spectrum, cut
    to anything between -60..+150 and -200..+1234 eV, keeps f'' around the edge within 0.06 electron rms.

    Raises
    ------
    ValueError
        Unequal, unordered or infinite columns; no rise within 30 eV of the edge; fewer than three points below
        or above; a spectrum that does not follow the table away from the edge.

    References
    ----------
    Weng, Waldo and Penner-Hahn, J. Synchrotron Rad. 12, 506 (2005), without its erfc term.
    """
    _check_spectrum(energy, mu, element, edge)
    origin = edge_energy(element, edge)
    weight = _match_weights(energy, element, origin)
    table = absorptive_part(element, energy)
    degree = 2 if energy[-1] - origin >= QUADRATIC_FROM else 1
    offset = (energy - origin) / (energy[-1] - energy[0])
    basis = torch.stack([mu / mu.abs().max(), *(offset**power for power in range(degree + 1))], dim=1)
    root = weight.sqrt()[:, None]
    matched = _fit(basis, table, root)
    _check_match((matched - table) * root[:, 0], (_fit(basis[:, 1:], table, root) - table) * root[:, 0], element, edge)
    return matched


def _absorption(named: Mapping[str, Tensor]) -> Tensor:
    """Absorption from whichever columns are there."""
    measured, incident = _first(named, _MEASURED), _first(named, _INCIDENT)
    if measured is not None:
        return measured
    transmitted, second = _first(named, _TRANSMITTED), _first(named, _FLUORESCENCE)
    second = second if transmitted is None else transmitted
    share = _first(named, _TRANSMISSION)
    if share is not None and (incident is None or second is None):
        incident, second, transmitted = (
            (incident, share, share) if incident is not None else (share * 0 + 1, share, share)
        )
    if incident is None or second is None:
        raise ValueError(
            f"an absorption column ({', '.join(_MEASURED[:7])}), transmission, or i0 with itrans (it, i1) or ifluor "
            f"(if) is required; {', '.join(named)} came; rename the columns"
        )
    if not ((incident > 0).all() and (second > 0).all()):
        raise ValueError("counts above zero are required; zero or less came in i0 or beside it; cut those points")
    return second / incident if transmitted is None else torch.log(incident / transmitted)


def _check_spectrum(energy: Tensor, mu: Tensor, element: str, edge: str) -> None:
    """A spectrum is two equally long, finite columns in order of energy, and rises at the edge."""
    if energy.shape != mu.shape or not (energy.diff() > 0).all() or not torch.isfinite(energy + mu).all():
        raise ValueError(
            "equally many finite energies and absorptions, energies strictly increasing, are required of a spectrum; "
            f"{len(energy)} and {len(mu)} came, unordered, repeated or not finite; sort and clean them"
        )
    rise, origin = steepest_rise(energy, mu, element, edge), edge_energy(element, edge)
    if abs(rise - origin) > MARGIN_BELOW:
        raise ValueError(
            f"a rise within {MARGIN_BELOW:.0f} eV of the {element} {edge} edge ({origin:.6g} eV) is required; the "
            f"spectrum rises most at {rise:.6g} eV; check element, edge, and which column is the absorption, cut "
            "glitches off, or shift its energies (align_edge)"
        )


def _match_weights(energy: Tensor, element: str, origin: float) -> Tensor:
    """Each point's share of the energy, zero near any edge, summing to 1 below the edge and to 1 above it."""
    share = torch.zeros_like(energy)
    share[1:] += energy.diff() / 2
    share[:-1] += energy.diff() / 2
    for other in edge_energies(element).values():
        share[(energy > other - MARGIN_BELOW) & (energy < other + MARGIN_ABOVE)] = 0
    below, above = share * (energy < origin), share * (energy > origin)
    counts = int((below > 0).sum()), int((above > 0).sum())
    if min(counts) < 3:
        raise ValueError(
            f"at least 3 points below {origin - MARGIN_BELOW:.6g} eV and 3 above {origin + MARGIN_ABOVE:.6g} eV, "
            f"away from every edge of {element}, are required; {counts[0]} and {counts[1]} came, from "
            f"{float(energy[0]):.6g} to {float(energy[-1]):.6g} eV; use a spectrum that reaches further"
        )
    return below / below.sum() + above / above.sum()


def _fit(basis: Tensor, target: Tensor, root: Tensor) -> Tensor:
    """Weighted least squares of the target by the basis."""
    fitted: Tensor = basis @ torch.linalg.lstsq(basis * root, target[:, None] * root).solution
    return fitted[:, 0]


def _check_match(misfit: Tensor, without: Tensor, element: str, edge: str) -> None:
    """The spectrum must explain the step, which the background alone cannot."""
    share = float(misfit.norm() / without.norm())
    if share > WORST_MATCH:
        raise ValueError(
            f"a spectrum that follows the table away from the {element} {edge} edge, to {WORST_MATCH:.0%} of what a "
            f"smooth background leaves, is required; {share:.0%} came; check which column is the absorption, or cut "
            "glitches and other edges off"
        )
