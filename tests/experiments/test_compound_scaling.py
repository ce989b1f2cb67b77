"""The grid search, from the command to its files, with a closed-form evaluator."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from mnas import __main__ as mnas_command
from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import scale
from mnas.architecture.scaling_grid import ScalingGrid
from mnas.evaluation import Evaluation
from tests.registered import register

evaluations_left = {"until Ctrl-C": 0}


@dataclasses.dataclass(frozen=True)
class TableEvaluator:
    """Accuracy that grows with width and depth, and not with resolution."""

    noise: float = 0.01

    def build(self):
        return self

    def __call__(self, architecture: Architecture, seed: int, report=None) -> Evaluation:
        evaluations_left["until Ctrl-C"] -= 1
        if evaluations_left["until Ctrl-C"] == 0:
            raise KeyboardInterrupt
        accuracy = 0.5 + 0.01 * architecture.stem + 0.001 * len(architecture.layers())
        return Evaluation(accuracy + self.noise * (seed % 100) / 100, epochs=1)


@pytest.fixture(autouse=True)
def table_evaluator(monkeypatch):
    register(monkeypatch, "evaluator", "table", TableEvaluator)
    evaluations_left["until Ctrl-C"] = 0


def run(*arguments: str) -> int:
    return mnas_command.main(["search", *arguments])


def grid_search(directory: Path, *flags: str) -> int:
    parts = ["--evaluator", "table", "--engine.kind", "inline", "--space.step", "0.1"]
    return run("compound-scaling", *parts, "--out", str(directory), *flags)


def records(directory: Path) -> list[dict]:
    records = [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]
    for record in records:
        for name in ("time", "seconds", "timings", "sum", "provenance"):
            record.pop(name, None)
    return records


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("grid") / "run"
    with pytest.MonkeyPatch.context() as patch:
        register(patch, "evaluator", "table", TableEvaluator)
        assert grid_search(directory) == 0
    return directory


def grid_of(directory: Path) -> ScalingGrid:
    return ScalingGrid(**json.loads((directory / "experiment.json").read_text())["space"])


def test_evaluates_every_point_once(finished):
    points = grid_of(finished).points()
    results = [record for record in records(finished) if record["kind"] == "result"]
    results.sort(key=lambda result: result["trial"])  # a batch's largest come first
    assert len(points) > 6  # more than a batch
    assert [result["hash"] for result in results] == [n.canonical_hash() for n in points.values()]
    assert all(result["duplicate_of"] is None and not result["error"] for result in results)


@pytest.mark.parametrize("evaluations", [1, 8, 16])
def test_resumed_grid_search_equals_the_uninterrupted_one(evaluations, finished, tmp_path, capsys):
    evaluations_left["until Ctrl-C"] = evaluations
    assert grid_search(tmp_path / "run") == 130
    assert "to continue: mnas resume" in capsys.readouterr().err
    assert len(records(tmp_path / "run")) < len(records(finished))
    evaluations_left["until Ctrl-C"] = 0
    assert mnas_command.main(["resume", str(tmp_path / "run")]) == 0
    assert records(tmp_path / "run") == records(finished)
    for name in ("grid.csv", "best.json", "top.json"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_ranks_points_by_reward(finished, capsys):
    with open(finished / "grid.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    base = grid_of(finished).network()
    for row in rows:
        coefficients = [float(row[name]) for name in ("alpha", "beta", "gamma")]
        network = scale(base, 1, *coefficients, divisor=2)
        assert int(row["mult_adds"]) == network_cost(network).mult_adds
        assert int(row["resolution"]) == network.resolution
    rewards = [float(row["reward"]) for row in rows]
    assert rewards == sorted(rewards, reverse=True) and len(set(rewards)) > 1
    assert json.loads((finished / "best.json").read_text())["search"]["trial"] == int(
        rows[0]["trial"]
    )
    # The same from the journal, by the other command.
    assert mnas_command.main(["scale", str(finished), "--grid-search", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert [point["reward"] for point in described["points"]] == rewards
    assert [point["alpha"] for point in described["points"]] == [float(r["alpha"]) for r in rows]
    assert described["mult_adds"] == network_cost(base).mult_adds
    assert mnas_command.main(["scale", str(finished), "--grid-search"]) == 0
    assert f"{len(rows)} of {len(rows)} networks" in capsys.readouterr().out
    assert mnas_command.main(["scale", str(finished), "--grid-search", "--step", "0.2"]) == 2
    assert "step given with" in capsys.readouterr().err


def test_accepts_the_best_of_a_run_as_base(finished, tmp_path):
    flags = ["--space.base", str(finished), "--space.resolution", "None", "--space.head", "None"]
    assert grid_search(tmp_path / "second", *flags) == 0
    best = json.loads((finished / "best.json").read_text())
    base = grid_of(tmp_path / "second").network()
    assert (base.resolution, base.head) == (best["resolution"], best["head"])


def test_rejects_a_grid_without_points(tmp_path, capsys):
    flags = ["--space.step", "0.3", "--space.tolerance", "0"]
    assert grid_search(tmp_path / "run", *flags) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "no point" in err
    assert not (tmp_path / "run").exists()
