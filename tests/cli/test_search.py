"""The command lines: what they print, and that mistakes cost one line and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnas import __main__ as mnas_command
from mnas.cli.arguments import fold, report_mistakes
from mnas.cli.search import search

ROOT = Path(__file__).parents[2]


def run_search(*arguments: str) -> int:
    return report_mistakes("mnas", lambda: search(list(arguments)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two children, in this process; copied by tests that spoil it."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run_search(*tiny(directory)) == 0
    return directory


def tiny(directory: Path) -> list[str]:
    flags = "--engine.kind inline --search.trials 2 --search.batch 2"
    flags += " --evaluator.training.epochs 1 --evaluator.data.train-images 64"
    return [*flags.split(), "--out", str(directory)]


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def one_line(capsys, *expected: str) -> None:
    """Standard error has one line, it says all of `expected`, and standard output is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for text in expected:
        assert text in err, err


MISTAKES = [
    ("--reward.target-mads 1", ["--reward.target-mads", "--reward.target-madds"]),
    ("digit", ["'digit'", "digits"]),
    ("no-such-thing", ["'no-such-thing'", "digits"]),
    ("--reward.target-madds -5", ["target_madds = -5.0", "above 0"]),
    ("--reward.form sofft", ["sofft", "soft"]),
    ("--search.selection luck", ["luck", "measured", "model"]),
    ("--search.trials many", ["--search.trials", "many"]),
    ("--search.batch 0", ["batch = 0", "at least 1"]),
    ("--search.stopping.quantile 1", ["stopping: quantile = 1.0", "below 1"]),
    ("--evaluator.data.source nowhere", ["nowhere", "digits"]),
    ("--evaluator.data.source nowhere.npz", ["nowhere.npz", "digits"]),
    ("--evaluator.data.validation 0", ["validation = 0", "share"]),
    ("--space.classes 7", ["7 classes", "digits has 10"]),
    ("--reference b0", ["reference = 'b0'", "efficientnet-b0"]),
    ("--engine.kind spark", ["spark", "ray"]),
    ("--engine.kind tune --engine.time-limit-seconds 5", ["time_limit_seconds = 5", "engine ray"]),
    ("--engine.address 127.0.0.1:1", ["'127.0.0.1:1'", "Connection refused", "auto"]),
    ("--controller.learning-rate -1", ["learning_rate = -1", "accepted"]),
    ("--evaluator.training.epochs 0", ["epochs = 0", "accepted"]),
    ("--controller evolutoin", ["--controller 'evolutoin'", "evolution", "reinforce"]),
    ("b0-imagenet --controller", ["--controller ''", "accepted"]),
    ("b0-imagenet --space efficientnet", ["surrogate", "blocks[0].filters", "never measured"]),
    ("b0-imagenet --evaluator.fit gp", ["gp", "ridge"]),
    ("b0-imagenet --evaluator noisy --evaluator.std-points -1", ["std_points = -1", "at least 0"]),
    ("b0-imagenet --evaluator.device abacus", ["abacus", "vck190"]),
    ("b0-imagenet --name other", ["--name"]),
    ("flop-budget", ["'flop-budget'", "flop-budgets"]),
    ("--warm-up --blocks 0", ["blocks = 0", "at least 1"]),
    ("--warm-up b0-imagenet", ["evaluator = surrogate", "--evaluator proxy"]),
    ("--resume", ["--resume", "directory"]),
    ("--resume nowhere", ["nowhere", "holds no run"]),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_costs_one_line(line, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_search(*line.split()) == 2
    one_line(capsys, *expected)
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_directory_is_refused_and_left_alone(run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert run_search(*tiny(run)) == 2
    one_line(capsys, str(run), "holds a run already")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_resumed_run_keeps_its_settings(run, capsys):
    assert run_search("--resume", str(run), "--reward.w", "-0.1") == 2
    one_line(capsys, "reward.w was -0.07 and is -0.1 now")
    for flags in (["--reference", "mnasnet-a1"], ["--seed", "1"], ["--out", "elsewhere"]):
        assert run_search("--resume", str(run), *flags) == 2
        one_line(capsys, "directory, seed and reference", "none of them given")


def test_a_resumed_run_keeps_how_it_stops_children(run, tmp_path, capsys):
    """Also one of before there was such a setting."""
    head = (run / "journal.jsonl").read_text().splitlines()[0]
    assert "stopping" not in head  # off, it is as it was before
    path = run / "experiment.json"
    settings = json.loads(path.read_text())
    del settings["search"]["stopping"]
    path.write_text(json.dumps(settings))
    assert run_search("--resume", str(run), "--search.stopping.quantile", "0.5") == 2
    one_line(capsys, "search.stopping.quantile was 0.0 and is 0.5 now")
    assert run_search("--resume", str(run), "--search.stopping.min-curves", "3") == 0  # still off
    capsys.readouterr()
    on = tmp_path / "on"
    assert run_search(*tiny(on), "--search.stopping.quantile", "0.5") == 0
    capsys.readouterr()
    assert run_search("--resume", str(on), "--search.stopping.quantile", "0") == 2
    one_line(capsys, "search.stopping.quantile was 0.5 and is 0.0 now")
    assert run_search("--resume", str(on), "--search.stopping.min-curves", "9") == 2
    one_line(capsys, "search.stopping.min_curves was 8 and is 9 now")
    assert run_search("--resume", str(on)) == 0


def test_an_unreadable_journal_is_named_by_line(run, capsys):
    journal = run / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], "not a fact\n", *lines[1:]]))
    assert run_search("--resume", str(run)) == 2
    one_line(capsys, "journal.jsonl, line 2", "not a fact")


