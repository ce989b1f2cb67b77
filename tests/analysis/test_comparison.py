import dataclasses
import json

import pytest

from mnas import __main__ as mnas_command
from mnas.analysis.comparison import compare, notes, tables, to_dict, totals
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import Cost, network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import to_spec
from mnas.evaluators.surrogate_fits import predict
from mnas.loop.journal import FORMAT, Journal
from mnas.reports.run_report import write_report
from mnas.reward import RewardConfig

B0, A1 = PUBLISHED["efficientnet-b0"], PUBLISHED["mnasnet-a1"]
CONV = Architecture(
    blocks=(Block(op="conv", kernel=3, stride=1, filters=4),),
    resolution=8, stem=2, head=8, classes=3, name="conv",
)  # fmt: skip


def differences(comparison) -> dict:
    found = {part.name: {f: part.values(f) for f in part.differs} for part in comparison.parts}
    return {name: fields for name, fields in found.items() if fields}


def test_a1_beside_b0():
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
    assert comparison.brought == {} and not comparison.same
    described = to_dict(comparison)
    ours, theirs = described["totals"]["network"], described["totals"]["reference"]
    assert (ours["mult_adds"], ours["params"]) == (311_579_072, 3_887_038)
    assert (theirs["mult_adds"], theirs["params"]) == (385_814_752, 5_288_548)
    assert described["ratio"]["params"] == 3_887_038 / 5_288_548
    assert (ours["layers"], theirs["layers"]) == (16, 16)
    # Layers by filters: 1·16 + 2·24 + 2·40 + 3·80 + 3·112 + 4·192 + 1·320 = 1808.
    assert theirs["mean_filters"] == 1808 / 16
    assert (ours["activation"], theirs["activation"]) == ("relu", "swish")


def test_costs_of_parts_by_hand():
    comparison = compare(CONV, CONV)
    costs = {part.name: part.network.cost for part in comparison.parts}
    # 8 pixels a side, 4 after the stem. Weights and BatchNorm's scale and bias are parameters.
    assert costs == {
        "stem": Cost(3 * 3 * 3 * 2 + 4, 3 * 3 * 3 * 2 * 16),
        "stage1": Cost(3 * 3 * 2 * 4 + 8, 3 * 3 * 2 * 4 * 16),
        "head": Cost(4 * 8 + 16, 4 * 8 * 16),
        "classifier": Cost(8 * 3 + 3, 8 * 3),
    }
    assert totals(CONV)["params"] == 58 + 80 + 48 + 27
    assert comparison.same


@pytest.mark.parametrize("network", PUBLISHED.values(), ids=PUBLISHED)
def test_parts_add_up_to_the_networks(network):
    comparison = compare(network, B0)
    for index, whole in enumerate((network, comparison.reference)):
        sides = [part.sides[index] for part in comparison.parts]
        costs = [side.cost for side in sides if side]
        assert sum(costs, Cost()) == network_cost(whole)


def test_the_reference_is_brought_to_resolution_and_classes():
    comparison = compare(A1.replace(resolution=32, classes=10), B0)
    assert comparison.brought == {"resolution": 224, "classes": 1000}
    assert comparison.reference == B0.replace(resolution=32, classes=10)
    assert comparison.parts[-1].reference.cost == Cost(1281 * 10, 1280 * 10)
    line = "efficientnet-b0 was brought to resolution 32 (from 224) and classes 10 (from 1000)."
    assert line in notes(comparison)
    assert compare(A1.replace(classes=10), B0).brought == {"classes": 1000}


@pytest.mark.parametrize("turned", [False, True])
def test_stages_that_only_one_has(turned):
    reference = B0.replace(resolution=8, classes=3)
    comparison = compare(*((reference, CONV) if turned else (CONV, reference)))
    names = [part.name for part in comparison.parts]
    assert names == ["stem", *(f"stage{n}" for n in range(1, 8)), "head", "classifier"]
    stage3 = comparison.parts[3]
    assert stage3.sides[turned] is None and stage3.sides[not turned].block == B0.blocks[2]
    assert len(stage3.differs) == len(dataclasses.fields(Block))
    _, decisions, costs = tables(comparison)
    row = dict(zip(decisions[0], decisions[1][2], strict=True))
    assert row["kernel"] == ("5 (-)" if turned else "- (5)")
    assert costs[1][3][2 - turned] != "-" and costs[1][3][1 + turned] == "-"
    json.dumps(to_dict(comparison), allow_nan=False)


def test_a_head_that_only_the_shorter_one_has():
    longer = PUBLISHED["resnet-18"].replace(resolution=8, classes=3)
    for comparison in (compare(CONV, longer), compare(longer, CONV)):
        names = [part.name for part in comparison.parts]
        assert names == ["stem", *(f"stage{n}" for n in range(1, 5)), "head", "classifier"]


