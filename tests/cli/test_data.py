"""Data of a search: the line that says what is read; moved data and changed data."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluation import Evaluation
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.proxy import ProxyConfig, ProxyEvaluator
from mnas.search_spaces import EfficientNetSpace
from tests.cli.commands import assert_one_line
from tests.data.sets import save_classes, save_image
from tests.registered import register
from tests.studies import RANDOM, SMALL


@pytest.fixture(autouse=True)
def _trains_nothing(tmp_path, monkeypatch):
    """Evaluate without training; work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        ProxyEvaluator, "__call__", lambda *_: Evaluation(accuracy=0.5, epochs=1, seconds=0.1)
    )


def search(source, classes, *flags) -> int:
    """Run a small search; without `classes`, their number is that of the data."""
    size = ["--search.trials", "4", "--search.batch", "4", "--controller", "random"]
    data = ["--evaluator.data.source", str(source)]
    data += [] if classes is None else ["--space.classes", str(classes)]
    engine = ["--engine.kind", "inline", "--space.resolution", "16", "--out", "run"]
    return main(["search", "digits", *size, *data, *engine, *flags])


def write_arrays(path, value=0):
    pixels = np.arange(24 * 64, dtype=np.uint8).reshape(24, 8, 8) + np.uint8(value)
    np.savez(path, train_images=pixels, train_labels=np.arange(24) % 5)


def resume(*flags) -> int:
    return main(["resume", "run", "--search.trials", "8", *flags])


def test_a_search_says_what_it_reads_once(capsys):
    root = save_classes(Path("set"))
    save_image(root / ".hidden" / "0.png", 0)
    assert search(root, 2) == 0
    err = capsys.readouterr().err
    line = "data: 6 images, 2 classes (cat, dog), 8×8; left out: 1 hidden folder\n"
    assert err.count(line) == 1 and err.count("data: ") == 1


def test_a_search_says_once_how_children_are_trained_and_where_images_are_kept(capfd):
    write_arrays("x.npz")
    assert search("x.npz", None) == 0
    err = capfd.readouterr().err
    assert err.count("children: block by block, float32, on the cpu\n") == 1
    assert err.count("images: ") == 1 and "images: 18.4 kB of images on the device\n" in err
    shutil.rmtree("run")
    flags = ["--evaluator.data.feeding", "stream", "--evaluator.program", "whole"]
    assert search("x.npz", None, *flags, "--evaluator.training.precision", "bfloat16") == 0
    err = capfd.readouterr().err
    assert err.count("children: each compiled as a whole, bfloat16, on the cpu\n") == 1
    assert err.count("images: 18.4 kB of images streamed by threads\n") == 1


def test_blocks_of_networks_that_are_compiled_as_a_whole_are_not_compiled_ahead(capsys):
    assert main(["search", "--warm-up", "digits", "--evaluator.program", "whole"]) == 2
    assert_one_line(capsys, "--warm-up: evaluator = proxy trains no networks block by block; ")


def test_other_classes_than_the_space_has_name_its_setting(capsys):
    write_arrays("x.npz")
    assert search("x.npz", 10) == 2
    expected = "x.npz has 5 (0, 1, 2, 3, 4); accepted: --space.classes 5"
    assert_one_line(capsys, "space: classes = 10, and ", expected)


def test_the_number_of_classes_is_that_of_the_data(capsys):
    write_arrays("x.npz")
    assert search("x.npz", None) == 0
    assert json.loads(Path("run/experiment.json").read_bytes())["space"]["classes"] == 5
    assert json.loads(Path("run/best.json").read_bytes())["classes"] == 5
    head = json.loads(Path("run/journal.jsonl").read_text().split("\n")[0])
    assert head["settings"]["space"]["classes"] == 5
    assert resume() == 0
    assert json.loads(Path("run/experiment.json").read_bytes())["space"]["classes"] == 5


@pytest.mark.parametrize("flag", ["--space.classes=10", "--space.classes 10"])
def test_a_number_of_classes_that_was_given_is_kept(capsys, flag):
    write_arrays("x.npz")
    assert search("x.npz", None, *flag.split()) == 2
    assert_one_line(capsys, "space: classes = 10, and ", "x.npz has 5 (0, 1, 2, 3, 4); accepted: ")
    assert not Path("run").exists()


def test_resumed_data_of_other_classes_are_other_content(capsys):
    write_arrays("x.npz")
    assert search("x.npz", None) == 0
    np.savez("x.npz", train_images=np.zeros((8, 8, 8), np.uint8), train_labels=np.arange(8) % 2)
    capsys.readouterr()
    assert resume() == 2
    assert_one_line(capsys, "the content of evaluator.data.source = ", "is not that of the run")
    assert resume("--space.classes", "5") == 2
    assert_one_line(capsys, "space: classes = 5, and ", "x.npz has 2 (0, 1); accepted: --space")


@pytest.mark.parametrize("verb", [["--warm-up"], ["--latency-table", "table.json"]])
def test_blocks_are_prepared_for_the_classes_of_the_data(monkeypatch, capsys, verb):
    def check(experiment):
        raise UsageError(f"checked with {experiment.space.classes} classes")

    monkeypatch.setattr("mnas.cli.prepare.run.check", check)
    write_arrays("x.npz")
    assert main(["search", *verb, "digits", "--evaluator.data.source", "x.npz"]) == 2
    assert_one_line(capsys, "checked with 5 classes")


