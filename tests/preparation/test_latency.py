"""Measured latency: filling a table, timing, and the written agreement with whole networks."""

import dataclasses
import json
import os
import time

import pytest

from mnas.architecture.architecture import Architecture, Block
from mnas.architecture.signatures import signatures
from mnas.engines.config import EngineConfig
from mnas.errors import RunFailure, UsageError
from mnas.evaluators.latency_table import LatencyTable
from mnas.files import locked_directory
from mnas.preparation import latency, timing
from mnas.preparation.latency_check import write_check
from mnas.preparation.space_blocks import SpaceBlock

TINY = Architecture(
    (Block(kernel=3, stride=1, filters=8, repeats=3), Block(kernel=5, stride=2, filters=8)),
    resolution=8,
    stem=8,
    head=8,
    classes=10,
)
HEAD = {"device": "abacus", "threads": 1, "batch": 1, "versions": {"jax": "0"}, "date": "today"}


def blocks_of(architecture):
    return [SpaceBlock(architecture, index, 1.0) for index in range(len(signatures(architecture)))]


@pytest.fixture
def table(tmp_path):
    table = LatencyTable.open(tmp_path / "table.json", {**HEAD, "call_ms": 0.5})
    for index, signature in enumerate(dict.fromkeys(signatures(TINY))):
        table.add(signature, 2.0**index)
    return table


def test_the_agreement_is_written_beside_the_table(table):
    larger = TINY.replace(blocks=(dataclasses.replace(TINY.blocks[0], repeats=2), TINY.blocks[1]))
    check = write_check(table, [TINY, larger], [20.0, 18.0])
    written = json.loads(table.path.with_name("table-check.json").read_text())
    assert written["kendall"] == check.kendall == 1
    assert [point["sum_ms"] for point in written["networks"]] == [19.5, 17.5]
    assert table.path.with_name("table-check.png").stat().st_size > 1000


class Inline:
    """Executor that runs calls in this process."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, call, *arguments):
        answer = call(*arguments)
        return type("Done", (), {"result": lambda self: answer})()


def test_an_interrupted_table_is_continued(tmp_path, monkeypatch):
    timed = []

    def block_ms(architecture, index):
        if len(timed) == 2:
            raise KeyboardInterrupt
        timed.append(index)
        return 3.0

    monkeypatch.setattr(latency, "measuring_process", lambda engine: Inline())
    monkeypatch.setattr(timing, "block_ms", block_ms)
    monkeypatch.setattr(timing, "call_ms", lambda: 1.0)
    path = tmp_path / "table.json"
    with pytest.raises(KeyboardInterrupt):
        latency.measure_blocks(path, blocks_of(TINY), EngineConfig())
    assert len(LatencyTable.read(path).blocks) == 2
    monkeypatch.setattr(timing, "block_ms", lambda *_: 5.0)
    table = latency.measure_blocks(path, blocks_of(TINY), EngineConfig())
    assert list(table.blocks.values()) == [2.0, 2.0, 4.0, 4.0]
    assert table.latency_ms(TINY) == 1 + 2 + 3 * 2 + 4 + 4


def test_a_killed_measuring_process_is_reported_in_one_line():
    with (
        pytest.raises(RunFailure, match=r"^the process that measures was killed, .* GiB are free"),
        latency.measuring_process(EngineConfig(pin=False)) as pool,
    ):
        pool.submit(os._exit, 9).result()


def test_one_process_measures_in_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "measuring_process", lambda engine: Inline())
    monkeypatch.setattr(timing, "block_ms", lambda *_: 5.0)
    monkeypatch.setattr(timing, "call_ms", lambda: 1.0)
    path = tmp_path / "new" / "table.json"
    latency.measure_blocks(path, blocks_of(TINY), EngineConfig())
    (path.parent / ".table.json.0123abcd.tmp").write_text("")  # of a killed process
    with (
        locked_directory(path.parent, "is measuring in this directory", file="another.json"),
        pytest.raises(UsageError, match=r"new: another process is measuring in this directory$"),
    ):
        latency.measure_blocks(path, blocks_of(TINY), EngineConfig())
    latency.measure_blocks(path, blocks_of(TINY), EngineConfig())
    assert [left.name for left in path.parent.iterdir()] == ["table.json"]


def test_timing_blocks_until_ready_and_takes_the_median():
    naps = iter([0.0, 0.0, 0.0, 0.001, 0.004, 0.2])

    class Answer:
        def block_until_ready(self):
            time.sleep(next(naps))

    assert 4 <= timing.median_ms(Answer, 3) < 200


def test_timings_of_blocks_and_networks_are_positive():
    assert timing.block_ms(TINY, 1, repeats=2) > 0
    assert timing.network_ms(TINY, repeats=2) > 0


def test_a_single_block_is_timed_with_cold_weights(monkeypatch):
    """Successive calls use different copies, together larger than a core's cache."""
    seen = []

    def infer(variables, x):
        seen.append(id(variables))
        return x

    monkeypatch.setattr(timing, "inference", lambda blocks, variables, shape: infer)
    monkeypatch.setattr(timing, "COLD_BYTES", 5000)
    monkeypatch.setattr(timing, "MIN_SECONDS", 0.0)
    timing.block_ms(TINY, 4, repeats=1)
    # 8 to 8 filters: 25 · 8 and 8 · 8 weights and a bias for either, of 4 bytes each.
    assert len(set(seen)) == -(-5000 // (4 * (25 * 8 + 8 + 8 * 8 + 8)))
