"""Dynamical diffraction of a strained layer on its substrate: the Takagi-Taupin equations, layer by layer, compiled.

In depth z the two fields D_0, D_h of a symmetric Bragg reflection obey dD/dz = i k M D, k = 2 pi / lambda, with

    M = [[ chi_0 / 2g,       C W chi_-h / 2g          ],
         [ -C W chi_h / 2g,  2 (s - g) - chi_0 / 2g   ]],    g = sin(theta),  s(z) = lambda / 2 d(z),

C the polarisation factor, W the static Debye-Waller factor, exact in angle and strain. Over a layer in which s changes
by a linear law the solution is exp(Omega), Omega of fourth order (Magnus): i k t times the mean of M at the two Gauss
points, less i kappa [[0, M_12], [-M_21, 0]] with kappa = k t^2 s' / 6. All that is needed of exp(-Omega) are cos and
sin x / x of x^2 = (k t)^2 (a^2 + M_12 M_21 (1 + kappa^2)), a = (M_11 - M_22) / 2. The imaginary part of x^2 is small
for a thin layer, and is a Taylor step from the real part; so all is real arithmetic, which the compiler makes vectors
of.

References: Takagi, Acta Cryst. 15, 1311 (1962); Taupin, Bull. Soc. Fr. Miner. Crist. 87, 469 (1964); Blanes et al.,
Phys. Rep. 470, 151 (2009), eq. 216.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from jaxtyping import Complex, Float

_LARGEST_COUPLING = 0.3  # k t |M_12| of a sublayer
_SERIES = 0.3  # |x^2| below which cos and sin x / x are power series


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function; what checks its annotations in the tests is taken off first."""
    return numba.njit(cache=True, fastmath=True, error_model="numpy", nogil=True)(inspect.unwrap(function))


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into its callers, so that their loops stay vectors."""
    return numba.njit(inline="always", fastmath=True, error_model="numpy")(inspect.unwrap(function))


_Real = Float[np.ndarray, "angle"]
_Layers = Float[np.ndarray, "layer"]


def substrate_ratio(sin_theta: _Real, bragg: float, chi_0: complex, coupling: complex) -> Complex[np.ndarray, "angle"]:
    """D_h / D_0 at the surface of the semi-infinite crystal, the solution that decays with depth.

    Parameters
    ----------
    sin_theta:
        g.
    bragg:
        s = lambda / 2 d.
    chi_0, coupling:
        chi_0 and C sqrt(chi_h chi_-h), which stands for both chi_h and chi_-h.
    """
    a = chi_0 / (2 * sin_theta) - (bragg - sin_theta)
    b = coupling / (2 * sin_theta)
    root = np.sqrt(a**2 - b**2 + 0j)
    root = np.where(root.imag < 0, -root, root)  # of the two eigenvalues +-root the one that decays
    return (root - a) / b


def require_thin(kt: _Layers, coupling: float, absorption: float, least_sine: float) -> None:
    """Refuse sublayers too thick for the Taylor steps of :func:`fields`.

    Parameters
    ----------
    kt:
        Wavenumber times thickness of each.
    coupling, absorption:
        |chi_h| and the imaginary part of chi_0.
    least_sine:
        The smallest g.

    Raises
    ------
    ValueError
        A sublayer is too thick; the message says how thick one may be.
    """
    thickest = float(np.max(kt, initial=0.0))
    allowed = _LARGEST_COUPLING * 2 * least_sine / max(coupling, 10 * absorption)
    if thickest > allowed:
        raise ValueError(
            f"sublayers of at most {allowed:.0f} wavelengths / 2 pi are required; {thickest:.0f} came; cut them finer"
        )


@_inlined
def _functions(w: float) -> tuple[float, float, float]:
    """Cos x, sin x / x and its derivative by x^2, of w = x^2; without branches, so that a loop over it is vectors."""
    n = min(max(w, -_SERIES), _SERIES)
    c0 = 1 + n * (-1 / 2 + n * (1 / 24 + n * (-1 / 720 + n * (1 / 40320 - n / 3628800))))
    s0 = 1 + n * (-1 / 6 + n * (1 / 120 + n * (-1 / 5040 + n * (1 / 362880 - n / 39916800))))
    d0 = -1 / 6 + n * (1 / 60 + n * (-1 / 1680 + n * (1 / 90720 - n * (5 / 39916800))))
    far = max(w, _SERIES)
    x = math.sqrt(far)
    turns = math.floor(x * (1 / math.pi) + 0.5)
    r = (x - turns * 3.141592653589793) - turns * 1.2246467991473532e-16
    sign = 1.0 - 2.0 * (turns - 2.0 * math.floor(turns * 0.5))
    y = r * r  # at most (pi / 2)^2
    high = 1 / 362880 + y * (-1 / 39916800 + y * (1 / 6227020800 - y / 1307674368000))
    sine = r * (1 + y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y * high))))
    high = 1 / 40320 + y * (-1 / 3628800 + y * (1 / 479001600 + y * (-1 / 87178291200 + y / 20922789888000)))
    cosine = 1 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y * high)))
    c1 = sign * cosine
    s1 = sign * sine / x
    d1 = (c1 - s1) / (2 * far)
    is_far = 1.0 if w > _SERIES else 0.0
    return c0 + is_far * (c1 - c0), s0 + is_far * (s1 - s0), d0 + is_far * (d1 - d0)


@_inlined
def _curvature(w: float, s: float, d: float) -> float:
    """Second derivative of sin x / x by x^2, from w, the function and its first derivative."""
    near = min(max(w, -_SERIES), _SERIES)
    series = 1 / 60 + near * (-1 / 840 + near * (1 / 30240 - near * (1 / 1995840)))
    return (-0.5 * s - 3 * d) / (2 * w) if w > _SERIES else series


@_inlined
def _sublayer(g, t, s, kap, dw, optics):  # type: ignore[no-untyped-def]
    """What exp(-Omega) = C - i k t S N' of one sublayer is made of.

    Real and imaginary parts of a, b = M_12, C, f = -i k t S, and of the elements above and below the diagonal of N';
    then x^2 (real part, imaginary part), real S and S'.
    """
    half = 0.5 / g
    ar, ai = optics[0] * half + g - s, optics[1] * half
    br, bi = optics[2] * half * dw, optics[3] * half * dw
    k2 = 1 + kap * kap
    w, wi = t * t * (ar * ar - ai * ai - (br * br - bi * bi) * k2), t * t * (2 * ar * ai - 2 * br * bi * k2)
    c, s0, d = _functions(w)
    cr, ci = c + 0.25 * wi * wi * d, -0.5 * wi * s0
    fr, fi = t * wi * d, -t * s0
    ur, ui = br + kap * bi, bi - kap * br  # b (1 - i kappa)
    lr, li = -(br - kap * bi), -(bi + kap * br)  # -b (1 + i kappa)
    return ar, ai, br, bi, cr, ci, fr, fi, ur, ui, lr, li, w, wi, s0, d


@_inlined
def _times(ar, ai, br, bi):  # type: ignore[no-untyped-def]
    """Product of two complex numbers."""
    return ar * br - ai * bi, ar * bi + ai * br


@compiled
def fields(sin_theta, layers, optics, start, out):  # type: ignore[no-untyped-def]
    """Fields at the top of every sublayer.

    Parameters
    ----------
    sin_theta:
        g.
    layers:
        (4, layer): k t, s, kappa, W.
    optics:
        Real and imaginary part of chi_0 and of C sqrt(chi_h chi_-h).
    start:
        D_h / D_0 of the substrate, real and imaginary part (2, angle).
    out:
        (layer + 1, 4, angle): re D_0, im D_0, re D_h, im D_h; the last is the substrate's.
    """
    n_layers, n_angles = layers.shape[1], sin_theta.size
    bottom = out[n_layers]
    for i in range(n_angles):
        bottom[0, i], bottom[1, i], bottom[2, i], bottom[3, i] = 1.0, 0.0, start[0, i], start[1, i]
    for reverse in range(n_layers):
        j = n_layers - 1 - reverse
        below, above = out[j + 1], out[j]
        t, s, kap, dw = layers[0, j], layers[1, j], layers[2, j], layers[3, j]
        for i in range(n_angles):
            ar, ai, _, _, cr, ci, fr, fi, ur, ui, lr, li, _, _, _, _ = _sublayer(sin_theta[i], t, s, kap, dw, optics)
            far, fai = _times(fr, fi, ar, ai)
            fur, fui = _times(fr, fi, ur, ui)
            flr, fli = _times(fr, fi, lr, li)
            p0r, p0i, p1r, p1i = below[0, i], below[1, i], below[2, i], below[3, i]
            dr, di, er, ei = cr + far, ci + fai, cr - far, ci - fai
            above[0, i] = dr * p0r - di * p0i + fur * p1r - fui * p1i
            above[1, i] = dr * p0i + di * p0r + fur * p1i + fui * p1r
            above[2, i] = flr * p0r - fli * p0i + er * p1r - ei * p1i
            above[3, i] = flr * p0i + fli * p0r + er * p1i + ei * p1r


@compiled
def _surface_row(top, row):  # type: ignore[no-untyped-def]
    """Derivative of R by both fields at the surface: dR = 2 re(conj(X) dX), dX = (dD_h - X dD_0) / D_0."""
    for i in range(top.shape[1]):
        n = 1.0 / (top[0, i] * top[0, i] + top[1, i] * top[1, i])
        qr, qi = top[0, i] * n, -top[1, i] * n  # 1 / D_0
        xr, xi = _times(top[2, i], top[3, i], qr, qi)
        hr, hi = 2 * (xr * qr + xi * qi), 2 * (xr * qi - xi * qr)  # 2 conj(X) / D_0
        row[0, i], row[1, i] = -(hr * xr - hi * xi), -(hr * xi + hi * xr)
        row[2, i], row[3, i] = hr, hi


@compiled
def sensitivities(sin_theta, layers, optics, weight, found, by):  # type: ignore[no-untyped-def]
    """Derivatives of R = |D_h / D_0|^2, by the adjoint method from the top sublayer down.

    Parameters
    ----------
    sin_theta, layers, optics:
        As in :func:`fields`.
    weight:
        Of this polarisation.
    found:
        What :func:`fields` gave.
    by:
        (4, layer, angle): by k t, s, kappa, W; the derivatives times weight are added.
    """
    row = np.empty((4, sin_theta.size))
    _surface_row(found[0], row)
    for j in range(layers.shape[1]):
        below = found[j + 1]
        t, s, kap, dw = layers[0, j], layers[1, j], layers[2, j], layers[3, j]
        tt, k2 = t * t, 1 + kap * kap
        for i in range(sin_theta.size):
            ar, ai, br, bi, cr, ci, fr, fi, ur, ui, lr, li, w, wi, sr, d = _sublayer(
                sin_theta[i], t, s, kap, dw, optics
            )
            si, di = wi * d, wi * _curvature(w, sr, d)  # imaginary parts of S and S'
            b2r, b2i = -(br * br - bi * bi), -2 * br * bi
            p0r, p0i, p1r, p1i = below[0, i], below[1, i], below[2, i], below[3, i]
            r0r, r0i, r1r, r1i = row[0, i], row[1, i], row[2, i], row[3, i]
            # products of the row with the fields: r0 p0, r0 p1, r1 p0, r1 p1
            oor, ooi = _times(r0r, r0i, p0r, p0i)
            ohr, ohi = _times(r0r, r0i, p1r, p1i)
            hor, hoi = _times(r1r, r1i, p0r, p0i)
            hhr, hhi = _times(r1r, r1i, p1r, p1i)
            sumr, sumi, difr, difi = oor + hhr, ooi + hhi, oor - hhr, ooi - hhi
            # row N' fields, N' = [[a, u], [l, -a]]
            upr, upi = _times(ur, ui, ohr, ohi)
            lor, loi = _times(lr, li, hor, hoi)
            offr, offi = upr + lor, upi + loi
            nr, ni = ar * difr - ai * difi + offr, ar * difi + ai * difr + offi
            # by x^2: -S/2 - i k t S' N'
            gr = -0.5 * (sr * sumr - si * sumi) + t * (d * ni + di * nr)
            gi = -0.5 * (sr * sumi + si * sumr) - t * (d * nr - di * ni)
            # k t: -x^2 S / k t of the fields, -i C of N' (the derivative of k t S is C)
            wsr, wsi = _times(w, wi, sr, si)
            by[0, j, i] += weight * (cr * ni + ci * nr - (wsr * sumr - wsi * sumi) / t)
            # s: x^2 changes by -2 a (k t)^2, N' by diag(-1, 1)
            by[1, j, i] += weight * (-2 * tt * (ar * gr - ai * gi) - (fr * difr - fi * difi))
            # kappa: x^2 by 2 kappa (k t)^2 b c, N' by -i b off the diagonal
            mr, mi = _times(bi, -br, ohr + hor, ohi + hoi)
            by[2, j, i] += weight * (2 * kap * tt * (b2r * gr - b2i * gi) + fr * mr - fi * mi)
            # W: x^2 by 2 (k t)^2 b c (1 + kappa^2) / W, N' by its off-diagonal / W
            by[3, j, i] += weight * (2 * tt * k2 * (b2r * gr - b2i * gi) + fr * offr - fi * offi) / dw
            far, fai = _times(fr, fi, ar, ai)
            fur, fui = _times(fr, fi, ur, ui)
            flr, fli = _times(fr, fi, lr, li)
            dr, di, er, ei = cr + far, ci + fai, cr - far, ci - fai
            row[0, i] = r0r * dr - r0i * di + r1r * flr - r1i * fli
            row[1, i] = r0r * di + r0i * dr + r1r * fli + r1i * flr
            row[2, i] = r0r * fur - r0i * fui + r1r * er - r1i * ei
            row[3, i] = r0r * fui + r0i * fur + r1r * ei + r1i * er
