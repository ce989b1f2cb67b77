import dataclasses

import pytest

from mnas.analysis.comparison import compare
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.reports.comparison_tables import notes, tables
from mnas.reward import RewardConfig

B0, A1 = PUBLISHED["efficientnet-b0"], PUBLISHED["mnasnet-a1"]
CONV = Architecture(
    blocks=(Block(op="conv", kernel=3, stride=1, filters=4),),
    resolution=8, stem=2, head=8, classes=3, name="conv",
)  # fmt: skip


def predict(architecture) -> dict[str, tuple[float, float]]:
    return {"gp": (0.75 if architecture.activation == "relu" else 0.77, 0.004)}


def totals(comparison) -> dict[str, tuple[str, ...]]:
    return {name: tuple(cells) for name, *cells in tables(comparison)[0][1]}


@pytest.mark.parametrize("swapped", [False, True])
def test_missing_stage_is_shown_as_a_dash(swapped):
    reference = B0.replace(resolution=8, classes=3)
    comparison = compare(*((reference, CONV) if swapped else (CONV, reference)))
    _, (heads, decisions), (_, costs) = tables(comparison)
    stage3 = dict(zip(heads, decisions[2], strict=True))
    assert stage3["kernel"] == ("5 (-)" if swapped else "- (5)")
    assert costs[3][2 - swapped] != "-" and costs[3][1 + swapped] == "-"


def test_rare_settings_are_shown_where_they_differ():
    resnet = PUBLISHED["resnet-18"]
    rows = totals(compare(resnet, resnet.replace(stem_kernel=3)))
    assert rows["stem_kernel"][:2] == ("7", "3")
    assert "padding" not in rows and "stem_pool" not in rows
    rows = totals(compare(resnet, B0))
    assert rows["stem_pool"][:2] == ("yes", "no")
    assert rows["padding"][:2] == ("symmetric", "same")
    assert rows["bn_epsilon"][:2] == ("1e-05", "0.001")


def test_predictions_and_rewards_are_rows_of_the_totals():
    comparison = compare(A1, B0, predict, RewardConfig(target_madds=385_814_752))
    rows = totals(comparison)
    assert rows["top-1 by gp, %"] == ("75.00 ± 0.40", "77.00 ± 0.40", "-2.00")
    assert rows["reward by gp"] == ("0.7613", "0.7700", "-0.0087")
    assert any("16 epochs" in note for note in notes(comparison))


def test_notes_give_the_reason_of_missing_predictions():
    def reject(architecture):
        raise ValueError("stage 7:\nno such kernel")

    comparison = compare(A1, B0, reject)
    assert "No predicted accuracy: stage 7: no such kernel" in notes(comparison)
    assert not any("top-1" in name for name in totals(comparison))


def test_notes_name_resizing_and_equal_networks():
    resized = compare(A1.replace(resolution=32, classes=10), B0)
    line = "efficientnet-b0 was resized to resolution 32 (from 224) and classes 10 (from 1000)."
    assert line in notes(resized)
    block = Block(kernel=3, stride=2, filters=8)
    one, other = (
        CONV.replace(blocks=(b,)) for b in (block, dataclasses.replace(block, skip="none"))
    )
    assert "Both build the same network." in notes(compare(one, other))
