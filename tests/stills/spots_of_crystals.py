"""Spots of crystals of known pose, by textbook geometry: written apart from the code that indexes them."""

import numpy as np
from scipy.spatial.transform import Rotation

from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.index.spots import Spots

ALONG_Z = np.array([0.0, 0.0, 1.0])


def axes_of(cell, rotation):
    """Rows a, b, c: a* along x, b* in the plane of x and y (Busing and Levy 1967), turned."""
    a, b, c, *angles = cell
    alpha, beta, gamma = np.radians(angles)
    volume = (
        a
        * b
        * c
        * np.sqrt(
            1
            - np.cos(alpha) ** 2
            - np.cos(beta) ** 2
            - np.cos(gamma) ** 2
            + 2 * np.cos(alpha) * np.cos(beta) * np.cos(gamma)
        )
    )
    ra, rb, rc = b * c * np.sin(alpha) / volume, a * c * np.sin(beta) / volume, a * b * np.sin(gamma) / volume
    cos_b = (np.cos(alpha) * np.cos(gamma) - np.cos(beta)) / np.sin(alpha) / np.sin(gamma)
    cos_c = (np.cos(alpha) * np.cos(beta) - np.cos(gamma)) / np.sin(alpha) / np.sin(beta)
    upper = np.array(
        [
            [ra, rb * cos_c, rc * cos_b],
            [0, rb * np.sqrt(1 - cos_c**2), -rc * np.sqrt(1 - cos_b**2) * np.cos(alpha)],
            [0, 0, 1 / c],
        ]
    )
    return np.linalg.inv(rotation.as_matrix() @ upper)


def flat_detector(distance=200.0, size=1500, pixel=0.15, tilt=(0.0, 0.0), beam=(0.0, 0.0)):
    """One panel across the beam, as CBF has it, tilted about its fast and slow axes [degree] where the beam hits it."""
    fast, slow = np.array([-1.0, 0, 0]), np.array([0, -1.0, 0])
    turn = Rotation.from_rotvec(np.radians(tilt[0]) * fast + np.radians(tilt[1]) * slow)
    corner = -(size / 2 + beam[0]) * pixel * fast - (size / 2 + beam[1]) * pixel * slow
    origin = distance * ALONG_Z + turn.apply(corner)
    return Panel(origin, turn.apply(fast), turn.apply(slow), (pixel, pixel), (size, size))


def reflections(axes, wavelength, resolution, width, generator, group_filter=None):
    """Whole indices near the Ewald sphere, thrown with a normal law of their errors of excitation [1/angstrom]."""
    reach = np.ceil(np.linalg.norm(axes, axis=1) / resolution).astype(int)
    found = []
    for h in range(-reach[0], reach[0] + 1):
        k, m = np.meshgrid(np.arange(-reach[1], reach[1] + 1), np.arange(-reach[2], reach[2] + 1), indexing="ij")
        indices = np.stack([np.full(k.size, h), k.ravel(), m.ravel()], axis=1)
        if group_filter is not None:
            indices = indices[group_filter(indices)]
        q = np.linalg.solve(axes, indices.T).T
        length = np.sqrt((q**2).sum(axis=1))
        off = np.sqrt(((q + ALONG_Z / wavelength) ** 2).sum(axis=1)) - 1 / wavelength
        seen = (
            (length > 0.02)
            & (length < 1 / resolution)
            & (generator.uniform(size=len(q)) < np.exp(-(off**2) / 2 / width**2))
        )
        found.append(indices[seen])
    return np.concatenate(found)


def projected(axes, indices, wavelength, panel):
    """Fast and slow pixel coordinates where rays along s0 + q meet a panel's plane; NaN beyond its edges."""
    s = np.linalg.solve(axes, indices.T).T + ALONG_Z / wavelength
    normal = np.cross(panel.fast, panel.slow)
    point = s * ((panel.origin @ normal) / (s @ normal))[:, None] - panel.origin
    at = np.stack([point @ panel.fast / panel.pixel[0], point @ panel.slow / panel.pixel[1]], axis=1)
    inside = (
        (at > 0).all(axis=1)
        & (at[:, 0] < panel.shape[1])
        & (at[:, 1] < panel.shape[0])
        & (s @ normal * (panel.origin @ normal) > 0)
    )
    return np.where(inside[:, None], at, np.nan)


def spots_at(at, panel=0):
    """Spots at given places."""
    count = len(at)
    return Spots(
        at,
        np.full((count, 2), 0.3),
        np.full(count, panel),
        np.full(count, 100.0),
        np.full(count, 5),
        np.zeros(count, dtype=bool),
    )


def still(
    cell,
    seed,
    count=300,
    wavelength=1.0,
    resolution=2.0,
    width=1e-3,
    noise=0.3,
    false=0.1,
    panel=None,
    group_filter=None,
):
    """Spots of one crystal, the most excited ones left out at random down to a count, some of them false.

    Returns the spots, the true axes, the beam and the panel.
    """
    generator = np.random.default_rng(seed)
    panel = flat_detector() if panel is None else panel
    axes = axes_of(cell, Rotation.random(random_state=seed))
    indices = reflections(axes, wavelength, resolution, width, generator, group_filter)
    at = projected(axes, indices, wavelength, panel)
    at = at[np.isfinite(at).all(axis=1)]
    at = generator.permutation(at)[: round(count * (1 - false))]
    at = at + noise * generator.standard_normal(at.shape)
    wrong = generator.uniform(0, panel.shape[0], (round(count * false), 2))
    return spots_at(np.concatenate([at, wrong])), axes, Beam(ALONG_Z, wavelength), panel


def turn_between(one, other):
    """Angle [degree] of the rotation nearest to what takes one set of axes into another."""
    left, _, right = np.linalg.svd(np.linalg.solve(one, other).T)
    return np.degrees(Rotation.from_matrix(left @ right).magnitude())
