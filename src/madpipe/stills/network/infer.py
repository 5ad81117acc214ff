"""The network's answer to images: where a fit begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping, warn
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.fit.twins import lattice_rotations
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.measured.expt import Experiment
from madpipe.stills.measured.images import Image, Images
from madpipe.stills.network.design import covariances, what_is_seen
from madpipe.stills.network.exposures import told_of
from madpipe.stills.network.grid import regridded
from madpipe.stills.network.records import StartList, StartRow
from madpipe.stills.network.weights import TrainedStartNetwork
from madpipe.stills.scene import Scene

_CUBE = 0.02  # relative, how far a cell may be from a cube
_ALIKE = 0.2  # by how many cells the axes may differ
_DOUBT = 10.0  # how far a told orientation may be from the true one [degree]
_FEWEST = 3e3  # photons of an image that the network is asked about


@dataclass(frozen=True)
class Hypothesis:
    """One orientation that an image may be of."""

    crystal: Crystal  # as told, turned
    turn: Float[np.ndarray, "3"]  # rotation vector from the told orientation [degree]
    spread: float  # [degree]
    covariance: Float[np.ndarray, "4 4"]  # of a further turn in the laboratory [degree], and of ln spread
    probability: float

    @property
    def errors(self) -> Float[np.ndarray, "4"]:
        """Standard errors of the turn about x, y, z and of the spread [degree]."""
        return np.sqrt(np.diag(self.covariance)) * np.array([1, 1, 1, self.spread])


class Predictor:
    """A trained network, ready for images.

    Parameters
    ----------
    trained:
        Its weights, and what it was trained on.
    """

    def __init__(self, trained: TrainedStartNetwork) -> None:
        self.network, self.config = trained.network().float(), trained.config

    def __call__(
        self,
        photons: Float[np.ndarray, "row column"],
        beam: Beam,
        panel: Panel,
        crystal: Crystal,
        cells: Float[np.ndarray, "3"],
    ) -> tuple[Hypothesis, ...]:
        """Give the orientations that an image may be of, the most probable first.

        The network knows a cube near the orientation in which its axes are the beam and the detector's; of those that
        are the same lattice, the one nearest to the told crystal is given.

        Parameters
        ----------
        photons:
            Of the panel; NaN where nothing was measured.
        beam, panel:
            Geometry.
        crystal:
            As told.
        cells:
            Unit cells of a domain along the told crystal's a, b, c.

        Raises
        ------
        InputError
            A crystal, cells or a geometry that the network does not know; too few photons.
        """
        turns = self._checked(crystal, cells)
        found = regridded(photons, beam, panel, float(crystal.cell[:3].mean()))
        if found.photons < _FEWEST:
            raise InputError(f"the network needs {_FEWEST:g} photons above the background; {found.photons:.3g} came.")
        upright = np.eye(3) @ found.frame.T * crystal.cell[:3].mean()
        nominal = _nearest(crystal, upright, turns)
        apart = math.degrees(float(np.linalg.norm(_turn(crystal, nominal))))
        if apart > self.config.farthest + _DOUBT:
            raise InputError(
                f"the network needs a crystal told within {self.config.farthest + _DOUBT:g} degree of "
                f"standing upright: axes along the beam and the detector's; {apart:.1f} came; search with `fit`."
            )
        seen = what_is_seen(torch.from_numpy(found.counts).float()[None])
        numbers = torch.from_numpy(cells).float()[None]
        with torch.no_grad():
            answer = self.network(seen, told_of(numbers, torch.from_numpy(found.shift).float()[None]))
        whole = np.eye(4)
        whole[:3, :3] = found.frame
        hypotheses = []
        for rotation, ln_spread, covariance, ln_weight in zip(
            answer.rotation[0].double().numpy(),
            answer.ln_spread[0].tolist(),
            covariances(answer)[0].numpy(),
            answer.ln_weight[0].tolist(),
            strict=True,
        ):
            stands = _nearest(crystal, upright @ (found.frame @ rotation @ found.frame.T).T, turns)
            turn = np.degrees(_turn(crystal, stands))
            spread, turned = math.exp(ln_spread), whole @ covariance @ whole.T
            hypotheses.append(Hypothesis(stands, turn, spread, turned, math.exp(ln_weight)))
        return tuple(sorted(hypotheses, key=lambda one: -one.probability))

    def _checked(self, crystal: Crystal, cells: Float[np.ndarray, "3"]) -> np.ndarray:
        """Refuse what the network was not trained for; the symmetries of the lattice."""
        cell = crystal.cell
        off = max(np.abs(cell[:3] / cell[:3].mean() - 1).max(), np.abs(np.radians(cell[3:] - 90)).max())
        fewest, most = self.config.cells
        if off > _CUBE or np.ptp(cells) > _ALIKE or not fewest - 0.5 <= cells.mean() <= most + 0.5:
            raise InputError(
                f"the network needs a cubic lattice and domains of {fewest} to {most} cells, as many along each axis; "
                f"cell {_listed(cell.round(2))} and {_listed(cells)} cells came; index the image, or search with `fit`."
            )
        return lattice_rotations(crystal)


def _listed(values: Float[np.ndarray, "number"]) -> str:
    """Numbers in a message."""
    return ", ".join(f"{one:g}" for one in values)


def _nearest(told: Crystal, axes: Float[np.ndarray, "3 3"], turns: np.ndarray) -> Crystal:
    """The told crystal turned to the setting of a lattice, by its rows of axes, that is nearest to it."""
    between = np.swapaxes(told.reciprocal @ (turns @ axes), -1, -2)
    u, _, v = np.linalg.svd(between)
    nearest = int(np.argmin(np.linalg.norm(rotation_vector(u @ v), axis=-1)))
    return told.turned(u[nearest] @ v[nearest])


def _turn(told: Crystal, found: Crystal) -> Float[np.ndarray, "3"]:
    """Rotation vector from one orientation to another [radian]."""
    return rotation_vector((told.reciprocal @ found.axes).T)


def begun(scene: Scene, hypothesis: Hypothesis) -> Scene:
    """The scene as a fit begins at a hypothesis."""
    return replace(scene, crystal=hypothesis.crystal, spread=math.radians(hypothesis.spread))


def predict_images(
    images: Images, crystals: Sequence[Crystal | None], predictor: Predictor, cells: Sequence[float]
) -> tuple[StartList, list[Experiment]]:
    """Answer each image: a table, and an experiment with the predicted orientation.

    An image without an answer keeps its told crystal, with a line.

    Parameters
    ----------
    images, crystals:
        Of a detector of one panel, and the crystal of each image as told.
    predictor:
        The network.
    cells:
        Unit cells of a domain along a, b, c.

    Raises
    ------
    InputError
        More than one panel, or no image with an answer.
    """
    if len(images.panels) != 1:
        raise InputError(f"the network needs a detector of one panel; {len(images.panels)} came; give one of them.")
    kept: list[Experiment] = []

    @keeping
    def table() -> StartList:
        rows = []
        for number, crystal in enumerate(crystals):
            row, found = _row(images, number, crystal, predictor, np.array(cells))
            rows.append(row)
            kept.append(Experiment(images.beams[number], images.panels, found, images.sources[number]))
        failed = [f"{row.image}: {row.failed}" for row in rows if row.failed]
        if len(failed) == len(rows):
            raise InputError(f"the network needs an image that it knows; none of {len(rows)} is: {failed[0]}")
        if failed:
            warn(f"{len(failed)} of {len(rows)} images have no answer and keep their orientation, as {failed[0]}")
        return StartList(images=tuple(rows))

    return table(), kept


def _row(
    images: Images, number: int, crystal: Crystal | None, predictor: Predictor, cells: Float[np.ndarray, "3"]
) -> tuple[StartRow, Crystal | None]:
    """One image."""
    name = images.sources[number].label
    if crystal is None:
        return _failed(name, "no crystal"), None
    try:
        found = predictor(_measured(images[number]), images.beams[number], images.panels[0], crystal, cells)
    except InputError as error:
        return _failed(name, str(error)), crystal
    best, *others = found
    row = StartRow(
        image=name,
        failed=None,
        turn=tuple(best.turn.tolist()),
        turn_errors=tuple(best.errors[:3].tolist()),
        spread=best.spread,
        spread_error=float(best.errors[3]),
        probability=best.probability,
        others=tuple(tuple(one.turn.tolist()) for one in others),
    )
    return row, best.crystal


def _failed(name: str, why: str) -> StartRow:
    """A row without an answer."""
    return StartRow(
        image=name, failed=why, turn=(), turn_errors=(), spread=None, spread_error=None, probability=None, others=()
    )


def _measured(image: Image) -> Float[np.ndarray, "row column"]:
    """Photons of the first panel, NaN where nothing was measured."""
    good = image.good[0] & ~image.saturated[0]
    return np.where(good, image.counts[0], np.nan).astype(float)
