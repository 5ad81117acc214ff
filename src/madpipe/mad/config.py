"""One frozen model per rule of the MAD study; units are in the keys or in the descriptions."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from madpipe.base.config import InputFile, Model

Step = Literal["fit", "infer", "retrieve"]
Shape = Literal["facetted", "smooth"]
Refinable = Literal["scale", "offset", "dispersion", "background"]
Composition = Literal[
    "core_shell",
    "radial_gradient",
    "linear_gradient",
    "janus",
    "multi_shell",
    "uniform",
    "off_centre_core",
    "pure_resonant",
    "no_resonant",
]
Fraction = Annotated[float, Field(ge=0, le=1)]
REFERENCE_ENERGIES = (8313.0, 8318.0, 8323.0, 8328.0, 8333.0, 8338.0, 8343.0, 8348.0)


class SimulatedSample(Model):
    """A particle drawn by madpipe and how its Bragg peak is measured."""

    element: str = Field("Ni", description="resonant element")
    edge: str = Field("K", description="its absorption edge")
    partner: str = Field("Fe", description="the other metal")
    energies_ev: tuple[float, ...] = Field(REFERENCE_ENERGIES, min_length=3, description="photon energies [eV]")
    dimensions: Literal[2, 3] = Field(3, description="2: one detector frame of a 2-D particle; 3: a volume")
    grid: int = Field(64, ge=16, le=512, description="voxels along each axis")
    oversampling: float = Field(3.0, ge=2.0, description="field of view over particle size, >= 2 [1]")
    shape: Shape = Field("facetted", description="facetted polyhedron or smooth body")
    composition: Composition = Field("core_shell", description="where the resonant element sits")
    core_fraction: Fraction = Field(0.75, description="resonant atoms' share of the core [1]")
    shell_fraction: Fraction = Field(1.0, description="resonant atoms' share of the shell [1]")
    particle_size_angstrom: float = Field(3500.0, gt=0, description="largest extent of the particle [angstrom]")
    shell_thickness_angstrom: float = Field(400.0, gt=0, description="thickness of the shell [angstrom]")
    lattice_angstrom: float = Field(3.524, gt=0, description="cubic lattice parameter of the shell, fcc [angstrom]")
    reflection: tuple[int, int, int] = Field((1, 1, 1), description="Bragg reflection hkl")
    misfit: float = Field(0.004, description="core lattice parameter over the shell's, less 1 [1]")
    strain_phase_rms: float = Field(1.0, ge=0, description="rms of a further smooth random phase Q.u [radian]")
    photons: float = Field(1e8, gt=0, description="photons of the brightest energy, over the whole frame or volume")
    noise: bool = Field(True, description="draw Poisson counts; false keeps expected photons")
    nonresonant_dispersion: Literal["table", "mean"] = Field(
        "table", description="the partner's f', f'' vary with energy as tabulated, or are held at their mean"
    )
    background: float = Field(0.0, ge=0, description="uniform background [photon per point and energy]")
    beam_stop_radius: float = Field(0.0, ge=0, description="radius of a round beam stop on the peak [point]")
    gap_width: int = Field(0, ge=0, description="width of a detector gap beside the centre [point]")
    scale_jitter: float = Field(
        0.0, ge=0, description="rms relative error of the scale of each energy, which the monitor does not see [1]"
    )
    energy_offset_ev: float = Field(0.0, description="true less nominal photon energy [eV]")
    spectrum: InputFile | None = Field(
        None, description="absorption spectrum whose f', f'' the data are made with; the stack's stay Chantler's"
    )
    seed: int = Field(0, description="which particle and noise of this kind")
    refine: tuple[Refinable, ...] = Field((), description="nuisances fitted beside the structure factors")
    steps: tuple[Step, ...] = Field(("fit", "infer", "retrieve"), description="steps to run")
    parts: int = Field(  # it changes no number, hence no rule and no result is told of it
        1, ge=1, le=9999, exclude=True, description="jobs that the fit and the network's prediction are split over"
    )

    @model_validator(mode="after")
    def _energies_are_distinct(self) -> "SimulatedSample":
        if len(set(self.energies_ev)) < 3:
            raise ValueError(f"at least 3 distinct energies are required; {self.energies_ev} came; add energies")
        return self


class MeasuredSample(Model):
    """Data from a beamline: files, element, edge, where f' and f'' come from, and the steps to run."""

    path: tuple[InputFile, ...] = Field(description="one file with every energy, or one file per energy")
    element: str | None = Field(None, description="resonant element, where the files do not name it")
    edge: str | None = Field(None, description="its absorption edge; the files' where they name it, else K")
    partner: str | None = Field(
        None, description="the other element, for a composition in atoms; without it other atoms count by electrons"
    )
    energies_ev: tuple[float, ...] | None = Field(
        None, description="photon energies in the files' order, where the files lack them [eV]"
    )
    monitor: tuple[float, ...] | None = Field(
        None, description="relative exposure per energy, where the files lack it [1]"
    )
    q_bragg: tuple[float, ...] | None = Field(
        None, description="Bragg vector along the data's axes, where the files lack it [1/angstrom]"
    )
    spectrum: InputFile | None = Field(None, description="absorption spectrum (XDI or columns) instead of Chantler's table")
    f_prime: tuple[float, ...] | None = Field(None, description="f' per energy instead of a table [electron]")
    f_double_prime: tuple[float, ...] | None = Field(None, description="f'' per energy instead of a table [electron]")
    refine: tuple[Refinable, ...] = Field((), description="nuisances fitted beside the structure factors")
    steps: tuple[Step, ...] = Field(("fit",), description="steps to run")
    parts: int = Field(  # it changes no number, hence no rule and no result is told of it
        1, ge=1, le=9999, exclude=True, description="jobs that the fit and the network's prediction are split over"
    )
    optional: bool = Field(False, description="leave the sample out, saying so, where its files are absent")


