"""Lists of reflections on scales of their own, put on one by their mean intensities and their Bijvoet differences."""

import logging

import numpy as np
from jaxtyping import Bool, Float

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad.limits import MOST_CHANGE, SAME_SCALE
from madpipe.mad.measured.readers.arrays import Fields

log = logging.getLogger(__name__)
_LEAST_PAIRS = 30  # of Friedel mates: their mean square is then known to 1 / sqrt(15), a quarter
_SHARE_ERROR = 0.25  # relative; three wavelengths of a selenium crystal gave .074 to .089
_SIGMAS = 3.0  # of what entries leave to chance
_SURE = 4.0  # times the errors' share that the mean square difference must exceed; what is left is then no rounding


def with_exposures(values: Fields, *, separate: bool, known_dispersion: bool) -> Fields:
    r"""Give lists of reflections that are not on one scale the relative exposure of each energy.

    .. math::
        \tau_k \propto \frac{\langle I_k \rangle}{1 + x g_k}, \quad
        g_k = \left\langle \frac{2 f'_k}{f^0} + \frac{f_k'^2 + f_k''^2}{(f^0)^2} \right\rangle, \quad
        x = \frac{\langle (I_+ - I_-)^2 \rangle - \langle \sigma_+^2 + \sigma_-^2 \rangle}
        {4 \langle (f'' / f^0)^2 \bar{I}^2 \rangle}

    over the entries measured at every energy, where x is the resonant atoms' share :math:`|F_A|^2 / |F_T|^2` of the
    intensity.

    Parameters
    ----------
    values:
        Fields of lists that were joined, with f', f'' and f0.
    separate:
        The lists come from files of their own, so that they were scaled apart; else they are on one scale as far as
        the intensities show.
    known_dispersion:
        f', f'' are known, not to be refined.

    Returns
    -------
    :
        With the monitor :math:`\tau`, 1 at the highest energy; lists of one file that are on one scale as they came,
        others relative to their median, so that the scale is that of most lists.

    Warns
    -----
    DataWarning
        Lists of one file that are not on one scale. Of lists from files of their own the log tells the exposures.

    Notes
    -----
    x follows for random phases from :math:`\langle (I_+ - I_-)^2 \rangle = 8 (f''/f^0)^2 \langle |F_T|^2 |F_A|^2
    \rangle` and, of acentric reflections, :math:`\langle I^2 \rangle = 2 \langle I \rangle^2`. The median over the
    energies is taken. It is left out, 0, where errors hide the differences, f' and f'' are to be refined, or there are
    fewer than 30 pairs; then :math:`\tau` is off by up to the resonant atoms' share of the change in intensity.

    Raises
    ------
    InputError
        A mean intensity that is not positive; lists scaled apart without entries measured at every energy.
    """
    if "friedel_sign" not in values or "monitor" in values or len(values["energy"]) < 2:
        return values
    data, reference = np.asarray(values["data"], dtype=float), int(np.argmax(values["energy"]))
    common: np.ndarray = (np.asarray(values["mask"]) == 0).all(0)
    mean = data[:, common].mean(1) if common.any() else np.full(len(data), np.nan)
    if not separate and not common.any():
        return values
    if not np.all(mean > 0):
        raise InputError(
            "Lists of several energies need entries measured at every energy, of positive mean, to be put on one "
            "scale; there are none; give the relative exposures, monitor: [1, 1, 1]."
        )
    ratio, gain, share = mean / mean[reference], _gain(values, common), _resonant_share(values)
    exposure = ratio / (1 + (share or 0.0) * gain * known_dispersion)
    exposure = exposure / (exposure[reference] if separate else np.sort(exposure)[(len(exposure) - 1) // 2])
    doubt = _doubt(gain if known_dispersion else None, share, int(common.sum()))
    if not separate and (np.abs(exposure - 1) < doubt).all():
        return values
    told = f"relative exposures {_listed(exposure)}"
    is_known = share is not None and known_dispersion
    how = "1 to 3 %" if is_known else "the share of the resonant atoms in the intensity, a few per cent"
    based = f"estimated from {int(common.sum())} entries measured at every energy, right to about {how}"
    if separate:
        log.info("lists from files of their own: %s, %s", told, based)
        return {**values, "monitor": exposure, "title": f"{values['title']} ({told})"}
    warn(
        f"the lists of the {len(exposure)} energies are not on one scale, mean intensities {_listed(ratio)}: {told}, "
        f"{based}, are used; scale them together, or give monitor in the configuration, if you know better"
    )
    return {**values, "monitor": exposure}


def _gain(values: Fields, common: Bool[np.ndarray, "entry"]) -> Float[np.ndarray, "energy"]:
    """Relative change of the intensity with f', f'' of atoms that scatter all of it."""
    f0 = np.broadcast_to(np.asarray(values["f0"], dtype=float), common.shape)[common]
    f_prime, f_double_prime = (np.asarray(values[name])[:, None] for name in ("f_prime", "f_double_prime"))
    gain: np.ndarray = (2 * f_prime / f0 + (f_prime**2 + f_double_prime**2) / f0**2).mean(1)
    return gain


def _resonant_share(values: Fields) -> float | None:
    """Resonant atoms' share of the intensity from the Bijvoet differences; None where they do not tell."""
    sign, indices = np.asarray(values["friedel_sign"]), np.asarray(values["miller_indices"])
    place = {(*index, one): k for k, (index, one) in enumerate(zip(indices.tolist(), sign.tolist(), strict=True))}
    pairs = np.array(
        [(k, place[*index, -1]) for (*index, one), k in place.items() if one > 0 and (*index, -1) in place]
    )
    if len(pairs) < _LEAST_PAIRS or "data_errors" not in values:
        return None
    f0 = np.broadcast_to(np.asarray(values["f0"], dtype=float), sign.shape)
    shares = []
    for k, f_double_prime in enumerate(values["f_double_prime"]):
        plus, minus = pairs[np.asarray(values["mask"] == 0)[k][pairs].all(1)].T
        data, errors = values["data"][k], values["data_errors"][k]
        squares = float(((data[plus] - data[minus]) ** 2).mean()) if len(plus) else 0.0
        noise = float((errors[plus] ** 2 + errors[minus] ** 2).mean()) if len(plus) else 0.0
        if len(plus) < _LEAST_PAIRS or squares < _SURE * noise:
            continue
        whole = 4 * ((f_double_prime / f0[plus] * (data[plus] + data[minus]) / 2) ** 2).mean()
        shares.append((squares - noise) / float(whole))
    return min(1.0, float(np.median(shares))) if shares else None


def _doubt(gain: Float[np.ndarray, "energy"] | None, share: float | None, entries: int) -> float:
    r"""How far exposures may be from 1 by what is not known of the resonant atoms, and by scaling programs.

    Their share x is known to a fourth or so; :math:`\langle F_N F_A^* \rangle` of n entries is zero to
    :math:`\sqrt{x / 2 n}`. Where f' is not known, it changes by up to 10 of 30 electron; where x is not, it is 1 at
    most.
    """
    change = 2 * MOST_CHANGE if gain is None else float(np.ptp(gain))
    if share is None:
        return SAME_SCALE + change
    known = _SHARE_ERROR if gain is not None else 1.0
    return SAME_SCALE + change * (known * share + _SIGMAS * (share / (2 * entries)) ** 0.5)


def _listed(values: Float[np.ndarray, "energy"]) -> str:
    """Numbers as text."""
    return ", ".join(f"{value:.3g}" for value in values)
