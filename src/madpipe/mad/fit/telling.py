"""What is said of an answer when it is done: how well it explains its stack, and what is wrong with it, a line each."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from madpipe.base.runtime import log
from madpipe.base.warned import keeping, warn
from madpipe.mad import limits
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.evidence import other_readings, resonant_share
from madpipe.mad.records import Explained, Fit, Nuisance, Stack

PREDICTED = "network"  # a prediction that the counts do not correct: what it leaves of them is not noise alone
_USUAL = (
    "usual reasons: the order of the energies, exposures or monitor, a mask, the table of f', f'', saturation, counts "
    "that are not photons"
)
_REFINED = {
    "scale": ("scale of an energy", ""),
    "energy_offset": ("energy offset", " eV"),
    "f_prime": ("f' of an energy", " electron"),
    "f_double_prime": ("f'' of an energy", " electron"),
    "background_scale": ("background's scale of an energy", ""),
}


@keeping
def told(found: Fit, stack: Callable[[], Stack], config: FitConfig) -> Fit:
    """Say how well a whole answer explains its stack; the answer keeps what is warned of.

    Parameters
    ----------
    found:
        The answer, ``explained`` in it.
    stack, config:
        As in :func:`tell`.
    """
    if found.explained is not None:
        tell(found.explained, found.nuisance, found.method, stack, config)
    return found


def tell(
    explained: Explained, nuisance: Nuisance | None, method: str, stack: Callable[[], Stack], config: FitConfig
) -> None:
    """Say how well an answer explains its stack in a line of the log, then warn of what is wrong with it.

    Parameters
    ----------
    explained, nuisance, method:
        Of the answer.
    stack:
        Gives the stack, or its brightest rows; asked only where chi-square is bad.
    config:
        Settings of the fits that look for another reading of the data.
    """
    log.info("%s", explained.line())
    for line in _doubts(explained, nuisance, method, stack, config):
        warn(line)


def _doubts(
    explained: Explained, nuisance: Nuisance | None, method: str, stack: Callable[[], Stack], config: FitConfig
) -> Iterator[str]:
    """Every warning."""
    if explained.masked > limits.MASKED_SHARE:
        yield (
            f"{explained.masked:.0%} of the intensities are masked: the answer rests on the others alone; check the "
            "mask and its polarity (0 is good)"
        )
    if explained.points and explained.without_freedom == explained.points:
        yield (
            "three intensities a point leave no freedom: nothing tells whether order of the energies, exposures, mask "
            "and f', f'' are right; measure a fourth energy, or Friedel mates apart"
        )
    yield from _of_nuisance(nuisance)
    if method != PREDICTED:
        yield from _of_chi2(explained, nuisance, stack, config)


def _of_chi2(
    explained: Explained, nuisance: Nuisance | None, stack: Callable[[], Stack], config: FitConfig
) -> Iterator[str]:
    """Chi-square too large or too small, with another reading of the data that has a good one, where there is any."""
    if explained.dof == 0:
        return
    chi2, noise = explained.chi2_bright, limits.NOISE * explained.chi2_bright_errors
    most = explained.chi2_bright_model + noise
    if explained.r_factor < limits.FOLLOWED * explained.r_expected or chi2 < limits.TOO_GOOD - noise:
        yield from _too_good(explained, stack().data_errors is not None)
    elif chi2 > limits.DOUBTFUL + most:
        data = stack()
        allowed = limits.CHI2 if data.data_errors is None else limits.FANO
        above = chi2 > allowed + most
        found = other_readings(data, nuisance, config, above)
        words = f"chi-square per degree of freedom is {chi2:.3g}, where noise makes 1"
        if found is not None:
            yield f"{words}; {found}"
        elif above:
            yield f"{words}: the equation does not explain the data, and the stated errors do not hold; {_USUAL}"
        if above and (nuisance is None or nuisance.resonant_share is None):
            yield from _beyond_pure(resonant_share(data, nuisance, config), 1.0)


def _beyond_pure(share: float, doubt: float) -> Iterator[str]:
    """More resonant atoms than the particle has."""
    if share > limits.RESONANT_SHARE * doubt:
        yield (
            f"the median |F_A|^2 is {share:.3g} times that of the pure resonant element as bright, which no particle "
            "has: scales, f', f'' (element, edge) or the order of the energies are wrong"
        )


def _too_good(explained: Explained, stated: bool) -> Iterator[str]:
    """Less noise than there can be."""
    chi2 = explained.chi2_bright if math.isfinite(explained.chi2_bright) else explained.chi2_per_dof
    if stated:  # merged errors are often somewhat too large, which only makes those of the answer so
        if chi2 < 1 / limits.FANO - limits.NOISE * explained.chi2_bright_errors:
            yield (
                f"the intensities scatter less than their stated errors: chi-square per degree of freedom {chi2:.2g},"
                f" errors are some {chi2**-0.5:.2g} times too large, the answer's as well; check how they were merged"
            )
        return
    yield (
        f"the intensities scatter less than photons do: chi-square per degree of freedom is {chi2:.2g}, R "
        f"{explained.r_factor:.2g} where noise makes {explained.r_expected:.2g}: they were scaled, normalised or "
        f"smoothed, and |F_A| of weak points is wrong; give photons (about {1 / max(chi2, 1e-12):.3g} a unit), or "
        "data_errors"
    )


def _of_nuisance(nuisance: Nuisance | None) -> Iterator[str]:
    """What was refined and ended where it cannot be."""
    if nuisance is None:
        return
    if nuisance.noise_scale > limits.NOISE_SCALE:
        yield (
            f"the intensities scatter {nuisance.noise_scale:.3g} times as much as their stated errors say: errors were "
            "multiplied by it, but what they leave out need not be noise; check how they were merged and scaled"
        )
    doubt = math.exp(limits.NOISE * (nuisance.f_resonant_relative_error or 0.0))  # two errors of |F_A|^2
    yield from _beyond_pure(nuisance.resonant_share or 0.0, doubt)
    for name, (words, unit) in _REFINED.items():
        yield from _moved(nuisance, name, words, unit)


def _moved(nuisance: Nuisance, name: str, words: str, unit: str) -> Iterator[str]:
    """A nuisance that its prior holds, or that left it far behind."""
    prior, width = getattr(nuisance, f"{name}_prior"), getattr(nuisance, f"{name}_prior_errors")
    determined = getattr(nuisance, f"{name}_determined")
    if prior is None or width is None:
        return
    value, prior, width = (np.atleast_1d(each) for each in (getattr(nuisance, name), prior, width))
    if not np.any(determined):
        yield (
            f"the data do not determine the {words}: it is left where it was, {prior[0]:.4g}{unit}, and its doubt is "
            "in the errors; leave it out of --refine, or measure it"
        )
    change = np.log(value / prior) if name.endswith("scale") else value - prior
    far = np.abs(change) / np.maximum(width, 1e-300)
    if far.max() > limits.PRIORS:
        which = int(far.argmax())
        every = f" (all: {', '.join(f'{one:.4g}' for one in value)})" if len(value) > 1 else ""
        yield (
            f"the refined {words} is {value[which]:.4g}{unit}, {far[which]:.0f} errors of its prior from "
            f"{prior[which]:.4g}{unit}{every}: that is hardly possible, and |F_A| is not to be trusted though "
            "chi-square may be good; put the energies on one scale first, check their order, f', f'' and the prior"
        )
    elif far.max() > limits.PRIORS_DOUBTED:
        which = int(far.argmax())
        yield (
            f"the refined {words} is {value[which]:.4g}{unit}, {far[which]:.1f} errors of its prior from "
            f"{prior[which]:.4g}{unit}: more than the prior allows for, which pulls the others too, so that |F_A| and "
            "its errors are in doubt; correct that energy, or state errors as large as these are (monitor_sigma, "
            "mad.fit.nuisance)"
        )
