"""Configuration of every step but the training: fit, network, test suite, scores, phase retrieval, figures."""

from typing import Literal

from pydantic import Field

from madpipe.base.config import Model

SuiteSet = Literal["reference", "volumes", "energies", "elements", "disturbed", "hard", "hard_volumes"]
Method = Literal["exact", "nanomad", "unet_patches", "network", "network_refined"]


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


class InferConfig(Model):
    """The network's answer on whole frames or slices."""

    weights: Literal["trained", "shipped"] = Field("shipped", description="madpipe's own network, or one of this run")
    refine: bool = Field(
        True, description="let the counts of each point correct the prediction; false: prediction only"
    )
    points: int = Field(1 << 18, ge=1 << 12, description="points per pass; bounds the memory")
    threads: int = Field(2, ge=1, description="CPU threads")


class SuiteConfig(Model):
    """The fixed test suite and what is compared on it."""

    sets: tuple[SuiteSet, ...] = Field(("reference",), description="sets of cases")
    methods: tuple[Method, ...] = Field(  # each is a job of its own; the suite's simulation is not told of it
        ("exact", "network", "network_refined"), exclude=True, description="what is compared"
    )
    particles: int = Field(1, ge=1, description="particles of each composition and budget, but of the hard sets")
    grid: int = Field(96, ge=16, description="points along each axis of a frame")
    volume_grid: int = Field(48, ge=16, description="points along each axis of a volume")
    photons: tuple[float, ...] = Field(
        tuple(round(10 ** (4 + 5 * k / 6)) for k in range(7)),
        description="photons of the brightest energy over a frame",
    )
    volume_photons: tuple[float, ...] = Field((1e6, 1e7, 1e8, 1e9), description="the same, over a volume")
    hard_photons: tuple[float, ...] = Field((1e5, 1e7, 1e9), description="the same, over a frame of the hard set")
    hard_volume_photons: tuple[float, ...] = Field((1e6, 1e8), description="the same, over a hard volume")


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
    belief: Literal["measured", "none"] = Field(
        "measured",
        description="prior on the composition: spectrum as of sharp interfaces, its size measured on the object"
        "; or none",
    )
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
