"""Grammar of block strings: fields joined by ``_``, each letters and a number, or a word.

TF block strings and the strings of timm's `arch_def` share it and differ in their fields.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from mnas.errors import UsageError, shown

MOST_DIGITS = 18  # Python converts up to 4,300; no setting needs more than these
NUMBER = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"


def number_text(value: float) -> str:
    """Return the shortest text of `value` that reads back as the same float."""
    return str(int(value)) if value == int(value) else repr(value)


@dataclasses.dataclass(frozen=True)
class Grammar:
    """Fields that one kind of string may have.

    keys     pattern of a field with a number; group 1 is its letters, group 2 the number
    words    fields without a number
    example  a valid string, for error messages
    """

    keys: re.Pattern[str]
    words: tuple[str, ...]
    example: str

    def parse(self, source: str, tokens: Sequence[str]) -> "Fields":
        """Return the fields of a string; UsageError for unknown and duplicate ones.

        `source` names the string in error messages.
        """
        values: dict[str, str] = {}
        for token in tokens:
            match = self.keys.fullmatch(token)
            if not match and token not in self.words:
                raise UsageError(
                    f"{source}: unknown field {shown(token, 40)}; "
                    f"accepted: like {self.example}, with {', '.join(self.words)}"
                )
            key, value = match.groups() if match else (token, "")
            if key in values:
                raise UsageError(f"{source}: duplicate field {key!r}; accepted: once")
            values[key] = value
        return Fields(source, values, self.example)


@dataclasses.dataclass(frozen=True)
class Fields:
    """Parsed fields of one string: each key's number as text, '' for a word."""

    source: str
    values: dict[str, str]
    example: str

    def whole_number(self, key: str) -> int:
        """Return the number of a mandatory field; UsageError if it is missing or not whole."""
        if key not in self.values:
            raise UsageError(
                f"{self.source}: field {key!r} is missing; accepted: like {self.example}"
            )
        text = self.values[key]
        if not text.isdigit() or len(text) > MOST_DIGITS:
            raise UsageError(f"{self.source}: {key}{text[:40]}; accepted: {key} and a whole number")
        return int(text)

    def at_most_one(self, words: Iterable[str]) -> str | None:
        """Return the word that is present, if any; UsageError for several."""
        present = [word for word in words if word in self.values]
        if len(present) > 1:
            raise UsageError(
                f"{self.source}: both {present[0]} and {present[1]}; accepted: one of them"
            )
        return present[0] if present else None
