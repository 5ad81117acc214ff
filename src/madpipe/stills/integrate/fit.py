"""The fit of all images, and where it ended."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.arrowhead import Covariance
from madpipe.stills.integrate.data import Data, data_of
from madpipe.stills.integrate.image_model import SHARED
from madpipe.stills.integrate.intensities import Belief, Word, posterior
from madpipe.stills.integrate.passes import Glance
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.reference import Calibration
from madpipe.stills.integrate.search import Search
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.together import Shares
from madpipe.stills.reflections.profile import Widths


@dataclass(frozen=True)
class Fitted:
    """Where the fit ended."""

    data: Data
    name: str  # of the method
    own: Float[np.ndarray, "image own"]
    shared: Float[np.ndarray, "shared"]
    own_active: Bool[np.ndarray, "own"]
    shared_active: Bool[np.ndarray, "shared"]
    covariance: Covariance  # of the active parameters, with the widths' part
    shares: Shares  # of the active own parameters' errors: about the images' mean, and of that mean
    widths: Widths
    glances: list[Glance]
    belief: Belief
    word: Word
    calibration: Calibration
    model_error: float  # relative, of a spot's expected photons
    outliers: Bool[np.ndarray, "spot"]
    passes: int
    settled: bool

    @property
    def relative_errors(self) -> Float[np.ndarray, "image own"]:
        """Of own parameters about the images' weighted mean; 0 of what is not fitted."""
        found = np.zeros_like(self.own)
        found[:, self.own_active] = self.shares.relative
        return found

    @property
    def intensities(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each unique reflection's intensity given all."""
        mean, variance = posterior(self.belief, self.word)
        return mean, np.sqrt(variance)


def fit_stills(
    stills: list[Still],
    space_group: str,
    config: IntegrateConfig,
    reference_hkl: Int[np.ndarray, "reference 3"] | None = None,
    reference: Float[np.ndarray, "reference"] | None = None,
) -> Fitted:
    """Fit scale, falling off and orientation of every image, what they share, and the intensities.

    Parameters
    ----------
    stills:
        From :func:`madpipe.stills.integrate.prepare.prepared`.
    space_group:
        gemmi's name.
    config:
        Method, parameters, priors.
    reference_hkl, reference:
        Known intensities; without them Wilson's distribution is the prior.

    Raises
    ------
    InputError
        No image; no reflection in common with the reference.
    """
    data = data_of(stills, space_group, config, reference_hkl, reference)
    search = Search(data, config)
    search.go()
    errors, shares = search.covariance()
    widths = search.widths
    if not search.method.free_width:
        place = np.flatnonzero(np.flatnonzero(search.shared_active) >= len(SHARED))
        widths = Widths(search.shared[len(SHARED) :], np.diag(errors.shared)[place])
    return Fitted(
        data, config.method, search.own, search.shared, search.own_active, search.shared_active, errors, shares,
        widths, search.glances, search.belief, search.word, search.calibration, search.model_error, search.outliers,
        search.made, search.settled,
    )  # fmt: skip
