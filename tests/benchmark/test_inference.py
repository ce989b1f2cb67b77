"""The benchmark of inference, with fake contenders and with our own at a small size."""

import dataclasses
import json

import pytest

from mnas import __main__ as mnas_command
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.benchmark.children import description
from mnas.benchmark.contender import INFERENCE_CONTENDERS
from mnas.benchmark.contenders.inference_ours import Contender
from mnas.benchmark.inference import InferenceBenchmark, InferenceConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.table import inference_tables

FAKE = """
import time


class Contender:
    versions = {"fake": "1"}

    def __init__(self, job):
        self.imports = job["settings"]["imports"]

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
def fake_contender(tmp_path, monkeypatch):
    """Replace a contender by one that sleeps `seconds` for a billion mult-adds."""

    def replace(name: str, *, seconds: float, surplus: int = 0) -> None:
        file = tmp_path / f"{name}.py"
        file.write_text(FAKE.replace("SECONDS", str(seconds)).replace("SURPLUS", str(surplus)))
        spec = dataclasses.replace(INFERENCE_CONTENDERS[name], file=file)
        monkeypatch.setitem(INFERENCE_CONTENDERS, name, spec)

    return replace


def test_figures_of_fake_contenders(fake_contender):
    fake_contender("ours", seconds=0.002)
    fake_contender("torch", seconds=0.008)
    benchmark = InferenceBenchmark(CONFIG, BenchmarkProgress())
    assert list(benchmark.run()) == [*TWO, *TWO]
    result = json.loads(json.dumps(benchmark.result, allow_nan=False))
    row = result["latency"][1]
    assert (row["name"], row["resolution"]) == ("resnet-152", 224)
    assert row["params"] == network_cost(PUBLISHED["resnet-152"]).params
    assert len(row["images_per_second"]["ours"]) == CONFIG.rounds
    latency, ratio = row["latency_ms"]["torch"], row["ratios"]["torch"]
    assert latency["spread"][0] <= latency["median"] <= latency["spread"][1]
    # It sleeps for 8 ms · 11.5 = 92 ms at least, and ours for a quarter of that.
    assert latency["spread"][0] > 92
    assert ratio["median"] > 1
    claim = result["b1_against_resnet_152"]
    assert claim["paper"] == 5.7
    assert claim["torch"] > 1
    assert [table.row_count for table in inference_tables(result)] == [2, 2, 3]


def test_a_peer_that_builds_another_network_is_dropped(fake_contender):
    fake_contender("ours", seconds=0.0)
    fake_contender("torch", seconds=0.0, surplus=1)
    config = dataclasses.replace(CONFIG, networks=TWO[:1], batch=0)
    benchmark = InferenceBenchmark(config, BenchmarkProgress())
    assert list(benchmark.run()) == list(TWO[:1])
    assert "built with 7794185" in benchmark.result["contenders"]["torch"]["status"]
    assert list(benchmark.result["latency"][0]["latency_ms"]) == ["ours"]
    assert "throughput" not in benchmark.result
    assert [table.row_count for table in inference_tables(benchmark.result)] == [1]


def test_our_contender_computes_logits_of_a_batch():
    network = Architecture((Block(kernel=3, stride=1, filters=8),), resolution=8, classes=3)
    contender = Contender({})
    assert contender.build({**description(network), "batch": 2}) == network_cost(network).params
    assert contender.step().shape == (2, 3)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--contenders", "torch"], "contenders = torch"),
        (["--networks", "efficientnet-b9"], "efficientnet-b9"),
        (["--rounds", "0"], "rounds = 0"),
    ],
)
def test_invalid_settings_are_named(flags, expected, capsys):
    assert mnas_command.main(["benchmark", "--inference", *flags]) == 2
    assert expected in capsys.readouterr().err
