"""Names of the files that a step writes beside its first one."""

from pathlib import Path

REFERENCE, TRUTH, IMAGES = "_reference", "_truth", "_images"


def beside(path: str | Path, ending: str) -> Path:
    """The file of this ending beside another: images.nxs and _truth.h5 give images_truth.h5."""
    path = Path(path)
    return path.with_name(path.stem + ending)
