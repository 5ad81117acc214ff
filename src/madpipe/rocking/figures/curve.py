"""Figures of one curve: data and fit with residuals, and the profile with its bands."""

import numpy as np

from madpipe.base.metrics import with_error
from madpipe.base.plotting import LOOKS, REFERENCE, TWO_COLUMNS, Picture, name_panels, new_figure, styled
from madpipe.rocking.model import variance
from madpipe.rocking.records import Curve, LayerProfile
from madpipe.rocking.scores.validate import score

_NM = 10.0  # angstrom
_PERCENT = 100.0


@styled
def curve_fit(curve: Curve, found: LayerProfile) -> Picture:
    """Draw counts and calculated curve against 2 theta, logarithmic, and deviations in standard errors."""
    figure = new_figure(TWO_COLUMNS, 3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    seen = curve.data > 0
    points = {**LOOKS[0].points(), "linestyle": "", "markersize": 1.8}
    upper.plot(found.two_theta[seen], curve.data[seen], **points, label="counts")
    upper.plot(found.two_theta, found.calculated, color=LOOKS[1].color, linewidth=1.0, label="fit")
    upper.set(yscale="log", ylabel="counts (photon)")
    upper.set_ylim(0.5 * max(0.5, float(curve.data[seen].min())), 3 * float(curve.data.max()))
    upper.legend(loc="upper left")
    error = np.sqrt(variance(found.calculated, curve.relative_error))
    lower.axhline(0.0, **REFERENCE.dash())
    lower.plot(found.two_theta, (curve.data - found.calculated) / error, **points)
    limit = max(4.0, 1.1 * float(np.quantile(np.abs((curve.data - found.calculated) / error), 0.98)))
    lower.set(xlabel=r"2$\theta$ (degree)", ylabel="deviation (error)", ylim=(-limit, limit))
    name_panels([upper, lower], [f"{curve.crystal} {_indices(curve)}", "deviations"])
    scores = score(curve, found)
    words = (
        f"{curve.title}: counts of {curve.crystal} {_indices(curve)} at {curve.wavelength:g} angstrom against 2 theta, "
        f"and the fit ({found.method}, {found.starts} starts); below, deviations over expected errors. Chi-square per "
        f"point {found.chi2:.2f}, outside the substrate's peak {scores.chi2_outside_peak:.2f}; rms of log10 of "
        f"counts over fit {found.log_rms:.3f}."
    )
    return Picture(figure, words)


@styled
def layer_profile(curve: Curve, found: LayerProfile) -> Picture:
    """Draw strain and static Debye-Waller factor against depth with their 68 and 95 % bands, beside the truth."""
    figure = new_figure(TWO_COLUMNS, 2.6)
    panels = list(figure.subplots(1, 2))
    depth = found.depth / _NM
    drawn = (
        (found.strain * _PERCENT, found.strain_errors * _PERCENT, "strain (%)"),
        (found.debye_waller, found.debye_waller_errors, "static Debye-Waller factor (1)"),
    )
    for axes, (value, error, label) in zip(panels, drawn, strict=True):
        for width, alpha in ((1.96, 0.2), (1.0, 0.35)):
            axes.fill_between(
                depth, value - width * error, value + width * error, color=LOOKS[0].color, alpha=alpha, lw=0
            )
        axes.plot(depth, value, color=LOOKS[0].color, label="fit")
        axes.set(xlabel="depth (nm)", ylabel=label, xlim=(0, depth[-1]))
    if curve.truth is not None:
        panels[0].plot(curve.truth.depth / _NM, curve.truth.strain * _PERCENT, **REFERENCE.dash(), label="truth")
        panels[0].legend()
    panels[1].set_ylim(0.0, 1.1)
    name_panels(panels, ["strain", "disorder"])
    largest = int(np.argmax(found.strain))
    words = (
        f"{curve.title}: strain and static Debye-Waller factor against depth; bands: 68 and 95 %. Largest strain "
        f"{with_error(found.strain[largest] * _PERCENT, found.strain_errors[largest] * _PERCENT)} % at "
        f"{depth[largest]:.0f} nm; least Debye-Waller factor {found.debye_waller.min():.2f}."
    )
    weak = [name for name, flag in zip(found.names.split(","), found.undetermined, strict=True) if flag]
    if found.method == "implanted" and weak:
        words += f" Not determined by the curve: {', '.join(weak)}."
    return Picture(figure, words)


FIGURES = {"curve_fit": curve_fit, "layer_profile": layer_profile}


def _indices(curve: Curve) -> str:
    """The reflection in brackets."""
    return f"({' '.join(str(int(index)) for index in curve.indices)})"
