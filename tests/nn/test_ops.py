"""The fast operations against XLA's own, in float64: values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from mnas.nn import norm, ops

# Every side from 1 to 9 along some axis, odd and even, equal and not.
SIZES = [(1, 1), (2, 2), (4, 3), (5, 6), (9, 8), (1, 7)]


def _random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _lax_padding(side, padding):
    """What `lax` takes: 'symmetric' as PyTorch has it, of half the kernel on either side."""
    return "SAME" if padding == "same" else [(side // 2, side // 2)] * 2


@pytest.mark.parametrize(
    ("stride", "padding"), [(1, "same"), (1, "symmetric"), (2, "same"), (2, "symmetric")]
)
@pytest.mark.parametrize("side", [1, 3, 5, 7])
def test_depthwise_equals_lax_in_value_and_gradients(side, stride, padding):
    def own(implementation):
        return lambda x, k: ops.depthwise_conv(x, k, stride, implementation, padding)

    def by_lax(x, k):
        return lax.conv_general_dilated(
            x,
            k,
            (stride, stride),
            _lax_padding(side, padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )

    def results(convolution):
        def all_sizes(xs, kernel, cotangents):
            outputs = []
            for x, cotangent in zip(xs, cotangents, strict=True):
                y, vjp = jax.vjp(convolution, x, kernel)
                outputs.append((y, *vjp(cotangent)))
            return outputs

        return jax.jit(all_sizes)

    with jax.enable_x64(True):
        xs = [_random(3, h, w, 2) for h, w in SIZES]
        kernel = _random(side, side, 1, 2)
        cotangents = [_random(3, -(-h // stride), -(-w // stride), 2, seed=1) for h, w in SIZES]
        fast = results(own("shifted"))(xs, kernel, cotangents)
        reference = results(by_lax)(xs, kernel, cotangents)
        assert fast[0][0].dtype == jnp.float64
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), fast, reference
        )


def test_depthwise_by_hand():
    # 1 2 3 under the kernel 10 20 30 (rows of zeros around it): 1·20 + 2·30 = 80, ...
    x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.array([10.0, 20.0, 30.0]))
    y = ops.depthwise_conv(x, kernel, 1, "shifted")
    np.testing.assert_array_equal(y.ravel(), [80, 140, 80])
    # Stride 2 over 3 pixels pads one on either side: outputs at pixels 0 and 2.
    y = ops.depthwise_conv(x, kernel, 2, "shifted")
    np.testing.assert_array_equal(y.ravel(), [80, 80])


def test_paddings_by_hand():
    # Stride 2 over 1 2 3 4 under the kernel 10 20 30. SAME pads after: outputs around 2 and 4,
    # 1·10 + 2·20 + 3·30 and 3·10 + 4·20. Symmetric pads before: around 1 and 3.
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.array([10.0, 20.0, 30.0]))
    for implementation in ("shifted", "lax"):
        with ops.use_implementation(implementation):
            for convolve in (ops.convolution, ops.depthwise_conv):
                same = convolve(x, kernel, 2, padding="same")
                np.testing.assert_array_equal(same.ravel(), [140, 110])
                symmetric = convolve(x, kernel, 2, padding="symmetric")
                np.testing.assert_array_equal(symmetric.ravel(), [80, 200])
            np.testing.assert_array_equal(ops.max_pool(x, 2, "same").ravel(), [3, 4])
            np.testing.assert_array_equal(ops.max_pool(x, 2, "symmetric").ravel(), [2, 4])
            np.testing.assert_array_equal(ops.average_pool(x, 2, "same").ravel(), [2, 3.5])
            np.testing.assert_array_equal(ops.average_pool(x, 2, "symmetric").ravel(), [1.5, 3])
    with pytest.raises(ValueError, match=r"'valid'; accepted: 'same', 'symmetric'"):
        ops.convolution(x, kernel, 2, "valid")


def test_depthwise_multiplies_only_by_taps_that_touch_pixels():
    def multiplications(size, side):
        x, kernel = jnp.ones((2, size, size, 1)), jnp.ones((side, side, 1, 1))
        jaxpr = jax.make_jaxpr(lambda x, k: ops._shifted_depthwise.__wrapped__(x, k, 1, "same"))(
            x, kernel
        )
        return sum(equation.primitive.name == "mul" for equation in jaxpr.eqns)

    assert multiplications(1, 5) == 1
    assert multiplications(2, 5) == 9
    assert multiplications(3, 5) == 25


def test_depthwise_keeps_bfloat16():
    x = jnp.asarray(_random(2, 5, 5, 3), jnp.bfloat16)
    kernel = jnp.asarray(_random(3, 3, 1, 3), jnp.bfloat16)
    y, vjp = jax.vjp(lambda x, k: ops.depthwise_conv(x, k, 2, "shifted"), x, kernel)
    assert {y.dtype, *(g.dtype for g in vjp(y))} == {jnp.dtype(jnp.bfloat16)}
    reference = ops.depthwise_conv(x.astype(jnp.float32), kernel.astype(jnp.float32), 2, "lax")
    np.testing.assert_allclose(y.astype(jnp.float32), reference, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    ("kernel", "stride", "message"),
    [((2, 2, 1, 3), 1, "odd"), ((3, 3, 1, 4), 1, "3, 3, 1, 4"), ((3, 3, 1, 3), 3, "stride = 3")],
)
def test_depthwise_refuses(kernel, stride, message):
    with pytest.raises(ValueError, match=message):
        ops.depthwise_conv(jnp.ones((1, 4, 4, 3)), jnp.ones(kernel), stride)


def test_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match=r"'fast'.*'shifted'"):
        ops.sum_to_channels(jnp.ones((2, 3)), "fast")


def test_use_implementation_holds_inside_only():
    before = ops.default_implementation()
    with ops.use_implementation("lax"):
        assert ops.default_implementation() == "lax"
    assert ops.default_implementation() == before


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 3), (2, 3, 5, 4), (7, 3, 3, 2), (64, 4, 4, 8), (13, 2)]
)
def test_sum_to_channels(shape):
    x = np.round(10 * _random(*shape)).astype(np.float32)  # whole numbers: sums are exact
    expected = x.reshape(-1, shape[-1]).sum(0)
    np.testing.assert_array_equal(ops.sum_to_channels(jnp.asarray(x), "shifted"), expected)
    np.testing.assert_array_equal(ops.sum_to_channels(jnp.asarray(x), "lax"), expected)


def test_sums_of_half_precision_are_in_float32():
    total = ops.sum_to_channels(jnp.ones((4096, 1), jnp.bfloat16), "shifted")
    assert total.dtype == jnp.float32
    assert total[0] == 4096  # bfloat16 would have stuck at 256


@pytest.mark.parametrize(
    ("activation", "epsilon"),
    [(None, 1e-3), ("swish", 1e-3), ("relu", 1e-3), ("relu6", 1e-3), ("relu", 0.5)],
)
def test_batch_norm_equals_the_formula(activation, epsilon):
    activate = {None: lambda z: z, "swish": nn.swish, "relu": nn.relu, "relu6": nn.relu6}

    def formula(x, scale, bias):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return activate[activation]((x - mean) / jnp.sqrt(variance + epsilon) * scale + bias)

    with jax.enable_x64(True):
        x = 3 + 2 * _random(6, 5, 3, 4)
        # Scaled so that ReLU6 cuts off on either side.
        scale, bias, cotangent = 5 * _random(4), _random(4, seed=1), _random(6, 5, 3, 4, seed=1)
        own = functools.partial(norm.batch_norm, activation=activation, epsilon=epsilon)
        y, vjp = jax.vjp(lambda *a: own(*a)[0], x, scale, bias)
        reference, reference_vjp = jax.vjp(formula, x, scale, bias)
        np.testing.assert_allclose(y, reference, rtol=1e-9, atol=1e-9)
        for a, b in zip(vjp(cotangent), reference_vjp(cotangent), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        _, mean, variance = own(x, scale, bias)
        np.testing.assert_allclose(mean, x.mean((0, 1, 2)))
        np.testing.assert_allclose(variance, x.var((0, 1, 2)))
        again = norm.batch_norm_inference(x, scale, bias, mean, variance, activation, epsilon)
        np.testing.assert_allclose(again, y, rtol=1e-9, atol=1e-9)


def test_batch_norm_survives_a_mean_far_from_zero():
    # Values 10000 ± 1: E[x²] - E[x]² in float32 would be wrong by several units.
    x = jnp.asarray(10000 + np.array([1.0, -1.0] * 50).reshape(100, 1, 1, 1), jnp.float32)
    _, mean, variance = norm.batch_norm(x, jnp.ones(1), jnp.zeros(1))
    assert (mean[0], variance[0]) == (10000, 1)


def test_global_average_pool_and_channel_scaling():
    with jax.enable_x64(True):
        x, gate, g = _random(2, 3, 4, 5), _random(2, 5), _random(2, 3, 4, 5, seed=1)
        y, vjp = jax.vjp(ops.global_average_pool, x)
        np.testing.assert_allclose(y, x.mean((1, 2)))
        expected = np.broadcast_to(gate[:, None, None] / 12, x.shape)
        np.testing.assert_allclose(vjp(jnp.asarray(gate))[0], expected)
        y, vjp = jax.vjp(ops.scale_channels, x, gate)
        np.testing.assert_allclose(y, x * gate[:, None, None])
        dx, dgate = vjp(jnp.asarray(g))
        np.testing.assert_allclose(dx, g * gate[:, None, None])
        np.testing.assert_allclose(dgate, (g * x).sum((1, 2)))


@pytest.mark.parametrize(("stride", "padding"), [(1, "same"), (2, "same"), (2, "symmetric")])
def test_average_pool_counts_only_real_pixels(stride, padding):
    x = jnp.asarray(_random(2, 4, 5, 3), jnp.float32)
    y, vjp = jax.vjp(lambda x: ops.average_pool(x, stride, padding), x)
    with ops.use_implementation("lax"):
        reference, reference_vjp = jax.vjp(lambda x: ops.average_pool(x, stride, padding), x)
    np.testing.assert_allclose(y, reference, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vjp(y)[0], reference_vjp(y)[0], rtol=1e-5, atol=1e-6)
    # A corner of stride 1 averages four pixels; padding would have made it four ninths of that.
    corner = ops.average_pool(jnp.ones((1, 4, 4, 1)), 1)[0, 0, 0, 0]
    assert corner == 1


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 4), (6, 7), (9, 8)])
def test_max_pool_equals_flax(height, width, padding):
    with jax.enable_x64(True):
        x = jnp.asarray(_random(2, height, width, 3) - 5)  # padding must not count as a zero

        def flax(x):
            pads = "SAME" if padding == "same" else ((1, 1), (1, 1))
            return nn.max_pool(x, (3, 3), (2, 2), pads)

        y, vjp = jax.vjp(lambda x: ops.max_pool(x, 2, padding), x)
        reference, reference_vjp = jax.vjp(flax, x)
        assert y.shape == (2, -(-height // 2), -(-width // 2), 3)
        np.testing.assert_array_equal(y, reference)
        np.testing.assert_allclose(vjp(jnp.cos(y))[0], reference_vjp(jnp.cos(y))[0], rtol=1e-12)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("size", "side"), [(1, 3), (2, 5), (3, 1), (4, 1), (5, 5), (6, 3), (6, 7), (9, 7)]
)
def test_convolution_equals_lax(size, side, stride, padding):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(_random(2, size, size, 3)), jnp.asarray(_random(side, side, 3, 4))
        y, vjp = jax.vjp(lambda x, k: ops.convolution(x, k, stride, padding), x, kernel)
        reference, reference_vjp = jax.vjp(
            lambda x, k: lax.conv_general_dilated(
                x,
                k,
                (stride, stride),
                _lax_padding(side, padding),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            ),
            x,
            kernel,
        )
        np.testing.assert_allclose(y, reference, rtol=1e-10, atol=1e-10)
        for a, b in zip(vjp(y), reference_vjp(y), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match=r"'gelu'.*'swish'"):
        norm.activate(jnp.ones(3), "gelu")
