"""Configuration of the rocking-curve study."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from madpipe.base.config import KIND_OF_SAMPLE, InputFile, Model, SampleName
from madpipe.base.training_config import (
    Batch,
    GradientClip,
    Patience,
    Precision,
    Steps,
    TrainingConfig,
    ValidateEvery,
    Workers,
)
from madpipe.rocking.limits import GOOD_CHI2
from madpipe.rocking.prior import NAMES

WAVELENGTH = 1.5406  # of copper's K-alpha 1, where nothing else is said [angstrom]


class CurveSample(Model):
    """What a curve is of, and what it was measured with."""

    crystal: str = Field("GGG", description="a built-in crystal: Si, Ge, GaAs, SiC-3C, YSZ, GGG")
    lattice_constant: float | None = Field(
        None, gt=0, description="of the unstrained crystal, else the built-in [angstrom]"
    )
    indices: tuple[int, int, int] = Field((4, 4, 4), description="h, k, l of the symmetric reflection")
    sigma_share: float = Field(0.5, gt=0, le=1, description="sigma's share of the beam's intensity, the rest is pi [1]")
    monochromator: float = Field(1.0, ge=0, le=1, description="share of pi that a monochromator lets through [1]")
    half_width: float = Field(0.006, ge=0, description="of the resolution in 2 theta, at half maximum [degree]")
    lorentzian: float = Field(0.0, ge=0, le=1, description="Lorentzian share of the resolution [1]")


class Scan(CurveSample):
    """A sample and the angles of its scan."""

    wavelength: float = Field(WAVELENGTH, gt=0, description="[angstrom]")
    two_theta: tuple[float, float] = Field(
        (-2.2, 0.3), description="ends of the scan about the substrate's peak [degree]"
    )
    points: int = Field(701, ge=30, description="angles")


class SimulatedCurve(Scan):
    """An implanted layer's curve."""

    peak_counts: float = Field(1e6, gt=0, description="counts of full reflectivity [photon]")
    background: float = Field(1.0, ge=0, description="counts without the beam [photon]")
    systematic: float = Field(0.0, ge=0, lt=1, description="noise beside counting, relative to the curve [1]")
    seed: int | None = Field(None, description="of the particle's parameters and noise, else the study's")
    parameters: tuple[float, float, float, float, float, float, float] | None = Field(
        None, description=f"{', '.join(NAMES)}; else drawn from the prior [1 and angstrom]"
    )

    @property
    def scan(self) -> Scan:
        """Sample, beam and angles alone."""
        return Scan(**self.model_dump(include=set(Scan.model_fields)))


class MeasuredCurve(CurveSample):
    """A curve from a file of a diffractometer, or of two columns of text."""

    path: InputFile = Field(description="text of 2 theta [degree] and intensity, .xrdml, .ras, .uxd or .brml")
    scan: int | None = Field(None, ge=1, description="which scan of the file, from 1; else its only one")
    columns: tuple[str, str] | None = Field(
        None, description="names or numbers of a text's columns of angle and intensity, else by their names"
    )
    axis: Literal["two_theta", "omega"] | None = Field(
        None, description="what the angles are; 2 theta is twice omega; else as the file says, or two_theta"
    )
    unit: Literal["degree", "arcmin", "arcsec", "mrad", "radian"] | None = Field(
        None, description="of the angles, else as the file says, or degree"
    )
    peak: float | None = Field(
        None, description="of the substrate's peak, on the file's axis, else it is the highest [the file's unit]"
    )
    wavelength: float | None = Field(None, gt=0, description=f"else the file's, else {WAVELENGTH} [angstrom]")
    half_width: float = Field(0.006, gt=0, description="of the resolution in 2 theta, at half maximum [degree]")
    counts_per_unit: float | None = Field(
        None, gt=0, description="photons for one unit of the file, else found [photon]"
    )
    systematic: float = Field(
        0.0, ge=0, description="error beside counting, relative to the curve: absorbers, dead time, the model's own [1]"
    )
    peak_systematic: float = Field(
        0.3,
        ge=0,
        description="the same within five half widths of the substrate's peak, where dead time and resolution tell [1]",
    )
    instrument: InputFile | None = Field(
        None,
        description="text of 2 theta [degree] and intensity: the resolution as measured, not by half_width, lorentzian",
    )
    depth: float = Field(2000.0, gt=0, description="where the strained layer ends [angstrom]")
    optional: bool = Field(False, description="leave it out where its file is not there")


AnyCurve = Annotated[
    Annotated[SimulatedCurve, Tag("simulated")] | Annotated[MeasuredCurve, Tag("measured")], KIND_OF_SAMPLE
]


class RockingFitConfig(Model):
    """Classical fit of a profile."""

    profile: Literal["implanted", "spline"] | None = Field(
        None, description="implanted: seven parameters; spline: free form; else by the sample, simulated or measured"
    )
    knots: tuple[int, ...] = Field(
        (6, 8, 10, 14, 18, 22, 26, 34), description="numbers of splines that are tried, of strain and disorder each"
    )
    refine_resolution: bool = Field(True, description="find width and shape of the resolution too, of splines")
    starts: int = Field(12, ge=1, description="starts at most")
    explorations: int = Field(
        2, ge=0, description="further searches: among layers of nearly the same strain, or beside a free form"
    )
    samples: int = Field(
        2000, ge=0, description="layers drawn from the posterior, for errors; 0: errors to first order"
    )
    library: int = Field(3000, ge=10, description="curves drawn from the prior to choose starts from")
    good_chi2: float = Field(GOOD_CHI2, gt=0, description="chi-square per point that ends the search [1]")
    evaluations: int = Field(40, ge=5, description="of the curve and its derivatives, for each start")


