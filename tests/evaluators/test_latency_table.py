"""Tables of latencies: sums, resumption, mistakes, and how well sums predict wholes."""

import dataclasses
import json
import time

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.signatures import signatures
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.evaluators.latency_table import Check, LatencyTable
from mnas.evaluators.proxy import ProxyConfig
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
    table = LatencyTable.begun(tmp_path / "table.json", {**HEAD, "call_ms": 0.5})
    for index, signature in enumerate(dict.fromkeys(signatures(TINY))):
        table.add(signature, 2.0**index)
    return table


def test_equal_blocks_share_a_signature_and_others_do_not():
    found = signatures(TINY)
    assert len(found) == 6  # stem, four layers, head
    assert found[1] == found[2] == found[3]
    assert len(set(found)) == 4
    larger = signatures(TINY.replace(resolution=16))
    assert not set(found) & set(larger)


def test_latency_is_the_call_and_the_sum_over_blocks(table):
    # stem 1, three times 2, then 4, head 8
    assert LatencyTable.read(table.path).latency_ms(TINY) == 0.5 + 1 + 3 * 2 + 4 + 8


def test_a_missing_block_is_named(table):
    other = TINY.replace(blocks=(*TINY.blocks, Block(kernel=7, stride=1, filters=8)))
    with pytest.raises(ValueError, match=r"no block .*\"kernel\":7"):
        table.latency_ms(other)


@pytest.mark.parametrize(
    ("name", "value"), [("device", "other"), ("threads", 2), ("versions", {"jax": "1"})]
)
def test_other_conditions_are_not_mixed_into_a_table(table, name, value):
    with pytest.raises(ValueError, match=name):
        LatencyTable.begun(table.path, {**HEAD, name: value})


@pytest.mark.parametrize(
    "content", ["[]", '{"format": "other"}', '{"format": "mnas-latency/1", "call_ms": 1}']
)
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="accepted"):
        LatencyTable.read(path)


def test_check_by_hand():
    check = Check.of([1.0, 2.0, 4.0], [2.0, 4.0, 6.0])
    assert check.kendall == pytest.approx(1)
    assert check.r2 == pytest.approx(1 - (1 + 4 + 4) / 8)
    assert check.mean_error == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert Check.of([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).kendall == pytest.approx(-1)
    with pytest.raises(ValueError, match="networks = 1"):
        Check.of([1.0], [1.0])


def test_check_is_written_beside_the_table(table):
    larger = TINY.replace(blocks=(dataclasses.replace(TINY.blocks[0], repeats=2), TINY.blocks[1]))
    check = write_check(table, [(TINY, 20.0), (larger, 18.0)])
    written = json.loads(table.path.with_name("table-check.json").read_text())
    assert written["kendall"] == check.kendall == 1
    assert [point["sum_ms"] for point in written["networks"]] == [19.5, 17.5]
    assert table.path.with_name("table-check.png").stat().st_size > 1000


class Inline:
    """A pool that works here, and counts."""

    submitted = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, call, *arguments):
        Inline.submitted += 1
        answer = call(*arguments)
        return type("Done", (), {"result": lambda self: answer})()


def test_filling_stops_and_goes_on(tmp_path, monkeypatch):
    timed = []

    def block_ms(architecture, index):
        if len(timed) == 2:
            raise KeyboardInterrupt
        timed.append(index)
        return 3.0

    monkeypatch.setattr(latency, "_process", lambda engine: Inline())
    monkeypatch.setattr(latency, "_block_ms", block_ms)
    monkeypatch.setattr(timing, "call_ms", lambda: 1.0)
    path = tmp_path / "table.json"
    with pytest.raises(KeyboardInterrupt):
        latency.fill(path, blocks_of(TINY), EngineConfig())
    assert len(LatencyTable.read(path).blocks) == 2
    monkeypatch.setattr(latency, "_block_ms", lambda *_: 5.0)
    table = latency.fill(path, blocks_of(TINY), EngineConfig())
    assert list(table.blocks.values()) == [2.0, 2.0, 4.0, 4.0]
    assert table.latency_ms(TINY) == 1 + 2 + 3 * 2 + 4 + 4


def test_timing_waits_for_the_answer_and_takes_the_median():
    naps = iter([0.0, 0.0, 0.0, 0.001, 0.004, 0.2])

    class Answer:
        def block_until_ready(self):
            time.sleep(next(naps))

    assert 4 <= timing.median_ms(Answer, 3) < 200


def test_blocks_and_networks_are_timed():
    assert timing.block_ms(TINY, 1, repeats=2) > 0
    assert timing.network_ms(TINY, repeats=2) > 0


def test_a_block_alone_is_timed_with_weights_that_are_not_at_hand(monkeypatch):
    """One copy after the other, until they are more than a core's cache holds."""
    seen = []

    def infer(variables, x):
        seen.append(id(variables))
        return x

    monkeypatch.setattr(timing, "inference", lambda blocks, variables, shape: infer)
    monkeypatch.setattr(timing, "COLD_BYTES", 5000)
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.0)
    timing.block_ms(TINY, 4, repeats=1)
    # 8 to 8 filters: 25 · 8 and 8 · 8 weights and a bias for either, of 4 bytes each.
    assert len(set(seen)) == -(-5000 // (4 * (25 * 8 + 8 + 8 * 8 + 8)))


def test_the_evaluator_answers_from_the_table(table):
    config = ProxyConfig(
        data=DataConfig(validation=32, train_images=32), latency_table=str(table.path)
    )
    config.check(TINY)
    with pytest.raises(ValueError, match="no block"):
        config.check(TINY.replace(stem=16))
    with pytest.raises(ValueError, match="one of the two"):
        dataclasses.replace(config, measure_latency=True)
    with pytest.raises(ValueError, match="can't be read"):
        dataclasses.replace(config, latency_table=f"{table.path}.no").build()
