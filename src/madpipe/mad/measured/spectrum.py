"""A sample's own absorption spectrum, from its file."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.curves import read_columns
from madpipe.base.errors import InputError
from madpipe.mad.anomalous import Absorption, dispersion_at
from madpipe.physics.normalisation import absorption_from_columns


def read_spectrum(path: str | Path) -> Absorption:
    """Photon energies and absorption from XDI or plain columns.

    Raises
    ------
    InputError
        The file cannot be read, or holds no absorption.
    """
    columns = {name: torch.as_tensor(column.copy()) for name, column in read_columns(path).by_name.items()}
    try:
        return Absorption(*absorption_from_columns(columns))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error


def dispersion_in(
    path: str | Path | None, element: str, edge: str, energy: Float[Tensor, "energy"]
) -> tuple[Float[Tensor, "energy"], Float[Tensor, "energy"]]:
    """f', f'' by :func:`madpipe.mad.anomalous.dispersion_at`, of the spectrum in a file where one is named.

    Raises
    ------
    InputError
        As :func:`read_spectrum`; what :func:`madpipe.mad.anomalous.dispersion_at` refuses.
    """
    spectrum = None if path is None else read_spectrum(path)
    try:
        return dispersion_at(energy, element, edge, spectrum)
    except ValueError as error:
        raise InputError(f"{error}." if path is None else f"{path}: {error}.") from error