def _kind_of_sample(value: Any) -> str:
    """A sample with a path is measured."""
    has_path = "path" in value if isinstance(value, dict) else hasattr(value, "path")
    return "measured" if has_path else "simulated"


Sample = Annotated[
    Annotated[SimulatedSample, Tag("simulated")] | Annotated[MeasuredSample, Tag("measured")],
    Discriminator(_kind_of_sample),
]


class NuisanceConfig(Model):
    """Priors of what can be refined beside the structure factors, and how much of the data is used for it."""

    scale_sigma: float = Field(
        0.01, gt=0, description="rms error of an energy's scale, where no monitor states one [1]"
    )
    energy_offset_sigma_ev: float = Field(3.0, gt=0, description="rms error of the photon energies' zero [eV]")
    dispersion_sigma: float = Field(2.0, gt=0, description="rms error of a table's f'' just above the edge [electron]")
    dispersion_window_ev: float = Field(20.0, gt=0, description="how far from the edge the table is in doubt [eV]")
    edge_width_ev: float = Field(3.0, gt=0, description="width of the edge: below it the doubt fades as an arctan [eV]")
    structure_width_ev: float = Field(5.0, gt=0, description="width of near-edge structure in f'' [eV]")
    dispersion_relative: float = Field(0.05, gt=0, description="rms relative error of f', f'' everywhere [1]")
    background_sigma: float = Field(0.1, gt=0, description="rms relative error of an energy's background [1]")
    points: int = Field(200_000, ge=100, description="points used at most, half of them the brightest")
    largest_error: float = Field(
        0.1, gt=0, description="error of |F_A|, over the root of the intensity, above which a point is not used [1]"
    )
    iterations: int = Field(30, ge=1, description="steps at most of one search")


class FitConfig(Model):
    """The classical fit, point by point."""

    method: Literal["exact", "nanomad"] = Field("exact", description="exact, or NanoMAD's grid search for comparison")
    max_iterations: int = Field(50, ge=1, description="steps at most, the weights renewed from the model in each")
    tolerance: float = Field(
        1e-6, gt=0, description="stop this close to the maximum of the likelihood [standard error]"
    )
    prior_breadth: float = Field(
        10.0,
        ge=0,
        description="|F_A|^2, over a pure resonant element's, beyond which it is held unlikely where photons are few; "
        "0: never [1]",
    )
    chunk_points: int = Field(262144, ge=1, description="points solved at once; bounds the memory")
    nuisance: NuisanceConfig = Field(NuisanceConfig(), description="priors of the nuisances that --refine names")


