"""What scores.json of a set of still images and merged.json hold; meanings and units stand here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from madpipe.base.plain import told
from madpipe.base.verdict import Verdict
from madpipe.stills.merge.records import ShellQuality
from madpipe.stills.network.records import NetworkScore, StartScore
from madpipe.stills.scores.integration_records import Integration
from madpipe.stills.scores.learned_partiality import PartialityRow
from madpipe.stills.scores.recovery import MethodScore, PullScore, RadiusScore, TrialScore
from madpipe.stills.scores.traces import Trace


@dataclass(frozen=True)
class Error:
    """How far something is from the truth over all images."""

    rms: float
    stated: float  # rms standard error
    pull_sd: float | None = None  # rms of error over standard error
    numbers: int | None = None  # that are independent


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
    starts: tuple[StartScore, ...] = ()  # crystals turned from the nominal orientation: the network beside searches
    network: tuple[NetworkScore, ...] = ()  # the network alone
    partialities: tuple[PartialityRow, ...] = ()  # learned ones beside the Gaussian
