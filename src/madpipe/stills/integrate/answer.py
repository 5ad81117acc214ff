"""The fit as a record, with a verdict on each image."""

from dataclasses import replace

import gemmi
import numpy as np
from jaxtyping import Float

from madpipe.base.metrics import correlation
from madpipe.physics.rotations import rotation
from madpipe.stills.geometry import Crystal
from madpipe.stills.integrate.fit import Fitted
from madpipe.stills.integrate.image_model import OWN
from madpipe.stills.integrate.priors import names_of
from madpipe.stills.records import ImageTable, InstrumentTable, Integrated, IntensityTable, SpotTable
from madpipe.stills.reflections.model import wilson_b

_LEAST_CORRELATION = 0.3  # of an image's photons with what is expected of them
_LARGEST_CHI2 = 5.0
_FAR = 5.0  # robust standard deviations of ln G from the other images


def integrated_of(fitted: Fitted, crystals: list[Crystal]) -> Integrated:
    """Record of a fit.

    Parameters
    ----------
    fitted:
        From :func:`madpipe.stills.integrate.fit.fit_stills`.
    crystals:
        As told, one an image.
    """
    spots, intensities = _spots(fitted), _intensities(fitted)
    images = _images(fitted, crystals)
    if fitted.belief.wilson:
        spots, images, intensities = _with_falling_off(spots, images, intensities, fitted.data.inverse_d2)
    cells = np.array([Crystal(axes).cell for axes in images.axes])
    scene = fitted.data.stills[0].scene
    return Integrated(
        space_group=gemmi.SpaceGroup(crystals[0].space_group).hm,
        cell=cells.mean(axis=0),
        wavelength=scene.beam.wavelength,
        method=fitted.name,
        passes=fitted.passes,
        model_error=fitted.model_error,
        settled=fitted.settled,
        spots=spots,
        images=images,
        intensities=intensities,
        instrument=_instrument(fitted),
    )


def _with_falling_off(
    spots: SpotTable, images: ImageTable, intensities: IntensityTable, inverse_d2: Float[np.ndarray, "unique"]
) -> tuple[SpotTable, ImageTable, IntensityTable]:
    """Without a reference the images' mean B is the crystal's: it belongs to the intensities, as in any data set."""
    good = images.good > 0
    mean_b = float(images.wilson_b[good if good.any() else np.ones_like(good)].mean())
    fall = np.exp(-mean_b * inverse_d2 / 2)
    fallen = {name: getattr(intensities, name) * fall for name in ("mean", "sd", "prior_mean", "prior_sd")}
    return (
        replace(spots, factor=spots.factor / fall[spots.unique]),
        replace(images, wilson_b=images.wilson_b - mean_b),
        replace(intensities, **fallen),
    )


def _spots(fitted: Fitted) -> SpotTable:
    """Collect the images' spots."""
    data, glances = fitted.data, fitted.glances
    told = [still.scene.reflections for still in data.stills]
    return SpotTable(
        hkl=np.concatenate([one.hkl for one in told]),
        image=np.repeat(np.arange(len(told)), [len(one) for one in told]),
        panel=np.concatenate([one.panel for one in told]),
        xy=np.concatenate([one.spots.xy for one in glances]),
        photons=np.concatenate([one.photons for one in glances]),
        photon_errors=np.concatenate([one.sigma for one in glances]),
        expected=np.concatenate([one.amount for one in glances]),
        factor=np.concatenate([one.factor for one in glances]),
        partiality=np.concatenate([one.spots.partiality for one in glances]),
        excitation=np.concatenate([one.spots.excitation for one in glances]),
        inverse_d2=np.concatenate([one.spots.inverse_d2 for one in glances]),
        background=np.concatenate([still.boxes.background for still in data.stills]),
        flags=np.concatenate([still.boxes.flags for still in data.stills]),
        outlier=fitted.outliers.astype(np.uint8),
        unique=data.unique.of_spot,
        plus=data.unique.plus.astype(np.uint8),
    )


