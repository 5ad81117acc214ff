"""One pass over the pixels of an image, and the fit of all images to what the passes found."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.arrowhead import Arrowhead, Covariance, solve
from madpipe.stills.integrate.image_model import SHARED, Spots, spots_at
from madpipe.stills.integrate.methods import Equations, Method, Seen, doubted, poisson_equations
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.priors import Beliefs, with_priors
from madpipe.stills.reflections.template import template

_Spots = Float[np.ndarray, "spot"]


@dataclass(frozen=True)
class Glance:
    """What one pass over an image's pixels found, about the model it was made with."""

    spots: Spots
    factor: _Spots  # S [photon per unit of I]
    amount: _Spots  # A [photon]
    pixels: Equations  # Poisson likelihood
    equations: Equations  # of the method, without the reference's error
    photons: _Spots  # J
    sigma: _Spots  # of J, from counting


def glance(
    still: Still,
    method: Method,
    spots: Spots,
    shared: Float[np.ndarray, "shared"],
    shell: Int[np.ndarray, "spot"],
    intensity: _Spots,
) -> Glance:
    """Pass over the pixels of an image.

    Parameters
    ----------
    still:
        Boxes.
    method:
        Whose equations.
    spots:
        Where the parameters have them.
    shared:
        Parameters that all images share.
    shell:
        Whose R1 each spot has.
    intensity:
        Expected I of each spot.
    """
    factor = np.exp(spots.ln_factor)
    amount = factor * intensity
    columns, rows = still.boxes.offsets(spots.xy)
    metric = still.scene.reflections.metric
    profile = template(columns, rows, metric, np.exp(shared[len(SHARED) + shell]), precise=False)
    seen = Seen(still.boxes, profile, amount, spots.xy, metric)
    pixels = poisson_equations(seen)
    known = np.maximum(pixels.information[:, 0, 0], 1e-300)
    photons = amount + pixels.slope[:, 0] / known
    return Glance(spots, factor, amount, pixels, method.equations(seen, pixels), photons, 1 / np.sqrt(known))


@dataclass(frozen=True)
class Task:
    """A glance at an image as the fit sees it: four numbers a spot, and what is believed of its intensity."""

    still: Still
    glance: Glance
    shell: Int[np.ndarray, "spot"]
    log_width: _Spots  # ln R1 of the glance
    intensity: _Spots  # mean of I by what the others say
    equations: Equations  # with the reference's error


def task_of(
    still: Still, found: Glance, shell: np.ndarray, shared: np.ndarray, intensity: _Spots, variance: _Spots
) -> Task:
    """Put the error of I into the equations of an image's spots."""
    doubt = found.factor * np.sqrt(variance)
    equations = doubted(found.equations, doubt)
    return Task(still, found, shell, shared[len(SHARED) + shell], intensity, equations)


def image_terms(task: Task, own: np.ndarray, shared: np.ndarray) -> tuple[float, Arrowhead]:
    """Minus ln L of an image's spots, quadratic in their four numbers, as an arrowhead of one block."""
    spots = spots_at(task.still.scene, own, shared)
    amount = np.exp(np.minimum(spots.ln_factor, 50.0)) * task.intensity
    count, own_count = len(amount), len(own)
    by = np.zeros((count, 4, own_count + len(shared)))
    by[:, :3, :own_count], by[:, :3, own_count:] = spots.by_own, spots.by_shared
    by[:, 0] *= amount[:, None]
    by[np.arange(count), 3, own_count + len(SHARED) + task.shell] = 1.0
    apart = np.empty((count, 4))
    apart[:, 0] = amount - task.glance.amount
    apart[:, 1:3] = spots.xy - task.glance.spots.xy
    apart[:, 3] = shared[len(SHARED) + task.shell] - task.log_width
    moved = np.einsum("sij,sj->si", task.equations.information, apart)
    value = float(np.sum(apart * (moved / 2 - task.equations.slope)))
    slope = np.einsum("sip,si->p", by, moved - task.equations.slope)
    flat = by.reshape(count * 4, -1)
    second = flat.T @ (task.equations.information @ by).reshape(count * 4, -1)
    mixed = second[:own_count, own_count:]
    return value, Arrowhead(
        second[None, :own_count, :own_count],
        mixed[None],
        second[own_count:, own_count:],
        slope[None, :own_count],
        slope[own_count:],
    )


def all_terms(
    tasks: list[Task], beliefs: Beliefs, own: Float[np.ndarray, "image own"], shared: Float[np.ndarray, "shared"]
) -> tuple[float, Arrowhead]:
    """Minus ln L of all images with the priors."""
    found = [image_terms(task, one, shared) for task, one in zip(tasks, own, strict=True)]
    data = Arrowhead(
        np.concatenate([one.own for _, one in found]),
        np.concatenate([one.mixed for _, one in found]),
        np.sum([one.shared for _, one in found], axis=0),
        np.concatenate([one.own_slope for _, one in found]),
        np.sum([one.shared_slope for _, one in found], axis=0),
    )
    return with_priors(sum(value for value, _ in found), data, beliefs, own, shared)


def active_part(normal: Arrowhead, own: Bool[np.ndarray, "own"], shared: Bool[np.ndarray, "shared"]) -> Arrowhead:
    """Leave only the parameters that are fitted."""
    return Arrowhead(
        normal.own[:, own][:, :, own],
        normal.mixed[:, own][:, :, shared],
        normal.shared[shared][:, shared],
        normal.own_slope[:, own],
        normal.shared_slope[shared],
    )


def with_widths(
    errors: Covariance,
    normal: Arrowhead,
    active: Arrowhead,
    own: np.ndarray,
    shared: np.ndarray,
    variance: Float[np.ndarray, "shell"],
) -> Covariance:
    """Add what the widths' errors make of the parameters: steps that answer a change of each shell's ln R1.

    Parameters
    ----------
    errors, active:
        Covariance and arrowhead of the active parameters.
    normal:
        Of all parameters, the widths among them.
    own, shared:
        Which are active.
    variance:
        Of ln R1 in each shell.
    """
    total = replace(errors)
    for shell, spread in enumerate(variance):
        at = len(SHARED) + shell
        pushed = replace(active, own_slope=normal.mixed[:, own, at], shared_slope=normal.shared[shared, at])
        step, shared_step = solve(pushed)
        total = Covariance(
            total.own + spread * step[:, :, None] * step[:, None, :],
            total.mixed + spread * step[:, :, None] * shared_step,
            total.shared + spread * np.outer(shared_step, shared_step),
        )
    return total
