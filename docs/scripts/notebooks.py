"""Tutorials as notebooks: the prose of a page, and the example that it includes, cut into cells.

The statements below `if __name__ == "__main__":` become the last cell. Nothing is executed, so the
notebooks hold no outputs.
"""

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"

# The fence by which a page includes a file of examples/.
INCLUDED = re.compile(
    r'^```python title="(examples/\w+\.py)"\n--8<--\n\1\n--8<--\n```$', re.MULTILINE
)
# A link to another page of the site, which a notebook elsewhere does not reach.
RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
FENCE_TITLE = re.compile(r'^(```\w+) title="[^"]*"$', re.MULTILINE)


def notebooks() -> dict[str, str]:
    """Return the notebooks as JSON, by the name of the tutorial's page without its suffix."""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in sorted(TUTORIALS.glob("*.md"))}
    return {name: notebook(text) for name, text in pages.items() if INCLUDED.search(text)}


def notebook(page: str) -> str:
    """Return a page and the example that it includes as a notebook (nbformat 4.4).

    Raises ValueError where the page includes no example, or more than one.
    """
    parts = INCLUDED.split(page)
    if len(parts) != 3:
        raise ValueError(f"the page includes {len(parts) // 2} examples; accepted: 1")
    before, example, after = parts
    cells = [_markdown(before)]
    cells += [_code(text) for text in code_cells((ROOT / example).read_text(encoding="utf-8"))]
    if after.strip():
        cells.append(_markdown(after))
    content = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def code_cells(source: str) -> Iterator[str]:
    """Yield the code of a program cell by cell.

    A cell is a definition, the statements between two definitions, or what the program does when it
    is run. Comments belong to the statement after them. The docstring is left out.
    """
    lines = source.splitlines()
    statements = ast.parse(source).body
    begin = place = 0  # lines before the cell, and before the statement
    if ast.get_docstring(ast.Module(statements, [])) is not None:
        begin = place = statements.pop(0).end_lineno or 0
    for statement in statements:
        end = statement.end_lineno or 0
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.If):
            if place > begin:
                yield "\n".join(lines[begin:place]).strip("\n")
            text = "\n".join(lines[place:end]).strip("\n")
            yield _body(text) if isinstance(statement, ast.If) else text
            begin = end
        place = end
    if place > begin:
        yield "\n".join(lines[begin:place]).strip("\n")


def _body(program: str) -> str:
    """Return the statements below `if __name__ == "__main__":`."""
    condition, _, body = program.partition("\n")
    if condition != 'if __name__ == "__main__":':
        raise ValueError(f"{condition!r}; accepted: a program's own part")
    return textwrap.dedent(body)


def _markdown(text: str) -> dict[str, object]:
    plain = RELATIVE_LINK.sub(r"\1", FENCE_TITLE.sub(r"\1", text.strip()))
    return {"cell_type": "markdown", "metadata": {}, "source": plain.splitlines(keepends=True)}


def _code(text: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }
