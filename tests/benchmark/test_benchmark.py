"""The driver with made-up sides, which compute nothing, and with our own at the smallest size."""

import dataclasses
import json
import os
import sys

import pytest

from mnas import __main__ as mnas_command
from mnas.architecture.text_forms import from_block_strings
from mnas.benchmark import CHILDREN_TO_WARM_UP, Benchmark, BenchmarkConfig, processes
from mnas.benchmark.processes import SIDES, Arrangement, Side, SideFailed, Team
from mnas.benchmark.progress import BenchmarkProgress

FAKE = """
import os
import time

print("what libraries print is no answer")


class Side:
    versions = {"fake": "1"}

    def __init__(self, job):
        self.job = job

    def build(self, child):
        return child["params"] + SURPLUS

    def step(self):
        time.sleep(0.001)

    def wait(self, loss):
        pass

    def train(self, child):
        BREAK
        return {"compile_seconds": 0.0, "accuracy": 0.5}
"""
TINY = BenchmarkConfig(
    sides="ours,flax,torch",
    children=2,
    rounds=2,
    window_seconds=0.01,
    batch=4,
    trained=3,
    peer_trained=2,
    epochs=1,
    images=8,
    held_out=4,
)


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Replaces a side by a fake; `surplus` parameters too many, `breaks` a line run in training."""

    def replace(name: str, *, surplus: int = 0, breaks: str = "pass", head: str = "") -> None:
        path = tmp_path / f"{name}.py"
        path.write_text(head + FAKE.replace("SURPLUS", str(surplus)).replace("BREAK", breaks))
        monkeypatch.setitem(SIDES, name, dataclasses.replace(SIDES[name], file=path))

    for name in SIDES:
        replace(name)
    return replace


def result_of(config: BenchmarkConfig) -> dict:
    benchmark = Benchmark(config, BenchmarkProgress())
    phases = list(benchmark.run())
    # Three children, of which peers train two, in two rounds.
    assert phases == ["trial", "throughput", "memory", "children_per_hour", "children_per_hour"]
    return json.loads(json.dumps(benchmark.result, allow_nan=False))


def test_all_sides_go_through_all_phases(made_up):
    result = result_of(TINY)
    assert {side["status"] for side in result["sides"].values()} == {"measured"}
    assert result["sides"]["ours"]["versions"] == {"fake": "1"}
    throughput = result["throughput"]
    assert set(throughput["ratios"]) == {"flax", "torch"}
    assert [row["name"] for row in throughput["children"]] == ["child-0", "child-1"]
    for row in throughput["children"]:
        assert {len(rounds) for rounds in row["images_per_second"].values()} == {2}
    hour = result["children_per_hour"]["sides"]
    assert {name: sorted(passes) for name, passes in hour.items()} == {
        "ours": ["cold", "warm"], "flax": ["cold", "warm"], "torch": ["cold"],
    }  # fmt: skip
    assert [hour[name]["cold"]["children"] for name in hour] == [3, 2, 2]
    assert [hour[name]["warm"]["children"] for name in ("ours", "flax")] == [2, 2]
    assert all(
        a_pass["peak_memory_mb"] > 0 for passes in hour.values() for a_pass in passes.values()
    )
    assert set(result["peak_memory_mb"]) == {"ours", "flax", "torch"}


def test_no_cache_has_a_space_in_its_path(made_up):
    """The compiler that `torch.compile` calls can't take one."""
    check = 'import os\nassert " " not in os.path.basename(os.environ["TORCHINDUCTOR_CACHE_DIR"])\n'
    made_up("torch-compile", head=check)
    result = result_of(dataclasses.replace(TINY, sides="ours,torch-compile"))
    assert result["sides"]["torch-compile"]["status"] == "measured"


def test_fewer_children_are_the_first_ones_of_each_round():
    for peers in range(1, 21):
        config = BenchmarkConfig(trained=20, peer_trained=peers, rounds=6)
        ours, theirs = config.trained_by("ours", "cold"), config.trained_by("torch", "cold")
        assert sum(ours) == 20 and sum(theirs) == peers
        assert len(ours) == len(theirs) == min(6, peers)
        assert all(0 < few <= all_ for few, all_ in zip(theirs, ours, strict=True))
        assert config.trained_by("ours", "warm") == theirs
    assert BenchmarkConfig(trained=3).trained_by("torch", "cold") == [1, 1, 1]


def test_a_round_is_seconds_of_work_and_the_first_has_the_start(made_up, monkeypatch):
    made_up("ours", breaks="time.sleep(0.02)")
    benchmark = Benchmark(dataclasses.replace(TINY, sides="ours"), BenchmarkProgress())
    list(benchmark.run())
    (cold, warm) = benchmark.result["children_per_hour"]["sides"]["ours"].values()
    processes = benchmark.result["sides"]["ours"]["arrangement"]["processes"]
    first, second = cold["children_per_hour_in_rounds"]
    assert second == pytest.approx(3600 / (0.02 / processes), rel=0.5)
    assert cold["seconds"] > cold["busy_seconds"] / processes and first < second
    assert warm["children"] == 2


FAILURES = [
    ({"head": "import no_such_module\n"}, "not installed: no_such_module"),
    ({"head": "raise OSError('no compiler\\nsecond line')\n"}, "failed: OSError: no compiler"),
    ({"surplus": 1}, "params, built with"),
    ({"breaks": "raise RuntimeError('out of luck')"}, "failed: RuntimeError: out of luck"),
    ({"breaks": "os._exit(7)"}, "failed: worker ended with status 7: "),
    (
        {"breaks": "self.count = getattr(self, 'count', 0) + 1; 1 / (2 - self.count)"},
        "failed: Zero",
    ),
]


