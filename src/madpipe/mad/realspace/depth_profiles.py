"""Strain along the Bragg vector, and how composition and strain change with the depth below a particle's surface."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import curve_fit
from scipy.spatial import KDTree
from scipy.special import erfc
from skimage.measure import find_contours, marching_cubes

from madpipe.mad.records import RealSpace

_SMOOTHING = 0.8  # voxel; takes the staircase off a facet
_LEVEL = 0.5  # of a support of 0 and 1
_LEAST_VOXELS = 3  # in a layer, below which its scatter says nothing
_SHARPEST = 1 / math.sqrt(12)  # voxel; standard deviation of a voxel's own width
_BROADEST = 4.0  # voxel
_INTERFACE, _RIM = 0.75, 0.5  # voxel; mixed voxels, and those with neighbours on one side only
_CONTRAST = 3.0  # standard errors by which core and shell must differ for a shell to be found


@dataclass(frozen=True)
class Profile:
    """Means of layers of equal depth below the surface, from the surface inwards."""

    depth: np.ndarray  # of the layer's voxels on average [angstrom]
    mean: np.ndarray  # [unit of the values]
    error: np.ndarray  # standard error of the mean from the scatter in the layer [unit of the values]
    voxels: np.ndarray  # in the layer


@dataclass(frozen=True)
class Shell:
    """A shell over a core: a step of a profile. NaN where core and shell do not differ beyond their errors."""

    thickness: float  # depth half-way between shell and core [angstrom]
    thickness_error: float  # [angstrom]
    outside: float  # value of the shell [unit of the profile]
    outside_error: float
    inside: float  # value of the core
    inside_error: float
    width: float  # standard deviation of the step's slope [angstrom]

    @property
    def found(self) -> bool:
        """Whether there is a step."""
        return math.isfinite(self.thickness)

    def at(self, depth: np.ndarray) -> np.ndarray:
        """Value of the fitted step at depths [angstrom]."""
        return _step(depth, self.thickness, self.outside, self.inside, self.width)


def depth_below_surface(support: np.ndarray, voxel_size: np.ndarray) -> np.ndarray:
    """Distance of each voxel's centre from the particle's surface [angstrom], 0 outside.

    The surface is where the support, smoothed by a Gaussian of 0.8 voxel, is one half: a facet at any angle then lies
    where it should within 0.1 voxel, not at a staircase of voxels.

    Parameters
    ----------
    support:
        Bool, on the real-space grid; beyond the grid is outside.
    voxel_size:
        Along each axis [angstrom].
    """
    inside = np.asarray(support) > 0
    surface = _surface_points(inside)
    if not len(surface):
        return np.zeros(inside.shape)
    depth = np.zeros(inside.shape)
    depth[inside] = KDTree(surface * voxel_size).query(np.argwhere(inside) * np.asarray(voxel_size))[0]
    return depth


def _surface_points(inside: np.ndarray) -> np.ndarray:
    """Points on the surface, denser than the voxels (point, axis) [voxel]; none where there is no surface."""
    solid = gaussian_filter(np.pad(inside, 3).astype(float), _SMOOTHING)
    if solid.max() <= _LEVEL:
        return np.empty((0, inside.ndim))
    if inside.ndim == 3:
        corners, faces, _, _ = marching_cubes(solid, _LEVEL)
        return np.concatenate([corners, corners[faces].mean(axis=1)]) - 3
    lines = find_contours(solid, _LEVEL)
    return np.concatenate([*lines, *((line[1:] + line[:-1]) / 2 for line in lines)]) - 3


def strain_along(density: np.ndarray, support: np.ndarray, voxel_size: np.ndarray, q_bragg: np.ndarray) -> np.ndarray:
    r"""Component of the lattice strain along the Bragg vector.

    .. math::
        \varepsilon = \hat Q\cdot\nabla u_Q = \frac{1}{|Q|}\sum_i \hat Q_i\, \partial_i\varphi,\quad
        \varphi(r + a) - \varphi(r) = \arg\,\rho(r + a)\,\rho^*(r)

    Phase differences of neighbouring voxels need no unwrapping, as long as each is below pi. Inside they are the mean
    of those to either side, at the rim that of the one side in the support.

    Parameters
    ----------
    density:
        Complex [any unit], origin and global phase of no account.
    support:
        Bool.
    voxel_size:
        Along each axis [angstrom].
    q_bragg:
        Bragg vector along each axis [1/angstrom].

    Returns
    -------
    :
        [1], relative to the lattice whose peak is q = 0; NaN outside, and where a voxel has no neighbour in the
        support along an axis that the Bragg vector has a part of.

    Notes
    -----
    A 2-D frame is a projection: the strain is an average along the beam, and misses the part of Q along it.

    References
    ----------
    Robinson and Harder, Nat. Mater. 8, 291 (2009); Hofmann et al., Phys. Rev. Mater. 4, 013801 (2020) on phase
    derivatives without unwrapping.
    """
    support = np.asarray(support) > 0
    length = float(np.linalg.norm(q_bragg))
    strain = np.where(support, 0.0, np.nan)
    for axis, (size, part) in enumerate(zip(voxel_size, np.asarray(q_bragg) / length, strict=True)):
        if abs(part) > 1e-9:
            strain += part * _slope(density, support, axis) / (size * length)
    return strain


def _slope(density: np.ndarray, support: np.ndarray, axis: int) -> np.ndarray:
    """Change of the phase per voxel along one axis [radian]; NaN where no neighbour is in the support."""
    later, earlier = (slice(1, None), slice(None, -1))
    ahead, here = (_part(density, axis, one) for one in (later, earlier))
    both = _part(support, axis, later) & _part(support, axis, earlier)
    step = np.where(both, np.angle(ahead * np.conj(here)), 0.0)
    total, count = np.zeros(density.shape), np.zeros(density.shape)
    for one in (later, earlier):
        _part(total, axis, one)[...] += step
        _part(count, axis, one)[...] += both
    return np.divide(total, count, out=np.full(density.shape, np.nan), where=count > 0)


def _part(array: np.ndarray, axis: int, part: slice) -> np.ndarray:
    """View of a range along one axis."""
    return array[(slice(None),) * axis + (part,)]


def strain_of(found: RealSpace) -> np.ndarray | None:
    """Strain of an object, :func:`strain_along`; None where its Bragg vector is not known."""
    if found.q_bragg is None:
        return None
    return strain_along(found.rho_resonant + found.rho_normal, found.support, found.voxel_size, found.q_bragg)


def depth_profile(values: np.ndarray, depth: np.ndarray, support: np.ndarray, width: float) -> Profile:
    """Means over layers of equal depth.

    Parameters
    ----------
    values:
        One per voxel; NaN and voxels outside the support are left out.
    depth:
        :func:`depth_below_surface` [angstrom].
    support:
        Bool.
    width:
        Thickness of a layer [angstrom]; layers of fewer than three voxels are left out.

    Notes
    -----
    The standard error is that of independent voxels; where the image is smoother than its voxels it is too small by
    the root of the voxels in a resolution element.
    """
    used = (np.asarray(support) > 0) & np.isfinite(values)
    layer = np.floor(depth[used] / width + 1e-6).astype(int)
    count = np.bincount(layer)
    sums = [np.bincount(layer, of[used]) for of in (depth, values)]
    kept = count >= _LEAST_VOXELS
    mean = sums[1] / np.maximum(count, 1)
    scatter = np.bincount(layer, (values[used] - mean[layer]) ** 2)
    error = np.sqrt(scatter / np.maximum(count - 1, 1) / np.maximum(count, 1))
    return Profile((sums[0] / np.maximum(count, 1))[kept], mean[kept], error[kept], count[kept])


def _step(depth: np.ndarray, thickness: float, outside: float, inside: float, width: float) -> np.ndarray:
    """Step from outside to inside at a depth, convolved with a Gaussian."""
    return inside + (outside - inside) * erfc((depth - thickness) / (math.sqrt(2) * width)) / 2


def fit_shell(profile: Profile, voxel: float) -> Shell:
    r"""Find the shell in a profile: the depth at which it is half-way between shell and core.

    .. math:: x(d) = x_c + \tfrac12 (x_s - x_c)\, \mathrm{erfc}\frac{d - t}{\sqrt 2\, s}

    a step convolved with a resolution s, which is fitted between a voxel's own and four voxels.

    Parameters
    ----------
    profile:
        Composition, or strain, against depth.
    voxel:
        Edge of a voxel [angstrom].

    Notes
    -----
    Errors follow from the layers' standard errors, raised by the root of the reduced chi-squared where the layers
    scatter more than these say. What the depth itself may be off by (:func:`depth_below_surface`) is not in them.
    """
    nothing = Shell(*[math.nan] * 7)
    if len(profile.depth) < 5:
        return nothing
    values = profile.mean
    least = np.sqrt(np.average((values - values.mean()) ** 2) / profile.voxels.sum())  # no layer beats all together
    sigma = np.maximum(profile.error, max(least, 1e-12))
    middle = (values[0] + values[-1]) / 2
    crossing = int(np.argmax(np.sign(values - middle) != np.sign(values[0] - middle)))
    start = (profile.depth[crossing], values[0], values[-1], 0.5 * voxel)
    bounds = (
        [profile.depth[0], -np.inf, -np.inf, _SHARPEST * voxel],
        [profile.depth[-1], np.inf, np.inf, _BROADEST * voxel],
    )
    start = (min(max(start[0], profile.depth[0]), profile.depth[-1]), *start[1:])
    try:
        found, covariance = curve_fit(
            _step, profile.depth, values, start, sigma, absolute_sigma=True, bounds=bounds, maxfev=2000
        )
    except RuntimeError:  # no convergence: no step that four numbers describe
        return nothing
    chi2 = np.sum(((values - _step(profile.depth, *found)) / sigma) ** 2) / (len(values) - 4)
    errors = np.sqrt(np.diag(covariance) * max(chi2, 1.0))
    contrast = abs(found[1] - found[2]) / math.hypot(errors[1], errors[2])
    if not contrast > _CONTRAST:
        return nothing
    return Shell(found[0], errors[0], found[1], errors[1], found[2], errors[2], found[3])


def strain_difference(
    strain: np.ndarray, depth: np.ndarray, support: np.ndarray, thickness: float, voxel: float
) -> tuple[float, float]:
    """Mean lattice strain along Q of the core less that of the shell, and its standard error [1].

    Voxels within 3/4 voxel of the interface and 1/2 voxel of the surface are left out. The misfit of the two lattices
    without stress is larger: in a sphere of Poisson's ratio 0.3, an infinite shell about it, 1.6 times.

    Parameters
    ----------
    strain, depth:
        :func:`strain_along`, :func:`depth_below_surface`.
    thickness:
        Of the shell [angstrom].
    voxel:
        Edge of a voxel [angstrom].
    """
    used = (np.asarray(support) > 0) & np.isfinite(strain)
    core = strain[used & (depth > thickness + _INTERFACE * voxel)]
    shell = strain[used & (depth < thickness - _INTERFACE * voxel) & (depth > _RIM * voxel)]
    if min(len(core), len(shell)) < _LEAST_VOXELS:
        return math.nan, math.nan
    error = math.hypot(*(part.std(ddof=1) / math.sqrt(len(part)) for part in (core, shell)))
    return float(core.mean() - shell.mean()), error
