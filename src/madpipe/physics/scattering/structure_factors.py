"""Structure factors of spheres that repel or stick, and how they act on particles that are not all alike."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.physics.scattering.baxter import imaginary, moments, parabola, structure_factor
from madpipe.physics.scattering.yukawa import screened_structure_factor

MOST_DENSE = math.pi / math.sqrt(18)  # volume fraction of spheres on a close-packed lattice
_CHARGE, _BOLTZMANN, _VACUUM, _AVOGADRO = 1.602176634e-19, 1.380649e-23, 8.8541878128e-12, 6.02214076e23  # SI


def hard_sphere(
    q: Float[Tensor, "q"], radius: Float[Tensor, "*batch"], phi: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch q"]:
    r"""Structure factor of hard spheres in Percus and Yevick's closure.

    .. math:: a = \frac{1 + 2 \phi}{(1 - \phi)^2}, \quad b = \frac{-3 \phi}{2 (1 - \phi)^2}

    Parameters
    ----------
    q:
        [1/angstrom], 0 included.
    radius:
        Half the distance of closest approach [angstrom].
    phi:
        Volume fraction of spheres of that radius, 0 <= phi < 0.74 [1]. The closure is good to about 0.5: beyond, its
        spheres overlap the order of a crystal.

    Returns
    -------
    :
        [1]; :math:`(1 - \phi)^4 / (1 + 2 \phi)^2` at q = 0.

    Raises
    ------
    ValueError
        Radius or volume fraction out of range.

    References
    ----------
    Percus and Yevick, Phys. Rev. 110, 1 (1958); the factor function: :mod:`madpipe.physics.scattering.baxter`.
    """
    _check_spheres(radius, phi)
    eta, w = phi[..., None], imaginary(2 * radius[..., None] * q)
    width = (1 - eta) ** 2
    return structure_factor(eta, parabola(w, (1 + 2 * eta) / width, -1.5 * eta / width))


def sticky_hard_sphere(
    q: Float[Tensor, "q"],
    radius: Float[Tensor, "*batch"],
    phi: Float[Tensor, "*#batch"],
    tau: Float[Tensor, "*#batch"],
    width: float = 0.0,
) -> Float[Tensor, "*batch q"]:
    r"""Structure factor of hard spheres that stick at contact, in Percus and Yevick's closure.

    .. math:: Q(r) = \tfrac a2 (r^2 - 1) + b (r - 1) + \tfrac{\lambda}{12}, \quad
              a = \frac{1 + 2 \eta - \mu}{(1 - \eta)^2}, \quad b = \frac{\mu - 3 \eta}{2 (1 - \eta)^2}, \quad
              \mu = \lambda \eta (1 - \eta)

    Parameters
    ----------
    q:
        [1/angstrom], 0 included.
    radius:
        Of the hard core [angstrom].
    phi:
        Volume fraction of the hard cores [1].
    tau:
        Baxter's parameter > 0: the smaller, the stickier; hard spheres at infinity [1].
    width:
        Of the attractive well over the distance of its outer edge, 0 <= width < 0.2 [1]. Baxter's limit at 0; else
        Menon's first order in it: diameter / (1 - width), volume fraction / (1 - width)^3.

    Raises
    ------
    ValueError
        Radius, volume fraction, tau or width out of range; no homogeneous fluid exists (:func:`is_fluid`).

    References
    ----------
    Baxter, J. Chem. Phys. 49, 2770 (1968); Menon, Manohar and Rao, J. Chem. Phys. 95, 9186 (1991).
    """
    _check_spheres(radius, phi)
    if not bool((tau > 0).all()) or not 0 <= width < 0.2:
        raise ValueError(
            f"tau above 0 and a well's width in 0 to 0.2 are required; {tau.min().item():g} and {width:g} came; take a "
            f"larger tau or a narrower well"
        )
    core = phi / (1 - width) ** 3
    if not bool(is_fluid(core, tau).all()):
        raise ValueError(
            f"tau and a volume fraction at which sticky spheres are one fluid are required; tau down to "
            f"{tau.min().item():g} and volume fractions up to {core.max().item():g} came; take a larger tau"
        )
    eta = core[..., None]
    small, _ = _stickiness(eta, tau[..., None])
    mu, square = small * eta * (1 - eta), (1 - eta) ** 2
    w = imaginary(2 * radius[..., None] * q / (1 - width))
    inside = parabola(w, (1 + 2 * eta - mu) / square, (mu - 3 * eta) / (2 * square))
    return structure_factor(eta, inside + small / 12 * moments(w)[0])


def is_fluid(phi: Float[Tensor, "*batch"], tau: Float[Tensor, "*#batch"]) -> Bool[Tensor, "*batch"]:
    r"""Say where sticky spheres are one homogeneous fluid in Baxter's solution.

    .. math:: \frac{\eta}{12} \lambda^2 - \left(\tau + \frac{\eta}{1 - \eta}\right) \lambda
              + \frac{1 + \eta / 2}{(1 - \eta)^2} = 0

    must have real roots. The smaller one goes over into a dilute fluid, and must leave
    :math:`\mu = \lambda \eta (1 - \eta) < 1 + 2 \eta`; the larger one, which diverges at
    :math:`\eta \to 0`, describes no fluid.
    """
    small, radicand = _stickiness(phi, tau)
    return (radicand >= 0) & (phi < 1) & (small * phi * (1 - phi) < 1 + 2 * phi)


def _stickiness(eta: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Smaller root lambda of Baxter's quadratic equation, and the radicand; without cancellation, phi = 0 included."""
    linear = tau + eta / (1 - eta)
    constant = (1 + eta / 2) / (1 - eta) ** 2
    radicand = linear.square() - eta * constant / 3
    return 2 * constant / (linear + radicand.clamp_min(0).sqrt()), radicand


