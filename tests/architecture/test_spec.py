"""Spec files, and the networks that a SPEC of the command line names."""

import json

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import from_spec, provenance_of, read_spec, to_spec
from mnas.errors import UsageError

B0 = PUBLISHED["efficientnet-b0"]
RESNET = PUBLISHED["resnet-18"]


def test_a_spec_round_trips_through_a_file(tmp_path):
    path = tmp_path / "spec.json"
    for network in (B0, RESNET):
        path.write_text(json.dumps(to_spec(network)))
        assert read_spec(path) == network


def test_a_spec_holds_cost_arch_def_and_provenance():
    spec = to_spec(B0, {"experiment": "digits", "trial": 7})
    assert (spec["format"], spec["params"]) == ("mnas-spec/1", 5_288_548)
    assert spec["mult_adds"] == network_cost(B0).mult_adds
    assert spec["arch_def"][0] == ["ds_r1_k3_s1_e1_c16_se0.25"]
    assert spec["search"] == {"experiment": "digits", "trial": 7}
    assert to_spec(RESNET)["arch_def"] is None  # timm cannot represent it


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "mnas-spec/2"}, "spec: format = 'mnas-spec/2'; accepted: 'mnas-spec/1'"),
        ({"head": -1}, "spec: architecture: head = -1"),
        ({"widht": 1}, "spec: unknown architecture field 'widht'"),
        ({"params": 7}, "params = 7, but the blocks have 5288548; accepted: that, or no such key"),
        ({"mult_adds": 7}, "mult_adds = 7, but the blocks have"),
        ({"arch_def": [["ds_r1_k3_s1_c16"]]}, "arch_def is not that of the blocks"),
        ({"format": {}}, "format = {}; accepted"),
        ({"blocks": "r1_k3_s11_e1_i32_o16"}, "accepted: a list of block strings"),
        ({"blocks": [5]}, "block string 5; accepted: text like"),
        ({"stem": None}, "stem = None; accepted: a whole number"),
        ({"stem": 10**9}, "stem = 1000000000; accepted: a whole number of at least 1 and at most"),
        ({"classes": 1e9}, "classes = 1000000000.0; accepted"),
        ({"resolution": True}, "resolution = True; accepted"),
        ({"activation": ["swish"]}, "activation = "),
        ({"padding": {}}, "padding = {}"),
        ({"name": 5}, "name = 5; accepted: text"),
        ({"timm_stages": [7, 1]}, r"timm_stages = \[7, 1\]; accepted: numbers .* its 7 blocks"),
        ({"timm_stages": 7}, "timm_stages = 7; accepted"),
        ({"blocks": ["r1000000000_k3_s11_e1_i32_o16"]}, "repeats = 1000000000; accepted"),
        (
            {"blocks": ["r9999_k3_s11_e1_i32_o32"] * 2},
            "number of layers = 19998; accepted: .* at most 10,000",
        ),
    ],
)
def test_invalid_specs_are_rejected_with_the_reason(change, reason):
    with pytest.raises(UsageError, match=reason):
        from_spec({**to_spec(B0), **change})


def test_a_spec_must_be_an_object():
    with pytest.raises(UsageError, match="spec: list; accepted: a JSON object"):
        from_spec([])


def test_cost_and_arch_def_of_a_spec_are_optional():
    assert from_spec({"format": "mnas-spec/1", **B0.to_dict()}) == B0


def test_provenance_must_be_an_object():
    assert provenance_of({"search": {"trial": 7}, "scaling": None}) == {"search": {"trial": 7}}
    with pytest.raises(UsageError, match="spec: search = 5; accepted: an object, or null"):
        provenance_of({"search": 5})
