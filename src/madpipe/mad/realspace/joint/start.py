"""Cold start: from a first image to densities and support, all energies taken as one and the composition as even.

Two moves in turn lead out of wrong images: a search of the likelihood in which full voxels are believed to be equally
dense, and iterations of phase retrieval on the tight support that it leaves. Either alone stays in stripes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from madpipe.base.runtime import log
from madpipe.mad.config import JointConfig
from madpipe.mad.realspace.joint.domain import HALF, box_of, core_of, cut, full_density, pasted
from madpipe.mad.realspace.joint.model import Experiment, evened, minus_log_likelihood, with_noise
from madpipe.mad.realspace.joint.priors import even_density
from madpipe.mad.realspace.joint.search import search
from madpipe.physics.alignment import twin
from madpipe.physics.fourier import centred, cornered
from madpipe.physics.phasing import STEPS, Moduli, dilate, interior

_LOOSE = (0.5, 0.5, 1.0)  # width of the belief in an even density, in standard errors; domain two voxels wide
_TIGHT = (0.5, 0.5, 1.0, 2.0)  # after a kick; domain one voxel wide
_STEPS = 8  # of each search
_TOLERANCE = 0.05
# iterations of phase retrieval in one kick and the next
_KICKS = ((("raar", 80), ("er", 10)), (("hio", 40), ("er", 10)), (("raar", 160), ("er", 20)))
_LONG_KICKS = ((("hio", 150), ("er", 10)), (("raar", 60), ("er", 10)), (("hio", 300), ("er", 20)))
_BETA, _CEILING = 0.9, 1.25  # of those iterations
_ALIKE = 0.3  # contrast of scattering factors that leaves a particle even; 0.28 of Ni and Fe at the Ni K edge
# what half the deviance may exceed that of noise by: in its standard errors, and for every photon; an uneven
# composition came to 1e-5 per photon, images with stripes to 5e-4 and more; beside a heavy element to 6e-7 and 2e-5
_DEVIATIONS, _PER_PHOTON, _PER_PHOTON_UNEVEN = 3.0, 2e-4, 5e-6


@dataclass(frozen=True)
class Guess:
    """Densities of both kinds of atoms, or of all atoms as one kind, on the centred grid, and where they may be."""

    atoms: Complex[Tensor, "kind *grid"]  # [sqrt(photon) / electron]
    domain: Bool[Tensor, "*grid"]
    loss: float  # half the deviance of the sum of all energies, nothing else


@dataclass(frozen=True)
class Evenness:
    """How evenly full voxels scatter, by how much heavier one kind of atoms is than the other.

    Neighbours in the periodic table scatter so much alike that a particle is even whatever its composition. Beside a
    heavy element (Ni in Pt) the belief in an even density, a ceiling just above it and a threshold of half of it lead
    into images without the light parts of the particle.
    """

    contrast: float  # difference of the two kinds' scattering factors over the particle's mean [1]
    doubt: float = 1.0  # how much less even than that it may be, where starts have failed [1]

    @property
    def excess(self) -> float:
        """Contrast beyond that of neighbours in the periodic table."""
        return self.doubt * max(self.contrast - _ALIKE, 0.0)

    @property
    def spread(self) -> float:
        """Relative spread of full voxels' density, with compositions about a tenth apart."""
        return 0.1 * self.excess

    @property
    def ceiling(self) -> float:
        """Modulus over its rms, at most, in the iterations: a light shell lowers the rms of a heavy core's image."""
        return _CEILING + 4 * self.spread

    @property
    def least(self) -> float:
        """Density of a voxel more than half full over the typical full one's, at least: half a light one's."""
        return HALF / (1 + self.excess / 3)

    @property
    def kicks(self) -> Sequence[Sequence[tuple[str, int]]]:
        """Iterations of phase retrieval in one kick and the next; a higher ceiling or a failed start needs more."""
        return _LONG_KICKS if self.excess or self.doubt > 1 else _KICKS

    @property
    def per_photon(self) -> float:
        """What half the deviance of the right image may exceed that of noise by, for every photon."""
        return _PER_PHOTON_UNEVEN if self.excess else _PER_PHOTON


def evenness_of(experiment: Experiment, share: float, doubt: float = 1.0) -> Evenness:
    """How far full voxels of a particle may differ in how they scatter.

    Parameters
    ----------
    share:
        Of resonant atoms, of the whole particle.
    doubt:
        Grows with the starts that failed.
    """
    resonant, normal = experiment.atoms_at_peak().mean(0).abs().tolist()
    mean = share * resonant + (1 - share) * normal
    return Evenness(abs(resonant - normal) / mean, doubt)


