"""bfloat16 feature maps: values and gradients close to float32's, everything else float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.nn import norm, ops, pooling
from mnas.nn.network import init_variables, network_blocks
from tests.compiling import quick_jit

# bfloat16 has 8 bits of precision: a rounding is at most 2⁻⁹ of the value.
ROUNDING = 2.0**-9


def arrays(*shapes, seed=0):
    """Return arrays that bfloat16 represents exactly."""
    rng = np.random.default_rng([seed, 16])
    values = [jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes]
    return [value.astype(jnp.float32) for value in values]


def relative_error(found, expected):
    """Return the norm of the difference, relative to that of the expected array."""
    found, expected = np.asarray(found, np.float32), np.asarray(expected, np.float32)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def values_and_gradients(function, x, *weights):
    """Return y and gradients by x and weights of Σ y · g for a fixed g."""

    @jax.jit
    def results(x, *weights):
        y, vjp = jax.vjp(function, x, *weights)
        gradient = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return y, *vjp(gradient.astype(jnp.bfloat16).astype(y.dtype))

    return results(x, *weights)


OPERATIONS = {
    "pointwise": (ops.convolution, (1, 1, 16, 24)),
    "convolution": (functools.partial(ops.convolution, stride=2), (3, 3, 16, 24)),
    "depthwise": (functools.partial(ops.depthwise_conv, stride=1), (5, 5, 1, 16)),
    "strided": (functools.partial(ops.depthwise_conv, stride=2), (3, 3, 1, 16)),
}


@pytest.mark.parametrize("implementation", ["shifted", "lax"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_convolutions_and_their_gradients_are_close_to_those_of_float32(name, implementation):
    function, shape = OPERATIONS[name]
    x, kernel = arrays((32, 8, 8, 16), shape)
    with ops.use_implementation(implementation):
        expected = values_and_gradients(function, x, kernel)
        y, dx, dk = values_and_gradients(function, x.astype(jnp.bfloat16), kernel)
    assert (y.dtype, dx.dtype, dk.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    # Inputs are exact and sums float32, so an output is rounded once, as its gradient was before.
    for found, reference in zip((y, dx, dk), expected, strict=True):
        assert relative_error(found, reference) < 2 * ROUNDING


@pytest.mark.parametrize("name", ["pointwise", "depthwise", "strided"])
def test_gradients_of_kernels_are_accumulated_in_float32(name):
    # 32,768 products of 1: bfloat16 would stay at 256, where 1 is half of the spacing.
    function, shape = OPERATIONS[name]
    x, kernel = jnp.ones((128, 16, 16, 16), jnp.bfloat16), jnp.ones(shape)
    gradient = jax.jit(jax.grad(lambda k: function(x, k).astype(jnp.float32).sum()))(kernel)
    center = gradient[shape[0] // 2, shape[1] // 2]
    pixels = 128 * (64 if name == "strided" else 256)
    np.testing.assert_allclose(center, pixels, rtol=ROUNDING)


@pytest.mark.parametrize("activation", ["swish", "relu", "relu6", None])
def test_batch_norm_and_its_gradients_are_close_to_those_of_float32(activation):
    x, scale, bias = arrays((32, 6, 6, 16), (16,), (16,))
    x = x + 3  # a mean far from zero, where bfloat16 sums of squares would cancel
    x = x.astype(jnp.bfloat16)

    def normalised(x, scale, bias):
        return norm.batch_norm(x, scale, bias, activation)[0]

    expected = values_and_gradients(normalised, x.astype(jnp.float32), scale, bias)
    found = values_and_gradients(normalised, x, scale, bias)
    assert [a.dtype for a in found] == [jnp.bfloat16, jnp.bfloat16, jnp.float32, jnp.float32]
    for one, reference in zip(found, expected, strict=True):
        assert relative_error(one, reference) < 2 * ROUNDING
    _, mean, variance = jax.jit(norm.batch_norm)(x, scale, bias)
    assert mean.dtype == variance.dtype == jnp.float32
    pixels = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, pixels.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("implementation", ["shifted", "lax"])
def test_pooling_and_gates_are_close_to_those_of_float32(implementation):
    x, gate = arrays((8, 6, 6, 16), (8, 16))
    functions = [
        (functools.partial(pooling.average_pool, stride=2), ()),
        (functools.partial(pooling.max_pool, stride=2), ()),
        (ops.global_average_pool, ()),
        (ops.scale_channels, (gate,)),
    ]
    for function, weights in functions:
        low = [a.astype(jnp.bfloat16) for a in (x, *weights)]
        with ops.use_implementation(implementation):
            expected = values_and_gradients(function, x, *weights)
            found = values_and_gradients(function, *low)
        for one, reference in zip(found, expected, strict=True):
            assert one.dtype == jnp.bfloat16
            assert relative_error(one, reference) < 2 * ROUNDING


# Squeeze-and-excitation, all skip connections, a head without convolution.
NETWORK = Architecture(
    (
        Block(kernel=3, stride=1, filters=16, expand_ratio=2, se_ratio=0.25),
        Block(kernel=3, stride=2, filters=24, op="conv", skip="projection"),
        Block(kernel=3, stride=2, filters=24, op="separable", skip="pool"),
    ),
    resolution=16,
    stem=16,
    head=0,
    classes=10,
    activation="swish",
    name="all",
)


def test_a_network_has_float32_logits_statistics_and_gradients_close_to_those_of_float32():
    variables = init_variables(NETWORK, 0)
    params = {name: block["params"] for name, block in variables.items()}
    (images,) = arrays((16, 16, 16, 3))

    def results(dtype, params):
        def loss(params):
            x, statistics = images.astype(dtype), {}
            for name, block in network_blocks(NETWORK):
                assert x.dtype == dtype
                x, written = block.apply({"params": params[name]}, x, True, mutable=["batch_stats"])
                statistics[name] = written.get("batch_stats", {})
            return jnp.square(jax.nn.log_softmax(x)).mean(), (x, statistics)

        (value, (logits, statistics)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return value, logits, statistics, gradients

    expected, found = (
        quick_jit(functools.partial(results, dtype))(params) for dtype in ("float32", "bfloat16")
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert relative_error(found[1], expected[1]) < 16 * ROUNDING  # ten roundings in a row
    flat = [jnp.concatenate([a.ravel() for a in jax.tree.leaves(r[3])]) for r in (found, expected)]
    assert relative_error(*flat) < 32 * ROUNDING
