"""Free atoms: form factor f0(|Q|), dispersion correction f'(E) + i f''(E), edges.

Only f0 comes from xraylib; f', f'' and the edges come from xraydb. xraylib's Fi and Fii must not be used for f' and
f'': they are sampled too coarsely near an edge, where they miss the resonance (Ni at 8333 eV: Fi = -4.87, Chantler
f' = -9.03; at 8313 eV: -Fii = 2.46, Chantler f'' = 0.51, so five times wrong), and Fii is negative where f'' >= 0.
"""

import math
from functools import lru_cache

import numpy as np
import scipy  # loads scipy.interpolate, half a second, where it is first used
import torch
import xraylib_np
from jaxtyping import Float
from torch import Tensor

from madpipe.physics import tables

_HEAVIEST = 92
_FIRST_KNOT = 1e-7  # 1/angstrom; xraylib_np answers 0 between 0 and this sin(theta)/lambda, where f0 = Z to 1e-11


def atomic_number(element: str) -> int:
    """Atomic number of a chemical symbol.

    Raises
    ------
    ValueError
        Not the symbol of an element from H to U; Chantler's tables end there.
    """
    number = tables.known_number(element)
    if not 1 <= number <= _HEAVIEST:
        raise ValueError(
            f"the symbol of an element from H to U (Z = 1 to 92) is required; {element!r} came; write it like 'Ni'"
        )
    return number


def edge_energy(element: str, edge: str) -> float:
    """Energy of an absorption edge [eV], from xraydb (Elam, Ravel and Sieber 2002).

    Raises
    ------
    ValueError
        Unknown element, or an edge that it lacks; the message names those it has.
    """
    energies = edge_energies(element)
    if edge not in energies:
        raise ValueError(
            f"an absorption edge of {element} is required; {edge!r} came; choose among {', '.join(energies)}"
        )
    return energies[edge]


def edge_energies(element: str) -> dict[str, float]:
    """Energies of all absorption edges of an element by name, K, L1, L2 ... [eV].

    Raises
    ------
    ValueError
        Unknown element.
    """
    atomic_number(element)
    return dict(tables.edges(element))


def form_factor(element: str, q: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Atomic form factor of the free atom, without dispersion.

    .. math:: f^0(|Q|) \text{ at } \sin\theta / \lambda = |Q| / 4 \pi

    Parameters
    ----------
    element:
        Chemical symbol.
    q:
        True momentum transfer \|Q\| >= 0, that is \|Q_Bragg + q\| near a Bragg peak [1/angstrom].

    Returns
    -------
    :
        [electron]; the atomic number at q = 0. No derivative is propagated to q.

    Raises
    ------
    ValueError
        Unknown element; q negative or not finite.

    References
    ----------
    Hubbell et al., J. Phys. Chem. Ref. Data 4, 471 (1975), as FF_Rayl of xraylib (Schoonjans et al.,
    Spectrochim. Acta B 66, 776 (2011)).
    """
    number = atomic_number(element)
    s = _as_array(q) / (4 * math.pi)
    if not (np.isfinite(s).all() and (s >= 0).all()):
        raise ValueError("finite |Q| >= 0 is required [1/angstrom]; one that is not came; check the grid")
    s = np.where(s < _FIRST_KNOT, 0.0, s)
    values = xraylib_np.FF_Rayl(np.array([number]), s.ravel())[0].reshape(s.shape)
    return torch.from_numpy(values).to(q)


def dispersion_correction(
    element: str, energy: Float[Tensor, "energy"]
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    r"""Dispersion correction of the free atom from Chantler's tables.

    .. math:: f(Q, E) = f^0(|Q|) + f'(E) + i f''(E), \quad f'' \ge 0

    Parameters
    ----------
    element:
        Chemical symbol.
    energy:
        Photon energies, in any order [eV].

    Returns
    -------
    :
        f' and f'' [electron]. f' includes the relativistic (3/5 Cromer-Liberman) and nuclear Thomson terms,
        -0.081 and -0.007 for Ni.

    Notes
    -----
    Between the table's nodes f' follows a cubic spline through the seven nearest of them and f'' a power law: what
    xraydb gives for one energy at a time. (For an array xraydb lays the spline through all of its range, so that
    f' at one energy would depend on which others are asked for, by 0.04 electron near the Ni K edge.)
    Not included: bonding, neighbours (near-edge structure, EXAFS), the sample's edge position. Within about
    15 eV of an edge take a measured spectrum (:func:`madpipe.physics.absorption.dispersion_from_spectrum`): a
    foil of Ni differs from this table there by up to 1.7 electron in f' and 1.8 in f''.

    Raises
    ------
    ValueError
        Unknown element; an energy outside the table (about 1 eV to 966 keV).

    References
    ----------
    Chantler, J. Phys. Chem. Ref. Data 24, 71 (1995); xraydb (Newville).
    """
    nodes, f_prime, _ = (column.numpy() for column in chantler_table(element))
    values = _inside(energy, nodes)
    bracket = np.searchsorted(nodes, values, side="right") - 1
    result = np.empty_like(values)
    for lower in np.unique(bracket):
        window = slice(max(0, lower - 3), lower + 4)
        here = bracket == lower
        result[here] = scipy.interpolate.CubicSpline(nodes[window], f_prime[window])(values[here])
    return torch.from_numpy(result).to(energy), absorptive_part(element, energy)


def absorptive_part(element: str, energy: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Chantler's f'' >= 0 alone [electron] at photon energies [eV]; a power law between the table's nodes.

    Raises
    ------
    ValueError
        Unknown element; an energy outside the table.
    """
    nodes, _, f_double_prime = (column.numpy() for column in chantler_table(element))
    logarithm = np.interp(np.log(_inside(energy, nodes)), np.log(nodes), np.log(f_double_prime))
    return torch.from_numpy(np.exp(logarithm)).to(energy)


@lru_cache(maxsize=128)
def chantler_table(
    element: str,
) -> tuple[Float[Tensor, "node"], Float[Tensor, "node"], Float[Tensor, "node"]]:
    """Chantler's table as it is printed: photon energies [eV], f' and f'' [electron]; not to be written to.

    Raises
    ------
    ValueError
        Unknown element.
    """
    atomic_number(element)
    energy, first, second = (torch.tensor(column, dtype=torch.float64) for column in tables.chantler(element))
    return energy, first, second


def _as_array(values: Tensor) -> np.ndarray:
    """Double precision on the host, where the tables are."""
    return values.detach().cpu().double().numpy()


def _inside(energy: Tensor, nodes: np.ndarray) -> np.ndarray:
    """Energies as an array, after checking that the table covers them."""
    values = _as_array(energy)
    outside = values[~((values >= nodes[0]) & (values <= nodes[-1]))]
    if outside.size:
        raise ValueError(
            f"photon energies within Chantler's table, {nodes[0]:.6g} to {nodes[-1]:.6g} eV, are required; "
            f"{outside[0]:.6g} came; give them in eV"
        )
    return values
