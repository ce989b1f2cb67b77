"""Fits of measured latency and throughput on six devices."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.evaluators.surrogate_fits import _coefficients, _require, choices_of, features

Device = Literal["a100", "rtx3090", "tpuv2", "tpuv3", "vck190", "zcu102"]


DEVICES: tuple[Device, ...] = get_args(Device)


def throughput(architectures: Sequence[Architecture], device: Device) -> np.ndarray:
    """Images a second in large batches, float64 [N], as the authors measured it on `device`."""
    _require("device", device, DEVICES)
    fitted = _coefficients()
    return np.exp(features(choices_of(architectures)) @ fitted[f"throughput_{device}"])


def latency_ms(architectures: Sequence[Architecture], device: Device) -> np.ndarray:
    """Milliseconds an image, float64 [N].

    On the FPGAs (vck190, zcu102) the measured latency of one image; the authors timed GPUs and TPUs
    in large batches only, so there it is the batch's time for each image.
    """
    fitted = _coefficients()
    if f"latency_{device}" in fitted:
        return np.exp(features(choices_of(architectures)) @ fitted[f"latency_{device}"])
    return 1000 / throughput(architectures, device)
