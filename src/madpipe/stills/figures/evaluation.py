"""Figures of the comparison of methods, by name."""

from collections.abc import Callable

from madpipe.base.plotting import Picture
from madpipe.stills.figures.integration import blocks, degeneracy, geometry, methods_of_integration, width_error
from madpipe.stills.figures.partiality import learned_partiality
from madpipe.stills.figures.recovery import convergence, courses, methods, other_domains, pulls
from madpipe.stills.scores.records import Evaluation

FIGURES: dict[str, Callable[[Evaluation], Picture]] = {
    "methods": methods,
    "courses": courses,
    "convergence": convergence,
    "other_domains": other_domains,
    "pulls": pulls,
    "methods_of_integration": methods_of_integration,
    "blocks": blocks,
    "width_error": width_error,
    "degeneracy": degeneracy,
    "geometry": geometry,
    "learned_partiality": learned_partiality,
}
