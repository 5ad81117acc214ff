r"""Joint retrieval: the densities of both kinds of atoms from the counts of all energies at once.

.. math:: \max_{n_A, n_N} \sum_{q, E} \ln P\left(I_E(q) \mid \tau_E |F_T + \rho_E F_A|^2 + b_E\right)

Two complex numbers in every voxel of a small domain stand against all energies times all points of the frame, so that
it works at counts where no point of the frame tells anything by itself. Start in model.py (the likelihood),
then search.py (how it is climbed) and start.py (how the right hill is found).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.base.runtime import log
from madpipe.mad.config import JointConfig
from madpipe.mad.fit.refine.search import Sums
from madpipe.mad.realspace.joint.domain import box_of, core_of, cut, pasted
from madpipe.mad.realspace.joint.errors import composition_errors, draws, marginal_sums
from madpipe.mad.realspace.joint.interfaces import LOOSE, interfaces, measured_spread, unbelieved
from madpipe.mad.realspace.joint.model import Experiment
from madpipe.mad.realspace.joint.nuisances import Nuisances
from madpipe.mad.realspace.joint.priors import Prior, composition_prior, together
from madpipe.mad.realspace.joint.residual import Residual, residual_of
from madpipe.mad.realspace.joint.search import Found, Place, search
from madpipe.mad.realspace.joint.start import Guess, both_hands, of_both_kinds
from madpipe.mad.realspace.separation import composition_from_atoms
from madpipe.physics.alignment import twin
from madpipe.physics.phasing import dilate

_HAND_STEPS = 12  # of each hand, before they are compared
_CLEAR = 100.0  # difference of the logarithms of their likelihoods; a lesser one is looked at more closely
_CLOSE_LOOK = (40, 0.01)  # steps and tolerance
_UPDATE_STEPS = 6  # between updates of the domain
_UPDATES = 8
_FEW_DRAWS = 4  # of noise, each voxel's error averaged over its neighbours
# of the last search with a belief: its errors are smaller than those of the counts that a tolerance is in, and what
# still changes is not the composition
_FINER, _LAST_STEPS = 0.2, 8
_COMMON_PHASE = 0.05  # rms part of the resonant atoms out of phase with all atoms: they are one crystal
_SETTLED = 0.004  # share of the domain that changed, below which it stays


class _Ended(NamedTuple):
    """Where the search ended."""

    found: Found
    guess: Guess
    support: Bool[Tensor, "*grid"]
    hand: float
    spread: float | None = None


@dataclass(frozen=True)
class Joint:
    """Both kinds of atoms on the centred grid."""

    atoms: Complex[Tensor, "2 *grid"]  # resonant, other [sqrt(photon) / electron]
    support: Bool[Tensor, "*grid"]  # voxels more than half full
    composition: Float[Tensor, "*grid"]  # resonant atoms' share; 0 outside the support
    composition_errors: Float[Tensor, "*grid"]
    hand: float  # ln of the likelihood of this hand over its twin's
    spread: float | None  # of the composition as it was believed; None without a belief
    residual: Residual
    last_step: float  # of the search [standard error]
    nuisances: Nuisances | None  # as refined
    sums: Sums | None  # what the counts say of them


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
        Beliefs, steps, draws.
    generator:
        Draws the noise that errors are made of.
    nuisances:
        Refined with the densities.
    """
    seen = experiment if nuisances is None else nuisances.applied(experiment, nuisances.theta)
    found, guess, hand = _handed(seen, guess, config)
    for _ in range(_UPDATES):
        domain = dilate(core_of(guess.atoms, guess.domain), 1)
        changed = float((domain ^ guess.domain).sum() / domain.sum())
        guess = Guess(guess.atoms, domain, guess.loss)
        if changed < _SETTLED:
            break
        found, guess = _searched(experiment, guess, config, _UPDATE_STEPS, nuisances)
        nuisances = None if nuisances is None else nuisances.at(found.theta)
        log.info("joint: half the deviance %.7g, domain of %d voxels", found.loss, int(guess.domain.sum()))
    support = core_of(guess.atoms, guess.domain)
    found, guess = _searched(experiment, guess, config, config.steps, nuisances, support)
    nuisances = None if nuisances is None else nuisances.at(found.theta)
    ended = _Ended(found, guess, core_of(guess.atoms, guess.domain), hand)
    if config.belief == "measured":
        ended = _believed(experiment, ended, config, generator, nuisances)
        nuisances = None if nuisances is None else nuisances.at(ended.found.theta)
    return _with_errors(experiment, ended, config, generator, nuisances)


