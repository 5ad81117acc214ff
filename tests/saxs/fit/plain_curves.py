"""Curves of particles in plain numpy, written apart from madpipe's kernels: brute sums over size and orientation."""

import numpy as np
from scipy.special import gammaln, j1

from madpipe.base.curves.records import Curves

_SIZES, _ANGLES, _BEYOND = 161, 161, 5.0  # nodes over sizes and cosines; standard deviations that sizes cover
_PER_CM = 1e-4


def ball(x):
    """Amplitude of a sphere over its volume."""
    x = np.maximum(x, 1e-3)  # the next term is x^2 / 10: 1e-7
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3


def _whole(radius):
    return 4 / 3 * np.pi * radius**3


def sphere(q, size, radius):
    """Mean square amplitude and volume."""
    r = radius * size
    return (_whole(r) * ball(q * r)) ** 2, _whole(r)


def core_shell_sphere(q, size, core_radius, thickness, core_contrast_ratio):
    """Core of a ratio of contrasts in a shell of contrast 1; the core's radius is spread."""
    core, outer = core_radius * size, core_radius * size + thickness
    amplitude = _whole(outer) * ball(q * outer) + (core_contrast_ratio - 1) * _whole(core) * ball(q * core)
    return amplitude**2, _whole(outer)


def vesicle(q, size, core_radius, thickness):
    """A wall; the volume is the wall's."""
    core, outer = core_radius * size, core_radius * size + thickness
    return (_whole(outer) * ball(q * outer) - _whole(core) * ball(q * core)) ** 2, _whole(outer) - _whole(core)


def ellipsoid(q, size, radius_polar, radius_equatorial):
    """Of revolution; the polar half axis is spread."""
    cosine, weight = _cosines()
    polar = radius_polar * size
    r = np.sqrt((polar * cosine) ** 2 + radius_equatorial**2 * (1 - cosine**2))
    volume = 4 / 3 * np.pi * polar * radius_equatorial**2
    return volume**2 * (ball(q * r) ** 2 @ weight)[:, None], volume


def cylinder(q, size, radius, length):
    """Of any aspect; the radius is spread."""
    cosine, weight = _cosines()
    r = radius * size
    across = np.maximum(q * r * np.sqrt(1 - cosine**2), 1e-8)
    along = q * length / 2 * cosine
    volume = np.pi * r**2 * length
    return volume**2 * ((2 * j1(across) / across * np.sinc(along / np.pi)) ** 2 @ weight)[:, None], volume


def _cosines():
    """Midpoints in the angle: the integrand is periodic in it."""
    node, weight = np.polynomial.legendre.leggauss(2 * _ANGLES)
    return node[_ANGLES:], weight[_ANGLES:]


SHAPES = {one.__name__: one for one in (sphere, core_shell_sphere, vesicle, ellipsoid, cylinder)}
_ROUND = ("sphere", "core_shell_sphere", "vesicle")


def density(kind, x, pd):
    """Number density of size over its mean."""
    if kind == "gaussian":
        return np.exp(-0.5 * ((x - 1) / pd) ** 2)
    if kind == "lognormal":
        variance = np.log1p(pd**2)
        return np.exp(-0.5 * (np.log(x) + variance / 2) ** 2 / variance) / x
    k = pd**-2
    return np.exp(k * np.log(k) + (k - 1) * np.log(x) - k * x - gammaln(k))


def intensity(name, q, pd, kind="schulz", **lengths):
    """Differential cross section per volume for contrast 1 and volume fraction 1 [1/cm]."""
    size = np.linspace(max(1e-3, 1 - _BEYOND * pd), 1 + 1.5 * _BEYOND * pd, _SIZES if name in _ROUND else 61)
    weight = density(kind, size, pd)
    weight = weight / weight.sum()
    if name in _ROUND:
        square, volume = SHAPES[name](q[:, None], size, **lengths)
        return _PER_CM * (square @ weight) / (volume * weight).sum()
    each = [SHAPES[name](q[:, None], one, **lengths) for one in size]
    square = sum(share * one[0][:, 0] for share, one in zip(weight, each, strict=True))
    return _PER_CM * square / sum(share * one[1] for share, one in zip(weight, each, strict=True))


def smeared(law, q, dq=None, slit=None):
    """A law of q as a pinhole (cut at 2.5 standard deviations) or a slit (its half height) sees it."""
    if dq is not None:
        place = np.linspace(-2.5, 2.5, 41)
        weight = np.exp(-0.5 * place**2)
        weight[[0, -1]] /= 2
        at = np.abs(q[:, None] + dq[:, None] * place)
        return (law(at.ravel()).reshape(at.shape) * weight).sum(1) / weight.sum()
    if slit is not None:
        axis = np.geomspace(q.min(), np.hypot(q.max(), slit), 6000)
        known = np.log(law(axis))
        u = np.concatenate([[0], np.geomspace(1e-4 * q.min(), slit, 3000)])
        values = np.exp(np.interp(np.log(np.hypot(q[:, None], u)), np.log(axis), known))
        return np.trapezoid(values, u, axis=1) / slit
    return law(q)


def curves(q, clean, noise, rng, dq=None, slit=None, title="simulated"):
    """A record with noise: a relative part at its median, counts' share elsewhere."""
    sigma = noise * np.sqrt(clean * np.median(clean) + 0.01 * clean**2)
    return Curves(
        q=q,
        intensity=(clean + sigma * rng.standard_normal(len(q)))[None],
        sigma=sigma[None],
        absolute=1,
        names=title,
        title=title,
        dq=dq,
        slit_length=None if slit is None else np.full(len(q), slit),
    )
