"""SGD with Nesterov momentum by hand, Muon; RMSProp is compared in `test_blockwise`."""

import jax
import numpy as np
import optax
import pytest

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


@pytest.mark.parametrize("kind", ["sgd", "rmsprop"])
def test_norm_bias_rate_is_a_factor_on_the_steps_of_batchnorm_biases_alone(kind):
    params = {
        "norm": {"scale": np.float32([2.0]), "bias": np.float32([1.0])},
        "squeeze_excite": {"kernel": np.float32([3.0]), "bias": np.float32([1.0])},
        "kernel": np.float32([3.0]),  # the head's classifier
        "bias": np.float32([1.0]),
    }
    gradients = {**params, "bias": np.float32([0.5])}

    def second_updates(rate):
        optimizer = optimizer_of(TrainingConfig(optimizer=kind, norm_bias_rate=rate))
        state = optimizer.init(params)
        for _ in range(2):
            updates, state = optimizer.build().update(gradients, state, params, learning_rate=0.1)
        return updates

    plain, scaled = second_updates(1.0), second_updates(8.0)
    np.testing.assert_allclose(scaled["norm"]["bias"], 8 * plain["norm"]["bias"], rtol=1e-6)
    plain["norm"].pop("bias"), scaled["norm"].pop("bias")
    assert scaled == plain


def test_muon_orthogonalises_the_steps_of_convolutions_alone():
    rng = np.random.default_rng(0)
    params = {
        "project": {"kernel": rng.normal(size=(1, 1, 6, 24)).astype(np.float32)},
        "depthwise": {"kernel": rng.normal(size=(3, 3, 1, 6)).astype(np.float32)},
        "norm": {"scale": np.ones(6, np.float32), "bias": np.zeros(6, np.float32)},
        "kernel": rng.normal(size=(6, 4)).astype(np.float32),
    }
    settings = {"momentum": 0.5, "weight_decay": 0.0}
    updates = {}
    for kind in ("muon", "sgd"):
        optimizer = optimizer_of(TrainingConfig(optimizer=kind, **settings))
        state = optimizer.init(params)
        built = jax.tree.map(np.asarray, optimizer.build().init(params))
        jax.tree.map(np.testing.assert_array_equal, state, built)
        for _ in range(2):
            updates[kind], state = optimizer.build().update(
                params, state, params, learning_rate=0.1
            )
    matrix = updates["muon"].pop("project")["kernel"].reshape(6, 24)
    updates["sgd"].pop("project")
    jax.tree.map(np.testing.assert_array_equal, updates["muon"], updates["sgd"])
    # Singular values of 1, within what five iterations reach, times 0.1 · sqrt(24 / 6).
    values = np.linalg.svd(matrix, compute_uv=False) / 0.2
    assert values.min() > 0.6 and values.max() < 1.3
    # A step down: the gradients are the weights themselves.
    assert (matrix * params["project"]["kernel"].reshape(6, 24)).sum() < 0
