"""f' and f'' of the sample itself: a measured absorption spectrum, then Kramers-Kronig against the table."""

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.atoms import absorptive_part, chantler_table
from madpipe.physics.normalisation import interpolate, match_to_table

RAMP = 50.0  # eV beyond the spectrum over which its difference from the table fades
_SUBDIVISIONS = 8  # of the table's steps around the spectrum, so that straight lines follow its power law


def kramers_kronig(
    energy: Float[Tensor, "node"], f_double_prime: Float[Tensor, "node"], at: Float[Tensor, "energy"]
) -> Float[Tensor, "energy"]:
    r"""Principal-value transform of f'' into f', exact for an f'' of straight lines between uneven nodes.

    .. math:: f'(E) = \frac{2}{\pi} P\!\!\int \frac{x f''(x)}{E^2 - x^2} dx
              = -\frac{1}{\pi} P\!\!\int f''(x) \left[\frac{1}{x - E} + \frac{1}{x + E}\right] dx

    With :math:`g_i(x)` the line of segment i, :math:`s_i` its slope, :math:`h_i` its width:

    .. math:: P\!\!\int \frac{f''(x)}{x - E} dx = f''(E) \ln\left|\frac{x_n - E}{E - x_0}\right| + \sum_i
              \left[ s_i h_i + (g_i(E) - f''(E)) \ln\left|\frac{x_{i+1} - E}{x_i - E}\right| \right]

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
        [electron], without the constant (relativistic and nuclear Thomson) terms. Infinite exactly at the
        first or last node if f'' jumps there. Differentiable with respect to f''.

    Notes
    -----
    In a segment that touches E the factor of the logarithm is zero by continuity: it is left out, so nothing
    diverges at a node. Rounding is some n x 1e-16 of the largest f'', since log1p keeps far segments exact.
    From Chantler's f'' of Fe, Co, Ni, Cu this gives Chantler's f' to 0.004 electron below the K edge and above
    twice its energy. Between, that table's f' itself is 0.04 to 0.06 too low (it jumps by 0.04 at 2 E_K).

    References
    ----------
    Cross et al., Phys. Rev. B 58, 11215 (1998); Ohta and Ishida, Appl. Spectrosc. 42, 952 (1988).
    """
    width, slope = energy.diff(), f_double_prime.diff() / energy.diff()
    first, last, point = energy[:-1], energy[1:], at[:, None]
    inside = (at >= energy[0]) & (at <= energy[-1])
    local = torch.where(inside, interpolate(energy, f_double_prime, at), 0.0)

    touches = (first <= point) & (point <= last)
    logarithm = torch.log1p(width / torch.where(touches, width, first - point))
    line = f_double_prime[:-1] + slope * (point - first)
    resonant = (slope * width + torch.where(touches, 0.0, (line - local[:, None]) * logarithm)).sum(1)
    resonant = resonant + torch.xlogy(local, ((energy[-1] - at) / (at - energy[0])).abs())

    mirror_line = f_double_prime[:-1] - slope * (point + first)
    mirror = (slope * width + mirror_line * torch.log1p(width / (first + point))).sum(1)
    return -(resonant + mirror) / torch.pi


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
        Spectrum: strictly increasing energies [eV] and absorption in any unit, see
        :func:`madpipe.physics.normalisation.absorption_from_columns`.
    element, edge:
        Which edge it shows; any that xraydb knows.
    at:
        Photon energies at which f' and f'' are wanted [eV].
    energy_shift:
        Added to the spectrum's energies, where its monochromator and that of the diffraction data disagree
        [eV]. Nothing is shifted unasked; :func:`madpipe.physics.normalisation.steepest_rise` tells where the
        spectrum has its edge.

    Returns
    -------
    :
        f' and f'' [electron]. Outside the measured range f'' falls back on the table: the difference at the
        end of the spectrum fades over 50 eV, so that f'' is continuous. f' there is the table's plus the
        transform of the measured difference, which decays with the distance.

    Notes
    -----
    f'_table is Chantler's at the table's nodes. Between them its small difference from the transform of the
    table's f'' is interpolated, not f' itself: a spline through f' misses the cusp at an edge by 0.2 electron,
    which then shows as a wiggle in the result. f'_table brings its constant terms (see
    :func:`madpipe.physics.atoms.dispersion_correction`) and, from the edge to twice its energy, its error of
    0.06 electron (see :func:`kramers_kronig`). f'' between measured points is a straight line.

    Raises
    ------
    ValueError
        As :func:`madpipe.physics.normalisation.match_to_table`; f'' < 0, or outside Chantler's table, at an
        energy asked for.

    References
    ----------
    Cross et al., Phys. Rev. B 58, 11215 (1998).
    """
    measured = energy.double().cpu() + energy_shift
    matched = match_to_table(measured, mu.double().cpu(), element, edge)
    wanted = at.double().cpu()
    f_double_prime = _spliced(element, measured, matched, wanted)
    _check_absorbs(wanted, f_double_prime)
    nodes = _nodes(element, measured)
    tabulated, f_prime = _table_around(element, wanted)
    offset = f_prime - kramers_kronig(nodes, absorptive_part(element, nodes), tabulated)
    transform = kramers_kronig(nodes, _spliced(element, measured, matched, nodes), wanted)
    return (transform + interpolate(tabulated, offset, wanted)).to(at), f_double_prime.to(at)


def _check_absorbs(energy: Tensor, f_double_prime: Tensor) -> None:
    """f'' >= 0 everywhere."""
    worst = int(f_double_prime.argmin())
    if f_double_prime[worst] < 0:
        raise ValueError(
            f"f'' >= 0 is required; the spectrum gives {float(f_double_prime[worst]):.3g} electron at "
            f"{float(energy[worst]):.6g} eV; it is too noisy there, or its background is not smooth: cut it shorter"
        )


def _spliced(element: str, energy: Tensor, matched: Tensor, at: Tensor) -> Tensor:
    """Measured f'' inside the spectrum, the table's outside, the difference at the ends fading over RAMP."""
    nearest = at.clamp(float(energy[0]), float(energy[-1]))
    fade = (1 - (at - nearest).abs() / RAMP).clamp(min=0)
    difference = interpolate(energy, matched, nearest) - absorptive_part(element, nearest)
    return absorptive_part(element, at) + fade * difference


def _nodes(element: str, energy: Tensor) -> Tensor:
    """Energies between which f'' is nearly straight: the table's, finer around the spectrum, the spectrum's."""
    table = chantler_table(element)[0]
    low, high = max(float(energy[0]) - RAMP, float(table[0])), min(float(energy[-1]) + RAMP, float(table[-1]))
    share = torch.arange(1, _SUBDIVISIONS, dtype=torch.float64) / _SUBDIVISIONS
    finer = torch.lerp(table[:-1, None], table[1:, None], share).flatten()
    ends = torch.tensor([low, high], dtype=torch.float64)
    nodes: Tensor = torch.unique(torch.cat([table, finer[(finer > low) & (finer < high)], energy, ends]), sorted=True)
    return nodes


def _table_around(element: str, at: Tensor) -> tuple[Tensor, Tensor]:
    """Table's energies and f' from the node below the first energy to the one above the last."""
    energy, f_prime, _ = chantler_table(element)
    inner = len(energy) - 2  # the outermost nodes are ends of the integral, where the transform diverges
    lower = min(max(int(torch.searchsorted(energy, at.min())) - 1, 1), inner - 1)
    upper = min(max(int(torch.searchsorted(energy, at.max())), lower + 1), inner)
    return energy[lower : upper + 1], f_prime[lower : upper + 1]
