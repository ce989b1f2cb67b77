"""Cost per child, weight bank included, as printed by searches and examinations of proxies."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from mnas.analysis.proxy_quality import Score
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.network_table import TableRow
from mnas.cli import proxy_scores
from mnas.cli.run import spending_lines
from mnas.engines.config import EngineConfig
from mnas.evaluators.table import TableConfig
from tests.runs import result

OWN, SHARED = {"cpu_seconds": 2.0}, {"shared_cpu_seconds": 30.0}


def test_summary_tells_the_cost_per_child():
    assert spending_lines([OWN, {"cpu_seconds": 4.0}]) == ["cost: 3.0 CPU-seconds a child"]
    assert spending_lines([{}, {"compiles": 2}]) == []


def test_summary_tells_the_weight_bank_s_part_and_inherited_blocks():
    blocks = {"inherited_blocks": 600, "new_blocks": 1}
    assert spending_lines([OWN | SHARED | blocks] * 3 + [{}]) == [
        "cost: 12.0 CPU-seconds a child, of which 10.0 of the weight bank (30 in all)",
        "blocks of children: 1,800 of the weight bank, 3 new",
    ]


@pytest.mark.parametrize(("timings", "cost"), [(OWN, 2.0), (OWN | SHARED, 2.0 + 30 / 60)])
def test_cost_of_an_examination_has_its_part_of_the_weight_bank(monkeypatch, timings, cost):
    rows = [
        TableRow(Architecture((Block(kernel=3, stride=2, filters=8 * n),), name=f"n{n}"), 0.5)
        for n in (1, 2)
    ]
    found = [[result(n, 0.5, timings=timings) for n in range(2)] for _ in range(2)]
    monkeypatch.setattr(proxy_scores.network_list, "evaluate", lambda *_: found)
    monkeypatch.setattr(proxy_scores.run, "check", lambda experiment: None)
    console = Console(file=io.StringIO(), width=200)
    scores = proxy_scores.evaluated(
        rows, TableConfig("t.csv"), EngineConfig(), 2, Path("q"), console, children=60
    )
    assert scores == [Score((0.5, 0.5), 2 * cost)] * 2
    printed = console.file.getvalue()
    line = "cost of the weight bank: 30.0 CPU-seconds, divided by 60 children (--children)"
    assert (line in printed) == (timings != OWN)
