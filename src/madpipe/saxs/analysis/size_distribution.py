r"""Size distributions without a model of their form: volumes in bins of size, none below 0, as smooth as data allow.

.. math::
    \min_{x \ge 0} \sum_i \Big(\frac{I_i - B - \sum_j K_{ij} x_j}{\sigma_i}\Big)^2
    + \lambda \sum_j (x_{j-1} - 2 x_j + x_{j+1})^2

K is integrated over each bin (:mod:`madpipe.saxs.analysis.size_kernels`). The weight of smoothness is the largest at
which chi-square is still the number of points (discrepancy principle); where no distribution reaches that, the answer
says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import nnls

from madpipe.base.errors import InputError
from madpipe.saxs.analysis.maximum_entropy import entropy_fit
from madpipe.saxs.analysis.size_kernels import SizeKernel, binned_kernel, size_edges, sphere_kernel
from madpipe.saxs.config_size import SizeSettings

_FEWEST = 10  # points
_WEIGHTS = (-30.0, 30.0)  # of smoothness, in powers of e around the natural one
_CLOSE = 1e-3  # of chi-square, where the search for the weight ends
_ABOVE_LEAST = 1.02  # chi-square over its least, where the number of points cannot be reached
_GOOD_FIT = 4.0  # standard deviations of chi-square
_SHARE_OF_PEAK = 0.01  # of the largest volume: the default of maximum entropy
_SHARES = (0.1, 0.5, 0.9)
_LESS = 0.1  # of the weight: the answer with less regularisation shows how much rests on it
_WITHIN_BIN = 0.1  # of a bin's width in ln(size): what the shape within it can shift
_NARROWER = 4  # bins in the place of one, to tell wide bins from a wrong shape
_EDGE = 0.05  # of the volume outside the trusted sizes, from which it is said


@dataclass(frozen=True)
class SizeAnswer:
    """A size distribution, its errors, and numbers that sum it up, each with an error."""

    edges: Float[np.ndarray, "edge"]  # of the bins [angstrom]
    volume: Float[np.ndarray, "bin"]  # volume fraction times (contrast / contrast that was told)^2, of each bin
    volume_error: Float[np.ndarray, "bin"]
    is_trusted: Bool[np.ndarray, "bin"]  # whether the q range reaches the size: pi / q_max to pi / q_min
    q: Float[np.ndarray, "point"]  # [1/angstrom], that were fitted
    intensity: Float[np.ndarray, "point"]
    sigma: Float[np.ndarray, "point"]
    fitted: Float[np.ndarray, "point"]
    background: float  # flat part
    power_law: float  # scale of q^-exponent
    weight: float  # of smoothness or entropy
    chi2: float  # per point
    total: float  # sum of the volumes
    total_error: float
    percentiles: Float[np.ndarray, "three"]  # sizes below which are 10, 50 and 90 % of the volume [angstrom]
    percentile_errors: Float[np.ndarray, "three"]
    verdict: str  # "" where the distribution explains the data


def size_distribution(
    q: Float[np.ndarray, "q"],
    intensity: Float[np.ndarray, "q"],
    sigma: Float[np.ndarray, "q"],
    settings: SizeSettings,
    generator: np.random.Generator,
    kernel: SizeKernel = sphere_kernel,
) -> SizeAnswer:
    """Estimate the size distribution of a dilute system.

    Parameters
    ----------
    q:
        [1/angstrom], rising.
    intensity, sigma:
        [1/cm]; an infinite sigma marks a point that was not measured.
    settings:
        Range of q and of sizes, contrast, backgrounds, method.
    generator:
        Draws the noise that errors come from.
    kernel:
        Of one size, spheres' by default; the shape is assumed, not found.

    Returns
    -------
    :
        Errors are the standard deviation over noise draws around the fit, with the shift that regularisation makes in
        them and the change when its weight is a tenth.

    Raises
    ------
    InputError
        Too few points, or a range of sizes that is none.

    References
    ----------
    Potton, Daniell, Rainford, J. Appl. Cryst. 21, 663 (1988). Ilavsky and Jemian, J. Appl. Cryst. 42, 347 (2009).
    """
    keep = np.isfinite(sigma) & (sigma > 0) & (q >= (settings.q_min or 0.0)) & (q <= (settings.q_max or np.inf))
    x, y, s = q[keep], intensity[keep], sigma[keep] * settings.error_factor
    if len(x) < _FEWEST:
        raise InputError(
            f"a size distribution needs {_FEWEST} points; {len(x)} came between {settings.q_min or 0:g} and "
            f"{settings.q_max or np.inf:g} / angstrom; choose a wider range."
        )
    edges = _edges(x, settings)
    given = (settings.background or 0.0) + (settings.power_law or 0.0) * x**-settings.power_law_exponent
    matrix = settings.contrast**2 * binned_kernel(x, edges, kernel)
    columns = _background_columns(x, settings)
    problem = _Problem(matrix / s[:, None], columns / s[:, None], (y - given) / s)
    solve, volume, levels, weight = _solved(problem, settings)
    freer = solve(problem, _LESS * weight)[0]
    model = matrix @ volume + columns @ levels
    trusted = (edges[1:] > np.pi / x[-1]) & (edges[:-1] < np.pi / x[0])
    draws = []
    for _ in range(settings.draws):
        drawn = problem.with_data(model / s + generator.normal(size=len(x)))
        draws.append(solve(drawn, weight)[0])
    chi2 = float((((y - given - model) / s) ** 2).mean())
    narrow = _least_of_narrow_bins(problem, edges, x, s, settings, kernel)
    flat, steep = _levels(levels, settings)
    return _summed_up(
        edges,
        volume,
        freer,
        np.array(draws),
        trusted,
        (x, y, s),
        model + given,
        (flat, steep),
        weight,
        chi2,
        (problem.least, narrow),
    )


def _is_poor(chi2: float, points: int) -> bool:
    """Whether a least chi-square is beyond what noise makes it."""
    return bool(chi2 > points + _GOOD_FIT * np.sqrt(2 * points))


@dataclass(frozen=True)
class _Problem:
    """Kernel, columns of backgrounds and data, all divided by sigma."""

    matrix: Float[np.ndarray, "point bin"]
    columns: Float[np.ndarray, "point level"]
    data: Float[np.ndarray, "point"]

    def with_data(self, data: Float[np.ndarray, "point"]) -> "_Problem":
        """The same with other data."""
        return _Problem(self.matrix, self.columns, data)

    @property
    def scale(self) -> Float[np.ndarray, "column"]:
        """Sizes of the columns, by which they are divided in fits."""
        size = float(np.sqrt((self.matrix**2).sum(axis=0)).max())
        levels = np.sqrt((self.columns**2).sum(axis=0))
        return np.concatenate([np.full(self.matrix.shape[1], size), levels])

    @property
    def least(self) -> float:
        """Chi-square of the best distribution without regard to smoothness."""
        whole = np.concatenate([self.matrix, self.columns], axis=1) / self.scale
        return float(nnls(whole, self.data, maxiter=50 * whole.shape[1])[1] ** 2)

    def smooth(self, weight: float) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "level"]]:
        """Volumes and backgrounds at a weight of smoothness, which is relative to the kernel's size."""
        bins = self.matrix.shape[1]
        whole = np.concatenate([self.matrix, self.columns], axis=1) / self.scale
        penalty = np.zeros((bins, whole.shape[1]))
        penalty[:, :bins] = np.sqrt(weight) * second_differences(bins)
        found = nnls(
            np.concatenate([whole, penalty]), np.concatenate([self.data, np.zeros(bins)]), maxiter=50 * whole.shape[1]
        )[0]
        found = found / self.scale
        return found[:bins], found[bins:]

    def chi2(self, found: tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "level"]]) -> float:
        """Chi-square of volumes and backgrounds."""
        return float(((self.matrix @ found[0] + self.columns @ found[1] - self.data) ** 2).sum())