def _believed(
    experiment: Experiment, ended: _Ended, config: JointConfig, generator: torch.Generator, nuisances: Nuisances | None
) -> _Ended:
    """Search on with the belief in a spectrum of the composition, as large as the object shows it.

    A hand that is in doubt is decided anew. The support stays as it is: of voxels that would join it nothing is
    believed.
    """
    _, guess, support, hand, _ = ended
    box = box_of(guess.domain)
    place = Place(experiment, cut(guess.domain, box), experiment.whitening(), None, nuisances)
    theta = None if nuisances is None else nuisances.theta
    changes = list(draws(place, cut(guess.atoms, box), theta, _FEW_DRAWS, generator))
    errors = composition_errors(place, cut(guess.atoms, box), cut(support, box), changes)
    tried = [(guess, support, pasted(errors, box, guess.domain.shape))]
    if hand < _CLEAR:
        shares = composition_from_atoms(*guess.atoms)[support].mean().clamp(0.02, 0.98)
        even = of_both_kinds(Guess(guess.atoms.sum(0)[None], guess.domain, guess.loss), float(shares))
        others = (twin(each, support.ndim) for each in tried[0][1:])
        tried = list(zip(both_hands(even), *zip(tried[0][1:], others, strict=True), strict=True))
    loose = [
        (*_searched(experiment, one, config, config.steps, nuisances, inside, LOOSE), inside, error)
        for one, inside, error in tried
    ]
    loose.sort(key=lambda each: each[0].loss)
    found, guess, support, errors = loose[0]
    hand = hand if len(loose) == 1 else loose[1][0].loss - found.loss
    box = box_of(guess.domain)
    inside, error = cut(support, box), cut(errors, box)
    counted = unbelieved(composition_from_atoms(*cut(guess.atoms, box)) * inside, error, inside, LOOSE)
    spread = measured_spread(counted, error, inside, generator)
    log.info("joint: the composition's spread is %.3g about its mean", spread)
    nuisances = None if nuisances is None else nuisances.at(found.theta)
    finely = config.model_copy(update={"tolerance": _FINER * config.tolerance})
    found, guess = _searched(experiment, guess, finely, _LAST_STEPS, nuisances, support, spread)
    if found.last_step > config.tolerance:
        nuisances = None if nuisances is None else nuisances.at(found.theta)
        found, guess = _searched(experiment, guess, config, config.steps, nuisances, support, spread)
    return _Ended(found, guess, support, hand, spread)


def _handed(experiment: Experiment, guess: Guess, config: JointConfig) -> tuple[Found, Guess, float]:
    """The likelier of a guess and its twin, and ln of how much likelier; to the last digit only where it is close."""
    pair = both_hands(guess)
    for steps, tolerance in ((_HAND_STEPS, config.tolerance), (_HAND_STEPS, config.tolerance), _CLOSE_LOOK):
        closely = config.model_copy(update={"tolerance": tolerance})
        tried = [_searched(experiment, one, closely, steps) for one in pair]
        (found, guess), (worse, _) = sorted(tried, key=lambda each: each[0].loss)
        hand, pair = worse.loss - found.loss, (tried[0][1], tried[1][1])
        if hand > _CLEAR and found.converged and worse.converged:
            break
    log.info("joint: this hand is exp(%.4g) times as likely as its twin", hand)
    return found, guess, hand


def _searched(
    experiment: Experiment,
    guess: Guess,
    config: JointConfig,
    most: int,
    nuisances: Nuisances | None = None,
    inside: Bool[Tensor, "*grid"] | None = None,
    spread: float | None = None,
) -> tuple[Found, Guess]:
    """Search on the box of a guess's domain; beliefs about the composition hold inside."""
    box, shape = box_of(guess.domain), guess.domain.shape
    found = search(
        experiment,
        cut(guess.atoms, box),
        cut(guess.domain, box),
        most=most,
        tolerance=config.tolerance,
        prior=None if inside is None else _beliefs(config, cut(inside, box), spread),
        nuisances=nuisances,
    )
    return found, Guess(pasted(found.atoms, box, shape), guess.domain, found.loss)


def _beliefs(config: JointConfig, inside: Bool[Tensor, "*box"], spread: float | None) -> Prior | None:
    """The priors asked for; None for none. With a spectrum of the composition both kinds share one displacement."""
    phase = config.common_phase or (0.0 if spread is None else _COMMON_PHASE)
    widths = (config.smoothness, phase, config.bounds)
    priors = [composition_prior(inside, *widths)] if any(widths) else []
    return together([*priors, *([] if spread is None else [interfaces(inside, spread)])])


def _with_errors(
    experiment: Experiment, ended: _Ended, config: JointConfig, generator: torch.Generator, nuisances: Nuisances | None
) -> Joint:
    """Composition with its errors, R, and what is known of the nuisances."""
    found, guess, support, hand, spread = ended
    box, shape = box_of(guess.domain), guess.domain.shape
    inside, atoms = cut(support, box), cut(guess.atoms, box)
    theta = None if nuisances is None else nuisances.theta
    place = Place(
        experiment, cut(guess.domain, box), experiment.whitening(), _beliefs(config, inside, spread), nuisances
    )
    changes = list(draws(place, atoms, theta, config.draws, generator))
    state = place.at(atoms, theta)
    return Joint(
        atoms=guess.atoms,
        support=support,
        composition=composition_from_atoms(*guess.atoms) * support,
        composition_errors=pasted(composition_errors(place, atoms, inside, changes), box, shape),
        hand=hand,
        spread=spread,
        residual=residual_of(state.experiment, state.pair, int(guess.domain.sum()), generator),
        last_step=found.last_step,
        nuisances=nuisances,
        sums=None if nuisances is None else marginal_sums(place, atoms, theta),
    )
