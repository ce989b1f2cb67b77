"""A network with its weights as StableHLO, for processes that have JAX and nothing of ours.

    import jax
    from jax import export

    with open("network.stablehlo", "rb") as file:
        network = jax.jit(export.deserialize(bytearray(file.read())).call)
    logits = network(images)    # [N, R, R, 3] float32, any N → [N, classes]

The file is what `jax.export` serializes: it stays readable for the time that JAX promises for its
exports. The weights are constants of the program, so one file is the whole network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError
from mnas.nn import ops
from mnas.nn.network import Network, Variables, network_variables

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def to_stablehlo(
    architecture: Architecture,
    variables: Mapping[str, Variables],
    platforms: Sequence[str] = ("cpu",),
) -> bytes:
    """The serialized program, for one platform or several.

    For 'cpu' alone, depthwise convolutions and sums are written as in `mnas.nn.ops`, which is much
    faster there; a program for other platforms, or for several, has XLA's own.
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise UsageError(f"platforms = {list(platforms)}; accepted: some of {', '.join(PLATFORMS)}")
    side = architecture.resolution
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, side, side, 3), jnp.float32)
    weights = network_variables(variables)

    def infer(images):
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
    """Writes `to_stablehlo` to a file."""
    Path(path).write_bytes(to_stablehlo(architecture, variables, platforms))
