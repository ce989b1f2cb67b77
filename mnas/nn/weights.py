"""Weights in `.safetensors` files with the names and layouts of timm's state dicts.

Files are exchangeable: timm's `load_state_dict(..., strict=True)` loads those saved here into the
model of the same architecture, and timm's own `.safetensors` load here, neither with PyTorch.
Names are those of timm's `EfficientNet` or, if all blocks are ResNet's, `ResNet`:

    stem                              conv_stem.weight                  [D, 3, k, k]
    expansion of stage 2, layer 1     blocks.1.0.conv_pw.weight         [D, C, 1, 1]
    its BatchNorm                     blocks.1.0.bn1.weight, bias, running_mean, running_var  [D]
    a ResNet's projection shortcut    layer2.0.downsample.0.weight      [D, C, 1, 1]

Kernels are [D, C / groups, k, k] in timm and [k, k, C / groups, D] in Flax, the classifier
[classes, C] and [C, classes]. timm counts training steps in `num_batches_tracked`, which is
written as zero and ignored when read. Networks that timm cannot build are named by the same rules.
"""

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
from safetensors.numpy import save

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Layer
from mnas.errors import UsageError, is_finite, shown
from mnas.files import parse_json, write_bytes
from mnas.nn.network import Variables, variable_shapes

SPEC_KEY = "mnas_architecture"  # metadata: the architecture that the weights belong to
PROVENANCE_KEY = "mnas_provenance"  # metadata: where the network comes from
STEPS = "num_batches_tracked"

_MBCONV = {
    "expand": "conv_pw",
    "expand_norm": "bn1",
    "depthwise": "conv_dw",
    "depthwise_norm": "bn2",
    "squeeze_excite": "se",
    "project": "conv_pwl",
    "project_norm": "bn3",
}
_SEPARABLE = {
    "depthwise": "conv_dw",
    "depthwise_norm": "bn1",
    "squeeze_excite": "se",
    "project": "conv_pw",
    "project_norm": "bn2",
}
_CONV = {"conv": "conv", "norm": "bn1", "squeeze_excite": "se"}
_RESNET = {
    **{f"conv{n}": f"conv{n}" for n in (1, 2, 3)},
    **{f"norm{n}": f"bn{n}" for n in (1, 2, 3)},
}
_SHORTCUT = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
_SQUEEZE_EXCITE = {"reduce": "conv_reduce", "expand": "conv_expand"}
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


class Tensor(NamedTuple):
    """A tensor in timm's state dict and in Flax variables.

    name     name in timm
    path     path in variables: (block, collection, modules..., leaf)
    shape    shape in variables
    axes     permutation from the axes in variables to timm's
    """

    name: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def timm_shape(self) -> tuple[int, ...]:
        """Shape in timm."""
        return tuple(self.shape[axis] for axis in self.axes)


def module_names(architecture: Architecture) -> dict[str, dict[str, str]]:
    """Return timm's names of modules, {block: {module: name}}; module '' is the classifier."""
    resnet = all(block.op in ("basic", "bottleneck") for block in architecture.blocks)
    stem, head = ("conv1", "fc") if resnet else ("conv_stem", "classifier")
    names = {"stem": {"conv": stem, "norm": "bn1"}}
    stages = enumerate(architecture.stages(), start=1)
    for t, group in enumerate(architecture.timm_groups()):
        stage = f"layer{t + 1}" if resnet else f"blocks.{t}"
        layers = [
            (f"stage{s}_layer{n}", layer)
            for s, block_layers in itertools.islice(stages, len(group))
            for n, layer in enumerate(block_layers, start=1)
        ]
        for index, (block, layer) in enumerate(layers):
            modules = {**_layer_names(layer), **_SHORTCUT}
            names[block] = {k: f"{stage}.{index}.{v}" for k, v in modules.items()}
    names["head"] = {"conv": "conv_head", "norm": "bn2", "": head}
    return names


def _layer_names(layer: Layer) -> dict[str, str]:
    if layer.op in ("conv", "identity"):
        return _CONV
    if layer.op in ("basic", "bottleneck"):
        return _RESNET
    return _SEPARABLE if layer.expand_ratio == 1 else _MBCONV


