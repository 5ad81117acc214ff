"""Settings of the search for events."""

from pydantic import Field

from madpipe.base.config import Model


class EventsSettings(Model):
    """Events of a series."""

    false_alarms: float = Field(
        0.01, gt=0, lt=0.5, description="chance of a false event in a series of noise alone [1]"
    )
    sigmas: float = Field(6.0, gt=0, description="standard deviations by which an event is evident [1]")
    most_frames: int = Field(
        20_000, ge=10, description="longest series, as the time of the search grows with its square"
    )
