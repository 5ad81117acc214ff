"""f' and f'' of the sample itself: an absorption spectrum matched to the table, then Kramers-Kronig."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.atoms import absorptive_part, chantler_table, edge_energies, edge_energy

MARGIN_BELOW = 30.0  # eV below an edge and
MARGIN_ABOVE = (
    50.0  # eV above it the free atom's table does not hold: white line, near-edge structure, core hole
)
QUADRATIC_FROM = 500.0  # eV of post-edge from which the background's curvature can be told from the edge step
RAMP = 50.0  # eV beyond the spectrum over which its difference from the table fades
WORST_MATCH = 0.15  # largest rms misfit away from the edge, as a share of the table's step
_SUBDIVISIONS = 8  # of the table's steps around the spectrum, so that straight lines follow its power law
_MEASURED = ("mutrans", "mu", "xmu", "mufluor", "normtrans", "norm", "normfluor")


def kramers_kronig(
    energy: Float[Tensor, "node"], f_double_prime: Float[Tensor, "node"], at: Float[Tensor, "energy"]
) -> Float[Tensor, "energy"]:
    r"""Principal-value transform of f'' into f', exact for an f'' of straight lines between uneven nodes.

    .. math:: f'(E) = \frac{2}{\pi} P\!\!\int \frac{x f''(x)}{E^2 - x^2} dx
              = -\frac{1}{\pi} P\!\!\int f''(x) \left[\frac{1}{x - E} + \frac{1}{x + E}\right] dx

    With :math:`g_i(x)` the line of segment i, of slope :math:`s_i` and width :math:`h_i`, and f''(E) subtracted:

    .. math:: P\!\!\int \frac{f''(x)}{x - E} dx = \sum_i \left[ s_i h_i + (g_i(E) - f''(E))
              \ln\left|\frac{x_{i+1} - E}{x_i - E}\right| \right] + f''(E) \ln\left|\frac{x_n - E}{E - x_0}\right|

    Parameters
    ----------
    energy:
        Nodes, strictly increasing, > 0 [eV].
    f_double_prime:
        f'' at the nodes [electron]; zero outside them.
    at:
        Where f' is wanted, nodes included [eV].

    Returns
    -------
    :
        [electron], without the constant (relativistic and nuclear Thomson) terms. Infinite exactly at the first or
        last node if f'' jumps there. Differentiable with respect to f''.

    Notes
    -----
    The bracket of a segment that touches E is zero by continuity and is left out, so nothing diverges at a node.
    log1p keeps the rounding at some n x 1e-16 of the largest f''.

    References
    ----------
    Cross et al., Phys. Rev. B 58, 11215 (1998); Ohta and Ishida, Appl. Spectrosc. 42, 952 (1988).
    """
    width, slope = energy.diff(), f_double_prime.diff() / energy.diff()
    first, last, point = energy[:-1], energy[1:], at[:, None]
    local = torch.where((at >= energy[0]) & (at <= energy[-1]), interpolate(energy, f_double_prime, at), 0.0)

    touches = (first <= point) & (point <= last)
    logarithm = torch.log1p(width / torch.where(touches, width, first - point))
    line = f_double_prime[:-1] + slope * (point - first)
    resonant = (slope * width + torch.where(touches, 0.0, (line - local[:, None]) * logarithm)).sum(1)
    resonant = resonant + torch.xlogy(local, ((energy[-1] - at) / (at - energy[0])).abs())

    mirror_line = f_double_prime[:-1] - slope * (point + first)
    mirror = (slope * width + mirror_line * torch.log1p(width / (first + point))).sum(1)
    return -(resonant + mirror) / torch.pi


def interpolate(
    x: Float[Tensor, "node"], y: Float[Tensor, "node"], at: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Straight lines between nodes x (strictly increasing), continued beyond the first and the last."""
    segment = (torch.searchsorted(x, at.contiguous(), right=True) - 1).clamp(0, len(x) - 2)
    share = (at - x[segment]) / (x[segment + 1] - x[segment])
    return torch.lerp(y[segment], y[segment + 1], share)


