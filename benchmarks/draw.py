"""results/benchmarks/all.json -> one figure of the fit: speed, accuracy, coverage, memory. `make bench` calls it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, save, styled
from madpipe.base.provenance import process
from madpipe.mad.figures.picture import IN_WORDS, SYMBOLS

NAMES = {"F_T": "f_total", "F_A": "f_resonant", "delta_phi": "delta_phi", "F_N": "f_normal"}
Rows = Sequence[dict[str, Any]]


def rows_of(benchmarks: Sequence[dict[str, Any]], name: str) -> Rows:
    """What one benchmark recorded, by rising photons or points."""
    rows = [{**one["extra_info"], **one["params"]} for one in benchmarks if one["name"].startswith(name)]
    return sorted(rows, key=lambda row: row.get("photons", row.get("size", 0)))


@styled
def draw(benchmarks: Sequence[dict[str, Any]]) -> Picture:
    """Draw speed against photons, accuracy and coverage against photons, and speed and memory against size."""
    speed, volumes = rows_of(benchmarks, "bench_exact_against_nanomad"), rows_of(benchmarks, "bench_volume")
    accuracy = rows_of(benchmarks, "bench_accuracy")
    figure = new_figure(TWO_COLUMNS, 5.6)
    panels = figure.subplots(2, 2)
    _speed(panels[0, 0], speed)
    _efficiency(panels[0, 1], accuracy)
    _coverage(panels[1, 0], [row for row in accuracy if row["method"] == "exact"])
    _volumes(panels[1, 1], volumes)
    name_panels(list(panels.flat), ["speed", "accuracy", "coverage", "volumes from disk to disk"])
    return Picture(figure, _caption(speed, accuracy, volumes))


def _speed(axes: Axes, rows: Rows) -> None:
    """Points per second of both methods on the same points."""
    photons = [row["photons"] for row in rows]
    for look, key, label in zip(LOOKS, ("", ", nanomad"), ("exact", "NanoMAD's grid"), strict=False):
        axes.plot(photons, [row[f"points per second{key}"] for row in rows], **look.line(), label=label)
    axes.set(xscale="log", yscale="log", xlabel="photons per point and energy", ylabel="points per second")
    axes.legend()
    axes.grid(visible=True)


def _efficiency(axes: Axes, rows: Rows) -> None:
    """Rms error over the Cramer-Rao bound: strong the exact fit, pale NanoMAD's."""
    for (quantity, symbol), look in zip(SYMBOLS.items(), LOOKS, strict=False):
        for method, strength in (("exact", 1.0), ("nanomad", 0.35)):
            own = [row for row in rows if row["method"] == method]
            values = [row["accuracy"][NAMES[quantity]] for row in own]
            axes.errorbar(
                [row["photons"] for row in own],
                [value["rms over bound"] for value in values],
                [value["rms over bound, standard error"] for value in values],
                **look.line(),
                alpha=strength,
                label=symbol if method == "exact" else None,
            )
    axes.axhline(1, **REFERENCE.dash())
    axes.set(xscale="log", xlabel="photons per point and energy", ylabel="rms error over bound")
    axes.legend(title="pale: NanoMAD's grid", loc="lower right")
    axes.grid(visible=True)


def _coverage(axes: Axes, rows: Rows) -> None:
    """Share of truths within 1 and 1.96 of the exact fit's standard errors."""
    for (quantity, symbol), look in zip(SYMBOLS.items(), LOOKS, strict=False):
        for width, label in (("1", symbol), ("1.96", None)):
            values = [row["accuracy"][NAMES[quantity]][f"coverage of {width} sigma"] for row in rows]
            axes.plot([row["photons"] for row in rows], values, **look.line(), label=label)
    for level in (0.683, 0.95):
        axes.axhline(level, **REFERENCE.dash())
    axes.set(xscale="log", xlabel="photons per point and energy", ylabel="truths within 1 and 1.96 errors")
    axes.set_ylim(0.4, 1)
    axes.legend(ncols=2)
    axes.grid(visible=True)


def _volumes(axes: Axes, rows: Rows) -> None:
    """Seconds and peak memory against the number of points."""
    points = [row["size"] ** 3 for row in rows]
    axes.plot(points, [row["seconds"] for row in rows], **LOOKS[0].line(), label="time (s)")
    axes.plot(points, [row["peak memory [MB]"] for row in rows], **LOOKS[1].line(), label="peak memory (MB)")
    if points:
        steady = rows[-1]["seconds"] / points[-1]
        axes.plot(points, [steady * number for number in points], **REFERENCE.dash(), label="linear")
    axes.set(xscale="log", yscale="log", xlabel="points at 8 energies")
    axes.legend()
    axes.grid(visible=True)


def _caption(speed: Rows, accuracy: Rows, volumes: Rows) -> str:
    """The numbers, with device, threads and commit."""
    where = f"{speed[0]['device']}, {speed[0]['threads']} threads, commit {speed[0]['commit']}"
    words = [f"The point-by-point fit at 8 energies, standard errors included ({where})."]
    for row in speed:
        words.append(
            f"{row['photons']:g} photons per point and energy: {row['points per second'] / 1e6:.2f} million points/s, "
            f"{row['times as fast as nanomad']:.0f} times NanoMAD's grid search on the same points."
        )
    for row in accuracy:
        listed = ", ".join(
            f"{IN_WORDS[quantity]} {row['accuracy'][name]['rms over bound']:.2f}" for quantity, name in NAMES.items()
        )
        words.append(f"{row['method']} at {row['photons']:g} photons, rms error over the Cramer-Rao bound: {listed}.")
    for row in volumes:
        words.append(
            f"{row['size']}^3: {row['seconds']:.1f} s, {row['points per second'] / 1e6:.2f} million points/s from disk "
            f"to disk, {row['peak memory [MB]']:.0f} MB at most."
        )
    return " ".join(words)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    picture = draw(json.loads(source.read_text(encoding="utf-8"))["benchmarks"])
    save(picture.figure, source.with_name("fit.pdf"), process({"benchmarks": source.name}), caption=picture.caption)
