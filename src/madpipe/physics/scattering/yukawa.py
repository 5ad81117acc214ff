r"""Spheres that repel each other by a screened potential: mean spherical approximation, by Baxter's factorisation.

In diameters, with :math:`\gamma` the potential at contact over kT and z the decay:

.. math:: c(r) = -\gamma\, e^{-z (r - 1)} / r \;(r > 1), \qquad g(r) = 0 \;(r < 1)

.. math:: Q(r) = \tfrac a2 (r^2 - 1) + b (r - 1) + E e^{-z r} - c \;(r < 1), \quad d\, e^{-z (r - 1)} \;(r > 1),
          \quad c = E e^{-z} - d

a and b follow from E and d linearly (g = 0 inside). With :math:`\tilde Q(z) = \int_0^\infty e^{-z r} Q dr` the two
that are left solve

.. math:: -\gamma = z d\, [1 - 12 \eta \tilde Q(z)], \qquad
          E\, [1 - 12 \eta \tilde Q(z)] = \frac{12 \eta d}{z} \left[\frac{a (1 + z)}{z^2} + \frac bz - \frac c2\right]

Where strong repulsion of few spheres makes the approximation's g(1+) negative, diameters are scaled up, the potential
between the centres kept, until g(1+) = 0: no two spheres come that near anyhow.

References
----------
Hoye and Blum, J. Stat. Phys. 16, 399 (1977) (the factorisation); Hayter and Penfold, Mol. Phys. 42, 109 (1981);
Hansen and Hayter, Mol. Phys. 46, 651 (1982) (the scaling).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy.optimize import brentq
from torch import Tensor

from madpipe.physics.scattering.baxter import imaginary, moments, parabola, structure_factor

_NEWTON = 30  # steps at most
_CONVERGED = 1e-13  # of the unknowns
_FEWEST = 1e-4  # of the coupling, the smallest step of its continuation
_WIDER = 0.93  # factor of the scale between trials, until the spheres touch


@dataclass(frozen=True)
class _Linear:
    """What is linear in the two unknowns, as coefficients of (1, E, d)."""

    a: Float[Tensor, "3"]
    b: Float[Tensor, "3"]
    laplace: Float[Tensor, "3"]  # of 1 - 12 eta Q~(z)
    bracket: Float[Tensor, "3"]  # a (1 + z) / z^2 + b / z - c / 2
    contact: Float[Tensor, "3"]  # g(1+)


def screened_structure_factor(
    x: Float[Tensor, "q"], eta: Float[Tensor, ""], contact: Float[Tensor, ""], decay: Float[Tensor, ""]
) -> Float[Tensor, "q"]:
    r"""Structure factor of spheres with a repulsive screened potential.

    Parameters
    ----------
    x:
        q times the diameter [1].
    eta:
        Volume fraction of the spheres [1].
    contact:
        :math:`\gamma` >= 0, potential at contact [kT].
    decay:
        z, diameter over the screening length [1].

    Returns
    -------
    :
        Differentiable with respect to all arguments.

    Raises
    ------
    ValueError
        The equations have no solution that is connected to that without a potential.
    """
    scale = _scale(eta.item(), contact.item(), decay.item())
    unknown = _solved(*_scaled(eta.detach(), contact.detach(), decay.detach(), torch.tensor(scale)))
    place = torch.tensor([*unknown, scale])
    place = _with_derivatives(place, eta, contact, decay, scaled=scale < 1)
    eta, contact, decay = _scaled(eta, contact, decay, place[2])
    linear = _linear(eta, decay)
    one = torch.cat([torch.ones_like(place[:1]), place[:2]])
    a, b = linear.a @ one, linear.b @ one
    return structure_factor(eta, _transform(imaginary(x / place[2]), a, b, place[0], place[1], decay))


def _scaled(eta: Tensor, contact: Tensor, decay: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Volume fraction, potential at contact and decay where diameters are 1 / scale of themselves."""
    wider = decay / scale
    return eta / scale**3, contact * scale * torch.exp(decay - wider), wider


def _transform(
    w: Complex[Tensor, "q"], a: Tensor, b: Tensor, inner: Tensor, outer: Tensor, decay: Tensor
) -> Complex[Tensor, "q"]:
    r"""Integral :math:`\int_0^\infty e^{w r} Q dr`."""
    level = inner * torch.exp(-decay) - outer
    steep = (torch.exp(w - decay) - 1) / (w - decay)
    return parabola(w, a, b) + inner * steep - level * moments(w)[0] + outer * torch.exp(w) / (decay - w)


