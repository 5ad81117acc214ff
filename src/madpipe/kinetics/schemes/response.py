"""The instrument's response in time, as one matrix that depends on no rate."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

_REACH = 7.0  # standard deviations of the response on either side; 2.6e-12 lies beyond
_NODES = 40  # of Gauss and Legendre where the response reaches the start
_FAR_NODES = 5  # of Gauss and Hermite beyond: what is fast has decayed there by exp(-7 k sigma)


@dataclass(frozen=True)
class Response:
    """Ages at which concentrations are wanted, and how each frame averages over them."""

    ages: Float[np.ndarray, " age"]  # rising, each once [s]
    before: Float[np.ndarray, " frame"]  # share of a frame before the reaction starts
    place: np.ndarray  # (frame, node): which age
    weight: np.ndarray  # (frame, node)

    def averaged(
        self, values: Float[np.ndarray, "*rest age state"], initial: Float[np.ndarray, " state"]
    ) -> Float[np.ndarray, "*rest frame state"]:
        """Average over the response; before the start the values are the initial ones."""
        kept = np.einsum("fn,...fns->...fs", self.weight, values[..., self.place, :])
        return kept + self.before[:, None] * initial


def response_of(times: Float[np.ndarray, " frame"], width: float, dead_time: float) -> Response:
    r"""Prepare :math:`\bar c(t) = \int c(s)\, g(t - s)\, ds`, g a Gaussian of mean 0.

    Parameters
    ----------
    times:
        Of the frames; the reaction starts at 0, before which nothing changes [s].
    width:
        Standard deviation of g; 0: none [s].
    dead_time:
        The reaction started so long before the time 0 [s].
    """
    ages = times + dead_time
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    share = (nodes + 1) / 2
    if width == 0:
        early = ages < 0
        wanted, weight, before = (
            np.where(early, 0.0, ages)[:, None],
            (~early).astype(float)[:, None],
            early.astype(float),
        )
    else:
        wanted = np.zeros((len(ages), _NODES))
        weight = np.zeros((len(ages), _NODES))
        before = ndtr(-ages / width)
        for frame, age in enumerate(ages):
            if age > _REACH * width:
                far, far_weight = np.polynomial.hermite_e.hermegauss(_FAR_NODES)
                wanted[frame, :_FAR_NODES] = age + width * far
                weight[frame, :_FAR_NODES] = far_weight / far_weight.sum()
                wanted[frame, _FAR_NODES:] = age
                before[frame] = 0.0
            elif (end := age + _REACH * width) > 0:
                wanted[frame] = end * share**3  # dense at the start, where what is fast decays
                density = np.exp(-0.5 * ((age - wanted[frame]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
                weight[frame] = weights / 2 * 3 * share**2 * end * density
                weight[frame] *= (1 - before[frame]) / max(weight[frame].sum(), 1e-300)
    every, place = np.unique(wanted, return_inverse=True)
    return Response(every, before, place.reshape(wanted.shape), weight)
