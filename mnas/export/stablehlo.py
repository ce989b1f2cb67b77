"""Networks with their weights as StableHLO, for processes that have JAX but not mnas.

    import jax
    from jax import export

    with open("network.stablehlo", "rb") as file:
        network = jax.jit(export.deserialize(bytearray(file.read())).call)
    logits = network(images)    # [N, R, R, 3] float32, any N → [N, classes]

The file is a serialized `jax.export.Exported`, with JAX's compatibility guarantees for such files.
The weights are constants of the program, so one file holds the whole network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError
from mnas.files import write_bytes
from mnas.nn import ops
from mnas.nn.network import Network, Variables, network_variables

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def to_stablehlo(
    architecture: Architecture,
    variables: Mapping[str, Variables],
    platforms: Sequence[str] = ("cpu",),
) -> bytes:
    """Return the serialized program of a network, images [N, R, R, 3] → logits [N, classes].

    variables  variables by block (`mnas.nn.network`)
    platforms  one or several of 'cpu', 'cuda', 'rocm', 'tpu'

    A program for 'cpu' alone has the depthwise convolutions and sums of `mnas.nn.ops`, which are
    much faster there; other programs have XLA's. Raises UsageError for an unknown platform.
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise UsageError(f"platforms = {list(platforms)}; accepted: some of {', '.join(PLATFORMS)}")
    resolution = architecture.resolution
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, resolution, resolution, 3), jnp.float32)
    weights = network_variables(variables)

    def infer(images: jax.Array) -> Any:
        return Network(architecture).apply(weights, images)

    with ops.use_implementation("shifted" if tuple(platforms) == ("cpu",) else "lax"):
        exported = export.export(jax.jit(infer), platforms=tuple(platforms))(images)
    return bytes(exported.serialize())


def save_stablehlo(
    path: str | Path,
    architecture: Architecture,
    variables: Mapping[str, Variables],
    platforms: Sequence[str] = ("cpu",),
) -> None:
    """Write the program of `to_stablehlo` to a file."""
    write_bytes(Path(path), to_stablehlo(architecture, variables, platforms))