def tensors(architecture: Architecture) -> Iterator[Tensor]:
    """Yield all weights and BatchNorm statistics of a network, block by block."""
    names = module_names(architecture)
    for block, shapes in variable_shapes(architecture).items():
        for keys, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
            collection, *modules, kind = (key.key for key in keys)
            outer, *inner = modules or [""]
            parts = [names[block][outer], *(_SQUEEZE_EXCITE[name] for name in inner)]
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[len(leaf.shape)]
            name = ".".join([*parts, _LEAVES[kind]])
            yield Tensor(name, (block, collection, *modules, kind), leaf.shape, axes)


def to_state_dict(
    architecture: Architecture, variables: Mapping[str, Variables]
) -> dict[str, np.ndarray]:
    """Return timm's state dict of variables block by block, as NumPy arrays.

    Raises ValueError for variables of another architecture.
    """
    state = {}
    for tensor in tensors(architecture):
        leaf: Any = variables
        for key in tensor.path:
            leaf = leaf[key]
        if np.shape(leaf) != tensor.shape:
            raise ValueError(
                f"variables: {'/'.join(tensor.path)} has shape {list(np.shape(leaf))}; "
                f"accepted: {list(tensor.shape)}"
            )
        state[tensor.name] = np.ascontiguousarray(np.transpose(leaf, tensor.axes))
        module, _, kind = tensor.name.rpartition(".")
        if kind == "running_var":
            state[f"{module}.{STEPS}"] = np.zeros((), np.int64)
    return state


def from_state_dict(
    architecture: Architecture, state: Mapping[str, np.ndarray], source: str = "weights"
) -> dict[str, Variables]:
    """Return variables block by block, float32, of timm's state dict.

    Raises UsageError, one for all tensors, if any are missing, unknown, of another shape, not of a
    floating-point type or not finite; `source` names the state dict in its message.
    """
    variables: dict[str, Variables] = {}
    mismatches, expected = [], set()
    for tensor in tensors(architecture):
        expected.add(tensor.name)
        if tensor.name not in state:
            mismatches.append(f"{tensor.name} is missing")
            continue
        value = state[tensor.name]
        if value.shape != tensor.timm_shape:
            mismatches.append(
                f"{tensor.name} is {list(value.shape)}, not {list(tensor.timm_shape)}"
            )
            continue
        if not jax.numpy.issubdtype(value.dtype, np.floating):  # JAX's check includes bfloat16
            mismatches.append(f"{tensor.name} is {value.dtype}, not a float")
            continue
        with np.errstate(over="ignore"):  # a float64 beyond float32's range becomes infinite
            value = value.astype(np.float32, copy=False)
        if not np.isfinite(value).all():
            mismatches.append(f"{tensor.name} holds NaN or infinity")
            continue
        node: Any = variables
        for key in tensor.path[:-1]:
            node = node.setdefault(key, {})
        axes = np.argsort(tensor.axes)
        node[tensor.path[-1]] = np.ascontiguousarray(np.transpose(value, axes))
    extra = [n for n in state if n not in expected and not n.endswith(f".{STEPS}")]
    mismatches += [f"{name[:80]} is unknown" for name in extra]
    if mismatches:
        more = f" and {len(mismatches) - 3} more" if len(mismatches) > 3 else ""
        raise UsageError(
            f"{source} does not fit {architecture.name}: {'; '.join(mismatches[:3])}{more}; "
            f"accepted: exactly the {len(expected)} tensors of its layers"
        )
    return variables


