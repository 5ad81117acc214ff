"""Rotations in space: by a vector whose length is the angle [radian], right-handed."""

import math

import numpy as np
from jaxtyping import Float


def rotation(vectors: Float[np.ndarray, "*turn 3"]) -> Float[np.ndarray, "*turn 3 3"]:
    """Rotations by |v| about v (Rodrigues' formula) [radian]."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    across = cross_matrix(vectors)
    half = np.sinc(angle / 2 / np.pi)
    turned: np.ndarray = np.eye(3) + np.sinc(angle / np.pi) * across + half**2 / 2 * (across @ across)
    return turned


def cross_matrix(vectors: Float[np.ndarray, "*turn 3"]) -> Float[np.ndarray, "*turn 3 3"]:
    """Matrices [v] with [v] w = v x w."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_vector(matrices: Float[np.ndarray, "*turn 3 3"]) -> Float[np.ndarray, "*turn 3"]:
    """Rotation vectors of angles below pi [radian], the inverse of :func:`rotation`."""
    sine_vector = _sine_vector(matrices)
    sine, angle = np.linalg.norm(sine_vector, axis=-1), rotation_angle(matrices)
    return sine_vector * np.where(sine > 0, angle / np.where(sine > 0, sine, 1), 1)[..., None]


def rotation_angle(matrices: Float[np.ndarray, "*turn 3 3"]) -> Float[np.ndarray, "*turn"]:
    """Angles of rotations, 0 to pi [radian]."""
    cosine = (np.trace(matrices, axis1=-2, axis2=-1) - 1) / 2
    return np.asarray(np.arctan2(np.linalg.norm(_sine_vector(matrices), axis=-1), cosine))


def _sine_vector(matrices: Float[np.ndarray, "*turn 3 3"]) -> Float[np.ndarray, "*turn 3"]:
    """Axes of rotations times the sine of their angle."""
    odd = (matrices - np.swapaxes(matrices, -1, -2)) / 2
    return np.stack([odd[..., 2, 1], odd[..., 0, 2], odd[..., 1, 0]], axis=-1)


def turning(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    r"""Left Jacobian J of the rotation group: exp([v + dv]) = exp([J dv]) exp([v]) to first order.

    .. math:: J = 1 + \frac{1 - \cos\theta}{\theta^2} [v] + \frac{\theta - \sin\theta}{\theta^3} [v]^2

    References
    ----------
    Chirikjian, Stochastic Models, Information Theory, and Lie Groups, volume 2 (2012), eq. 10.86.
    """
    angle, across = float(np.linalg.norm(vector)), cross_matrix(vector)
    first = np.sinc(angle / 2 / np.pi) ** 2 / 2
    second = (angle - math.sin(angle)) / angle**3 if angle > 1e-2 else (1 - angle**2 / 20 * (1 - angle**2 / 42)) / 6
    turned: np.ndarray = np.eye(3) + first * across + second * (across @ across)
    return turned
