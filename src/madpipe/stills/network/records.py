"""What the network says of images, as tables in JSON."""

from dataclasses import dataclass

from madpipe.base.plain import told


@dataclass(frozen=True, kw_only=True)
class StartRow:
    """One image."""

    image: str
    failed: str | None = told("why there is no answer, in words")
    turn: tuple[float, ...] = told("rotation vector from the told orientation", "degree")
    turn_errors: tuple[float, ...] = told("", "degree")
    spread: float | None = told("mosaic spread", "degree")
    spread_error: float | None = told("", "degree")
    probability: float | None = told("of this orientation among those that the network gives")
    others: tuple[tuple[float, ...], ...] = told("turns of the others", "degree")


@dataclass(frozen=True, kw_only=True)
class StartList:
    """All images: the table beside start.expt."""

    images: tuple[StartRow, ...]
    warnings: str | None = None


@dataclass(frozen=True, kw_only=True)
class StartScore:
    """From how far a search finds the truth of images without noise."""

    method: str = told("low-angles: one start, the nominal orientation; network: one start, its answer; starts: eight")
    offset: float = told("rotation of the truth from the nominal orientation", "degree")
    trials: int
    recovered: int = told("trials with all four numbers within 0.001 degree, up to the lattice's symmetry")
    share_error: float = told("binomial standard error of the share; that of one failure where there is none")
    evaluations: float = told("mean")
    seconds: float | None = told("mean with the network's, one thread", "s")


@dataclass(frozen=True, kw_only=True)
class NetworkScore:
    """The network alone, on images of the pixel simulator that no training saw."""

    photons: float = told("Bragg photons of an image")
    background: float = told("", "photon/pixel")
    images: int
    turn_rms: float = told("angle between the answer and the truth or its twin", "degree")
    turn_median: float = told("the same", "degree")
    spread_rms: float = told("", "degree")
    within: tuple[float, ...] = told("share of errors within 1 and 2 standard errors: 0.683 and 0.954 expected")
    within_spread: tuple[float, ...] = told("the same of ln spread")
    share_error: float = told("binomial standard error of the first share")
    seconds: float | None = told("of an image, one thread", "s")
