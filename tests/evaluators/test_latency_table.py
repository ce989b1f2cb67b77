"""Latency tables: sums over blocks, errors, and agreement with whole networks."""

import dataclasses

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.signatures import signatures
from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluators.latency_table import LatencyCheck, LatencyTable
from mnas.evaluators.proxy import ProxyConfig

TINY = Architecture(
    (Block(kernel=3, stride=1, filters=8, repeats=3), Block(kernel=5, stride=2, filters=8)),
    resolution=8,
    stem=8,
    head=8,
    classes=10,
)
HEAD = {"device": "abacus", "threads": 1, "batch": 1, "versions": {"jax": "0"}, "date": "today"}


@pytest.fixture
def table(tmp_path):
    table = LatencyTable.open(tmp_path / "table.json", {**HEAD, "call_ms": 0.5})
    for index, signature in enumerate(dict.fromkeys(signatures(TINY))):
        table.add(signature, 2.0**index)
    return table


def test_signatures_are_equal_for_equal_blocks_only():
    of_blocks = signatures(TINY)
    assert len(of_blocks) == 6  # stem, four layers, head
    assert of_blocks[1] == of_blocks[2] == of_blocks[3]
    assert len(set(of_blocks)) == 4
    larger = signatures(TINY.replace(resolution=16))
    assert not set(of_blocks) & set(larger)


def test_latency_is_the_overhead_plus_the_sum_over_blocks(table):
    # stem 1, three times 2, then 4, head 8
    assert LatencyTable.read(table.path).latency_ms(TINY) == 0.5 + 1 + 3 * 2 + 4 + 8


def test_a_missing_block_is_named_in_the_error(table):
    other = TINY.replace(blocks=(*TINY.blocks, Block(kernel=7, stride=1, filters=8)))
    with pytest.raises(ValueError, match=r"no block .*\"kernel\":7"):
        table.latency_ms(other)


@pytest.mark.parametrize(
    ("name", "value"), [("device", "other"), ("threads", 2), ("versions", {"jax": "1"})]
)
def test_a_table_is_not_continued_under_other_conditions(table, name, value):
    with pytest.raises(ValueError, match=name):
        LatencyTable.open(table.path, {**HEAD, name: value})


DAMAGED = [
    ("[]", "not a table of latencies; accepted: format 'mnas-latency/1'"),
    ('{"format": "other"}', "not a table of latencies; accepted: format 'mnas-latency/1'"),
    ('{"call_ms": 1}', "blocks = None; accepted: milliseconds by block signature"),
    ('{"call_ms": 1, "blocks": [1]}', r"blocks = \[1\]; accepted: milliseconds by block"),
    ('{"blocks": {}}', "call_ms = None; accepted: a number of at least 0"),
    ('{"call_ms": true, "blocks": {}}', "call_ms = True; accepted: a number of at least 0"),
    ('{"call_ms": "1", "blocks": {}}', "call_ms = '1'; accepted: a number of at least 0"),
    ('{"call_ms": 1, "blocks": {"a": 1, "b\\n": "2"}}', r"b\\n = '2'; accepted: a number of at le"),
    ('{"call_ms": 1, "blocks": {"a": -1}}', "a = -1; accepted: a number of at least 0"),
    ('{"call_ms": 1, "blocks": {"a": 1e999}}', "a = inf; accepted: a number of at least 0"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_table_is_named_with_its_key(tmp_path, content, message):
    path = tmp_path / "table.json"
    path.write_text(content.replace("{", '{"format": "mnas-latency/1", ', 1))
    if "other" in content:
        path.write_text(content)
    with pytest.raises(UsageError, match=rf"^{path}: {message}") as raised:
        LatencyTable.read(path)
    assert "\n" not in str(raised.value)


def test_agreement_by_hand():
    check = LatencyCheck.compute([1.0, 2.0, 4.0], [2.0, 4.0, 6.0])
    assert check.kendall == pytest.approx(1)
    assert check.r2 == pytest.approx(1 - (1 + 4 + 4) / 8)
    assert check.mean_error == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert LatencyCheck.compute([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).kendall == pytest.approx(-1)
    with pytest.raises(ValueError, match="networks = 1"):
        LatencyCheck.compute([1.0], [1.0])


def test_proxy_latency_comes_from_the_table(table):
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
