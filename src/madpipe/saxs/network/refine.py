"""The network starts the fit: its most probable classes are fitted from its answer, and the best is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from madpipe.base.curves.records import Curves, curve_of
from madpipe.base.plain import told
from madpipe.base.warned import kept
from madpipe.saxs.fit.fit import fit_curves
from madpipe.saxs.fit.residuals import NOISE, excess
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.network.infer import ParameterGuess, Predictor, ShapePrediction
from madpipe.saxs.network.settings import SaxsInferConfig
from madpipe.saxs.network.weights import load_network
from madpipe.saxs.records import ParticleFit

_STARTS = 3  # of each class: means of its mixture, then draws
_QUICK = 12  # evaluations of a refit: enough to tell whether a shape fits


@dataclass(frozen=True)
class Refit:
    """One class's fit."""

    shape: str
    model: str
    chi2: float = told("per degree of freedom")
    explains: bool


@dataclass(frozen=True)
class Classes:
    """What is said of one curve's shape."""

    curve: str
    probabilities: Mapping[str, float] = told("calibrated on simulated curves, the most probable first", inline=True)
    foreign: float = told("share of known curves that look less foreign")
    is_foreign: bool = told("unlike every class, and no class's fit explains the curve")
    refits: tuple[Refit, ...] = told("of the most probable classes, until one explains the curve")
    verdict: str = told("in words")


def predict_and_fit(
    curves: Curves, weights: str | Path, config: SaxsInferConfig, fit: SaxsFitConfig, seed: int
) -> ParticleFit:
    """Fit each curve by the model of its most probable class that explains it, from the network's answer on.

    Parameters
    ----------
    curves:
        One or more; all are fitted by one model, the one that suits most of them.
    weights:
        Of the network.
    config, fit:
        Settings of the answer and of the fit; its model is not used.
    seed:
        Of draws.

    Raises
    ------
    InputError
        What network or fit refuse.
    """
    predictions = Predictor(load_network(weights), config.foreign)(curves)
    fits: list[ParticleFit] = []
    for name in _candidates(predictions, max(config.refit, 1)):
        fits.append(_fitted(curves, [one.of_class[name] for one in predictions], fit, seed))
        if all(excess(chi2 * dof, dof) < NOISE for chi2, dof in _ends(fits[-1])):
            break
    best = min(fits, key=lambda one: float(one.chi2.sum()))
    notes = [one.note for one in predictions if one.note]
    return replace(best, method=f"network, then {best.method}", warnings=kept(best.warnings, notes))


def classes_of(
    curves: Curves, weights: str | Path, config: SaxsInferConfig, fit: SaxsFitConfig, seed: int
) -> list[Classes]:
    """Give each curve's probabilities of shapes, whether it is foreign, and how well the likeliest shapes fit."""
    predictions = Predictor(load_network(weights), config.foreign)(curves)
    quick = fit.model_copy(update={"samples": 0, "evaluations": min(fit.evaluations, _QUICK)})
    found = []
    for number, (name, one) in enumerate(zip(curves.names.split("\n"), predictions, strict=True)):
        refits = []
        for shape in list(one.probabilities)[: config.refit]:
            made = _fitted(curve_of(curves, number), [one.of_class[shape]], quick, seed)
            (chi2, dof), *_ = _ends(made)
            refits.append(Refit(shape, made.model, chi2, excess(chi2 * dof, dof) < NOISE))
            if refits[-1].explains:
                break
        found.append(_classes(name, one, tuple(refits)))
    return found


def _classes(name: str, one: ShapePrediction, refits: tuple[Refit, ...]) -> Classes:
    """Say what one curve's shape is."""
    (first, chance), *_ = one.probabilities.items()
    explained = any(refit.explains for refit in refits)
    foreign = one.is_foreign and not explained
    words = f"{first} ({chance:.2f})"
    if foreign:
        words = f"like no shape that the network knows (nearest: {words}), and none of them fits"
    elif refits and not explained:
        words += f"; no fit explains the curve, the best chi-square is {min(refit.chi2 for refit in refits):.3g}"
    elif refits and not refits[0].explains:
        fitting = ", ".join(refit.shape for refit in refits if refit.explains)
        words += f", which does not fit; {fitting} does"
    verdict = f"{name}: {words}" + (f"; {one.note}" if one.note else "")
    return Classes(name, one.probabilities, one.foreign, foreign, refits, verdict)


def _candidates(predictions: Sequence[ShapePrediction], count: int) -> list[str]:
    """Classes by their mean probability."""
    names = list(predictions[0].probabilities)
    return sorted(names, key=lambda name: -sum(one.probabilities[name] for one in predictions))[:count]


def _fitted(curves: Curves, guesses: Sequence[ParameterGuess], fit: SaxsFitConfig, seed: int) -> ParticleFit:
    """Fit one class from the network's guesses."""
    model = guesses[0].model
    generator = torch.Generator().manual_seed(seed)
    starts = [[_as_start(start) for start in guess.starts(_STARTS, generator)] for guess in guesses]
    settings = fit.model_copy(update={"model": model, "fix": {}, "contrast": {}, "starts": _STARTS, "library": 16})
    return fit_curves(curves, settings, seed, starts if settings.series != "global" else [starts[0]])


def _as_start(start: Mapping[str, float]) -> dict[str, float]:
    """Values by the fit's names."""
    named = {
        "contrast_ratio": "core_contrast_ratio",
        "cutoff_length": "correlation_length",
        "fractal_dim_mass": "dimension",
    }
    return {named.get(name, name): value for name, value in start.items()}


def _ends(found: ParticleFit) -> list[tuple[float, int]]:
    """Chi-square per degree of freedom and degrees of freedom of each curve."""
    return [(float(chi2), int(dof)) for chi2, dof in zip(found.chi2, found.degrees_of_freedom, strict=False)]
