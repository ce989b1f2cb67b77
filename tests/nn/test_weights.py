"""Weight files with timm's names: layouts, strict checks, errors."""

import json
import os
import re
import stat
import struct

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.architecture.published import TIMM
from mnas.architecture.text_forms import from_arch_def
from mnas.errors import UsageError
from mnas.nn.network import init_variables
from mnas.nn.weights import (
    PROVENANCE_KEY,
    SPEC_KEY,
    from_state_dict,
    load_weights,
    module_names,
    save_weights,
    saved_normalisation,
    tensors,
    to_state_dict,
)

TINY = Architecture(
    (
        Block(kernel=3, stride=1, filters=8, se_ratio=0.25),
        Block(kernel=5, stride=2, filters=16, expand_ratio=3, repeats=2),
        Block(op="conv", kernel=3, stride=1, filters=16),
    ),
    resolution=8,
    stem=8,
    head=16,
    classes=4,
    name="tiny",
)
RESNET = Architecture(
    (
        Block(op="basic", kernel=3, stride=1, filters=8, skip="projection"),
        Block(op="bottleneck", kernel=3, stride=2, filters=16, expand_ratio=4, skip="projection"),
    ),
    resolution=16,
    stem=8,
    stem_pool=True,
    head=0,
    classes=4,
    activation="relu",
    padding="symmetric",
    name="small-resnet",
)


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_efficientnet_has_timms_names_and_shapes():
    shapes = {tensor.name: tensor.timm_shape for tensor in tensors(TINY)}
    assert shapes["conv_stem.weight"] == (8, 3, 3, 3)
    assert shapes["bn1.running_mean"] == (8,)
    # Without expansion the first convolution is the depthwise one.
    assert shapes["blocks.0.0.conv_dw.weight"] == (8, 1, 3, 3)
    assert shapes["blocks.0.0.se.conv_reduce.weight"] == (2, 8, 1, 1)
    assert shapes["blocks.0.0.se.conv_expand.bias"] == (8,)
    assert shapes["blocks.0.0.conv_pw.weight"] == (8, 8, 1, 1)
    assert shapes["blocks.1.0.conv_pw.weight"] == (24, 8, 1, 1)
    assert shapes["blocks.1.1.bn3.running_var"] == (16,)
    assert shapes["blocks.2.0.conv.weight"] == (16, 16, 3, 3)
    assert shapes["conv_head.weight"] == (16, 16, 1, 1)
    assert shapes["classifier.weight"] == (4, 16)


def test_resnet_has_timms_names_and_shapes():
    shapes = {tensor.name: tensor.timm_shape for tensor in tensors(RESNET)}
    assert shapes["conv1.weight"] == (8, 3, 3, 3)
    assert shapes["layer1.0.conv2.weight"] == (8, 8, 3, 3)
    assert shapes["layer2.0.conv1.weight"] == (4, 8, 1, 1)
    assert shapes["layer2.0.downsample.0.weight"] == (16, 8, 1, 1)
    assert shapes["layer2.0.downsample.1.bias"] == (16,)
    assert shapes["fc.weight"] == (4, 16)
    assert "layer1.0.downsample.0.weight" not in shapes


def test_axes_are_permuted_to_timms_layouts():
    variables = init_variables(TINY, 0)
    state = to_state_dict(TINY, variables)
    depthwise = variables["stage2_layer1"]["params"]["depthwise"]["kernel"]  # [k, k, 1, C]
    assert state["blocks.1.0.conv_dw.weight"][7, 0, 1, 3] == depthwise[1, 3, 0, 7]
    stem = variables["stem"]["params"]["conv"]["kernel"]  # [k, k, C, D]
    assert state["conv_stem.weight"][5, 2, 0, 1] == stem[0, 1, 2, 5]
    assert state["classifier.weight"][3, 9] == variables["head"]["params"]["kernel"][9, 3]
    assert state["bn1.num_batches_tracked"].dtype == np.int64
    norms = [name for name in state if name.endswith("running_var")]
    steps = [name for name in state if name.endswith("num_batches_tracked")]
    assert len(norms) == len(steps) == 11


@pytest.mark.parametrize("architecture", [TINY, RESNET], ids=lambda a: a.name)
def test_saved_weights_load_equal(architecture, tmp_path):
    variables = init_variables(architecture, 3)
    path = tmp_path / "weights.safetensors"
    save_weights(path, architecture, variables)
    assert_same(load_weights(path, architecture), variables)
    # Convolutional weights fit any resolution.
    assert_same(load_weights(path, architecture.replace(resolution=32, name="larger")), variables)


