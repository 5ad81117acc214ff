"""Configuration of samples: particles that madpipe draws, and measurements from files."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, field_validator, model_validator

from madpipe.base.config import KIND_OF_SAMPLE, InputFile, Model

Step = Literal["fit", "infer", "retrieve"]
Shape = Literal["facetted", "smooth", "polyhedron", "concave"]
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
    "patchy_shell",
    "domains",
    "precipitates",
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
    oversampling: float = Field(
        3.0, ge=1.25, description="field of view over particle size; retrieval needs 2 or more [1]"
    )
    shape: Shape = Field(
        "facetted",
        description="facetted: as an fcc metal's; smooth: waves on a sphere; polyhedron: few facets, acute corners; "
        "concave: two polyhedra grown together",
    )
    composition: Composition = Field("core_shell", description="where the resonant element sits")
    core_fraction: Fraction = Field(0.75, description="resonant atoms' share of the core [1]")
    shell_fraction: Fraction = Field(1.0, description="resonant atoms' share of the shell [1]")
    particle_size_angstrom: float = Field(3500.0, gt=0, description="largest extent of the particle [angstrom]")
    shell_thickness_angstrom: float = Field(400.0, gt=0, description="thickness of the shell [angstrom]")
    lattice_angstrom: float = Field(3.524, gt=0, description="cubic lattice parameter of the shell, fcc [angstrom]")
    reflection: tuple[int, int, int] = Field((1, 1, 1), description="Bragg reflection hkl")
    misfit: float = Field(0.004, description="core lattice parameter over the shell's, less 1 [1]")
    strain_phase_rms: float = Field(1.0, ge=0, description="rms of a further smooth random phase Q.u [radian]")
    phase_step: float = Field(0.0, description="phase Q.u of the core over the shell, a step between them [radian]")
    dislocations: int = Field(0, ge=0, description="straight lines about which the phase Q.u rises by 2 pi")
    voids: int = Field(0, ge=0, description="spherical voids")
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
    def _retrieval_can_be_done(self) -> "SimulatedSample":
        if "retrieve" in self.steps and self.oversampling < 2:
            raise ValueError(
                f"retrieval needs an oversampling of 2 or more; {self.oversampling:g} came; raise it, or leave "
                "retrieve out of steps"
            )
        return self

    @model_validator(mode="after")
    def _energies_are_distinct(self) -> "SimulatedSample":
        if len(set(self.energies_ev)) < 3:
            raise ValueError(f"at least 3 distinct energies are required; {self.energies_ev} came; add energies")
        return self


class MeasuredSample(Model):
    """Data from a beamline: files, element, edge, where f' and f'' come from, and the steps to run."""

    path: tuple[InputFile, ...] = Field(description="one file with every energy, or one file per energy")
    dataset: tuple[str, ...] = Field(
        (),
        description="where HDF5 files hold the intensities: one data set, or one per energy; * stands for any",
    )
    energy_path: str | None = Field(
        None, description="where HDF5 files hold the photon energy or the wavelength, from the root or below the scan"
    )
    element: str | None = Field(
        None, description="resonant element, where the files do not name it; not needed beside f', f'' and f0"
    )
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
        None, description="Bragg vector along the data's axes, or its length, where the files lack it [1/angstrom]"
    )
    f0: float | None = Field(
        None, gt=0, description="f0 of the resonant element at the Bragg peak, instead of a table's [electron]"
    )
    spectrum: InputFile | None = Field(
        None, description="absorption spectrum (XDI or columns) instead of Chantler's table"
    )
    align_edge: bool | float = Field(
        False,
        description="shift the spectrum: its steepest rise to the table's edge (true), or to an energy [eV]",
    )
    f_prime: tuple[float, ...] | None = Field(None, description="f' per energy instead of a table [electron]")
    f_double_prime: tuple[float, ...] | None = Field(None, description="f'' per energy instead of a table [electron]")
    counts_per_unit: float | None = Field(
        None, gt=0, description="photons per unit of the data, where they are no counts [photon]"
    )
    mask_hot: bool = Field(False, description="mask isolated points far above all around them")
    refine: tuple[Refinable, ...] = Field((), description="nuisances fitted beside the structure factors")
    steps: tuple[Step, ...] = Field(("fit",), description="steps to run")
    parts: int = Field(  # it changes no number, hence no rule and no result is told of it
        1, ge=1, le=9999, exclude=True, description="jobs that the fit and the network's prediction are split over"
    )
    optional: bool = Field(False, description="leave the sample out, saying so, where its files are absent")

    @field_validator("dataset", "q_bragg", mode="before")
    @classmethod
    def _one_is_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value


Sample = Annotated[
    Annotated[SimulatedSample, Tag("simulated")] | Annotated[MeasuredSample, Tag("measured")],
    KIND_OF_SAMPLE,
]
