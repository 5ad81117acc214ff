"""Write a stack as NanoMAD's text."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.store import whole_file
from madpipe.mad.measured.readers.arrays import AXES
from madpipe.mad.measured.readers.nanomad.layout import EXPOSURE, PER_ENERGY, PER_POINT, TEXTS
from madpipe.mad.records import Stack
from madpipe.physics.atoms import form_factor
from madpipe.physics.crystal import momentum_transfer, real_indices
from madpipe.physics.fourier import grid

_SAME_F0 = 1e-12  # relative rounding between f0 at |Q| and f0 at the |Q| of the indices


def write_nanomad(path: str | Path, stack: Stack) -> None:
    r"""Write a stack as the text that :func:`read_nanomad` reads, every number to its last digit.

    A list keeps its indices. A pixel or voxel gets the real h k l of Q_Bragg + q, whose axes qx, qy, qz are taken
    along x, y, z of the cell's Cartesian frame (a along x, c* along z): \|Q\|, and f0 with it, is right in any frame.
    f0 is written only where it is not the form factor at that \|Q\|. Lost are the mask's reasons, the q axes and the
    truth of a simulation.

    Raises
    ------
    InputError
        No unit cell; no Miller indices of a list, no q_bragg of an array; an error that is not positive; a full disk.
    """
    indices = _indices(path, stack)
    columns = _written_columns(path, stack, indices)
    texts = [f"{name} {' '.join(str(getattr(stack, name) or '').split())}" for name in TEXTS]
    header = ["# madpipe", *(line for line in texts if " " in line.strip())]
    header += [f"cell {_joined(stack.unit_cell)}", f"energies {len(stack.energy)}"]
    table = zip(stack.energy, stack.f_prime, stack.f_double_prime, strict=True)
    header += [f"energy {_joined(row)}" for row in table]
    header += [f"{name} {_joined(value)}" for name in EXPOSURE if (value := getattr(stack, name)) is not None]
    header += [f"columns h k l {' '.join(columns)}", f"data {len(indices)}"]
    single = [columns[name][:, None] for name in columns if name in PER_POINT]
    several = [columns[name] for name in columns if name in PER_ENERGY]
    rows = np.concatenate([indices, *single, np.stack(several, -1).reshape(len(indices), -1)], axis=1)
    with whole_file(path) as temporary:
        temporary.write_text("\n".join([*header, *map(_joined, rows.tolist())]) + "\n", encoding="utf-8")


def _joined(values: Iterable[float]) -> str:
    """Numbers parted by blanks, each with the fewest digits that give it back."""
    return " ".join(repr(float(value)).removesuffix(".0") for value in values)


def _indices(path: str | Path, stack: Stack) -> Float[np.ndarray, "entry 3"]:
    """Real h k l of every entry of a stack."""
    if stack.unit_cell is None:
        raise InputError(
            f"{path}: needs the unit cell of the stack; it has none; give unit_cell, a b c alpha beta gamma."
        )
    if stack.reflection is not None:
        if stack.miller_indices is None:
            raise InputError(f"{path}: needs h k l of every reflection; the stack has none; give miller_indices.")
        return np.asarray(stack.miller_indices, dtype=float)
    if stack.q_bragg is None or np.size(stack.q_bragg) != len(stack.shape):
        raise InputError(
            f"{path}: needs the Bragg vector along each axis of the array; the stack has {stack.q_bragg}; "
            f"give q_bragg along {', '.join(stack.axes)} [1/angstrom]."
        )
    q = grid([torch.as_tensor(np.asarray(getattr(stack, axis), dtype=float)) for axis in stack.axes]).numpy()
    q = np.asarray(stack.q_bragg).reshape(-1, 1) + q.reshape(len(q), -1)
    along = dict(zip(stack.axes, q, strict=True))
    cartesian = np.stack([along.get(axis, np.zeros(q.shape[1])) for axis in reversed(AXES)], axis=-1)
    return real_indices(stack.unit_cell, cartesian)


def _written_columns(
    path: str | Path, stack: Stack, indices: Float[np.ndarray, "entry 3"]
) -> dict[str, Float[np.ndarray, "entry ..."]]:
    """What stands in a line after h k l, by name: (entry,) or (entry, energy), nan where not measured."""
    columns: dict[str, np.ndarray] = {}
    if stack.friedel_sign is not None:
        columns["friedel"] = np.asarray(stack.friedel_sign, dtype=float).ravel()
    q = np.linalg.norm(momentum_transfer(stack.unit_cell, indices), axis=1)
    f0 = np.broadcast_to(np.asarray(stack.f0, dtype=float), stack.shape).ravel()
    try:
        same = np.allclose(f0, form_factor(stack.element, torch.as_tensor(q)).numpy(), rtol=_SAME_F0, atol=0)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
    if not same:
        columns["f0"] = f0
    names = {"data": "intensity", "data_errors": "sigma", "background": "background"}
    given = {ours: getattr(stack, name) for name, ours in names.items() if getattr(stack, name) is not None}
    good = stack.good
    if "sigma" in given and not (given["sigma"][good] > 0).all():
        raise InputError(
            f"{path}: needs positive standard errors where the stack is not masked; "
            f"{(~(given['sigma'][good] > 0)).sum()} are not; mask those points, or leave "
            "data_errors out where the data are counts."
        )
    for name, array in given.items():
        columns[name] = np.where(good, array, np.nan).reshape(len(stack.energy), -1).T
    return columns
