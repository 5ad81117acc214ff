"""Concentrations of any scheme of mass action by integration, with their derivatives."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from madpipe.base.errors import InputError
from madpipe.kinetics.schemes.scheme import Scheme

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_Amounts = Float[np.ndarray, "time state"]
_Slopes = Float[np.ndarray, "parameter time state"]


def integrated(
    scheme: Scheme,
    rates: Float[np.ndarray, " parameter"],
    initial: Float[np.ndarray, " state"],
    ages: Float[np.ndarray, " time"],
) -> tuple[_Amounts, _Slopes]:
    """Integrate concentrations and their derivatives by ln k together.

    Parameters
    ----------
    rates:
        Rate constants, in 1/s and concentrations of ``initial``'s unit.
    initial:
        Concentrations at age 0.
    ages:
        Rising, not negative [s].

    Raises
    ------
    InputError
        The integration fails: concentrations run away.
    """
    states, parameters = len(scheme.states), len(rates)
    flow = _flow(scheme, np.asarray(rates))
    start = np.concatenate([initial, np.zeros(states * parameters)])
    if not len(ages) or ages[-1] == 0:
        found = np.repeat(start[None], len(ages), axis=0)
    else:
        solved = solve_ivp(flow, (0.0, ages[-1]), start, method="LSODA", t_eval=ages, rtol=_RELATIVE, atol=_ABSOLUTE)
        if not solved.success or solved.y.shape[1] != len(ages) or not np.isfinite(solved.y).all():
            raise InputError(
                f"scheme {scheme.text!r}: needs concentrations that stay finite; its integration ends with: "
                f"{' '.join(str(solved.message).split())}; mend the scheme."
            )
        found = solved.y.T
    slopes = found[:, states:].reshape(len(ages), parameters, states)
    return found[:, :states], np.ascontiguousarray(slopes.transpose(1, 0, 2))


def _flow(scheme: Scheme, rates: np.ndarray) -> Callable[[float, np.ndarray], np.ndarray]:
    """Right side of the equations for concentrations and derivatives."""
    states = len(scheme.states)
    orders, change = _stoichiometry(scheme)
    involved = [[state for state in range(states) if orders[step, state]] for step in range(len(rates))]

    def flow(_: float, amounts: np.ndarray) -> np.ndarray:
        now = amounts[:states]
        slopes = amounts[states:].reshape(len(rates), states)
        speeds = rates.copy()
        by_amount = np.zeros((len(rates), states))
        for step, used in enumerate(involved):
            for state in used:
                speeds[step] *= now[state] ** orders[step, state]
            for state in used:
                slope = rates[step] * orders[step, state] * now[state] ** (orders[step, state] - 1)
                for other in used:
                    if other != state:
                        slope *= now[other] ** orders[step, other]
                by_amount[step, state] = slope
        turning = slopes @ by_amount.T  # (parameter, step)
        turning[np.arange(len(rates)), np.arange(len(rates))] += speeds
        return np.concatenate([change.T @ speeds, (turning @ change).ravel()])

    return flow


def _stoichiometry(scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """Orders (step, state) of each rate, and what a step changes (step, state)."""
    orders = np.zeros((len(scheme.reactions), len(scheme.states)), dtype=int)
    change = np.zeros((len(scheme.reactions), len(scheme.states)))
    for step, one in enumerate(scheme.reactions):
        for state, molecules in one.reactants:
            orders[step, state] += molecules
            change[step, state] -= molecules
        for state, molecules in one.products:
            change[step, state] += molecules
    return orders, change
