"""A retrieved object in words: one line that sums it up, and a line for each check that failed."""

import numpy as np

from madpipe.base.verdict import Verdict, failed, in_words, verdicts_in
from madpipe.mad.records import LOWER_BOUNDS, RealSpace, Stack, factor_in_words

_ON_ALL = ("r_factor", "fourier_error")  # how well an object explains its data: of the joint route, of the others


def told(found: RealSpace, stack: Stack) -> list[str]:
    """Say what came out, how well it explains the data, and which checks it failed.

    Where one failed, the stated errors are not given: they hold for the right image only. The factor that all resonant
    atoms have in common has a line of its own.
    """
    checks = verdicts_in(found.verdicts)
    parts = [
        f"{stack.name}, route {found.route}",
        *[one.meaning for name, one in checks.items() if name in _ON_ALL[:1]],
        *[f"{name.replace('_', ' ')} {one.value:.3g}" for name, one in checks.items() if name == _ON_ALL[1]],
        *([f"chi2 per degree of freedom {checks['chi2'].value:.3g}"] if "chi2" in checks else []),
        f"{np.count_nonzero(stack.good)} observations, {np.count_nonzero(~stack.good)} masked",
        f"{np.count_nonzero(found.support)} voxels",
        composition_in_words(found, stack.resonant),
    ]
    factor = found.resonant_factor_errors
    return ["; ".join(parts), *([] if factor is None else [factor_in_words(factor)]), *failures(checks)]


def composition_in_words(found: RealSpace, element: str) -> str:
    """Mean composition, and a voxel's error where all checks passed."""
    inside = found.support > 0
    if not inside.any():
        return "no voxel, no composition"
    words = f"{found.share_in_words(element)} {found.composition[inside].mean():.3f} on average"
    if failed(verdicts_in(found.verdicts)):
        return f"{words}, its stated error does not hold"
    error = np.sqrt(np.mean(np.square(found.composition_errors[inside])))
    least = ", a lower bound" if found.composition_errors_are == LOWER_BOUNDS else ""
    return f"{words}, +- {error:.2g} in a voxel{least}"


def failures(checks: dict[str, Verdict]) -> list[str]:
    """A line for each check that failed, after one that counts them."""
    wrong = failed(checks)
    if not wrong:
        return []
    head = f"{len(wrong)} of {len(checks)} checks failed: the object is not to be trusted as it stands"
    return [head, *in_words(wrong)]
