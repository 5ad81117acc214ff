"""Configuration of the study of still images."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from madpipe.base.config import KIND_OF_SAMPLE, InputFile, Model, SampleName
from madpipe.base.training_config import Batch, Patience, Steps, TrainingConfig, ValidateEvery
from madpipe.stills.integrate.settings import METHOD_NAMES, IntegrateConfig, MethodName

Shape = Literal["square", "round", "gauss", "tophat"]
Recovering = Literal["adam", "adam-long", "marquardt", "low-angles", "starts"]
Unknown = Literal["misset", "spread", "scale", "background", "cells", "distance", "beam_centre"]
Refinable = Literal["orientation", "cell", "tilt", "distance", "beam_centre", "excitation"]
Beginning = Literal["low-angles", "network", "starts"]
Domain = Literal["mosaic", "round"]
Step = Literal["index", "fit", "integrate"]


Positive = Annotated[float, Field(gt=0)]


class CrystalSample(Model):
    """What the crystals of a set of images are."""

    cell: tuple[float, float, float, float, float, float] = Field(
        description="a, b, c and alpha, beta, gamma [angstrom, degree]"
    )
    space_group: str = Field("P 1", description="Hermann-Mauguin symbol")
    steps: tuple[Step, ...] = Field(("integrate",), description="of index, fit (pixels) and integrate (reflections)")


class SimulatedStills(CrystalSample):
    """Images of crystals turned at random, by the pixel simulator."""

    cell: tuple[float, float, float, float, float, float] = Field(
        (79.6, 77.2, 38.7, 90.0, 90.0, 90.0), description="a, b, c and alpha, beta, gamma [angstrom, degree]"
    )
    space_group: str = Field("P 21 21 21", description="Hermann-Mauguin symbol")
    images: int = Field(8, ge=1, description="one crystal each")
    size: int = Field(768, ge=16, description="pixels of each side of the detector")
    pixel: float = Field(0.11, gt=0, description="side of a pixel [mm]")
    distance: float = Field(90.0, gt=0, description="[mm]")
    wavelength: float = Field(1.0, gt=0, description="[angstrom]")
    cells: tuple[float, float, float] = Field((7.0, 7.0, 14.0), description="unit cells of a domain along a, b, c [1]")
    shape: Shape = Field("gauss", description="of a domain")
    spread: float = Field(0.03, ge=0, description="rms rotation of the domains about their mean [degree]")
    misset: tuple[float, float, float] | None = Field(
        None, description="missetting angles of all crystals, else turned at random [degree]"
    )
    told_off: float = Field(0.03, ge=0, description="rms error about each axis of the crystals as told [degree]")
    amplitude: float | None = Field(None, gt=0, description="of all reflections, else drawn by Wilson's law [electron]")
    wilson_b: float = Field(15.0, ge=0, description="of intensities drawn by Wilson's law [angstrom^2]")
    photons: float = Field(2e6, gt=0, description="Bragg photons of a mean image")
    scale_sd: float = Field(0.4, ge=0, description="of ln G from image to image [1]")
    b_sd: float = Field(4.0, ge=0, description="of an image's own Wilson B, about 0 [angstrom^2]")
    background: float = Field(3.0, ge=0, description="[photon/pixel]")
    reference_error: float = Field(0.3, ge=0, description="rms relative error of the reference; 0: none is given [1]")
    seed: int | None = Field(None, description="of all that is drawn, else the study's")


class MeasuredStills(CrystalSample):
    """Images from files."""

    path: tuple[InputFile, ...] = Field(min_length=1, description="images in CBF or NXmx")
    crystals: InputFile | None = Field(None, description="crystals in .expt or .stream, else they are indexed")
    reference: InputFile | None = Field(None, description="intensities or a model in MTZ, mmCIF, PDB or text")
    as_stills: bool = Field(False, description="take images during which the crystal turned for stills")
    optional: bool = Field(False, description="left out, with a line, where its files are absent")


Sample = Annotated[
    Annotated[SimulatedStills, Tag("simulated")] | Annotated[MeasuredStills, Tag("measured")], KIND_OF_SAMPLE
]


class StillsIndexConfig(Model):
    """How crystals are found."""

    fewest_spots: int = Field(20, ge=6, description="of an image that is tried")
    fewest_indexed: int = Field(12, ge=3, description="spots beyond what chance gives")
    smallest_share: float = Field(0.3, gt=0, lt=1, description="of the spots, beyond chance [1]")
    tolerance: float = Field(2.0, gt=0, description="distance of a spot from its reflection [pixel]")
    free: tuple[Refinable, ...] = Field(
        ("orientation", "cell", "tilt", "distance", "beam_centre", "excitation"),
        description="what is refined on the spots' places, each held by a prior",
    )


class StillsFitConfig(Model):
    """How pixels are fitted."""

    method: Recovering = Field("starts", description="of the search")
    free: tuple[Unknown, ...] = Field(
        ("misset", "spread", "scale", "background"), min_length=1, description="what is found"
    )
    shape: Shape = Field("square", description="of a domain")
    cells: tuple[float, float, float] = Field((5.0, 5.0, 5.0), description="unit cells of a domain, at the start [1]")
    spread: float = Field(0.2, gt=0, description="where the search for the mosaic spread begins [degree]")
    half_box: int = Field(6, ge=2, description="of the squares about spots that are fitted in a large image [pixel]")
    whole: int = Field(2**18, ge=1, description="pixels of an image that is fitted whole, at most")


class StillsMergeConfig(Model):
    """How integrated spots are merged."""

    least_partiality: float = Field(0.1, ge=0, lt=1, description="of a spot that is merged [1]")


class StillsEvaluateConfig(Model):
    """How methods are compared on images whose truth is known."""

    methods: tuple[Recovering, ...] = Field(
        ("adam", "marquardt", "low-angles", "starts"), description="of the search in pixels, in the original demo"
    )
    offset_methods: tuple[Recovering, ...] = Field(
        ("marquardt", "low-angles", "starts"), description="of the search, from starts at the offsets"
    )
    offsets: tuple[float, ...] = Field((4.0, 10.0), description="of the starts from the truth [degree]")
    trials: int = Field(2, ge=1, description="of each method and offset")
    pulls: int = Field(2, ge=1, description="noisy images whose errors are tested, and images without noise")
    photons: float = Field(1e4, gt=0, description="of these images")
    background: float = Field(5.0, ge=0, description="of these images [photon/pixel]")
    integration: tuple[MethodName, ...] = Field(METHOD_NAMES, min_length=1, description="methods of integration")
    beginnings: tuple[Beginning, ...] = Field(
        ("low-angles", "network"),
        description="of the search, for crystals turned from the nominal orientation by the offsets",
    )
    network_images: int = Field(24, ge=2, description="images of each brightness that the network alone answers")
    partialities: tuple[Domain, ...] = Field(
        ("mosaic", "round"), min_length=1, description="crystals whose partiality is learned"
    )
    timed: bool = Field(False, description="note seconds, which are others each time")


class StillsTrainConfig(TrainingConfig):
    """A network that reads orientation and mosaic spread from a small image, and its training."""

    batch: Batch = Field(64, description="images per step, two exposures of each crystal")
    steps: Steps = 30
    validate_every: ValidateEvery = 15
    patience: Patience = 40
    farthest: float = Field(16.0, gt=0, le=20, description="largest turn from the nominal orientation [degree]")
    spread: tuple[Positive, Positive] = Field((0.2, 1.4), description="least and most mosaic spread [degree]")
    cells: tuple[int, int] = Field((4, 6), description="fewest and most unit cells, the same along all axes")
    uneven: float = Field(0.15, ge=0, description="sd of ln of the weights of mosaic domains [1]")
    photons: tuple[Positive, Positive] = Field((1e4, 1e6), description="fewest and most Bragg photons of an image")
    background: tuple[Positive, Positive] = Field((0.01, 5.0), description="least and most background [photon/pixel]")
    width: int = Field(16, ge=4, description="features of the first layers; deeper ones have up to four times as many")
    begin: Literal["fresh", "shipped"] = Field(
        "fresh", description="weights to begin with: drawn, or madpipe's own, which learn another kind of images sooner"
    )
    hypotheses: int = Field(2, ge=1, description="orientations that the network may give for an image")
    absolute: float = Field(3.0, ge=0, description="weight of the absolute errors beside the likelihood [1]")
    validation_images: int = Field(
        512, ge=64, description="images that decide which weights are kept; four times as many others widen errors"
    )


class StillsInferConfig(Model):
    """The network's answer."""

    weights: Literal["trained", "shipped"] = Field("shipped", description="madpipe's own network, or one of this run")


class StillsConfig(Model):
    """The study's section."""

    samples: Mapping[SampleName, Sample] = Field(
        default_factory=dict, description="samples by name: simulated, or measured where a path is given"
    )
    index: StillsIndexConfig = Field(StillsIndexConfig(), description="crystals from spots and a cell")
    fit: StillsFitConfig = Field(StillsFitConfig(), description="misset and mosaic spread from pixels")
    train: StillsTrainConfig = Field(StillsTrainConfig(), description="network")
    infer: StillsInferConfig = Field(StillsInferConfig(), description="the network's answer")
    integrate: IntegrateConfig = Field(IntegrateConfig(), description="scales, orientations and intensities together")
    merge: StillsMergeConfig = Field(StillsMergeConfig(), description="merged intensities")
    evaluate: StillsEvaluateConfig = Field(StillsEvaluateConfig(), description="methods side by side")
