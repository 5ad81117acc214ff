"""All figures of one sample, by the steps that it went through."""

from collections.abc import Callable

from madpipe.base.curves.records import Curves
from madpipe.base.plotting import Picture
from madpipe.saxs.analysis.guinier import guinier
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.figures.anomalous import contrast_against_energy, resonant_term, series_fit
from madpipe.saxs.figures.fit import fitted_curves, valley
from madpipe.saxs.figures.guinier import guinier_plot
from madpipe.saxs.figures.size import size_distribution
from madpipe.saxs.records import ParticleFit
from madpipe.saxs.records_separation import Separation
from madpipe.saxs.records_size import SizeDistribution


def drawings(
    curves: Curves,
    fit: ParticleFit | None = None,
    sizes: SizeDistribution | None = None,
    anomalous: AnomalousFit | None = None,
    partial: Separation | None = None,
    with_guinier: bool = False,
) -> dict[str, Callable[[], Picture]]:
    """Give what draws each figure, by its name."""
    made: dict[str, Callable[[], Picture]] = {}
    if fit is not None:
        made |= {"fitted_curves": lambda: fitted_curves(fit), "valley": lambda: valley(fit)}
    if sizes is not None:
        made["size_distribution"] = lambda: size_distribution(sizes)
    if with_guinier:
        law = guinier(curves.q, curves.intensity[0], curves.sigma[0])
        made["guinier_plot"] = lambda: guinier_plot(curves, law)
    if anomalous is not None:
        made["series_fit"] = lambda: series_fit(anomalous)
        made["contrast_against_energy"] = lambda: contrast_against_energy(anomalous)
        if partial is not None:
            made["resonant_term"] = lambda: resonant_term(anomalous, partial)
    return made
