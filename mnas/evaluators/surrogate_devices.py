"""Latency and throughput of networks on six devices, as fits to measurements.

Log-linear in `features` (`mnas.evaluators.surrogate_fits`), fitted to the measurements of
Accel-NASBench (arXiv 2404.08005). Shapes: N architectures.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import require_one_of
from mnas.evaluators.surrogate_fits import OWNER, choices_of, coefficients, features

Device = Literal["a100", "rtx3090", "tpuv2", "tpuv3", "vck190", "zcu102"]
DEVICES: tuple[Device, ...] = get_args(Device)


def throughput(architectures: Sequence[Architecture], device: Device) -> np.ndarray:
    """Return images per second in large batches, float64 [N].

    Raises UsageError for an unknown device, or for networks outside the measured space.
    """
    require_one_of(OWNER, "device", device, DEVICES)
    # images/s = exp(x · w)
    weights = coefficients()[f"throughput_{device}"]
    return np.exp(features(choices_of(architectures)) @ weights)


def latency_ms(architectures: Sequence[Architecture], device: Device) -> np.ndarray:
    """Return milliseconds per image, float64 [N].

    On the FPGAs (vck190, zcu102) this is the latency of a single image. GPUs and TPUs were measured
    in large batches only; there it is the batch's time divided by its images. Raises as
    `throughput` does.
    """
    weights = coefficients().get(f"latency_{device}")
    if weights is None:
        return 1000 / throughput(architectures, device)
    return np.exp(features(choices_of(architectures)) @ weights)
