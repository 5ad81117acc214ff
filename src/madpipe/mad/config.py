"""One frozen model per rule of the MAD study; units are in the keys or in the descriptions."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from madpipe.base.config import Model

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
    spectrum: str | None = Field(
        None, description="absorption spectrum whose f', f'' the data are made with; the stack's stay Chantler's"
    )
    seed: int = Field(0, description="which particle and noise of this kind")
    refine: tuple[Refinable, ...] = Field((), description="nuisances fitted beside the structure factors")
    steps: tuple[Step, ...] = Field(("fit", "infer", "retrieve"), description="steps to run")

    @model_validator(mode="after")
    def _energies_are_distinct(self) -> "SimulatedSample":
        if len(set(self.energies_ev)) < 3:
            raise ValueError(f"at least 3 distinct energies are required; {self.energies_ev} came; add energies")
        return self


class MeasuredSample(Model):
    """Data from a beamline: files, element, edge, where f' and f'' come from, and the steps to run."""

    path: tuple[str, ...] = Field(description="one file with every energy, or one file per energy")
    element: str | None = Field(None, description="resonant element, where the files do not name it")
    edge: str | None = Field(None, description="its absorption edge; the files' where they name it, else K")
    energies_ev: tuple[float, ...] | None = Field(
        None, description="photon energies in the files' order, where the files lack them [eV]"
    )
    monitor: tuple[float, ...] | None = Field(
        None, description="relative exposure per energy, where the files lack it [1]"
    )
    q_bragg: tuple[float, ...] | None = Field(
        None, description="Bragg vector along the data's axes, where the files lack it [1/angstrom]"
    )
    spectrum: str | None = Field(None, description="absorption spectrum (XDI or columns) instead of Chantler's table")
    f_prime: tuple[float, ...] | None = Field(None, description="f' per energy instead of a table [electron]")
    f_double_prime: tuple[float, ...] | None = Field(None, description="f'' per energy instead of a table [electron]")
    refine: tuple[Refinable, ...] = Field((), description="nuisances fitted beside the structure factors")
    steps: tuple[Step, ...] = Field(("fit",), description="steps to run")
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
    """What training particles are drawn from; all else as in a simulated sample."""

    grid: int = Field(64, ge=16, description="pixels along each axis of a training frame")
    oversampling: tuple[float, float] = Field((2.0, 5.0), description="least and largest oversampling [1]")
    volume_share: Fraction = Field(0.4, description="share of three-dimensional particles [1]")
    slices: int = Field(16, ge=1, description="slices kept of each three-dimensional particle")
    photons: tuple[float, float] = Field((1e4, 1e8), description="least and largest photon budget, drawn log-uniformly")
    photons_per_point: tuple[float, float] = Field(
        (0.02, 2e5), description="least and largest mean photons per point and energy of a patch, drawn log-uniformly"
    )
    energy_shift_ev: tuple[float, float] = Field(
        (-1.0, 1.0), description="least and largest common shift of the energies, which f', f'' follow [eV]"
    )
    misfit: tuple[float, float] = Field((-0.004, 0.004), description="least and largest misfit [1]")
    strain_phase_rms: tuple[float, float] = Field((0.0, 3.0), description="least and largest random phase [radian]")
    shapes: tuple[Shape, ...] = Field(("facetted", "smooth"), description="shapes to draw from")
    compositions: tuple[Composition, ...] = Field(Composition.__args__, description="compositions to draw from")


