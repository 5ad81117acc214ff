r"""What is known of f' and f'' before the fit: a table, and by how much and how a sample differs from it.

Near an edge f'' of a sample departs from the free atom's: its structure, some volts wide, may be as large as f''
itself, while below the edge only the tail of the edge's own width is in doubt. f' departs by the Kramers-Kronig
transform of the same difference. Without this tie, factor and turn of all f' + i f'' would be known to some 40 %
only: by the errors of single energies.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.anomalous import KnownDispersion, dispersion_at
from madpipe.mad.config import NuisanceConfig
from madpipe.mad.records import Stack
from madpipe.physics.absorption import kramers_kronig
from madpipe.physics.atoms import edge_energy
from madpipe.physics.normalisation import interpolate

Curve = Callable[[float], Float[Tensor, "2 energy"]]  # f', f'' at every energy plus an offset [electron]; offset in eV
_STEP = 0.5  # between the nodes of the uncertain f'' [eV]
_SAME = 0.02  # by how much a stack's f', f'' may differ from a table's and still be that table's [electron]
_ROUNDING = 1e-9  # of the prior's variance, so that it has a Cholesky root


def curve_of(stack: Stack) -> Curve:
    """Make f', f'' a function of a common energy offset: along the stack's measured spectrum, else Chantler's table.

    Raises
    ------
    InputError
        The stack's f', f'' are not those of its spectrum, or of the table where it has none: nothing tells how they
        go on.
    """
    _require_element(stack, "the energy offset")
    energy, spectrum = torch.tensor(stack.energy, dtype=torch.float64), None
    if stack.spectrum_energy is not None:
        columns = (stack.spectrum_energy, stack.spectrum_f_prime, stack.spectrum_f_double_prime)
        spectrum = KnownDispersion(*(torch.tensor(column, dtype=torch.float64) for column in columns))

    def along(offset: float) -> Float[Tensor, "2 energy"]:
        return torch.stack(dispersion_at(energy + offset, stack.element, stack.edge, spectrum))

    try:
        differs = float((along(0.0) - own_values(stack)).abs().max())
    except ValueError as error:
        raise InputError(f"{error}.") from error
    if differs > _SAME:
        raise InputError(
            "Refining the energy offset needs f', f'' of a measured spectrum or of Chantler's table, along which the "
            f"energies can move; the stack's ({stack.table or 'no table named'}) differ from it by {differs:.2g} "
            "electron; leave offset out, or convert the data with --spectrum or without f', f''."
        )
    return along


def _require_element(stack: Stack, what: str) -> None:
    """Refuse a stack that names no resonant element, so that nothing tells how f', f'' may differ."""
    if not stack.element:
        raise InputError(
            f"Refining {what} needs the resonant element; the stack names none; convert the data with --element."
        )


def own_values(stack: Stack) -> Float[Tensor, "2 energy"]:
    """The stack's own f', f'' [electron]."""
    return torch.stack([torch.tensor(part, dtype=torch.float64) for part in (stack.f_prime, stack.f_double_prime)])


def dispersion_covariance(stack: Stack, config: NuisanceConfig) -> Float[Tensor, "correction correction"]:
    r"""Prior covariance of all f', then all f'' [electron^2].

    .. math::
        \langle\delta f''(E)\,\delta f''(E')\rangle = s(E)\,s(E')\,e^{-(E-E')^2/2\ell^2},\quad
        \delta f' = KK[\delta f''],\quad
        s(E) = s_0 \left[\tfrac12 + \tfrac1\pi \arctan\frac{2(E - E_0)}{\Gamma}\right]

    within the window about the edge E_0, 0 outside it; and independent relative errors of a few per cent everywhere.

    Raises
    ------
    InputError
        Unknown element or edge.
    """
    _require_element(stack, "f', f''")
    try:
        edge = edge_energy(stack.element, stack.edge)
    except ValueError as error:
        raise InputError(f"{error}.") from error
    window, energy = config.dispersion_window_ev, torch.tensor(stack.energy, dtype=torch.float64)
    nodes = torch.arange(edge - window - _STEP, edge + window + 1.5 * _STEP, _STEP, dtype=torch.float64)
    from_edge = nodes - edge
    doubt = config.dispersion_sigma * (0.5 + torch.atan(2 * from_edge / config.edge_width_ev) / torch.pi)
    doubt[from_edge.abs() > window] = 0
    alike = torch.exp(-0.5 * ((nodes[:, None] - nodes) / config.structure_width_ev).square())
    root = doubt[:, None] * torch.linalg.cholesky(alike + _ROUNDING * torch.eye(len(nodes), dtype=torch.float64))
    inside = (energy > nodes[0]) & (energy < nodes[-1])
    rows = [torch.where(inside, interpolate(nodes, column, energy), 0.0) for column in root.T.contiguous()]
    follows = [kramers_kronig(nodes, column, energy) for column in root.T.contiguous()]
    both = torch.cat([torch.stack(follows, 1), torch.stack(rows, 1)])
    relative = config.dispersion_relative * own_values(stack).flatten().abs().clamp(min=_SAME)
    return both @ both.T + torch.diag(relative.square())
