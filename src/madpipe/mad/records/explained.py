"""The part of an answer's record that says how well it explains the data."""

from dataclasses import dataclass

from madpipe.base.store import Groups, entry
from madpipe.mad import limits


@dataclass(frozen=True)
class Explained:
    """How well an answer explains its stack, beside what noise alone would leave.

    Degrees of freedom are the intensities less what the unknowns of their points follow: three a point, fewer where a
    prior or a network's prediction holds them. Where photons are few chi-square does not follow its law: the numbers
    with ``bright`` are of the points of :data:`madpipe.mad.limits.BRIGHT` expected photons per intensity or more, by
    which it is judged. A number that nothing determines is NaN.
    """

    chi2_per_dof: float = entry("chi2_per_dof")
    dof: float = entry("dof")  # degrees of freedom, all points together
    chi2_bright: float = entry("chi2_bright")  # per degree of freedom
    dof_bright: float = entry("dof_bright")
    chi2_bright_errors: float = entry("chi2_bright_errors")  # standard error, by noise alone
    chi2_bright_model: float = entry("chi2_bright_model")  # what a model error of limits.MODEL_ERROR adds
    r_factor: float = entry("r_factor")  # sum |observed - calculated| over sum observed
    r_noise: float = entry("r_noise")  # what noise alone makes it about a model that is not fitted
    r_expected: float = entry("r_expected")  # what of that the unknowns of the points leave
    points: int = entry("points")  # of three intensities or more
    without_freedom: int = entry("without_freedom")  # of those, of three intensities: nothing is left to compare
    masked: float = entry("masked")  # share of the stack's intensities

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}

    def line(self) -> str:
        """Say it in a line."""
        r = f"R {self.r_factor:.3g}, of noise {self.r_expected:.3g}"
        freedom = f", {self.without_freedom} of them without freedom" if self.without_freedom else ""
        return f"{self._chi2()}; {r}; {self.points} points{freedom}, {100 * self.masked:.3g} % masked"

    def _chi2(self) -> str:
        """Chi-square in words."""
        if self.dof == 0:
            return "no freedom is left for a chi-square"
        name = "chi-square per degree of freedom"
        if self.dof_bright == 0:
            return f"{name} {_number(self.chi2_per_dof)}, as photons are few"
        where = f" in points of {limits.BRIGHT:g} photons" if abs(self.chi2_bright - self.chi2_per_dof) > _OTHER else ""
        return f"{name} {_number(self.chi2_bright)}{where}"


_OTHER = 0.02  # difference of the two chi-squares from which on it is told which points are meant


def _number(chi2: float) -> str:
    """Two decimals, since it is compared with 1; three digits where it is large or tiny."""
    return f"{chi2:.2f}" if 0.01 <= chi2 < 100 else f"{chi2:.3g}"
