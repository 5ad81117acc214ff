"""Figure of a sample: the particle that was drawn and its diffraction on both sides of the edge."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage

from madpipe.base import metrics
from madpipe.base.plotting import (
    MAGNITUDE,
    PHASE,
    SHARE,
    SIGNED,
    TWO_COLUMNS,
    Picture,
    colour_bar,
    name_panels,
    new_figure,
    phase_norm,
    phase_ticks,
    scale_bar,
    show_map,
    styled,
)
from madpipe.mad.figures.picture import central_slice, q_extent, slice_words, voxel_nm
from madpipe.mad.records import Stack

_LEAST_PHOTONS = 100  # in both energies together; with fewer, their difference is noise and is not shown
_PER_CENT = 30  # colours of the relative difference
_UNIFORM = 0.005  # difference of compositions that are the same in words
_MARGIN = 1.12  # real-space window over the particle


@styled
def particle(stack: Stack) -> Picture:
    """Draw density, composition and displacement phase (where the truth is known) above the diffraction.

    The diffraction is shown at two energies, with their relative difference in per cent (see
    :func:`contrasting_energies`); central slices of a volume.
    """
    known = stack.truth is not None
    figure = new_figure(TWO_COLUMNS, 4.2 if known else 2.3)
    rows = figure.subplots(2 if known else 1, 3, squeeze=False)
    titles = ["density", "composition", "displacement phase"] if known else []
    if known:
        _draw_particle(list(rows[0]), stack)
    energies = contrasting_energies(stack)
    asymmetry = _draw_diffraction(list(rows[-1]), stack, energies)
    titles += [f"$I_{n}$, {stack.energy[index]:.0f} eV" for n, index in enumerate(energies, 1)]
    titles.append("relative difference")
    name_panels(list(rows.flat), titles)
    return Picture(figure, _caption(stack, energies, asymmetry))


def contrasting_energies(stack: Stack) -> tuple[int, int]:
    """Indices of the energies below and above the edge between which f' + i f'' changes most; any two on one side."""
    value = stack.f_prime + 1j * stack.f_double_prime
    change = np.abs(value[:, None] - value[None, :])
    above = stack.energy > (math.inf if stack.edge_ev is None else stack.edge_ev)
    across = ~above[:, None] & above[None, :]
    allowed = across if across.any() else stack.energy[:, None] < stack.energy[None, :]
    first, second = np.unravel_index(int(np.argmax(np.where(allowed, change, -1.0))), change.shape)
    return int(first), int(second)


def real_window(support: np.ndarray) -> tuple[slice, slice]:
    """Square window (y, x) about the support's centre that holds all of it with a margin; all where it is empty."""
    if not support.any():
        return slice(0, support.shape[0]), slice(0, support.shape[1])
    rows, columns = np.nonzero(support)
    half = int(np.ceil(_MARGIN * max(np.ptp(rows) + 1, np.ptp(columns) + 1) / 2))
    centres = [round((values.min() + values.max()) / 2) for values in (rows, columns)]
    return tuple(slice(max(0, c - half), c + half + 1) for c in centres)  # type: ignore[return-value]


