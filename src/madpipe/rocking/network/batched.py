"""Reflectivity of many implanted layers at once, in single precision, on any device: what the network is trained with.

The equations are those of :mod:`madpipe.rocking.dynamical`, written for the ratio X = D_h / D_0 of every curve,
polarisation and angle; autograd goes through them.
"""

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.replay import Replayed
from madpipe.rocking.dynamical import substrate_ratio
from madpipe.rocking.forward import GAUSS, Reflection
from madpipe.rocking.prior import HIGH
from madpipe.rocking.profiles import implanted_strain

_Pair = tuple[Tensor, Tensor]
_SERIES = 0.3  # |x^2| below which cos and sin x / x are power series


class Batched:
    """A reflection at fixed angles, ready for batches.

    Parameters
    ----------
    angles:
        theta [radian], in double precision.
    reflection:
        Crystal and beam.
    step:
        Thickest sublayer [angstrom]: all layers are cut into as many sublayers as the thickest of the prior needs.
    device:
        Where the batches are.
    """

    def __init__(
        self, angles: Float[Tensor, "angle"], reflection: Reflection, step: float, device: torch.device
    ) -> None:
        self.reflection = reflection
        self.sublayers = math.ceil(HIGH[2] / step)
        sines = torch.sin(angles.double())
        chi, bragg = reflection.chi, reflection.bragg
        coupling = [factor * complex(chi.product) ** 0.5 for _, factor in reflection.polarisations]
        start = torch.stack(
            [torch.from_numpy(substrate_ratio(sines.numpy(), bragg, chi.chi_0, one)) for one in coupling]
        )
        half = 0.5 / sines
        asymmetry = abs(chi.chi_h / chi.chi_minus_h)

        def there(values: Tensor) -> Tensor:
            return values.float().to(device)

        self.weights = there(torch.tensor([weight * asymmetry for weight, _ in reflection.polarisations]))[:, None]
        self.start = (there(start.real), there(start.imag))
        self.a = (there(sines - bragg + chi.chi_0.real * half), there(chi.chi_0.imag * half))
        both = torch.tensor(coupling, dtype=torch.complex128)[:, None] * half
        self.b = (there(both.real), there(both.imag))

    def __call__(self, values: Float[Tensor, "7 curve"]) -> Float[Tensor, "curve angle"]:
        """Give reflectivities, both polarisations, of layers with these parameters."""
        size = values[2] / self.sublayers
        number = torch.arange(self.sublayers, device=values.device, dtype=values.dtype)
        middle = (number + 0.5) * size[:, None]
        upper, lower = (
            _bragg_change(implanted_strain(middle + side * GAUSS * size[:, None], values[..., None]), self.reflection)
            for side in (-1, 1)
        )
        kt = self.reflection.wavenumber * size
        change = ((upper + lower) / 2).T.contiguous()
        kappa = (kt[:, None] * (lower - upper) * (math.sqrt(3) / 6)).T.contiguous()
        given = (*self.start, *self.a, *self.b, kt, change, kappa)
        x = _through_layers(*given) if values.requires_grad else _replayed(values.device, change.shape)(*given)
        return ((x[0] ** 2 + x[1] ** 2) * self.weights).sum(1)


@cache
def _replayed(device: torch.device, shape: torch.Size) -> Replayed:
    """The way through all sublayers of a batch of this size, recorded on a GPU."""
    return Replayed(_through_layers)


def _through_layers(
    xr: Tensor, xi: Tensor, ar: Tensor, ai: Tensor, br: Tensor, bi: Tensor, kt: Tensor, change: Tensor, kappa: Tensor
) -> _Pair:
    """X at the surface from the substrate's, real and imaginary part (curve, polarisation, angle)."""
    shape = (len(kt), *xr.shape)
    x = (xr.expand(shape), xi.expand(shape))
    through = _through_sublayer(kt.device.type)
    for layer in reversed(range(len(change))):
        x = through(x, (ar, ai), (br, bi), *(one[:, None, None] for one in (kt, change[layer], kappa[layer])))
    return x


def _bragg_change(strain: Tensor, reflection: Reflection) -> Tensor:
    """How much a strain changes s = lambda / 2 d."""
    return -reflection.bragg * strain / (1 + strain)


@cache
def _through_sublayer(kind: str):  # type: ignore[no-untyped-def]
    """The step through one sublayer, fused by the compiler on a GPU, where it is bound by memory."""
    return torch.compile(_sublayer) if kind == "cuda" else _sublayer


def _sublayer(x: _Pair, a: _Pair, b: _Pair, t: Tensor, change: Tensor, kappa: Tensor) -> _Pair:
    """X above a sublayer from X below it; a is M_11 - M_22 over 2 without strain, b is M_12, t is k times thickness."""
    ar, ai = a[0] - change, a[1]
    br, bi = b
    k2 = 1 + kappa**2
    w = t**2 * (ar**2 - ai**2 - (br**2 - bi**2) * k2)
    wi = t**2 * (2 * ar * ai - 2 * br * bi * k2)
    c, s, d = _functions(w)
    cr, ci = c + 0.25 * wi**2 * d, -0.5 * wi * s
    fr, fi = t * wi * d, -t * s
    far, fai = _times(fr, fi, ar, ai)
    fur, fui = _times(fr, fi, br + kappa * bi, bi - kappa * br)
    flr, fli = _times(fr, fi, -(br - kappa * bi), -(bi + kappa * br))
    top = _times(cr - far, ci - fai, *x)
    bottom = _times(fur, fui, *x)
    nr, ni = flr + top[0], fli + top[1]
    dr, di = cr + far + bottom[0], ci + fai + bottom[1]
    scale = 1 / (dr**2 + di**2)
    return (nr * dr + ni * di) * scale, (ni * dr - nr * di) * scale


def _functions(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cos x, sin x / x and its derivative by x^2, of w = x^2."""
    n = w.clamp(-_SERIES, _SERIES)
    c0 = 1 + n * (-1 / 2 + n * (1 / 24 - n * (1 / 720)))
    s0 = 1 + n * (-1 / 6 + n * (1 / 120 - n * (1 / 5040)))
    d0 = -1 / 6 + n * (1 / 60 + n * (-1 / 1680 + n * (1 / 90720)))
    far = w.clamp(min=_SERIES)
    x = torch.sqrt(far)
    c1, s1 = torch.cos(x), torch.sin(x) / x
    is_far = w > _SERIES
    d1 = (c1 - s1) / (2 * far)
    return torch.where(is_far, c1, c0), torch.where(is_far, s1, s0), torch.where(is_far, d1, d0)


def _times(ar: Tensor, ai: Tensor, br: Tensor, bi: Tensor) -> _Pair:
    """Product of two complex numbers."""
    return ar * br - ai * bi, ar * bi + ai * br
