"""Concentrations of a scheme's species in every frame: THE equation of the study's rates."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.kinetics.schemes.exponential import exponential_of_rates
from madpipe.kinetics.schemes.mass_action import integrated
from madpipe.kinetics.schemes.response import Response
from madpipe.kinetics.schemes.scheme import Scheme

_Logs = Float[np.ndarray, " parameter"]
_Made = tuple[np.ndarray, np.ndarray]


def initial_amounts(scheme: Scheme, given: Mapping[str, float] | None = None) -> Float[np.ndarray, " state"]:
    """Give the concentrations at the start: those given, else 1 for the first state and for what no step makes.

    Raises
    ------
    InputError
        A name that the scheme does not have, a negative concentration, or none at all.
    """
    found = np.zeros(len(scheme.states))
    if not given:
        found[list(scheme.sources())] = 1.0
        return found
    for name, amount in given.items():
        if name not in scheme.states:
            raise InputError(
                f"initial concentrations: need names of the scheme {scheme.text!r} ({', '.join(scheme.states)}); "
                f"{name!r} came; take one of these."
            )
        if not (np.isfinite(amount) and amount >= 0):
            raise InputError(f"initial concentrations: need numbers from 0; {name} = {amount:g} came; mend it.")
        found[scheme.states.index(name)] = amount
    if not found.any():
        raise InputError("initial concentrations: need one above 0; all are 0; give that of the first species.")
    return found


def concentrations(
    scheme: Scheme,
    logs: _Logs,
    response: Response,
    initial: Float[np.ndarray, " state"],
) -> tuple[Float[np.ndarray, "frame species"], Float[np.ndarray, "parameter frame species"]]:
    r"""Give the concentrations of the species and their derivatives by the logarithms of the parameters.

    Linear schemes: :math:`c(t) = \exp(K t)\, c(0)`; stretched and Avrami: :math:`c_A = c_A(0) \exp(-(k t)^n)`; all
    others by
    integration. Then the average over the instrument's response, and the sum over the states that scatter alike.

    Parameters
    ----------
    logs:
        ln of the rate constants [1/s] and exponents, in the order of ``scheme.parameters``.
    response:
        Of :func:`madpipe.kinetics.schemes.response.response_of`.
    initial:
        Concentrations of the states at the start.

    Raises
    ------
    InputError
        An integration fails.
    """
    if scheme.law != "mass action":
        amounts, slopes = _stretched(logs, initial, response.ages)
    elif scheme.is_linear:
        amounts, slopes = _linear(scheme, np.exp(logs), initial, response.ages)
    else:
        amounts, slopes = integrated(scheme, np.exp(logs), initial, response.ages)
    shares = scheme.shares()
    return response.averaged(amounts, initial) @ shares, response.averaged(slopes, np.zeros(len(initial))) @ shares


def _linear(scheme: Scheme, rates: np.ndarray, initial: np.ndarray, ages: np.ndarray) -> _Made:
    """Concentrations (age, state) of a scheme of first order, and derivatives by ln k."""
    states = len(scheme.states)
    by_rate = np.zeros((len(rates), states, states))
    for step, one in enumerate(scheme.reactions):
        source, target = one.reactants[0][0], one.products[0][0]
        by_rate[step, target, source] = rates[step]
        by_rate[step, source, source] = -rates[step]
    turned, slopes = exponential_of_rates(by_rate.sum(axis=0), by_rate, ages)
    return turned @ initial, slopes @ initial


def _stretched(logs: np.ndarray, initial: np.ndarray, ages: np.ndarray) -> _Made:
    """Concentrations (age, state) of A -> B with the conversion 1 - exp(-(k t)^n), and derivatives by ln k and ln n."""
    exponent = np.exp(logs[1])
    with np.errstate(divide="ignore"):
        power = exponent * (logs[0] + np.log(ages))  # ln of (k t)^n; minus infinity at the start
    reach = np.exp(np.minimum(power, 50.0))
    left = np.exp(-reach)
    falling = np.stack([exponent * reach * left, np.where(reach > 0, power, 0.0) * reach * left])
    amounts = np.stack([initial[0] * left, initial[1] + initial[0] * (1 - left)], axis=1)
    return amounts, initial[0] * np.stack([-falling, falling], axis=2)
