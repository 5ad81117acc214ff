"""Settings of the integration of still images."""

from typing import Literal, get_args

from pydantic import Field

from madpipe.base.config import Model

MethodName = Literal["joint", "factored-geometry", "factored", "pixel-ml", "pixel-observed", "pixel-unweighted"]
METHOD_NAMES: tuple[MethodName, ...] = get_args(MethodName)
MovementName = Literal["centre_fast", "centre_slow", "distance", "tilt_fast", "tilt_slow"]


class Prior(Model):
    """A Gaussian belief about one number."""

    used: bool = Field(True, description="whether it counts")
    value: float = Field(0.0, description="mean [the number's unit]")
    sd: float = Field(gt=0, description="standard deviation [the same]")


class Priors(Model):
    """What is believed before the images."""

    ln_scale: Prior = Field(Prior(sd=3.0), description="ln G of an image, about the logarithm of its monitor [1]")
    b_factor: Prior = Field(Prior(sd=20.0), description="B of an image, twice Wilson's [angstrom^2]")
    orientation: Prior = Field(Prior(sd=0.1), description="each component of the turn from the told one [degree]")
    strain: Prior = Field(Prior(sd=0.003), description="each strain of the told reciprocal cell [1]")
    mosaic_radius: Prior = Field(Prior(value=1e-3, sd=5e-4), description="R0 of the crystals [1/angstrom]")
    bandwidth: Prior = Field(Prior(value=1e-3, sd=5e-4), description="rms, relative to the wavelength [1]")
    mosaicity: Prior = Field(
        Prior(value=0.02, sd=0.2), description="eta, rms rotation of the domains about each axis [degree]"
    )
    tail: Prior = Field(
        Prior(value=0.2, sd=0.5), description="root of the partiality's t, 0 for a normal law, 1 for a Lorentzian [1]"
    )
    shape: Prior = Field(
        Prior(sd=1.0), description="each number of the logarithm of the domains' shape, 0 for round ones [1]"
    )
    distance: Prior = Field(Prior(sd=1e-3), description="of the detector from the told one, relative to it [1]")
    centre: Prior = Field(Prior(sd=2.0), description="of the beam from the told one, along each axis [pixel]")
    tilt: Prior = Field(Prior(sd=0.5), description="of the detector about each axis [degree]")
    ln_width: Prior = Field(Prior(sd=0.3), description="ln R1 of a shell, about its start, where fitted jointly")


class IntegrateConfig(Model):
    """How still images are integrated."""

    method: MethodName = Field("joint", description="which residuals and which weights")
    resolution: float | None = Field(None, gt=0, description="least d, else that of the detector's corners [angstrom]")
    shells: int = Field(5, ge=1, le=20, description="of resolution, each with a width R1 of its own")
    half_box: int = Field(5, ge=2, le=20, description="a box has 2 half_box + 1 pixels a side [pixel]")
    core: float = Field(3.5, gt=0, description="pixels nearer than this to a neighbour are its own [pixel]")
    window: int = Field(15, ge=3, description="half side of the square that gives a spot's background [pixel]")
    saturation: float | None = Field(None, gt=0, description="counts at or above it are left out [photon]")
    least_partiality: float = Field(0.02, gt=0, lt=1, description="of a spot that is used [1]")
    width: float | None = Field(None, gt=0, description="R1 at the start, else from the spots' moments [1/angstrom]")
    fit_orientation: bool = Field(True, description="turn each crystal")
    fit_strain: bool = Field(False, description="strain each cell as its symmetry allows")
    fit_mosaic_radius: bool = Field(True, description="one R0 for all images")
    fit_mosaicity: bool = Field(True, description="one mosaicity for all images, which moves spots too")
    fit_tail: bool = Field(True, description="one tail of the partiality for all images")
    fit_shape: bool = Field(True, description="R0 by direction in the crystal, as its symmetry allows")
    fit_bandwidth: bool = Field(False, description="one bandwidth for all images")
    movements: tuple[MovementName, ...] = Field((), description="of the detector that are fitted, one for all images")
    doubt: float = Field(0.3, ge=0, description="tau: relative error of the reference at the start [1]")
    fit_doubt: bool = Field(True, description="find tau by marginal likelihood")
    fit_model_error: bool = Field(
        True, description="find the relative error of a spot's expected photons, from spots that other images know"
    )
    calibrate_reference: bool = Field(True, description="find the mean intensity that goes with a reference intensity")
    share_intensities: bool = Field(True, description="let each image know what the others say of its reflections")
    outlier: float = Field(6.0, gt=0, description="standard deviations beyond which a spot is left out [1]")
    passes: int = Field(20, ge=1, description="over the pixels, at most")
    least_spots: int = Field(20, ge=3, description="of an image that is integrated")
    priors: Priors = Field(Priors(), description="each with a switch, a value and a standard deviation")
