"""Settings of a fit, and of the choice of a model."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class SaxsFitConfig(Model):
    """Fit of a model to curves."""

    model: str = Field("core_shell_sphere", description="shapes joined by +, each with @ and a structure factor if any")
    distribution: Literal["gaussian", "schulz", "lognormal", "uniform"] = Field(
        "schulz", description="of the size that is spread, by number"
    )
    spread: str = Field(
        "auto", description="length that is spread; all: all in proportion; none; auto: the shape's first length"
    )
    fix: Mapping[str, float] = Field(
        default_factory=dict, description="values that are held, by the parameter's name [its unit: angstrom or 1]"
    )
    contrast: Mapping[str, float] = Field(
        default_factory=dict,
        description="of each region less the solvent's, where known; the scale is then phi [1e-6/angstrom^2]",
    )
    background: Literal["flat", "none", "power"] = Field(
        "flat", description="a constant, nothing, or a constant and a power of q as of much larger things"
    )
    power: float = Field(4.0, gt=0, le=6, description="exponent of that power [1]")
    q_min: float = Field(0.0, ge=0, description="least q that is used [1/angstrom]")
    q_max: float | None = Field(None, gt=0, description="largest q that is used [1/angstrom]")
    smear: bool = Field(True, description="smear the model by the resolution that the curves tell")
    series: Literal["independent", "chained", "global"] = Field(
        "independent",
        description="each curve alone; begun from its neighbours' answers; or one set of parameters for all",
    )
    own: tuple[str, ...] = Field(
        (), description="parameters that each curve has for itself in a global fit, such as core_contrast_ratio"
    )
    relative_error: float = Field(
        0.0, ge=0, le=0.5, description="error of the intensities beyond the stated one, added in squares [1]"
    )
    library: int = Field(1000, ge=16, description="curves drawn to choose starts from")
    starts: int = Field(24, ge=1, description="starts at most; 12 are searched first, and end it where they explain")
    evaluations: int = Field(30, ge=5, description="of the curve and its derivatives, for each start")
    samples: int = Field(240, ge=0, description="draws from the posterior, where it is not Gaussian; 0: none")


class SaxsChoiceConfig(Model):
    """Choice of a model."""

    models: tuple[str, ...] = Field(
        (
            "sphere",
            "core_shell_sphere",
            "vesicle",
            "ellipsoid",
            "cylinder",
            "hollow_cylinder",
            "core_shell_cylinder",
            "parallelepiped",
            "lamella",
            "gaussian_coil",
            "mass_fractal",
            "guinier_porod",
        ),
        description="that are compared",
    )
    every: bool = Field(False, description="try the expensive shapes too where a cheap one explains all curves")
    noise_range: float = Field(
        4.0, gt=0, description="chi-square beyond its mean that no noise explains, in its standard deviations [1]"
    )
