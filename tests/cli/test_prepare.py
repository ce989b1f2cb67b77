"""Ahead of a search, by the command line: blocks compiled, blocks timed."""

import functools
import json
import os
import types

from mnas.cli import prepare
from mnas.cli.arguments import report_mistakes
from mnas.cli.search import search
from mnas.evaluators.latency_table import LatencyTable
from mnas.experiment.results import load_run
from mnas.preparation.warmup import compile_ahead


def run_search(*arguments: str) -> int:
    return report_mistakes("mnas", lambda: search(list(arguments)))


WARM_UP = [
    "--warm-up",
    "--blocks",
    "1",
    "--engine.workers",
    "1",
    "--space.resolution",
    "8",
    "--evaluator.data.train-images",
    "32",
    "--evaluator.training.batch-size",
    "16",
]


def test_a_warm_up_compiles_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    assert run_search(*WARM_UP) == 0
    first = capsys.readouterr().err
    assert "different blocks, of which 1 make" in first
    others, blocks = (list((tmp_path / "cache").glob(name)) for name in ("*-cache", "blocks/*"))
    assert len(blocks) == 2  # one's two programs of training, and the one of inference
    compiled = len(others) + 3
    assert len(others) > 2 and f"\n{compiled} programs compiled in " in first
    assert run_search(*WARM_UP) == 0
    assert "\n0 programs compiled in " in (again := capsys.readouterr().err)
    assert f" s, {compiled} were in {tmp_path}/cache\n" in again


def test_a_warm_up_whose_process_is_killed(capsys, monkeypatch):
    dies = types.SimpleNamespace(build=functools.partial(os._exit, 9))
    monkeypatch.setattr(
        prepare,
        "compile_ahead",
        lambda blocks, _, *rest: compile_ahead(blocks, dies, *rest),
    )
    assert run_search(*WARM_UP) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # how many blocks there are; what happened
    assert "killed" in lines[1] and "what was compiled is kept" in lines[1]


# Five networks, of 12 to 17 pixels.
SCALINGS = ["scaling-dimensions", "--space.doublings", "1"]


def test_a_latency_table_is_made_once_and_searched_by(tmp_path, capsys):
    table = tmp_path / "laptop.json"
    timed = ["--latency-table", str(table), *SCALINGS]
    assert run_search(*timed, "--networks", "2") == 0
    err = capsys.readouterr().err
    blocks = LatencyTable.read(table).blocks
    assert f"written: {table}, {len(blocks)} blocks\n" in err and len(blocks) > 10
    check = json.loads((tmp_path / "laptop-check.json").read_text())
    assert f"2 random networks: Kendall τ {check['kendall']:.3f}" in err
    assert run_search(*timed) == 0
    assert LatencyTable.read(table).blocks == blocks  # nothing was timed again

    flags = "--evaluator.training.epochs 1 --evaluator.data.train-images 64 --engine.kind inline"
    flags += f" --reward.cost latency_ms --evaluator.latency-table {table} --out {tmp_path}/run"
    assert run_search(*SCALINGS, *flags.split()) == 0
    results = load_run(tmp_path / "run").results
    latencies = {result.latency_ms for result in results}
    assert len(results) == len(latencies) == 5 and min(latencies) > 0
    table.write_text(table.read_text().replace('"call_ms": ', '"call_ms": 1'))
    capsys.readouterr()
    assert run_search("--resume", f"{tmp_path}/run") == 2
    assert "contents.latency_table was" in capsys.readouterr().err


def test_a_latency_table_needs_a_file(capsys):
    assert run_search("--latency-table", "--networks", "2") == 2
    assert "--latency-table needs a file" in capsys.readouterr().err
