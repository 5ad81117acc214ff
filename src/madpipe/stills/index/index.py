"""Index images: spots, search, refinement of each and of all together, and a verdict in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.index.choice import alike, all_alike, misorientation, resettled, said_of_ambiguity
from madpipe.stills.index.detector import mounting_of
from madpipe.stills.index.matching import Match, chance
from madpipe.stills.index.refine import Free, Refined, Still, conventional, refine
from madpipe.stills.index.search import search
from madpipe.stills.index.spots import SpotConfig, Spots, find_spots
from madpipe.stills.measured.images import Images, warn_of_gain
from madpipe.stills.symmetry import ambiguities, primitive_basis, symmetrised

LIMITS = (1.0, 2.0, 3.0)  # distances of spots from reflections that the record tells [pixel]
_EXACT = 1e-6  # relative difference of metrics
_CANDIDATES = 12  # orientations of the search, of which symmetry makes many equal
_MOST_STRAIN = 0.015  # of one edge against the others; cells that are told are right to half a per cent
_ANOTHER = np.radians(1.0)  # turned more, two orientations are two
_SHARE_OF_GAP = 0.2  # of the distance of neighbouring reflections, that a spot may be off
_START = 0.75  # width at the start, over the tolerance
FRAME = (
    "x = y cross z, y up, z along the beam. Positions cannot tell a mirrored image: it indexes as well, with the "
    "other hand; check fast and slow axis of the detector if signs of anomalous differences matter."
)


@dataclass(frozen=True)
class IndexConfig:
    """How images are indexed."""

    spots: SpotConfig = field(default_factory=SpotConfig)
    free: Free = field(default_factory=Free)
    fewest_spots: int = 20
    fewest_indexed: int = 12  # more than chance gives
    smallest_share: float = 0.3  # of the spots, above chance
    tolerance: float = 2.0  # of a spot that a reflection explains [pixel]
    orientations: int = 3  # that are refined, the best of the search
    together: bool = True  # one detector for all images, refined on all of them


@dataclass(frozen=True)
class Record:
    """What became of one image."""

    spots: int
    failed: str | None  # why it is not indexed, in words
    saturated: int = 0  # spots
    indexed: tuple[float, ...] = ()  # share of the spots within LIMITS
    chance: tuple[float, ...] = ()  # the same for lattices turned at random
    rms: tuple[float, ...] = ()  # distance of those within LIMITS [pixel]
    cell: tuple[float, ...] = ()  # [angstrom, degree]
    misorientation: float = np.nan  # to the first image that is indexed [degree]
    turn_sd: tuple[float, ...] = ()  # of the orientation about x, y, z [degree]
    excitation: float = np.nan  # width of the errors of excitation [1/angstrom]
    mosaic: float = np.nan  # rms turn of the mosaic about the beam, from the spots' scatter [degree]
    degenerate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Indexed:
    """Spots of one image, and its crystal where one was found."""

    spots: Spots
    record: Record
    crystal: Crystal | None = None
    indices: Int[np.ndarray, "spot 3"] | None = None  # likeliest reflection of each spot
    match: Match | None = None


@dataclass(frozen=True)
class Result:
    """All images, and the detector as it was found to stand."""

    images: tuple[Indexed, ...]
    panels: tuple[Panel, ...]
    tilt: tuple[float, float] = (0.0, 0.0)  # about fast and slow, right-handed [degree]
    tilt_sd: tuple[float, float] = (np.nan, np.nan)
    distance: float = np.nan  # along the beam to the first panel's plane [mm]
    beam_centre: tuple[float, float] = (np.nan, np.nan)  # fast, slow, on the first panel [pixel]
    said: tuple[str, ...] = ()  # frame, ambiguity


@dataclass(frozen=True)
class _Found:
    """A crystal that one image has by itself."""

    still: Still
    scale: float  # of the lengths of the lattice as the search saw it, against the cell
    near: float  # distance by which it is judged [pixel]
    refined: Refined


def index_images(images: Images, crystal: Crystal, config: IndexConfig | None = None) -> Result:
    """Find the crystal of each image from its cell alone, then refine all and the detector together.

    Parameters
    ----------
    images:
        Stills of one detector.
    crystal:
        Cell and space group, in any orientation.
    config:
        Limits and switches.

    Raises
    ------
    InputError
        No image.
    """
    if not len(images):
        raise InputError("needs at least one image; none came; name the files of the images.")
    warn_of_gain(images[0], str(images.sources[0]))
    spots = (find_spots(image, (config or IndexConfig()).spots) for image in images)
    return index_spots(spots, images.beams, images.panels, crystal, config)


def index_spots(
    spots: Iterable[Spots],
    beams: Sequence[Beam],
    panels: Sequence[Panel],
    crystal: Crystal,
    config: IndexConfig | None = None,
) -> Result:
    """The same from spots that are known.

    Parameters
    ----------
    spots, beams:
        Of each image.
    panels:
        The detector as it is said to stand.
    crystal:
        Cell and space group, in any orientation.
    config:
        Limits and switches.
    """
    chosen = config or IndexConfig()
    every = list(spots)
    found = [found_crystal(one, beam, panels, crystal, chosen) for one, beam in zip(every, beams, strict=True)]
    good = [one for one in found if isinstance(one, _Found)]
    if not good:
        images = tuple(Indexed(one, _failure(one, str(why))) for one, why in zip(every, found, strict=True))
        return _result(images, panels, beams[0], None, crystal)
    refined = _together(good, panels, chosen)
    judged: list[Indexed] = []
    number = 0
    for one, which in zip(every, found, strict=True):
        if isinstance(which, _Found):
            judged.append(_judged(one, which, refined[number], chosen))
            number += 1
        else:
            judged.append(Indexed(one, _failure(one, which)))
    return _result(_set_alike(judged), refined[0].panels, beams[0], (panels, refined[0]), crystal)


def found_crystal(
    spots: Spots, beam: Beam, panels: Sequence[Panel], crystal: Crystal, config: IndexConfig
) -> _Found | str:
    """The crystal of one image, or why there is none, in words.

    Parameters
    ----------
    spots, beam, panels:
        Of the image.
    crystal:
        Cell and space group.
    config:
        Limits and switches.
    """
    clear = spots.only(~spots.saturated)
    if len(clear) < config.fewest_spots:
        return f"got {len(clear)} spots, {config.fewest_spots} needed"
    exact = symmetrised(crystal)
    near = tolerance_of(exact, beam, panels, config)
    found = [
        _refined(_Start(spots, beam, one, near), panels, exact, config)
        for one in _starts(clear, beam, panels, exact, near, config)
    ]
    if not found:
        return f"no direction stands out among {len(clear)} spots"
    best = max(found, key=_quality)
    wrong = _wrong(best, best.refined, config)
    return best if wrong is None else wrong


def tolerance_of(crystal: Crystal, beam: Beam, panels: Sequence[Panel], config: IndexConfig) -> float:
    """Distance [pixel] within which a spot counts as a reflection's: less where reflections lie close together.

    Parameters
    ----------
    crystal, beam, panels:
        They tell the distance of neighbouring reflections.
    config:
        Its tolerance is the largest.
    """
    shortest = np.linalg.norm(np.linalg.inv(primitive_basis(crystal) @ crystal.axes), axis=0).min()
    apart = float(shortest) * beam.wavelength * mounting_of(panels, beam).distance / max(panels[0].pixel)
    return min(config.tolerance, _SHARE_OF_GAP * apart)


@dataclass(frozen=True)
class _Start:
    """What one orientation's refinement begins with."""

    spots: Spots
    beam: Beam
    crystal: Crystal
    near: float  # tolerance [pixel]


