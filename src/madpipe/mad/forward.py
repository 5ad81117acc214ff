"""The MAD equation. Everywhere: F = sum f exp(+i Q.r), Q = k_out - k_in, hence f'' >= 0 absorbs.

Every function broadcasts: energies may stand on any axis, as long as the arguments agree.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def anomalous_factor(
    f_prime: Float[Tensor, "*#shape"], f_double_prime: Float[Tensor, "*#shape"]
) -> Complex[Tensor, "*shape"]:
    r"""Anomalous part of an atom's scattering factor, :math:`f' + i f''` [electron].

    It stands in place of :math:`\rho_E` where :math:`a = F_A / f^0` stands in place of :math:`F_A`.
    """
    return torch.complex(f_prime, f_double_prime)


def dispersion_ratio(
    f_prime: Float[Tensor, "*#shape"], f_double_prime: Float[Tensor, "*#shape"], f0: Float[Tensor, "*#shape"]
) -> Complex[Tensor, "*shape"]:
    r"""Anomalous amplitude of the resonant element over its Thomson amplitude.

    .. math:: \rho_E(Q) = (f'(E) + i f''(E)) / f^0(|Q|)

    Parameters
    ----------
    f_prime, f_double_prime:
        Dispersion correction [electron]; f'' >= 0. A Friedel mate takes -f''.
    f0:
        Atomic form factor at the true momentum transfer, \|Q_Bragg + q\| [electron].
    """
    return torch.complex(f_prime / f0, f_double_prime / f0)


def mad_intensity(
    f_total: Complex[Tensor, "*#shape"],
    f_resonant: Complex[Tensor, "*#shape"],
    ratio: Complex[Tensor, "*#shape"],
) -> Float[Tensor, "*shape"]:
    r"""Intensity at each photon energy of a particle with one resonant element.

    .. math:: I_E(Q) = |F_T(Q) + \rho_E(Q)\, F_A(Q)|^2

    Parameters
    ----------
    f_total:
        :math:`F_T`, all atoms, normal scattering [electron, or sqrt(photon)].
    f_resonant:
        :math:`F_A`, the resonant atoms' share of :math:`F_T`, in its unit.
    ratio:
        :math:`\rho = (f' + i f'')/f^0` from :func:`dispersion_ratio` [1].

    Returns
    -------
    :
        [unit of f_total squared], before noise, polarisation and solid angle.

    Notes
    -----
    Rounding is relative to :math:`(|F_T| + |\rho F_A|)^2`, not to I: near an extinction
    float32 keeps no digits of I.

    References
    ----------
    Karle, Int. J. Quantum Chem. Symp. 7, 357 (1980); Hendrickson, Science 254, 51 (1991).
    """
    amplitude = mad_amplitude(f_total, f_resonant, ratio)
    return amplitude.real.square() + amplitude.imag.square()


def mad_amplitude(
    f_total: Complex[Tensor, "*#shape"],
    f_resonant: Complex[Tensor, "*#shape"],
    ratio: Complex[Tensor, "*#shape"],
) -> Complex[Tensor, "*shape"]:
    r"""Scattered amplitude :math:`F_T + \rho_E F_A` whose square is :func:`mad_intensity`, in its arguments."""
    return f_total + ratio * f_resonant


def intensity_slopes(
    amplitude: Complex[Tensor, "*#shape"], reduced: Complex[Tensor, "*#shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    r"""Derivatives of an intensity :math:`|F_T + (f' + i f'') a|^2` by f' and by f''.

    .. math:: \partial I / \partial f' = 2 \Re(F^* a),\quad \partial I / \partial f'' = -2 \Im(F^* a)

    Parameters
    ----------
    amplitude:
        F, what stands between the bars, from :func:`mad_amplitude`.
    reduced:
        :math:`a = F_A / f^0`.
    """
    along = amplitude.conj() * reduced
    return 2 * along.real, -2 * along.imag


def design_matrix(ratio: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape 4"]:
    r"""Rows that make the MAD equation linear, :math:`I_E = a_E \cdot z`, in :func:`linear_unknowns`.

    .. math:: a_E = (1,\ |\rho|^2,\ 2 \Re\rho,\ 2 \Im\rho)
    """
    return torch.stack([torch.ones_like(ratio.real), ratio.abs().square(), 2 * ratio.real, 2 * ratio.imag], dim=-1)


def linear_unknowns(
    f_total: Complex[Tensor, "*#shape"], f_resonant: Complex[Tensor, "*#shape"]
) -> Float[Tensor, "*shape 4"]:
    r"""Unknowns of the linear form, on the cone :math:`z_0 z_1 = z_2^2 + z_3^2` with :math:`z_0, z_1 \ge 0`.

    .. math:: z = (|F_T|^2,\ |F_A|^2,\ |F_T||F_A|\cos\Delta\phi,\ |F_T||F_A|\sin\Delta\phi)
    """
    cross = f_total * f_resonant.conj()
    parts = torch.broadcast_tensors(f_total.abs().square(), f_resonant.abs().square(), cross.real, cross.imag)
    return torch.stack(parts, dim=-1)


def real_parameters(
    f_total: Complex[Tensor, "*shape"], f_resonant: Complex[Tensor, "*shape"]
) -> Float[Tensor, "3 *shape"]:
    r"""The three numbers that intensities depend on: x = \|F_T\| and a + ib = :math:`|F_A| e^{i\Delta\phi}`."""
    modulus = f_total.abs()
    turned = f_total * f_resonant.conj() / modulus.clamp(min=torch.finfo(modulus.dtype).tiny)
    return torch.stack([modulus, turned.real, turned.imag])


def in_resonant_gauge(
    f_total: Float[Tensor, "*#shape"], delta_phi: Float[Tensor, "*#shape"]
) -> Complex[Tensor, "*shape"]:
    r"""Complex :math:`F_T` when the unknown phase of :math:`F_A` is set to zero: :math:`|F_T| e^{i\Delta\phi}`.

    Then :math:`F_A = |F_A|` is real and :math:`F_N = F_T - F_A`; intensities do not depend on the gauge.
    """
    return torch.polar(*torch.broadcast_tensors(f_total, delta_phi))
