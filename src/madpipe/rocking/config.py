"""Configuration of the rocking-curve study."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from madpipe.base.config import Model
from madpipe.rocking.prior import NAMES


class CurveSample(Model):
    """What a curve is of, and what it was measured with."""

    crystal: str = Field("GGG", description="a built-in crystal: Si, Ge, GaAs, SiC-3C, YSZ, GGG")
    lattice_constant: float | None = Field(
        None, gt=0, description="of the unstrained crystal, else the built-in [angstrom]"
    )
    indices: tuple[int, int, int] = Field((4, 4, 4), description="h, k, l of the symmetric reflection")
    wavelength: float = Field(1.5406, gt=0, description="[angstrom]")
    sigma_share: float = Field(0.5, gt=0, le=1, description="sigma's share of the beam's intensity, the rest is pi [1]")
    monochromator: float = Field(1.0, ge=0, le=1, description="share of pi that a monochromator lets through [1]")
    half_width: float = Field(0.006, ge=0, description="of the resolution in 2 theta, at half maximum [degree]")
    lorentzian: float = Field(0.0, ge=0, le=1, description="Lorentzian share of the resolution [1]")


class SimulatedCurve(CurveSample):
    """An implanted layer's curve."""

    two_theta: tuple[float, float] = Field(
        (-2.2, 0.3), description="ends of the scan about the substrate's peak [degree]"
    )
    points: int = Field(701, ge=30, description="angles")
    peak_counts: float = Field(1e6, gt=0, description="counts of full reflectivity [photon]")
    background: float = Field(1.0, ge=0, description="counts without the beam [photon]")
    seed: int | None = Field(None, description="of the particle's parameters and noise, else the study's")
    parameters: tuple[float, float, float, float, float, float, float] | None = Field(
        None, description=f"{', '.join(NAMES)}; else drawn from the prior [1 and angstrom]"
    )


class MeasuredCurve(CurveSample):
    """A curve from a text file of two columns."""

    path: str = Field(description="text of 2 theta [degree] and intensity")
    counts_per_unit: float | None = Field(
        None, gt=0, description="photons for one unit of the file, else found [photon]"
    )
    systematic: float = Field(
        0.0, ge=0, description="error beside counting, relative to the curve: absorbers, dead time, the model's own [1]"
    )
    depth: float = Field(2000.0, gt=0, description="where the strained layer ends [angstrom]")
    optional: bool = Field(False, description="leave it out where its file is not there")


def _kind(values: object) -> str:
    """Which of the two a section is: one with a path is measured."""
    given = values if isinstance(values, Mapping) else getattr(values, "__dict__", {})
    return "measured" if "path" in given else "simulated"


AnyCurve = Annotated[
    Annotated[SimulatedCurve, Tag("simulated")] | Annotated[MeasuredCurve, Tag("measured")], Discriminator(_kind)
]


class RockingFitConfig(Model):
    """Classical fit of a profile."""

    profile: Literal["implanted", "spline"] | None = Field(
        None, description="implanted: seven parameters; spline: free form; else by the sample, simulated or measured"
    )
    knots: tuple[int, ...] = Field(
        (6, 8, 10, 13, 16), description="numbers of splines that are tried, of strain and disorder each"
    )
    refine_resolution: bool = Field(True, description="find width and shape of the resolution too, of splines")
    starts: int = Field(12, ge=1, description="starts at most")
    hops: int = Field(6, ge=0, description="further searches from near the best answer, of the implanted layer")
    library: int = Field(3000, ge=10, description="curves drawn from the prior to choose starts from")
    good_chi2: float = Field(1.3, gt=0, description="chi-square per point that ends the search [1]")
    evaluations: int = Field(40, ge=5, description="of the curve and its derivatives, for each start")


class RockingConfig(Model):
    """Rocking curves of strained layers."""

    samples: Mapping[str, AnyCurve] = Field(default_factory=dict, description="what is simulated or measured, by name")
    fit: RockingFitConfig = Field(RockingFitConfig(), description="classical fit")