def _starts(
    spots: Spots, beam: Beam, panels: Sequence[Panel], exact: Crystal, near: float, config: IndexConfig
) -> list[Crystal]:
    """The best orientations of the search, those that symmetry makes equal once."""
    s = spots.wave_vectors(panels, beam)
    pixel = min(panels[0].pixel) / mounting_of(panels, beam).distance / beam.wavelength
    kept: list[Crystal] = []
    for one in search(s - beam.s0, s, exact, near * pixel, most=_CANDIDATES):
        if all(misorientation(other, alike(one.crystal, other)) > _ANOTHER for other in kept):
            kept.append(one.crystal)
    return kept[: config.orientations]


def _refined(start: _Start, panels: Sequence[Panel], exact: Crystal, config: IndexConfig) -> _Found:
    """Refine one orientation, in each setting that positions may tell apart; the best of them."""
    scale = float(np.cbrt(np.linalg.det(start.crystal.axes) / np.linalg.det(exact.axes)))
    unscaled = replace(start.crystal, axes=start.crystal.axes / scale)
    tried = []
    for setting in (np.eye(3, dtype=int), *_uneven(exact)):
        still = Still(start.spots, start.beam, _like(resettled(unscaled, setting), exact))
        fitted = refine([still], panels, config.free, scale=1 / scale, width=_width_of(start.near))
        tried.append(_Found(still, scale, start.near, fitted))
    return max(tried, key=_quality)


