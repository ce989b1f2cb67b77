"""Spec files: an architecture in JSON with its cost, its timm form and where it came from.

    {"format": "mnas-spec/1", "name": ..., "resolution": ..., "stem": ...,
     "blocks": [block strings], "head": ..., "classes": ..., "activation": ...,
     and, where not the default, "stem_kernel", "stem_pool", "padding", "bn_epsilon",
     "params": ..., "mult_adds": ...,
     "arch_def": timm's, or null where timm has no word for it, "search": {...} or null}

and, of one that `mnas scale` made, "scaling": from what, by what.

`find` is what the command line means by SPEC: a published name, timm's name of such a network, a
spec file, a run's directory (its best), or block strings separated by `;`.
"""

import difflib
import re
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED, TIMM
from mnas.architecture.text_forms import arch_def, from_block_strings
from mnas.errors import UsageError
from mnas.files import read_json

FORMAT = "mnas-spec/1"
DERIVED = ("format", "params", "mult_adds", "arch_def", "search", "scaling")


def to_spec(architecture: Architecture, search: dict[str, Any] | None = None) -> dict[str, Any]:
    """The spec of an architecture; `search` says which search found it."""
    cost = network_cost(architecture)
    try:
        timm = arch_def(architecture)
    except ValueError:
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
    """The architecture of a spec. ValueError names what is wrong in `source`."""
    if not isinstance(data, dict):
        raise UsageError(f"{source}: {type(data).__name__}; accepted: a JSON object")
    if data.get("format") != FORMAT:
        raise UsageError(f"{source}: format = {data.get('format')!r}; accepted: {FORMAT!r}")
    described = {key: value for key, value in data.items() if key not in DERIVED}
    try:
        architecture = Architecture.from_dict(described)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{source}: {error}") from None
    cost = network_cost(architecture)
    for key in ("params", "mult_adds"):
        # A spec edited by hand would otherwise carry figures of another network.
        if data.get(key, getattr(cost, key)) != getattr(cost, key):
            raise UsageError(
                f"{source}: {key} = {data[key]!r}, but the blocks have {getattr(cost, key)}; "
                "accepted: that, or no such key"
            )
    return architecture


def read(path: Path) -> Architecture:
    """The architecture of a spec file."""
    return from_spec(read_json(path), str(path))


def find(text: str) -> Architecture:
    """The architecture that `text` names (see the head of this file)."""
    known = {**PUBLISHED, **TIMM}
    if text in known:
        return known[text]
    path = Path(text)
    if path.is_dir():
        if not (path / "best.json").is_file():
            raise UsageError(f"{text} has no best.json; accepted: the directory of a run")
        return read(path / "best.json")
    if path.is_file():
        return read(path)
    if ";" in text or (re.match(r"r\d+_", text) and not path.suffix):
        strings = [string for string in text.split(";") if string.strip()]
        return from_block_strings(strings, name="block-strings")
    # Of names equally near the first: of a family the base.
    nearest = max(known, key=lambda name: difflib.SequenceMatcher(None, name, text).ratio())
    near = difflib.get_close_matches(text, [nearest])
    hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(PUBLISHED)},"
    raise UsageError(f"no spec {text!r}; {hint} a spec file, a run's directory, or block strings")
