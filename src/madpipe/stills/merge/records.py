"""What merged.json and the table of images hold; meanings and units stand here."""

from dataclasses import dataclass

from madpipe.base.plain import told


@dataclass(frozen=True, kw_only=True)
class ShellQuality:
    """Merged intensities of one shell of resolution, or of all."""

    lowest: float = told("largest d", "angstrom")
    highest: float = told("least d", "angstrom")
    unique: int = told("reflections with a measurement")
    measurements: int
    pairs: int = told("reflections in both halves")
    i_over_sigma: float | None = told("mean")
    cc_half: float | None = told("correlation of the halves of the images, over shell means")
    cc_star: float | None
    r_split: float | None
    cc_reference: float | None = told("correlation with the reference, over shell means")
    null_sd: float | None = told("of the correlation with a reference that is shuffled in shells")
    null_mean: float | None = told("the same, mean")


@dataclass(frozen=True, kw_only=True)
class MergedQuality:
    """All of a merged set: merged.json."""

    space_group: str
    cell: tuple[float, ...] = told("angstrom and degree")
    images: int
    whole: ShellQuality
    shells: tuple[ShellQuality, ...]
    resolution: float | None = told("limit by the rule", "angstrom")
    rule: str = told("that set the limit")
    error_factor: float = told("of the error model, on counting errors")
    error_share: float = told("of the error model, relative to an intensity")
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image of the table beside an unmerged MTZ, whose batches are the rows."""

    image: str
    ln_G: float  # noqa: N815  the field's symbol
    ln_G_error: float  # noqa: N815
    B: float = told("Wilson's, of intensities exp(-B / 2 d^2)", "angstrom^2")
    B_error: float = told("", "angstrom^2")
    R1: float = told("mean of the shells'", "1/angstrom")
    turn_x: float = told("from the told orientation", "degree")
    turn_y: float = told("the same", "degree")
    turn_z: float = told("the same", "degree")
    spots: int = told("used")
    correlation: float | None = told("of its photons with what the others expect")
    chi2: float | None = told("of the same, per spot")
    verdict: str = told("good, or why not")
