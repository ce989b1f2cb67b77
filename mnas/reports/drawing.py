"""Drawing of a network as SVG, stage by stage, alone or beside a second one.

A row is a part of the network: its layers as the papers write them ("MBConv6 5×5, SE 0.25",
arXiv 1905.11946, Table 1), their number, input and output resolution, output filters, and
mult-adds as a bar. Of two networks, the rows are paired in order, and what differs is bold,
underlined and of another colour. The text of a drawing is text, and its colours follow the reader's
preference for light or dark. All text is escaped.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from mnas.analysis.comparison import Comparison, Part, PartPair, compare
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost, parts
from mnas.errors import printable

# Colours of text on their backgrounds have a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
STYLE = """
.net { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1a1a1a }
.net-ground { fill: #ffffff } .net-name { font-size: 15px; font-weight: 600 }
.net-faint { fill: #595959 } .net-bar { fill: #4878a8 }
.net-differs { fill: #9a3003; font-weight: 700; text-decoration: underline }
.net-mbconv { fill: #d6e6f5 } .net-conv { fill: #e8e8e8 } .net-separable { fill: #fbe6cf }
.net-basic, .net-bottleneck { fill: #dcefd8 } .net-identity { fill: #f5f5f5 }
@media (prefers-color-scheme: dark) {
.net { fill: #eeeeee } .net-ground { fill: #161616 } .net-faint { fill: #b0b0b0 }
.net-bar { fill: #7fb0de } .net-differs { fill: #ffb27a }
.net-mbconv { fill: #24405c } .net-conv { fill: #3a3a3a } .net-separable { fill: #573b16 }
.net-basic, .net-bottleneck { fill: #264429 } .net-identity { fill: #2a2a2a }
}
"""
OPS = {
    "mbconv": "MBConv",
    "conv": "Conv",
    "separable": "SepConv",
    "basic": "Basic",
    "bottleneck": "Bottleneck",
    "identity": "Identity",
}
# Left edge and width of the columns of a network, pixels.
COLUMNS = {
    "part": (0, 70),
    "layers": (72, 176),
    "repeats": (254, 30),
    "pixels": (288, 64),
    "filters": (356, 52),
    "mult-adds, M": (412, 114),
}
# Columns that hold what is drawn of one part, apart from its layers' own words.
_CELLS = ("repeats", "pixels", "filters")
_LONGEST_BAR = 60
_WIDTH, _GAP, _MARGIN = 526, 36, 16  # of a network; between two; around
_TOP, _ROW = 92, 26  # first row's upper edge; height of a row
_DIGIT = 6.8  # mean width of a character, pixels
_LONGEST_NAME = 48

# What is drawn of a part: words by what they say.
Words = Mapping[str, str]


def draw(network: Architecture, reference: Architecture | None = None) -> str:
    """Return a drawing as an SVG element that is also a document of its own.

    reference  network drawn on the right, resized to the resolution and classes of `network`; what
               differs from the other is marked in both
    """
    comparison = compare(network, network if reference is None else reference)
    networks = (comparison.network, comparison.reference)[: 1 if reference is None else 2]
    width = len(networks) * (_WIDTH + _GAP) - _GAP + 2 * _MARGIN
    height = _TOP + _ROW * len(comparison.parts) + _MARGIN + (24 if reference else 0)
    words = _both_words(comparison)
    root = _frame(comparison, networks, width, height)
    most = max(part.cost.mult_adds for pair in comparison.parts for part in pair.pair if part)
    for index, architecture in enumerate(networks):
        panel = ElementTree.SubElement(root, "g")
        panel.set("transform", f"translate({_MARGIN + index * (_WIDTH + _GAP)} 0)")
        resized = comparison.resized_from if index else {}
        _head(panel, architecture, resized)
        for row, (pair, both) in enumerate(zip(comparison.parts, words, strict=True)):
            _row(panel, _TOP + _ROW * row, pair, both, index, most)
    if reference is not None:
        note = "the same network" if comparison.same else "bold and underlined: differs"
        _text(root, _MARGIN, height - _MARGIN, note, "net-faint")
    return ElementTree.tostring(root, encoding="unicode")


def without_style(drawing: str) -> str:
    """Return a drawing without its styles, for a page that has `STYLE` once for all drawings."""
    return re.sub("<style>.*?</style>", "", drawing, count=1, flags=re.DOTALL)


def differences(comparison: Comparison) -> list[str]:
    """Return the marked differences as text, a line for each part with any.

    A line has the network's word and, in parentheses, the reference's: "stage5: repeats 1 (3)".
    """
    lines = []
    for pair, (ours, theirs) in zip(comparison.parts, _both_words(comparison), strict=True):
        if not ours or not theirs:
            lines.append(f"{pair.name}: only in the {'network' if ours else 'reference'}")
            continue
        changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        words = (f"{key} {_plain(ours, key)} ({_plain(theirs, key)})" for key in changed)
        if changed:
            lines.append(f"{pair.name}: {', '.join(words)}")
    return lines


def _plain(words: Words, key: str) -> str:
    """Return a word without its separator and without the name of what it says."""
    return words.get(key, "").strip(", ").removeprefix(f"{key} ") or "none"


def _frame(
    comparison: Comparison, networks: tuple[Architecture, ...], width: int, height: int
) -> ElementTree.Element:
    """Return the empty drawing with title, description, style and background."""
    names = [_name(network) for network in networks]
    root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    root.set("class", "net")
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("width", f"{width}")
    root.set("height", f"{height}")
    # Name and description of the role "img", without identifiers: a page may hold equal drawings.
    ElementTree.SubElement(root, "title").text = " beside ".join(names)
    description = ElementTree.SubElement(root, "desc")
    lines = differences(comparison) if len(networks) == 2 else []
    description.text = "; ".join([*map(_totals, networks), *lines])
    ElementTree.SubElement(root, "style").text = STYLE
    ground = ElementTree.SubElement(root, "rect", width="100%", height="100%")
    ground.set("class", "net-ground")
    return root


def _name(network: Architecture) -> str:
    return printable(network.name, _LONGEST_NAME) or "unnamed"


def _totals(network: Architecture) -> str:
    cost = network_cost(network)
    return (
        f"{cost.mult_adds / 1e6:,.1f}M mult-adds, {cost.params / 1e6:,.2f}M params, "
        f"{network.resolution} px, {network.activation}"
    )


def _head(panel: ElementTree.Element, network: Architecture, resized: Mapping[str, int]) -> None:
    """Draw a network's name, totals and the heads of its columns."""
    _text(panel, 0, 28, _name(network), "net-name", _WIDTH)
    units = {"resolution": "px", "classes": "classes"}
    note = ", ".join(f"{value:,} {units[name]}" for name, value in resized.items())
    totals = _totals(network) + (f" (resized from {note})" if note else "")
    _text(panel, 0, 50, totals, "net-faint", _WIDTH)
    for column, (x, width) in COLUMNS.items():
        _text(panel, x, _TOP - 12, "×" if column == "repeats" else column, "net-faint", width)


def _row(
    panel: ElementTree.Element,
    y: int,
    pair: PartPair,
    both: tuple[Words, Words],
    index: int,
    most: int,
) -> None:
    """Draw one part of network `index` of the pair; its bar is relative to `most` mult-adds."""
    part, words, other = pair.pair[index], both[index], both[1 - index]
    row = ElementTree.SubElement(panel, "g")
    baseline = y + 17
    _text(row, 0, baseline, pair.name.replace("stage", "stage "), "net-faint", COLUMNS["part"][1])
    x, width = COLUMNS["layers"]
    if part is None:
        _text(row, x + 8, baseline, "no layer", "net-faint")
        return
    box = ElementTree.SubElement(row, "rect", x=f"{x}", y=f"{y + 2}", width=f"{width}")
    box.set("height", f"{_ROW - 4}")
    box.set("rx", "4")
    box.set("class", f"net-{part.block.op if part.block else 'conv'}")
    layers = {key: word for key, word in words.items() if key not in _CELLS and word}
    label = _text(row, x + 8, baseline, "", "", width - 16, "".join(layers.values()))
    for key, word in layers.items():
        _word(label, word, differs=word != other.get(key))
    for column in _CELLS:
        if words.get(column):
            x, width = COLUMNS[column]
            cell = _text(row, x, baseline, "", "", width, words[column])
            _word(cell, words[column], differs=words[column] != other.get(column))
    x, width = COLUMNS["mult-adds, M"]
    length = max(1.0, _LONGEST_BAR * part.cost.mult_adds / max(1, most))
    bar = ElementTree.SubElement(row, "rect", x=f"{x}", y=f"{y + 6}", width=f"{length:.1f}")
    bar.set("height", f"{_ROW - 12}")
    bar.set("class", "net-bar")
    number = f"{part.cost.mult_adds / 1e6:,.1f}"
    _text(row, round(x + length + 5), baseline, number, "", width - length - 5)


def _text(
    parent: ElementTree.Element,
    x: int,
    y: int,
    text: str,
    style: str,
    room: float | None = None,
    measured: str | None = None,
) -> ElementTree.Element:
    """Add a line of text; where it is wider than `room` pixels, its characters are narrowed.

    measured  text that the width is computed from; None: `text`
    """
    element = ElementTree.SubElement(parent, "text", x=f"{x}", y=f"{y}")
    if style:
        element.set("class", style)
    if room is not None and _DIGIT * len(measured or text) > room:
        element.set("textLength", f"{room:.0f}")
        element.set("lengthAdjust", "spacingAndGlyphs")
    element.text = text
    return element


def _word(line: ElementTree.Element, word: str, *, differs: bool) -> None:
    """Add a word to a line, marked where it differs; the separator before it is not."""
    separator = word[: len(word) - len(word.lstrip(", "))]
    if separator:
        ElementTree.SubElement(line, "tspan").text = separator
    span = ElementTree.SubElement(line, "tspan")
    span.text = word[len(separator) :]
    if differs:
        span.set("class", "net-differs")


def _words(network: Architecture, parts_of: Mapping[str, Part]) -> dict[str, Words]:
    """Return what is drawn of each part by its name."""
    sizes: dict[str, tuple[int, int]] = {}
    before = network.resolution
    for layer in parts(network):
        name = layer.name.split("_")[0]
        sizes[name] = (sizes.get(name, (before, 0))[0], layer.resolution)
        before = layer.resolution
    words: dict[str, Words] = {}
    for name, part in parts_of.items():
        first, last = sizes[name]
        pixels = f"{first}" if first == last else f"{first}→{last}"
        if part.block is not None:
            described = {**_block_words(part.block), "pixels": pixels}
            words[name] = {**described, "filters": f"{part.block.filters}"}
        elif name == "stem":
            kernel = f" {network.stem_kernel}×{network.stem_kernel}"
            pool = ", max pool" if network.stem_pool else ""
            described = {"op": "Conv", "kernel": kernel, "pool": pool, "pixels": pixels}
            words[name] = {**described, "filters": f"{network.stem}"}
        elif name == "head":
            described = {"op": "Conv", "kernel": " 1×1", "pixels": pixels}
            words[name] = {**described, "filters": f"{network.head}"}
        else:
            words[name] = {"op": "Pooling, dense", "filters": f"{network.classes}"}
    return words


def _both_words(comparison: Comparison) -> list[tuple[Words, Words]]:
    """Return what is drawn of each pair of parts; nothing for a part that a network lacks."""
    pairs = comparison.parts
    ours = _words(comparison.network, {p.name: p.network for p in pairs if p.network})
    theirs = _words(comparison.reference, {p.name: p.reference for p in pairs if p.reference})
    return [(ours.get(pair.name, {}), theirs.get(pair.name, {})) for pair in pairs]


def _block_words(block: Block) -> Words:
    expansion = {"mbconv": f"{block.expand_ratio}", "bottleneck": f"/{block.expand_ratio}"}
    return {
        "op": OPS[block.op] + expansion.get(block.op, ""),
        "kernel": f" {block.kernel}×{block.kernel}",
        "SE": f", SE {block.se_ratio:g}" if block.se_ratio else "",
        "skip": "" if block.skip in ("identity", "projection") else f", skip {block.skip}",
        "repeats": f"{block.repeats}",
    }
