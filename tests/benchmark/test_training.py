"""The benchmark of training, with fake contenders and with our own at the smallest size."""

import dataclasses
import json

import pytest

from mnas import __main__ as mnas_command
from mnas.architecture.text_forms import from_block_strings
from mnas.benchmark.config import BenchmarkConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.training import Benchmark

TINY = BenchmarkConfig(
    contenders="ours,flax,torch",
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


def run(config: BenchmarkConfig) -> dict:
    benchmark = Benchmark(config, BenchmarkProgress())
    phases = list(benchmark.run())
    # Three children, of which peers train two, in two rounds.
    hour = ["children_per_hour", "children_per_hour"]
    assert phases == ["calibration", "throughput", "memory", *hour]
    return json.loads(json.dumps(benchmark.result, allow_nan=False))


def test_every_phase_measures_every_contender(fake_contender):
    result = run(TINY)
    assert {contender["status"] for contender in result["contenders"].values()} == {"measured"}
    assert result["contenders"]["ours"]["versions"] == {"fake": "1"}
    throughput = result["throughput"]
    assert set(throughput["ratios"]) == {"flax", "torch"}
    assert [row["name"] for row in throughput["children"]] == ["child-0", "child-1"]
    for row in throughput["children"]:
        assert {len(rounds) for rounds in row["images_per_second"].values()} == {2}
    hour = result["children_per_hour"]["contenders"]
    assert {name: sorted(passes) for name, passes in hour.items()} == {
        "ours": ["cold", "warm"],
        "flax": ["cold", "warm"],
        "torch": ["cold"],
    }
    assert [hour[name]["cold"]["children"] for name in hour] == [3, 2, 2]
    assert [hour[name]["warm"]["children"] for name in ("ours", "flax")] == [2, 2]
    for passes in hour.values():
        assert all(one["peak_memory_mb"] > 0 for one in passes.values())
    assert set(result["peak_memory_mb"]) == {"ours", "flax", "torch"}


def test_all_contenders_train_with_the_defaults_of_a_search(fake_contender, one_arrangement):
    training = run(dataclasses.replace(TINY, contenders="ours"))["settings"]["training"]
    assert (training["epochs"], training["batch_size"]) == (1, 4)
    assert training["learning_rate"] == 0.005 and training["label_smoothing"] == 0.1


def test_cache_paths_contain_no_space(fake_contender, one_arrangement):
    """The compiler that `torch.compile` calls can't take one."""
    check = 'import os\nassert " " not in os.path.basename(os.environ["TORCHINDUCTOR_CACHE_DIR"])\n'
    fake_contender("torch-compile", head=check)
    result = run(dataclasses.replace(TINY, contenders="ours,torch-compile"))
    assert result["contenders"]["torch-compile"]["status"] == "measured"


def test_seconds_of_a_round_are_work_and_in_the_first_also_the_start(fake_contender):
    fake_contender("ours", train="time.sleep(0.02)")
    benchmark = Benchmark(dataclasses.replace(TINY, contenders="ours"), BenchmarkProgress())
    list(benchmark.run())
    cold, warm = benchmark.result["children_per_hour"]["contenders"]["ours"].values()
    processes = benchmark.result["contenders"]["ours"]["arrangement"]["processes"]
    first, second = cold["children_per_hour_in_rounds"]
    # A busy machine makes rounds slower; none is faster than its sleeping.
    assert second <= 3600 / (0.02 / processes)
    assert cold["seconds"] > cold["busy_seconds"] / processes and first < second
    assert warm["children"] == 2


FAILURES = [
    ({"head": "import no_such_module\n"}, "not installed: no_such_module"),
    ({"head": "raise OSError('no compiler\\nsecond line')\n"}, "failed: OSError: no compiler"),
    ({"surplus": 1}, "params, built with"),
    ({"train": "raise RuntimeError('out of luck')"}, "failed: RuntimeError: out of luck"),
    ({"train": "os._exit(7)"}, "failed: worker ended with status 7: "),
    (
        {"train": "self.count = getattr(self, 'count', 0) + 1; 1 / (2 - self.count)"},
        "failed: Zero",
    ),
]


@pytest.mark.parametrize(("fault", "expected"), FAILURES, ids=[text for _, text in FAILURES])
def test_a_failed_peer_is_reported_and_the_others_go_on(
    fault, expected, fake_contender, one_arrangement
):
    fake_contender("flax", **fault)
    result = run(TINY)
    assert expected in result["contenders"]["flax"]["status"]
    assert "\n" not in result["contenders"]["flax"]["status"]
    assert set(result["children_per_hour"]["contenders"]) == {"ours", "torch"}


def test_a_failure_of_our_own_contender_ends_the_benchmark(fake_contender, one_arrangement):
    fake_contender("ours", train="raise RuntimeError('out of luck')")
    with pytest.raises(RuntimeError, match="ours: failed: RuntimeError: out of luck"):
        list(Benchmark(TINY, BenchmarkProgress()).run())


# --- the command --------------------------------------------------------------------------------


def test_the_command_measures_our_own_contender(capsys, tmp_path, monkeypatch, one_arrangement):
    small = from_block_strings(["r1_k3_s22_e1_i8_o8_se0.25"], resolution=16, head=16, classes=10)
    monkeypatch.setattr("mnas.benchmark.children.random_children", lambda *_: [small])
    monkeypatch.setattr("mnas.benchmark.children.b0", lambda _: small)
    out = tmp_path / "figures.json"
    flags = "--contenders ours,torch --torch-python false --children 1 --rounds 1"
    flags += " --window-seconds 0.01 --batch 4 --trained 1 --epochs 1 --images 8"
    flags += " --held-out 4 --resolution 16 --json"
    assert mnas_command.main(["benchmark", *flags.split(), "--out", str(out)]) == 0
    stdout, stderr = capsys.readouterr()
    result = json.loads(stdout)
    assert json.loads(out.read_text()) == result
    assert "estimated time left" in stderr and "Traceback" not in stderr
    assert result["contenders"]["torch"]["status"].startswith("failed: worker ended with status 1")
    assert result["throughput"]["images_per_second"]["ours"] > 0
    passes = result["children_per_hour"]["contenders"]["ours"]
    assert passes["cold"]["compile_fraction"] > passes["warm"]["compile_fraction"]
    assert passes["cold"]["mean_accuracy"] == passes["warm"]["mean_accuracy"]
    assert result["peak_memory_mb"]["ours"] > 50


def test_the_table_shows_all_contenders_in_80_columns(
    fake_contender, one_arrangement, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    fake_contender("flax", head="import no_such_module\n")
    flags = "--quick --children 1 --trained 2 --images 8 --batch 4 --held-out 4"
    assert mnas_command.main(["benchmark", *flags.split(), "--window-seconds", "0.01"]) == 0
    table = capsys.readouterr().out
    assert "plain Flax" in table and "not installed: no_such_module" in table
    assert "child-0" in table and "ours / it (spread)" in table
    assert max(map(len, table.splitlines())) <= 80
