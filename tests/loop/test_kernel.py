"""Covariance function of the Gaussian processes over decision vectors."""

import numpy as np
import pytest

from mnas.loop import kernel


def test_covariance_by_hand():
    # 1 + 4 · (0.7 · 0.6 + 0.3 · 0.36) = 3.112; a network with itself: 1 + 4
    covariance = kernel.covariance(np.array([[1.0, 0.6], [0.0, 1.0]]))
    np.testing.assert_allclose(covariance, [[5, 3.112], [1, 5]])


@pytest.mark.parametrize("seed", range(3))
def test_covariance_matrix_is_positive_semidefinite(seed):
    decisions = np.random.default_rng(seed).integers(0, 3, (40, 6))
    agreement = (decisions[:, None] == decisions[None]).mean(-1)
    assert np.linalg.eigvalsh(kernel.covariance(agreement)).min() > -1e-9
