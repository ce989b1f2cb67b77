"""Operations against XLA's own, in float64: values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from jax.extend.core import jaxprs_in_params

from mnas.nn import norm, ops, pooling
from tests.compiling import quick_jit

# Odd and even sizes from 1 to 9, equal and different along H and W.
SIZES = [(1, 1), (2, 2), (4, 3), (5, 6), (9, 8), (1, 7)]


def random_array(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def lax_padding(kernel_size, padding):
    """Return padding for `lax`; 'symmetric' is PyTorch's, half the kernel before and after."""
    return "SAME" if padding == "same" else [(kernel_size // 2, kernel_size // 2)] * 2


@pytest.mark.parametrize(
    ("stride", "padding"), [(1, "same"), (1, "symmetric"), (2, "same"), (2, "symmetric")]
)
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_depthwise_conv_equals_lax_in_value_and_gradients(kernel_size, stride, padding):
    def own(implementation):
        return lambda x, k: ops.depthwise_conv(x, k, stride, implementation, padding)

    def by_lax(x, k):
        return lax.conv_general_dilated(
            x,
            k,
            (stride, stride),
            lax_padding(kernel_size, padding),
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

        return quick_jit(all_sizes)

    with jax.enable_x64(True):
        xs = [random_array(3, h, w, 2) for h, w in SIZES]
        kernel = random_array(kernel_size, kernel_size, 1, 2)
        cotangents = [
            random_array(3, -(-h // stride), -(-w // stride), 2, seed=1) for h, w in SIZES
        ]
        fast = results(own("shifted"))(xs, kernel, cotangents)
        reference = results(by_lax)(xs, kernel, cotangents)
        assert fast[0][0].dtype == jnp.float64
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), fast, reference
        )


def test_depthwise_conv_by_hand():
    # 1 2 3 under the kernel 10 20 30 (rows of zeros around it): 1·20 + 2·30 = 80, ...
    x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.array([10.0, 20.0, 30.0]))
    y = ops.depthwise_conv(x, kernel, 1, "shifted")
    np.testing.assert_array_equal(y.ravel(), [80, 140, 80])
    # Stride 2 over 3 pixels pads one pixel before and after: outputs at pixels 0 and 2.
    y = ops.depthwise_conv(x, kernel, 2, "shifted")
    np.testing.assert_array_equal(y.ravel(), [80, 80])


def test_paddings_by_hand():
    # 1 2 3 4 under the kernel 10 20 30 at stride 2. 'same' pads after: windows centred on 2 and 4,
    # 1·10 + 2·20 + 3·30 and 3·10 + 4·20. 'symmetric' pads before: centred on 1 and 3.
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.array([10.0, 20.0, 30.0]))
    for implementation in ("shifted", "lax"):
        with ops.use_implementation(implementation):
            for convolve in (ops.convolution, ops.depthwise_conv):
                same = convolve(x, kernel, 2, padding="same")
                np.testing.assert_array_equal(same.ravel(), [140, 110])
                symmetric = convolve(x, kernel, 2, padding="symmetric")
                np.testing.assert_array_equal(symmetric.ravel(), [80, 200])
            np.testing.assert_array_equal(pooling.max_pool(x, 2, "same").ravel(), [3, 4])
            np.testing.assert_array_equal(pooling.max_pool(x, 2, "symmetric").ravel(), [2, 4])
            np.testing.assert_array_equal(pooling.average_pool(x, 2, "same").ravel(), [2, 3.5])
            np.testing.assert_array_equal(pooling.average_pool(x, 2, "symmetric").ravel(), [1.5, 3])
    with pytest.raises(ValueError, match=r"'valid'; accepted: 'same', 'symmetric'"):
        ops.convolution(x, kernel, 2, "valid")


def test_depthwise_conv_skips_taps_that_only_read_padding():
    def multiplications(jaxpr):
        nested = (inner for eqn in jaxpr.eqns for inner in jaxprs_in_params(eqn.params))
        own = sum(eqn.primitive.name == "mul" for eqn in jaxpr.eqns)
        return own + sum(map(multiplications, nested))

    def taps(size, kernel_size):
        x, kernel = jnp.ones((2, size, size, 1)), jnp.ones((kernel_size, kernel_size, 1, 1))
        jaxpr = jax.make_jaxpr(lambda x, k: ops.depthwise_conv(x, k, 1, "shifted"))(x, kernel)
        return multiplications(jaxpr.jaxpr)

    assert taps(1, 5) == 1
    assert taps(2, 5) == 9
    assert taps(3, 5) == 25


def test_depthwise_conv_keeps_bfloat16():
    x = jnp.asarray(random_array(2, 5, 5, 3), jnp.bfloat16)
    kernel = jnp.asarray(random_array(3, 3, 1, 3), jnp.bfloat16)
    y, vjp = jax.vjp(lambda x, k: ops.depthwise_conv(x, k, 2, "shifted"), x, kernel)
    assert {y.dtype, *(g.dtype for g in vjp(y))} == {jnp.dtype(jnp.bfloat16)}
    reference = ops.depthwise_conv(x.astype(jnp.float32), kernel.astype(jnp.float32), 2, "lax")
    np.testing.assert_allclose(y.astype(jnp.float32), reference, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    ("kernel", "stride", "message"),
    [((2, 2, 1, 3), 1, "odd"), ((3, 3, 1, 4), 1, "3, 3, 1, 4"), ((3, 3, 1, 3), 3, "stride = 3")],
)
def test_depthwise_conv_rejects_unsupported_kernels_and_strides(kernel, stride, message):
    with pytest.raises(ValueError, match=message):
        ops.depthwise_conv(jnp.ones((1, 4, 4, 3)), jnp.ones(kernel), stride)


def test_unknown_implementation_is_rejected():
    with pytest.raises(ValueError, match=r"'fast'.*'shifted'"):
        ops.sum_to_channels(jnp.ones((2, 3)), "fast")


def test_devices_other_than_cpus_use_operations_of_xla(monkeypatch):
    for backend, implementation in (("cpu", "shifted"), ("gpu", "lax"), ("tpu", "lax")):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert ops.default_implementation() == implementation


def test_use_implementation_is_limited_to_its_context():
    before = ops.default_implementation()
    with ops.use_implementation("lax"):
        assert ops.default_implementation() == "lax"
    assert ops.default_implementation() == before


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 3), (2, 3, 5, 4), (7, 3, 3, 2), (64, 4, 4, 8), (13, 2)]
)
def test_sum_to_channels_is_exact_for_integers(shape):
    x = np.round(10 * random_array(*shape)).astype(np.float32)  # whole numbers: sums are exact
    expected = x.reshape(-1, shape[-1]).sum(0)
    np.testing.assert_array_equal(ops.sum_to_channels(jnp.asarray(x), "shifted"), expected)
    np.testing.assert_array_equal(ops.sum_to_channels(jnp.asarray(x), "lax"), expected)


