"""Settings of the size distribution."""

from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class SizeSettings(Model):
    """How a size distribution is estimated."""

    method: Literal["smooth", "entropy"] = Field(
        "entropy", description="smooth: least second differences; entropy: maximum entropy (Skilling and Bryan)"
    )
    q_min: float | None = Field(None, description="lowest q that is used [1/angstrom]", gt=0.0)
    q_max: float | None = Field(None, description="highest q that is used [1/angstrom]", gt=0.0)
    smallest: float | None = Field(None, description="smallest size; half of pi / q_max if left out [angstrom]", gt=0.0)
    largest: float | None = Field(None, description="largest size; twice pi / q_min if left out [angstrom]", gt=0.0)
    bins: int = Field(100, description="bins of equal width in the logarithm of the size", ge=5, le=500)
    contrast: float = Field(
        1.0, description="difference of scattering length density to the surroundings [1e-6/angstrom^2]", gt=0.0
    )
    background: float | None = Field(None, description="flat background, fitted if left out [1/cm]")
    power_law: float | None = Field(
        0.0, description="scale of a power law at low q: its value at q = 1/angstrom; fitted if null [1/cm]", ge=0.0
    )
    power_law_exponent: float = Field(4.0, description="exponent of the power law [1]", gt=0.0, le=6.0)
    error_factor: float = Field(1.0, description="factor by which the data's errors are multiplied [1]", gt=0.0)
    draws: int = Field(10, description="noise draws for the errors", ge=3, le=10000)