def profile_of(sample: CurveSample, fit: RockingFitConfig) -> Literal["implanted", "spline"]:
    """Kind of profile that a sample's curve is fitted with: the fit's, else an implanted layer for a simulated one."""
    return fit.profile or ("implanted" if isinstance(sample, SimulatedCurve) else "spline")


Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class RockingTrainConfig(TrainingConfig):
    """A network for implanted layers, and its training."""

    batch: Batch = Field(64, description="curves per step")
    steps: Steps = 6000
    gradient_clip: GradientClip = 5.0
    validate_every: ValidateEvery = 500
    patience: Patience = 40
    precision: Precision = Field("full", description="full: single precision; mixed: tensor cores may round, on a GPU")
    workers: Workers = 1
    scan: Scan = Field(Scan(), description="reflection, beam, resolution and angles that the network is made for")
    peak_counts: tuple[Positive, Positive] = Field(
        (1e5, 1e7), description="least and most counts of full reflectivity [photon]"
    )
    background: tuple[Positive, Positive] = Field(
        (1e-6, 1e-3), description="least and most background, over the counts of full reflectivity [1]"
    )
    systematic: float = Field(0.03, ge=0, lt=1, description="largest error beside counting, relative to the curve [1]")
    resolution_spread: float = Field(
        0.3, ge=0, lt=1, description="how far the resolution's width may be from the stated one, relative [1]"
    )
    offset: float = Field(0.004, ge=0, description="how far the angles may be off after centring [degree]")
    width: int = Field(16, ge=4, description="features of the first layers; deeper ones have up to three times as many")
    blocks: int = Field(2, ge=1, description="residual blocks between two halvings of the number of points")
    pooling: Literal["per_parameter", "shared"] = Field(
        "per_parameter", description="attention over the angles: a query for each parameter, or one for all"
    )
    begin: Literal["fresh", "shipped"] = Field(
        "fresh", description="weights to begin with: drawn, or madpipe's own, which learn another reflection sooner"
    )
    validation_curves: int = Field(1024, ge=16, description="curves that decide which weights are kept")
    absolute: float = Field(10.0, ge=0, description="weight of the absolute errors over the ranges [1]")
    sensitivity: Literal["even", "measured", "last"] = Field(
        "even",
        description="weights of the parameters' absolute errors: equal, by the measured sensitivity, or by its inverse",
    )
    reconstruction: float = Field(0.0, ge=0, description="weight of the error of the predicted layer's curve [1]")
    reconstruction_from: Share = Field(0.0, description="share of the steps before that error counts [1]")
    multi_task: float = Field(0.0, ge=0, description="weight of the error of a curve predicted beside the layer [1]")
    coarse_to_fine: Share = Field(0.0, description="share of the steps over which smoothing of the input ends [1]")
    sensitive_share: Share = Field(0.0, description="share of curves drawn by how little they determine [1]")
    replay: bool = Field(True, description="on a GPU, record a step once and replay it")


class RockingInferConfig(Model):
    """The network's answer."""

    weights: Literal["trained", "shipped"] = Field("shipped", description="madpipe's own network, or one of this run")
    refine: bool = Field(True, description="fit from the prediction on (rocking.fit); false: prediction only")
    draws: int = Field(4, ge=0, description="further starts from the prediction's distribution, where it fails")


class RockingAblationConfig(Model):
    """Comparison of the remedies: trainings that differ in one thing."""

    seeds: int = Field(3, ge=1, description="trainings of each variant")
    train: RockingTrainConfig = Field(
        RockingTrainConfig(scan=Scan(points=351), pooling="shared", batch=32, steps=1000, validate_every=250),
        description="what all trainings share",
    )
    compared: int = Field(100, ge=2, description="held-out curves")


class RockingEvaluateConfig(Model):
    """Score of the network, with and without refinement, on held-out curves."""

    curves: int = Field(12, ge=2, description="held-out curves; the default shows how, 1000 tell")
    timed: bool = Field(False, description="note seconds, which are others each time, and draw them")
    peak_counts: float = Field(1e6, gt=0, description="counts of full reflectivity [photon]")
    background: float = Field(250.0, gt=0, description="counts without the beam [photon]")
    systematic: float = Field(0.02, ge=0, lt=1, description="noise beside counting, relative to the curve [1]")


class RockingConfig(Model):
    """Rocking curves of strained layers."""

    samples: Mapping[SampleName, AnyCurve] = Field(
        default_factory=dict, description="what is simulated or measured, by name"
    )
    fit: RockingFitConfig = Field(RockingFitConfig(), description="classical fit")
    train: RockingTrainConfig = Field(RockingTrainConfig(), description="network")
    infer: RockingInferConfig = Field(RockingInferConfig(), description="the network's answer")
    evaluate: RockingEvaluateConfig = Field(RockingEvaluateConfig(), description="score on held-out curves")
    ablation: RockingAblationConfig = Field(RockingAblationConfig(), description="comparison of remedies")
