"""Settings of the separation of curves at several energies into partial intensities."""

from pydantic import Field

from madpipe.base.config import Model


class SeparationSettings(Model):
    """What is separated, and how far the energies, tables and scales may be off."""

    element: str = Field("Ni", description="the resonant element")
    imaginary: bool = Field(
        False, description="whether the cross term may be complex: only where another element absorbs strongly"
    )
    offset: float = Field(
        2.0, ge=0, description="standard deviation of an error that all photon energies share; 0: exact [eV]"
    )
    table: float = Field(
        0.02, ge=0, lt=1, description="standard deviation of the relative error of f', and of f''; 0: exact [1]"
    )
    scale: float = Field(
        0.005, ge=0, lt=1, description="standard deviation of each curve's relative scale; 0: exact [1]"
    )
    background: float = Field(
        0.0, ge=0, description="standard deviation of each curve's own constant background; 0: none [unit of intensity]"
    )