def save_weights(
    path: str | Path,
    architecture: Architecture,
    variables: Mapping[str, Variables],
    pixel_statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write variables block by block to a `.safetensors` file that timm's models load strictly.

    The file's metadata, which timm ignores, hold the architecture, `pixel_statistics` (mean and
    standard deviation of each channel, on the scale of 0 to 255, by which images are normalised)
    and `provenance`, the network's origin as in its spec.
    Raises UsageError if the file cannot be written.
    """
    # Other readers of safetensors require 'format'.
    metadata = {"format": "pt", SPEC_KEY: json.dumps(architecture.to_dict())}
    metadata |= statistics_metadata(pixel_statistics)
    if provenance:
        metadata[PROVENANCE_KEY] = json.dumps(provenance)
    try:
        content = save(to_state_dict(architecture, variables), metadata)
        write_bytes(Path(path), _with_sorted_header(content))
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


def statistics_metadata(
    pixel_statistics: tuple[Sequence[float], Sequence[float]] | None,
) -> dict[str, str]:
    """Return mean and standard deviation of the channels as metadata of a file; none for None."""
    if pixel_statistics is None:
        return {}
    mean, std = pixel_statistics
    return {"pixel_mean": json.dumps(mean), "pixel_std": json.dumps(std)}


def _with_sorted_header(content: bytes) -> bytes:
    """Return a `.safetensors` file with its header's keys sorted.

    safetensors writes metadata in another order in every process. Offsets of tensors count from the
    header's end, which the format aligns to 8 bytes with spaces.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def load_weights(path: str | Path, architecture: Architecture) -> dict[str, Variables]:
    """Return variables block by block, float32, of a `.safetensors` file with timm's names.

    Raises UsageError if tensors are missing, unknown or of another shape, and if a file saved here
    belongs to a network that differs in settings without tensors, such as padding.
    """
    with _opened(path) as file:
        saved = (file.metadata() or {}).get(SPEC_KEY)
        state = {name: _tensor(file, name, path) for name in file.keys()}  # noqa: SIM118
    variables = from_state_dict(architecture, state, str(path))
    if saved is not None:
        try:
            belongs_to = Architecture.from_dict(parse_json(saved, "text"))
        except UsageError as error:
            raise UsageError(f"{path}: metadata {SPEC_KEY}: {error}") from None
        _check_same(belongs_to, architecture, path)
    return variables


def saved_classes(path: str | Path, architecture: Architecture) -> int:
    """Return the number of classes of the classifier in a `.safetensors` file.

    Of a file without a classifier, or with a malformed one, it is the architecture's number, with
    which `load_weights` says what is wrong. Raises UsageError if the file can't be read.
    """
    name = f"{module_names(architecture)['head']['']}.weight"
    with _opened(path) as file:
        shape = file.get_slice(name).get_shape() if name in file.keys() else []  # noqa: SIM118
    return shape[0] if len(shape) == 2 and all(shape) else architecture.classes


def saved_normalisation(path: str | Path) -> tuple[list[float], list[float]] | None:
    """Return mean and standard deviation of each channel, on the scale of 0 to 255, of a file.

    None where a `.safetensors` file has none, as timm's. Raises UsageError if it can't be read, or
    if its numbers are none.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    mean, std = metadata.get("pixel_mean"), metadata.get("pixel_std")
    if mean is None or std is None:
        return None
    channels = []
    for name, text, least in (("pixel_mean", mean, -math.inf), ("pixel_std", std, 0)):
        values = parse_json(text, f"{path}: metadata {name}")
        is_list = isinstance(values, list) and len(values) == 3
        if not is_list or not all(is_finite(value) and value > least for value in values):
            raise UsageError(
                f"{path}: metadata {name} = {shown(values)}; accepted: a number per channel"
            )
        channels.append([float(value) for value in values])
    return channels[0], channels[1]


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a `.safetensors` file within the context; UsageError that names it if it is none."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise UsageError(f"{path} is no regular file; accepted: a .safetensors file")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    except safetensors.SafetensorError as error:
        raise UsageError(f"{path} is not a .safetensors file: {str(error)[:200]}") from None


def _tensor(file: Any, name: str, path: str | Path) -> np.ndarray:
    """Return a tensor of an open file; UsageError for a type that NumPy lacks."""
    try:
        return file.get_tensor(name)
    except (AttributeError, KeyError, TypeError):
        kind = file.get_slice(name).get_dtype()
        raise UsageError(f"{path}: {name[:80]} is {kind}; accepted: a float of NumPy's") from None


def _check_same(saved: Architecture, architecture: Architecture, path: str | Path) -> None:
    """Raise UsageError if two networks with equal tensors differ otherwise than in resolution."""
    saved = saved.replace(resolution=architecture.resolution, name=architecture.name)
    if saved.canonical_hash() == architecture.canonical_hash():
        return
    for field in ("activation", "padding", "bn_epsilon", "stem_stride", "stem_pool"):
        theirs, ours = getattr(saved, field), getattr(architecture, field)
        if theirs != ours:
            raise UsageError(
                f"{path}: {architecture.name} has {field} = {ours!r}; the weights need {theirs!r}"
            )
    raise UsageError(
        f"{path}: {architecture.name} has other strides or skip connections than the weights need"
    )
