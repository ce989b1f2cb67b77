"""Spec files: an architecture in JSON with its cost, timm's `arch_def` and its origin.

    {"format": "mnas-spec/1", "name": ..., "blocks": [block strings], "resolution": ...,
     "stem": ..., "head": ..., "classes": ..., "activation": ..., "stem_kernel": ...,
     "stem_stride": ..., "stem_pool": ..., "padding": ..., "bn_epsilon": ..., "params": ...,
     "mult_adds": ...,
     "arch_def": timm's, or null if timm cannot represent it,
     "search": {...} of the search that found it, or null}

A spec written by `mnas scale` also has "scaling": the base and its multipliers; one of a network
with several blocks in a stage of timm's, "timm_stages". In a spec that is read, every key but
"format" and "blocks" may be missing (`Architecture.from_dict`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.text_forms import arch_def
from mnas.errors import UsageError, rejected, shown
from mnas.files import read_json

FORMAT = "mnas-spec/1"
PROVENANCE = ("search", "scaling")
DERIVED = ("format", "params", "mult_adds", "arch_def", *PROVENANCE)


def to_spec(
    architecture: Architecture, search: Mapping[str, Any] | None = None, **provenance: Any
) -> dict[str, Any]:
    """Return the spec of an architecture.

    search      provenance of a search result
    provenance  further origins by key, as in `PROVENANCE`
    """
    cost = network_cost(architecture)
    return {
        "format": FORMAT,
        **architecture.to_dict(),
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "arch_def": _arch_def_or_none(architecture),
        "search": search,
        **provenance,
    }


def _arch_def_or_none(architecture: Architecture) -> list[list[str]] | None:
    try:
        return arch_def(architecture)
    except UsageError:
        return None


def provenance_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the origin of a spec's network by key; UsageError for what is no object."""
    found = {key: data[key] for key in PROVENANCE if data.get(key) is not None}
    for key, value in found.items():
        if not isinstance(value, dict):
            raise rejected("spec", key, value, "an object, or null")
    return found


def from_spec(data: Any, source: str = "spec") -> Architecture:
    """Return the architecture of a spec.

    Raises UsageError, which starts with `source`, for an invalid spec, and for one whose params,
    mult-adds or arch_def are not those of its blocks: it was edited by hand.
    """
    if not isinstance(data, dict):
        raise UsageError(f"{source}: {type(data).__name__}; accepted: a JSON object")
    if data.get("format") != FORMAT:
        raise rejected(source, "format", data.get("format"), repr(FORMAT))
    fields = {key: value for key, value in data.items() if key not in DERIVED}
    try:
        architecture = Architecture.from_dict(fields)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    cost = network_cost(architecture)
    for key in ("params", "mult_adds"):
        if data.get(key, getattr(cost, key)) != getattr(cost, key):
            raise UsageError(
                f"{source}: {key} = {shown(data[key])}, but the blocks have {getattr(cost, key)}; "
                "accepted: that, or no such key"
            )
    if data.get("arch_def") is not None and data["arch_def"] != _arch_def_or_none(architecture):
        raise UsageError(
            f"{source}: arch_def is not that of the blocks; accepted: that, or no such key"
        )
    return architecture


def read_spec(path: Path) -> Architecture:
    """Return the architecture of a spec file; UsageError if it can't be read."""
    return from_spec(read_json(path), str(path))
