"""Methods of integration side by side on a small simulated set whose truth is known."""

import time

import numpy as np
from jaxtyping import Float

from madpipe.base.metrics import finite
from madpipe.base.runtime import generator_for
from madpipe.physics.arrowhead import covariance
from madpipe.physics.rotations import rotation
from madpipe.stills.config import SimulatedStills
from madpipe.stills.geometry import Crystal
from madpipe.stills.integrate.answer import integrated_of
from madpipe.stills.integrate.fit import Fitted
from madpipe.stills.integrate.image_model import OWN, SHARED, spots_at
from madpipe.stills.integrate.methods import METHODS
from madpipe.stills.integrate.passes import active_part, all_terms, task_of
from madpipe.stills.integrate.priors import beliefs_of
from madpipe.stills.integrate.settings import IntegrateConfig, MethodName, Prior, Priors
from madpipe.stills.reflections.moments import centre
from madpipe.stills.reflections.template import template
from madpipe.stills.scores.common_part import relative_errors
from madpipe.stills.scores.drawn_set import DrawnSet
from madpipe.stills.scores.integration_records import (
    Degeneracy,
    Geometry,
    Integration,
    IntegrationScore,
    RadiusOfOne,
    Shift,
)
from madpipe.stills.scores.validate import cc_true
from madpipe.stills.scores.width_error import width_errors

SAMPLE = SimulatedStills(
    cell=(79.6, 77.2, 38.7, 90.0, 90.0, 90.0), space_group="P 21 21 21", images=5, size=448, photons=2e5
)
CONFIG = IntegrateConfig(resolution=2.6, shells=1)
NUMBERS = ("ln G", "B", "turn x", "turn y", "turn z", "ln R0", "ln R1")  # of an image and of all, whose errors are told
_ALONE = 7.0  # d of the reflections of the one image whose R0 and G are weighed [angstrom]
_ONE_RADIUS = {"fit_mosaicity": False, "fit_tail": False, "fit_shape": False}  # without a prior one image tells no more
_HELD = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)  # R0 over the one that was found
_TURN = np.radians([0.05, 0.05, 0.15])  # by which the one crystal is told wrong, about x, y and the beam
_BRIGHT = 1000.0  # photons of a spot whose centroid is drawn


def integration(methods: tuple[MethodName, ...], seed: int) -> Integration:
    """Integrate the set by each method; and what one image tells of R0 and G, and of its orientation.

    Parameters
    ----------
    methods:
        Of :data:`madpipe.stills.integrate.methods.METHODS`.
    seed:
        Of crystals and noise.
    """
    made = DrawnSet.of(SAMPLE, generator_for(seed, "stills", "integration"))
    crystals = list(made.drawn.told)
    return Integration(
        images=SAMPLE.images,
        spots=sum(len(one.boxes) for one in made.stills(CONFIG, crystals)),
        methods=tuple(_score(made, crystals, name) for name in methods),
        widths=tuple(width_errors(seed)),
        degeneracy=_degeneracy(made),
        geometry=_geometry(made),
    )


def _score(made: DrawnSet, crystals: list[Crystal], method: MethodName) -> IntegrationScore:
    """One method on all images."""
    config, truth = CONFIG.model_copy(update={"method": method}), made.drawn.truth
    begin = time.perf_counter()
    fitted = made.fit(config, crystals)
    seconds = time.perf_counter() - begin
    integrated = integrated_of(fitted, crystals)
    table = integrated.tables()[1]
    scale, b = table.ln_scale - truth.ln_scale, table.wilson_b - truth.wilson_b
    relative = relative_errors(integrated)
    return IntegrationScore(
        method=method,
        ln_scale=tuple((scale - scale.mean()).tolist()),
        ln_scale_errors=tuple(relative.ln_scale.tolist()),
        b_factor=tuple((b - b.mean()).tolist()),
        b_errors=tuple(relative.wilson_b.tolist()),
        correlations=tuple(tuple(row) for row in block(fitted, config).tolist()),
        cc_true=finite(cc_true(integrated, truth)),
        width=float(np.exp(fitted.widths.log_width[0])),
        seconds=seconds,
    )


def block(fitted: Fitted, config: IntegrateConfig, image: int = 0) -> Float[np.ndarray, "number number"]:
    """Correlations of an image's numbers, R0 and R1 where all of them are free at once, by the method's equations.

    Of one shell. The prior of ln R1 is left out: what is shown is what the pixels say.
    """
    data = fitted.data
    mean, sd = fitted.intensities
    doubt = METHODS[config.method].doubts
    tasks = []
    for still, found, shell, piece in zip(data.stills, fitted.glances, data.shells, data.pieces, strict=True):
        number = data.unique.of_spot[piece]
        tasks.append(task_of(still, found, shell, fitted.shared, mean[number], doubt * sd[number] ** 2))
    free = config.model_copy(
        update={"priors": config.priors.model_copy(update={"ln_width": Prior(used=False, sd=1.0)})}
    )
    first = data.stills[0].scene
    distance = float(abs(first.panels[0].origin @ first.beam.direction))
    beliefs = beliefs_of(free, np.zeros(len(tasks)), 0, distance, fitted.shared[len(SHARED) :])
    normal = all_terms(tasks, beliefs, fitted.own, fitted.shared)[1]
    shared = np.zeros(len(fitted.shared), dtype=bool)
    shared[[0, len(SHARED)]] = True
    errors = covariance(active_part(normal, np.ones(len(OWN), dtype=bool), shared))
    whole = np.block([[errors.own[image], errors.mixed[image]], [errors.mixed[image].T, errors.shared]])
    spread = np.sqrt(np.diag(whole))
    matrix: np.ndarray = whole / np.outer(spread, spread)
    return matrix


