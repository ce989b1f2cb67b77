"""SGD with Nesterov momentum by hand; RMSProp is compared in `test_blockwise`."""

import numpy as np
import optax

from mnas.training.config import TrainingConfig
from mnas.training.optimizer import optimizer_of


def test_nesterov_momentum_by_hand():
    config = TrainingConfig(optimizer="sgd", momentum=0.5, weight_decay=0.1)
    optimizer = optimizer_of(config)
    params = {"kernel": np.float32([2.0]), "bias": np.float32([2.0])}
    state = optimizer.init(params)
    gradients = {"kernel": np.float32([1.0]), "bias": np.float32([1.0])}
    # Bias: v = 1, w = 2 - 0.1 · (1 + 0.5); v = 1.5, w = 1.85 - 0.1 · (1 + 0.75).
    # Kernel: g = 1 + 0.1 · 2 = 1.2, v = 1.2, w = 2 - 0.1 · (1.2 + 0.6) = 1.82;
    #         g = 1.182, v = 0.6 + 1.182 = 1.782, w = 1.82 - 0.1 · (1.182 + 0.891).
    for expected in ({"kernel": 1.82, "bias": 1.85}, {"kernel": 1.6127, "bias": 1.675}):
        updates, state = optimizer.build().update(gradients, state, params, learning_rate=0.1)
        params = optax.apply_updates(params, updates)
        for name, value in expected.items():
            np.testing.assert_allclose(params[name], [value], rtol=1e-6)
