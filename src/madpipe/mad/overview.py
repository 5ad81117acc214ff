"""Every check of every sample on one page: what its value is, what it may be, whether it passes, what it means."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from madpipe.base import metrics
from madpipe.base.page import columns, folded, heading, paragraph, table
from madpipe.base.verdict import Verdict, verdict
from madpipe.mad import limits

_HEAD = ("sample", "of", "check", "value", "limit", "verdict", "meaning")
Scores = Mapping[str, Any]


class Check(Verdict):
    """One check, of which sample and of what: the fit, the network, or the object by a route."""

    sample: str
    of: str
    check: str
    compared: bool  # of an object that only stands beside the joint one


def checks(scores: Scores) -> list[Check]:
    """List every check of one sample, from what mad_validate wrote."""
    found = [
        _named(scores, name, check, made)
        for name, answer in scores["answers"].items()
        for check, made in _of_answer(name, answer).items()
    ]
    first = next(iter(scores.get("retrieve", {})), None)
    for route, verdicts in scores.get("retrieve", {}).items():
        covered = scores["retrieved"][route].get("coverage_95")
        own = {**verdicts, **({} if covered is None else {"composition_covered": _coverage("composition", covered)})}
        found += [_named(scores, route, name, made, route != first) for name, made in own.items()]
    return found


def _named(scores: Scores, of: str, name: str, made: Verdict, compared: bool = False) -> Check:
    """A verdict with its place; a value that is no number is null, and does not pass."""
    value = None if made["value"] is None else metrics.finite(made["value"])
    return Check(sample=scores["sample"], of=of, check=name, **{**made, "value": value}, compared=compared)


def _of_answer(name: str, answer: Scores) -> dict[str, Verdict]:
    """Checks of a fit or of a network's answer."""
    r, floor, error = (answer[key] for key in ("r_factor", "r_noise", "r_noise_standard_error"))
    ratio = r / floor if floor > 0 else float("nan")
    words = f"R over its noise floor: {r:.4f} over {floor:.4f} +- {error:.4f}"
    made = {"r_factor": verdict(ratio, limits.R_OVER_NOISE[name], True, words)}
    if answer["method"].startswith("exact"):
        made["certified"] = verdict(
            answer["certified_share"],
            limits.CERTIFIED,
            False,
            "share of the points whose fit is proved the best there is",
        )
        made["chi2"] = verdict(
            answer["chi2_per_dof"], limits.CHI2, True, "chi2 per degree of freedom: 1 where noise is all"
        )
    covered = _covered(answer["shells"])
    if covered:
        quantity = min(covered, key=covered.__getitem__)
        made["errors"] = _coverage(quantity, covered[quantity])
    return made


def _coverage(quantity: str, covered: float) -> Verdict:
    """Whether stated errors cover the truth."""
    return verdict(
        covered, limits.COVERED, False, f"{quantity}: share of the truth within 1.96 stated errors, 0.95 is due"
    )


def _covered(shells: Sequence[Scores]) -> dict[str, float]:
    """Share of points within 1.96 stated errors, over all shells, of each quantity; Delta_phi_NA follows from them."""
    shares: dict[str, list[tuple[float, int]]] = {}
    for row in shells:
        if row["coverage_95"] is not None and row["quantity"] != "delta_phi_NA":
            shares.setdefault(row["quantity"], []).append((row["coverage_95"], row["points"]))
    return {
        quantity: sum(share * points for share, points in known) / sum(points for _, points in known)
        for quantity, known in shares.items()
    }


def page(found: Sequence[Check]) -> list[str]:
    """Draw up the page: how many pass, which do not, each sample's, then all of them."""
    own = [check for check in found if not check["compared"]]
    beside = [check for check in found if check["compared"]]
    failed = [check for check in own if not check["passed"]]
    parts = [paragraph(f"{'failed' if failed else 'passed'}: {_count(own)}")]
    if beside:
        parts.append(paragraph(f"The routes that the joint one is compared with, not counted in it: {_count(beside)}"))
    if failed:
        parts += [heading("Checks that fail"), table(_HEAD, _rows(failed))]
    parts += [heading("By sample"), table(*_by_sample(found))]
    parts.append(folded(f"All {len(own)} checks", table(_HEAD, _rows(own))))
    if beside:
        title = f"All {len(beside)} checks of the routes for comparison"
        parts.append(folded(title, table(_HEAD, _rows(beside))))
    return parts


def _count(found: Sequence[Check]) -> str:
    """How many pass, in words."""
    passing = sum(check["passed"] for check in found)
    return f"{passing} of {len(found)} checks pass, {len(found) - passing} do not."


def _rows(found: Sequence[Check]) -> list[list[str | float | None]]:
    """Checks as rows of a table."""
    told = [{**check, "limit": _limit(check), "verdict": "passed" if check["passed"] else "failed"} for check in found]
    return columns(told, _HEAD)


def _limit(check: Check) -> str:
    """The limit and on which side of it the value must lie, which the verdict tells."""
    if check["value"] is None:
        return f"{check['limit']:g}"
    is_below = check["value"] <= check["limit"]
    return f"{'at most' if is_below == check['passed'] else 'at least'} {check['limit']:g}"


def _by_sample(found: Sequence[Check]) -> tuple[list[str], list[list[str]]]:
    """One line per sample, one column per thing checked: how many of its checks pass; those for comparison plain."""
    samples, things = (list(dict.fromkeys(check[key] for check in found)) for key in ("sample", "of"))
    every = Counter((check["sample"], check["of"]) for check in found)
    passing = Counter((check["sample"], check["of"]) for check in found if check["passed"])
    beside = {check["of"] for check in found if check["compared"]}

    def cell(place: tuple[str, str]) -> str:
        word = "" if place[1] in beside else "passed " if passing[place] == every[place] else "failed "
        return f"{word}{passing[place]} of {every[place]}" if every[place] else "-"

    return ["sample", *things], [[sample, *(cell((sample, thing)) for thing in things)] for sample in samples]
