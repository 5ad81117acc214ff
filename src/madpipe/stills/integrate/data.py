"""Images and reflections of a fit: what stays while its parameters change."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.base.errors import InputError
from madpipe.stills.integrate.intensities import Unique, centric_of, unique_of
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.start import matched_reference, shell_means
from madpipe.stills.reflections.profile import shells_of


@dataclass(frozen=True)
class Data:
    """Images and reflections of a fit, which stay."""

    stills: list[Still]
    unique: Unique
    pieces: list[slice]  # each image's spots in the list of all
    shells: list[Int[np.ndarray, "_"]]  # of each image's spots
    edges: Float[np.ndarray, "edge"]  # of the shells in 1/d^2 [1/angstrom^2]
    inverse_d2: Float[np.ndarray, "unique"]
    reference: Float[np.ndarray, "unique"]  # NaN where there is none
    expected: Float[np.ndarray, "unique"]  # its mean in the shell, or 1
    centric: Bool[np.ndarray, "unique"]


def data_of(
    stills: list[Still],
    space_group: str,
    config: IntegrateConfig,
    reference_hkl: np.ndarray | None,
    reference: np.ndarray | None,
) -> Data:
    """Number the reflections of all images, and match them to the reference.

    Raises
    ------
    InputError
        No image; too little in common with the reference.
    """
    if not stills:
        raise InputError("integration needs at least one image; none came; check the list of images.")
    hkl = np.concatenate([still.scene.reflections.hkl for still in stills])
    inverse_d2 = np.concatenate([still.scene.reflections.inverse_d2 for still in stills])
    unique = unique_of(hkl, space_group)
    shell, edges = shells_of(inverse_d2, config.shells)
    ends = np.cumsum([len(still.boxes) for still in stills])
    pieces = [slice(int(end) - len(still.boxes), int(end)) for still, end in zip(stills, ends, strict=True)]
    of_unique = np.zeros(len(unique.hkl))
    of_unique[unique.of_spot] = inverse_d2
    known = matched_reference(unique.hkl, space_group, reference_hkl, reference)
    return Data(
        stills, unique, pieces, [shell[piece] for piece in pieces], edges, of_unique, known,
        shell_means(of_unique, known, unique.hkl, space_group), centric_of(unique.hkl, space_group),
    )  # fmt: skip
