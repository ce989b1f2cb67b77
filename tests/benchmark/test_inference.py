"""The driver of the inference benchmark with made-up sides, and our own side at a small size."""

import dataclasses
import json

import pytest

from mnas import __main__ as mnas_command
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.benchmark import inference
from mnas.benchmark.children import description
from mnas.benchmark.contenders.inference_ours import Side
from mnas.benchmark.inference import InferenceBenchmark, InferenceConfig, tables
from mnas.benchmark.progress import BenchmarkProgress

FAKE = """
import time


class Side:
    versions = {"fake": "1"}

    def __init__(self, job):
        self.imports = job["training"]["imports"]

    def build(self, child):
        self.seconds = SECONDS * child["mult_adds"] / 1e9
        return child["params"] + SURPLUS

    def step(self):
        time.sleep(self.seconds)

    def wait(self, answer):
        pass
"""
TWO = ("efficientnet-b1", "resnet-152")
CONFIG = InferenceConfig(networks=TWO, rounds=2, window_seconds=0.01, batch=3)


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Replaces a side by one that sleeps for so many seconds a billion mult-adds."""

    def replace(name: str, *, seconds: float, surplus: int = 0) -> None:
        file = tmp_path / f"{name}.py"
        file.write_text(FAKE.replace("SECONDS", str(seconds)).replace("SURPLUS", str(surplus)))
        side = dataclasses.replace(inference.SIDES[name], file=file)
        monkeypatch.setitem(inference.SIDES, name, side)

    return replace


def test_figures_of_made_up_sides(made_up):
    made_up("ours", seconds=0.005)
    made_up("torch", seconds=0.02)
    running = InferenceBenchmark(CONFIG, BenchmarkProgress())
    assert list(running.run()) == [*TWO, *TWO]
    result = json.loads(json.dumps(running.result, allow_nan=False))
    row = result["latency"][1]
    assert (row["name"], row["resolution"]) == ("resnet-152", 224)
    assert row["params"] == network_cost(mnas_published("resnet-152")).params
    assert len(row["images_per_second"]["ours"]) == CONFIG.rounds
    latency, ratio = row["latency_ms"]["torch"], row["ratios"]["torch"]
    assert latency["spread"][0] <= latency["median"] <= latency["spread"][1]
    # It sleeps for 231 ms at least, and ours for a quarter of that.
    assert latency["spread"][0] > 230
    assert ratio["median"] > 1
    claim = result["b1_against_resnet_152"]
    assert claim["paper"] == 5.7
    assert claim["torch"] > 1
    assert [table.row_count for table in tables(result)] == [2, 2, 3]


def mnas_published(name):
    from mnas.architecture.published import PUBLISHED

    return PUBLISHED[name]


def test_a_peer_with_another_network_is_left_out_and_the_rest_goes_on(made_up):
    made_up("ours", seconds=0.0)
    made_up("torch", seconds=0.0, surplus=1)
    config = dataclasses.replace(CONFIG, networks=TWO[:1], batch=0)
    running = InferenceBenchmark(config, BenchmarkProgress())
    assert list(running.run()) == list(TWO[:1])
    assert "built with 7794185" in running.result["sides"]["torch"]["status"]
    assert list(running.result["latency"][0]["latency_ms"]) == ["ours"]
    assert "throughput" not in running.result
    assert [table.row_count for table in tables(running.result)] == [1]


def test_our_side_answers_batches():
    network = Architecture((Block(kernel=3, stride=1, filters=8),), resolution=8, classes=3)
    side = Side({})
    assert side.build({**description(network), "batch": 2}) == network_cost(network).params
    assert side.step().shape == (2, 3)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--sides", "torch"], "sides = torch"),
        (["--networks", "efficientnet-b9"], "efficientnet-b9"),
        (["--rounds", "0"], "rounds = 0"),
    ],
)
def test_mistakes_are_named(flags, named, capsys):
    assert mnas_command.main(["benchmark", "--inference", *flags]) == 2
    assert named in capsys.readouterr().err