class TrainConfig(Model):
    """The reference network on 16 x 16 patches and its training."""

    network: Literal["cnn_patches", "unet_patches"] = Field("cnn_patches", description="architecture")
    energies_ev: tuple[float, ...] = Field(REFERENCE_ENERGIES, description="photon energies it is made for [eV]")
    element: str = Field("Ni", description="resonant element of the training particles")
    edge: str = Field("K", description="its absorption edge")
    partner: str = Field("Fe", description="the other metal")
    prior: PriorConfig = Field(PriorConfig(), description="what training particles are drawn from")
    f0_channel: bool = Field(False, description="give f0(Q) as an input channel")
    particles: int = Field(160, ge=4, description="training particles")
    validation_particles: int = Field(32, ge=1, description="validation particles, none of them trained on")
    patch: int = Field(16, ge=8, description="edge of a patch [pixel]")
    batch: int = Field(32, ge=1, description="patches per step")
    steps: int = Field(700, ge=1, description="optimiser steps")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of AdamW, cosine schedule [1]")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW weight decay [1]")
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm [1]")
    patience: int = Field(8, ge=1, description="validations without gain before the early stop")
    validate_every: int = Field(50, ge=1, description="steps between validations and checkpoints")
    curriculum_steps: int = Field(150, ge=0, description="steps over which the least photon budget is reached")
    weighting: Literal["sqrt", "log", "uniform", "sigma"] = Field(
        "sqrt", description="weight of a point: sqrt(I), log(1 + I), 1, or 1/sigma^2"
    )
    least_photons: float = Field(0.0, ge=0, description="points with fewer mean photons are left out of the loss")
    circle: float = Field(0.1, ge=0, description="weight of the unit-circle term [1]")
    resonant: float = Field(1.0, ge=0, description="weight of the |F_A| term [1]")
    intensity: float = Field(
        0.1, ge=0, description="weight of the intensity-reconstruction term (Poisson deviance) [1]"
    )
    total_below_resonant: float = Field(
        0.0, ge=0, description="weight of relu(|F_A| - |F_T|); off, since |F_T| < |F_A| is physical [1]"
    )
    threads: int = Field(1, ge=1, description="CPU threads; they change the last bits, hence they are fixed")

    @model_validator(mode="after")
    def _patches_can_be_drawn(self) -> "TrainConfig":
        low, high = self.prior.photons_per_point
        if not 0 < low <= high:
            raise ValueError(f"photons_per_point must be 0 < least <= largest; {(low, high)} came; correct it")
        if self.patch > self.prior.grid:
            raise ValueError(
                f"a patch must fit into a frame of {self.prior.grid} pixels (prior.grid); "
                f"patch is {self.patch}; lower it"
            )
        return self


class InferConfig(Model):
    """The network's answer on whole frames or slices."""

    batch: int = Field(16, ge=1, description="slices of a volume per pass")
    threads: int = Field(2, ge=1, description="CPU threads")


class ValidateConfig(Model):
    """Scores of the fit and of the network."""

    shell_edges: tuple[float, ...] = Field(
        (0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6), description="photon shells [photon per point and energy]"
    )
    noise_draws: int = Field(8, ge=1, description="redraws for the noise floor of R")


class RetrieveConfig(Model):
    """Phase retrieval."""

    signal: Literal["mean", "total"] = Field(
        "mean", description="what the linked route phases: the mean intensity (far less noisy), or the fitted |F_T|"
    )
    seeds: int = Field(8, ge=1, description="random starts, retrieved side by side")
    keep: int = Field(4, ge=1, description="starts of least Fourier error that go on to the shrink-wrap")
    iterations: int = Field(150, ge=1, description="RAAR or HIO iterations on the autocorrelation's support")
    cycles: int = Field(8, ge=1, description="shrink-wraps")
    shrink_every: int = Field(20, ge=1, description="RAAR or HIO iterations after each shrink-wrap")
    refine_iterations: int = Field(40, ge=1, description="error-reduction iterations at the end")
    algorithm: Literal["raar", "hio"] = Field("hio", description="what runs before the error reduction")
    beta: float = Field(0.9, gt=0, le=1, description="feedback of RAAR or HIO [1]")
    ceiling: float = Field(
        1.25, gt=1, description="modulus over its rms in the support at most, until the last two cycles [1]"
    )
    shrink_volume: tuple[float, float] = Field(
        (1.3, 1.05), description="first and last support volume over half the autocorrelation's [1]"
    )
    shrink_sigma: tuple[float, float] = Field((1.0, 0.7), description="first and last width of the smoothing [voxel]")
    shrink_threshold: float = Field(0.3, gt=0, lt=1, description="last support threshold over the smoothed maximum [1]")
    float_above: float = Field(
        0.5, gt=0, description="points with sigma/|F| above this float in the projection of a fitted modulus [1]"
    )
    average: int = Field(3, ge=1, description="best solutions averaged")
    draws: int = Field(8, ge=2, description="redraws of F_A from its errors, for the composition's error")
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
    figures: FiguresConfig = Field(FiguresConfig(), description="figures")
