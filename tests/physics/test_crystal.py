"""Reciprocal space of a unit cell against gemmi's, and back."""

import gemmi
import numpy as np

from madpipe.physics.crystal import momentum_transfer, real_indices

CELL = np.array([5.0, 6.0, 7.0, 80.0, 95.0, 110.0])


def test_the_metric_of_a_triclinic_cell_is_gemmis():
    cell, indices = gemmi.UnitCell(*CELL), np.array([[1, 2, 3], [-2, 0, 5], [4, -1, 0]])
    q = momentum_transfer(CELL, indices.astype(float))
    spacing = cell.calculate_d_array(indices.astype(np.int32))
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 2 * np.pi / spacing, rtol=1e-12)
    np.testing.assert_allclose(real_indices(CELL, q), indices, atol=1e-13)
    # real indices lie between: Q is linear in them
    np.testing.assert_allclose(
        momentum_transfer(CELL, indices + 0.25), q + momentum_transfer(CELL, np.full((1, 3), 0.25))
    )
