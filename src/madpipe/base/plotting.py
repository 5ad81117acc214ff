"""How every figure looks and how it is kept: style, sizes, colours, maps, scale bars, and one way to save.

Figures are matplotlib ``Figure`` objects drawn without pyplot, so nothing global stays behind. Magnitudes and signed
values use maps whose lightness only rises, so that they read in grey; lines differ in marker and dash as well as in
colour.
"""

import importlib.metadata
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import NullFormatter

from madpipe.base.errors import InputError
from madpipe.base.store import whole_file

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it remarks on the age of matplotlib's own font

ONE_COLUMN = 3.4  # inch
TWO_COLUMNS = 7.0  # inch

MAGNITUDE = "viridis"
SIGNED = "cividis"  # blue below, grey at zero, yellow above; its lightness rises throughout
SHARE = "viridis"
PHASE = "twilight"  # cyclic and perceptually uniform
HIDDEN = "0.82"  # grey of points without a value
HIDDEN_PHASE = "0.6"  # the same where pale grey means pi

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.labelpad": 2.0,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.titlepad": 3.5,
    "axes.titlesize": 7.5,
    "errorbar.capsize": 1.5,
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "legend.borderaxespad": 0.4,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.1,
    "lines.markeredgewidth": 0.9,
    "lines.markersize": 4.0,
    "patch.linewidth": 0.6,
    "pdf.compression": 6,
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
    "svg.hashsalt": "madpipe",
    "xtick.direction": "in",
    "xtick.labelsize": 7.0,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "xtick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "xtick.top": True,
    "ytick.direction": "in",
    "ytick.labelsize": 7.0,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "ytick.minor.size": 1.5,
    "ytick.minor.width": 0.4,
    "ytick.right": True,
}


Dash = str | tuple[int, tuple[int, ...]]
Keywords = dict[str, Any]  # of a matplotlib artist


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of one kind of curve; any one of the three tells it from the others."""

    color: str
    marker: str
    linestyle: Dash
    filled: bool = True

    def line(self) -> Keywords:
        """Keywords for a curve with markers."""
        return {**self.dash(), **self.points()}

    def dash(self) -> Keywords:
        """Keywords for a curve without markers."""
        return {"color": self.color, "linestyle": self.linestyle}

    def points(self) -> Keywords:
        """Keywords for markers."""
        face = self.color if self.filled else "white"
        return {"color": self.color, "marker": self.marker, "markerfacecolor": face, "markeredgecolor": self.color}


LOOKS = (  # Okabe and Ito, Color Universal Design (2008)
    Look("#0072B2", "o", "-"),
    Look("#D55E00", "s", "--", filled=False),
    Look("#009E73", "^", "-."),
    Look("#CC79A7", "D", ":", filled=False),
    Look("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1))),
    Look("#56B4E9", "P", (0, (3, 2)), filled=False),
)
REFERENCE = Look("black", "", (0, (1, 1)))


@dataclass(frozen=True)
class Picture:
    """A figure and the caption that prints its numbers."""

    figure: Figure
    caption: str


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house's style whatever the user's matplotlibrc says, and leave the settings as they were."""
    kept: dict[Any, Any] = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    with mpl.rc_context({**kept, **_STYLE}):
        yield