def _width_of(near: float) -> float:
    """Width with which a refinement starts [pixel]."""
    return _START * near


def _uneven(crystal: Crystal) -> list[np.ndarray]:
    """Settings that the lattice has only nearly, so that positions may tell them apart."""
    metric = crystal.axes @ crystal.axes.T
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    return [one for one in ambiguities(crystal) if np.abs((one.T @ metric @ one - metric) / size).max() > _EXACT]


def _quality(found: _Found) -> tuple[float, float]:
    """What makes one orientation better than another: spots within the tolerance, then their distance, coarsely."""
    near = found.refined.matches[0].within(found.near)
    distance = found.refined.matches[0].distance[near]
    return round(float(near.mean()), 2), -round(float(np.sqrt(np.mean(distance**2))) if near.any() else np.inf, 2)


def _like(crystal: Crystal, exact: Crystal) -> Crystal:
    """The known cell turned as a crystal stands whose axes were renamed."""
    left, _, right = np.linalg.svd(np.linalg.inv(exact.axes) @ crystal.axes)
    return replace(exact, axes=exact.axes @ left @ right)


def _wrong(found: _Found, refined: Refined, config: IndexConfig) -> str | None:
    """Why a crystal does not explain an image, None where it does."""
    spots, beam, near = found.still.spots, found.still.beam, found.near
    ratio = refined.crystals[0].cell[:3] / found.still.crystal.cell[:3]
    strain = float(np.abs(ratio / np.cbrt(ratio.prod()) - 1).max())
    if strain > _MOST_STRAIN:
        return (
            f"not indexed: the best orientation strains the cell unevenly by {100 * strain:.1f} %, beyond "
            f"{100 * _MOST_STRAIN:g} %: another cell's lattice"
        )
    share = float(refined.matches[0].within(near).mean())
    by_chance = float(_chance(spots, beam, refined, (near,))[0])
    needed = by_chance + max(config.smallest_share * (1 - by_chance), config.fewest_indexed / len(spots))
    if share >= needed:
        return None
    return (
        f"not indexed: the best orientation of this cell explains {100 * share:.0f} % of {len(spots)} spots within "
        f"{near:.2g} pixels, chance {100 * by_chance:.0f} %, {min(100 * needed, 100):.0f} % needed"
    )


def _chance(spots: Spots, beam: Beam, refined: Refined, limits: Sequence[float]) -> Float[np.ndarray, "limit"]:
    """What chance explains within distances."""
    crystal = refined.crystals[0]
    axes = primitive_basis(symmetrised(crystal)) @ crystal.axes
    return chance(spots, axes, refined.panels, beam, refined.widths, limits)


