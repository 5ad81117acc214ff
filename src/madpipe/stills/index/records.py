"""What became of each image that was indexed: the table beside a list of crystals."""

from dataclasses import dataclass

from madpipe.base.plain import told


@dataclass(frozen=True, kw_only=True)
class CrystalRow:
    """One image."""

    image: str
    spots: int = told("found in it")
    saturated: int = told("of them")
    failed: str | None = told("why it has no crystal, in words")
    within: tuple[float, ...] = told("share of the spots within 1, 2 and 3 pixels of a reflection")
    chance: tuple[float, ...] = told("the same of lattices turned at random")
    rms: tuple[float, ...] = told("distance of those spots", "pixel")
    cell: tuple[float, ...] = told("angstrom and degree")
    misorientation: float | None = told("to the first image with a crystal", "degree")
    excitation: float | None = told("rms error of excitation of the spots", "1/angstrom")
    mosaic: float | None = told("rms turn of the mosaic about the beam, from the spots' scatter", "degree")


@dataclass(frozen=True, kw_only=True)
class CrystalList:
    """All images, and the detector as it was found to stand: crystals.json."""

    space_group: str
    images: tuple[CrystalRow, ...]
    tilt: tuple[float, ...] = told("of the detector about fast and slow, right-handed", "degree")
    tilt_errors: tuple[float | None, ...] = told("", "degree")
    distance: float | None = told("along the beam to the first panel", "mm")
    beam_centre: tuple[float | None, ...] = told("fast, slow, on the first panel", "pixel")
    said: tuple[str, ...] = told("frame, and whether the indexing is ambiguous")
    warnings: str | None = None

    @property
    def excitation(self) -> float | None:
        """Median rms error of excitation of the images with a crystal [1/angstrom]."""
        known = sorted(one.excitation for one in self.images if one.excitation is not None)
        return known[len(known) // 2] if known else None
