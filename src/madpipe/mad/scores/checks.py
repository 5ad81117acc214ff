"""Checks of a sample: its answers and objects against their limits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.base.verdict import Verdict, verdict
from madpipe.mad import limits
from madpipe.mad.scores.coverage import coverage_scores, photons_in_words
from madpipe.mad.scores.records import AnswerScores, CoverageScore, SampleScores
from madpipe.mad.scores.split import split_verdict


def checks_of_file(path: str | Path) -> list[Check]:
    """List every check of the sample whose scores.json this is."""
    return checks(read_json(path, SampleScores))


def said_of_file(path: str | Path) -> list[Said]:
    """List what is warned of in the sample whose scores.json this is."""
    scores = read_json(path, SampleScores)
    return [Said("mad", scores.sample, line) for line in scores.warnings]


def checks(scores: SampleScores) -> list[Check]:
    """List every check of one sample."""
    found = [
        check_of("mad", scores.sample, name, check, made)
        for name, answer in scores.answers.items()
        for check, made in _of_answer(name, answer, scores.mad_residual).items()
    ]
    first = next(iter(scores.retrieve), None)
    for route, verdicts in scores.retrieve.items():
        covered = scores.retrieved[route].coverage_95
        own = {**verdicts, **({} if covered is None else {"composition_covered": _coverage("composition", covered)})}
        found += [check_of("mad", scores.sample, route, name, made, route != first) for name, made in own.items()]
    return found


def _of_answer(name: str, answer: AnswerScores, mad_residual: float | None) -> dict[str, Verdict]:
    """Checks of a fit or of a network's answer."""
    r, floor, error = answer.r_factor, answer.r_noise, answer.r_noise_standard_error
    ratio = r / floor if floor > 0 else float("nan")
    words = f"R over its noise floor: {r:.4f} over {floor:.4f} +- {error:.4f}"
    made = {"r_factor": verdict(ratio, limits.R_OVER_NOISE[name], True, words)}
    if answer.method.startswith("exact"):
        made["certified"] = verdict(
            answer.certified_share, limits.CERTIFIED, False, "share of the points whose fit is proved the best there is"
        )
        made["chi2"] = verdict(
            answer.chi2_per_dof, limits.CHI2, True, "chi2 per degree of freedom: 1 where noise is all"
        )
    covered = [row for row in coverage_scores(answer.shells) if row.interval == "coverage_95"]
    known = [row for row in covered if row.quantity != "delta_phi_NA"]  # which follows from the others
    if known:
        least = min(known, key=lambda row: row.share)
        made["errors"] = _coverage(least.quantity, least.share, _worst_in_words(known))
        if not made["errors"].passed:
            why = _why_in_words(least.quantity, answer, mad_residual)
            made["errors"] = replace(made["errors"], meaning=made["errors"].meaning + why)
    stated = None if answer.split is None else split_verdict(answer.split)
    return made if stated is None else {**made, "split": stated}


def _coverage(quantity: str, covered: float, more: str = "") -> Verdict:
    """Whether stated errors cover the truth."""
    words = f"{quantity}: share of the truth within the stated 95 % intervals, 0.95 is due{more}"
    return verdict(covered, limits.COVERED, False, words)


def _why_in_words(quantity: str, answer: AnswerScores, mad_residual: float | None) -> str:
    """What is known of why errors do not cover: where the answer claims most, or what the equation leaves out."""
    words = []
    thirds = answer.by_stated_error.get(quantity)
    if thirds:
        shares = ", ".join(f"{share:.2f}" for share in thirds)
        words.append(f"in the thirds of each shell whose errors are stated smallest, middle, largest: {shares}")
    if mad_residual:
        # an error common to all energies' other atoms is as large as noise where photons are 1 / residual^2; a third
        # of it, where the errors begin to be wrong, at a tenth of them
        words.append(
            f"the equation leaves {mad_residual:.1e} of the intensities, the other atoms' f', f'', which counts beyond "
            f"{0.1 / mad_residual**2:.0e} photons"
        )
    return f"; {'; '.join(words)}" if words else ""


def _worst_in_words(known: Sequence[CoverageScore]) -> str:
    """The quantity and shell whose share is farthest from what is due, which a mean hides."""
    judged = [row for row in known if row.worst is not None]
    if not judged:
        return ""
    row = max(judged, key=lambda row: abs(row.worst - row.due))
    shell = photons_in_words(row.worst_shell_low, row.worst_shell_high)
    return f"; worst shell: {row.worst:.3f} of {row.quantity} at {shell} photons, {row.worst_points} points"