def test_network_that_timm_cannot_build_can_be_saved(tmp_path):
    block = Block(op="conv", kernel=3, stride=1, filters=8, repeats=2, se_ratio=0.5, skip="pool")
    architecture = TINY.replace(blocks=(block,))
    variables = init_variables(architecture, 0)
    save_weights(tmp_path / "weights.safetensors", architecture, variables)
    assert_same(load_weights(tmp_path / "weights.safetensors", architecture), variables)


def test_every_parameter_has_a_unique_name():
    for name in ("semnasnet_100", "resnet50"):
        all_tensors = list(tensors(TIMM[name]))
        assert len({tensor.name for tensor in all_tensors}) == len(all_tensors)
        params = sum(np.prod(t.shape) for t in all_tensors if t.path[1] == "params")
        assert params == network_cost(TIMM[name]).params


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_float_types_are_converted_to_float32(dtype, tmp_path):
    variables = init_variables(TINY, 0)
    state = {
        name: value.astype(dtype) if value.dtype == np.float32 else value
        for name, value in to_state_dict(TINY, variables).items()
    }
    save_file(state, tmp_path / "weights.safetensors")
    loaded = load_weights(tmp_path / "weights.safetensors", TINY)
    kernel = loaded["stem"]["params"]["conv"]["kernel"]
    assert kernel.dtype == np.float32
    expected = variables["stem"]["params"]["conv"]["kernel"].astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(kernel, expected)


def test_step_counters_are_optional():
    state = to_state_dict(TINY, init_variables(TINY, 0))
    bare = {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    assert_same(from_state_dict(TINY, bare), from_state_dict(TINY, state))


def rejection(change):
    """Return the error message for a state dict after `change`."""
    state = to_state_dict(TINY, init_variables(TINY, 0))
    change(state)
    with pytest.raises(ValueError, match=r"weights does not fit tiny: .*; accepted: ") as error:
        from_state_dict(TINY, state)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_unsuitable_tensors_are_named():
    assert "bn1.weight is missing" in rejection(lambda state: state.pop("bn1.weight"))
    unknown = rejection(lambda state: state.update({"bn9.weight": np.zeros(8, np.float32)}))
    assert "bn9.weight is unknown" in unknown
    shape = rejection(lambda state: state.update({"bn1.weight": np.zeros(9, np.float32)}))
    assert "bn1.weight is [9], not [8]" in shape
    kind = rejection(lambda state: state.update({"bn1.weight": np.zeros(8, np.int32)}))
    assert "bn1.weight is int32, not a float" in kind


def test_all_unsuitable_tensors_are_one_error():
    def change(state):
        for name in ("bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"):
            del state[name]
        state["other"] = np.zeros(1, np.float32)

    message = rejection(change)
    assert message.count("is missing") == 3
    assert "and 2 more" in message


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"padding": "symmetric"}, ["padding = 'symmetric'", "'same'"]),
        ({"bn_epsilon": 1e-5}, ["bn_epsilon = 1e-05", "0.001"]),
        ({"activation": "relu"}, ["activation = 'relu'", "'swish'"]),
    ],
)
def test_weights_of_a_network_with_other_settings_are_rejected(changes, named, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, TINY, init_variables(TINY, 0))
    with pytest.raises(ValueError, match="the weights need") as error:
        load_weights(path, TINY.replace(**changes))
    assert all(text in str(error.value) for text in named)
    # Files without an architecture in their metadata, such as timm's, are accepted.
    save_file(load_file(path), path)
    load_weights(path, TINY.replace(**changes))


def test_weights_of_a_network_with_other_strides_are_rejected(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, TINY, init_variables(TINY, 0))
    first = TINY.blocks[0]
    stride = Block(kernel=3, stride=2, filters=8, se_ratio=first.se_ratio)
    with pytest.raises(ValueError, match="has other strides or skip connections"):
        load_weights(path, TINY.replace(blocks=(stride, *TINY.blocks[1:])))


def test_unreadable_and_unwritable_files_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        load_weights(tmp_path / "nowhere.safetensors", TINY)
    (tmp_path / "text.safetensors").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"is not a \.safetensors file"):
        load_weights(tmp_path / "text.safetensors", TINY)
    with pytest.raises(ValueError, match="can't be written"):
        save_weights(tmp_path / "no" / "where.safetensors", TINY, init_variables(TINY, 0))


def test_variables_of_another_architecture_are_not_saved(tmp_path):
    variables = init_variables(TINY.replace(classes=5), 0)
    with pytest.raises(ValueError, match="head/params/bias has shape"):
        save_weights(tmp_path / "weights.safetensors", TINY, variables)
    assert list(tmp_path.iterdir()) == []