_Solve = Callable[["_Problem", float], tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "level"]]]


def second_differences(bins: int) -> Float[np.ndarray, "bin bin"]:
    """Matrix of second differences, with volumes of 0 beyond both ends."""
    return np.eye(bins, k=-1) - 2 * np.eye(bins) + np.eye(bins, k=1)


def _least_of_narrow_bins(
    problem: _Problem,
    edges: Float[np.ndarray, "edge"],
    x: Float[np.ndarray, "point"],
    s: Float[np.ndarray, "point"],
    settings: SizeSettings,
    kernel: SizeKernel,
) -> float:
    """Chi-square of the best distribution, in narrower bins where these explain too little."""
    least = problem.least
    if not _is_poor(least, len(x)):
        return least
    narrow = np.exp(np.interp(np.arange(0, len(edges) - 1 + 1e-9, 1 / _NARROWER), np.arange(len(edges)), np.log(edges)))
    matrix = settings.contrast**2 * binned_kernel(x, narrow, kernel) / s[:, None]
    return min(least, _Problem(matrix, problem.columns, problem.data).least)


def _edges(x: Float[np.ndarray, "point"], settings: SizeSettings) -> Float[np.ndarray, "edge"]:
    """Bins from the smallest to the largest size."""
    low = settings.smallest or float(np.pi / x[-1]) / 2
    high = settings.largest or float(np.pi / x[0]) * 2
    if not low < high:
        raise InputError(
            f"sizes need to run from a smaller to a larger one; {low:g} to {high:g} angstrom came; swap them."
        )
    return size_edges(low, high, settings.bins)


def _background_columns(x: Float[np.ndarray, "point"], settings: SizeSettings) -> Float[np.ndarray, "point level"]:
    """Backgrounds whose levels are fitted."""
    columns = []
    if settings.background is None:
        columns.append(np.ones_like(x))
    if settings.power_law is None:
        columns.append((x / x[0]) ** -settings.power_law_exponent * 1.0)
    return np.stack(columns, axis=1) if columns else np.zeros((len(x), 0))


def _levels(levels: Float[np.ndarray, "level"], settings: SizeSettings) -> tuple[float, float]:
    """Flat background and power law's level, fitted or told."""
    left = levels.tolist()
    flat = settings.background if settings.background is not None else left.pop(0)
    return flat, settings.power_law if settings.power_law is not None else left.pop(0)


