"""Figures of a merged set, as merged.json keeps them, and the table of its images."""

import numpy as np

from madpipe.base.metrics import finite
from madpipe.base.warned import lines_of
from madpipe.stills.merge.merged import Observations, error_model, half_sets, merge, observations_of, with_errors
from madpipe.stills.merge.quality import Quality, by_shell, quality, resolution_limit
from madpipe.stills.merge.records import ImageRow, MergedQuality, ShellQuality
from madpipe.stills.records import Integrated


def merged_quality(
    integrated: Integrated, least_partiality: float, generator: np.random.Generator
) -> tuple[MergedQuality, Observations]:
    """Merge integrated spots: how good they are, and the measurements with their final errors.

    Parameters
    ----------
    integrated:
        With spots, images and intensities.
    least_partiality:
        Of a spot that is merged.
    generator:
        Draws the halves and the shuffled references.
    """
    observations = observations_of(integrated, least_partiality)
    model = error_model(observations)
    observations = with_errors(observations, model)
    merged = merge(observations)
    _, images, intensities, _ = integrated.tables()
    halves = half_sets(observations, generator) if len(np.unique(observations.image)) > 1 else None
    reciprocal = np.linalg.inv(images.axes[0])
    inverse_d2 = np.sum((intensities.hkl @ reciprocal.T) ** 2, axis=1)
    shells = by_shell(merged, halves, inverse_d2, intensities.reference, generator)
    limit = resolution_limit(shells)
    return (
        MergedQuality(
            space_group=integrated.space_group,
            cell=tuple(integrated.cell.tolist()),
            images=len(images.axes),
            whole=_shell(quality(merged, halves, inverse_d2, intensities.reference, generator)),
            shells=tuple(_shell(one) for one in shells),
            resolution=finite(limit.resolution),
            rule=limit.rule,
            error_factor=float(model.scale),
            error_share=float(model.systematic),
            warnings=lines_of(integrated.warnings),
        ),
        observations,
    )


def _shell(one: Quality) -> ShellQuality:
    """Figures of one shell as plain values."""
    return ShellQuality(
        lowest=one.lowest,
        highest=one.highest,
        unique=one.reflections,
        measurements=one.measurements,
        pairs=one.pairs,
        i_over_sigma=finite(one.i_over_sigma),
        cc_half=finite(one.cc_half),
        cc_star=finite(one.cc_star),
        r_split=finite(one.r_split),
        cc_reference=finite(one.cc_reference),
        null_sd=finite(one.cc_chance),
        null_mean=finite(one.cc_chance_mean),
    )


def image_rows(integrated: Integrated) -> list[ImageRow]:
    """The table of images, a row for each batch of the unmerged file."""
    _, images, _, instrument = integrated.tables()
    return [
        ImageRow(
            image=name,
            ln_G=float(images.ln_scale[n]),
            ln_G_error=float(images.ln_scale_errors[n]),
            B=float(images.wilson_b[n]),
            B_error=float(images.wilson_b_errors[n]),
            R1=float(instrument.widths.mean()),
            turn_x=float(images.turn[n, 0]),
            turn_y=float(images.turn[n, 1]),
            turn_z=float(images.turn[n, 2]),
            spots=int(images.spots[n]),
            correlation=finite(float(images.correlation[n])),
            chi2=finite(float(images.chi2[n])),
            verdict=verdict,
        )
        for n, (name, verdict) in enumerate(zip(images.names.split("\n"), images.verdicts.split("\n"), strict=True))
    ]
