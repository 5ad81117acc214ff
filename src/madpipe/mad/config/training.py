"""Configuration of the network's training and of the trainings that an ablation compares."""

from typing import Literal, get_args

from pydantic import Field

from madpipe.base.config import Model
from madpipe.base.training_config import Batch, LearningRate, Precision, Steps, Threads, TrainingConfig, ValidateEvery
from madpipe.mad.config.samples import REFERENCE_ENERGIES, Composition, Fraction, Shape


class PriorConfig(Model):
    """What training particles and their measurements are drawn from."""

    grid: int = Field(96, ge=16, description="points along each axis of a training frame")
    volume_grid: int = Field(64, ge=16, description="points along each axis of a training volume")
    oversampling: tuple[float, float] = Field((1.4, 6.0), description="least and largest oversampling [1]")
    core_fraction: tuple[Fraction, Fraction] = Field(
        (0.02, 1.0), description="least and largest share of resonant atoms in the core [1]"
    )
    shell_fraction: tuple[Fraction, Fraction] = Field((0.02, 1.0), description="the same in the shell [1]")
    shell_thickness: tuple[float, float] = Field(
        (0.02, 0.3), description="least and largest thickness of a shell over the particle's size [1]"
    )
    misfit: tuple[float, float] = Field((-0.004, 0.004), description="least and largest misfit [1]")
    strain_phase_rms: tuple[float, float] = Field((0.0, 8.0), description="least and largest random phase [radian]")
    defective: Fraction = Field(
        0.3, description="share of particles with a phase step at the core, of those with dislocations, with voids [1]"
    )
    dislocations: int = Field(2, ge=1, description="most dislocations of a particle that has any")
    voids: int = Field(3, ge=1, description="most voids of a particle that has any")
    shapes: tuple[Shape, ...] = Field(("facetted", "smooth", "polyhedron"), description="shapes to draw from")
    compositions: tuple[Composition, ...] = Field(
        tuple(one for one in get_args(Composition) if one != "precipitates"), description="compositions to draw from"
    )
    edges: tuple[tuple[str, str, str], ...] = Field(
        (
            ("Ni", "K", "Fe"),
            ("Ni", "K", "Pt"),
            ("Fe", "K", "Ni"),
            ("Co", "K", "Ni"),
            ("Cu", "K", "Au"),
            ("Pt", "L3", "Ni"),
            ("Au", "L3", "Cu"),
            ("Co", "K", "Pt"),
            ("Fe", "K", "Pt"),
            ("Pt", "L3", "Co"),
        ),
        description="resonant element, its edge and the other metal, to draw from",
    )
    energies: tuple[int, int] = Field((4, 12), description="fewest and most photon energies")
    energy_range_ev: float = Field(80.0, gt=0, description="energies lie within this of the edge [eV]")
    photons: tuple[float, float] = Field(
        (1e3, 1e9),
        description="least and largest photons of the brightest energy over a frame or slice, drawn log-uniformly",
    )
    monitor: float = Field(0.3, ge=0, lt=1, description="largest relative deviation of an energy's known exposure [1]")
    scale_jitter: float = Field(0.005, ge=0, description="largest rms error of an energy's scale [1]")
    energy_offset_ev: float = Field(0.5, ge=0, description="largest error of the photon energies' zero [eV]")
    disturbed: Fraction = Field(
        0.2, description="share of frames with each of those two errors, and with background [1]"
    )
    gap_share: Fraction = Field(
        0.15, description="share of frames with a detector gap, and of those with a beam stop [1]"
    )


class TrainConfig(TrainingConfig):
    """A network and its training."""

    batch: Batch = Field(8, description="frames per step")
    steps: Steps = 400
    learning_rate: LearningRate = 2e-3
    validate_every: ValidateEvery = 50
    precision: Precision = Field(
        "full", description="full: single precision; mixed: convolutions in bfloat16 while training"
    )
    threads: Threads = 2
    network: Literal["frames", "unet_patches"] = Field(
        "frames", description="frames: any energies, errors, whole frames; unet_patches: the reference design"
    )
    begin: Literal["fresh", "shipped", "first"] = Field(
        "fresh",
        description="weights to begin with: drawn; madpipe's own; or those that madpipe's own began with. These keep "
        "their scaling, and need their design",
    )
    energies_ev: tuple[float, ...] = Field(
        REFERENCE_ENERGIES,
        description="photon energies of the reference design, at the first of the prior's edges [eV]",
    )
    patch: int = Field(16, ge=8, description="edge of the reference design's patches [point]")
    width: int = Field(32, ge=4, description="features of every layer of the network")
    dilations: tuple[int, ...] = Field(
        (1, 2, 4, 8, 4, 2, 1), description="dilation of each of its convolutions [point]"
    )
    passes: int = Field(1, ge=1, le=2, description="2: predict, refine, and predict again knowing all points' answers")
    attention: bool = Field(False, description="attention over the frame; it forbids tiles")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of features dropped, for Monte-Carlo dropout [1]")
    polar: bool = Field(False, description="answer |F_T|, |F_A|, sin, cos instead of |F_T|, |F_A| cos, |F_A| sin")
    prior: PriorConfig = Field(PriorConfig(), description="what training particles are drawn from")
    particles: int = Field(800, ge=4, description="two-dimensional training particles")
    volumes: int = Field(24, ge=0, description="three-dimensional training particles")
    volume_share: Fraction = Field(0.25, description="share of steps on slices of volumes [1]")
    validation_particles: int = Field(64, ge=4, description="validation particles, none of them trained on")
    validation_volumes: int = Field(4, ge=0, description="validation volumes")
    calibration_draws: int = Field(
        2, ge=1, description="measurements of each validation particle that errors are calibrated by"
    )
    loss: Literal["likelihood", "squared"] = Field(
        "likelihood", description="likelihood of the truth with predicted errors, or weighted squared errors"
    )
    corrected: float = Field(1.0, ge=0, description="weight of the answer once the counts have corrected it [1]")
    predicted: float = Field(1.0, ge=0, description="weight of the prediction before that [1]")
    weighting: Literal["uniform", "sqrt", "log", "sigma", "fisher"] = Field(
        "uniform", description="weight of a point: 1, sqrt(I), log(1 + I), 1/sigma^2, or its Fisher information"
    )
    circle: float = Field(0.0, ge=0, description="weight of the unit-circle term, for answers |F|, sin, cos [1]")
    resonant: float = Field(0.0, ge=0, description="weight of a further |F_A| term [1]")
    intensity: float = Field(0.0, ge=0, description="weight of the intensity-reconstruction term [1]")
    curriculum: float = Field(
        0.75,
        ge=0,
        description="share of the steps, bright frames first, over which the least photon budget is reached [1]",
    )
    sensitive_share: Fraction = Field(
        0.0, description="share of particles drawn by how much their resonant atoms' scattering stands out [1]"
    )


class AblationConfig(Model):
    """Trainings that differ in one thing, on the same small budget."""

    seeds: int = Field(3, ge=2, description="trainings of each variant")
    grid: int = Field(64, ge=16, description="points along each axis of a frame")
    particles: int = Field(240, ge=4, description="training particles, all two-dimensional")
    steps: int = Field(80, ge=1, description="optimiser steps of each training")
    compared: int = Field(48, ge=4, description="particles that all are compared on")
    precision: Precision = Field("mixed", description="as in a training")