def test_a_damaged_experiment_file_is_named(run, capsys):
    (run / "experiment.json").write_text("{")
    assert run_search("--resume", str(run)) == 2
    one_line(capsys, "experiment.json", "not JSON")


def test_an_unknown_setting_in_the_experiment_file_is_named(run, capsys):
    path = run / "experiment.json"
    settings = json.loads(path.read_text())
    settings["search"]["trails"] = 3
    path.write_text(json.dumps(settings))
    assert run_search("--resume", str(run)) == 2
    one_line(capsys, "search.trails", "did you mean trials")


def test_resuming_a_finished_run_changes_nothing(run, capsys):
    journal = (run / "journal.jsonl").read_bytes()
    best = (run / "best.json").read_bytes()
    assert run_search("--resume", str(run)) == 0
    assert (run / "journal.jsonl").read_bytes() == journal
    assert (run / "best.json").read_bytes() == best


def test_a_finished_run_can_be_made_longer(run):
    flags = ["--search.trials", "4", "--engine.kind", "inline"]
    assert run_search("--resume", str(run), *flags) == 0
    records = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    trials = [r["trial"] for r in records if r["kind"] == "result"]
    assert [sorted(trials[:2]), sorted(trials[2:])] == [[0, 1], [2, 3]]  # batch by batch
    assert json.loads((run / "experiment.json").read_text())["search"]["trials"] == 4


def test_another_choice_of_what_is_exported_is_no_other_search(run, capsys):
    assert json.loads((run / "best.json").read_text())["search"]["selection"] == "measured"
    journal = (run / "journal.jsonl").read_text()
    assert run_search("--resume", str(run), "--search.selection", "model") == 0
    assert "best by the model: trial " in capsys.readouterr().err
    assert json.loads((run / "best.json").read_text())["search"]["selection"] == "model"
    assert (run / "journal.jsonl").read_text() == journal


def quick(directory: Path, *flags: str) -> list[str]:
    """A search that trains nothing."""
    size = ["--search.trials", "12", "--search.batch", "4"]
    return ["b0-imagenet", *size, "--out", str(directory), *flags]


def test_parts_are_exchanged_and_resumed_with(tmp_path, capsys):
    flags = ["--controller", "evolution", "--controller.population", "8", "--seed=3"]
    flags += ["--controller.tournament", "4", "--space=single-cell", "--evaluator.fit", "ridge"]
    assert run_search(*quick(tmp_path / "run", *flags)) == 0
    assert "36 networks" in capsys.readouterr().err
    settings = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert settings["kinds"] == {
        "space": "SingleCellSpace", "controller": "Evolution", "evaluator": "SurrogateConfig"
    }  # fmt: skip
    assert settings["controller"] == {"population": 8, "tournament": 4}
    assert settings["evaluator"]["fit"] == "ridge" and settings["search"]["seed"] == 3
    # Naming the part that the experiment has already keeps its settings.
    assert run_search(*quick(tmp_path / "same", "--evaluator", "surrogate")) == 0
    whole = (tmp_path / "run" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "journal.jsonl").write_text("".join(whole[:9]))
    assert run_search("--resume", str(tmp_path / "run")) == 0
    again = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    facts = [json.loads(line) for line in again], [json.loads(line) for line in whole]
    for fact in (*facts[0], *facts[1]):
        fact.pop("time", None), fact.pop("seconds", None)
    assert facts[0] == facts[1]


