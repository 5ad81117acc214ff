"""Settings of the rates' fit."""

from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class RatesSettings(Model):
    """Rates of a kinetic scheme."""

    scheme: str = Field("A->B", description="mechanism, such as A->B->C, A<->B, 2A<->A2, A->B (avrami), finke-watzky")
    initial: dict[str, float] = Field(
        {}, description="concentrations at the start by species, else 1 for the first and for what no step makes [1]"
    )
    instrument_time: float = Field(0.0, ge=0, description="standard deviation of the response in time [s]")
    dead_time: float = Field(0.0, description="the reaction started so long before the time 0 [s]")
    drift: Literal["auto", "none", "beam", "buffer", "both"] = Field(
        "auto",
        description="what changes from frame to frame beside the reaction; auto: the least that explains the data",
    )
    non_negative: bool = Field(False, description="curves of species are not below 0 (where the buffer does not drift)")
    starts: int = Field(64, ge=1, description="points of the rates' space compared before the best are refined")
    refined: int = Field(6, ge=1, description="starts that are refined")
