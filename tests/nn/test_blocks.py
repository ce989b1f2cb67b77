"""Every kind of block against the same built from Flax's own layers: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from mnas.architecture.block import Layer
from mnas.nn.blocks import Head, MBConv, Stem, layer_block


def _layer(**changes):
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


class Reference(nn.Module):
    """A layer by `nn.Conv`, `nn.BatchNorm` and `nn.avg_pool`, with the same names of variables."""

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
            # Momentum 0 leaves the batch's own statistics in 'batch_stats'.
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
    "mbconv": _layer(skip="identity", kernel=5),
    "mbconv stride 2, SE": _layer(stride=2, filters=4, se_ratio=0.5),
    "separable, SE": _layer(expand_ratio=1, se_ratio=0.25, skip="identity"),
    "mbconv, pool": _layer(stride=2, skip="pool"),
    "conv, SE": _layer(op="conv", expand_ratio=1, se_ratio=0.5, skip="identity"),
    "conv stride 2, pool": _layer(op="conv", expand_ratio=1, stride=2, kernel=5, skip="pool"),
    "activated separable": _layer(op="separable", expand_ratio=1, stride=2, filters=8),
    "basic": _layer(op="basic", expand_ratio=1, skip="identity"),
    "basic, projection": _layer(op="basic", expand_ratio=1, stride=2, skip="projection"),
    "bottleneck": _layer(op="bottleneck", skip="identity"),
    "bottleneck, projection": _layer(op="bottleneck", stride=2, filters=8, skip="projection"),
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
def test_layer_equals_flax(name, activation, variation):
    layer = LAYERS[name]
    rng = np.random.default_rng(0)
    block = layer_block(layer, activation, False, *variation)
    with jax.enable_x64(True):
        # An even number of pixels one way: strides tell the paddings apart there.
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

        def all_of_it():
            ours = run(own)
            # By the batch's own statistics, inference gives what training gave.
            again = block.apply({"params": params, "batch_stats": ours[2]}, x, False)
            return ours, run(flax), again

        ours, reference, again = jax.jit(all_of_it)()
        assert ours[0].dtype == jnp.float64
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), ours, reference
        )
        np.testing.assert_allclose(again, ours[0], rtol=1e-8, atol=1e-8)


def test_stem_and_head_shapes_and_parameters():
    x = jax.ShapeDtypeStruct((2, 7, 7, 3), jnp.float32)
    key = jax.random.key(0)
    y, variables = jax.eval_shape(lambda x: Stem(8, "relu").init_with_output(key, x, True), x)
    assert y.shape == (2, 4, 4, 8)
    assert variables["params"]["conv"]["kernel"].shape == (3, 3, 3, 8)
    head = Head(16, 5, "relu")
    logits, variables = jax.eval_shape(lambda x: head.init_with_output(key, x, True), y)
    assert logits.shape == (2, 5)
    assert variables["params"]["kernel"].shape == (16, 5)
    assert variables["params"]["conv"]["kernel"].shape == (1, 1, 8, 16)
    # ResNet's: 7×7 and pooled; no 1×1 convolution.
    stem = Stem(8, "relu", kernel=7, pool=True, padding="symmetric")
    y, variables = jax.eval_shape(lambda x: stem.init_with_output(key, x, True), x)
    assert y.shape == (2, 2, 2, 8)
    assert variables["params"]["conv"]["kernel"].shape == (7, 7, 3, 8)
    head = Head(0, 5, "relu")
    logits, variables = jax.eval_shape(lambda x: head.init_with_output(key, x, True), y)
    assert logits.shape == (2, 5)
    assert set(variables) == {"params"}
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (8, 5), "bias": (5,)}


def test_equal_layers_are_equal_keys():
    first, second = MBConv(_layer(), "relu"), MBConv(_layer(), "relu")
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    assert MBConv(_layer(), "swish") != first
    # Nothing to drop: the flag does not split the cache.
    assert layer_block(_layer(), "relu", drop=True) == first
    assert layer_block(_layer(skip="identity"), "relu", drop=True) != layer_block(
        _layer(skip="identity"), "relu"
    )
    # Nor does the padding where nothing strides.
    assert layer_block(_layer(), "relu", padding="symmetric") == first
    assert layer_block(_layer(stride=2), "relu", padding="symmetric") != layer_block(
        _layer(stride=2), "relu"
    )


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    layer = _layer(op="conv", expand_ratio=1, skip="identity")
    block = layer_block(layer, "relu", drop=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 3, 3, 6)), jnp.float32)
    variables = jax.jit(lambda key: block.init(key, x, True, 1.0, key))(jax.random.key(0))
    params = {"params": variables["params"]}

    @jax.jit
    def branch(keep):
        y, _ = block.apply(params, x, True, keep, jax.random.key(3), mutable=["batch_stats"])
        return y - x

    full, dropped = np.asarray(branch(1.0)), np.asarray(branch(0.25))
    gone = (dropped == 0).all((1, 2, 3))
    np.testing.assert_allclose(dropped[~gone], 4 * full[~gone], rtol=1e-4, atol=1e-5)
    # 16 of 64 are kept on average, with a standard deviation of 3.5.
    assert 5 <= (~gone).sum() <= 27


def test_dropout_in_the_head():
    head = Head(512, 1, "relu", drop=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 2, 3)), jnp.float32)
    key = jax.random.key(0)
    variables = jax.jit(lambda: head.init(key, x, True, 1.0, key))()
    # All features weigh the same, so the logit is their sum.
    params = variables["params"] | {"kernel": jnp.ones((512, 1))}

    @jax.jit
    def logits(keep):
        return head.apply({"params": params}, x, True, keep, key, mutable=["batch_stats"])[0]

    full, half = logits(1.0), logits(0.5)
    assert not np.allclose(full, half, rtol=1e-3)
    np.testing.assert_allclose(half, full, rtol=0.3)  # unbiased: kept features count twice


def test_a_weight_of_another_shape_is_named():
    block = MBConv(_layer(), "swish")
    x = jnp.ones((1, 4, 4, 6))
    params = block.init(jax.random.key(0), x, True)["params"]
    params["expand"]["kernel"] = params["expand"]["kernel"][..., :1]
    with pytest.raises(ValueError, match=r"expand/kernel of shape \(1, 1, 6, 1\).*\(1, 1, 6, 12\)"):
        block.apply({"params": params}, x, True, mutable=["batch_stats"])
