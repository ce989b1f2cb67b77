"""The page as one HTML document: templates, styles, scripts and data in a single file.

Text is escaped by the templates. Data are JSON in a script element of a type that is not executed.
The page's own content security policy forbids every request, so that it needs no network and
sends nothing.

vega.js holds Vega 6.2, Vega-Lite 6.4 and vega-embed, as `vl_convert.javascript_bundle(SNIPPET)` of
vl-convert-python 1.9.0.post1 makes it; vega.LICENSES.txt, which pages hold too, has their notices.
The file is part of the package because making it takes five seconds and vl-convert 84 MB.
"""

import functools
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from mnas.errors import UsageError
from mnas.files import write_text
from mnas.reports.drawing import STYLE
from mnas.reports.page.style import css
from mnas.reports.text import printable

# What the bundle leaves to the page.
SNIPPET = "window.vegaEmbed = vegaEmbed;"
PACKAGE = "mnas.reports.page"
SCRIPTS = ("vega.js", "page.js", "table.js")


def write_document(
    out: Path,
    content: Mapping[str, Any],
    data: Mapping[str, Any],
    template: str = "page.html.j2",
) -> None:
    """Write a page; UsageError where the file cannot be written.

    content   variables of the template, and `title`, `written` and `version`
    data      `runs` and `charts`, JSON-compatible; NaN and infinities become null
    template  page.html.j2 or study.html.j2
    """
    page = (
        _environment()
        .get_template(template)
        .render(
            **content,
            styles=css() + STYLE + _file("page.css"),
            scripts=[f"/*!\n{_file('vega.LICENSES.txt')}*/", *map(_file, SCRIPTS)],
            data=to_json(data),
        )
    )
    try:
        write_text(out, page)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None


def to_json(data: Any) -> str:
    """Return compact JSON that is harmless inside a script element, in ASCII."""
    text = json.dumps(_clean(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _clean(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {printable(str(key)): _clean(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_clean(value) for value in data]
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


@functools.cache
def _file(name: str) -> str:
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
