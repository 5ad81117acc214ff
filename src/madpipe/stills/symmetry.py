"""A cell and what its symmetry allows: axes, primitive basis, equivalent settings, strains, ambiguities."""

from dataclasses import replace
from itertools import product

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.physics.crystal import is_cell
from madpipe.stills.geometry import Crystal

_NEAR = 0.02  # relative: how far a cell may be from its space group's, and a lattice from more symmetry
_OBLIQUITY = 1.5  # angle within which a lattice counts as more symmetric than its crystal [degree]
_SAME_STRAIN = 1e-6
_Matrix = Float[np.ndarray, "3 3"]


def group_named(name: str) -> gemmi.SpaceGroup:
    """Find a space group, by any of its usual names or its number.

    Raises
    ------
    InputError
        There is none of this name.
    """
    found = gemmi.find_spacegroup_by_number(int(name)) if name.isdigit() else gemmi.find_spacegroup_by_name(name)
    if found is None:
        raise InputError(f"needs a space group, such as P41212 or its number; {name!r} came; check its spelling.")
    return found


def crystal_of_cell(cell: Float[np.ndarray, "6"], space_group: str = "P 1") -> Crystal:
    """Make a crystal of a cell, a along x, b in the plane of x and y, exactly as symmetric as its space group.

    Parameters
    ----------
    cell:
        Lengths [angstrom] and angles [degree].
    space_group:
        By any of its usual names.

    Raises
    ------
    InputError
        The numbers make no cell, or one that the space group does not allow.
    """
    if not is_cell(cell):
        raise InputError(
            f"needs a cell of a volume: three lengths in angstrom, three angles in degrees; {list(cell)} came; check "
            "them."
        )
    group = group_named(space_group)
    crystal = Crystal(np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T, group.xhm())
    allowed = symmetrised(crystal)
    off = np.abs(np.linalg.inv(crystal.axes) @ allowed.axes - np.eye(3)).max()
    if off > _NEAR:
        raise InputError(
            f"needs a cell that {group.xhm()} allows; {', '.join(f'{one:g}' for one in cell)} is {100 * off:.3g} % "
            "off; give another cell or space group."
        )
    return allowed


def proper_rotations(space_group: str) -> list[Int[np.ndarray, "3 3"]]:
    """Rotations W of the Laue group, on fractional coordinates: axes -> W^T axes is the same crystal.

    Parameters
    ----------
    space_group:
        By any of its usual names.
    """
    found: list[np.ndarray] = []
    for operation in group_named(space_group).operations().sym_ops:
        rotation = np.array(operation.rot) // operation.DEN
        rotation = rotation * round(np.linalg.det(rotation))
        if not any((rotation == one).all() for one in found):
            found.append(rotation)
    return found


def symmetrised(crystal: Crystal) -> Crystal:
    """Strain a crystal to the nearest lattice that is exactly as symmetric as its space group; it does not turn."""
    metric = crystal.axes @ crystal.axes.T
    mean = np.mean([one.T @ metric @ one for one in proper_rotations(crystal.space_group)], axis=0)
    root = np.linalg.cholesky(mean)
    left, _, right = np.linalg.svd(np.linalg.inv(crystal.axes) @ root)  # the rotation nearest to the change
    return replace(crystal, axes=root @ (left @ right).T)


def strain_basis(crystal: Crystal) -> Float[np.ndarray, "strain 3 3"]:
    r"""Strains of the laboratory frame that the crystal's symmetry allows, orthonormal.

    A strain :math:`E = E^T` takes each axis a to (1 + E) a. It is allowed if :math:`R E R^T = E` for all rotations of
    the point group: six for a triclinic crystal, two for a tetragonal one, one for a cubic one.

    Parameters
    ----------
    crystal:
        Exactly symmetric.
    """
    half = np.sqrt(0.5)
    unit = np.zeros((6, 3, 3))
    for number, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        unit[number, i, j] = unit[number, j, i] = 1.0 if i == j else half
    columns = crystal.axes.T
    turns = [columns @ one @ np.linalg.inv(columns) for one in proper_rotations(crystal.space_group)]
    mean = np.mean([[turn @ one @ turn.T for one in unit] for turn in turns], axis=0)
    projector = np.einsum("kij,lij->kl", unit, mean)
    values, vectors = np.linalg.eigh((projector + projector.T) / 2)
    return np.einsum("kl,kij->lij", vectors[:, values > 1 - _SAME_STRAIN], unit)


def primitive_basis(crystal: Crystal) -> _Matrix:
    """Combinations of a, b, c, a row each, that are a right-handed primitive basis of short vectors.

    Notes
    -----
    In it all reflections have whole indices, and none is missing because of centring.
    """
    numbers = np.array(list(product(range(-2, 3), repeat=3)), dtype=float)
    centres = np.array([one for one in group_named(crystal.space_group).operations().cen_ops]) / gemmi.Op.DEN
    every = (numbers[:, None] + centres).reshape(-1, 3)
    lengths = np.linalg.norm(every @ crystal.axes, axis=1)
    every = every[np.lexsort((*every.T, np.round(lengths, 6)))][1:]
    basis = [every[0]]
    for vector in every[1:]:
        trial = np.array([*basis, vector]) @ crystal.axes
        _, values, _ = np.linalg.svd(trial / np.linalg.norm(trial, axis=1, keepdims=True))
        if values[-1] > 1e-3:
            basis.append(vector)
        if len(basis) == 3:
            break
    found = np.array(basis)
    return found * np.sign(np.linalg.det(found))


def ambiguities(crystal: Crystal) -> list[Int[np.ndarray, "3 3"]]:
    """Rotations W that leave the lattice, but not the crystal, as it is: one of each kind of wrong setting.

    Spots of two such settings lie in the same places and differ only in intensity.

    Parameters
    ----------
    crystal:
        Its lattice counts as more symmetric within 1.5 degrees of obliquity.

    References
    ----------
    Le Page, J. Appl. Cryst. 15, 255 (1982), as gemmi has it.
    """
    cell, group = gemmi.UnitCell(*crystal.cell), group_named(crystal.space_group)
    return [np.array(one.rot) // one.DEN for one in gemmi.find_twin_laws(cell, group, _OBLIQUITY, False)]


def triplet(rotation: Int[np.ndarray, "3 3"]) -> str:
    """A setting in words: what becomes of h, k, l. (h, k, l) W are the indices in the other setting."""
    words = []
    for column in rotation.T:
        said = "".join(
            f"{'-' if factor < 0 else '+'}{'' if abs(factor) == 1 else abs(factor)}{letter}"
            for factor, letter in zip(column, "hkl", strict=True)
            if factor
        )
        words.append(said.removeprefix("+"))
    return ",".join(words)
