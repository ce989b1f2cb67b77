"""`mnas scale`: networks, tables and usage errors."""

import json

import pytest

from mnas.__main__ import main
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import VARIANTS, scale
from mnas.architecture.sources import find
from tests.cli.commands import assert_one_line

B0 = PUBLISHED["efficientnet-b0"]


def scaled(capsys, *flags: str) -> dict:
    """Return the JSON object that `mnas scale` prints."""
    assert main(["scale", *flags, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


@pytest.mark.parametrize(
    ("variant", "params", "millions"),
    [
        ("b0", 5_288_548, 385.8),
        ("b1", 7_794_184, 686.8),
        ("b4", 19_341_616, 4393.8),
        ("b7", 66_347_960, 37745.9),
    ],
)
def test_published_variants_have_the_published_counts(variant, params, millions, capsys):
    spec = scaled(capsys, "efficientnet-b0", "--published", variant)
    assert spec["params"] == params
    assert round(spec["mult_adds"] / 1e6, 1) == millions
    assert spec["resolution"] == VARIANTS[variant].resolution
    assert spec["name"] == f"efficientnet-{variant}"
    assert spec["scaling"]["dropout"] == VARIANTS[variant].dropout
    assert spec["blocks"] == PUBLISHED[f"efficientnet-{variant}"].to_dict()["blocks"]


def test_phi_scales_by_the_formula(capsys):
    spec = scaled(capsys, "efficientnet-b0", "--phi", "1")
    assert (spec["params"], spec["resolution"]) == (9_109_994, 258)
    assert spec["scaling"] == {
        "base": "efficientnet-b0",
        "phi": 1.0, "alpha": 1.2, "beta": 1.1, "gamma": 1.15,
        "multipliers": {"depth": 1.2, "width": 1.1, "resolution": 1.15},
    }  # fmt: skip
    own = scaled(capsys, "efficientnet-b0", "--phi", "2", "--alpha", "1", "--beta", "1.4")
    expected = scale(B0, 2, 1.0, 1.4, 1.15)
    assert own["params"] == network_cost(expected).params
    assert own["blocks"] == expected.to_dict()["blocks"]


def test_multipliers_scale_block_strings(capsys):
    spec = scaled(capsys, "r1_k3_s11_e1_i32_o16", "--depth", "2", "--resolution", "0.5")
    assert spec["blocks"] == ["r2_k3_s11_e1_i32_o16"] and spec["resolution"] == 112
    assert spec["scaling"]["multipliers"] == {"depth": 2.0, "width": 1.0, "resolution": 0.5}


def test_the_written_spec_can_be_read(tmp_path, capsys):
    out = tmp_path / "b2.json"
    assert main(["scale", "efficientnet-b0", "--published", "b2", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "written" in shown.err and "9,109,994" in shown.out and "1.00 by depth" in shown.out
    assert find(str(out)) == PUBLISHED["efficientnet-b2"]
    assert scaled(capsys, str(out), "--phi", "0")["params"] == 9_109_994


def test_the_family_has_formula_and_published_variants(capsys):
    described = scaled(capsys, "efficientnet-b0", "--family")
    assert [row["phi"] for row in described["formula"]] == list(range(8))
    for row in described["published"]:
        cost = network_cost(PUBLISHED[f"efficientnet-{row['published']}"])
        assert (row["params"], row["mult_adds"]) == (cost.params, cost.mult_adds)
    assert described["formula"][2]["resolution"] == 296
    assert main(["scale", "mnasnet-a1", "--family"]) == 0
    shown = capsys.readouterr().out
    assert "mnasnet-a1 by the formula" in shown and "do not follow the formula" in shown


def test_the_grid_search_lists_all_points(capsys):
    described = scaled(capsys, "efficientnet-b0", "--grid-search", "--step", "0.1")
    assert described["mult_adds"] == 385_814_752
    first = described["points"][0]
    assert (first["alpha"], first["beta"], first["gamma"]) == (2.0, 1.0, 1.0)
    assert described["combinations"] == 22 > len(described["points"])
    assert main(["scale", "efficientnet-b0", "--grid-search", "--step", "0.1"]) == 0
    assert "of 22 combinations" in capsys.readouterr().out


def test_the_head_is_kept_as_in_the_published_variants(tmp_path, capsys):
    path = tmp_path / "half.json"
    half = ["scale", "mobilenet-v2", "--width", "0.5"]
    assert main([*half, "--fixed", "head", "--out", str(path)]) == 0
    assert "Stem and head are scaled" not in capsys.readouterr().out
    spec = json.loads(path.read_text())
    assert (spec["params"], spec["head"], spec["stem"]) == (1_968_680, 1280, 16)
    assert spec["scaling"]["fixed"] == "head"
    assert main(half) == 0
    assert "MobileNetV2 keeps its head (--fixed head)" in capsys.readouterr().out


def test_the_help_names_the_rules_of_tf_and_timm(capsys):
    with pytest.raises(SystemExit):
        main(["scale", "--help"])
    text = capsys.readouterr().out
    for name in ("round_filters", "round_channels", "round_repeats", "fix_head_stem", "fix_stem"):
        assert name in text


def test_the_grid_of_block_strings_too_long_for_a_file_name(capsys):
    layers = [f"r1_k3_s11_e3_i{32 + n}_o{33 + n}_se0.25" for n in range(13)]
    assert main(["scale", ";".join(layers), "--grid-search", "--step", "0.1"]) == 0
    assert "combinations" in capsys.readouterr().out


def test_a_scaled_network_keeps_the_origin_of_its_base(finished, capsys):
    assert main(["scale", str(finished), "--phi", "1", "--json"]) == 0
    spec = json.loads(capsys.readouterr().out)
    best = json.loads((finished / "best.json").read_text())
    assert spec["search"] is None and spec["scaling"]["base_search"] == best["search"]


MISTAKES = [
    ("efficientnet-b0", ["no scaling given", "--phi", "--grid-search"]),
    ("efficientnet-b0 --phi -1", ["phi = -1.0", "at least 0"]),
    ("efficientnet-b0 --phi 1 --alpha 0.9", ["alpha = 0.9", "at least 1"]),
    ("efficientnet-b0 --phi 100", ["depth = 8.28", "at most 64"]),
    ("efficientnet-b0 --published b9", ["published = 'b9'", "b0, b1"]),
    ("efficientnet-b0 --published b1 --phi 1", ["--phi and --published", "one of"]),
    ("efficientnet-b0 --published b1 --beta 1.2", ["beta", "--published", "--phi or --family"]),
    ("efficientnet-b0 --resolution 224", ["resolution = 224", "factor"]),
    ("efficientnet-b0 --width 0", ["width = 0", "above 0"]),
    ("efficientnet-b0 --family --out x", ["out = 'x'", "--family", "one scaled network"]),
    ("efficientnet-b0 --grid-search --step 0.3 --tolerance 0", ["no point", "step = 0.3"]),
    ("efficientnet-b0 --grid-search --step 0", ["step = 0", "0.01"]),
    ("efficientnet-b0 --phi 1 --step 0.1", ["step with --phi", "--grid-search"]),
    ("efficientnet-b0 --phi 1 --divisor 0", ["divisor = 0", "at least 1"]),
    ("efficientnet-b0 --phi 1e308", ["phi = 1e+308", "at most 64"]),
    ("efficientnet-b0 --width nan", ["width = nan", "above 0"]),
    ("efficientnet-b0 --width 2 --divisor 1000000000", ["filters = 1000000000"]),
    ("efficientnet-b0 --grid-search --fixed head", ["fixed = 'head'", "scaled networks"]),
    ("efficientnet-bo --phi 1", ["efficientnet-bo", "did you mean efficientnet-b0"]),
    ("--phi 1", ["SPEC", "Published name"]),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_usage_error_is_one_line(line, expected, capsys):
    assert main(["scale", *line.split()]) == 2
    assert_one_line(capsys, *expected)