def hayter_penfold(
    q: Float[Tensor, "q"],
    radius: Float[Tensor, ""],
    phi: Float[Tensor, ""],
    charge: Float[Tensor, ""],
    salt: Float[Tensor, ""],
    temperature: float = 298.15,
    permittivity: float = 78.4,
) -> Float[Tensor, "q"]:
    r"""Structure factor of charged spheres in a solution of salt: rescaled mean spherical approximation.

    .. math:: \gamma = \frac{Z^2 e^2}{\pi \epsilon_0 \epsilon\, k T\, \sigma (2 + \kappa \sigma)^2}, \quad
              \kappa^2 = \frac{e^2}{\epsilon_0 \epsilon\, k T} \left(\frac{Z \phi}{V} + 2 c_{salt}\right)

    Parameters
    ----------
    q:
        [1/angstrom], 0 included.
    radius, phi:
        Of the spheres, diameter sigma [angstrom] and volume fraction [1].
    charge:
        Z > 0 of a sphere [elementary charges]; its counter-ions carry one each.
    salt:
        Concentration of an added salt of ions of one charge [mol/litre].
    temperature:
        [kelvin].
    permittivity:
        Of the solvent relative to vacuum; water at 298 K unless told [1].

    Raises
    ------
    ValueError
        A value out of range; no solution.

    References
    ----------
    Hayter and Penfold, Mol. Phys. 42, 109 (1981); Hansen and Hayter, Mol. Phys. 46, 651 (1982).
    """
    _check_spheres(radius, phi)
    if not (bool((charge > 0) & (salt >= 0) & (phi > 0)) and temperature > 0 and permittivity > 0):
        raise ValueError(
            f"charge, volume fraction, temperature and permittivity above 0 and no negative concentration of salt are "
            f"required; {charge.item():g}, {phi.item():g}, {temperature:g}, {permittivity:g} and {salt.item():g} "
            f"came; use hard_sphere where there is no charge"
        )
    diameter = 2e-10 * radius  # metre
    thermal = math.pi * _VACUUM * permittivity * _BOLTZMANN * temperature
    ions = charge * phi / (math.pi / 6 * diameter**3) + 2e3 * _AVOGADRO * salt
    decay = diameter * (math.pi * _CHARGE**2 / thermal * ions).sqrt()
    contact = (charge * _CHARGE).square() / (thermal * diameter * (2 + decay).square())
    return screened_structure_factor(2 * radius * q, phi, contact, decay)


def decoupling(
    mean_amplitude: Float[Tensor, "*shape"], mean_square: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    r"""Decoupling factor :math:`\beta(q) = \langle F \rangle^2 / \langle |F|^2 \rangle` of particles that differ, <= 1.

    Parameters
    ----------
    mean_amplitude:
        Modulus of F averaged over sizes and orientations [any unit].
    mean_square:
        \|F\|^2 averaged in the same way [its square]. Both averages are per particle, by number.

    References
    ----------
    Kotlarchyk and Chen, J. Chem. Phys. 79, 2461 (1983), eq. 13.
    """
    return mean_amplitude.square() / mean_square


def decoupled(structure: Float[Tensor, "*#shape"], beta: Float[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]:
    r"""Structure factor that acts on the mean intensity, :math:`1 + \beta(q) [S(q) - 1]`.

    Positions are taken as independent of size and orientation; S is that of spheres of one effective radius
    (:func:`effective_radius`). Particles all alike: beta = 1.
    """
    return 1 + beta * (structure - 1)


def effective_radius(outer_volume: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Radius of a sphere of the mean outer volume [angstrom]; a structure factor takes it unless told another."""
    return (0.75 / math.pi * outer_volume) ** (1 / 3)


def _check_spheres(radius: Tensor, phi: Tensor) -> None:
    """Refuse what is no fluid of spheres."""
    if not (bool((radius > 0).all()) and bool(((phi >= 0) & (phi < MOST_DENSE)).all())):
        raise ValueError(
            f"radii above 0 [angstrom] and volume fractions from 0 to {MOST_DENSE:.2f} are required; radii from "
            f"{radius.min().item():g}, volume fractions {phi.min().item():g} to {phi.max().item():g} came; take a "
            f"smaller volume fraction"
        )