def absorption_from_columns(
    columns: Mapping[str, Float[Tensor, "point"]],
) -> tuple[Float[Tensor, "point"], Float[Tensor, "point"]]:
    r"""Photon energy and absorption, up to a scale and a smooth background, from the columns of a measurement.

    .. math:: \mu t = \ln(I_0 / I_t) \text{ (transmission)}, \quad \mu \propto I_f / I_0 \text{ (fluorescence)}

    Parameters
    ----------
    columns:
        ``energy`` [eV] and, in this order of preference: ``mutrans``, ``mu``, ``xmu``, ``mufluor``, ``normtrans``,
        ``norm``, ``normfluor``; or ``i0`` with ``itrans`` (or ``i1``); or ``i0`` with ``ifluor`` (or ``if``).
        Names are those of the XDI dictionary, in any case.

    Returns
    -------
    :
        Energy [eV], in increasing order, repeated energies averaged, and absorption [1]. Not included: the
        self-absorption of a thick sample in fluorescence, which flattens the white line.

    Raises
    ------
    ValueError
        No energy; no absorption and no pair of counts; counts that are not positive.
    """
    named = {name.lower(): values for name, values in columns.items()}
    if "energy" not in named:
        raise ValueError(f"a column named energy [eV] is required; {', '.join(named)} came; rename it")
    energy, repeat = torch.unique(named["energy"].double(), sorted=True, return_inverse=True)
    total = torch.zeros_like(energy).index_add(0, repeat, _absorption(named).double())
    return energy, total / torch.bincount(repeat)


