"""Blocks against reference blocks built from Flax's layers: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from mnas.architecture.block import Layer
from mnas.nn.blocks import Head, MBConv, Stem, layer_block, without_drop
from mnas.nn.network import block_shapes
from tests.compiling import quick_jit


def make_layer(**changes):
    fields = {
        "op": "mbconv",
        "in_filters": 6,
        "filters": 6,
        "kernel": 3,
        "stride": 1,
        "expand_ratio": 2,
        "se_ratio": 0.0,
        "skip": "none",
    }
    return Layer(**(fields | changes))


def random_params(block, shape):
    """Return params of a block with input of `shape`, [N, H, W, C]."""
    rng = np.random.default_rng(1)
    shapes = block_shapes(without_drop(block), shape)[0]["params"]
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)


class Reference(nn.Module):
    """Layer of `nn.Conv`, `nn.BatchNorm` and `nn.avg_pool` with the names of our variables."""

    layer: Layer
    activation: str
    padding: str = "same"
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x):
        layer, act = self.layer, getattr(nn, self.activation)

        def conv(x, name, filters, kernel=1, stride=1, groups=1, bias=False):
            return nn.Conv(
                filters,
                (kernel, kernel),
                (stride, stride),
                "SAME" if self.padding == "same" else kernel // 2,
                feature_group_count=groups,
                use_bias=bias,
                name=name,
            )(x)

        def norm(x, name):
            # Momentum 0 writes the batch's statistics to 'batch_stats'.
            return nn.BatchNorm(False, epsilon=self.epsilon, momentum=0.0, name=name)(x)

        y = x
        if layer.op == "conv":
            y = act(norm(conv(y, "conv", layer.filters, layer.kernel, layer.stride), "norm"))
        elif layer.op == "basic":
            y = act(norm(conv(y, "conv1", layer.filters, layer.kernel, layer.stride), "norm1"))
            y = norm(conv(y, "conv2", layer.filters, layer.kernel), "norm2")
        elif layer.op == "bottleneck":
            inner = layer.filters // layer.expand_ratio
            y = act(norm(conv(y, "conv1", inner), "norm1"))
            y = act(norm(conv(y, "conv2", inner, layer.kernel, layer.stride), "norm2"))
            y = norm(conv(y, "conv3", layer.filters), "norm3")
        else:
            inner = layer.in_filters * layer.expand_ratio
            if layer.expand_ratio != 1:
                y = act(norm(conv(y, "expand", inner), "expand_norm"))
            y = conv(y, "depthwise", inner, layer.kernel, layer.stride, groups=inner)
            y = act(norm(y, "depthwise_norm"))
        if layer.se_filters:
            filters = y.shape[-1]
            y = SqueezeExciteReference(layer.se_filters, filters, act, name="squeeze_excite")(y)
        if layer.op in ("mbconv", "separable"):
            y = norm(conv(y, "project", layer.filters), "project_norm")
        if layer.op == "separable":
            y = act(y)
        if layer.skip == "identity":
            y = y + x
        if layer.skip == "projection":
            shortcut = conv(x, "shortcut", layer.filters, stride=layer.stride)
            y = y + norm(shortcut, "shortcut_norm")
        if layer.skip == "pool":
            pads = "SAME" if self.padding == "same" else ((1, 1), (1, 1))
            strides = (layer.stride, layer.stride)
            y = y + nn.avg_pool(x, (3, 3), strides, pads, count_include_pad=False)
        return act(y) if layer.op in ("basic", "bottleneck") else y


class SqueezeExciteReference(nn.Module):
    reduced: int
    filters: int
    act: object

    @nn.compact
    def __call__(self, x):
        gate = x.mean((1, 2), keepdims=True)
        gate = self.act(nn.Conv(self.reduced, (1, 1), name="reduce")(gate))
        return x * nn.sigmoid(nn.Conv(self.filters, (1, 1), name="expand")(gate))


LAYERS = {
    "mbconv": make_layer(skip="identity", kernel=5),
    "mbconv stride 2, SE": make_layer(stride=2, filters=4, se_ratio=0.5),
    "separable, SE": make_layer(expand_ratio=1, se_ratio=0.25, skip="identity"),
    "mbconv, pool": make_layer(stride=2, skip="pool"),
    "conv, SE": make_layer(op="conv", expand_ratio=1, se_ratio=0.5, skip="identity"),
    "conv stride 2, pool": make_layer(op="conv", expand_ratio=1, stride=2, kernel=5, skip="pool"),
    "activated separable": make_layer(op="separable", expand_ratio=1, stride=2, filters=8),
    "basic": make_layer(op="basic", expand_ratio=1, skip="identity"),
    "basic, projection": make_layer(op="basic", expand_ratio=1, stride=2, skip="projection"),
    "bottleneck": make_layer(op="bottleneck", skip="identity"),
    "bottleneck, projection": make_layer(op="bottleneck", stride=2, filters=8, skip="projection"),
}
SYMMETRIC = ("symmetric", 1e-5)


@pytest.mark.parametrize(
    ("name", "activation", "variation"),
    [
        *((name, "swish", ()) for name in LAYERS),
        ("conv, SE", "relu", ()),
        ("mbconv stride 2, SE", "relu6", SYMMETRIC),
        ("conv stride 2, pool", "relu", SYMMETRIC),
        ("basic, projection", "relu", SYMMETRIC),
        ("bottleneck, projection", "relu", SYMMETRIC),
    ],
)
def test_layers_equal_flax_in_value_gradients_and_statistics(name, activation, variation):
    layer = LAYERS[name]
    rng = np.random.default_rng(0)
    block = layer_block(layer, activation, False, *variation)
    with jax.enable_x64(True):
        # An even number of pixels along one axis, where the paddings differ with strides.
        x = jnp.asarray(rng.normal(size=(4, 5, 6, 6)))
        single = jax.ShapeDtypeStruct(x.shape, jnp.float32)
        shapes = jax.eval_shape(lambda x: block.init(jax.random.key(0), x, True), single)
        params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), shapes)
        params = params["params"]

        def run(apply):
            y, vjp, stats = jax.vjp(apply, params, x, has_aux=True)
            return y, vjp(jnp.cos(y)), stats

        def own(params, x):
            y, written = block.apply({"params": params}, x, True, mutable=["batch_stats"])
            return y, written["batch_stats"]

        def flax(params, x):
            stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes["batch_stats"])
            module = Reference(layer, activation, *variation)
            y, written = module.apply(
                {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
            )
            return y, written["batch_stats"]

        def run_all():
            ours = run(own)
            # Inference with the batch's statistics equals training.
            inferred = block.apply({"params": params, "batch_stats": ours[2]}, x, False)
            return ours, run(flax), inferred

        ours, reference, inferred = quick_jit(run_all)()
        assert ours[0].dtype == jnp.float64
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), ours, reference
        )
        np.testing.assert_allclose(inferred, ours[0], rtol=1e-8, atol=1e-8)


def test_stem_and_head_have_documented_shapes():
    x = jax.ShapeDtypeStruct((2, 7, 7, 3), jnp.float32)
    key = jax.random.key(0)
    y, variables = jax.eval_shape(lambda x: Stem(8, "relu").init_with_output(key, x, True), x)
    assert y.shape == (2, 4, 4, 8)
    assert variables["params"]["conv"]["kernel"].shape == (3, 3, 3, 8)
    whole = Stem(8, "relu", stride=1)
    assert jax.eval_shape(lambda x: whole.init_with_output(key, x, True), x)[0].shape == (
        2,
        7,
        7,
        8,
    )
    head = Head(16, 5, "relu")
    logits, variables = jax.eval_shape(lambda x: head.init_with_output(key, x, True), y)
    assert logits.shape == (2, 5)
    assert variables["params"]["kernel"].shape == (16, 5)
    assert variables["params"]["conv"]["kernel"].shape == (1, 1, 8, 16)
    # ResNet: 7×7 with pooling, no 1×1 convolution in the head.
    stem = Stem(8, "relu", kernel=7, pool=True, padding="symmetric")
    y, variables = jax.eval_shape(lambda x: stem.init_with_output(key, x, True), x)
    assert y.shape == (2, 2, 2, 8)
    assert variables["params"]["conv"]["kernel"].shape == (7, 7, 3, 8)
    head = Head(0, 5, "relu")
    logits, variables = jax.eval_shape(lambda x: head.init_with_output(key, x, True), y)
    assert logits.shape == (2, 5)
    assert set(variables) == {"params"}
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (8, 5), "bias": (5,)}


def test_modules_are_equal_exactly_if_their_programs_are():
    first, second = MBConv(make_layer(), "relu"), MBConv(make_layer(), "relu")
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    assert MBConv(make_layer(), "swish") != first
    # `drop` is ignored without a skip connection.
    assert layer_block(make_layer(), "relu", drop=True) == first
    assert layer_block(make_layer(skip="identity"), "relu", drop=True) != layer_block(
        make_layer(skip="identity"), "relu"
    )
    # Padding is ignored at stride 1.
    assert layer_block(make_layer(), "relu", padding="symmetric") == first
    assert layer_block(make_layer(stride=2), "relu", padding="symmetric") != layer_block(
        make_layer(stride=2), "relu"
    )


def test_drop_path_drops_whole_images_and_rescales_the_others():
    layer = make_layer(op="conv", expand_ratio=1, skip="identity")
    block = layer_block(layer, "relu", drop=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 3, 3, 6)), jnp.float32)
    params = random_params(block, x.shape)

    @quick_jit
    def branch(keep):
        y, _ = block.apply(
            {"params": params}, x, True, keep, jax.random.key(3), mutable=["batch_stats"]
        )
        return y - x

    full, dropped = np.asarray(branch(1.0)), np.asarray(branch(0.25))
    kept = (dropped != 0).any((1, 2, 3))
    np.testing.assert_allclose(dropped[kept], 4 * full[kept], rtol=1e-4, atol=1e-5)
    # 16 of 64 are kept on average, with a standard deviation of 3.5.
    assert 5 <= kept.sum() <= 27


def test_dropout_in_the_head_is_unbiased():
    head = Head(512, 1, "relu", drop=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 2, 3)), jnp.float32)
    key = jax.random.key(0)
    # The classifier's weights are 1, so the logit is the sum of the features.
    params = random_params(head, x.shape) | {"kernel": jnp.ones((512, 1))}

    @quick_jit
    def logits(keep):
        return head.apply({"params": params}, x, True, keep, key, mutable=["batch_stats"])[0]

    full, half = logits(1.0), logits(0.5)
    assert not np.allclose(full, half, rtol=1e-3)
    np.testing.assert_allclose(half, full, rtol=0.3)  # kept features count twice


def test_weight_of_wrong_shape_is_named_in_the_error():
    block = MBConv(make_layer(), "swish")
    params = random_params(block, (1, 4, 4, 6))
    params["expand"]["kernel"] = params["expand"]["kernel"][..., :1]
    message = r"expand/kernel has shape \(1, 1, 6, 1\).*\(1, 1, 6, 12\)"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda x: block.apply({"params": params}, x, True, mutable=["batch_stats"]),
            jax.ShapeDtypeStruct((1, 4, 4, 6), jnp.float32),
        )


def test_identity_layer_is_a_strided_linear_map_with_batch_norm():
    layer = make_layer(op="identity", kernel=1, stride=2, expand_ratio=1, filters=4)
    block = layer_block(layer, "relu")
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 6)).astype(np.float32)
    params = random_params(block, x.shape)
    y, _ = quick_jit(lambda x: block.apply({"params": params}, x, True, mutable=["batch_stats"]))(x)
    z = x[:, ::2, ::2] @ params["conv"]["kernel"][0, 0]
    z = (z - z.mean((0, 1, 2))) / np.sqrt(z.var((0, 1, 2)) + 1e-3)
    expected = z * params["norm"]["scale"] + params["norm"]["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    assert y.min() < 0


def test_without_drop_turns_off_dropping_only():
    layer = make_layer(skip="identity")
    assert without_drop(layer_block(layer, "relu", drop=True)) == layer_block(layer, "relu")
    stem = Stem(8, "relu")
    assert without_drop(stem) is stem
