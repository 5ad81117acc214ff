"""What scores.json of a set of still images and merged.json hold; meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict
from madpipe.stills.scores.integration_records import Integration
from madpipe.stills.scores.recovery import MethodScore, PullScore, RadiusScore, TrialScore
from madpipe.stills.scores.traces import Trace


@dataclass(frozen=True, kw_only=True)
class ShellQuality:
    """Merged intensities of one shell of resolution, or of all."""

    lowest: float = told("largest d", "angstrom")
    highest: float = told("least d", "angstrom")
    unique: int = told("reflections with a measurement")
    measurements: int
    pairs: int = told("reflections in both halves")
    i_over_sigma: float | None = told("mean")
    cc_half: float | None = told("correlation of the halves of the images, over shell means")
    cc_star: float | None
    r_split: float | None
    cc_reference: float | None = told("correlation with the reference, over shell means")
    null_sd: float | None = told("of the correlation with a reference that is shuffled in shells")
    null_mean: float | None = told("the same, mean")


@dataclass(frozen=True, kw_only=True)
class MergedQuality:
    """All of a merged set: merged.json."""

    space_group: str
    cell: tuple[float, ...] = told("angstrom and degree")
    images: int
    whole: ShellQuality
    shells: tuple[ShellQuality, ...]
    resolution: float | None = told("limit by the rule", "angstrom")
    rule: str = told("that set the limit")
    error_factor: float = told("of the error model, on counting errors")
    error_share: float = told("of the error model, relative to an intensity")
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image of the table beside an unmerged MTZ, whose batches are the rows."""

    image: str
    ln_G: float  # noqa: N815  the field's symbol
    ln_G_error: float  # noqa: N815
    B: float = told("Wilson's, of intensities exp(-B / 2 d^2)", "angstrom^2")
    B_error: float = told("", "angstrom^2")
    R1: float = told("mean of the shells'", "1/angstrom")
    turn_x: float = told("from the told orientation", "degree")
    turn_y: float = told("the same", "degree")
    turn_z: float = told("the same", "degree")
    spots: int = told("used")
    correlation: float | None = told("of its photons with what the others expect")
    chi2: float | None = told("of the same, per spot")
    verdict: str = told("good, or why not")


@dataclass(frozen=True)
class Error:
    """How far something is from the truth over all images."""

    rms: float
    stated: float  # rms standard error
    pull_sd: float | None = None  # of error over standard error


@dataclass(frozen=True, kw_only=True)
class StillsScores:
    """Scores of one set of still images: scores.json."""

    title: str
    simulated: bool
    images: int
    indexed: int | None = told("images with a crystal, where they were indexed")
    integrated: int | None = told("images that were integrated")
    within: tuple[float, ...] = told("mean share of spots within 1, 2 and 3 pixels of a reflection")
    chance: tuple[float, ...] = told("the same of lattices turned at random")
    merged: ShellQuality | None = None
    resolution: float | None = told("limit of the merged set", "angstrom")
    rule: str = ""
    errors: Mapping[str, Error] = field(default_factory=dict)  # of quantities whose truth is known, by name with unit
    cc_true: float | None = told("correlation of merged intensities with the truth, over shell means")
    failed: Mapping[str, str] = field(default_factory=dict)  # images that failed, and why
    warnings: tuple[str, ...] = ()
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Methods of recovery side by side: evaluation.json."""

    methods: tuple[MethodScore, ...]  # from the demo's own start, the quadrature makes the data
    same_domains: tuple[MethodScore, ...]  # the same, one set of random domains makes and explains the data
    radii: tuple[RadiusScore, ...]
    trials: tuple[TrialScore, ...]  # free domains, without noise
    noisy: tuple[TrialScore, ...]  # the same with counts
    pulls: PullScore
    traces: tuple[Trace, ...] = ()  # courses of searches in the demo's own setting
    integration: Integration | None = None  # methods of integration