def _images(fitted: Fitted, crystals: list[Crystal]) -> ImageTable:
    """Parameters of the images, and what to think of each."""
    data, own = fitted.data, fitted.own
    errors = np.zeros_like(own)
    errors[:, fitted.own_active] = np.sqrt(np.einsum("kii->ki", fitted.covariance.own))
    judged = [_judged(fitted, image) for image in range(len(data.stills))]
    scatter = 1.4826 * float(np.median(np.abs(own[:, 0] - np.median(own[:, 0]))))
    far = np.abs(own[:, 0] - np.median(own[:, 0])) > _FAR * max(scatter, 0.1)
    verdicts = [_verdict(*judged[image], bool(far[image])) for image in range(len(judged))]
    return ImageTable(
        names="\n".join(still.name for still in data.stills),
        ln_scale=own[:, 0],
        ln_scale_errors=errors[:, 0],
        wilson_b=np.array([wilson_b(b) for b in own[:, 1]]),
        wilson_b_errors=np.array([wilson_b(b) for b in errors[:, 1]]),
        ln_scale_relative_errors=fitted.relative_errors[:, 0],
        wilson_b_relative_errors=np.array([wilson_b(b) for b in fitted.relative_errors[:, 1]]),
        turn=np.degrees(own[:, 2:5]),
        turn_errors=np.degrees(errors[:, 2:5]),
        axes=np.array([_axes(fitted, image, crystals[image]) for image in range(len(crystals))]),
        spots=np.array([len(still.boxes) for still in data.stills]),
        correlation=np.array([one[0] for one in judged]),
        chi2=np.array([one[1] for one in judged]),
        good=np.array([verdict == "good" for verdict in verdicts], dtype=np.uint8),
        verdicts="\n".join(verdicts),
    )


def _judged(fitted: Fitted, image: int) -> tuple[float, float]:
    """Correlation of J with A, and chi-square per spot, over spots that are no outliers."""
    piece, found = fitted.data.pieces[image], fitted.glances[image]
    use = ~fitted.outliers[piece]
    variance = (
        found.sigma**2
        + (fitted.model_error * found.amount) ** 2
        + found.factor**2 * fitted.belief.variance[fitted.data.unique.of_spot[piece]]
    )
    chi2 = np.mean(((found.photons - found.amount) ** 2 / variance)[use]) if use.any() else np.nan
    return correlation(found.photons[use], found.amount[use]), float(chi2)


def _verdict(related: float, chi2: float, far: bool) -> str:
    """Say what is wrong with an image."""
    if not related >= _LEAST_CORRELATION:
        return f"bad: photons correlate by {related:.2f} with what is expected, {_LEAST_CORRELATION:g} needed"
    if not chi2 <= _LARGEST_CHI2:
        return f"bad: chi-square per spot is {chi2:.1f}, at most {_LARGEST_CHI2:g} wanted"
    return "odd: its scale is far from the others'" if far else "good"


def _axes(fitted: Fitted, image: int, crystal: Crystal) -> Float[np.ndarray, "3 3"]:
    """Real axes after turn and strain."""
    own, scene = fitted.own[image], fitted.data.stills[image].scene
    moved = rotation(own[2:5]) @ (np.eye(3) + np.tensordot(own[len(OWN) :], scene.strains, 1))
    axes: np.ndarray = np.linalg.inv(moved @ crystal.reciprocal)
    return axes


def _intensities(fitted: Fitted) -> IntensityTable:
    """Posterior and prior of every intensity."""
    mean, sd = fitted.intensities
    data = fitted.data
    return IntensityTable(
        hkl=data.unique.hkl,
        mean=mean,
        sd=sd,
        reference=data.reference,
        prior_mean=fitted.belief.mean,
        prior_sd=np.sqrt(fitted.belief.variance),
        centric=data.centric.astype(np.uint8),
    )


def _instrument(fitted: Fitted) -> InstrumentTable:
    """Shared parameters with their correlations."""
    _, names = names_of(0, len(fitted.widths.log_width))
    errors = np.zeros(len(names))
    spread = np.sqrt(np.diag(fitted.covariance.shared))
    errors[fitted.shared_active] = spread
    widths, known = np.exp(fitted.widths.log_width), fitted.calibration
    return InstrumentTable(
        names=",".join(names),
        values=np.where(np.isfinite(fitted.shared), fitted.shared, -1e9),
        errors=errors,
        correlations=fitted.covariance.shared / np.outer(spread, spread),
        shell_edges=fitted.data.edges,
        widths=widths,
        width_errors=widths * np.sqrt(fitted.widths.variance),
        calibration_ln_z=known.ln_z,
        calibration_ratio=known.ratio,
        calibration_doubt=known.doubt,
    )
