"""Figure of a retrieved object's strain and errors: maps, profiles below the surface, and the surface."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from madpipe.base import metrics
from madpipe.base.plotting import (
    MAGNITUDE,
    SHARE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    colour_map,
    name_panels,
    new_figure,
    styled,
)
from madpipe.base.verdict import failed, verdicts_in
from madpipe.mad.figures.picture import ANGSTROM_PER_NM, FIT_LOOK, central_slice
from madpipe.mad.figures.realspace import Body, body_from_object, draw_body
from madpipe.mad.figures.specimen import draw_real, real_window
from madpipe.mad.realspace.depth_profiles import (
    Profile,
    Shell,
    depth_below_surface,
    depth_profile,
    fit_shell,
    strain_along,
    strain_difference,
)
from madpipe.mad.records import LOWER_BOUNDS, RealSpace, Stack

_MOST = 0.98  # quantile of the values that the colours span
_STRAIN_UNIT = 1e-3


@dataclass(frozen=True)
class Depths:
    """What changes with the depth below one object's surface."""

    composition: Profile  # [1]
    strain: Profile  # [1]
    shell: Shell  # of the composition
    difference: tuple[float, float]  # strain of the core less that of the shell, and its standard error [1]


@styled
def object_maps(stack: Stack, real_space: RealSpace) -> Picture:
    """Draw displacement, strain and the composition's error; profiles below the surface; and the surface.

    Central slices of a volume. Profiles are means of layers a voxel thick, dark bands their standard errors, light
    ones the scatter of voxels in a layer, a dashed line the fitted shell, black the truth where it is known. The
    surface of a volume is coloured by its composition; a 2-D object shows its composition there.
    """
    strain = _strain(real_space, stack)
    inside = real_space.support > 0
    voxel = _voxel(real_space)
    found = depths_of(inside, real_space.composition, strain, real_space.voxel_size)
    true = _true_depths(stack, real_space.voxel_size)
    figure = new_figure(TWO_COLUMNS, 4.5)
    places = figure.add_gridspec(2, 3)
    maps = [figure.add_subplot(places[0, column]) for column in range(3)]
    _draw_maps(maps, real_space, strain)
    profiles = [figure.add_subplot(places[1, column]) for column in range(2)]
    _draw_profile(profiles[0], found.composition, true.composition if true else None, found.shell, 1.0)
    _draw_profile(profiles[1], found.strain, true.strain if true else None, None, _STRAIN_UNIT)
    share = f"{real_space.share_in_words(stack.resonant)} (1)"
    profiles[0].set_ylabel(share)
    profiles[1].set_ylabel(r"strain along $\mathbf{Q}$ ($10^{-3}$)")
    volume = inside.ndim == 3
    last = figure.add_subplot(places[1, 2], **({"projection": "3d"} if volume else {}))
    _draw_composition(last, body_from_object(real_space), real_space, share)
    titles = ["displacement", "strain", "error of composition", "composition", "strain", "surface"]
    name_panels([*maps, *profiles, last], titles if volume else [*titles[:-1], "composition"])
    return Picture(figure, _caption(stack, real_space, found, true, voxel))


def _voxel(real_space: RealSpace) -> float:
    """Edge of the cube of a voxel's volume [angstrom]."""
    return float(np.prod(real_space.voxel_size) ** (1 / len(real_space.voxel_size)))


def _strain(real_space: RealSpace, stack: Stack) -> np.ndarray:
    """Strain along the Bragg vector, of the object's file or else of its stack; NaN where neither knows it."""
    q_bragg = stack.q_bragg if real_space.q_bragg is None else real_space.q_bragg
    if q_bragg is None:
        return np.full(real_space.support.shape, np.nan)
    total = real_space.rho_resonant + real_space.rho_normal
    return strain_along(total, real_space.support, real_space.voxel_size, q_bragg)


def depths_of(inside: np.ndarray, composition: np.ndarray, strain: np.ndarray, voxel_size: np.ndarray) -> Depths:
    """Profiles of an object in layers a voxel thick, and its shell."""
    voxel = float(np.prod(voxel_size) ** (1 / len(voxel_size)))
    depth = depth_below_surface(inside, voxel_size)
    composed = depth_profile(composition, depth, inside, voxel)
    shell = fit_shell(composed, voxel)
    difference = strain_difference(strain, depth, inside, shell.thickness, voxel)
    return Depths(composed, depth_profile(strain, depth, inside, voxel), shell, difference)


def _true_depths(stack: Stack, voxel_size: np.ndarray) -> Depths | None:
    """The same of the particle that was drawn; None where it is not known."""
    truth = stack.truth
    if truth is None:
        return None
    inside = truth.support > 0
    strain = strain_along(truth.rho_resonant + truth.rho_normal, inside, voxel_size, stack.q_bragg)
    return depths_of(inside, truth.composition, strain, voxel_size)


def _draw_maps(panels: list[Axes], real_space: RealSpace, strain: np.ndarray) -> None:
    """Central slices of displacement, strain and the composition's error."""
    inside = real_space.support > 0
    ndim, plane = inside.ndim, central_slice(inside, inside.ndim)
    window, voxel = real_window(plane), float(real_space.voxel_size[-1]) / ANGSTROM_PER_NM
    kinds = (
        (real_space.displacement, True, SIGNED, r"$u$ along $\mathbf{Q}$ ($\AA$)"),
        (strain / _STRAIN_UNIT, True, SIGNED, r"$\varepsilon$ along $\mathbf{Q}$ ($10^{-3}$)"),
        (real_space.composition_errors, False, MAGNITUDE, "standard error (1)"),
    )
    for axes, (values, signed, cmap, label) in zip(panels, kinds, strict=True):
        top = _top(np.abs(values[inside]))
        image = draw_real(
            axes,
            np.where(plane, central_slice(values, ndim), np.nan),
            window,
            voxel,
            Normalize(-top if signed else 0.0, top),
            cmap,
        )
        colour_bar(image, axes, label, extend="both" if signed else "max")


