"""The network that a SPEC of the command line names.

A SPEC is

- a published name, or timm's name of such a network;
- a run's directory: its best network; or a training's directory;
- a file: a spec, or a text that `mnas export` wrote: timm's arguments or block strings;
- block strings joined by ``;``. Where they are written as text, the stem is the first string's
  input filters, and the other settings are the defaults of `Architecture`.
"""

import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mnas.architecture.architecture import Architecture
from mnas.architecture.block_text import parse_block_text
from mnas.architecture.published import PUBLISHED, TIMM
from mnas.architecture.spec import PROVENANCE, from_spec, provenance_of
from mnas.architecture.text_forms import from_arch_def, from_block_strings
from mnas.architecture.timm_arguments import from_timm_arguments
from mnas.errors import UsageError, shown
from mnas.files import parse_json, read_json, read_text

T = TypeVar("T")
_FIRST_FIELD = re.compile(r"\s*[a-z]{1,2}\d[^/\\]*_", re.ASCII)


class Source(NamedTuple):
    """A network and its origin by key of a spec: "search" and "scaling", where known."""

    architecture: Architecture
    provenance: dict[str, Any]


def find(text: str) -> Architecture:
    """Return the architecture of a SPEC; UsageError, with a hint, where it names none."""
    return find_source(text).architecture


def find_source(text: str) -> Source:
    """Return the architecture of a SPEC with its origin; errors as `find`."""
    networks = {**PUBLISHED, **TIMM}
    if text in networks:
        return Source(networks[text], {})
    # Unlike the methods of Path, these are False for what can't be a path: too long, or with NUL.
    if os.path.isdir(text):
        for name in ("best.json", "spec.json"):
            if os.path.lexists(os.path.join(text, name)):
                path = Path(text, name)
                return _from_spec_file(path, read_json(path))
        raise UsageError(
            f"{text} has no best.json; accepted: the directory of a run, or of a training"
        )
    if os.path.exists(text):
        return read_source(Path(text))
    if ";" in text or _FIRST_FIELD.match(text):
        strings, _ = parse_block_text(text, f"spec {shown(text)}")
        return Source(from_block_strings(strings, name="block-strings"), {})
    # max() returns the first of equally similar names: the base of a family.
    word = text[:100]
    nearest = max(networks, key=lambda name: difflib.SequenceMatcher(None, name, word).ratio())
    similar = difflib.get_close_matches(word, [nearest])
    hint = f"did you mean {similar[0]}?" if similar else f"accepted: {', '.join(PUBLISHED)},"
    raise UsageError(
        f"no spec {shown(text)}; {hint} a spec file, a run's directory, or block strings"
    )


def trained_weights(text: str) -> str | None:
    """Return the path of the weights that a SPEC has; None unless it is a training's directory."""
    if text in PUBLISHED or text in TIMM or os.path.lexists(os.path.join(text, "best.json")):
        return None
    path = os.path.join(text, "weights.safetensors")
    return path if os.path.isfile(path) else None


def read_source(path: Path) -> Source:
    """Return the network of a file: a spec, timm's arguments, or block strings.

    A JSON list is an `arch_def` or, where it holds strings, block strings. Raises UsageError that
    names the file.
    """
    text = read_text(path)
    is_json = text.lstrip().startswith(("{", "["))
    data = parse_json(text, str(path)) if is_json else None
    is_list_of_specs = isinstance(data, list) and bool(data) and isinstance(data[0], dict)
    is_spec = isinstance(data, dict) and ("format" in data or "arch_def" not in data)
    if is_spec or is_list_of_specs:  # of which `from_spec` says what is accepted
        return _from_spec_file(path, data)
    return _named(path, _from_other_text, text, data, path.stem)


def _from_spec_file(path: Path, data: Any) -> Source:
    return Source(from_spec(data, str(path)), _named(path, provenance_of, data))


def _from_other_text(text: str, data: Any, name: str) -> Source:
    if isinstance(data, dict):
        provenance = provenance_of(data)
        arguments = {key: value for key, value in data.items() if key not in PROVENANCE}
        return Source(from_timm_arguments({"name": name, **arguments}), provenance)
    if isinstance(data, list) and data and all(isinstance(string, str) for string in data):
        return Source(from_block_strings(data, name=name), {})
    if isinstance(data, list):
        return Source(from_arch_def(data, name=name), {})
    strings, said = parse_block_text(text, "text")
    provenance = provenance_of(said)
    settings = {key: value for key, value in said.items() if key not in PROVENANCE}
    return Source(from_block_strings(strings, **{"name": name, **settings}), provenance)


def _named(path: Path, read: Callable[..., T], *arguments: Any) -> T:
    """Return what `read` returns; its errors name the file."""
    try:
        return read(*arguments)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
