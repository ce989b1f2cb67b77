"""Networks with their weights as ONNX models, for ONNX runtimes.

    session = onnxruntime.InferenceSession("network.onnx")
    (logits,) = session.run(None, {"images": images})    # [N, 3, R, R] float32, any N

Images are NCHW, as is usual with ONNX (elsewhere in mnas they are NHWC), and normalised: pixels of
0 to 255, less the mean of their channel and divided by its standard deviation. Both are, where they
are known, in the model's metadata as JSON lists, `pixel_mean` and `pixel_std`.

The graph is written node by node from the architecture and mirrors `mnas.nn.blocks`, so that every
convolution is one node (B0 has 288 nodes; a conversion of the traced program has 1,848). Weights
have timm's names and layouts, which are also ONNX's. Operators are those of opset 17. Needs the
package onnx, which the extra `onnx` installs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Layer
from mnas.architecture.cost import downscaled
from mnas.errors import UsageError
from mnas.files import write_bytes
from mnas.nn.network import Variables
from mnas.nn.ops import padding_of
from mnas.nn.weights import PROVENANCE_KEY, module_names, statistics_metadata, to_state_dict

OPSET = 17
IR_VERSION = 8  # of the first ONNX release with opset 17, so that older runtimes can read it


class Graph:
    """ONNX graph under construction. Methods that add nodes return the name of the last output.

    nodes         ONNX nodes in topological order
    initializers  weights and constants by name
    resolution    height and width of the current feature map, pixels; padding depends on it
    """

    def __init__(self, architecture: Architecture, state: Mapping[str, np.ndarray]) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.resolution = architecture.resolution
        self._architecture, self._state = architecture, state

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add one node and return the name of its output."""
        from onnx import helper

        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def weights(self, module: str, *kinds: str) -> list[str]:
        """Add a module's tensors of these kinds as initializers and return their names."""
        names = [f"{module}.{kind}" for kind in kinds]
        self.initializers |= {name: self._state[name] for name in names}
        return names

    def constant(self, name: str, value: float) -> str:
        """Add a scalar initializer and return its name."""
        self.initializers[name] = np.array(value, np.float32)
        return name

    def _padded(self, kernel: int, stride: int) -> dict[str, list[int]]:
        before, after = padding_of(self.resolution, kernel, stride, self._architecture.padding)
        pads = [before, before, after, after]  # top, left, bottom, right
        return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}

    def convolution(
        self, x: str, module: str, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> str:
        """Add a convolution; the kernel size is that of the module's weight."""
        names = self.weights(module, *(("weight", "bias") if bias else ("weight",)))
        kernel = self._state[names[0]].shape[-1]
        return self.add("Conv", x, *names, group=groups, **self._padded(kernel, stride))

    def norm(self, x: str, module: str, activation: str | None = None) -> str:
        """Add a BatchNorm with its running statistics, then an activation."""
        names = self.weights(module, "weight", "bias", "running_mean", "running_var")
        epsilon = self._architecture.bn_epsilon
        return self.activate(self.add("BatchNormalization", x, *names, epsilon=epsilon), activation)

    def activate(self, x: str, activation: str | None) -> str:
        """Add 'swish', 'relu' or 'relu6'; None adds nothing."""
        match activation:
            case None:
                return x
            case "swish":
                return self.add("Mul", x, self.add("Sigmoid", x))
            case "relu":
                return self.add("Relu", x)
            case "relu6":
                return self.add("Clip", x, self.constant("zero", 0), self.constant("six", 6))
        raise ValueError(f"activation = {activation!r}; accepted: 'swish', 'relu', 'relu6', None")

    def pool(self, op: str, x: str, stride: int) -> str:
        """Add a 3×3 'AveragePool' or 'MaxPool'; padding pixels don't count."""
        return self.add(op, x, **self._padded(3, stride))

    def downscale(self, stride: int) -> None:
        """Set the resolution to that after a stride."""
        self.resolution = downscaled(self.resolution, stride)


def to_onnx(
    architecture: Architecture,
    variables: Mapping[str, Variables],
    provenance: Mapping[str, Any] | None = None,
    pixel_statistics: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Any:
    """Return the checked `onnx.ModelProto` of a network with its variables by block.

    provenance        the network's origin as in its spec, for the model's metadata
    pixel_statistics  mean and standard deviation of each channel, on the scale of 0 to 255, by
                      which images are to be normalised, for the metadata `pixel_mean`, `pixel_std`

    Raises UsageError if the package onnx is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ModuleNotFoundError:
        raise UsageError(
            "format = 'onnx': the package onnx is not installed; "
            "accepted: after pip install 'mnas[onnx]', or another format"
        ) from None
    names = module_names(architecture)
    graph = Graph(architecture, to_state_dict(architecture, variables))
    x = _stem(graph, "images", architecture, names["stem"])
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            add = _LAYERS[layer.op]
            x = add(graph, x, layer, architecture.activation, names[f"stage{s}_layer{n}"])
            graph.downscale(layer.stride)
    _head(graph, x, architecture, names["head"])
    shape: list[str | int] = ["batch", 3, architecture.resolution, architecture.resolution]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    logits = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch", architecture.classes]
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            architecture.name,
            [images],
            [logits],
            [numpy_helper.from_array(value, name) for name, value in graph.initializers.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnas",
    )
    metadata = {PROVENANCE_KEY: json.dumps(provenance)} if provenance else {}
    helper.set_model_props(model, metadata | statistics_metadata(pixel_statistics))
    onnx.checker.check_model(model, full_check=True)
    return model


def save_onnx(
    path: str | Path,
    architecture: Architecture,
    variables: Mapping[str, Variables],
    provenance: Mapping[str, Any] | None = None,
    pixel_statistics: tuple[Sequence[float], Sequence[float]] | None = None,
) -> None:
    """Write the model of `to_onnx` to a file."""
    model = to_onnx(architecture, variables, provenance, pixel_statistics)
    write_bytes(Path(path), model.SerializeToString())


# --- blocks, as in mnas.nn.blocks ---------------------------------------------------------------

Names = Mapping[str, str]


def _stem(graph: Graph, x: str, architecture: Architecture, names: Names) -> str:
    stride = architecture.stem_stride
    x = graph.convolution(x, names["conv"], stride)
    x = graph.norm(x, names["norm"], architecture.activation)
    graph.downscale(stride)
    if architecture.stem_pool:
        x = graph.pool("MaxPool", x, stride=2)
        graph.downscale(2)
    return x


def _mbconv(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    y = x
    if layer.expand_ratio != 1:
        y = graph.convolution(y, names["expand"])
        y = graph.norm(y, names["expand_norm"], activation)
    y = graph.convolution(y, names["depthwise"], layer.stride, groups=layer.expanded_filters)
    y = graph.norm(y, names["depthwise_norm"], activation)
    y = _squeeze_excite(graph, y, layer, activation, names)
    y = graph.convolution(y, names["project"])
    y = graph.norm(y, names["project_norm"], activation if layer.op == "separable" else None)
    return _skip(graph, x, y, layer, names)


def _conv(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    y = graph.convolution(x, names["conv"], layer.stride)
    y = graph.norm(y, names["norm"], activation)
    y = _squeeze_excite(graph, y, layer, activation, names)
    return _skip(graph, x, y, layer, names)


def _identity(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    return graph.norm(graph.convolution(x, names["conv"], layer.stride), names["norm"])


def _basic(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    return _residual(graph, x, layer, (layer.stride, 1), activation, names)


def _bottleneck(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    return _residual(graph, x, layer, (1, layer.stride, 1), activation, names)


def _residual(
    graph: Graph, x: str, layer: Layer, strides: tuple[int, ...], activation: str, names: Names
) -> str:
    """Add a layer of ResNet with one convolution for each stride."""
    y = x
    for n, stride in enumerate(strides, start=1):
        y = graph.convolution(y, names[f"conv{n}"], stride)
        y = graph.norm(y, names[f"norm{n}"], activation if n < len(strides) else None)
    return graph.activate(_skip(graph, x, y, layer, names), activation)


def _squeeze_excite(graph: Graph, x: str, layer: Layer, activation: str, names: Names) -> str:
    if not layer.se_filters:
        return x
    module = names["squeeze_excite"]
    pooled = graph.add("GlobalAveragePool", x)
    hidden = graph.convolution(pooled, f"{module}.conv_reduce", bias=True)
    hidden = graph.activate(hidden, activation)
    gate = graph.convolution(hidden, f"{module}.conv_expand", bias=True)
    return graph.add("Mul", x, graph.add("Sigmoid", gate))


def _skip(graph: Graph, x: str, y: str, layer: Layer, names: Names) -> str:
    if layer.skip == "none":
        return y
    if layer.skip == "pool":
        x = graph.pool("AveragePool", x, layer.stride)
    if layer.skip == "projection":
        x = graph.norm(
            graph.convolution(x, names["shortcut"], layer.stride), names["shortcut_norm"]
        )
    return graph.add("Add", y, x)


def _head(graph: Graph, x: str, architecture: Architecture, names: Names) -> None:
    if architecture.head:
        x = graph.convolution(x, names["conv"])
        x = graph.norm(x, names["norm"], architecture.activation)
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    graph.add("Gemm", x, *graph.weights(names[""], "weight", "bias"), transB=1)
    graph.nodes[-1].output[0] = "logits"


_LAYERS: dict[str, Callable[[Graph, str, Layer, str, Names], str]] = {
    "mbconv": _mbconv,
    "separable": _mbconv,
    "conv": _conv,
    "basic": _basic,
    "bottleneck": _bottleneck,
    "identity": _identity,
}
