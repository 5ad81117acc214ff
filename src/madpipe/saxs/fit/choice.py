"""Choice of a model: all candidates fitted, compared by evidence, and none taken where none explains the curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.plain import told
from madpipe.base.runtime import progress
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.fit.fit import fit_curves
from madpipe.saxs.fit.residuals import excess, explains
from madpipe.saxs.fit.settings import SaxsChoiceConfig, SaxsFitConfig
from madpipe.saxs.model import model_named
from madpipe.saxs.records import HELD, ParticleFit

_CHEAP = ("ball", "sheet", "revolution")
_WELL, _LIKELY = 1.5, 0.01  # excess of chi-square and chance of runs with which a dearer model is not asked for
_STRONG = 10.0  # of BIC: below it another model explains the curve nearly as well


@dataclass(frozen=True)
class Candidate:
    """One model's fit to one curve."""

    model: str
    chi2: float = told("per degree of freedom")
    bic: float = told("Bayesian information criterion, above the best")
    free: int = told("parameters and factors")
    beyond_noise: float = told("chi-square beyond its mean, in standard deviations of noise")
    runs: float = told("chance of so long a run of residuals of one sign")
    explains: bool = told("whether noise may explain what the model misses")
    verdict: str = told("in words")


@dataclass(frozen=True)
class Choice:
    """What was chosen for one curve."""

    curve: str
    chosen: str | None = told("None: no model explains the curve")
    as_good: tuple[str, ...] = told("other models that explain it, less than 10 above the best BIC")
    candidates: tuple[Candidate, ...] = told("the best first")
    verdict: str = told("in words")


def choose(curves: Curves, fit: SaxsFitConfig, choice: SaxsChoiceConfig, seed: int) -> list[Choice]:
    """Fit every candidate to every curve and compare them.

    Raises
    ------
    InputError
        What a fit refuses; no candidate.
    """
    if not choice.models:
        raise InputError("a choice needs at least one model; none came; name some.")
    settings = [
        fit.model_copy(update={"model": model, "series": "independent", "samples": 0, "fix": {}, "contrast": {}})
        for model in choice.models
    ]
    cheap = [one for one in settings if not _is_costly(one.model)]
    fits = [fit_curves(curves, one, seed) for one in progress(cheap, "models")]
    left = [one for one in settings if _is_costly(one.model)]
    if choice.every or not fits or not _all_explained(fits):
        fits += [fit_curves(curves, one, seed) for one in progress(left, "more models")]
        left = []
    untried = ", ".join(one.model for one in left)
    return [_chosen(curves, fits, number, choice.noise_range, untried) for number in range(len(curves.intensity))]


def _is_costly(model: str) -> bool:
    """Whether a model has a particle of three axes, whose average over orientation is the dearest."""
    shapes = (term.shape for term in model_named(model).terms)
    return any(isinstance(one, FormFactor) and one.solid.symmetry not in _CHEAP for one in shapes)


def _all_explained(fits: Sequence[ParticleFit]) -> bool:
    """Whether some model leaves no more than noise would on average, in every curve."""
    beyond = np.array(
        [
            [
                excess(float(chi2) * int(dof), int(dof))
                for chi2, dof in zip(one.chi2, one.degrees_of_freedom, strict=True)
            ]
            for one in fits
        ]
    )
    runs = np.array([one.longest_run > _LIKELY for one in fits])
    return bool(((beyond < _WELL) & runs).any(axis=0).all())


def fit_best(curves: Curves, fit: SaxsFitConfig, choice: SaxsChoiceConfig, seed: int) -> ParticleFit:
    """Fit the model that explains all curves together best; where none does, the nearest, which then says so.

    Raises
    ------
    InputError
        What a fit refuses; no candidate.
    """
    every = choose(curves, fit, choice, seed)
    names = [one.model for one in every[0].candidates]
    summed = {name: sum(row.bic for one in every for row in one.candidates if row.model == name) for name in names}
    best = min(summed, key=lambda name: summed[name])
    found = fit_curves(curves, fit.model_copy(update={"model": best, "fix": {}, "contrast": {}}), seed)
    return replace(found, choice="\n".join(one.verdict for one in every))


def _chosen(curves: Curves, fits: Sequence[ParticleFit], number: int, noise: float, untried: str) -> Choice:
    """Compare the fits to one curve."""
    scored = sorted((_bic(one, number), place) for place, one in enumerate(fits))
    best = scored[0][0]
    candidates = tuple(_candidate(fits[place], number, bic - best, noise) for bic, place in scored)
    good = [one for one in candidates if one.explains and one.bic < _STRONG]
    name = curves.names.split("\n")[number]
    if not good:
        first = candidates[0]
        words = f"no model explains the curve; the nearest is {first.model}, chi-square {first.chi2:.3g}"
        return Choice(name, None, (), candidates, f"{name}: {words}")
    others = tuple(one.model for one in good[1:])
    words = good[0].model + (f"; {', '.join(others)} explain it as well" if others else "")
    words += f" (not tried, as that one does: {untried})" if untried else ""
    return Choice(name, good[0].model, others, candidates, f"{name}: {words}")


def _free(fit: ParticleFit) -> int:
    """Parameters and factors that were fitted; derived ones are none."""
    names = fit.names.split("\n")
    derived = ("radius_of_gyration", "volume")
    return sum(
        state != HELD and name.split(".")[-1].split("[")[0] not in derived
        for name, state in zip(names, fit.states[0], strict=True)
    )


def _bic(fit: ParticleFit, number: int) -> float:
    """Chi-square and the price of the numbers that were fitted.

    References
    ----------
    Schwarz, Ann. Stat. 6, 461 (1978).
    """
    dof, free = int(fit.degrees_of_freedom[number]), _free(fit)
    return float(fit.chi2[number]) * dof + free * math.log(dof + free)


def _candidate(fit: ParticleFit, number: int, bic: float, noise: float) -> Candidate:
    """Summary of one fit."""
    chi2, dof = float(fit.chi2[number]), int(fit.degrees_of_freedom[number])
    beyond, chance = excess(chi2 * dof, dof), float(fit.longest_run[number])
    verdict = fit.verdicts.split("\n")[number]
    return Candidate(fit.model, chi2, bic, _free(fit), beyond, chance, explains(beyond, chance, noise), verdict)
