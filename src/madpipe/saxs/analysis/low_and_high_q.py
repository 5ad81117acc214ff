"""Both ends of each curve: Guinier's law at low q, Porod's law and the invariant at high q."""

from dataclasses import dataclass, fields

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.metrics import finite, with_error
from madpipe.base.plain import told
from madpipe.saxs.analysis.guinier import GuinierFit, guinier
from madpipe.saxs.analysis.porod import PorodFit, porod


@dataclass(frozen=True)
class TrendRow:
    """Radius of gyration with the points below a q left out."""

    q_min: float = told("lowest q that is used", "1/angstrom")
    rg: float = told("radius of gyration", "angstrom")
    error: float | None = told("one standard error", "angstrom")


@dataclass(frozen=True)
class GuinierEnd:
    """Guinier's law; None where a number is infinite."""

    rg: float | None = told("radius of gyration", "angstrom")
    rg_error: float | None = told("of the weighted line alone", "angstrom")
    rg_total_error: float | None = told("with misfit and the curvature of compact particles", "angstrom")
    i0: float | None = told("intensity at q = 0, in the curve's unit")
    i0_error: float | None
    points: int
    q_min: float = told("of the range", "1/angstrom")
    q_max: float = told("of the range", "1/angstrom")
    chi2: float | None = told("per degree of freedom")
    trend: tuple[TrendRow, ...]
    verdict: str = told("empty where one number can be quoted, else why not")


@dataclass(frozen=True)
class CurveEnds:
    """One curve's ends."""

    curve: str
    guinier: GuinierEnd | None = told("None where the law cannot be fitted")
    porod: dict[str, float | str | None] | None = told("numbers of PorodFit; None where the law cannot be fitted")
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
        quoted = f"Rg {with_error(low.rg, low.rg_total_error)} angstrom, I(0) {low.i0:.5g} from {low.points} points"
        words.append(f"{quoted}; {low.verdict}" if low.verdict else quoted)
    except InputError as error:
        words.append(str(error).rstrip("."))
    try:
        high = porod(*data, guinier=None if low is None or low.verdict else (low.rg, low.i0))
        words.append(high.verdict or f"Porod's constant {high.constant:.4g} +- {high.constant_error:.2g}")
    except InputError as error:
        words.append(str(error).rstrip("."))
    return CurveEnds(
        name,
        None if low is None else _guinier_end(low),
        None if high is None else _porod_end(high),
        f"{name}: {'; '.join(words)}",
    )


def _guinier_end(low: GuinierFit) -> GuinierEnd:
    """Plain numbers of Guinier's law."""
    rows = zip(low.trend_q_min, low.trend_rg, low.trend_rg_error, strict=True)
    return GuinierEnd(
        finite(low.rg),
        finite(low.rg_error),
        finite(low.rg_total_error),
        finite(low.i0),
        finite(low.i0_error),
        low.points,
        low.q_min,
        low.q_max,
        finite(low.chi2),
        tuple(TrendRow(float(q), float(rg), finite(float(error))) for q, rg, error in rows),
        low.verdict,
    )


def _porod_end(high: PorodFit) -> dict[str, float | str | None]:
    """Plain numbers of Porod's law."""
    values = {one.name: getattr(high, one.name) for one in fields(high)}
    return {name: value if isinstance(value, str) else finite(float(value)) for name, value in values.items()}