def test_another_controller_is_another_search(tmp_path, capsys):
    assert run_search(*quick(tmp_path / "run", "--controller", "random")) == 0
    path = tmp_path / "run" / "experiment.json"
    path.write_text(path.read_text().replace("RandomSearch", "Evolution"))
    capsys.readouterr()
    assert run_search("--resume", str(tmp_path / "run")) == 2
    one_line(capsys, "kinds.controller was 'RandomSearch' and is 'Evolution' now")


def test_b0_imagenet_tells_how_it_compares(tmp_path, capsys):
    assert run_search(*quick(tmp_path / "run")) == 0
    shown = capsys.readouterr().err
    assert "reward by mlp: found 0." in shown and "reward by ridge: found 0." in shown
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Compared with efficientnet-b0" in page and "reward by ridge" in page
    assert "16 epochs" in page and "favours small networks" in page


def test_a_run_leaves_all_its_files(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"experiment.json", "journal.jsonl", "best.json", "top.json", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert "<svg" in (finished / "report.html").read_text()


def test_rescored_by_its_own_reward_a_run_is_as_it_was(finished, tmp_path, capsys):
    out = tmp_path / "best.json"
    assert mnas_command.main(["rescore", str(finished), "--json", "--out", str(out)]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["reward"] == described["own_reward"]
    rows = described["rows"]
    assert [row["rank"] for row in rows] == [row["old_rank"] for row in rows] == [1, 2]
    assert [row["reward"] for row in rows] == [row["old_reward"] for row in rows]
    best = json.loads((finished / "best.json").read_text())
    again = json.loads(out.read_text())
    again["search"].pop("rescored")
    assert again == best


def test_a_run_is_compared_with_the_reference_of_its_experiment(finished, capsys):
    head = json.loads((finished / "journal.jsonl").read_text().splitlines()[0])
    assert head["reference"] == "efficientnet-b0" and "reference" not in head["settings"]
    assert "Compared with efficientnet-b0" in (finished / "report.html").read_text()
    assert mnas_command.main(["compare", str(finished), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["reference_brought_from"] == {"resolution": 224, "classes": 1000}
    assert described["totals"]["reference"]["mult_adds"] == 8_474_848  # B0 at 32 pixels, 10 classes


def test_cost_of_a_run_is_that_of_its_spec(finished, capsys):
    assert mnas_command.main(["cost", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    best = json.loads((finished / "best.json").read_text())
    described = json.loads(out)
    assert (described["params"], described["mult_adds"]) == (best["params"], best["mult_adds"])
    assert sum(part["params"] for part in described["parts"]) == best["params"]
    assert err == ""


def test_cost_of_a_run_is_that_of_the_model(finished, capsys):
    assert mnas_command.main(["cost", str(finished), "--json", "--verify"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["model"] == {key: described[key] for key in ("params", "mult_adds")}
    assert mnas_command.main(["cost", str(finished), "--verify"]) == 0
    assert "mult-adds, the same" in capsys.readouterr().out


def test_cost_of_b0(capsys):
    assert mnas_command.main(["cost", "efficientnet-b0", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["params"], described["mult_adds"]) == (5_288_548, 385_814_752)
    assert mnas_command.main(["cost", "efficientnet-b0"]) == 0
    assert "5,288,548" in capsys.readouterr().out


def test_cost_takes_block_strings_and_files(tmp_path, capsys):
    # Stem 3·3·3·32 + 2·32 = 928; block 9·32 + 64 + 32·16 + 32 = 896;
    # head 16·1280 + 2·1280 = 23,040; classifier 1281·10 = 12,810.
    strings = "r1_k3_s11_e1_i32_o16_noskip"
    assert mnas_command.main(["cost", strings, "--classes", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 928 + 896 + 23_040 + 12_810
    path = tmp_path / "spec.json"
    assert mnas_command.main(["export", "mnasnet-a1", "--out", str(path)]) == 0
    assert mnas_command.main(["cost", str(path), "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["params"] == 3_887_038


def test_export_formats(capsys):
    assert mnas_command.main(["export", "efficientnet-b0", "--format", "tf"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "r2_k3_s22_e6_i16_o24_se0.25"
    assert mnas_command.main(["export", "efficientnet-b0", "--format", "timm"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["arch_def"][0] == ["ds_r1_k3_s1_e1_c16_se0.25"]
    assert (described["pad_type"], described["bn_eps"]) == ("same", 1e-3)
    assert mnas_command.main(["export", "mobilenet-v1", "--format", "timm"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["arch_def"][:2] == [["dsa_r1_k3_s1_c64"], ["dsa_r2_k3_s2_c128"]]
    assert described["num_features"] == 0


def test_a_resnet_to_json_and_back(tmp_path, capsys):
    path = tmp_path / "resnet.json"
    assert mnas_command.main(["export", "resnet-50", "--out", str(path)]) == 0
    spec = json.loads(path.read_text())
    assert spec["blocks"][0] == "r3_k3_s11_e4_i64_o256_bottleneck_projectionskip"
    assert (spec["stem_kernel"], spec["stem_pool"], spec["arch_def"]) == (7, True, None)
    assert mnas_command.main(["cost", str(path), "--json", "--verify"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["params"] == counted["model"]["params"] == 25_557_032
    assert counted["mult_adds"] == counted["model"]["mult_adds"] == 4_089_184_256


SPEC_MISTAKES = [
    ("cost efficientnet-bo", ["efficientnet-bo", "did you mean efficientnet-b0"]),
    ("cost r1_k4_s11_e1_i32_o16", ["kernel = 4", "odd"]),
    ("cost r1_k3_s11_e1_i32_o16;r1_k3_s22_e6_i24_o40", ["i24", "i16"]),
    ("cost efficientnet-b0 --resolution 0", ["resolution = 0", "at least 1"]),
    ("export r1_k3_s11_e1_i32_o16_poolskip --format tf", ["skip = 'pool'", "TF"]),
    ("export mobilenet-v1 --format tf", ["blocks[0]", "op = 'separable'", "TF"]),
    ("export resnet-50 --format tf", ["blocks[0]", "op = 'bottleneck'", "TF"]),
    ("export resnet-50 --format timm", ["stem_pool = True", "timm"]),
    ("cost resnet_50", ["resnet_50", "did you mean resnet50"]),
    ("export efficientnet-b0 --format onnyx", ["onnyx", "json, tf, timm"]),
    ("coast efficientnet-b0", ["'coast'", "cost"]),
    ("report nowhere", ["nowhere", "can't be read"]),
    ("compare efficientnet-bo", ["efficientnet-bo", "did you mean efficientnet-b0"]),
    ("compare mnasnet-a1 nowhere", ["'nowhere'", "accepted", "a run's directory"]),
    ("compare mnasnet-a1 --resolution 0", ["resolution = 0", "at least 1"]),
    ("rescore", ["rescore", "Directory of a run"]),
    ("rescore nowhere", ["nowhere", "can't be read"]),
    ("rescore RUN --reward sofft", ["sofft", "--reward", "soft"]),
    ("rescore RUN --cost seconds", ["seconds", "--cost", "latency_ms"]),
    ("rescore RUN --w 0.1", ["w = 0.1", "at most 0"]),
    ("rescore RUN --target-madds nan", ["target_madds = nan", "above 0"]),
    ("rescore RUN --cost latency_ms", ["latency_ms", "did not measure", "mult_adds, params"]),
    ("rescore RUN --top 0", ["top = 0", "at least 1"]),
    ("rescore RUN --target-mads 1", ["--target-mads", "--target-madds"]),
    ("rescore RUN --out RUN", ["can't be written", "directory"]),
]


@pytest.mark.parametrize(
    ("line", "expected"), SPEC_MISTAKES, ids=[line for line, _ in SPEC_MISTAKES]
)
def test_a_mistake_in_a_verb_costs_one_line(line, expected, finished, capsys):
    assert mnas_command.main(line.replace("RUN", str(finished)).split()) == 2
    one_line(capsys, *expected)


def test_a_damaged_spec_is_named(run, capsys):
    best = run / "best.json"
    spec = json.loads(best.read_text())
    best.write_text(best.read_text()[:40])
    assert mnas_command.main(["cost", str(run)]) == 2
    one_line(capsys, "best.json", "not JSON")
    spec["params"] += 1
    best.write_text(json.dumps(spec))
    assert mnas_command.main(["cost", str(run)]) == 2
    one_line(capsys, "best.json", "params", str(spec["params"] - 1))


def test_list_names_every_experiment(capsys):
    assert run_search("--list") == 0
    assert "digits" in capsys.readouterr().out


def test_status_and_streams_of_the_real_process():
    command = [sys.executable, "search.py", "--reward.target-mads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "--reward.target-madds" in done.stderr


def test_a_reader_that_has_seen_enough_costs_no_traceback():
    command = [sys.executable, "-m", "mnas", "export", "efficientnet-b0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()  # long before anything is said
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_broken_pipe_is_no_reader_of_ours():
    def main():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        report_mistakes("search.py", main)


def test_an_error_box_folds_into_one_line():
    box = "╭─ Bad ──╮\n│ No: --a, 1 │\n│ ───── │\n│ Did you mean: │\n│ --b │\n"
    box += "│ ──── │\n│ For full helptext, run x │\n╰────╯\n"
    assert fold(box) == "No: --a, 1; Did you mean: --b"
