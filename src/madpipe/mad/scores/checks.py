"""Checks of a sample: its answers and objects against their limits."""

from collections.abc import Sequence
from pathlib import Path

from madpipe.base.overview import Check, Said, check_of
from madpipe.base.plain import read_json
from madpipe.base.verdict import Verdict, verdict
from madpipe.mad import limits
from madpipe.mad.scores.records import AnswerScores, SampleScores, ShellScore


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
        for check, made in _of_answer(name, answer).items()
    ]
    first = next(iter(scores.retrieve), None)
    for route, verdicts in scores.retrieve.items():
        covered = scores.retrieved[route].coverage_95
        own = {**verdicts, **({} if covered is None else {"composition_covered": _coverage("composition", covered)})}
        found += [check_of("mad", scores.sample, route, name, made, route != first) for name, made in own.items()]
    return found


def _of_answer(name: str, answer: AnswerScores) -> dict[str, Verdict]:
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
    covered = _covered(answer.shells)
    if covered:
        quantity = min(covered, key=covered.__getitem__)
        made["errors"] = _coverage(quantity, covered[quantity])
    return made


def _coverage(quantity: str, covered: float) -> Verdict:
    """Whether stated errors cover the truth."""
    return verdict(
        covered, limits.COVERED, False, f"{quantity}: share of the truth within 1.96 stated errors, 0.95 is due"
    )


def _covered(shells: Sequence[ShellScore]) -> dict[str, float]:
    """Share of points within 1.96 stated errors, over all shells, of each quantity; Delta_phi_NA follows from them."""
    shares: dict[str, list[tuple[float, int]]] = {}
    for row in shells:
        if row.coverage_95 is not None and row.quantity != "delta_phi_NA":
            shares.setdefault(row.quantity, []).append((row.coverage_95, row.points))
    return {
        quantity: sum(share * points for share, points in known) / sum(points for _, points in known)
        for quantity, known in shares.items()
    }
