"""Lists of reflections whose energies were indexed differently: every way that lattice and symmetry leave open."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import gemmi
import numpy as np

from madpipe.mad.records import Stack

_ALIKE = 3.0  # by how much a lattice may depart from the symmetry that another indexing needs [degree]
_FEW = 20  # reflections that must be measured at every energy


def reindexed(stack: Stack) -> Iterator[tuple[int, str, Stack]]:
    """Give a list with one energy's reflections indexed another way: the energy, the way in words, the list.

    Ways are the operations that map the lattice on itself and the crystal not, and the exchange of Friedel mates. Of
    three energies and more any one may be the odd one. A list without indices or cell has none.
    """
    if stack.miller_indices is None or stack.friedel_sign is None or stack.unit_cell is None:
        return
    symmetry = _Symmetry(stack.space_group)
    keys = symmetry.unique(np.column_stack([stack.miller_indices, stack.friedel_sign]).astype(int).tolist())
    place = {key: number for number, key in enumerate(keys)}
    for words, matrix, sign in _ways(stack):
        moved = symmetry.unique([(*(np.array(key[:3]) @ matrix).tolist(), sign * key[3]) for key in keys])
        source = np.array([place.get(key, -1) for key in moved])
        if np.count_nonzero(source >= 0) < _FEW:
            continue
        for energy in range(len(stack.energy)):
            yield energy, words, _moved(stack, energy, source)


class _Symmetry:
    """Which reflections are one, by the space group; by Friedel's law alone where it is not known."""

    def __init__(self, name: str | None) -> None:
        self.group = gemmi.find_spacegroup_by_name(name) if name else None
        known = self.group or gemmi.SpaceGroup("P 1")
        self.operations, self.region = known.operations(), gemmi.ReciprocalAsu(known)

    def unique(self, keys: Iterable[Iterable[int]]) -> list[tuple[int, ...]]:
        """Indices in the asymmetric unit and Friedel sign, +1 of what is centric."""
        return [self._one(*map(int, key)) for key in keys]

    def _one(self, h: int, k: int, l: int, sign: int) -> tuple[int, ...]:  # noqa: E741
        hkl, isym = self.region.to_asu([h, k, l], self.operations)
        mate = sign if isym % 2 else -sign
        return (*hkl, mate)


def _ways(stack: Stack) -> Iterator[tuple[str, np.ndarray, int]]:
    """Words, matrix that turns rows of indices, and sign on the Friedel mates of each way."""
    same = np.eye(3, dtype=int)
    yield "its Friedel mates exchanged", same, -1
    cell = gemmi.UnitCell(*np.asarray(stack.unit_cell, dtype=float).tolist())
    group = gemmi.find_spacegroup_by_name(stack.space_group) if stack.space_group else None
    known = group or gemmi.SpaceGroup("P 1")
    for operation in gemmi.find_twin_laws(cell, known, _ALIKE, False):
        equal = [_matrix(operation * one) for one in known.operations().sym_ops]
        matrix = min(equal, key=lambda one: (np.count_nonzero(one), np.count_nonzero(one < 0)))  # the plainest words
        yield f"indexed as {_named(matrix)}", matrix, 1


def _matrix(operation: gemmi.Op) -> np.ndarray:
    """What turns rows of indices as an operation does."""
    return np.array([operation.apply_to_hkl(row) for row in np.eye(3, dtype=int).tolist()])


def _named(matrix: np.ndarray) -> str:
    """Where h, k, l go, as k,h,-l."""
    words = []
    for column in matrix.T:
        parts = [f"{'+' if value > 0 else '-'}{letter}" for value, letter in zip(column, "hkl", strict=True) if value]
        words.append("".join(parts).removeprefix("+"))
    return ",".join(words)


def _moved(stack: Stack, energy: int, source: np.ndarray) -> Stack:
    """Give one energy the intensities of other entries."""
    there = source >= 0
    data, good = np.array(stack.data), np.array(stack.good)
    data[energy], good[energy] = data[energy][source], good[energy][source] & there
    errors = None
    if stack.data_errors is not None:
        errors = np.array(stack.data_errors)
        errors[energy] = errors[energy][source]
    mask = (~good).astype(np.uint32)
    return replace(stack, data=data, data_errors=errors, mask=mask, truth=None, whole=False)