def resonant_share(experiment: Experiment) -> float:
    """Resonant atoms' share of a particle of even composition whose brightness changes like that of the data."""
    counts = experiment.counts if experiment.background is None else experiment.counts - experiment.background
    total = (counts if experiment.good is None else counts * experiment.good.amin(0)).flatten(1).double().sum(1)
    total = total / experiment.exposure
    rows = experiment.atoms_at_peak().to(torch.complex128)
    shares = torch.linspace(0.02, 0.98, 49, dtype=torch.float64, device=rows.device)
    model = (rows[:, :1] * shares + rows[:, 1:] * (1 - shares)).abs().square()
    weight = 1 / total.clamp(min=1)[:, None]
    scale = (weight * total[:, None] * model).sum(0) / (weight * model * model).sum(0)
    return float(shares[(weight * (total[:, None] - scale * model).square()).sum(0).argmin()])


def cold_start(
    experiment: Experiment,
    density: Complex[Tensor, "*grid"],
    support: Bool[Tensor, "*grid"],
    moduli: Moduli,
    config: JointConfig,
    even: Evenness,
    generator: torch.Generator,
) -> Guess:
    """Find the density of all atoms that the sum of all energies makes most likely, their composition taken as even.

    Parameters
    ----------
    experiment:
        All energies.
    density, support:
        A first image of the mean intensity, centred [sqrt(photon)].
    moduli:
        Of the mean intensity, for the iterations.
    config:
        Kicks at most.
    even:
        How even the particle may be.
    generator:
        Draws noise to compare the deviance with.
    """
    one = evened(experiment, resonant_share(experiment))
    scale = complex(one.f_normal.flatten()[0])
    guess = Guess((density / scale).to(torch.complex64)[None], dilate(support, 2), math.inf)
    for width in _LOOSE:
        guess = _polished(one, guess, even, width, 2)
    best, idle = guess, 0
    for kick in range(config.kicks + 1):
        if kick:
            guess = _kicked(guess, moduli, scale, even.ceiling, even.kicks[kick % len(even.kicks)])
        for width in _TIGHT:
            guess = _polished(one, guess, even, width, 1)
        log.info("start: half the deviance %.6g after %d kicks", guess.loss, kick)
        idle = 0 if guess.loss < best.loss * (1 - config.kick_gain) else idle + 1
        best = min(best, guess, key=lambda found: found.loss)
        if idle >= (1 if is_explained(one, best, even, generator) else config.patience):
            break
    return _polished(one, best, even, 0.0, 1)


def is_explained(one: Experiment, guess: Guess, even: Evenness, generator: torch.Generator) -> bool:
    """Whether noise alone leaves about as much deviance; what an uneven composition adds is small.

    Parameters
    ----------
    one:
        From :func:`evened`.
    even:
        How even the particle may be.
    """
    pair = one.transformed(cut(guess.atoms, box_of(guess.domain)))
    noise = minus_log_likelihood(with_noise(one, pair, generator), pair)
    spread = math.sqrt(one.counts.numel() / 2)  # of half a chi-square with as many degrees of freedom, at most
    return guess.loss - noise < _DEVIATIONS * spread + even.per_photon * float(one.counts.sum())


def of_both_kinds(guess: Guess, share: float) -> Guess:
    """A guess of all atoms as one of both kinds, of even composition."""
    mixture = torch.tensor([share, 1 - share], dtype=guess.atoms.dtype, device=guess.atoms.device)
    return replace(guess, atoms=mixture.reshape(2, *[1] * guess.domain.ndim) * guess.atoms)


def _polished(one: Experiment, guess: Guess, even: Evenness, width: float, margin: int) -> Guess:
    """Search with the belief in an even density, on a domain as wide about the core as the margin."""
    shape, modulus = guess.domain.shape, guess.atoms[0].abs()
    # about the relative error of a full voxel's density
    noise = float(one.whitening(1).abs()) / full_density(modulus, guess.domain)
    core = core_of(guess.atoms, guess.domain, noise, even.least)
    domain = dilate(core, margin)
    box = box_of(domain)
    level = full_density(modulus, core)
    belief = math.hypot(width * noise, even.spread) * level
    prior = even_density(cut(interior(core, core.ndim), box), level, belief) if width else None
    found = search(one, cut(guess.atoms, box), cut(domain, box), most=_STEPS, tolerance=_TOLERANCE, prior=prior)
    loss = minus_log_likelihood(one, one.transformed(found.atoms))
    return Guess(pasted(found.atoms, box, shape), domain, loss)


def _kicked(guess: Guess, moduli: Moduli, scale: complex, ceiling: float, kick: Sequence[tuple[str, int]]) -> Guess:
    """Iterate phase retrieval on the domain."""
    ndim = guess.domain.ndim
    density, support = cornered(guess.atoms[0] * scale, ndim), cornered(guess.domain, ndim)
    for name, iterations in kick:
        for _ in range(iterations):
            density = STEPS[name](density, moduli, support, _BETA, ceiling)
    return Guess((centred(density * support, ndim) / scale)[None], guess.domain, math.inf)


def both_hands(guess: Guess) -> tuple[Guess, Guess]:
    """A guess and its twin, which the sum of all energies cannot tell apart."""
    ndim = guess.domain.ndim
    turned = twin(guess.atoms, ndim)
    return guess, Guess(turned, twin(guess.domain, ndim), guess.loss)