def _degeneracy(made: DrawnSet) -> Degeneracy:
    """R0 and G of the first image alone, of its low angles: without a prior, with that of all images, R0 held."""
    crystal = [made.drawn.told[0]]
    none = Priors(mosaicity=Prior(value=0.0, sd=1.0), tail=Prior(value=0.0, sd=1.0))
    config = CONFIG.model_copy(update={"resolution": _ALONE, "priors": none, **_ONE_RADIUS})
    stills = made.stills(config, crystal)
    free = _with_radius(config, Prior(used=False, value=1e-3, sd=1.0))
    first = _of_one(made.fit(free, crystal, stills), None)
    middle = float(np.exp(first.ln_radius))
    every = made.fit(CONFIG, list(made.drawn.told))
    radius, sd = float(np.exp(every.shared[0])), float(np.sqrt(every.covariance.shared[0, 0]))
    prior = Prior(value=radius, sd=sd * radius)
    second = _of_one(made.fit(_with_radius(config, prior), crystal, stills), sd)
    scales = []
    for factor in _HELD:
        held = _with_radius(config, Prior(value=factor * middle, sd=1.0)).model_copy(
            update={"fit_mosaic_radius": False}
        )
        scales.append(float(made.fit(held, crystal, stills).own[0, 0]))
    return Degeneracy(
        spots=len(stills[0].boxes),
        fits=(first, second),
        held=tuple(factor * middle for factor in _HELD),
        ln_scale=tuple(scales),
    )


def _with_radius(config: IntegrateConfig, prior: Prior) -> IntegrateConfig:
    """Another belief about R0."""
    priors: Priors = config.priors.model_copy(update={"mosaic_radius": prior})
    return config.model_copy(update={"priors": priors})


def _of_one(fitted: Fitted, prior: float | None) -> RadiusOfOne:
    """R0 and ln G with errors."""
    known = fitted.covariance
    radius, scale = float(np.sqrt(known.shared[0, 0])), float(np.sqrt(known.own[0, 0, 0]))
    return RadiusOfOne(
        prior=prior,
        ln_radius=float(fitted.shared[0]),
        ln_radius_error=radius,
        ln_scale=float(fitted.own[0, 0]),
        ln_scale_error=scale,
        correlation=float(known.mixed[0, 0, 0]) / radius / scale,
    )


def _geometry(made: DrawnSet) -> Geometry:
    """Tell the first crystal wrong, and find its orientation."""
    true = Crystal(made.drawn.truth.axes[0], SAMPLE.space_group)
    told = true.turned(rotation(-_TURN))
    priors = CONFIG.priors.model_copy(update={"orientation": Prior(sd=0.2)})
    fitted = made.fit(CONFIG.model_copy(update={"priors": priors}), [told])
    own = fitted.own[0]
    before = own.copy()
    before[2:5] = 0.0
    bright = fitted.glances[0].amount > _BRIGHT
    shifts = [_centroids(fitted, one)[bright] for one in (before, own)]
    places = fitted.data.stills[0].scene.reflections.xy[bright]
    left = np.degrees(own[2:5] - _TURN)
    return Geometry(
        size=SAMPLE.size,
        turned=float(np.degrees(np.linalg.norm(_TURN))),
        left=tuple(left.tolist()),
        errors=tuple(np.degrees(np.sqrt(np.diag(fitted.covariance.own[0])[2:5])).tolist()),
        shifts=tuple(
            Shift(at=(at[0], at[1]), before=(one[0], one[1]), after=(two[0], two[1]))
            for at, one, two in zip(places.tolist(), shifts[0].tolist(), shifts[1].tolist(), strict=True)
        ),
    )


def _centroids(fitted: Fitted, own: Float[np.ndarray, "own"]) -> Float[np.ndarray, "spot 2"]:
    """Centroids less predictions where the parameters put the spots [pixel]."""
    still, data = fitted.data.stills[0], fitted.data
    xy = spots_at(still.scene, own, fitted.shared).xy
    metric, width = still.scene.reflections.metric, np.exp(fitted.shared[len(SHARED) + data.shells[0]])
    profile = template(*still.boxes.offsets(xy), metric, width)
    found: np.ndarray = centre(still.boxes, profile, fitted.glances[0].amount, xy).shift
    return found
