"""Whole networks as TF block strings in a text file, one a line.

    r1_k3_s11_e1_i32_o16_se0.25
    r2_k3_s22_e6_i16_o24_se0.25
    # mnas: {"name": "digits-1", "resolution": 32, "classes": 10}

Block strings don't hold what surrounds the blocks. Where that differs from the defaults of
`Architecture`, or the network's origin is known, a comment in the last line says it.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.text_forms import tf_block_strings
from mnas.errors import UsageError, shown
from mnas.files import parse_json

COMMENT = "#"
SETTINGS = "# mnas:"
_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Architecture)
    if field.name not in ("name", "blocks", "stem")
}


def to_block_text(architecture: Architecture, provenance: Mapping[str, Any]) -> str:
    """Return the text of a network, without a line end after the last line.

    provenance  origin of the network by key of a spec ("search", "scaling")

    Raises UsageError for what TF cannot represent.
    """
    lines = list(tf_block_strings(architecture))
    settings = {name: getattr(architecture, name) for name in _DEFAULTS}
    settings = {name: value for name, value in settings.items() if value != _DEFAULTS[name]}
    said = {**settings, **provenance}
    if said:
        lines.append(f"{SETTINGS} {json.dumps({'name': architecture.name, **said})}")
    return "\n".join(lines)


def parse_block_text(text: str, source: str) -> tuple[list[str], dict[str, Any]]:
    """Return (block strings, content of the comment) of a text, or of strings joined by ``;``.

    Other comments and empty lines are ignored. Raises UsageError, which starts with `source`, for a
    text without strings and for a comment of ours that is no JSON object.
    """
    strings: list[str] = []
    said: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(SETTINGS):
            said = parse_json(line.removeprefix(SETTINGS), f"{source}, line {number}")
            if not isinstance(said, dict) or "blocks" in said:
                raise UsageError(
                    f"{source}, line {number}: {shown(said)}; accepted: an object of settings"
                )
        elif not line.lstrip().startswith(COMMENT):
            strings += [string.strip() for string in line.split(";") if string.strip()]
    if not strings:
        raise UsageError(f"{source} holds no block strings; accepted: one or more")
    return strings, said
