"""Figures of the MAD study: one function per figure, records in, a figure and a caption with its numbers out.

The parameters of a figure's function name the records that it takes: ``stack``, ``fit``, ``network`` and
``real_space`` of one sample; ``stacks``, ``fits``, ``networks`` and ``scores`` of several; ``comparisons``, the scores
of each method on the test suite; ``history`` of a training; ``table`` of an ablation. Those without a default are
required.
"""

import inspect
from collections.abc import Callable

from madpipe.base.plotting import Picture
from madpipe.mad.figures.ablation import ablation
from madpipe.mad.figures.budgets import budgets
from madpipe.mad.figures.comparison import calibration, generalisation, suite_errors
from madpipe.mad.figures.learning import training_curves
from madpipe.mad.figures.maps import fit_maps
from madpipe.mad.figures.normal import f_normal
from madpipe.mad.figures.nuisances import nuisances
from madpipe.mad.figures.profiles import object_maps
from madpipe.mad.figures.quality import error_vs_counts, r_factor
from madpipe.mad.figures.realspace import retrieved
from madpipe.mad.figures.routes import composition_errors
from madpipe.mad.figures.specimen import particle
from madpipe.mad.figures.spectrum import dispersion
from madpipe.mad.figures.split import split

__all__ = ["FIGURES", "Picture", "of_one_sample", "records_of"]

FIGURES: dict[str, Callable[..., Picture]] = {
    "dispersion": dispersion,
    "particle": particle,
    "fit_maps": fit_maps,
    "nuisances": nuisances,
    "network_maps": fit_maps,
    "split": split,
    "f_normal": f_normal,
    "retrieved": retrieved,
    "object_maps": object_maps,
    "error_vs_counts": error_vs_counts,
    "r_factor": r_factor,
    "training_curves": training_curves,
    "suite_errors": suite_errors,
    "calibration": calibration,
    "generalisation": generalisation,
    "ablation": ablation,
    "budgets": budgets,
    "composition_errors": composition_errors,
}


def records_of(name: str) -> dict[str, bool]:
    """Name the records that a figure takes, and say of each whether it is required."""
    parameters = inspect.signature(FIGURES[name]).parameters.values()
    return {parameter.name: parameter.default is parameter.empty for parameter in parameters}


def of_one_sample(name: str) -> bool:
    """Tell whether a figure shows one sample, so that every sample has its own."""
    return "stack" in records_of(name)
