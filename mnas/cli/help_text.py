"""Help of a verb: text that fits 80 columns, and basic flags apart from all others."""

import io
import re
import textwrap
from collections.abc import Collection

WIDTH = 80  # columns
LEAST = 20  # for the help of a flag; in fewer, tyro breaks words
TOP, BOTTOM = "╭", "╰"
PLAIN = str.maketrans("╭╮╰╯│─├┤", "++++|-++")  # for streams that aren't UTF-8


class Captured(io.StringIO):
    """Stream for a help text, for which tyro draws boxes."""

    encoding = "utf-8"


def fitting(text: str, basic: Collection[str], program: str, encoding: str | None) -> str:
    """Return a help text of tyro's with the paragraphs above its boxes in lines of `WIDTH`.

    text      with a box for each group of flags
    basic     flags that are shown, besides positional arguments, with a note on how to see the
              others; none: all are shown
    encoding  of the stream on which it will be printed
    """
    shown: list[str] = []
    left_out = 0
    for part in _parts(text):
        if not part[0].startswith(TOP):
            shown += _wrapped(part)
            continue
        part = [part[0], *_refolded(part[1:-1]), part[-1]]
        entries = _entries(part[1:-1])
        kept = [entry for entry in entries if _flag(entry) in ("", "-h", *basic)]
        left_out += len(entries) - len(kept)
        if not basic:
            shown += part
        elif kept:
            shown += [part[0], *(line for entry in kept for line in entry), part[-1]]
    if basic:
        shown += ["", f"{left_out} further settings: {program} --help-all"]
    joined = "\n".join(shown)
    return joined if (encoding or "").lower() == "utf-8" else joined.translate(PLAIN)


def _wrapped(lines: list[str]) -> list[str]:
    """Return lines of text, folded between words; an empty line follows each paragraph."""
    wrapper = textwrap.TextWrapper(WIDTH, break_on_hyphens=False, break_long_words=False)
    folded = [part for line in lines for part in (wrapper.wrap(line) or [""])]
    return [line for line, after in zip(folded, [*folded[1:], "."], strict=True) if line or after]


def _parts(text: str) -> list[list[str]]:
    """Return the lines of a text in groups: each box, and what is between them."""
    parts: list[list[str]] = []
    is_open = False
    for line in text.rstrip().splitlines():
        begins = not is_open and line.startswith(TOP)
        if begins or not parts or (not is_open and parts[-1][0].startswith(TOP)):
            parts.append([])
        parts[-1].append(line)
        is_open = begins or (is_open and not line.startswith(BOTTOM))
    return parts


def _entries(lines: list[str]) -> list[list[str]]:
    """Return the lines of a box's arguments, each with its help; its description is left out."""
    entries: list[list[str]] = []
    for line in lines:
        content = line[2:]
        if re.match(r"-|[A-Z[]", content) and not set(content.strip(" │|")) <= set("─-"):
            entries.append([line])
        elif entries and content.startswith(" "):
            entries[-1].append(line)
    return [entry for entry in entries if _flag(entry) or _is_positional(entry)]


def _refolded(lines: list[str]) -> list[str]:
    """Return the lines of a box with the help of each argument folded anew.

    tyro also breaks a line where the docstring in the source does.
    """
    entries = _entries(lines)
    starts = {id(entry[0]): entry for entry in entries}
    inside = {id(line) for entry in entries for line in entry[1:]}
    found: list[str] = []
    for line in lines:
        if id(line) in starts:
            found += _refolded_entry(starts[id(line)])
        elif id(line) not in inside:
            found.append(line)
    return found


def _refolded_entry(entry: list[str]) -> list[str]:
    """Return an argument's lines; its help is below the flag, or in a column beside it."""
    if len(entry) < 3 or any(not line[1:-1].strip() for line in entry):
        return entry
    column = 1 + len(entry[1][1:]) - len(entry[1][1:].lstrip())
    first = entry[0]
    beside = first[column - 2 : column].isspace() and bool(first[column:-1].strip())
    text = " ".join(line[column:-1].strip() for line in entry[0 if beside else 1 :])
    columns = len(first) - 2 - column
    if columns < LEAST:
        return entry
    wrapper = textwrap.TextWrapper(columns, break_on_hyphens=False, break_long_words=False)
    head, border = first[:column], first[0] + " " * (column - 1)
    folded = wrapper.wrap(text)
    heads = [head if beside else border, *[border] * (len(folded) - 1)]
    width = len(first) - 1
    shown = [f"{h}{text}".ljust(width) + first[-1] for h, text in zip(heads, folded, strict=True)]
    return shown if beside else [first, *shown]


def _flag(entry: list[str]) -> str:
    """Return the first flag of an argument; nothing for a positional one."""
    match = re.match(r"\S\s(-[\w.-]+)", entry[0])
    return "" if match is None else match[1]


def _is_positional(entry: list[str]) -> bool:
    """Return whether an argument has no flag: an upper-case word."""
    return re.match(r"\S\s\[?[A-Z]{2,}", entry[0]) is not None
