"""Strategies around valid inputs: damaged bytes, edited lines, JSON values exchanged."""

import copy
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

# Fewer inputs by default for readers that take some 30 ms.
examples = settings().max_examples
fewer = settings(max_examples=examples if examples > 1000 else 100)

# Numbers that overflow, underflow, wrap or are none; texts that are markup, paths or no UTF-8.
WHOLE = (0, 1, -1, 2, 7, 255, 2**31, 2**32, 2**63, 2**64, -(2**63) - 1, 10**9, 10**24, 10**400)
REAL = (0.0, -0.0, 0.5, 1.0, 1.5, 1e-320, 1e40, 1e308, -1e308, math.nan, math.inf, -math.inf)
TEXTS = (
    *(
        "",
        " ",
        "\n",
        "\0",
        "a\tb",
        "\x1b[31m",
        "\u2028",
        "é",
        "Σ",
        "١",
        "²",
        "\ud800",
        "\U0001f600",
    ),
    *(
        "1",
        "-1",
        "1e9",
        "1_000",
        "0x10",
        "NaN",
        "None",
        "null",
        "true",
        "[/b]",
        "%s{0}",
        "../..",
        "/",
    ),
    *("x" * 300, "9" * 5000, "é" * 2000),
)

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(WHOLE),
    st.sampled_from(REAL),
    st.sampled_from(TEXTS),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
)
json_values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values within a JSON value, itself included."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path, *(p for key, inner in items for p in paths(inner, (*path, key)))]


def at(value: Any, path: Sequence[Any]) -> Any:
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


@st.composite
def edited_json(draw: Any, valid: Any, most: int = 2) -> Any:
    """A JSON value with some of its parts replaced, removed, renamed, added or exchanged."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, most))):
        every = paths(value)
        path = draw(st.sampled_from(every))
        if not path:
            value = draw(json_values)
            continue
        holder, key = at(value, path[:-1]), path[-1]
        edit = draw(st.sampled_from(("replace", "replace", "remove", "add", "exchange", "double")))
        if edit == "replace":
            holder[key] = draw(json_values)
        elif edit == "remove":
            del holder[key]
        elif edit == "exchange":
            other = draw(st.sampled_from(every))
            holder[key] = copy.deepcopy(at(value, other))
        elif isinstance(holder, list):
            holder.insert(key, draw(json_values) if edit == "add" else copy.deepcopy(holder[key]))
        else:
            name = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=6), st.just(f"{key}s")))
            holder[name] = draw(json_values) if edit == "add" else copy.deepcopy(holder[key])
    return value


@st.composite
def edited_text(draw: Any, valid: str, most: int = 3) -> str:
    """A text with numbers, words, characters or lines replaced, removed, doubled or exchanged."""
    text = valid
    for _ in range(draw(st.integers(1, most))):
        pattern = draw(st.sampled_from((r"\d+", r"\w+", r"[^\W\d_]+", r".", r"[^\n]*\n")))
        matches = list(re.finditer(pattern, text)) or [re.match("", text)]
        match = draw(st.sampled_from(matches))
        found = match.group()
        edit = draw(st.sampled_from(("number", "text", "remove", "double", "exchange", "cut")))
        if edit == "cut":
            text = text[: match.start()]
            continue
        if edit == "number":
            number = draw(st.one_of(st.sampled_from(WHOLE), st.sampled_from(REAL), st.integers()))
            new = str(number)
        elif edit == "text":
            new = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=5)))
        elif edit == "exchange":
            new = draw(st.sampled_from(matches)).group()
        else:
            new = found * 2 if edit == "double" else ""
        text = text[: match.start()] + new + text[match.end() :]
    return text


@st.composite
def edited_bytes(draw: Any, valid: bytes, most: int = 3) -> bytes:
    """Bytes with ranges flipped, overwritten, removed, doubled, exchanged or cut off."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(1, 16))
        edit = draw(st.sampled_from(("flip", "flip", "write", "remove", "double", "move", "cut")))
        if edit == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif edit == "write":
            data[start : start + length] = draw(
                st.one_of(
                    st.sampled_from([b"\0" * 8, b"\xff" * 8, b"9" * 8, b"\n", b'"', b"[" * 3000]),
                    st.binary(min_size=1, max_size=16),
                )
            )
        elif edit == "remove":
            del data[start : start + length]
        elif edit == "double":
            data[start:start] = data[start : start + length]
        elif edit == "move":
            moved = data[start : start + length]
            del data[start : start + length]
            place = draw(st.integers(0, len(data)))
            data[place:place] = moved
        else:
            del data[start:]
    return bytes(data)


@st.composite
def edited_lines(draw: Any, valid: bytes) -> bytes:
    """Lines removed, doubled, exchanged, joined or cut."""
    lines = valid.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 2))):
        index, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        edit = draw(st.sampled_from(("remove", "double", "exchange", "join", "cut", "blank")))
        if edit == "remove" and len(lines) > 1:
            del lines[index]
        elif edit == "double":
            lines.insert(other, lines[index])
        elif edit == "exchange":
            lines[index], lines[other] = lines[other], lines[index]
        elif edit == "join":
            lines[index] = lines[index].rstrip(b"\n")
        elif edit == "cut":
            lines[index] = lines[index][: draw(st.integers(0, len(lines[index])))]
        else:
            lines.insert(index, draw(st.sampled_from([b"\n", b"null\n", b"{}\n", b"\xff\xfe\n"])))
    return b"".join(lines)


def json_files(valid: Any, *, indent: int | None = 2) -> st.SearchStrategy[bytes]:
    """Files around a valid JSON value: edited values, and damaged text."""
    text = json.dumps(valid, indent=indent)
    return st.one_of(
        edited_json(valid).map(lambda value: json.dumps(value, indent=indent).encode()),
        edited_text(text).map(lambda edited: edited.encode(errors="surrogatepass")),
        edited_bytes(text.encode()),
        st.sampled_from(ODD_FILES),
    )


# Nested deeper than Python's stack, another encoding, nothing at all, values that are no objects.
ODD_FILES = (
    *(b"", b"\n", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe{}", "{}".encode("utf-16")),
    *(b"[" * 5_000, b'{"a":' * 5_000, b"\0" * 1000, b"\xef\xbb\xbf{}", b"9" * 10_000),
)
