"""Settings of a simulated series."""

from typing import Annotated, Literal

from pydantic import Field

from madpipe.base.config import Model

Positive = Annotated[float, Field(gt=0)]


class SeriesSettings(Model):
    """Species that react or elute, or a series with events; and how it is measured."""

    kind: Literal["reaction", "elution", "events"] = Field(
        "reaction", description="a chain A -> B -> C, a chromatography, or spheres whose shares jump, ramp and rise"
    )
    rates: tuple[Positive, ...] = Field(
        (2.0, 0.3), min_length=1, max_length=5, description="of the chain, one for each step [1/s]"
    )
    species: int = Field(2, ge=1, le=6, description="that elute")
    frames: int = Field(60, ge=20, le=5000, description="of the series")
    times: tuple[Positive, Positive] = Field(
        (0.02, 20.0), description="first and last frame of a reaction, those between evenly in log time [s]"
    )
    q_range: tuple[Positive, Positive] = Field((0.01, 0.3), description="lowest and highest q [1/angstrom]")
    points: int = Field(120, ge=20, le=5000, description="values of q")
    noise: float = Field(0.01, gt=0, description="standard deviation over the largest intensity, at low q [1]")
    beam: float = Field(0.0, ge=0, description="standard deviation of a slow drift of the beam [1]")
    buffer: float = Field(0.0, ge=0, description="the same of a constant in q, over the largest intensity [1]")
    quiet: bool = Field(False, description="a series of kind events without any")
    signal: tuple[Positive, Positive] = Field(
        (8.0, 100.0), description="least and largest change of an event, in standard deviations of one frame [1]"
    )
