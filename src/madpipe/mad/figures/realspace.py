"""Figure of a retrieved object: density, phase and composition beside the truth, a depth profile, and the body."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, Normalize
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from skimage.measure import marching_cubes

from madpipe.base import metrics
from madpipe.base.plotting import (
    MAGNITUDE,
    PHASE,
    SHARE,
    TWO_COLUMNS,
    Keywords,
    Picture,
    colour_bar,
    colour_map,
    name_panels,
    new_figure,
    phase_norm,
    phase_ticks,
    styled,
)
from madpipe.base.verdict import verdicts_in
from madpipe.mad.figures.picture import ANGSTROM_PER_NM, FIT_LOOK, MODULUS_UNIT, central_slice
from madpipe.mad.figures.specimen import draw_real, real_window
from madpipe.mad.realspace.verdicts import on_truth
from madpipe.mad.records import RealSpace, Stack

_VIEW = {"elev": 20.0, "azim": -60.0}  # degree
_LEVEL = 0.5  # of a support of 0 and 1
_SMOOTHING = 0.8  # voxel; rounds the staircase of the support's surface
_SHALLOW = 1e-6  # voxel; the outermost voxels have the depth of their centre, half a voxel


@dataclass(frozen=True)
class Body:
    """What is drawn of one object, on its grid."""

    density: np.ndarray  # |rho| [sqrt(photon) per voxel]
    phase: np.ndarray  # of rho, zero on average inside [radian]
    composition: np.ndarray  # resonant atoms' share [1]
    inside: np.ndarray  # bool


@styled
def retrieved(stack: Stack, real_space: RealSpace) -> Picture:
    """Draw density, phase and composition of a retrieved object below those of the truth, where that is known.

    Central slices of a volume. Below, the composition against the depth under the surface [nm], means of layers one
    voxel thick with their standard errors, and the body cut open (a volume) or the distribution of its composition
    (a 2-D object).
    """
    if stack.truth is None:
        bodies = {"retrieved": body_from_object(real_space)}
    else:
        bodies = {"true": body_from_truth(stack), "retrieved": body_on_truth(real_space, stack)}
    voxel = float(real_space.voxel_size[-1]) / ANGSTROM_PER_NM
    share = f"{real_space.share_in_words(stack.resonant)} (1)"
    figure = new_figure(TWO_COLUMNS, 2.35 + 2.0 * len(bodies))
    places = figure.add_gridspec(len(bodies) + 1, 3, height_ratios=[1.0] * len(bodies) + [0.95])
    slices = [[figure.add_subplot(places[row, column]) for column in range(3)] for row in range(len(bodies))]
    _draw_slices(np.array(slices), list(bodies.values()), voxel, share)
    profile = figure.add_subplot(places[-1, :2])
    profiles = _draw_profiles(profile, bodies, voxel, share)
    volume = real_space.support.ndim == 3
    last = figure.add_subplot(places[-1, 2], **({"projection": "3d"} if volume else {}))
    if volume:
        draw_body(last, bodies["retrieved"], Normalize(0, 1), cut=True)
    else:
        _draw_distribution(last, bodies, share)
    titles = [f"{kind}, {name}" for name in bodies for kind in ("density", "phase", "composition")]
    titles += ["composition below the surface", "cut open, retrieved" if volume else "composition"]
    name_panels([*(axes for row in slices for axes in row), profile, last], titles)
    return Picture(figure, _caption(stack, real_space, bodies, profiles))


def body_from_truth(stack: Stack) -> Body:
    """The object that was drawn, in sqrt(photon)."""
    truth = stack.truth
    density = (truth.rho_resonant + truth.rho_normal) * np.sqrt(truth.photons_per_electron2)
    return _body(density, truth.composition, truth.support > 0)


def body_from_object(real_space: RealSpace) -> Body:
    """The retrieved real_space."""
    return _body(real_space.rho_resonant + real_space.rho_normal, real_space.composition, real_space.support > 0)


def body_on_truth(real_space: RealSpace, stack: Stack) -> Body:
    """The retrieved object moved onto the truth."""
    placed, composition, _ = on_truth(real_space, stack)
    return _body(placed.density.numpy(), composition, placed.support.numpy())


def _body(density: np.ndarray, composition: np.ndarray, inside: np.ndarray) -> Body:
    """Modulus and phase, the phase less its mean direction inside, which no intensity knows."""
    mean = np.angle(density[inside].sum())
    return Body(np.abs(density), metrics.wrapped(np.angle(density) - mean), composition, inside)


def composition_profile(body: Body, voxel: float) -> np.ndarray:
    """Depth below the surface, mean composition and its standard error, one row per layer of a voxel's thickness.

    Returns
    -------
    :
        (layer, 3): [unit of voxel, 1, 1]; layers of fewer than three voxels are left out.
    """
    depth = distance_transform_edt(body.inside) - 0.5
    layer = np.floor(depth + _SHALLOW).astype(int)
    rows = []
    for number in range(layer.max() + 1):
        values = body.composition[body.inside & (layer == number)]
        if len(values) >= 3:
            here = depth[body.inside & (layer == number)].mean() * voxel
            rows.append((here, values.mean(), values.std(ddof=1) / np.sqrt(len(values))))
    return np.array(rows).reshape(-1, 3)


def _draw_slices(panels: np.ndarray, bodies: list[Body], voxel: float, share: str) -> None:
    """Three maps per body, each column in common colours with one bar."""
    ndim = bodies[0].inside.ndim
    planes = [central_slice(body.inside, ndim) for body in bodies]
    window = real_window(np.logical_or.reduce(planes))
    filled = [body.density[body.inside] for body in bodies if body.inside.any()]
    top = max((float(np.quantile(values, 0.99)) for values in filled), default=1.0)
    kinds = (
        ("density", Normalize(0, top), MAGNITUDE, rf"$|\rho|$ ({MODULUS_UNIT} per voxel)"),
        ("phase", phase_norm(), PHASE, r"$\arg\rho$ (rad)"),
        ("composition", Normalize(0, 1), SHARE, share),
    )
    for row, body, inside in zip(panels, bodies, planes, strict=True):
        for axes, (name, norm, cmap, label) in zip(row, kinds, strict=True):
            plane = np.where(inside, central_slice(getattr(body, name), ndim), np.nan)
            bar = colour_bar(draw_real(axes, plane, window, voxel, norm, cmap), axes, label)
            if name == "phase":
                phase_ticks(bar)


def _draw_profiles(axes: Axes, bodies: dict[str, Body], voxel: float, share: str) -> dict[str, np.ndarray]:
    """Composition against depth; returns the layers."""
    profiles = {name: composition_profile(body, voxel) for name, body in bodies.items()}
    for name, layers in profiles.items():
        if name == "true":
            axes.plot(layers[:, 0], layers[:, 1], color="black", linewidth=1.4, label="true")
        else:
            axes.errorbar(*layers.T, **FIT_LOOK.line(), label="retrieved")
    axes.set(xlabel="depth below the surface (nm)", ylabel=share)
    axes.set_ylim(*_share_limits([layers[:, 1] for layers in profiles.values()]))
    axes.legend(loc="best")
    axes.grid(visible=True)
    return profiles


def _share_limits(values: list[np.ndarray]) -> tuple[float, float]:
    """Limits that hold all means with room around them, at least a tenth wide."""
    joined = np.concatenate(values)
    if not len(joined):
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    room = max(0.05, 0.15 * (high - low))
    return low - room, high + room


def _draw_distribution(axes: Axes, bodies: dict[str, Body], share: str) -> None:
    """Histogram of the composition of all voxels."""
    bins = np.linspace(-0.25, 1.25, 61).tolist()
    looks: dict[str, Keywords] = {
        "true": {"color": "black", "linewidth": 1.2},
        "retrieved": {**FIT_LOOK.dash(), "linewidth": 1.2},
    }
    for name, body in bodies.items():
        axes.hist(
            np.clip(body.composition[body.inside], -0.25, 1.25),
            bins,
            histtype="step",
            label=name,
            **looks[name],
        )
    axes.set(xlabel=share, ylabel="voxels per bin (1)", xlim=(-0.25, 1.25))
    if any(body.inside.any() for body in bodies.values()):
        axes.set_yscale("log")
    axes.legend(loc="upper left")


def draw_body(axes: Axes3D, body: Body, norm: Normalize, *, cut: bool) -> None:
    """Surface of the body, or of its half behind the plane y = 0, coloured by the composition just below it."""
    solid = gaussian_filter(body.inside.astype(float), _SMOOTHING)
    if cut:
        solid[:, : solid.shape[1] // 2, :] = 0.0  # the cut faces the viewer
    axes.set_axis_off()
    if solid.max() <= _LEVEL:
        return
    vertices, faces, _, _ = marching_cubes(np.pad(solid, 1), level=_LEVEL)
    corners = vertices[faces] - 1.0
    share = _composition_at(body, corners.mean(axis=1))
    surface = Poly3DCollection(
        corners[:, :, ::-1],
        facecolors=colour_map(SHARE)(norm(share)),
        linewidths=0.2,
        shade=True,
        lightsource=LightSource(azdeg=195, altdeg=40),
    )
    surface.set_rasterized(True)
    axes.add_collection3d(surface)
    low, high = corners.reshape(-1, 3).min(axis=0)[::-1], corners.reshape(-1, 3).max(axis=0)[::-1]
    half = (high - low).max() / 2
    limits = np.stack([(low + high) / 2 - half, (low + high) / 2 + half], axis=1)
    axes.set(xlim=limits[0], ylim=limits[1], zlim=limits[2])
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.view_init(**_VIEW)


def _composition_at(body: Body, places: np.ndarray) -> np.ndarray:
    """Composition interpolated at places [voxel] on the surface; a voxel outside has its nearest neighbour's."""
    nearest = distance_transform_edt(~body.inside, return_distances=False, return_indices=True)
    return map_coordinates(body.composition[tuple(nearest)], places.T, order=1, mode="nearest")


