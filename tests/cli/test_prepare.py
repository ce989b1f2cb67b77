"""`mnas search --warm-up` and `--latency-table`: blocks compiled or timed before a search."""

import functools
import json
import os
import types

from mnas.cli import prepare
from mnas.evaluators.latency_table import LatencyTable
from mnas.experiment.results import load_run
from mnas.preparation.warmup import compile_ahead
from tests.cli.commands import run_search

WARM_UP = ["--warm-up", "--blocks", "1", "--engine.workers", "1", "--space.resolution", "8"]
WARM_UP += ["--evaluator.data.train-images", "32", "--evaluator.training.batch-size", "16"]


def test_a_second_warm_up_compiles_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    assert run_search(*WARM_UP) == 0
    first = capsys.readouterr().err
    assert "distinct blocks; compiling 1, which are" in first
    others, blocks = (list((tmp_path / "cache").glob(name)) for name in ("*-cache", "blocks/*"))
    assert len(blocks) == 2  # its two programs of training, and that of inference
    compiled = len(others) + 3
    assert len(others) > 2 and f"\n{compiled} programs compiled in " in first
    assert run_search(*WARM_UP) == 0
    assert "\n0 programs compiled in " in (again := capsys.readouterr().err)
    assert f" s, {compiled} were in {tmp_path}/cache\n" in again


def test_a_killed_process_of_a_warm_up_is_reported(capsys, monkeypatch):
    dies = types.SimpleNamespace(build=functools.partial(os._exit, 9))
    monkeypatch.setattr(
        prepare,
        "compile_ahead",
        lambda blocks, _, *rest: compile_ahead(blocks, dies, *rest),
    )
    assert run_search(*WARM_UP) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the number of blocks; the error
    assert "killed" in lines[1] and lines[1].count("compiled blocks are kept") == 1


# Five networks at 12 to 17 pixels.
SCALINGS = ["scaling-dimensions", "--space.doublings", "1"]
SCALINGS += ["--space.base", "r1_k3_s22_e1_i8_o8"]


def test_a_latency_table_is_filled_once_and_used_by_a_search(tmp_path, capsys):
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
    flags += " --search.trials 2 --search.batch 2"
    assert run_search(*SCALINGS, *flags.split()) == 0
    results = load_run(tmp_path / "run").results
    latencies = {result.latency_ms for result in results}
    assert len(results) == len(latencies) == 2 and min(latencies) > 0
    table.write_text(table.read_text().replace('"call_ms": ', '"call_ms": 1'))
    capsys.readouterr()
    assert run_search("--resume", f"{tmp_path}/run") == 2
    assert "the content of evaluator.latency_table" in capsys.readouterr().err
