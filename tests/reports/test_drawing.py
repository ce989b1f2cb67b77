"""Drawings of networks: what they say, what they mark, and that they are safe and accessible."""

import re
from xml.etree import ElementTree

import pytest

from mnas.analysis.comparison import compare
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.reports.drawing import STYLE, differences, draw

B0, A1 = PUBLISHED["efficientnet-b0"], PUBLISHED["mnasnet-a1"]
SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)  # noqa: S314 - our own


def panels(drawing: str) -> list[ElementTree.Element]:
    return parsed(drawing).findall(f"{SVG}g")


def lines(panel: ElementTree.Element) -> list[list[str]]:
    """Return the texts of each row of a panel."""
    rows = panel.findall(f"{SVG}g")
    return [["".join(text.itertext()) for text in row.findall(f"{SVG}text")] for row in rows]


def marked(panel: ElementTree.Element) -> list[tuple[int, str]]:
    """Return (row, word) of what is marked as different."""
    rows = enumerate(panel.findall(f"{SVG}g"))
    spans = [(index, span) for index, row in rows for span in row.iter(f"{SVG}tspan")]
    return [(row, span.text or "") for row, span in spans if span.get("class") == "net-differs"]


def test_rows_state_layers_repeats_resolution_filters_and_mult_adds():
    (panel,) = panels(draw(B0))
    rows = lines(panel)
    assert len(rows) == 10
    assert rows[0] == ["stem", "Conv 3×3", "224→112", "32", "10.8"]  # 27 · 32 · 112² mult-adds
    assert rows[3][:5] == ["stage 3", "MBConv6 5×5, SE 0.25", "2", "56→28", "40"]
    assert rows[8] == ["head", "Conv 1×1", "7", "1280", "20.1"]  # 320 · 1280 · 7²
    assert rows[9] == ["classifier", "Pooling, dense", "1000", "1.3"]
    numbers = [float(row[-1]) for row in rows]
    assert sum(numbers) == pytest.approx(network_cost(B0).mult_adds / 1e6, abs=0.5)
    assert not marked(panel)


def test_lengths_of_bars_are_proportional_to_mult_adds_over_both_networks():
    small = B0.replace(blocks=B0.blocks[:2], head=64, name="small")
    drawing = panels(draw(B0, small))
    bars = [
        {
            row[0].text: float(row.findall(f"{SVG}rect[@class='net-bar']")[0].get("width", ""))
            for row in panel.findall(f"{SVG}g")
            if row.findall(f"{SVG}rect")
        }
        for panel in drawing
    ]
    assert bars[0]["stem"] == bars[1]["stem"]
    assert max(bars[0].values()) == bars[0]["stage 6"] == 60.0
    # 20.1M of the head and 91.5M of stage 6.
    assert bars[0]["head"] / bars[0]["stage 6"] == pytest.approx(20.07 / 91.5, abs=0.01)
    assert lines(drawing[1])[4] == ["stage 4", "no layer"]


def test_differences_are_marked_in_both_networks_and_described():
    ours, theirs = panels(draw(B0, A1))
    # Rows count from the stem: row 3 is stage 3, MBConv6 × 2 beside MBConv3 × 3.
    assert [word for row, word in marked(ours) if row == 3] == ["MBConv6", "2"]
    assert [word for row, word in marked(theirs) if row == 3] == ["MBConv3", "3"]
    assert (1, "skip none") in marked(theirs) and (1, "SE 0.25") in marked(ours)
    text = differences(compare(B0, A1))
    assert "stage3: op MBConv6 (MBConv3), repeats 2 (3)" in text
    assert "stage7: SE 0.25 (none)" in text
    description = parsed(draw(B0, A1)).findtext(f"{SVG}desc") or ""
    assert all(line in description for line in text)


