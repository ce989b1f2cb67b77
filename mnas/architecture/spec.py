"""Spec files: an architecture in JSON with its cost, timm's `arch_def` and its origin.

    {"format": "mnas-spec/1", "name": ..., "blocks": [block strings], "resolution": ...,
     "stem": ..., "head": ..., "classes": ..., "activation": ..., "stem_kernel": ...,
     "stem_pool": ..., "padding": ..., "bn_epsilon": ..., "params": ..., "mult_adds": ...,
     "arch_def": timm's, or null if timm cannot represent it,
     "search": {...} of the search that found it, or null}

A spec written by `mnas scale` also has "scaling": the base and its multipliers. In a spec that is
read, every key but "format" and "blocks" may be missing (`Architecture.from_dict`).
"""

import difflib
import re
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED, TIMM
from mnas.architecture.text_forms import arch_def, from_block_strings
from mnas.errors import UsageError, rejected
from mnas.files import read_json

FORMAT = "mnas-spec/1"
DERIVED = ("format", "params", "mult_adds", "arch_def", "search", "scaling")


def to_spec(architecture: Architecture, search: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the spec of an architecture; `search` is the provenance of a search result."""
    cost = network_cost(architecture)
    timm: list[list[str]] | None
    try:
        timm = arch_def(architecture)
    except UsageError:
        timm = None
    return {
        "format": FORMAT,
        **architecture.to_dict(),
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "arch_def": timm,
        "search": search,
    }


def from_spec(data: Any, source: str = "spec") -> Architecture:
    """Return the architecture of a spec.

    Raises UsageError, which starts with `source`, for an invalid spec, and for one whose params or
    mult-adds are not those of its blocks: it was edited by hand.
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
                f"{source}: {key} = {data[key]!r}, but the blocks have {getattr(cost, key)}; "
                "accepted: that, or no such key"
            )
    return architecture


def read_spec(path: Path) -> Architecture:
    """Return the architecture of a spec file; UsageError if it can't be read."""
    return from_spec(read_json(path), str(path))


def find(text: str) -> Architecture:
    """Return the architecture that a SPEC of the command line names.

    A SPEC is a published name, timm's name of such a network, a spec file, a run's directory (its
    best), or block strings joined by ``;``. Raises UsageError, with the nearest published name as a
    hint, for anything else.
    """
    networks = {**PUBLISHED, **TIMM}
    if text in networks:
        return networks[text]
    path = Path(text)
    if path.is_dir():
        if not (path / "best.json").is_file():
            raise UsageError(f"{text} has no best.json; accepted: the directory of a run")
        return read_spec(path / "best.json")
    if path.is_file():
        return read_spec(path)
    if ";" in text or (re.match(r"r\d+_", text) and not path.suffix):
        strings = [string for string in text.split(";") if string.strip()]
        return from_block_strings(strings, name="block-strings")
    # max() returns the first of equally similar names: the base of a family.
    nearest = max(networks, key=lambda name: difflib.SequenceMatcher(None, name, text).ratio())
    similar = difflib.get_close_matches(text, [nearest])
    hint = f"did you mean {similar[0]}?" if similar else f"accepted: {', '.join(PUBLISHED)},"
    raise UsageError(f"no spec {text!r}; {hint} a spec file, a run's directory, or block strings")