def steepest_rise(
    energy: Float[Tensor, "point"], mu: Float[Tensor, "point"], element: str, edge: str
) -> float:
    """Energy at which the absorption rises fastest, looked for nearer to this edge than to any other [eV].

    The rise is taken over 2 eV in steps of 0.1 eV. ``edge_energy(element, edge) - steepest_rise(...)`` is the
    ``energy_shift`` that puts a metal foil of the element itself on the table's scale; compounds rise elsewhere.

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
            f"a spectrum around the {element} {edge} edge ({origin:.6g} eV) is required; one from {float(energy[0]):.6g} "
            f"to {float(energy[-1]):.6g} came; check element and edge, and give energies in eV"
        )
    grid = torch.arange(low, high, 0.1, dtype=torch.float64)
    rise = interpolate(energy, mu, grid + 1) - interpolate(energy, mu, grid - 1)
    return float(grid[rise.argmax()])


def match_to_table(
    energy: Float[Tensor, "point"], mu: Float[Tensor, "point"], element: str, edge: str
) -> Float[Tensor, "point"]:
    r"""Measured f'': a scale and a smooth background put the spectrum on the table away from every edge.

    .. math:: f''_{measured}(E) = s \mu(E) - \sum_k c_k (E - E_0)^k, \quad
              \min_{s, c} \sum_{regions} \left\langle (f''_{measured} - f''_{table})^2 \right\rangle

    Parameters
    ----------
    energy:
        Photon energies, strictly increasing [eV].
    mu:
        Absorption in any unit, with any smooth background [1].
    element, edge:
        Which edge the spectrum shows.

    Returns
    -------
    :
        f'' at the measured energies [electron].

    Notes
    -----
    The mean runs over energy, not over points, so a denser grid does not weigh more, and the regions below and above
    the edge count alike. Left out are 30 eV below and 50 eV above every edge of the element. The background is a
    straight line, or a parabola where the spectrum reaches 500 eV beyond the edge: with less the curvature cannot
    be told from the step.

    Raises
    ------
    ValueError
        Unequal or unordered energies; fewer than three points in a region; no such edge in the spectrum.

    References
    ----------
    Weng, Waldo and Penner-Hahn, J. Synchrotron Rad. 12, 506 (2005), without its erfc term.
    """
    origin = edge_energy(element, edge)
    _check_spectrum(energy, mu, element, edge)
    weight = _match_weights(energy, element, origin)
    table = absorptive_part(element, energy)
    degree = 2 if energy[-1] - origin >= QUADRATIC_FROM else 1
    offset = (energy - origin) / (energy[-1] - energy[0])
    basis = torch.stack([mu / mu.abs().max(), *(offset**power for power in range(degree + 1))], dim=1)
    root = weight.sqrt()[:, None]
    coefficients = torch.linalg.lstsq(basis * root, table[:, None] * root).solution
    matched = (basis @ coefficients)[:, 0]
    _check_match(matched, table, weight, element, edge)
    return matched


def dispersion_from_spectrum(
    energy: Float[Tensor, "point"],
    mu: Float[Tensor, "point"],
    element: str,
    edge: str,
    at: Float[Tensor, "energy"],
    energy_shift: float = 0.0,
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    r"""f' and f'' of the sample from its absorption spectrum, by a differential Kramers-Kronig transform.

    .. math:: f'(E) = f'_{table}(E) + KK[f''_{measured} - f''_{table}](E)

    Parameters
    ----------
    energy, mu:
        Spectrum, strictly increasing energies [eV] and absorption in any unit (see :func:`absorption_from_columns`).
    element, edge:
        Which edge it shows; any that xraydb knows.
    at:
        Photon energies at which f' and f'' are wanted [eV].
    energy_shift:
        Added to the spectrum's energies, when its monochromator and that of the diffraction data disagree [eV].
        Nothing is shifted unasked; :func:`steepest_rise` measures where the edge is.

    Returns
    -------
    :
        f' and f'' [electron]. Outside the measured range f'' falls back on the table: the difference at the end of
        the spectrum fades over 50 eV, so f'' stays continuous. f' there is the table's plus the transform of the
        measured difference, which decays with distance.

    Notes
    -----
    f'_table is Chantler's at the table's nodes; between them only its small difference from the transform of the
    table's f'' is interpolated (linearly). A spline through f' itself misses the cusp at an edge by 0.2 electron.
    Where f'' comes from a sum of edges, every structure outside the spectrum is the free atom's.

    Raises
    ------
    ValueError
        Unknown element or edge; see :func:`match_to_table`; f'' < 0 at an energy asked for.

    References
    ----------
    Cross et al., Phys. Rev. B 58, 11215 (1998).
    """
    measured_at = energy.double() + energy_shift
    matched = match_to_table(measured_at, mu.double(), element, edge)
    wanted = at.double().cpu()
    f_double_prime = _spliced(element, measured_at, matched, wanted)
    if (f_double_prime < 0).any():
        worst = int(f_double_prime.argmin())
        raise ValueError(
            f"f'' >= 0 is required; the spectrum gives {f_double_prime[worst]:.3g} electron at {wanted[worst]:.6g} eV; "
            "it is too noisy there or of another element"
        )
    nodes = _nodes(element, measured_at)
    around = _table_nodes_around(element, wanted)
    table_transform = kramers_kronig(nodes, absorptive_part(element, nodes), around[0])
    constant = interpolate(around[0], around[1] - table_transform, wanted)
    f_prime = kramers_kronig(nodes, _spliced(element, measured_at, matched, nodes), wanted) + constant
    return f_prime.to(at), f_double_prime.to(at)


def _absorption(named: Mapping[str, Tensor]) -> Tensor:
    """Absorption from whichever columns are there."""
    for name in _MEASURED:
        if name in named:
            return named[name]
    transmitted = named.get("itrans", named.get("i1"))
    fluorescence = named.get("ifluor", named.get("if"))
    if "i0" not in named or (transmitted is None and fluorescence is None):
        raise ValueError(
            f"an absorption column ({', '.join(_MEASURED)}) or i0 with itrans or ifluor is required; "
            f"{', '.join(named)} came; rename the columns"
        )
    second = fluorescence if transmitted is None else transmitted
    if not ((named["i0"] > 0).all() and (second > 0).all()):
        raise ValueError(
            "counts above zero are required in i0, itrans and ifluor; zero or less came; cut those points"
        )
    return torch.log(named["i0"] / transmitted) if transmitted is not None else fluorescence / named["i0"]


def _check_spectrum(energy: Tensor, mu: Tensor, element: str, edge: str) -> None:
    """A spectrum is two equally long, finite columns in order of energy, and rises at the edge."""
    if energy.shape != mu.shape or not (energy.diff() > 0).all() or not torch.isfinite(energy + mu).all():
        raise ValueError(
            "a spectrum of equally many finite energies and absorptions, energies strictly increasing, is required; "
            f"{len(energy)} and {len(mu)} came, unordered, repeated or not finite; sort and clean them"
        )
    rise, origin = steepest_rise(energy, mu, element, edge), edge_energy(element, edge)
    if abs(rise - origin) > MARGIN_BELOW:
        raise ValueError(
            f"a spectrum that rises within {MARGIN_BELOW:.0f} eV of the {element} {edge} edge ({origin:.6g} eV) is "
            f"required; this one rises most at {rise:.6g} eV; check element, edge, which column is the absorption, and "
            "whether its energies need a shift"
        )


def _match_weights(energy: Tensor, element: str, origin: float) -> Tensor:
    """Each point's share of the energy, zero near any edge, summing to 1 below the edge and to 1 above it."""
    share = torch.zeros_like(energy)
    share[1:] += energy.diff() / 2
    share[:-1] += energy.diff() / 2
    for other in edge_energies(element).values():
        share[(energy > other - MARGIN_BELOW) & (energy < other + MARGIN_ABOVE)] = 0
    below, above = share * (energy < origin), share * (energy > origin)
    if min((below > 0).sum(), (above > 0).sum()) < 3:
        raise ValueError(
            f"at least 3 points below {origin - MARGIN_BELOW:.6g} eV and 3 above {origin + MARGIN_ABOVE:.6g} eV, away "
            f"from every edge of {element}, are required; {int((below > 0).sum())} and {int((above > 0).sum())} came, "
            f"from {float(energy.min()):.6g} to {float(energy.max()):.6g}; measure further out, or give energies in eV"
        )
    return below / below.sum() + above / above.sum()


