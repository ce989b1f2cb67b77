"""Extension of griffe: aligned lists of docstrings keep their columns in the API reference.

Docstrings of mnas list arguments and fields as `name  meaning`, in columns. Markdown would join
their lines into one paragraph.
"""

import re
from typing import Any

import griffe


def with_columns(text: str) -> str:
    """Return a docstring in which paragraphs with columns are preformatted."""
    paragraphs = re.split(r"\n{2,}", text)
    return "\n\n".join(map(_paragraph, paragraphs))


def _paragraph(text: str) -> str:
    columns = any(re.search(r"\S {2,}\S", line) for line in text.splitlines())
    if not columns or text.startswith(("    ", "```")):
        return text
    return f"```text\n{text}\n```"


class Columns(griffe.Extension):
    """Extension that edits the docstring of every object."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Edit one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = with_columns(obj.docstring.value)