def test_variants_of_a_study_have_the_classes_of_their_data(monkeypatch, capsys):
    write_arrays("x.npz")
    evaluator = ProxyConfig(data=DataConfig("x.npz", validation=4))
    variants = {
        name: dataclasses.replace(RANDOM, evaluator=config, space=EfficientNetSpace(resolution=16))
        for name, config in {"x": evaluator, "noisy": NoisyConfig(evaluator)}.items()
    }
    study = dataclasses.replace(SMALL, variants=variants, judge=None)
    register(monkeypatch, "experiment", "small", study)
    flags = ["--workers", "1", "--trials", "2", "--seeds", "1"]
    assert main(["search", "small", *flags, "--out", "s"]) == 0
    for name in variants:
        settings = json.loads(Path(f"s/{name}/seed-0/experiment.json").read_bytes())
        assert settings["space"]["classes"] == 5
    shutil.rmtree("s/noisy")
    assert main(["resume", "s", "--workers", "1"]) == 0
    settings = json.loads(Path("s/noisy/seed-0/experiment.json").read_bytes())
    assert settings["space"]["classes"] == 5


def test_moved_arrays_are_found_by_their_new_path(capsys, tmp_path, monkeypatch):
    write_arrays("x.npz")
    assert search("x.npz", 5) == 0
    settings = json.loads(Path("run/experiment.json").read_bytes())
    assert settings["evaluator"]["data"]["source"] == str(tmp_path / "x.npz")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main(["resume", "../run"]) == 0  # paths are absolute
    (tmp_path / "x.npz").rename("y.npz")
    capsys.readouterr()
    assert main(["resume", "../run"]) == 2
    missing = f"evaluator.data.source = '{tmp_path}/x.npz': no such file or directory; accepted: "
    assert_one_line(capsys, missing + "--evaluator.data.source and its new path")
    assert main(["resume", "../run", "--evaluator.data.source", "z.npz"]) == 2
    assert_one_line(capsys, f"{tmp_path}/elsewhere/z.npz")
    assert main(["resume", "../run", "--evaluator.data.source", "y.npz"]) == 0
    settings = json.loads(Path("../run/experiment.json").read_bytes())
    assert settings["evaluator"]["data"]["source"] == str(tmp_path / "elsewhere" / "y.npz")
    assert main(["resume", "../run", "--search.trials", "8"]) == 0


def test_changed_arrays_are_rejected(capsys, tmp_path):
    write_arrays("x.npz")
    assert search("x.npz", 5) == 0
    journal = Path("run/journal.jsonl").read_bytes()
    write_arrays("x.npz", value=1)
    capsys.readouterr()
    assert resume() == 2
    path = str(tmp_path / "x.npz")
    expected = f"the content of evaluator.data.source = {path!r} is not that of the run; accepted: "
    assert_one_line(capsys, expected)
    assert Path("run/journal.jsonl").read_bytes() == journal


def test_changed_images_of_a_folder_are_rejected(capsys):
    root = save_classes(Path("set"))
    assert search(root, 2) == 0
    shutil.move("set", "moved")
    assert resume("--evaluator.data.source", "moved") == 0
    save_image(Path("moved/cat/0.png"), 7)
    capsys.readouterr()
    assert resume() == 2
    assert_one_line(capsys, "the content of evaluator.data.source = ", "is not that of the run")


def test_other_kinds_of_data_are_another_setting(capsys):
    write_arrays("x.npz")
    assert search("x.npz", 5) == 0
    capsys.readouterr()
    assert resume("--evaluator.data.source", "digits", "--space.classes", "10") == 2
    assert_one_line(capsys, "evaluator.data.source was ", "x.npz' and is 'digits' now")


def test_a_missing_latency_table_names_the_flag_of_its_new_path(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(ProxyConfig, "check", lambda *_: None)
    Path("one.json").write_text('{"format": "mnas-latency/1", "call_ms": 0.1, "blocks": {}}')
    write_arrays("x.npz")
    assert search("x.npz", 5, "--evaluator.latency-table", "one.json") == 0
    Path("one.json").rename("two.json")
    capsys.readouterr()
    assert resume() == 2
    missing = f"evaluator.latency_table = '{tmp_path}/one.json': no such file or directory; "
    assert_one_line(capsys, missing + "accepted: --evaluator.latency-table and its new path")
    assert resume("--evaluator.latency-table", "two.json") == 0


def test_a_latency_table_may_move_but_not_change(tmp_path):
    (tmp_path / "one.json").write_text("{}")
    os.mkdir("elsewhere")
    config = ProxyConfig(latency_table="one.json")
    assert config.latency_table == str(tmp_path / "one.json")
    shutil.copy("one.json", "elsewhere/two.json")
    moved = ProxyConfig(latency_table="elsewhere/two.json")
    assert moved.contents() == config.contents() != ProxyConfig().contents()
    (tmp_path / "one.json").write_text("[]")
    assert moved.contents() != config.contents()
    assert set(config.contents()) == {"latency_table"}
    write_arrays("x.npz")
    both = ProxyConfig(data=DataConfig("x.npz"), latency_table="one.json")
    assert set(both.contents()) == {"data.source", "latency_table"}