def styled(draw: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function draw in :func:`style`."""

    @wraps(draw)
    def drawn(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
        with style():
            return draw(*arguments, **keywords)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure [inch] whose panels keep clear of one another."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    return figure


def name_panels(panels: Mapping[str, Axes] | list[Axes], titles: list[str] | None = None) -> None:
    """Letter panels (a), (b), ... in their order, each with its title."""
    axes = list(panels.values()) if isinstance(panels, Mapping) else panels
    for number, (one, title) in enumerate(zip(axes, titles or [""] * len(axes), strict=True)):
        letter = rf"$\bf{{({chr(ord('a') + number)})}}$"
        one.set_title(f"{letter} {title}".strip(), loc="left")


def colour_map(name: str) -> Colormap:
    """Give a colour map that shows points without a value in grey."""
    return mpl.colormaps[name].with_extremes(bad=HIDDEN_PHASE if name == PHASE else HIDDEN)


def show_map(
    axes: Axes, values: np.ndarray, extent: tuple[float, float, float, float], norm: Normalize, cmap: str
) -> AxesImage:
    """Draw a 2-D map, rows upwards, pixels square and kept as they are; NaN and masked points are grey.

    Parameters
    ----------
    axes, values, norm, cmap:
        Where, what (y, x), and how values become colours.
    extent:
        Left, right, bottom and top edge of the outermost pixels [unit of the axes' labels].
    """
    masked = np.ma.masked_invalid(values)
    # an empty point belongs at the dark end, not among the hidden ones
    if isinstance(norm, LogNorm) and norm.vmin is not None:
        masked = np.ma.maximum(masked, norm.vmin)
    return axes.imshow(masked, extent=extent, norm=norm, cmap=colour_map(cmap), interpolation="none")


def colour_bar(
    image: ScalarMappable, axes: Axes, label: str, *, below: bool = False, extend: str = "neither"
) -> Colorbar:
    """Draw a colour bar on the right of a panel and as tall, or below and as wide, with the unit in its label."""
    place = axes.inset_axes((0.0, -0.10, 1.0, 0.05) if below else (1.03, 0.0, 0.05, 1.0))
    orientation = "horizontal" if below else "vertical"
    bar = axes.figure.colorbar(image, cax=place, orientation=orientation, extend=extend)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(which="both", direction="out", top=False, right=not below)
    bar.long_axis.set_minor_formatter(NullFormatter())
    return bar


def phase_ticks(bar: Colorbar) -> None:
    """Mark -pi, 0 and pi on the colour bar of a phase."""
    bar.set_ticks([-math.pi, 0, math.pi], labels=[r"$-\pi$", "0", r"$\pi$"])
    if bar.orientation == "horizontal":  # inward, lest they push the neighbouring panels away
        first, _, last = bar.ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")


def phase_norm() -> Normalize:
    """Colours of a phase in (-pi, pi]."""
    return Normalize(-math.pi, math.pi)


def edges_from_axis(axis: np.ndarray) -> tuple[float, float]:
    """Outer edges of the first and last pixel of an even axis, in its unit."""
    half = (axis[-1] - axis[0]) / (len(axis) - 1) / 2
    return float(axis[0] - half), float(axis[-1] + half)


def round_length(length: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer than length."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-12))


def scale_bar(axes: Axes, unit: str, share: float = 0.4) -> float:
    """Draw a bar of round length below a map, in place of ticks; returns its length.

    Parameters
    ----------
    axes:
        A map whose axes are in ``unit``.
    unit:
        Written beside the length.
    share:
        Longest bar over the panel's width [1].
    """
    left, right = axes.get_xlim()
    length = round_length(abs(right - left) * share)
    end, below = length / abs(right - left), -0.06
    across: Keywords = {"transform": axes.transAxes, "clip_on": False}
    axes.plot([0, end], [below, below], color="black", linewidth=2.2, solid_capstyle="butt", **across)
    axes.text(end + 0.03, below, f"{length:g} {unit}", ha="left", va="center", **across)
    axes.tick_params(which="both", bottom=False, top=False, left=False, right=False)
    axes.tick_params(labelbottom=False, labelleft=False)
    return length


def save(figure: Figure, path: str | Path, provenance: Mapping[str, Any], *, caption: str = "", dpi: int = 160) -> None:
    """Write a figure as PDF, as PNG beside it and its caption as text, each whole or not at all.

    The same figure and provenance give the same bytes: no date is written. Fonts are embedded as TrueType, so that
    text in the PDF can be searched and edited.

    Parameters
    ----------
    figure:
        What to write.
    path:
        The PDF; the PNG and the caption (.txt, when there is one) take its stem.
    provenance:
        Kept in both files' metadata as JSON.
    caption:
        In words; kept in the metadata too.
    dpi:
        Resolution of the PNG and of images inside the PDF [dot per inch].

    Raises
    ------
    InputError
        The path does not end in .pdf, the folder cannot be written or the disk is full.
    """
    path = Path(path)
    if path.suffix != ".pdf":
        raise InputError(f"{path}: a figure's name must end in .pdf; got {path.suffix!r}; the PNG is made beside it.")
    note = json.dumps(dict(provenance), sort_keys=True, default=str)
    creator = f"madpipe {importlib.metadata.version('madpipe')}"
    portable = {"Creator": creator, "CreationDate": None, "Subject": caption, "Keywords": note}
    bitmap = {"Software": creator, "Description": caption, "Comment": note}
    if caption:
        with whole_file(path.with_suffix(".txt")) as temporary:
            temporary.write_text(caption + "\n", encoding="utf-8")
    _write(figure, path.with_suffix(".png"), {k: v for k, v in bitmap.items() if v}, dpi)
    _write(figure, path, {k: v for k, v in portable.items() if v or v is None}, dpi)


def _write(figure: Figure, path: Path, metadata: Mapping[str, str | None], dpi: int) -> None:
    """One file of a figure."""
    with style(), whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], metadata=metadata, dpi=dpi)
