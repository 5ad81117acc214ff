"""Both ends of each curve: Guinier's law at low q, Porod's law and the invariant at high q."""

from dataclasses import dataclass

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.plain import told
from madpipe.saxs.analysis.guinier import GuinierFit, guinier
from madpipe.saxs.analysis.porod import PorodFit, porod


@dataclass(frozen=True)
class CurveEnds:
    """One curve's ends."""

    curve: str
    guinier: GuinierFit | None = told("None where the law cannot be fitted")
    porod: PorodFit | None = told("None where the law cannot be fitted")
    verdict: str = told("in words")


def low_and_high_q(curves: Curves) -> list[CurveEnds]:
    """Fit Guinier's and Porod's laws to every curve; what refuses is said in the verdict."""
    return [_ends(curves, number, name) for number, name in enumerate(curves.names.split("\n"))]


def _ends(curves: Curves, number: int, name: str) -> CurveEnds:
    """One curve."""
    data = curves.q, curves.intensity[number], curves.sigma[number]
    words = []
    low: GuinierFit | None = None
    high: PorodFit | None = None
    try:
        low = guinier(*data)
        told_rg = f"Rg {low.rg:.5g} +- {low.rg_total_error:.2g} angstrom, I(0) {low.i0:.5g} from {low.points} points"
        words.append(f"{told_rg}; {low.verdict}" if low.verdict else told_rg)
    except InputError as error:
        words.append(str(error))
    try:
        high = porod(*data, guinier=None if low is None or low.verdict else (low.rg, low.i0))
        words.append(high.verdict or f"Porod's constant {high.constant:.4g} +- {high.constant_error:.2g}")
    except InputError as error:
        words.append(str(error))
    return CurveEnds(name, low, high, f"{name}: {'; '.join(words)}")