def test_half_precision_is_summed_in_float32():
    total = ops.sum_to_channels(jnp.ones((4096, 1), jnp.bfloat16), "shifted")
    assert total.dtype == jnp.float32
    assert total[0] == 4096  # bfloat16 would have stuck at 256


@pytest.mark.parametrize(
    ("activation", "epsilon"),
    [(None, 1e-3), ("swish", 1e-3), ("relu", 1e-3), ("relu6", 1e-3), ("relu", 0.5)],
)
def test_batch_norm_equals_its_formula_in_value_and_gradients(activation, epsilon):
    activate = {None: lambda z: z, "swish": nn.swish, "relu": nn.relu, "relu6": nn.relu6}

    def formula(x, scale, bias):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return activate[activation]((x - mean) / jnp.sqrt(variance + epsilon) * scale + bias)

    with jax.enable_x64(True):
        x = 3 + 2 * random_array(6, 5, 3, 4)
        # Scaled so that ReLU6 cuts off on either side.
        scale, bias, cotangent = (
            5 * random_array(4),
            random_array(4, seed=1),
            random_array(6, 5, 3, 4, seed=1),
        )

        @quick_jit
        def run(x, scale, bias):
            own = functools.partial(norm.batch_norm, activation=activation, epsilon=epsilon)
            y, vjp, (mean, variance) = jax.vjp(
                lambda *a: (own(*a)[0], own(*a)[1:]), x, scale, bias, has_aux=True
            )
            expected, expected_vjp = jax.vjp(formula, x, scale, bias)
            statistics = mean, variance, activation, epsilon
            inferred = norm.batch_norm_inference(x, scale, bias, *statistics)
            ours, reference = (y, vjp(cotangent)), (expected, expected_vjp(cotangent))
            return ours, reference, mean, variance, inferred

        ours, reference, mean, variance, inferred = run(x, scale, bias)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, reference
        )
        np.testing.assert_allclose(mean, x.mean((0, 1, 2)))
        np.testing.assert_allclose(variance, x.var((0, 1, 2)))
        np.testing.assert_allclose(inferred, ours[0], rtol=1e-9, atol=1e-9)