def real_extent(window: tuple[slice, slice], shape: tuple[int, int], voxel: float) -> tuple[float, float, float, float]:
    """Edges of a window, origin at index n // 2 [unit of voxel]."""
    (bottom, top), (left, right) = (
        ((part.start - size // 2 - 0.5) * voxel, (min(part.stop, size) - size // 2 - 0.5) * voxel)
        for part, size in zip(window, shape, strict=True)
    )
    return left, right, bottom, top


def draw_real(
    axes: Axes, values: np.ndarray, window: tuple[slice, slice], voxel: float, norm: Normalize, cmap: str
) -> AxesImage:
    """Draw one real-space plane within a window, in nm, with a scale bar for axes."""
    extent = real_extent(window, values.shape, voxel)
    image = show_map(axes, values[window], extent, norm, cmap)
    axes.set_facecolor("white")
    image.set_cmap(image.get_cmap().with_extremes(bad="white"))
    scale_bar(axes, "nm")
    return image


def _draw_particle(panels: list[Axes], stack: Stack) -> None:
    """Density, composition and phase of the truth inside the support."""
    truth, ndim = stack.truth, len(stack.shape)
    inside = central_slice(truth.support, ndim) > 0
    window, voxel = real_window(inside), voxel_nm(stack)
    density = central_slice(np.abs(truth.rho_resonant + truth.rho_normal), ndim)
    phase = np.linalg.norm(stack.q_bragg) * central_slice(truth.displacement, ndim)
    phase = np.angle(np.exp(1j * phase))
    composition = central_slice(truth.composition, ndim)
    power = 10 ** np.floor(np.log10(density.max()))
    kinds = (
        (np.where(density > 0, density / power, np.nan), Normalize(0, density.max() / power), MAGNITUDE),
        (np.where(inside, composition, np.nan), Normalize(0, 1), SHARE),
        (np.where(inside, phase, np.nan), phase_norm(), PHASE),
    )
    images = [draw_real(one, v, window, voxel, norm, cmap) for one, (v, norm, cmap) in zip(panels, kinds, strict=True)]
    colour_bar(images[0], panels[0], rf"$|\rho|$ ($10^{{{int(np.log10(power))}}}$ electron per voxel)")
    colour_bar(images[1], panels[1], f"{stack.resonant} atoms' share (1)")
    phase_ticks(colour_bar(images[2], panels[2], r"$\mathbf{Q}\cdot\mathbf{u}$ (rad)"))


def _draw_diffraction(panels: list[Axes], stack: Stack, energies: tuple[int, int]) -> np.ndarray:
    """Counts at two energies and their relative difference, which is returned."""
    ndim = len(stack.shape)
    planes = [
        np.where(central_slice(stack.good[k], ndim), central_slice(stack.data[k].astype(float), ndim), np.nan)
        for k in energies
    ]
    top = max(float(np.nanmax(plane, initial=1.0)) for plane in planes)
    norm = LogNorm(min(0.5, top / 100), top)
    extent = q_extent(stack)
    images = [show_map(axes, plane, extent, norm, MAGNITUDE) for axes, plane in zip(panels, planes, strict=False)]
    total, mean = planes[0] + planes[1], (planes[0] + planes[1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(total >= _LEAST_PHOTONS, 100 * (planes[1] - planes[0]) / mean, np.nan)
    images.append(show_map(panels[2], difference, extent, Normalize(-_PER_CENT, _PER_CENT), SIGNED))
    colour_bar(images[1], panels[1], "detected (photon)")
    colour_bar(images[2], panels[2], r"$(I_2 - I_1)/\bar I$ (%)", extend="both")
    label_q(panels)
    return difference


def label_q(panels: list[Axes]) -> None:
    """Label a row of (qy, qx) maps, the vertical axis on the leftmost only."""
    for axes in panels:
        axes.set_xlabel("$q_x$ (nm$^{-1}$)")
        axes.tick_params(labelleft=axes is panels[0])
    panels[0].set_ylabel("$q_y$ (nm$^{-1}$)")


def _caption(stack: Stack, energies: tuple[int, int], difference: np.ndarray) -> str:
    """Numbers of the particle and of its diffraction."""
    words = [f"{stack.name}: {stack.title}, {' x '.join(map(str, stack.shape))} points, {slice_words(stack)}."]
    if stack.truth is not None:
        words.append(_particle_words(stack))
    low, high = energies
    sums = [float(np.where(stack.good[k], stack.data[k], 0).sum()) for k in energies]
    edge = "" if stack.edge_ev is None else f" ({stack.element} {stack.edge} edge: {stack.edge_ev:.0f} eV)"
    words.append(
        f"Diffraction at {stack.energy[low]:.0f} and {stack.energy[high]:.0f} eV{edge} with {sums[0]:.3g} and "
        f"{sums[1]:.3g} photons in all; "
        f"points with fewer than {_LEAST_PHOTONS} photons in both together are grey in the difference."
    )
    shown = difference[np.isfinite(difference)]
    if len(shown):
        words.append(f"Its rms over {len(shown)} points is {metrics.root_mean_square(shown)[0]:.0f} %.")
    hidden = 1 - stack.good.mean()
    if hidden > 0:
        words.append(f"{100 * hidden:.1f} % of the points are masked (grey).")
    return " ".join(words)


def _particle_words(stack: Stack) -> str:
    """Size, composition and phase of the truth."""
    truth, voxel = stack.truth, voxel_nm(stack)
    inside = truth.support > 0
    composition = truth.composition[inside]
    phase = np.linalg.norm(stack.q_bragg) * truth.displacement[inside]
    size = max(np.ptp(index) + 1 for index in np.nonzero(inside)) * voxel
    return (
        f"The particle is {size:.0f} nm across along an axis, {np.count_nonzero(inside)} voxels of {voxel:.1f} nm; "
        f"{_composition_words(stack.resonant, composition)}; "
        f"the displacement phase has an rms of {phase.std():.1f} rad and a range of {np.ptp(phase):.1f} rad."
    )


def _composition_words(element: str, composition: np.ndarray) -> str:
    """The resonant element's share, of a uniform particle once."""
    low, high = float(composition.min()), float(composition.max())
    if high - low < _UNIFORM:
        share = {0: "none", 100: "all"}.get(round(100 * low), f"{100 * low:.0f} %")
        return f"{element} is {share} of its atoms everywhere"
    return f"{element} is {low:.2f} to {high:.2f} of its atoms, {composition.mean():.2f} on average"