def _top(values: np.ndarray) -> float:
    """Value at the end of the colours; 1 where there is none above zero."""
    finite = values[np.isfinite(values)]
    top = float(np.quantile(finite, _MOST)) if len(finite) else 0.0
    return top if top > 0 else 1.0


def _draw_profile(axes: Axes, found: Profile, true: Profile | None, shell: Shell | None, unit: float) -> None:
    """One profile with its bands; the fitted shell and the truth where there are any."""
    depth, mean, error = found.depth / ANGSTROM_PER_NM, found.mean / unit, found.error / unit
    scatter = error * np.sqrt(found.voxels)
    axes.fill_between(depth, mean - scatter, mean + scatter, color=FIT_LOOK.color, alpha=0.15, linewidth=0)
    axes.fill_between(depth, mean - error, mean + error, color=FIT_LOOK.color, alpha=0.5, linewidth=0)
    axes.plot(depth, mean, **FIT_LOOK.line(), label="retrieved")
    if true is not None:
        axes.plot(true.depth / ANGSTROM_PER_NM, true.mean / unit, color="black", linewidth=1.4, label="true")
    if shell is not None and shell.found:
        fine = np.linspace(0, found.depth.max(), 200)
        axes.plot(fine / ANGSTROM_PER_NM, shell.at(fine) / unit, color="0.35", linestyle="--", label="fitted shell")
    axes.set(xlabel="depth below the surface (nm)", ylim=_limits(mean, scatter, true, unit))
    axes.grid(visible=True)
    axes.legend(loc="best")


def _limits(mean: np.ndarray, scatter: np.ndarray, true: Profile | None, unit: float) -> tuple[float, float]:
    """Range of the bands and the truth, with room around it."""
    values = np.concatenate([mean - scatter, mean + scatter, *([true.mean / unit] if true is not None else [])])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = max(0.1 * (high - low), 0.02)
    return low - room, high + room


def _draw_composition(axes: Axes, body: Body, real_space: RealSpace, label: str) -> None:
    """Surface of a volume, or the map of a 2-D object, coloured by the composition."""
    values = body.composition[body.inside]
    low, high = np.quantile(values, [1 - _MOST, _MOST]) if len(values) else (0.0, 1.0)
    norm = Normalize(low, max(high, low + 0.05))
    if body.inside.ndim == 2:
        voxel = float(real_space.voxel_size[-1]) / ANGSTROM_PER_NM
        plane = np.where(body.inside, body.composition, np.nan)
        image: ScalarMappable = draw_real(axes, plane, real_window(body.inside), voxel, norm, SHARE)
    else:
        draw_body(axes, body, norm, cut=False)
        image = ScalarMappable(norm, colour_map(SHARE))
    colour_bar(image, axes, label, extend="both")


def _caption(stack: Stack, real_space: RealSpace, found: Depths, true: Depths | None, voxel: float) -> str:
    """Shell thickness, strain difference and errors, beside the truth's."""
    inside = real_space.support > 0
    words = [f"{stack.name}, route '{real_space.route}': {np.count_nonzero(inside)} voxels of {voxel / 10:.1f} nm."]
    lines = [
        *(["black the truth"] if true is not None else []),
        *(["dashed the fitted shell"] if found.shell.found else []),
    ]
    words.append(
        "Profiles: means of layers a voxel thick; dark bands are their standard errors, light bands the scatter of a "
        f"layer's voxels{''.join(f', {line}' for line in lines)}."
    )
    words.append(_shell_words("Retrieved", found))
    if true is not None:
        words.append(_shell_words("True", true, with_errors=False))
    errors, wrong = real_space.composition_errors[inside], len(failed(verdicts_in(real_space.verdicts)))
    if len(errors) and wrong:
        words.append(f"{wrong} checks of the object failed: its stated errors do not hold.")
    elif len(errors):
        what = "Standard error" if real_space.composition_errors_are != LOWER_BOUNDS else "Lower bound of the error"
        words.append(f"{what} of a voxel's composition: {np.median(errors):.3f} (median).")
    if inside.ndim == 2:
        words.append("A 2-D object is a projection: composition and strain are averages along the beam.")
    return " ".join(words)


def _shell_words(whose: str, depths: Depths, *, with_errors: bool = True) -> str:
    """A shell and the strain across it in words; a truth has no errors."""
    shell = depths.shell

    def told(value: float, error: float, digits: int) -> str:
        return metrics.with_error(value, error) if with_errors else f"{value:.{digits}f}"

    if not shell.found:
        return f"{whose}: no shell whose composition differs from the core's by three standard errors."
    thickness, error = (length / ANGSTROM_PER_NM for length in (shell.thickness, shell.thickness_error))
    words = (
        f"{whose}: shell of {told(thickness, error, 1)} nm, share {told(shell.outside, shell.outside_error, 3)} "
        f"over a core of {told(shell.inside, shell.inside_error, 3)}"
    )
    value, error = (number / _STRAIN_UNIT for number in depths.difference)
    if not math.isfinite(value):
        return f"{words}."
    return f"{words}; strain of the core less that of the shell ({told(value, error, 2)}) 1e-3."
