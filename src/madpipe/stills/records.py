"""Files that cross a step of the study: integrated spots with what was found of images, instrument and intensities."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.errors import InputError
from madpipe.base.store import Groups, entry, part

_Array = np.ndarray


@dataclass(frozen=True)
class SpotTable:
    """Every measured spot."""

    hkl: _Array = entry("miller_indices")  # as measured, (spot, 3)
    image: _Array = entry("image")  # number, from 0
    panel: _Array = entry("panel")
    xy: _Array = entry("position", "pixel")  # column and row, the middle of the first pixel is 0.5
    photons: _Array = entry("photons", "photon", long_name="profile-fitted photons J")
    photon_errors: _Array = entry("photon_errors", "photon")
    expected: _Array = entry("expected", "photon")  # A of the model
    factor: _Array = entry("factor")  # S, J / S is on the intensities' scale
    partiality: _Array = entry("partiality")
    excitation: _Array = entry("excitation_error", "1/angstrom")
    inverse_d2: _Array = entry("inverse_d2", "1/angstrom^2")
    background: _Array = entry("background", "photon")  # per pixel
    flags: _Array = entry("flags")  # bits: 1 gap, 2 neighbour, 4 saturated, 8 all masked
    outlier: _Array = entry("outlier")  # 1 where left out
    unique: _Array = entry("unique")  # row of the intensities
    plus: _Array = entry("plus")  # 1 on the side of h k l, 0 for its Friedel mate

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class ImageTable:
    """Every image."""

    names: str = entry("names")  # one a line
    ln_scale: _Array = entry("ln_scale")  # ln G
    ln_scale_errors: _Array = entry("ln_scale_errors")
    wilson_b: _Array = entry("wilson_b", "angstrom^2")  # of intensities, exp(-B / 2 d^2)
    wilson_b_errors: _Array = entry("wilson_b_errors", "angstrom^2")
    ln_scale_relative_errors: _Array = entry("ln_scale_relative_errors")  # about the images' weighted mean
    wilson_b_relative_errors: _Array = entry("wilson_b_relative_errors", "angstrom^2")  # the same
    turn: _Array = entry("turn", "degree")  # rotation vector from the told orientation, (image, 3)
    turn_errors: _Array = entry("turn_errors", "degree")
    axes: _Array = entry("axes", "angstrom")  # rows a, b, c in the laboratory frame, (image, 3, 3)
    spots: _Array = entry("spots")  # used
    correlation: _Array = entry("correlation")  # of photons with what the other images and the reference expect
    chi2: _Array = entry("chi2")  # of the same, per spot
    good: _Array = entry("good")  # 1 or 0
    verdicts: str = entry("verdicts")  # in words, one a line

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class IntensityTable:
    """Every unique reflection: what is believed of its intensity given all images."""

    hkl: _Array = entry("miller_indices")  # in the asymmetric unit
    mean: _Array = entry("mean")
    sd: _Array = entry("sd")
    reference: _Array = entry("reference")  # NaN where there is none
    prior_mean: _Array = entry("prior_mean")
    prior_sd: _Array = entry("prior_sd")
    centric: _Array = entry("centric")

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class InstrumentTable:
    """What all images share."""

    names: str = entry("names")  # of the parameters, separated by commas
    values: _Array = entry("values")
    errors: _Array = entry("errors")  # 0 where it was not fitted
    correlations: _Array = entry("correlations")  # of those fitted
    shell_edges: _Array = entry("shell_edges", "1/angstrom^2")  # 1/d^2
    widths: _Array = entry("widths", "1/angstrom")  # R1 of each shell
    width_errors: _Array = entry("width_errors", "1/angstrom")
    calibration_ln_z: _Array = entry("calibration_ln_z")  # reference over its mean in the shell
    calibration_ratio: _Array = entry("calibration_ratio")  # intensity over reference
    calibration_doubt: _Array = entry("calibration_doubt")  # tau

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class Integrated:
    """Integrated still images."""

    space_group: str = entry("entry_1/sample_1/space_group")
    cell: _Array = entry("entry_1/sample_1/unit_cell")  # angstrom and degree, mean of the images
    wavelength: float = entry("entry_1/instrument_1/wavelength", "angstrom")
    method: str = entry("entry_1/fit_1/method")
    passes: int = entry("entry_1/fit_1/passes")  # over the pixels
    settled: bool = entry("entry_1/fit_1/settled")
    model_error: float = entry("entry_1/fit_1/model_error")  # relative, of a spot's expected photons, beside counting
    warnings: str | None = entry(warned.PATH, optional=True)
    spots: SpotTable | None = part("entry_1/spots", SpotTable)
    images: ImageTable | None = part("entry_1/images", ImageTable)
    intensities: IntensityTable | None = part("entry_1/intensities", IntensityTable)
    instrument: InstrumentTable | None = part("entry_1/instrument_1/fitted", InstrumentTable)

    def tables(self) -> "tuple[SpotTable, ImageTable, IntensityTable, InstrumentTable]":
        """All of its tables.

        Raises
        ------
        InputError
            One is missing: another program's file.
        """
        if self.spots is None or self.images is None or self.intensities is None or self.instrument is None:
            raise InputError("spots, images, intensities and instrument are required; the file lacks some; integrate.")
        return self.spots, self.images, self.intensities, self.instrument

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry"},
            "entry_1/sample_1": {"NX_class": "NXsample"},
            "entry_1/instrument_1": {"NX_class": "NXinstrument"},
            "entry_1/fit_1": {"NX_class": "NXcollection"},
        }


@dataclass(frozen=True)
class StillsTruth:
    """What a simulated set of images was drawn with."""

    axes: _Array = entry("entry_1/truth/axes", "angstrom")  # rows a, b, c in the laboratory frame, (image, 3, 3)
    ln_scale: _Array = entry("entry_1/truth/ln_scale")  # ln G, (image,)
    wilson_b: _Array = entry("entry_1/truth/wilson_b", "angstrom^2")  # of each image beside that of the intensities
    spread: float = entry("entry_1/truth/spread", "degree")  # rms rotation of the domains about their mean
    cells: _Array = entry("entry_1/truth/cells")  # of a domain along a, b, c
    hkl: _Array = entry("entry_1/truth/miller_indices")  # unique, (reflection, 3)
    intensity: _Array = entry("entry_1/truth/intensity", "electron^2")
    reference: _Array = entry("entry_1/truth/reference", "electron^2")  # with the errors that a user's reference has
    photons_per_intensity: _Array = entry("entry_1/truth/scale")  # photons per electron^2 and steradian of each image

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"entry_1": {"NX_class": "NXentry"}, "entry_1/truth": {"NX_class": "NXcollection"}}


@dataclass(frozen=True)
class PixelFits:
    """Misset, mosaic spread and what else was found from the pixels of each image."""

    names: str = entry("entry_1/images/names")  # one a line
    method: str = entry("entry_1/fit_1/method")
    space_group: str = entry("entry_1/sample_1/space_group")
    axes: _Array = entry("entry_1/images/axes", "angstrom")  # rows a, b, c in the laboratory frame, (image, 3, 3)
    turn: _Array = entry("entry_1/images/turn", "degree")  # rotation vector from the told orientation, (image, 3)
    spread: _Array = entry("entry_1/images/spread", "degree")  # rms rotation of the domains about their mean
    scale: _Array = entry("entry_1/images/scale")  # photons per electron^2 and steradian
    background: _Array = entry("entry_1/images/background", "photon")  # per pixel
    cells: _Array = entry("entry_1/images/cells")  # of a domain along a, b, c, (image, 3)
    labels: str = entry("entry_1/fit_1/labels")  # of the numbers that were free, separated by commas
    units: str = entry("entry_1/fit_1/units")  # of each
    errors: _Array = entry("entry_1/images/errors")  # standard errors in these units, (image, number)
    pixels: _Array = entry("entry_1/images/pixels")  # that were fitted
    pearson: _Array = entry("entry_1/images/pearson")  # chi-square per pixel
    evaluations: _Array = entry("entry_1/images/evaluations")
    verdicts: str = entry("entry_1/images/verdicts")  # in words, one a line
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry"},
            "entry_1/sample_1": {"NX_class": "NXsample"},
            "entry_1/fit_1": {"NX_class": "NXcollection"},
            "entry_1/images": {"NX_class": "NXcollection"},
        }
