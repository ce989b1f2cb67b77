"""Formats of `mnas export` by name."""

from collections.abc import Callable

from mnas.architecture.architecture import Architecture
from mnas.export.text import Provenance, to_json, to_tf, to_timm

TEXT_FORMATS: dict[str, Callable[[Architecture, Provenance], str]] = {
    "json": to_json,
    "tf": to_tf,
    "timm": to_timm,
}
WEIGHT_FORMATS = ("safetensors", "stablehlo", "onnx")
FORMATS = (*TEXT_FORMATS, *WEIGHT_FORMATS)
