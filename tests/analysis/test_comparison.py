import dataclasses
import json

import pytest

from mnas import __main__ as mnas_command
from mnas.analysis.comparison import compare, to_dict, totals
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import Cost, network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import to_spec
from mnas.evaluators.surrogate_fits import predict
from mnas.reward import RewardConfig

B0, A1 = PUBLISHED["efficientnet-b0"], PUBLISHED["mnasnet-a1"]
CONV = Architecture(
    blocks=(Block(op="conv", kernel=3, stride=1, filters=4),),
    resolution=8, stem=2, head=8, classes=3, name="conv",
)  # fmt: skip


def differences(comparison) -> dict:
    fields = {part.name: {f: part.values(f) for f in part.differs} for part in comparison.parts}
    return {name: values for name, values in fields.items() if values}


def test_mnasnet_a1_differs_from_b0_as_published():
    # arXiv 1807.11626, Fig. 7, against arXiv 1905.11946, Table 1.
    comparison = compare(A1, B0)
    assert differences(comparison) == {
        "stage1": {"se_ratio": (0.0, 0.25), "skip": ("none", "identity")},
        "stage2": {"se_ratio": (0.0, 0.25)},
        "stage3": {"expand_ratio": (3, 6), "repeats": (3, 2)},
        "stage4": {"repeats": (4, 3), "se_ratio": (0.0, 0.25)},
        "stage5": {"kernel": (3, 5), "repeats": (2, 3)},
        "stage6": {"filters": (160, 192), "repeats": (3, 4)},
        "stage7": {"se_ratio": (0.0, 0.25)},
    }
    assert comparison.parts[2].values("repeats") == (2, 2)
    assert comparison.resized_from == {} and not comparison.same
    described = to_dict(comparison)
    ours, theirs = described["totals"]["network"], described["totals"]["reference"]
    assert (ours["mult_adds"], ours["params"]) == (311_579_072, 3_887_038)
    assert (theirs["mult_adds"], theirs["params"]) == (385_814_752, 5_288_548)
    assert described["ratio"]["params"] == 3_887_038 / 5_288_548
    assert (ours["layers"], theirs["layers"]) == (16, 16)
    # Layers by filters: 1·16 + 2·24 + 2·40 + 3·80 + 3·112 + 4·192 + 1·320 = 1808.
    assert theirs["mean_filters"] == 1808 / 16
    assert (ours["activation"], theirs["activation"]) == ("relu", "swish")


def test_costs_of_parts_match_hand_computation():
    comparison = compare(CONV, CONV)
    costs = {part.name: part.network.cost for part in comparison.parts}
    # 8×8 pixels, 4×4 after the stem. Parameters: weights, and scale and bias of BatchNorm.
    assert costs == {
        "stem": Cost(3 * 3 * 3 * 2 + 4, 3 * 3 * 3 * 2 * 16),
        "stage1": Cost(3 * 3 * 2 * 4 + 8, 3 * 3 * 2 * 4 * 16),
        "head": Cost(4 * 8 + 16, 4 * 8 * 16),
        "classifier": Cost(8 * 3 + 3, 8 * 3),
    }
    assert totals(CONV)["params"] == 58 + 80 + 48 + 27
    assert comparison.same


@pytest.mark.parametrize("network", PUBLISHED.values(), ids=PUBLISHED)
def test_costs_of_parts_add_up_to_the_network(network):
    comparison = compare(network, B0)
    for index, whole in enumerate((network, comparison.reference)):
        parts = [paired.pair[index] for paired in comparison.parts]
        costs = [part.cost for part in parts if part]
        assert sum(costs, Cost()) == network_cost(whole)


def test_reference_is_resized_to_resolution_and_classes():
    comparison = compare(A1.replace(resolution=32, classes=10), B0)
    assert comparison.resized_from == {"resolution": 224, "classes": 1000}
    assert comparison.reference == B0.replace(resolution=32, classes=10)
    assert comparison.parts[-1].reference.cost == Cost(1281 * 10, 1280 * 10)
    assert compare(A1.replace(classes=10), B0).resized_from == {"classes": 1000}