def _linear(eta: Tensor, decay: Tensor) -> _Linear:
    """Coefficients of what is linear in E and d."""
    z, small = decay, torch.exp(-decay)
    zero, one = torch.zeros_like(z), torch.ones_like(z)
    zeroth, first, second = (part.real for part in moments(torch.complex(-z, zero)))
    level = torch.stack([zero, small, -one])  # c
    area = torch.stack([zero, zeroth, 1 / z]) - level
    moment = torch.stack([zero, first, 1 / z + 1 / z**2]) - level / 2
    right = torch.stack([-12 * eta * area, 12 * eta * moment])
    right = right + torch.tensor([[1.0, 0, 0], [0, 0, 0]]).to(right)
    determinant = (1 - 4 * eta) * (1 + 2 * eta) + 9 * eta**2
    a = ((1 + 2 * eta) * right[0] + 6 * eta * right[1]) / determinant
    b = ((1 - 4 * eta) * right[1] - 1.5 * eta * right[0]) / determinant
    laplace = a * (second - zeroth) / 2 + b * (first - zeroth) - level * zeroth
    laplace = laplace + torch.stack([zero, (1 - small**2) / (2 * z), small / (2 * z)])
    start = torch.tensor([1.0, 0, 0]).to(z)
    return _Linear(a, b, start - 12 * eta * laplace, a * (1 + z) / z**2 + b / z - level / 2, a + b - z * level)


def _equations(place: Tensor, eta: Tensor, contact: Tensor, decay: Tensor, linear: _Linear) -> Float[Tensor, "2"]:
    """What the two unknowns make zero."""
    one = torch.cat([torch.ones_like(place[:1]), place[:2]])
    laplace, bracket = linear.laplace @ one, linear.bracket @ one
    return torch.stack(
        [contact + decay * place[1] * laplace, place[0] * laplace - 12 * eta * place[1] / decay * bracket]
    )


def _solved(eta: Tensor, contact: Tensor, decay: Tensor) -> Float[np.ndarray, "2"]:
    """E and d, followed from no potential to the whole of it."""
    linear = _linear(eta, decay)
    laplace, bracket = linear.laplace.numpy(), linear.bracket.numpy()
    numbers = (float(eta), float(decay))
    place, reached, step = np.zeros(2), 0.0, 1.0
    while reached < 1:
        trial = _newton(place, min(reached + step, 1.0) * float(contact), numbers, laplace, bracket)
        if trial is None:
            step /= 2
            if step < _FEWEST:
                raise ValueError(
                    f"spheres whose screened repulsion the mean spherical approximation can solve are required; "
                    f"volume fraction {eta.item():g}, {contact.item():g} kT at contact and decay {decay.item():g} per "
                    f"diameter came; take less charge or more salt"
                )
            continue
        place, reached, step = trial, min(reached + step, 1.0), 2 * step
    return place


def _newton(
    place: np.ndarray, contact: float, numbers: tuple[float, float], laplace: np.ndarray, bracket: np.ndarray
) -> np.ndarray | None:
    """Newton's method for the two equations; nothing where it does not converge to a stable fluid."""
    eta, z = numbers
    for _ in range(_NEWTON):
        one = np.array([1.0, *place])
        inner, outer = place
        low, high = laplace @ one, bracket @ one
        wrong = np.array([contact + z * outer * low, inner * low - 12 * eta * outer / z * high])
        slope = np.array(
            [
                [z * outer * laplace[1], z * (low + outer * laplace[2])],
                [low + inner * laplace[1], inner * laplace[2]],
            ]
        )
        slope[1] -= 12 * eta / z * np.array([outer * bracket[1], high + outer * bracket[2]])
        step = np.linalg.solve(slope, -wrong)
        place = place + step
        if not np.isfinite(place).all():
            return None
        if np.abs(step).max() <= _CONVERGED * max(1.0, np.abs(place).max()):
            return place if laplace @ np.array([1.0, *place]) > 0 else None
    return None


def _contact_value(eta: float, contact: float, decay: float, scale: float) -> float:
    """g(1+) where diameters are 1 / scale of themselves."""
    numbers = _scaled(*(torch.tensor(one) for one in (eta, contact, decay, scale)))
    place = _solved(*numbers)
    return float(_linear(numbers[0], numbers[2]).contact.numpy() @ np.array([1.0, *place]))


def _scale(eta: float, contact: float, decay: float) -> float:
    """Scale of lengths at which spheres just touch: 1 where they do anyhow."""
    if contact <= 0 or _contact_value(eta, contact, decay, 1.0) >= 0:
        return 1.0
    wrong, right = 1.0, _WIDER
    while _contact_value(eta, contact, decay, right) < 0:
        wrong, right = right, right * _WIDER
    return float(brentq(lambda scale: _contact_value(eta, contact, decay, scale), right, wrong, xtol=1e-14))


def _with_derivatives(place: Tensor, eta: Tensor, contact: Tensor, decay: Tensor, scaled: bool) -> Tensor:
    """One more step of Newton's method, through which derivatives pass to the arguments (implicit functions)."""

    def wrong(at: Tensor, eta: Tensor, contact: Tensor, decay: Tensor) -> Tensor:
        made = _scaled(eta, contact, decay, at[2])
        linear = _linear(made[0], made[2])
        touch = linear.contact @ torch.cat([torch.ones_like(at[:1]), at[:2]]) if scaled else at[2] - 1
        return torch.cat([_equations(at, *made, linear), touch[None]])

    fixed = (eta.detach(), contact.detach(), decay.detach())
    slope: Tensor = torch.autograd.functional.jacobian(lambda at: wrong(at, *fixed), place)  # type: ignore[no-untyped-call]
    better: Tensor = place - torch.linalg.solve(slope, wrong(place, eta, contact, decay))
    return better
