"""A page of tables as one HTML file: no script, nothing fetched; readable by itself and inside Snakemake's report."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from madpipe.base.store import whole_file

# In Snakemake's report the page stands on the first screen; there its column may be wide, and the rule graph stands
# beside it where there is room, else below.
_STYLE = """
.madpipe { font: 14px/1.45 system-ui, sans-serif; color: #1e293b; max-width: 64rem; }
.madpipe h1 { font-size: 1.4rem; margin: 1rem 0 .4rem; } .madpipe h2 { font-size: 1.1rem; margin: 1.2rem 0 .3rem; }
.madpipe p { margin: .3rem 0; }
.madpipe table { border-collapse: collapse; width: auto; margin: .4rem 0 .8rem; font-size: 13px; line-height: 1.35; }
.madpipe th, .madpipe td { border-bottom: 1px solid #cbd5e1; padding: .18rem .6rem; }
.madpipe th, .madpipe td { text-align: left; vertical-align: top; }
.madpipe td:not(:last-child) { white-space: nowrap; }
.madpipe td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.madpipe .passed { color: #15803d; }
.madpipe .failed { color: #b91c1c; font-weight: 600; }
.madpipe .absent { color: #64748b; }
.madpipe summary { cursor: pointer; font-weight: 600; }
.max-w-lg:has(.madpipe) { max-width: 64rem; }
.items-center:has(> * > * > .max-w-lg .madpipe)
    { align-items: flex-start; justify-content: flex-start; }
.items-start:has(> * > .max-w-lg .madpipe) { flex-wrap: wrap; }
"""
Cell = str | int | float | None
MARKS = ("passed", "failed", "absent")  # words that a cell may begin with, which give it its colour


def heading(text: str, level: int = 2) -> str:
    """Give a heading."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """Give a paragraph; one that begins with a mark has its colour."""
    return f"<p{_classed(text)}>{html.escape(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Give a table: numbers to the right with three digits, an absent one as a dash, text as it is."""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>"


def folded(title: str, content: str) -> str:
    """Give content that opens by a click on its title."""
    return f"<details><summary>{html.escape(title)}</summary>\n{content}\n</details>"


def write_page(path: str | Path, title: str, parts: Sequence[str]) -> None:
    """Write a page, whole or not at all; the same parts give the same bytes.

    Parameters
    ----------
    path:
        The HTML file.
    title:
        Its first heading, and the browser's tab.
    parts:
        What the other functions of this module gave, from top to bottom.
    """
    body = "\n".join([f"<style>{_STYLE}</style>", heading(title, 1), *parts])
    text = (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title></head>\n'
        f'<body>\n<div class="madpipe">\n{body}\n</div>\n</body>\n</html>\n'
    )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def columns(rows: Sequence[Mapping[str, Cell]], names: Sequence[str]) -> list[list[Cell]]:
    """Take some columns of rows, in this order."""
    return [[row[name] for name in names] for row in rows]


def _cell(content: Cell) -> str:
    """One cell of a table."""
    if isinstance(content, str):
        return f"<td{_classed(content)}>{html.escape(content)}</td>"
    return f'<td class="number">{"-" if content is None else _number(content)}</td>'


def _number(value: int | float) -> str:
    """Three digits at least, thousands parted, and no power of ten where plain digits will do."""
    return f"{value:,.0f}" if isinstance(value, int) or 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def _classed(text: str) -> str:
    """Attribute that colours a text which begins with a mark."""
    word = text.partition(" ")[0].rstrip(",;:")
    return f' class="{word}"' if word in MARKS else ""