def test_batch_norm_is_accurate_for_a_mean_far_from_zero():
    # Values 10000 ± 1: E[x²] - E[x]² in float32 would be wrong by several units.
    x = jnp.asarray(10000 + np.array([1.0, -1.0] * 50).reshape(100, 1, 1, 1), jnp.float32)
    _, mean, variance = norm.batch_norm(x, jnp.ones(1), jnp.zeros(1))
    assert (mean[0], variance[0]) == (10000, 1)


def test_global_average_pool_and_scale_channels_by_formula():
    with jax.enable_x64(True):
        x, gate, g = random_array(2, 3, 4, 5), random_array(2, 5), random_array(2, 3, 4, 5, seed=1)
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
def test_average_pool_excludes_padding(stride, padding):
    def results(x):
        y, vjp = jax.vjp(lambda x: pooling.average_pool(x, stride, padding), x)
        return y, vjp(y)[0]

    x = jnp.asarray(random_array(2, 4, 5, 3), jnp.float32)
    own = quick_jit(results)(x)
    with ops.use_implementation("lax"):
        reference = quick_jit(lambda x: results(x))(x)
    for ours, expected in zip(own, reference, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_average_pool_by_hand():
    # A corner at stride 1 averages four pixels; with padding it would be four ninths.
    corner = pooling.average_pool(jnp.ones((1, 4, 4, 1)), 1)[0, 0, 0, 0]
    assert corner == 1


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_max_pool_equals_flax_in_value_and_gradient(padding):
    def results(pool):
        def all_sizes(xs):
            outputs = []
            for x in xs:
                y, vjp = jax.vjp(pool, x)
                outputs.append((y, *vjp(jnp.cos(y))))
            return outputs

        return quick_jit(all_sizes)

    def flax(x):
        return nn.max_pool(x, (3, 3), (2, 2), "SAME" if padding == "same" else ((1, 1), (1, 1)))

    with jax.enable_x64(True):
        sizes = [(1, 1), (5, 4), (6, 7), (9, 8)]
        xs = [random_array(2, *size, 3) - 5 for size in sizes]  # below 0, the padding of no pool
        own = results(lambda x: pooling.max_pool(x, 2, padding))(xs)
        reference = results(flax)(xs)
        assert [y.shape[1:3] for y, _ in own] == [(-(-h // 2), -(-w // 2)) for h, w in sizes]
        for (y, gradient), (expected, expected_gradient) in zip(own, reference, strict=True):
            np.testing.assert_array_equal(y, expected)
            np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_equals_lax_in_value_and_gradients(stride, padding):
    def by_lax(x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            lax_padding(kernel.shape[0], padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def results(convolution):
        def all_sizes(pairs):
            outputs = []
            for x, kernel in pairs:
                y, vjp = jax.vjp(convolution, x, kernel)
                outputs.append((y, *vjp(y)))
            return outputs

        return quick_jit(all_sizes)

    with jax.enable_x64(True):
        sizes = [(1, 3), (2, 5), (3, 1), (4, 1), (5, 5), (6, 3), (6, 7), (9, 7)]
        pairs = [
            (random_array(2, size, size, 3), random_array(kernel_size, kernel_size, 3, 4))
            for size, kernel_size in sizes
        ]
        own = results(lambda x, k: ops.convolution(x, k, stride, padding))(pairs)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10),
            own,
            results(by_lax)(pairs),
        )


def test_unknown_activation_is_rejected():
    with pytest.raises(ValueError, match=r"'gelu'.*'swish'"):
        norm.activate(jnp.ones(3), "gelu")
