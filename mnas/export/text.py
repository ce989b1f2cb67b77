"""Architectures as text: a spec, TF block strings, timm's `arch_def`.

Each function takes the origin of the network by key of a spec ("search", "scaling") and keeps it.
`mnas.architecture.sources` reads the texts back.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.block_text import to_block_text
from mnas.architecture.spec import to_spec
from mnas.architecture.timm_arguments import timm_arguments

Provenance = Mapping[str, Any]
NONE: Provenance = MappingProxyType({})


def to_json(architecture: Architecture, provenance: Provenance = NONE) -> str:
    """Return a spec file (`mnas.architecture.spec`)."""
    return json.dumps(to_spec(architecture, **provenance), indent=2)


def to_tf(architecture: Architecture, provenance: Provenance = NONE) -> str:
    """Return EfficientNet's block strings, one a line (`mnas.architecture.block_text`).

    Raises UsageError for what TF cannot represent.
    """
    return to_block_text(architecture, provenance)


def to_timm(architecture: Architecture, provenance: Provenance = NONE) -> str:
    """Return timm's `arch_def` and the other arguments of its EfficientNet, as JSON.

    Raises UsageError for what timm cannot represent (`mnas.architecture.timm_arguments`).
    """
    return json.dumps({**timm_arguments(architecture), **provenance}, indent=2)
