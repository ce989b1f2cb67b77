"""Spec files, and the networks that a SPEC of the command line names."""

import json

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED, TIMM
from mnas.architecture.spec import find, from_spec, read_spec, to_spec
from mnas.errors import UsageError

B0 = PUBLISHED["efficientnet-b0"]
RESNET = PUBLISHED["resnet-18"]


def test_a_spec_round_trips_through_a_file(tmp_path):
    path = tmp_path / "spec.json"
    for network in (B0, RESNET):
        path.write_text(json.dumps(to_spec(network)))
        assert read_spec(path) == find(str(path)) == network


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


def test_find_accepts_names_runs_and_block_strings(tmp_path):
    assert find("efficientnet-b0") == B0
    assert find("tf_efficientnet_b0") == TIMM["tf_efficientnet_b0"]
    (tmp_path / "best.json").write_text(json.dumps(to_spec(RESNET)))
    assert find(str(tmp_path)) == RESNET
    network = find("r1_k3_s11_e1_i32_o16;r2_k3_s22_e6_i16_o24;")
    assert (network.stem, [block.filters for block in network.blocks]) == (32, [16, 24])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("efficientnet-bo", "did you mean efficientnet-b0"),
        ("resnet_50", r"did you mean resnet50\?"),
        ("qqq", "no spec 'qqq'; accepted: efficientnet-b0, "),
    ],
)
def test_find_suggests_the_nearest_name(text, reason):
    with pytest.raises(UsageError, match=reason):
        find(text)


def test_find_rejects_a_directory_that_is_no_run(tmp_path):
    with pytest.raises(UsageError, match=r"has no best\.json; accepted: the directory of a run"):
        find(str(tmp_path))
