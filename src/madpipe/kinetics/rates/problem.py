"""The data as the search for rates sees them, with or without a drifting beam and buffer."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.kinetics.rates.elimination import Eliminated, eliminated
from madpipe.kinetics.schemes.concentrations import concentrations
from madpipe.kinetics.schemes.response import Response
from madpipe.kinetics.schemes.scheme import Scheme
from madpipe.kinetics.whitened import Whitened

_LEAST_BEAM = 10.0  # standard deviations of a frame's signal along the mean curve, below which its beam is not known
_WIDE = 10.0  # standard deviation of the prior of every logarithm: it keeps apart from infinity what data do not say


@dataclass(frozen=True)
class Problem:
    """Whitened data whose columns are sorted by their singular values, and what makes the columns of concentrations."""

    scheme: Scheme
    response: Response
    initial: Float[np.ndarray, " state"]
    data: Float[np.ndarray, "frame some"]
    directions: Float[np.ndarray, "column q"]  # of the columns in whitened q
    singular: Float[np.ndarray, " value"]
    weight: Float[np.ndarray, " frame"]  # 1 / sigma_frame, or the signal along the mean curve where the beam drifts
    mean: Float[np.ndarray, " q"] | None  # its direction in whitened q, where the beam drifts
    free_columns: int  # q that are left of the projections
    centre: Float[np.ndarray, " number"]  # of the prior
    non_negative: bool = False

    @property
    def numbers(self) -> int:
        """Parameters of the scheme, and signals of the species along the mean curve where the beam drifts."""
        return len(self.centre)

    def coarse(self) -> "Problem":
        """Keep the columns where there is signal."""
        some = len(self.scheme.species) + 3
        sorted_data = self.data @ self.directions.T if self.non_negative else self.data
        return replace(self, data=np.ascontiguousarray(sorted_data[:, :some]), non_negative=False)

    def columns(
        self, numbers: Float[np.ndarray, " number"]
    ) -> tuple[Float[np.ndarray, "frame species"], Float[np.ndarray, "number frame species"]]:
        r"""Give A and its derivatives.

        Steady beam: :math:`c_{tj} / \sigma_t`. Drifting: frame t is :math:`g_t \sum_j c_{tj} S_j`, and its signal w_t
        along
        the mean curve says :math:`g_t = w_t / \sum_j c_{tj} v_j`, v_j being S_j along it: :math:`w_t c_{tj} / (c v)_t`.
        """
        parameters = len(self.scheme.parameters)
        amounts, slopes = concentrations(self.scheme, numbers[:parameters], self.response, self.initial)
        if self.mean is None:
            return amounts * self.weight[:, None], slopes * self.weight[:, None]
        signals = np.concatenate([[1.0], np.exp(numbers[parameters:])])
        total = np.maximum(amounts @ signals, 1e-12)
        made = amounts * (self.weight / total)[:, None]
        by_total = np.concatenate([slopes @ signals, (amounts * signals).T[1:]])
        direct = np.concatenate([slopes, np.zeros((len(signals) - 1, *amounts.shape))])
        return made, direct * (self.weight / total)[:, None] - made * (by_total / total)[:, :, None]

    def tried(self, numbers: Float[np.ndarray, " number"]) -> "Tried":
        """Evaluate a trial of the search."""
        part = eliminated(*self.columns(numbers), self.data, self.non_negative)
        pull = (numbers - self.centre) / _WIDE**2
        return Tried(
            numbers,
            part.deviance + float(pull @ (numbers - self.centre)),
            part.slope + pull,
            part.normal + np.eye(len(numbers)) / _WIDE**2,
            part,
        )


@dataclass(frozen=True)
class Tried:
    """A trial, as :mod:`madpipe.physics.marquardt` asks for it."""

    numbers: np.ndarray
    deviance: float
    slope: np.ndarray
    normal: np.ndarray
    part: Eliminated


def problem_of(
    whitened: Whitened,
    scheme: Scheme,
    response: Response,
    initial: Float[np.ndarray, " state"],
    centre: Float[np.ndarray, " parameter"],
    drift: str,
    non_negative: bool,
) -> Problem:
    """Project out what drifts and sort the rest.

    A drifting buffer is a constant in q in every frame: that direction is left out. A drifting beam multiplies a frame:
    the direction of the mean curve says by how much.

    Parameters
    ----------
    centre:
        Of the wide prior of the parameters' logarithms.
    drift:
        none, beam, buffer, both.

    Raises
    ------
    InputError
        The beam cannot be told from a frame's signal.
    """
    data, taken = whitened.data, 0
    if drift in ("buffer", "both"):
        flat = 1 / whitened.sigma_q
        data, taken = _without(data, flat / np.linalg.norm(flat)), taken + 1
    weight, mean = 1 / whitened.sigma_frame, None
    if drift in ("beam", "both"):
        mean = (data * weight[:, None]).sum(axis=0)
        mean /= np.linalg.norm(mean)
        signal = data @ mean
        if signal.min() < _LEAST_BEAM:
            raise InputError(
                f"rates: a drifting beam needs frames whose signal is {_LEAST_BEAM:g} standard deviations; "
                f"{signal.min():.3g} came in frame {int(signal.argmin()) + 1}; set drift: none or buffer."
            )
        data, taken, weight = _without(data, mean), taken + 1, signal
        centre = np.concatenate([centre, np.zeros(len(scheme.species) - 1)])
    left, singular, right = np.linalg.svd(data, full_matrices=False)
    signed = non_negative and drift == "none"
    return Problem(
        scheme, response, initial, data if signed else left * singular, right, singular, weight, mean,
        data.shape[1] - taken, centre, signed,
    )  # fmt: skip


def _without(data: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Leave a direction of q out."""
    return data - np.outer(data @ direction, direction)