def test_stem_and_head_are_marked_where_they_differ():
    other = B0.replace(stem_kernel=5, stem_pool=True, head=0)
    ours, theirs = panels(draw(B0, other))
    assert {word for row, word in marked(theirs) if row == 0} >= {"5×5", "max pool"}
    assert lines(ours)[8][1] == "Conv 1×1" and lines(theirs)[8] == ["head", "no layer"]
    assert "head: only in the network" in differences(compare(B0, other))


def test_equal_networks_are_said_to_be_the_same_and_nothing_is_marked():
    drawing = draw(B0, B0.replace(name="twin"))
    assert "the same network" in drawing
    assert not any(map(marked, panels(drawing)))


def test_reference_is_resized_and_the_drawing_says_from_what():
    drawing = draw(B0, PUBLISHED["efficientnet-b1"])
    assert "224 px, swish (resized from 240 px)" in drawing


@pytest.mark.parametrize(
    ("block", "label"),
    [
        (Block(3, 1, 16, op="conv"), "Conv 3×3"),
        (Block(5, 1, 16, op="separable", se_ratio=0.5), "SepConv 5×5, SE 0.5"),
        (Block(3, 1, 16, op="basic", skip="projection"), "Basic 3×3"),
        (Block(3, 1, 16, op="bottleneck", expand_ratio=4), "Bottleneck/4 3×3"),
        (Block(1, 1, 16, op="identity"), "Identity 1×1"),
        (Block(3, 1, 16, expand_ratio=3, skip="pool"), "MBConv3 3×3, skip pool"),
    ],
)
def test_every_operation_has_its_label_and_colour(block, label):
    (panel,) = panels(draw(Architecture(blocks=(block,))))
    assert lines(panel)[1][1] == label
    assert f"class='net-{block.op}'" in ElementTree.tostring(panel, "unicode").replace('"', "'")
    assert STYLE.count(f".net-{block.op}") == 2  # light and dark


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_networks_can_be_drawn(name):
    (panel,) = panels(draw(PUBLISHED[name]))
    assert len(lines(panel)) >= len(PUBLISHED[name].blocks)


def test_hostile_names_are_inert():
    name = "</text></svg><script>alert(1)</script>&\"'\x00\x1b[31m\ud800 日本語"
    drawing = draw(B0.replace(name=name), A1.replace(name=name))
    root = parsed(drawing)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "g", "text", "tspan"}
    assert (root.findtext(f"{SVG}title") or "").startswith("</text></svg><script>")
    assert "\x00" not in drawing and "\x1b" not in drawing
    drawing.encode()


def test_drawing_has_a_role_a_title_and_a_description_but_no_identifier():
    root = parsed(draw(B0, A1))
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == "efficientnet-b0 beside mnasnet-a1"
    assert not [element for element in root.iter() if element.get("id")]


def test_long_words_are_narrowed_to_their_column():
    wide = Architecture(blocks=(Block(3, 1, 10_000_000, expand_ratio=100, se_ratio=1 / 3),))
    (panel,) = panels(draw(wide))
    row = panel.findall(f"{SVG}g")[1]
    narrowed = [text.get("textLength") for text in row.findall(f"{SVG}text")]
    assert narrowed[1] == "160" and narrowed[4] == "52"


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_of_text_is_at_least_that_of_wcag_aa():
    light, dark = STYLE.split("@media")
    for style in (light, dark):
        fills: dict[str, str] = {}
        for names, colour in re.findall(r"(\.net[\w., -]*)\{[^}]*fill: (#\w{6})", style):
            fills |= {each.strip(): colour for each in names.split(",")}
        assert len(fills) == 11
        backgrounds = [fills[f".net-{op}"] for op in ("mbconv", "conv", "separable", "basic")]
        for text in (".net", ".net-differs"):
            for background in [*backgrounds, fills[".net-identity"], fills[".net-ground"]]:
                low, high = sorted(map(luminance, (fills[text], background)))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, background)
        low, high = sorted(map(luminance, (fills[".net-faint"], fills[".net-ground"])))
        assert (high + 0.05) / (low + 0.05) >= 4.5
