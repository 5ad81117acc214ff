r"""Joint retrieval: the densities of both kinds of atoms from the counts of all energies at once.

.. math:: \max_{n_A, n_N} \sum_{q, E} \ln P\left(I_E(q) \mid \tau_E |F_T + \rho_E F_A|^2 + b_E\right)

Two complex numbers in every voxel of a small domain stand against all energies times all points of the frame, so it works at counts
where no point of the frame tells anything by itself. Start in model.py (the likelihood), then search.py (how it is
climbed) and start.py (how the right hill is found).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.base.runtime import log
from madpipe.mad.config import JointConfig
from madpipe.mad.joint.domain import box_of, core_of, cut, full_density, pasted
from madpipe.mad.joint.errors import composition_errors, draws
from madpipe.mad.joint.model import Experiment
from madpipe.mad.joint.nuisances import Nuisances
from madpipe.mad.joint.priors import composition_prior
from madpipe.mad.joint.search import Found, Place, search
from madpipe.mad.joint.start import Guess, both_hands
from madpipe.physics.phasing import dilate

_HAND_STEPS = 8  # of each hand, before they are compared
# smoothness, common phase, bounds while hands are compared: noise that is fitted would drown their difference
_HAND_BELIEFS = {"smoothness": 0.1, "common_phase": 0.05, "bounds": 0.05}
_UPDATE_STEPS = 6  # between updates of the domain
_UPDATES = 8
_SETTLED = 0.004  # share of the domain that changed, below which it stays


@dataclass(frozen=True)
class Joint:
    """Both kinds of atoms on the centred grid."""

    atoms: Complex[Tensor, "2 *grid"]  # resonant, other [sqrt(photon) / electron]
    domain: Bool[Tensor, "*grid"]  # where they were searched
    support: Bool[Tensor, "*grid"]  # voxels more than half full
    composition_errors: Float[Tensor, "*grid"]  # 0 outside the support
    hand: float  # ln of the likelihood of this hand over its twin's
    theta: Float[Tensor, "nuisance"] | None
    theta_covariance: Float[Tensor, "free free"] | None
    deviance: float
    converged: bool


def retrieve_jointly(
    experiment: Experiment,
    guess: Guess,
    config: JointConfig,
    generator: torch.Generator,
    nuisances: Nuisances | None = None,
) -> Joint:
    """Search the most likely densities, and what noise makes of them.

    Parameters
    ----------
    experiment, guess:
        Counts; where to start, hand unknown.
    config:
        Priors, steps, draws.
    generator:
        Draws the noise that errors are made of.
    nuisances:
        Refined too.
    """
    both = torch.eye(2, dtype=torch.complex64, device=guess.atoms.device)
    believing = config.model_copy(update=_HAND_BELIEFS)
    tried = [
        _searched(experiment, one, both, _HAND_STEPS, believing, None, core_of(one.atoms, one.domain))
        for one in both_hands(guess)
    ]
    (found, guess), (other, _) = sorted(tried, key=lambda pair: pair[0].loss)
    hand = other.loss - found.loss
    log.info("joint: this hand is exp(%.4g) times as likely as its twin", hand)
    for _ in range(_UPDATES):
        domain = dilate(core_of(guess.atoms, guess.domain), 1)
        changed = float((domain ^ guess.domain).sum() / domain.sum())
        guess = Guess(guess.atoms, domain, guess.loss)
        if changed < _SETTLED:
            break
        found, guess = _searched(experiment, guess, both, _UPDATE_STEPS, config, nuisances)
        nuisances = None if nuisances is None else nuisances.at(found.theta)
        log.info("joint: half the deviance %.7g, domain of %d voxels", found.loss, int(guess.domain.sum()))
    support = core_of(guess.atoms, guess.domain)
    found, guess = _searched(experiment, guess, both, config.steps, config, nuisances, support)
    nuisances = None if nuisances is None else nuisances.at(found.theta)
    support = core_of(guess.atoms, guess.domain)
    errors, covariance = _errors(experiment, guess, both, config, generator, nuisances, support)
    theta = None if nuisances is None else nuisances.theta
    return Joint(
        guess.atoms, guess.domain, support, errors, hand, theta, covariance, 2 * found.loss, found.converged
    )


def _searched(
    experiment: Experiment,
    guess: Guess,
    mixture: Tensor,
    most: int,
    config: JointConfig,
    nuisances: Nuisances | None = None,
    inside: Bool[Tensor, "*grid"] | None = None,
) -> tuple[Found, Guess]:
    """Search on the box of a guess's domain; beliefs about the composition hold inside."""
    box, shape = box_of(guess.domain), guess.domain.shape
    prior = None if inside is None else _beliefs(config, cut(inside, box))
    found = search(
        experiment,
        cut(guess.atoms, box),
        cut(guess.domain, box),
        mixture,
        most=most,
        tolerance=config.tolerance,
        prior=prior,
        nuisances=nuisances,
    )
    return found, Guess(pasted(found.atoms, box, shape), guess.domain, found.loss)


def _beliefs(config: JointConfig, inside: Bool[Tensor, "*box"]):
    """The priors asked for; None for none."""
    widths = (config.smoothness, config.common_phase, config.bounds)
    return composition_prior(inside, *widths) if any(widths) else None


def _errors(
    experiment: Experiment,
    guess: Guess,
    mixture: Tensor,
    config: JointConfig,
    generator: torch.Generator,
    nuisances: Nuisances | None,
    support: Bool[Tensor, "*grid"],
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "free free"] | None]:
    """Errors of the composition on the grid, and the covariance of the nuisances, from draws."""
    box, shape = box_of(guess.domain), guess.domain.shape
    inside, atoms = cut(support, box), cut(guess.atoms, box)
    place = Place(
        experiment, cut(guess.domain, box), experiment.whitening(mixture), _beliefs(config, inside), nuisances
    )
    changes = list(draws(place, atoms, None if nuisances is None else nuisances.theta, config.draws, generator))
    errors = pasted(composition_errors(place, atoms, inside, changes), box, shape)
    if nuisances is None:
        return errors, None
    moved = torch.stack([change.nuisances for change in changes])
    return errors, moved.T @ moved / len(changes)
