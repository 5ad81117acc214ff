"""Scores of a set of still images: what was indexed, fitted, integrated, merged, beside a truth."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base import store
from madpipe.base.metrics import correlation, finite
from madpipe.base.plain import read_json
from madpipe.base.verdict import Verdict, verdict
from madpipe.base.warned import kept, lines_of
from madpipe.physics.rotations import rotation_vector
from madpipe.stills import limits
from madpipe.stills.geometry import Crystal
from madpipe.stills.index.choice import alike
from madpipe.stills.index.records import CrystalList
from madpipe.stills.merge.merged import merge, observations_of
from madpipe.stills.merge.quality import relative_to_shells
from madpipe.stills.merge.records import MergedQuality
from madpipe.stills.records import ImageTable, Integrated, PixelFits, StillsTruth
from madpipe.stills.scores.common_part import relative_errors
from madpipe.stills.scores.records import Error, StillsScores


@dataclass(frozen=True)
class Answers:
    """What was made of a set of images; None where a step was not asked for."""

    indexed: CrystalList | None = None
    fitted: PixelFits | None = None
    integrated: Integrated | None = None
    merged: MergedQuality | None = None


def answers_of(files: Mapping[str, str]) -> Answers:
    """Read the answers of the steps whose files are there, by the steps' names."""
    readers: dict[str, tuple[str, Callable[[str], object]]] = {
        "index": ("indexed", lambda path: read_json(path, CrystalList)),
        "fit": ("fitted", lambda path: store.read(path, PixelFits)),
        "integrate": ("integrated", lambda path: store.read(path, Integrated)),
        "merge": ("merged", lambda path: read_json(path, MergedQuality)),
    }
    read = {field: reader(files[step]) for step, (field, reader) in readers.items() if step in files}
    return Answers(**read)  # type: ignore[arg-type]


def score(title: str, images: int, answers: Answers, truth: StillsTruth | None) -> StillsScores:
    """Score one set.

    Parameters
    ----------
    title, images:
        Its name, and how many images it has.
    answers:
        Of each step.
    truth:
        Of a simulated set.
    """
    indexed, integrated, merged = answers.indexed, answers.integrated, answers.merged
    found = [] if indexed is None else [one for one in indexed.images if one.failed is None]
    errors = {} if truth is None else _errors(answers, truth)
    true = None if truth is None or integrated is None else cc_true(integrated, truth)
    return StillsScores(
        title=title,
        simulated=truth is not None,
        images=images,
        indexed=None if indexed is None else len(found),
        integrated=None if integrated is None else int(_table(integrated).good.sum()),
        within=tuple(np.mean([one.within for one in found], axis=0).tolist()) if found else (),
        chance=tuple(np.mean([one.chance for one in found], axis=0).tolist()) if found else (),
        merged=None if merged is None else merged.whole,
        resolution=None if merged is None else merged.resolution,
        rule="" if merged is None else merged.rule,
        errors=errors,
        cc_true=true,
        failed=_failed(answers),
        warnings=_warnings(answers),
        verdicts=_verdicts(answers, errors, true),
    )


def _table(integrated: Integrated) -> ImageTable:
    """Table of the images."""
    return integrated.tables()[1]


def _failed(answers: Answers) -> dict[str, str]:
    """Images that failed, by the first step that says so."""
    found: dict[str, str] = {}
    if answers.indexed is not None:
        found |= {one.image: one.failed for one in answers.indexed.images if one.failed is not None}
    for table in (answers.fitted, None if answers.integrated is None else _table(answers.integrated)):
        if table is None:
            continue
        rows = zip(table.names.split("\n"), table.verdicts.split("\n"), strict=True)
        found = {**{name: words for name, words in rows if words != "good"}, **found}
    return found


def _warnings(answers: Answers) -> tuple[str, ...]:
    """All that was warned of, each line once."""
    said = [one.warnings for one in (answers.indexed, answers.fitted, answers.integrated, answers.merged) if one]
    return lines_of(kept(*said))


def _errors(answers: Answers, truth: StillsTruth) -> dict[str, Error]:
    """Errors of all that the truth knows."""
    found = {}
    if answers.fitted is not None:
        fitted = answers.fitted
        labels = fitted.labels.split(",")
        if "spread" in labels:
            stated = fitted.errors[:, labels.index("spread")]
            found["spread [degree]"] = _error(fitted.spread - truth.spread, stated)
        if "rotation_x" in labels:
            at = labels.index("rotation_x")
            found["orientation by pixels [degree]"] = _error(
                _turns(fitted.axes, truth.axes, fitted.space_group), fitted.errors[:, at : at + 3]
            )
    if answers.integrated is not None:
        table = _table(answers.integrated)
        place = matched(table.names, len(truth.axes))
        good = table.good > 0
        scale, b = truth.ln_scale[place], truth.wilson_b[place]
        off, wrong_b = (table.ln_scale - scale)[good], (table.wilson_b - b)[good]
        relative = relative_errors(answers.integrated)
        found["ln G [1]"] = _error(off - off.mean(), relative.ln_scale[good], 1)
        found["B [angstrom^2]"] = _error(wrong_b - wrong_b.mean(), relative.wilson_b[good], 1)
        turns = _turns(table.axes, truth.axes[place], answers.integrated.space_group)[good]
        found["orientation by reflections [degree]"] = _error(turns, table.turn_errors[good])
    return found


