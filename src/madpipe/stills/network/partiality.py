r"""Learned partiality: :math:`\ln p = -g(u; q)`, u = eps_r^2 / R^2, g rising with u, through the pixels' likelihood.

.. math::
    -\ln L = \sum_p \mu_p - y_p \ln \mu_p,\qquad \mu_p = \mathrm{Bg} + A P_p,\qquad
    A = e^{\ln G - B / 4d^2}\, p\, \mathrm{pol}\, I

Images have ln G and B of their own, found together with p; orientation, profile P and background are those of a fit of
all images (:mod:`madpipe.stills.integrate.fit`), intensities I are known. The Gaussian, g = u with R0 and the bandwidth
free, is learned in the same way.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from madpipe.base.errors import InputError
from madpipe.stills.integrate.fit import Fitted
from madpipe.stills.integrate.image_model import SHARED
from madpipe.stills.reflections.template import template

_RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # c of ln(1 + c u) / c, beside u itself
_HIDDEN = 8
_LOW, _FIRST = -5.0, math.log(math.expm1(1.0))  # before softplus: nearly 0, and 1
_EVALUATIONS = 150  # of the likelihood
_MOST = 30.0  # -ln p beyond which nothing is told apart
_MEAN_TERM = 0.2  # of a_k beyond the Gaussian's: mean of its exponential prior
_LEAST_AMOUNT = 1e-6  # photons of a spot

_Spots = Float[Tensor, "spot"]


@dataclass(frozen=True)
class Boxes:
    """Boxes of spots, and all of their model but p, ln G and B."""

    counts: Float[Tensor, "spot pixel"]  # [photon]
    good: Float[Tensor, "spot pixel"]  # 1 where a pixel counts
    profile: Float[Tensor, "spot pixel"]  # P
    background: _Spots  # [photon/pixel]
    ln_known: _Spots  # ln(pol I)
    excitation2: _Spots  # eps_r^2 [1/angstrom^2]
    inverse_d2: _Spots  # 1/d^2 [1/angstrom^2]
    image: Int[Tensor, "spot"]  # from 0

    def __len__(self) -> int:
        return len(self.counts)

    def those(self, chosen: Bool[Tensor, "spot"]) -> "Boxes":
        """Some of them; images keep their numbers."""
        return Boxes(*(getattr(self, one.name)[chosen] for one in fields(self)))


def boxes_of(fitted: Fitted, intensity: Float[np.ndarray, "unique"]) -> Boxes:
    """Boxes of all images of a fit, of reflections whose intensity is known and positive; outliers stay in.

    Parameters
    ----------
    fitted:
        Orientations, places, widths.
    intensity:
        Of each unique reflection, NaN where it is not known.

    Raises
    ------
    InputError
        Not one reflection is known.
    """
    parts: list[list[np.ndarray]] = []
    data = fitted.data
    for number, (still, glance, shell, piece) in enumerate(
        zip(data.stills, fitted.glances, data.shells, data.pieces, strict=True)
    ):
        known = intensity[data.unique.of_spot[piece]]
        columns, rows = still.boxes.offsets(glance.spots.xy)
        width = np.exp(fitted.shared[len(SHARED) + shell])
        profile = template(columns, rows, still.scene.reflections.metric, width).value
        use = np.isfinite(known) & (known > 0)
        ln_known = np.log(np.where(use, known, 1.0) * still.scene.reflections.polarisation)
        flat = [one.reshape(len(use), -1) for one in (still.boxes.counts, still.boxes.good.astype(float), profile)]
        spots = glance.spots
        each = [still.boxes.background, ln_known, spots.excitation**2, spots.inverse_d2, np.full(len(use), number)]
        parts.append([one[use] for one in (*flat, *each)])
    joined = [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]
    if not len(joined[0]):
        raise InputError("a partiality is learned from spots of known intensity; there is none; give a reference.")
    return Boxes(*joined)


class GaussianPartiality(nn.Module):
    """ln p = -eps_r^2 / (R0^2 + (b lambda)^2 / 2 d^4).

    Parameters
    ----------
    radius:
        R0 at the start [1/angstrom].
    """

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.tensor([0.0, -3.0], dtype=torch.float64))
        self.radius = radius

    def minus_ln_prior(self, inverse_d2: _Spots) -> Tensor:
        """Nothing is believed of R0 and b."""
        return torch.zeros((), dtype=inverse_d2.dtype)

    def forward(self, excitation2: _Spots, inverse_d2: _Spots) -> _Spots:
        """ln p of spots."""
        own, light = (2 * self.numbers).exp()
        return -excitation2 / self.radius**2 / (own + light * (inverse_d2 / _TYPICAL) ** 2)


_TYPICAL = 0.1  # 1/d^2 that others are compared with [1/angstrom^2]


class LearnedPartiality(nn.Module):
    r"""ln p = -sum_k a_k(q) phi_k(u), phi_0 = u, phi_k = ln(1 + c_k u) / c_k, a_k >= 0: it falls with u for any a.

    A power of u for large u is a sum of such terms, a Gaussian is a_0 alone. a_k(q) is softplus of a small network.

    Parameters
    ----------
    radius:
        R of u, a unit of length [1/angstrom].
    generator:
        First weights.
    """

    def __init__(self, radius: float, generator: torch.Generator) -> None:
        super().__init__()
        self.radius = radius
        self.hidden = nn.Linear(1, _HIDDEN, dtype=torch.float64)
        self.out = nn.Linear(_HIDDEN, len(_RATES) + 1, dtype=torch.float64)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.randn(_HIDDEN, 1, generator=generator, dtype=torch.float64))
            self.hidden.bias.copy_(torch.randn(_HIDDEN, generator=generator, dtype=torch.float64))
            self.out.weight.zero_()
            self.out.bias.fill_(_LOW)
            self.out.bias[0] = _FIRST

    def forward(self, excitation2: _Spots, inverse_d2: _Spots) -> _Spots:
        """ln p of spots."""
        u = excitation2 / self.radius**2
        sizes = self._sizes(inverse_d2)
        rates = torch.tensor(_RATES, dtype=u.dtype)
        terms = torch.cat([u[:, None], torch.log1p(rates * u[:, None]) / rates], dim=1)
        return -(sizes * terms).sum(1)

    def minus_ln_prior(self, inverse_d2: _Spots) -> Tensor:
        """Few terms beyond the Gaussian's, and little change with q: a_k exponential, of mean 0.2, weights normal."""
        terms = self._sizes(inverse_d2)[:, 1:].mean(0).sum() / _MEAN_TERM
        return terms + self.out.weight.square().sum() / 2

    def _sizes(self, inverse_d2: _Spots) -> Float[Tensor, "spot term"]:
        """a_k of spots."""
        position = (inverse_d2 / _TYPICAL).sqrt()[:, None] - 1
        return functional.softplus(self.out(torch.tanh(self.hidden(position))))