def _solved(
    problem: _Problem, settings: SizeSettings
) -> tuple[_Solve, Float[np.ndarray, "bin"], Float[np.ndarray, "level"], float]:
    """The way to solve at the weight that the discrepancy principle gives, its answer, and that weight."""
    target = max(float(len(problem.data)), _ABOVE_LEAST * problem.least)
    weight = _weight(lambda one: problem.chi2(problem.smooth(one)), target)
    smooth = problem.smooth(weight)
    if settings.method == "smooth" or not smooth[0].max() > 0:
        return _Problem.smooth, *smooth, weight
    levels = smooth[1]
    default = np.full(problem.matrix.shape[1], _SHARE_OF_PEAK * smooth[0].max())

    def entropic(one: _Problem, alpha: float) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "level"]]:
        return entropy_fit(one.matrix, one.data - one.columns @ levels, default, alpha), levels

    natural = float(np.abs(problem.matrix.T @ problem.data).max())
    alpha = _weight(lambda one: problem.chi2(entropic(problem, one * natural)), target) * natural
    return entropic, *entropic(problem, alpha), alpha


def _weight(chi2_of: Callable[[float], float], target: float) -> float:
    """The weight at which chi-square, which rises with it, is the target; the largest or smallest where it is not."""
    low, high = _WEIGHTS
    while high - low > 1e-3:
        middle = (low + high) / 2
        chi2 = chi2_of(float(np.exp(middle)))
        if abs(chi2 - target) < _CLOSE * target:
            return float(np.exp(middle))
        low, high = (middle, high) if chi2 < target else (low, middle)
    return float(np.exp(low))


def sizes_at_shares(
    edges: Float[np.ndarray, "edge"], volume: Float[np.ndarray, "bin"], shares: tuple[float, ...] = _SHARES
) -> Float[np.ndarray, "share"]:
    """Sizes below which are these shares of the volume, which is spread evenly over ln(size) in a bin [angstrom]."""
    if not volume.sum() > 0:
        return np.full(len(shares), np.nan)
    below = np.concatenate([[0.0], np.cumsum(volume)]) / volume.sum()
    return np.asarray(np.exp(np.interp(shares, below, np.log(edges))))


def _spread(
    draws: Float[np.ndarray, "draw one"], value: Float[np.ndarray, "one"], freer: Float[np.ndarray, "one"]
) -> Float[np.ndarray, "one"]:
    """Standard deviation over draws, the shift of their mean, the change with less regularisation, in quadrature."""
    return np.asarray(np.sqrt(draws.var(axis=0, ddof=1) + (draws.mean(axis=0) - value) ** 2 + (freer - value) ** 2))


def _summed_up(
    edges: Float[np.ndarray, "edge"],
    volume: Float[np.ndarray, "bin"],
    freer: Float[np.ndarray, "bin"],
    draws: Float[np.ndarray, "draw bin"],
    trusted: Bool[np.ndarray, "bin"],
    curve: tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"], Float[np.ndarray, "point"]],
    fitted: Float[np.ndarray, "point"],
    levels: tuple[float, float],
    weight: float,
    chi2: float,
    least: tuple[float, float],
) -> SizeAnswer:
    """Numbers of the distribution, and their errors by the draws."""
    shares = np.array([sizes_at_shares(edges, one) for one in draws])
    here = sizes_at_shares(edges, volume)
    total = volume.sum()
    width = _WITHIN_BIN * float(np.log(edges[1] / edges[0])) * here
    errors = np.hypot(_spread(shares, here, sizes_at_shares(edges, freer)), width)
    return SizeAnswer(
        edges=edges,
        volume=volume,
        volume_error=_spread(draws, volume, freer),
        is_trusted=trusted,
        q=curve[0],
        intensity=curve[1],
        sigma=curve[2],
        fitted=fitted,
        background=levels[0],
        power_law=levels[1],
        weight=weight,
        chi2=chi2,
        total=float(total),
        total_error=float(_spread(draws.sum(axis=1)[:, None], np.array([total]), np.array([freer.sum()]))[0]),
        percentiles=here,
        percentile_errors=errors,
        verdict=_verdict(volume, trusted, least, len(curve[0])),
    )


def _verdict(
    volume: Float[np.ndarray, "bin"], trusted: Bool[np.ndarray, "bin"], least: tuple[float, float], points: int
) -> str:
    """What speaks against the answer, in words; "" where nothing does."""
    if not volume.sum() > 0:
        return "no particles are found: the backgrounds explain the data"
    if _is_poor(least[1], points):
        return (
            f"no distribution of this shape explains the data: chi-square is at least {least[1] / points:.2f} per "
            "point; another shape, interacting particles, a power law below, or errors too small"
        )
    if _is_poor(least[0], points):
        return f"the sizes need narrower bins than these {len(volume)}, which cannot explain the data; set bins higher"
    outside = float(volume[~trusted].sum() / volume.sum())
    if outside > _EDGE:
        return (
            f"{100 * outside:.0f} % of the volume lies in sizes that the range of q does not reach: those are a guess"
        )
    return ""