def _check_match(matched: Tensor, table: Tensor, weight: Tensor, element: str, edge: str) -> None:
    """Away from the edges the matched spectrum must be the table, EXAFS apart."""
    around = torch.tensor([-MARGIN_BELOW, MARGIN_ABOVE], dtype=torch.float64) + edge_energy(element, edge)
    step = float(absorptive_part(element, around).diff())
    misfit = float((weight * (matched - table).square()).sum().div(weight.sum()).sqrt()) / step
    if misfit > WORST_MATCH:
        raise ValueError(
            f"a spectrum within {WORST_MATCH:.0%} (rms) of the step of the {element} {edge} edge is required away from "
            f"it; the one that came differs by {misfit:.0%}; check which column is the absorption, or cut glitches off"
        )


def _spliced(element: str, energy: Tensor, matched: Tensor, at: Tensor) -> Tensor:
    """Measured f'' inside the spectrum, the table's outside it, the difference at the ends fading over RAMP."""
    nearest = at.clamp(float(energy[0]), float(energy[-1]))
    fade = (1 - (at - nearest).abs() / RAMP).clamp(min=0)
    difference = interpolate(energy, matched, nearest) - absorptive_part(element, nearest)
    return absorptive_part(element, at) + fade * difference


def _nodes(element: str, energy: Tensor) -> Tensor:
    """Energies between which f'' is nearly straight: the table's, finer around the spectrum, and the measured."""
    table = chantler_table(element)[0]
    low, high = float(energy[0]) - RAMP, float(energy[-1]) + RAMP
    share = torch.arange(1, _SUBDIVISIONS, dtype=torch.float64) / _SUBDIVISIONS
    finer = torch.lerp(table[:-1, None], table[1:, None], share).flatten()
    finer = finer[(finer > low) & (finer < high)]
    ends = torch.tensor([max(low, float(table[0])), min(high, float(table[-1]))], dtype=torch.float64)
    return torch.unique(torch.cat([table, finer, energy.cpu(), ends]), sorted=True)


def _table_nodes_around(element: str, at: Tensor) -> tuple[Tensor, Tensor]:
    """Table's energies and f' from the node below the first energy to the one above the last."""
    energy, f_prime, _ = chantler_table(element)
    inner = len(energy) - 2  # the outermost nodes are ends of the integral, where the transform diverges
    lower = (torch.searchsorted(energy, at.min()) - 1).clamp(1, inner - 1)
    upper = torch.searchsorted(energy, at.max()).clamp(lower + 1, torch.tensor(inner))
    return energy[lower : upper + 1], f_prime[lower : upper + 1]
