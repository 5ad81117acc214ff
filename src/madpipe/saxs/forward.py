"""THE equation of small-angle scattering. Everywhere: I in 1/cm, q in 1/angstrom, contrasts in 1e-6/angstrom^2."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

PER_CM = 1e-4  # (1e-6/angstrom^2)^2 angstrom^3 -> 1/cm


def cross_section(
    gram: Float[Tensor, "*q region region"],
    mean: Float[Tensor, "*q region"],
    volume: Float[Tensor, "*#q"],
    contrasts: Float[Tensor, "*#q region"] | Complex[Tensor, "*#q region"],
    structure: Float[Tensor, "*#q"] | None = None,
) -> Float[Tensor, "*q"]:
    r"""Differential cross section per volume, of particles that fill all of it.

    .. math::
        \frac{d\Sigma}{d\Omega} / \phi = \frac{1}{\langle V \rangle} \langle|F|^2\rangle [1 + \beta (S - 1)], \quad
        \langle|F|^2\rangle = \sum_{kl} c_k^* \langle f_k f_l \rangle c_l, \quad
        \beta = |\sum_k c_k \langle f_k \rangle|^2 / \langle|F|^2\rangle

    Parameters
    ----------
    gram:
        :math:`\langle f_k f_l \rangle`, regions' amplitudes averaged over orientation and size [angstrom^6].
    mean:
        :math:`\langle f_k \rangle` [angstrom^3].
    volume:
        Mean volume of a particle, as phi counts it [angstrom^3].
    contrasts:
        Scattering length densities less the solvent's; complex near an absorption edge [1e-6/angstrom^2].
    structure:
        S(q) of the particles' places; none: dilute [1].

    Returns
    -------
    :
        [1/cm] for a volume fraction of 1, before smearing, without background.

    Notes
    -----
    Near a match point <|F|^2> cancels: rounding is relative to the largest of its terms.

    References
    ----------
    Kotlarchyk and Chen, J. Chem. Phys. 79, 2461 (1983), eq. 11 (decoupling of places from sizes and orientations).
    """
    kind = contrasts.dtype
    square = torch.einsum("...k,...kl,...l->...", contrasts.conj(), gram.to(kind), contrasts)
    per_volume = PER_CM * (square.real if square.is_complex() else square) / volume
    if structure is None:
        return per_volume
    amplitude = torch.einsum("...k,...k->...", contrasts, mean.to(kind)).abs().square()
    return per_volume + PER_CM * amplitude / volume * (structure - 1)
