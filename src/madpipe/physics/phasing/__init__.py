"""Phase retrieval of a finite density from the modulus of its structure factor, many starts side by side.

The iteration keeps its arrays cornered (origin at index 0, :func:`madpipe.physics.fourier.cornered`): :func:`impose`
corners the moduli, whoever calls a step corners density and support. Densities are (*batch, *space), moduli (*space).
A real dtype of the moduli and the matching complex dtype of the density are kept, so complex64 iterates run in
float32: the iteration corrects its own rounding, and 1e-7 is far below the counting noise. Flush denormals to zero
(:func:`madpipe.base.runtime.fix_threads`): densities outside the support fade into them, and they cost a factor of 10.
"""

from madpipe.physics.phasing.moduli import Moduli, draw_held_out, impose
from madpipe.physics.phasing.quality import count_vortices, resolution, shell_mean, shells, transfer_function
from madpipe.physics.phasing.steps import (
    STEPS,
    difference_map,
    error_reduction,
    fourier_error,
    hybrid_input_output,
    project_modulus,
    relaxed_reflections,
    within_ceiling,
)
from madpipe.physics.phasing.supports import (
    autocorrelation_support,
    dilate,
    interior,
    shrink_to_level,
    shrink_to_threshold,
    shrink_to_volume,
    smoothed_modulus,
)

__all__ = [
    "STEPS",
    "Moduli",
    "autocorrelation_support",
    "count_vortices",
    "difference_map",
    "dilate",
    "draw_held_out",
    "error_reduction",
    "fourier_error",
    "hybrid_input_output",
    "impose",
    "interior",
    "project_modulus",
    "relaxed_reflections",
    "resolution",
    "shell_mean",
    "shells",
    "shrink_to_level",
    "shrink_to_threshold",
    "shrink_to_volume",
    "smoothed_modulus",
    "transfer_function",
    "within_ceiling",
]