def test_layers_of_a_stage_of_several_strings_are_numbered_through():
    network = from_arch_def(
        [["ds_r1_k3_s1_c8"], ["ir_r1_k5_s2_e6_c16", "ir_r2_k3_s1_e3_c16"], ["ir_r1_k3_s1_e3_c16"]],
        stem=8,
    )
    names = module_names(network)
    prefixes = [modules["project"] for block, modules in names.items() if block.startswith("stage")]
    assert prefixes == [
        f"blocks.{index}.{name}"
        for index, name in (
            *(("0.0", "conv_pw"), ("1.0", "conv_pwl"), ("1.1", "conv_pwl")),
            *(("1.2", "conv_pwl"), ("2.0", "conv_pwl")),
        )
    ]


def damaged(content: bytes, how: str) -> bytes:
    """Return a .safetensors file with a fault."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    if how == "header length":
        return struct.pack("<Q", 2**63) + content[8:]
    if how in ("cut", "header cut", "empty"):
        return content[: {"cut": -10, "header cut": 100, "empty": 0}[how]]
    if how == "metadata":
        header["__metadata__"][SPEC_KEY] = '{"blocks": []}'
    elif how == "metadata text":
        header["__metadata__"][SPEC_KEY] = "{"
    else:
        header = {"bn1.bias": {"dtype": how, "shape": [8], "data_offsets": [0, 8]}}
        body = body[:8]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("empty", "is not a .safetensors file: .*header too small"),
        ("header cut", "is not a .safetensors file: .*invalid header length"),
        ("header length", "is not a .safetensors file: .*header too large"),
        ("cut", "is not a .safetensors file: .*not fully covered"),
        ("metadata", "metadata mnas_architecture: architecture: blocks = "),
        ("metadata text", "metadata mnas_architecture: text is not JSON"),
        ("F8_E4M3", "bn1.bias is F8_E4M3; accepted: a float"),
        ("I8", "conv_stem.weight is missing"),
    ],
)
def test_damaged_files_are_rejected_by_name(tmp_path, how, reason):
    path = tmp_path / "weights"
    save_weights(path, TINY, init_variables(TINY, 0))
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(UsageError, match=f"^{path}.*{reason}"):
        load_weights(path, TINY)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_are_rejected_by_name(tmp_path, value):
    path = tmp_path / "weights"
    state = to_state_dict(TINY, init_variables(TINY, 0))
    state["bn1.bias"] = np.full(8, value)
    save_file(state, path)
    with pytest.raises(UsageError, match=f"{path} does not fit tiny: bn1.bias holds NaN or"):
        load_weights(path, TINY)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match=r"is no regular file; accepted: a \.safetensors"):
            load_weights(path, TINY)


def test_metadata_hold_the_provenance_and_permissions_follow_the_umask(tmp_path):
    path = tmp_path / "weights"
    before = os.umask(0o027)
    try:
        save_weights(path, TINY, init_variables(TINY, 0), provenance={"search": {"trial": 7}})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()[PROVENANCE_KEY]) == {"search": {"trial": 7}}


def test_equal_weights_are_equal_files(tmp_path):
    # Many keys: in the order of a hash table they would hardly be sorted by chance.
    provenance = {"search": {"trial": 3}}
    save_weights(tmp_path / "w", TINY, init_variables(TINY, 0), ([1, 2, 3], [4, 5, 6]), provenance)
    content = (tmp_path / "w").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert list(header) == sorted(header)
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])


def test_normalisation_is_read_back_and_timms_files_have_none(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, TINY, init_variables(TINY, 0), ([1.5, 2.0, 3.0], [4.0, 5.0, 6.0]))
    assert saved_normalisation(path) == ([1.5, 2.0, 3.0], [4.0, 5.0, 6.0])
    save_weights(path, TINY, init_variables(TINY, 0))
    assert saved_normalisation(path) is None


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ("[1, 2, 3]", "[1, 2, 0]", "pixel_std = [1, 2, 0]; accepted: a number per channel"),
        ("[1, 2]", "[1, 2, 3]", "pixel_mean = [1, 2]"),
        ("[1, 2, 1e999]", "[1, 2, 3]", "pixel_mean = [1, 2, inf]"),
        ('[1, 2, "3"]', "[1, 2, 3]", "pixel_mean"),
        ("[1, 2, 3", "[1, 2, 3]", "pixel_mean is not JSON"),
        ("{}", "[1, 2, 3]", "pixel_mean = {}"),
    ],
)
def test_malformed_normalisation_is_rejected(tmp_path, mean, std, message):
    path = tmp_path / "w.safetensors"
    save_file({"x": np.zeros(1)}, path, {"pixel_mean": mean, "pixel_std": std})
    with pytest.raises(UsageError, match=re.escape(message)):
        saved_normalisation(path)