def matched(names: str, images: int) -> np.ndarray:
    """Numbers of a simulated set's images from their names, which end in #number; the first has none."""
    said = [name.rpartition("#")[2] for name in names.split("\n")]
    numbers = [int(one) if one.isdigit() else 0 for one in said]
    return np.array(numbers) if max(numbers) < images else np.arange(len(numbers))


def _turns(
    found: Float[np.ndarray, "image 3 3"], true: Float[np.ndarray, "image 3 3"], space_group: str
) -> Float[np.ndarray, "image 3"]:
    """Rotation vectors from found to true orientations, in the setting of the crystal that is nearest [degree]."""
    turned = []
    for one, other in zip(found, true, strict=True):
        crystal = alike(Crystal(one, space_group), Crystal(other, space_group))
        turned.append(rotation_vector((crystal.reciprocal @ other).T))
    return np.degrees(np.array(turned))


def _error(off: np.ndarray, stated: np.ndarray, means: int = 0) -> Error:
    """Rms error beside the stated one; so many means were taken off."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pulls = (off / stated).ravel()
    spread = finite(float(np.sqrt(np.mean(pulls**2)))) if np.isfinite(pulls).all() else None
    return Error(float(np.sqrt(np.mean(off**2))), float(np.sqrt(np.mean(stated**2))), spread, pulls.size - means)


def cc_true(integrated: Integrated, truth: StillsTruth) -> float | None:
    """Correlation of merged intensities with the truth, both over their shells' means."""
    observations = observations_of(integrated)
    merged = merge(observations)
    intensities = integrated.tables()[2]
    known = {tuple(hkl): value for hkl, value in zip(truth.hkl.tolist(), truth.intensity, strict=True)}
    true = np.array([known.get(tuple(hkl), math.nan) for hkl in intensities.hkl.tolist()])
    use = (merged.number > 0) & np.isfinite(true)
    if use.sum() < 3:
        return None
    metric = np.linalg.inv(np.array(_cell_axes(integrated)))
    inverse_d2 = np.sum((intensities.hkl[use] @ metric.T) ** 2, axis=1)
    flat = [relative_to_shells(one[use], one[use], inverse_d2) for one in (merged.mean, true)]
    return finite(correlation(*flat))


def _cell_axes(integrated: Integrated) -> Float[np.ndarray, "3 3"]:
    """Axes of the first image: any orientation tells d."""
    axes: np.ndarray = _table(integrated).axes[0]
    return axes


def _verdicts(answers: Answers, errors: Mapping[str, Error], true: float | None) -> dict[str, Verdict]:
    """Checks of each step."""
    made: dict[str, Verdict] = {}
    if answers.indexed is not None:
        made |= _of_index(answers.indexed)
    if answers.fitted is not None:
        worst = float(np.nanmax(answers.fitted.pearson))
        made["pixels"] = verdict(worst, limits.PEARSON, True, "chi-square per pixel of the worst image, 1 is due")
    if answers.merged is not None and answers.merged.whole.cc_half is not None:
        words = "correlation of merged halves of the images (CC1/2)"
        made["cc_half"] = verdict(answers.merged.whole.cc_half, limits.CC_HALF, False, words)
        null, sd = answers.merged.whole.null_mean, answers.merged.whole.null_sd
        if null is not None and sd:
            words = "correlation with a reference shuffled in shells, over its chance: the reference does not leak"
            made["reference"] = verdict(abs(null) / sd, limits.NULL, True, words)
    if true is not None:
        made["truth"] = verdict(true, limits.CC_TRUE, False, "correlation of merged intensities with the true ones")
    for name, error in errors.items():
        if error.pull_sd is not None and (error.numbers or 0) >= limits.PULL_NUMBERS:
            words = f"rms error of {name} over the stated one, or its inverse"
            factor = max(error.pull_sd, 1 / max(error.pull_sd, 1e-300))
            made[f"errors_{name.split(' [')[0].replace(' ', '_')}"] = verdict(factor, limits.PULL, True, words)
    return made


def _of_index(indexed: CrystalList) -> dict[str, Verdict]:
    """Checks of the crystals that were found."""
    shares: Sequence[float] = [one.within[1] if one.within else 0.0 for one in indexed.images]
    words = "share of the spots within 2 pixels of a reflection, of the worst image"
    return {"indexed": verdict(min(shares), limits.INDEXED, False, words)}