def _together(found: Sequence[_Found], panels: Sequence[Panel], config: IndexConfig) -> list[Refined]:
    """One refinement of all, told for each; or each its own."""
    if not config.together or len(found) == 1:
        return [one.refined for one in found]
    stills = [replace(one.still, crystal=one.refined.crystals[0]) for one in found]
    stills = [replace(one, crystal=_like(one.crystal, symmetrised(start.still.crystal)))
              for one, start in zip(stills, found, strict=True)]  # fmt: skip
    scale = float(np.median([one.scale for one in found]))
    every = refine(stills, panels, config.free, scale=1 / scale, width=_width_of(found[0].near))
    return [
        replace(every, crystals=(every.crystals[k],), matches=(every.matches[k],), turn_sd=every.turn_sd[k : k + 1])
        for k in range(len(found))
    ]


def _failure(spots: Spots, why: str) -> Record:
    """The record of an image without a crystal."""
    return Record(len(spots), why, int(spots.saturated.sum()))


def _judged(spots: Spots, found: _Found, refined: Refined, config: IndexConfig) -> Indexed:
    """The record of an image with a crystal; after the common refinement it may have lost it."""
    beam = found.still.beam
    wrong = _wrong(found, refined, config)
    if wrong is not None:
        return Indexed(spots, _failure(spots, wrong))
    match, crystal = refined.matches[0], refined.crystals[0]
    near = [match.within(limit) for limit in LIMITS]
    record = Record(
        spots=len(spots),
        failed=None,
        saturated=int(spots.saturated.sum()),
        indexed=tuple(float(one.mean()) for one in near),
        chance=tuple(float(one) for one in _chance(spots, beam, refined, LIMITS)),
        rms=tuple(float(np.sqrt(np.mean(match.distance[one] ** 2))) for one in near),
        cell=tuple(float(one) for one in crystal.cell),
        turn_sd=tuple(float(one) for one in np.degrees(refined.turn_sd[0])),
        excitation=_width(match.excitation[near[1]]),
        mosaic=float(np.degrees(refined.widths.azimuthal)),
        degenerate=refined.degenerate,
    )
    return Indexed(spots, record, crystal, conventional(refined, 0), match)


def _width(values: Float[np.ndarray, "spot"]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def _set_alike(images: Sequence[Indexed]) -> tuple[Indexed, ...]:
    """The same setting for all images, and how far each is turned against the first."""
    chosen = all_alike([one.crystal for one in images])
    first = next(one for one in chosen if one is not None) if any(one is not None for one in chosen) else None
    done = []
    for one, crystal in zip(images, chosen, strict=True):
        if crystal is None or first is None or one.crystal is None or one.indices is None:
            done.append(one)
            continue
        change = np.rint(crystal.axes @ np.linalg.inv(one.crystal.axes)).astype(np.int64)
        record = replace(one.record, misorientation=float(np.degrees(misorientation(first, crystal))))
        done.append(replace(one, crystal=crystal, indices=one.indices @ change.T, record=record))
    return tuple(done)


def _result(
    images: tuple[Indexed, ...],
    panels: Sequence[Panel],
    beam: Beam,
    fitted: tuple[Sequence[Panel], Refined] | None,
    crystal: Crystal,
) -> Result:
    """Tilt, distance and beam centre in words that a beamline uses."""
    here = mounting_of(panels, beam)
    centre = panels[0].hit(beam.direction[None])[0]
    said = tuple(line for line in (FRAME, said_of_ambiguity(crystal)) if line)
    tilt, spread = (0.0, 0.0), (np.nan, np.nan)
    if fitted is not None:
        nominal, refined = fitted
        tilt = tilt_of(nominal[0], panels[0])
        spread = (float(np.degrees(refined.move_sd[0])), float(np.degrees(refined.move_sd[1])))
    return Result(images, tuple(panels), tilt, spread, here.distance, (float(centre[0]), float(centre[1])), said)


def tilt_of(nominal: Panel, panel: Panel) -> tuple[float, float]:
    """Right-handed tilts about fast and slow that take one panel's axes into another's [degree].

    Parameters
    ----------
    nominal, panel:
        Before and after.
    """
    frames = [np.stack([one.fast, one.slow, one.normal], axis=1) for one in (nominal, panel)]
    vector = np.degrees(rotation_vector(frames[1] @ frames[0].T))
    return float(vector @ nominal.fast), float(vector @ nominal.slow)