def test_settings_around_the_blocks_are_shown_where_they_differ():
    resnet = PUBLISHED["resnet-18"]
    rows = {
        row[0]: row[1:3] for row in tables(compare(resnet, resnet.replace(stem_kernel=3)))[0][1]
    }
    assert rows["stem_kernel"] == ("7", "3")
    assert "padding" not in rows and "stem_pool" not in rows
    rows = {row[0]: row[1:3] for row in tables(compare(resnet, B0))[0][1]}
    assert rows["stem_pool"] == ("yes", "no")
    assert rows["padding"] == ("symmetric", "same")
    assert rows["bn_epsilon"] == ("1e-05", "0.001")


def test_what_has_no_effect_differs_but_builds_the_same():
    block = Block(kernel=3, stride=2, filters=8)
    one = CONV.replace(blocks=(block,))
    other = CONV.replace(blocks=(dataclasses.replace(block, skip="none"),))
    comparison = compare(one, other)
    assert differences(comparison) == {"stage1": {"skip": ("identity", "none")}}
    assert comparison.same and "Both build the same network." in notes(comparison)


def fake(architecture) -> dict[str, tuple[float, float]]:
    return {"gp": (0.75 if architecture.activation == "relu" else 0.77, 0.004)}


def test_predictions_of_both():
    comparison = compare(A1, B0, fake)
    assert comparison.predictions == {"gp": ((0.75, 0.004), (0.77, 0.004))}
    assert tables(comparison)[0][1][-1] == (
        "top-1 by gp, %", "75.00 ± 0.40", "77.00 ± 0.40", "-2.00",
    )  # fmt: skip
    described = to_dict(comparison)
    assert described["predictions"]["gp"] == {
        "network": {"mean": 0.75, "std": 0.004},
        "reference": {"mean": 0.77, "std": 0.004},
        "difference": pytest.approx(-0.02),
    }
    assert described["no_predictions"] is None


def test_no_predictions_where_one_can_not_be_expressed():
    def predict(architecture):
        if architecture.name == "efficientnet-b0":
            raise ValueError("stage 7:\nno such kernel")
        return fake(architecture)

    comparison = compare(A1, B0, predict)
    assert comparison.predictions == {}
    assert comparison.no_predictions == "stage 7: no such kernel"
    assert "No predicted accuracy: stage 7: no such kernel" in notes(comparison)
    assert not any("top-1" in row[0] for row in tables(comparison)[0][1])


def test_the_verb_says_it_in_json_and_in_tables(capsys):
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
    assert described["reference_brought_from"] == {"resolution": 224, "classes": 1000}
    assert described["totals"]["reference"]["classes"] == 10


def test_rewards_at_the_predicted_accuracies():
    reward = RewardConfig(target_madds=385_814_752)
    compared = compare(A1, B0, fake, reward)
    # 0.75 · (311,579,072 / 385,814,752)^-0.07 = 0.75 · 1.015071; B0 stands at the target.
    assert compared.rewards["gp"] == (pytest.approx(0.761303, abs=1e-6), pytest.approx(0.77))
    rows = {row[0]: row for row in tables(compared)[0][1]}
    assert rows["reward by gp"][1:] == ("0.7613", "0.7700", "-0.0087")
    assert any("16 epochs" in note for note in notes(compared))
    assert compare(A1, B0, fake, RewardConfig(cost="latency_ms")).rewards == {}
    assert compare(A1, B0, None, reward).rewards == {}


def test_the_best_known_network_by_both_fits(capsys):
    assert mnas_command.main(["compare", "efficientnet-b0", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert set(described["predictions"]) == {"mlp", "ridge"}
    assert described["predictions"]["mlp"]["network"]["mean"] == pytest.approx(0.659, abs=0.001)
    assert described["predictions"]["mlp"]["difference"] == 0


def report_of(directory, head, result, predict=None) -> str:
    directory.mkdir()
    settings = {"reward": {"cost": "params"}}
    result = {"kind": "result", "trial": 0, "duplicate_of": None, "error": None, **result}
    measured = {"reward": 0.5, "accuracy": 0.5, "params": 1, "mult_adds": 1, "seconds": 1.0}
    measured["epochs"] = 3
    with Journal(directory / "journal.jsonl") as journal:
        journal.append(
            {"kind": "experiment", "format": FORMAT, "name": "x", "settings": settings, **head}
        )
        journal.append({**result, **measured})
    write_report([directory], directory / "report.html", predict)
    return (directory / "report.html").read_text()


def test_the_report_compares_the_best_with_the_reference(tmp_path):
    head, result = {"reference": "efficientnet-b0"}, {"architecture": A1.to_dict()}
    page = report_of(tmp_path / "new", head, result, fake)
    assert "<h3>Compared with efficientnet-b0</h3>" in page
    assert "<td>160 (192)</td>" in page and "75.00 ± 0.40" in page
    # Journals of before: no reference, or no architecture.
    assert "Compared with" not in report_of(tmp_path / "unnamed", {}, result)
    assert "Compared with" not in report_of(tmp_path / "undescribed", head, {})


def test_names_are_shown_as_they_are(tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(to_spec(CONV.replace(name="[/red]"))))
    assert mnas_command.main(["compare", str(path)]) == 0
    assert "[/red]" in capsys.readouterr().out
    assert mnas_command.main(["cost", str(path)]) == 0
    assert "[/red]" in capsys.readouterr().out
