r"""Terms beside the likelihood: what is believed of a particle, each weak, each switchable.

A term gives, for densities of both kinds of atoms in a box, its value (half a chi-square), its downhill gradient, the
product of its curvature with a change, and a draw of noise with that curvature as covariance.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

Atoms = Complex[Tensor, "kind *box"]
_TINY = 1e-20


class Linear(NamedTuple):
    """A term about some densities."""

    value: float
    downhill: Atoms
    curvature: Callable[[Atoms], Atoms]
    noise: Callable[[torch.Generator], Atoms]


Prior = Callable[[Atoms], Linear]


def even_density(inside: Bool[Tensor, "*box"], level: float, width: float) -> Prior:
    r"""The modulus of all atoms' density is the same in every full voxel, as in a crystal.

    .. math:: \tfrac12 \sum_{r \in inside} (|n_A + n_N| - n_0)^2 / w^2

    Wrong images of one diffraction pattern are uneven: with this term the search finds its way past them.

    Parameters
    ----------
    inside:
        Full voxels.
    level, width:
        :math:`n_0` and w [unit of the densities].
    """
    weight = inside.float() / width**2

    def prior(atoms: Atoms) -> Linear:
        total = atoms.sum(0)
        modulus = total.abs().clamp(min=_TINY)
        direction, off = total / modulus, modulus - level

        def curvature(change: Atoms) -> Atoms:
            return _alike(weight * (direction.conj() * change.sum(0)).real * direction, atoms)

        def noise(generator: torch.Generator) -> Atoms:
            return _alike(weight.sqrt() * normal(weight, generator) * direction, atoms)

        return Linear(
            0.5 * float((weight * off * off).sum()), _alike(-weight * off * direction, atoms), curvature, noise
        )

    return prior


def composition_prior(inside: Bool[Tensor, "*box"], smoothness: float, common_phase: float, bounds: float) -> Prior:
    r"""Weak beliefs about the composition x = Re(n_A t*) / |t|^2, t = n_A + n_N, and about the part out of phase.

    .. math:: \sum_{\langle r r' \rangle} \left(\sqrt{1 + (x_r - x_{r'})^2 / s^2} - 1\right)
              + \frac{1}{2 p^2} \sum_r y_r^2
              + \frac{1}{2 b^2} \sum_r [x_r < 0]\, x_r^2 + [x_r > 1]\, (x_r - 1)^2,\quad x + iy = n_A / t

    Neighbours differ by s or so, but a sharp interface costs no more than a gradual one of the same height. Curvature
    is Gauss and Newton's, that of the root as of the parabola that touches it. Each width may be 0: then the term is
    left out.

    Parameters
    ----------
    inside:
        Voxels that the terms are about.
    smoothness:
        s, usual difference of neighbours' composition [1].
    common_phase:
        p, rms of y: both kinds of atoms share one displacement [1].
    bounds:
        b, how far shares beyond 0 and 1 may lie [1].

    References
    ----------
    Charbonnier et al., IEEE Trans. Image Process. 6, 298 (1997), on penalties that keep edges and their half-quadratic
    minimisation.
    """
    pairs = [(inside & inside.roll(-1, axis)).float() for axis in range(inside.ndim)]
    inverse = _inverse_square(smoothness)

    def prior(atoms: Atoms) -> Linear:
        total = atoms.sum(0)
        share = torch.where(inside, atoms[0] / torch.where(inside, total, 1), 0)
        beyond = inside & ((share.real < 0) | (share.real > 1))
        widths = ((beyond, bounds), (inside, common_phase))  # of the real and of the imaginary part
        diagonal = torch.complex(*(where.to(share.real) * _inverse_square(width) for where, width in widths))
        off = torch.complex(torch.where(beyond, share.real - share.real.clamp(0, 1), 0), share.imag)
        slope = torch.where(inside, 1 / torch.where(inside, total, 1), 0)
        by = torch.stack([slope * (1 - share), -slope * share])  # d share / d n_A, d n_N

        steps = [(share.real - share.real.roll(-1, axis)).square() * inverse for axis in range(share.ndim)]
        roots = [(1 + step).sqrt() for step in steps]
        bonds = [inverse * pair / root for pair, root in zip(pairs, roots, strict=True)]

        def weighted(change: Tensor) -> Tensor:
            real = diagonal.real * change.real + laplacian(change.real, bonds)
            return torch.complex(real, diagonal.imag * change.imag)

        def curvature(change: Atoms) -> Atoms:
            return by.conj() * weighted((by * change).sum(0))

        def noise(generator: torch.Generator) -> Atoms:
            real = diagonal.real.sqrt() * normal(diagonal.real, generator)
            for axis, bond in enumerate(bonds):
                drawn = bond.sqrt() * normal(bond, generator)
                real = real + drawn - drawn.roll(1, axis)
            return by.conj() * torch.complex(real, diagonal.imag.sqrt() * normal(real, generator))

        pull = torch.complex(diagonal.real * off.real + laplacian(share.real, bonds), diagonal.imag * off.imag)
        value = (diagonal.real * off.real**2 + diagonal.imag * off.imag**2).sum()
        value = value + 2 * sum((pair * (root - 1)).sum() for pair, root in zip(pairs, roots, strict=True))
        return Linear(0.5 * float(value), -by.conj() * pull, curvature, noise)

    return prior


def together(priors: Sequence[Prior]) -> Prior | None:
    """Several terms as one; None where there is none."""
    if not priors:
        return None

    def prior(atoms: Atoms) -> Linear:
        terms = [one(atoms) for one in priors]
        return Linear(
            sum(term.value for term in terms),
            torch.stack([term.downhill for term in terms]).sum(0),
            lambda change: torch.stack([term.curvature(change) for term in terms]).sum(0),
            lambda generator: torch.stack([term.noise(generator) for term in terms]).sum(0),
        )

    return prior


def _alike(change: Tensor, atoms: Atoms) -> Atoms:
    """What acts on all kinds of atoms alike."""
    return change[None].expand_as(atoms)


def laplacian(values: Float[Tensor, "*box"], bonds: Sequence[Float[Tensor, "*box"]]) -> Float[Tensor, "*box"]:
    """Sum over a voxel's neighbours of its value less theirs, by the weight of their bond."""
    found = torch.zeros_like(values)
    for axis, bond in enumerate(bonds):
        step = bond * (values - values.roll(-1, axis))
        found = found + step - step.roll(1, axis)
    return found


def _inverse_square(width: float) -> float:
    """Weight of a width; 0 where the term is left out."""
    return 1 / width**2 if width > 0 else 0.0


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, drawn on the generator's device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
