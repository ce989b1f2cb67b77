"""A figure of a page: its specification with title, caption and a description in words."""

import dataclasses
from typing import Any

from mnas.reports.page.style import config

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched


@dataclasses.dataclass(frozen=True)
class Chart:
    """A figure.

    name         of its files and of its element, such as "front"
    caption      what is shown, below the figure
    description  what a reader sees in it, in words, for those who do not see it
    body         the specification in Vega-Lite without what all figures share
    run          index of the run whose trials are the dataset `trials`; None: no such dataset
    key          (name, colour in CSS) of lines or points; shown where the figure is too narrow for
                 names in it
    key_shown    whether the key is always shown, because the figure has no names in it
    """

    name: str
    title: str
    caption: str
    description: str
    body: dict[str, Any]
    run: int | None = None
    key: tuple[tuple[str, str], ...] = ()
    key_shown: bool = False

    @property
    def specification(self) -> dict[str, Any]:
        """Return the whole specification; its width is that of the element it is drawn in."""
        return {
            "$schema": SCHEMA,
            "width": "container",
            "autosize": {"type": "fit-x", "contains": "padding"},
            "config": config(),
            **self.body,
        }