@pytest.mark.parametrize("swapped", [False, True])
def test_stage_of_one_network_has_no_partner(swapped):
    reference = B0.replace(resolution=8, classes=3)
    comparison = compare(*((reference, CONV) if swapped else (CONV, reference)))
    names = [part.name for part in comparison.parts]
    assert names == ["stem", *(f"stage{n}" for n in range(1, 8)), "head", "classifier"]
    stage3 = comparison.parts[3]
    assert stage3.pair[swapped] is None and stage3.pair[not swapped].block == B0.blocks[2]
    assert len(stage3.differs) == len(dataclasses.fields(Block))
    json.dumps(to_dict(comparison), allow_nan=False)


def test_head_of_the_network_with_fewer_stages_is_listed():
    longer = PUBLISHED["resnet-18"].replace(resolution=8, classes=3)
    for comparison in (compare(CONV, longer), compare(longer, CONV)):
        names = [part.name for part in comparison.parts]
        assert names == ["stem", *(f"stage{n}" for n in range(1, 5)), "head", "classifier"]


def test_different_decisions_can_build_the_same_network():
    block = Block(kernel=3, stride=2, filters=8)
    one = CONV.replace(blocks=(block,))
    other = CONV.replace(blocks=(dataclasses.replace(block, skip="none"),))
    comparison = compare(one, other)
    assert differences(comparison) == {"stage1": {"skip": ("identity", "none")}}
    assert comparison.same


def predict_by_activation(architecture) -> dict[str, tuple[float, float]]:
    return {"gp": (0.75 if architecture.activation == "relu" else 0.77, 0.004)}


def test_predictions_are_paired_by_fit():
    comparison = compare(A1, B0, predict_by_activation)
    assert comparison.predictions == {"gp": ((0.75, 0.004), (0.77, 0.004))}
    described = to_dict(comparison)
    assert described["predictions"]["gp"] == {
        "network": {"mean": 0.75, "std": 0.004},
        "reference": {"mean": 0.77, "std": 0.004},
        "difference": pytest.approx(-0.02),
    }
    assert described["prediction_error"] is None


def test_predictor_error_is_kept_in_one_line():
    def predict(architecture):
        if architecture.name == "efficientnet-b0":
            raise ValueError("stage 7:\nno such kernel")
        return predict_by_activation(architecture)

    comparison = compare(A1, B0, predict)
    assert comparison.predictions == {}
    assert comparison.prediction_error == "stage 7: no such kernel"


def test_command_prints_json_and_tables(capsys):
    assert mnas_command.main(["compare", "mnasnet-a1", "--json"]) == 0
    out, err = capsys.readouterr()
    expected = to_dict(compare(A1, B0, predict))
    assert json.loads(out) == json.loads(json.dumps(expected)) and err == ""
    assert mnas_command.main(["compare", "efficientnet-b0", "mnasnet-a1"]) == 0
    shown = capsys.readouterr().out
    assert "385,814,752" in shown and "192 (160)" in shown and "×1.238" in shown
    flags = ["--resolution", "32", "--classes", "10", "--json"]
    assert mnas_command.main(["compare", "mnasnet-a1", *flags]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["reference_resized_from"] == {"resolution": 224, "classes": 1000}
    assert described["totals"]["reference"]["classes"] == 10


def test_rewards_are_computed_at_the_predicted_accuracies():
    reward = RewardConfig(target_madds=385_814_752)
    comparison = compare(A1, B0, predict_by_activation, reward)
    # 0.75 · (311,579,072 / 385,814,752)^-0.07 = 0.75 · 1.015071; B0 is at the target.
    assert comparison.rewards["gp"] == (pytest.approx(0.761303, abs=1e-6), pytest.approx(0.77))
    assert compare(A1, B0, predict_by_activation, RewardConfig(cost="latency_ms")).rewards == {}
    assert compare(A1, B0, None, reward).rewards == {}


def test_command_predicts_by_both_fits(capsys):
    assert mnas_command.main(["compare", "efficientnet-b0", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert set(described["predictions"]) == {"mlp", "ridge"}
    assert described["predictions"]["mlp"]["network"]["mean"] == pytest.approx(0.659, abs=0.001)
    assert described["predictions"]["mlp"]["difference"] == 0


def test_command_prints_names_literally(tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(to_spec(CONV.replace(name="[/red]"))))
    assert mnas_command.main(["compare", str(path)]) == 0
    assert "[/red]" in capsys.readouterr().out
    assert mnas_command.main(["cost", str(path)]) == 0
    assert "[/red]" in capsys.readouterr().out
