"""What NanoMAD's text files hold."""

from pathlib import Path

FREE_TEXTS = ("title", "name", "table", "chemical_formula", "start_time")  # may hold #
TEXTS = ("element", "edge", *FREE_TEXTS)
EXPOSURE = ("monitor", "monitor_sigma")  # one value per energy
KEYWORDS = (*TEXTS, "cell", "energies", "energy", *EXPOSURE, "columns", "data")
INDICES = ("h", "k", "l")
PER_POINT, PER_ENERGY = ("friedel", "f0"), ("intensity", "sigma", "background")  # in this order in a line


def is_nanomad(path: Path) -> bool:
    """Tell by the first line that says anything whether a text file is of this layout."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = (line.split() for line in file.read(65536).splitlines() if not line.lstrip().startswith("#"))
        return next((words[0] for words in lines if words), "") in KEYWORDS
