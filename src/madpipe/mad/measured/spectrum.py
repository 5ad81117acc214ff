"""A sample's own absorption spectrum, from its file."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.curves import read_columns
from madpipe.base.errors import InputError
from madpipe.physics.absorption import dispersion_from_spectrum
from madpipe.physics.normalisation import absorption_from_columns


def read_spectrum(path: str | Path) -> tuple[Float[Tensor, "node"], Float[Tensor, "node"]]:
    """Photon energies [eV] and absorption, in any unit, from XDI or plain columns.

    Raises
    ------
    InputError
        The file cannot be read, or holds no absorption.
    """
    columns = {name: torch.as_tensor(column.copy()) for name, column in read_columns(path).by_name.items()}
    try:
        return absorption_from_columns(columns)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error


def dispersion_in(
    path: str | Path, element: str, edge: str, energy: Float[Tensor, "energy"]
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    """f', f'' [electron] at these photon energies [eV] by :func:`madpipe.physics.absorption.dispersion_from_spectrum`.

    Raises
    ------
    InputError
        As :func:`read_spectrum`; a spectrum that does not fit the element, edge or energies.
    """
    spectrum = read_spectrum(path)
    try:
        return dispersion_from_spectrum(*spectrum, element, edge, energy)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