class PriorConfig(Model):
    """What training particles and their measurements are drawn from."""

    grid: int = Field(96, ge=16, description="points along each axis of a training frame")
    volume_grid: int = Field(64, ge=16, description="points along each axis of a training volume")
    oversampling: tuple[float, float] = Field((2.0, 6.0), description="least and largest oversampling [1]")
    misfit: tuple[float, float] = Field((-0.004, 0.004), description="least and largest misfit [1]")
    strain_phase_rms: tuple[float, float] = Field((0.0, 8.0), description="least and largest random phase [radian]")
    shapes: tuple[Shape, ...] = Field(("facetted", "smooth"), description="shapes to draw from")
    compositions: tuple[Composition, ...] = Field(Composition.__args__, description="compositions to draw from")
    edges: tuple[tuple[str, str, str], ...] = Field(
        (
            ("Ni", "K", "Fe"),
            ("Ni", "K", "Pt"),
            ("Fe", "K", "Ni"),
            ("Co", "K", "Ni"),
            ("Cu", "K", "Au"),
            ("Pt", "L3", "Ni"),
            ("Au", "L3", "Cu"),
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
    scale_jitter: float = Field(0.003, ge=0, description="largest rms error of an energy's scale [1]")
    energy_offset_ev: float = Field(0.5, ge=0, description="largest error of the photon energies' zero [eV]")
    disturbed: Fraction = Field(
        0.2, description="share of frames with each of those two errors, and with background [1]"
    )
    gap_share: Fraction = Field(
        0.15, description="share of frames with a detector gap, and of those with a beam stop [1]"
    )


class TrainConfig(Model):
    """A network and its training."""

    network: Literal["frames", "unet_patches"] = Field(
        "frames", description="frames: any energies, errors, whole frames; unet_patches: the reference design"
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
    batch: int = Field(8, ge=1, description="frames per step")
    steps: int = Field(400, ge=1, description="optimiser steps")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW, cosine schedule [1]")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW weight decay [1]")
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm [1]")
    patience: int = Field(20, ge=1, description="validations without gain before the early stop")
    validate_every: int = Field(50, ge=1, description="steps between validations and checkpoints")
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
    precision: Literal["full", "mixed"] = Field(
        "full", description="full: single precision; mixed: convolutions in bfloat16 while training"
    )
    workers: int = Field(0, ge=0, description="threads that draw batches ahead, for a GPU; they change no number")
    threads: int = Field(2, ge=1, description="CPU threads; they change the last bits, hence they are fixed")


class InferConfig(Model):
    """The network's answer on whole frames or slices."""

    weights: Literal["trained", "shipped"] = Field("shipped", description="madpipe's own network, or one of this run")
    refine: bool = Field(
        True, description="let the counts of each point correct the prediction; false: prediction only"
    )
    points: int = Field(1 << 18, ge=1 << 12, description="points per pass; bounds the memory")
    threads: int = Field(2, ge=1, description="CPU threads")


class AblationConfig(Model):
    """Trainings that differ in one thing, on the same small budget."""

    seeds: int = Field(3, ge=2, description="trainings of each variant")
    grid: int = Field(64, ge=16, description="points along each axis of a frame")
    particles: int = Field(240, ge=4, description="training particles, all two-dimensional")
    steps: int = Field(80, ge=1, description="optimiser steps of each training")
    compared: int = Field(48, ge=4, description="particles that all are compared on")
    precision: Literal["full", "mixed"] = Field("mixed", description="as in a training")


SuiteSet = Literal["reference", "volumes", "energies", "elements", "disturbed"]
Method = Literal["exact", "nanomad", "unet_patches", "network", "network_refined"]


class SuiteConfig(Model):
    """The fixed test suite and what is compared on it."""

    sets: tuple[SuiteSet, ...] = Field(("reference",), description="sets of cases")
    methods: tuple[Method, ...] = Field(  # each is a job of its own; the suite's simulation is not told of it
        ("exact", "network", "network_refined"), exclude=True, description="what is compared"
    )
    particles: int = Field(1, ge=1, description="particles of each composition and budget")
    grid: int = Field(96, ge=16, description="points along each axis of a frame")
    volume_grid: int = Field(48, ge=16, description="points along each axis of a volume")
    photons: tuple[float, ...] = Field(
        tuple(round(10 ** (4 + 5 * k / 6)) for k in range(7)),
        description="photons of the brightest energy over a frame",
    )
    volume_photons: tuple[float, ...] = Field((1e6, 1e7, 1e8, 1e9), description="the same, over a volume")


class ValidateConfig(Model):
    """Scores of the fit and of the network."""

    shell_edges: tuple[float, ...] = Field(
        (0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6), description="photon shells [photon per point and energy]"
    )
    noise_draws: int = Field(8, ge=1, description="redraws for the noise floor of R")


class JointConfig(Model):
    """Joint retrieval: both kinds of atoms from the counts of all energies at once."""

    attempts: int = Field(4, ge=1, description="random starts at most, where noise does not explain what is left")
    kicks: int = Field(
        12, ge=0, description="rounds of phase retrieval on the tight support at most, in the cold start"
    )
    kick_gain: float = Field(
        0.002, ge=0, lt=1, description="relative gain in the deviance of the cold start below which rounds end [1]"
    )
    patience: int = Field(3, ge=1, description="such rounds in a row that end the cold start where noise explains less")
    steps: int = Field(30, ge=1, description="Newton steps of the last search at most")
    tolerance: float = Field(0.05, gt=0, description="rms step at which a search ends [standard error]")
    smoothness: float = Field(
        0.0, ge=0, description="believed usual difference of neighbouring voxels' composition; 0: no such belief [1]"
    )
    common_phase: float = Field(
        0.0,
        ge=0,
        description="believed rms part of the resonant atoms out of phase with all atoms; 0: no such belief [1]",
    )
    bounds: float = Field(
        0.0, ge=0, description="how far the composition is believed to stray beyond 0 and 1; 0: no such belief [1]"
    )
    draws: int = Field(16, ge=4, description="draws of noise that the composition's error is made of")


class RetrieveConfig(Model):
    """Phase retrieval."""

    signal: Literal["mean", "total"] = Field(
        "mean", description="what the linked route phases: the mean intensity (far less noisy), or the fitted |F_T|"
    )
    seeds: int = Field(8, ge=1, description="random starts, retrieved side by side")
    keep: int = Field(4, ge=1, description="starts of least Fourier error that go on to the shrink-wrap")
    iterations: int = Field(150, ge=1, description="iterations of the algorithm on the autocorrelation's support")
    cycles: int = Field(8, ge=1, description="shrink-wraps")
    shrink_every: int = Field(20, ge=1, description="iterations of the algorithm after each shrink-wrap")
    refine_iterations: int = Field(40, ge=1, description="error-reduction iterations at the end")
    algorithm: Literal["hio", "raar", "dm", "er"] = Field(
        "hio", description="what runs before the error reduction: HIO, RAAR, difference map, or no more than that"
    )
    beta: float = Field(0.9, gt=0, le=1, description="feedback of HIO, RAAR or difference map [1]")
    held_out: float = Field(
        0.04,
        ge=0,
        lt=0.5,
        description="share of points that float and then select the best starts; at 0 all points do [1]",
    )
    ceiling: float = Field(
        1.25, gt=1, description="modulus over its rms in the support at most, until the last two cycles [1]"
    )
    shrink_volume: tuple[float, float] = Field(
        (1.3, 1.05), description="first and last support volume over half the autocorrelation's [1]"
    )
    shrink_sigma: tuple[float, float] = Field((1.0, 0.7), description="first and last width of the smoothing [voxel]")
    shrink_level: float = Field(
        0.5, gt=0, lt=1, description="least smoothed modulus of the last support over its rms in it [1]"
    )
    float_above: float = Field(
        0.5, gt=0, description="points with sigma/|F| above this float in the projection of a fitted modulus [1]"
    )
    average: int = Field(3, ge=1, description="best solutions averaged")
    draws: int = Field(8, ge=2, description="redraws of F_A from its errors, for the composition's error")
    joint: JointConfig = Field(JointConfig(), description="joint route")
    threads: int = Field(2, ge=1, description="CPU threads")


class FiguresConfig(Model):
    """How figures look."""

    dpi: int = Field(160, ge=50, description="resolution of the PNG [dot per inch]")


class MadConfig(Model):
    """The MAD study."""

    samples: dict[str, Sample] = Field({}, description="samples by name: simulated, or measured where a path is given")
    fit: FitConfig = Field(FitConfig(), description="classical fit")
    train: TrainConfig = Field(TrainConfig(), description="network and training")
    infer: InferConfig = Field(InferConfig(), description="network on whole frames")
    validate_: ValidateConfig = Field(ValidateConfig(), alias="validate", description="scores")
    retrieve: RetrieveConfig = Field(RetrieveConfig(), description="phase retrieval")
    ablation: AblationConfig = Field(AblationConfig(), description="losses and designs compared")
    testsuite: SuiteConfig = Field(SuiteConfig(), description="test suite and comparison")
    figures: FiguresConfig = Field(FiguresConfig(), description="figures")
