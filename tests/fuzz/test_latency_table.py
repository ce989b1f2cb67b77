"""A damaged table of latencies is rejected, or has the numbers that it shows."""

import json
import math

import pytest
from hypothesis import given

from mnas.architecture.signatures import signatures
from mnas.errors import UsageError
from mnas.evaluators.latency_table import LatencyTable
from tests.fuzz.contract import read
from tests.fuzz.strategies import json_files
from tests.runs import network

SIGNATURES = list(signatures(network()))
HEAD = {"device": "processor", "threads": 1, "batch": 1, "versions": {"jax": "0.10"}}
TABLE = {
    "format": "mnas-latency/1",
    **HEAD,
    "date": "2026-01-31",
    "call_ms": 0.01,
    "blocks": {signature: 0.5 for signature in SIGNATURES},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "table.json"


@given(content=json_files(TABLE))
def test_latency_table(file, content):
    file.write_bytes(content)
    table = read(lambda: LatencyTable.read(file), file)
    if table is None:
        return
    data = json.loads(content)
    assert table.blocks == data["blocks"]
    try:
        latency = table.latency_ms(network())
    except UsageError as missing:
        assert str(file) in str(missing)
    else:
        assert math.isclose(latency, data["call_ms"] + sum(data["blocks"][s] for s in SIGNATURES))
        assert 0 <= latency < math.inf


@given(content=json_files(TABLE))
def test_latency_table_to_continue(file, content):
    file.write_bytes(content)
    table = read(lambda: LatencyTable.open(file, HEAD), file)
    if table is not None:
        table.add("another", 1.0)
        assert LatencyTable.read(file).blocks == {**table.blocks, "another": 1.0}