def _caption(stack: Stack, real_space: RealSpace, bodies: dict[str, Body], profiles: dict[str, np.ndarray]) -> str:
    """Size, composition, agreement with the truth and the verdicts."""
    body = bodies["retrieved"]
    voxel = float(real_space.voxel_size[-1]) / ANGSTROM_PER_NM
    words = [f"{stack.name}, route '{real_space.route}': {np.count_nonzero(body.inside)} voxels of {voxel:.1f} nm."]
    for name, one in bodies.items():
        if len(profiles[name]):
            depth = distance_transform_edt(one.inside)
            deep = one.composition[depth > 0.6 * depth.max()]
            words.append(
                f"{real_space.share_in_words(stack.resonant)}, {name}: "
                f"{profiles[name][0, 1]:.3f} in the outermost layer, "
                f"{deep.mean():.3f} in the deepest {len(deep)} voxels."
            )
    if "true" in bodies and body.inside.any():
        words.append(_agreement(bodies["true"], body))
    verdicts = verdicts_in(real_space.verdicts)
    marks = {True: "passed", False: "failed"}
    words += [f"{name.replace('_', ' ')}: {v.value:.3g}, {marks[v.passed]}." for name, v in verdicts.items()]
    return " ".join(words)


def _agreement(true: Body, found: Body) -> str:
    """Overlap of the supports and error of the composition."""
    both = true.inside & found.inside
    overlap = 2 * np.count_nonzero(both) / (np.count_nonzero(true.inside) + np.count_nonzero(found.inside))
    words = f"Depths count from each one's own surface; overlap of the supports {overlap:.3f} (Dice)"
    if not both.any():
        return f"{words}."
    error = metrics.root_mean_square(found.composition[both] - true.composition[both])[0]
    return f"{words}; rms error of a voxel's share {error:.3f}."