@pytest.mark.parametrize(("fault", "expected"), FAILURES, ids=[text for _, text in FAILURES])
def test_a_peer_that_fails_is_reported_and_the_others_go_on(fault, expected, made_up):
    made_up("flax", **fault)
    result = result_of(TINY)
    assert expected in result["sides"]["flax"]["status"]
    assert "\n" not in result["sides"]["flax"]["status"]
    assert set(result["children_per_hour"]["sides"]) == {"ours", "torch"}


def test_our_own_failure_is_no_result(made_up):
    made_up("ours", breaks="raise RuntimeError('out of luck')")
    with pytest.raises(RuntimeError, match="ours: failed: RuntimeError: out of luck"):
        list(Benchmark(TINY, BenchmarkProgress()).run())


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no pinning here")
def test_workers_have_the_cores_and_threads_they_are_told(tmp_path, made_up):
    made_up("flax", breaks="return dict(cores=sorted(os.sched_getaffinity(0)), job=self.job)")
    cores = processes.allowed_cores()
    for arrangement in processes.arrangements(len(cores)):
        with Team(
            SIDES["flax"],
            arrangement,
            python=sys.executable,
            cache=tmp_path,
            images=tmp_path / "none.npz",
            training={},
        ) as team:
            answers = team.ask_all(do="train", child={})
        found = sorted(core for answer in answers for core in answer["cores"])
        assert len(answers) == arrangement.processes and found == cores
        assert {answer["job"]["threads"] for answer in answers} == {arrangement.threads}


def test_an_interpreter_that_is_none_ends_the_side(tmp_path):
    side = Side("none", tmp_path / "side.py")
    with pytest.raises(SideFailed, match="worker ended with status 1"):
        Team(
            side,
            Arrangement("one process", 1, 1),
            python="false",
            cache=tmp_path,
            images=tmp_path,
            training={},
        )


def test_the_estimate_by_hand():
    config = BenchmarkConfig(
        sides="ours,torch", children=20, rounds=5, batch=64, trained=100, epochs=2, images=640
    )
    benchmark = Benchmark(config, BenchmarkProgress())
    for name in ("ours", "torch"):
        benchmark._picked[name] = Arrangement("a process a core", 2, 1)
        benchmark._trial[name] = {"start": 1.0, "build": 3.0, "images_per_second": 128.0}
    left = benchmark.seconds_left()
    # A step takes 64 · 2 / 128 = 1 s, so a window 1 + 2 s; and 10 of our children compile, or 20.
    assert left["throughput"] == 2 * (20 * 5 * 3) + (CHILDREN_TO_WARM_UP + 20) * 3
    # 100 children · 2 epochs · 640 images at 128 images/s are 1,000 s; ours goes twice.
    assert left["children_per_hour"] == 2 * 1001 + 10 * 3 / 2 + 1001 + 100 * 3 / 2
    assert left["memory"] == 2 * 4


def test_ours_by_the_command(capsys, tmp_path, monkeypatch):
    only_one = [Arrangement("one process", 1, 1)]
    monkeypatch.setattr("mnas.benchmark.arrangements", lambda cores: only_one)
    small = from_block_strings(["r1_k3_s22_e1_i8_o8_se0.25"], resolution=16, head=16, classes=10)
    monkeypatch.setattr("mnas.benchmark.children.random_children", lambda *_: [small])
    monkeypatch.setattr("mnas.benchmark.children.b0", lambda _: small)
    out = tmp_path / "figures.json"
    flags = "--sides ours,torch --torch-python false --children 1 --rounds 1"
    flags += " --window-seconds 0.01 --batch 4 --trained 1 --epochs 1 --images 8"
    flags += " --held-out 4 --resolution 16 --json"
    assert mnas_command.main(["benchmark", *flags.split(), "--out", str(out)]) == 0
    printed, told = capsys.readouterr()
    result = json.loads(printed)
    assert json.loads(out.read_text()) == result
    assert "estimated to go" in told and "Traceback" not in told
    assert result["sides"]["torch"]["status"].startswith("failed: worker ended with status 1")
    assert result["throughput"]["images_per_second"]["ours"] > 0
    passes = result["children_per_hour"]["sides"]["ours"]
    assert passes["cold"]["compile_share"] > passes["warm"]["compile_share"]
    assert passes["cold"]["mean_accuracy"] == passes["warm"]["mean_accuracy"]
    assert result["peak_memory_mb"]["ours"] > 50


def test_the_table_shows_all_sides(made_up, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made_up("flax", head="import no_such_module\n")
    flags = "--quick --children 1 --trained 2 --images 8 --batch 4 --held-out 4"
    assert mnas_command.main(["benchmark", *flags.split(), "--window-seconds", "0.01"]) == 0
    shown = capsys.readouterr().out
    assert "plain Flax" in shown and "not installed: no_such_module" in shown
    assert "child-0" in shown and "ours / it (spread)" in shown
    assert max(map(len, shown.splitlines())) <= 80


MISTAKES = [
    ("--batch 0", ["batch = 0", "at least 1"]),
    ("--sides ours,tensorflow", ["'tensorflow'", "torch-compile"]),
    ("--sides flax", ["sides = 'flax'", "ours"]),
    ("--torch-python nowhere/python", ["torch_python = 'nowhere/python'", "interpreter"]),
    ("--window-seconds nan", ["window_seconds = nan", "above 0"]),
    ("--images 10", ["images = 10", "one batch, 64"]),
    ("--side ours", ["--side", "--sides"]),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_costs_one_line(line, expected, capsys):
    assert mnas_command.main(["benchmark", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert all(text in err for text in expected), err