Partiality = GaussianPartiality | LearnedPartiality


def minus_ln_likelihoods(partiality: Partiality, own: Float[Tensor, "image 2"], boxes: Boxes) -> _Spots:
    """Minus ln L of each spot's pixels, less that of its counts themselves; ``own`` are ln G and B [angstrom^2]."""
    ln_p = partiality(boxes.excitation2, boxes.inverse_d2).clamp(min=-_MOST)
    ln_scale, b_factor = own[boxes.image].unbind(1)
    amount = (ln_scale - b_factor * boxes.inverse_d2 / 4 + ln_p + boxes.ln_known).exp() + _LEAST_AMOUNT
    expected = (boxes.background[:, None] + amount[:, None] * boxes.profile).clamp(min=1e-9)
    apart = expected - boxes.counts + torch.xlogy(boxes.counts, boxes.counts) - boxes.counts * expected.log()
    return (apart * boxes.good).sum(1)


def learn(partiality: Partiality, boxes: Boxes) -> Float[Tensor, "image 2"]:
    """Find a partiality together with ln G and B of the images, by L-BFGS on the likelihood; returns these."""
    own = _start(partiality, boxes).requires_grad_()
    _minimise([own, *partiality.parameters()], partiality, own, boxes)
    return own.detach()


def scales(partiality: Partiality, boxes: Boxes) -> Float[Tensor, "image 2"]:
    """Find ln G and B of images under a partiality that stays."""
    own = _start(partiality, boxes).requires_grad_()
    _minimise([own], partiality, own, boxes)
    return own.detach()


def _start(partiality: Partiality, boxes: Boxes) -> Float[Tensor, "image 2"]:
    """ln G from the photons of all spots of an image, B = 0."""
    with torch.no_grad():
        share = boxes.good * boxes.profile
        photons = ((boxes.counts - boxes.background[:, None]) * boxes.good).sum(1)
        expected = (partiality(boxes.excitation2, boxes.inverse_d2).clamp(min=-_MOST) + boxes.ln_known).exp()
        count = int(boxes.image.max()) + 1
        total, unit = (
            torch.zeros(count, dtype=photons.dtype).index_add(0, boxes.image, one)
            for one in (photons, expected * share.sum(1))
        )
    return torch.stack([(total.clamp(min=1.0) / unit.clamp(min=1e-300)).log(), torch.zeros_like(total)], dim=1)


def _minimise(free: list[Tensor], partiality: Partiality, own: Tensor, boxes: Boxes) -> None:
    """Go down with L-BFGS."""
    optimiser = torch.optim.LBFGS(
        free, max_iter=_EVALUATIONS, max_eval=2 * _EVALUATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-9
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        prior = partiality.minus_ln_prior(boxes.inverse_d2) / len(boxes)
        value = minus_ln_likelihoods(partiality, own, boxes).mean() + prior
        value.backward()
        return value

    optimiser.step(closure)


@dataclass(frozen=True, kw_only=True)
class PartialityScore:
    """A learned partiality against the Gaussian, on images that neither learned from."""

    images: int
    spots: int
    gain: float  # ln L of the learned one less the Gaussian's, per image
    gain_error: float  # standard error, from image to image
    deviance_gaussian: float  # twice minus ln L, less that of the counts themselves, per spot
    deviance_learned: float

    @property
    def standard_errors(self) -> float:
        """Gain over its standard error."""
        return self.gain / self.gain_error


def compared(gaussian: Partiality, learned: Partiality, boxes: Boxes) -> PartialityScore:
    """Score two partialities on images of their own: ln G and B from every other spot, ln L of the rest."""
    odd = torch.arange(len(boxes)) % 2 == 1
    scored = boxes.those(odd)
    with torch.no_grad():
        values = [
            minus_ln_likelihoods(one, own, scored)
            for one, own in ((one, _scales(one, boxes.those(~odd))) for one in (gaussian, learned))
        ]
        count = int(boxes.image.max()) + 1
        per_image = torch.zeros(count, dtype=values[0].dtype).index_add(0, scored.image, values[0] - values[1])
    deviances = [2 * float(one.mean()) for one in values]
    error = float(per_image.std()) / math.sqrt(count)
    return PartialityScore(
        images=count,
        spots=len(scored),
        gain=float(per_image.mean()),
        gain_error=error,
        deviance_gaussian=deviances[0],
        deviance_learned=deviances[1],
    )


def _scales(partiality: Partiality, boxes: Boxes) -> Float[Tensor, "image 2"]:
    """The same within a block without gradients."""
    with torch.enable_grad():
        return scales(partiality, boxes)
