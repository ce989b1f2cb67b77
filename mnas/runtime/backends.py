"""Choices that depend on the kind of device children are trained on: one table.

Settings `auto` of a search take their values from here (`mnas.experiment.automatic`); each can be
given by its flag instead.
"""

import dataclasses
from typing import Literal

Program = Literal["blocks", "whole"]
Precision = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True)
class Backend:
    """How children are trained on a kind of device.

    program    'blocks', each block a program of its own that other children share; 'whole', the
               network as one program, compiled for every child anew
    precision  type of activations and their gradients
    workers    children trained at once on a device; on the CPU, on each core
    """

    program: Program
    precision: Precision
    workers: int


BACKENDS: dict[str, Backend] = {
    # docs/results/speed.md, "Blocks or whole networks".
    "cpu": Backend("blocks", "float32", 1),
    # Assumed, not measured: no GPU was available. XLA compiles a whole network for tens of seconds,
    # longer than a short training takes; tensor cores need bfloat16; and kernels on small images
    # are too short to fill a GPU, which the launches of other children do meanwhile.
    "gpu": Backend("blocks", "bfloat16", 4),
    # Assumed, not measured: as a GPU, but one process has the whole device.
    "tpu": Backend("blocks", "bfloat16", 1),
}
"""Choices by JAX's name of the backend."""


def choices(backend: str) -> Backend:
    """Return the choices for a backend; for an unknown plug-in those for the CPU."""
    return BACKENDS.get(backend, BACKENDS["cpu"])
