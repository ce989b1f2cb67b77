"""A figure of a page on its own: for notebooks, and as a file.

It is a specification in Vega-Lite with its data, in light colours on white. As HTML, the file holds
Vega too (0.9 MB), so that it is drawn without a network.
"""

import dataclasses
import functools
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mnas.errors import UsageError
from mnas.files import write_bytes, write_text
from mnas.reports.page.chart import Chart
from mnas.reports.page.document import PACKAGE, to_json
from mnas.reports.page.style import FONT, literal

WIDTH = 720  # pixels of a figure
SCALE = 2  # pixels of a PNG for each of the figure's
MARGIN = 110  # pixels for title and axis of a figure in a notebook until it knows its height
# Beginning of the part of a caption that says what a page does with the pointer.
ON_PAGES = "Hover for a trial, click to pin"
KINDS = (".html", ".json", ".svg", ".png")

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline' 'unsafe-eval'; img-src data:">
<title>{title}</title>
<style>body {{ margin: 0; background: #fff; font: 14px {font}; }} #figure {{ width: 100%; }}
#vg-tooltip-element {{ position: fixed; visibility: hidden; padding: 6px; background: #fff;
border: 1px solid #8b93a0; font-size: 12px; }}
#vg-tooltip-element.visible {{ visibility: visible; }}
</style>
</head>
<body>
<div id="figure" role="img" aria-label="{description}"></div>
<script type="application/json" id="specification">{specification}</script>
<script>/*!
{licenses}*/
{vega}</script>
<script>
const spec = JSON.parse(document.getElementById("specification").textContent);
const options = {{actions: false, renderer: "svg", defaultStyle: false, hover: false}};
vegaEmbed("#figure", spec, options).then(() => {{
  try {{ frameElement.style.height = document.body.offsetHeight + 8 + "px"; }}
  catch (error) {{}}  // not in a frame of a page of the same origin
}});
</script>
</body>
</html>
"""


@dataclasses.dataclass(frozen=True, repr=False)
class Plot:
    """A figure of a run; notebooks show it, `save` writes it.

    trials  rows of the dataset `trials` of a chart that has it
    """

    chart: Chart
    trials: Sequence[Mapping[str, Any]] = ()

    @property
    def spec(self) -> dict[str, Any]:
        """Return the specification in Vega-Lite with its data, as Altair takes it."""
        title = {"text": self.chart.title, "anchor": "start", "frame": "group", "fontSize": 14}
        specification = {
            **literal(self.chart.specification),
            "width": WIDTH,
            "background": "white",
            "title": title,
        }
        if self.chart.run is not None:
            specification["datasets"] = {"trials": list(self.trials)}
        return specification

    def html(self) -> str:
        """Return a document that draws the figure in its own width, without a network."""
        return _DOCUMENT.format(
            title=html.escape(self.chart.title),
            font=FONT,
            description=html.escape(f"{self.chart.title}. {self.chart.description}".strip()),
            specification=to_json({**self.spec, "width": "container"}),
            licenses=_file("vega.LICENSES.txt"),
            vega=_file("vega.js"),
        )

    def save(self, path: Path | str) -> None:
        """Write the figure: *.html, *.json (its specification); with vl-convert *.svg, *.png.

        Raises UsageError for another name, where vl-convert is missing, and where the file can't be
        written.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in KINDS:
            raise UsageError(f"{path}: accepted: a file named *{', *'.join(KINDS)}")
        convert = renderer() if kind in (".svg", ".png") else None
        try:
            if kind == ".html":
                write_text(path, self.html())
            elif convert is None:
                write_text(path, json.dumps(self.spec, indent=1) + "\n")
            elif kind == ".svg":
                write_text(path, convert.vegalite_to_svg(json.dumps(self.spec)))
            else:
                write_bytes(path, convert.vegalite_to_png(json.dumps(self.spec), scale=SCALE))
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"<Plot {self.chart.name}: {self.chart.title}>"

    def _repr_html_(self) -> str:
        """Return the figure in a frame with its caption, for notebooks."""
        height = self.chart.body.get("height", 300)
        pixels = (height if isinstance(height, int) else 300) + MARGIN
        frame = (
            f'<iframe srcdoc="{html.escape(self.html())}" title="{html.escape(self.chart.title)}" '
            f'style="width: 100%; max-width: 60em; height: {pixels}px; border: 0"></iframe>'
        )
        caption = html.escape(self.chart.caption.partition(ON_PAGES)[0])
        return f'<figure style="margin: 0">{frame}<figcaption>{caption}</figcaption></figure>'


def renderer() -> Any:
    """Return vl-convert; UsageError where it is not installed."""
    try:
        import vl_convert
    except ModuleNotFoundError:
        raise UsageError(
            "figures as SVG and PNG need vl-convert-python; accepted: after pip install "
            "'mnas[figures]'"
        ) from None
    return vl_convert


@functools.cache
def _file(name: str) -> str:
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")
