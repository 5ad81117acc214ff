"""The part of a fit's record that says what was refined besides the structure factors."""

from dataclasses import dataclass

import numpy as np

from madpipe.base.store import Groups, entry

_Array = np.ndarray


@dataclass(frozen=True)
class Nuisance:
    """What the fit refined besides the structure factors, one value per energy unless said otherwise.

    Prior, correlation and ``determined`` are there for what was refined. A correlation is that with the logarithm of
    the sum of |F_A|^2. What the data do not determine stands at the prior's mean.
    """

    scale: _Array = entry("scale")
    scale_errors: _Array = entry("scale_errors")
    energy_offset: float = entry("energy_offset", "eV")
    energy_offset_errors: float = entry("energy_offset_errors", "eV")
    f_prime: _Array = entry("f_prime", "electron")
    f_prime_errors: _Array = entry("f_prime_errors", "electron")
    f_double_prime: _Array = entry("f_double_prime", "electron")
    f_double_prime_errors: _Array = entry("f_double_prime_errors", "electron")
    noise_scale: float = entry("noise_scale")  # measured over stated standard deviation, one for all energies
    gauge: str = entry("gauge")  # what was held fixed, in words
    background_scale: _Array | None = entry("background_scale", optional=True)
    background_scale_errors: _Array | None = entry("background_scale_errors", optional=True)
    scale_prior: _Array | None = entry("scale_prior", optional=True)
    scale_prior_errors: _Array | None = entry("scale_prior_errors", optional=True)
    scale_correlation: _Array | None = entry("scale_correlation", optional=True)
    scale_determined: _Array | None = entry("scale_determined", optional=True)
    energy_offset_prior: float | None = entry("energy_offset_prior", "eV", optional=True)
    energy_offset_prior_errors: float | None = entry("energy_offset_prior_errors", "eV", optional=True)
    energy_offset_correlation: float | None = entry("energy_offset_correlation", optional=True)
    energy_offset_determined: bool | None = entry("energy_offset_determined", optional=True)
    f_prime_prior: _Array | None = entry("f_prime_prior", "electron", optional=True)
    f_prime_prior_errors: _Array | None = entry("f_prime_prior_errors", "electron", optional=True)
    f_prime_correlation: _Array | None = entry("f_prime_correlation", optional=True)
    f_prime_determined: _Array | None = entry("f_prime_determined", optional=True)
    f_double_prime_prior: _Array | None = entry("f_double_prime_prior", "electron", optional=True)
    f_double_prime_prior_errors: _Array | None = entry("f_double_prime_prior_errors", "electron", optional=True)
    f_double_prime_correlation: _Array | None = entry("f_double_prime_correlation", optional=True)
    f_double_prime_determined: _Array | None = entry("f_double_prime_determined", optional=True)
    background_scale_prior: _Array | None = entry("background_scale_prior", optional=True)
    background_scale_prior_errors: _Array | None = entry("background_scale_prior_errors", optional=True)
    background_scale_correlation: _Array | None = entry("background_scale_correlation", optional=True)
    background_scale_determined: _Array | None = entry("background_scale_determined", optional=True)
    f_resonant_relative_error: float | None = entry("f_resonant_relative_error", optional=True)  # of all |F_A| together
    resonant_share: float | None = entry("resonant_share", optional=True)  # median |F_A|^2 over a pure element's
    verdicts: str | None = entry("verdicts", optional=True)  # a line for each nuisance
    # of ln scale, f', f'' and ln background scale of every energy, one kind after another: (4 energy, 4 energy)
    covariance: _Array | None = entry("covariance", optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}
