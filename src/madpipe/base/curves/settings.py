"""What a person says of files of curves that the files do not say themselves."""

from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class CurvesSettings(Model):
    """How files of curves are read."""

    unit_q: Literal["1/angstrom", "1/nm", "1/um", "1/m"] | None = Field(
        None, description="unit of q in the files; without it the files' own, or 1/angstrom where q leaves no doubt"
    )
    unit_intensity: Literal["1/cm", "1/m", "arbitrary"] | None = Field(
        None, description="unit of the intensities in the files; without it the files' own, else arbitrary"
    )
    entry: str | None = Field(
        None, description="name, or number from 1, of the curve to take from a file that holds several"
    )
    path: str | None = Field(
        None,
        description="in an HDF5 file: the group of the curve, or its datasets as q=/a/q,intensity=/a/I,sigma=/a/error, "
        "also dq, slit_length, slit_width, time and energy",
    )
    columns: tuple[str, ...] | None = Field(
        None,
        description="in a table of text: names or numbers of the columns of q, intensity, sigma and dq",
        min_length=2,
    )
    energies: tuple[float, ...] | None = Field(None, description="photon energy of each curve, in their order [eV]")
    times: tuple[float, ...] | None = Field(None, description="time of each curve, in their order [s]")
    wavelength: float | None = Field(
        None, description="wavelength for a table of 2 theta instead of q [angstrom]", gt=0.0
    )
    full_slit: bool = Field(
        False, description="the files state the full height and width of the slit, where canSAS has half of them"
    )
    ignore_resolution: bool = Field(False, description="leave out the resolution that the files state")
