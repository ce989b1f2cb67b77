"""`mnas proxy-quality`: evaluated and given scores, resumption, comparison, mistakes."""

import csv
import json

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.analysis.rank_agreement import resamples
from mnas.evaluators.standard_scores import accuracy_of
from tests.cli.commands import assert_one_line

BLOCKS = [f"r1_k{kernel}_s22_e1_i8_o{filters}" for kernel in (1, 3) for filters in (8, 16, 24)]
TINY = (
    "--evaluator.training.epochs 1 --evaluator.training.batch-size 8 "
    "--evaluator.data.train-images 8 --evaluator.data.validation 8"
)


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    """Take 100 bootstrap resamples, which is faster."""

    def few(networks, seed=0, count=100):
        return resamples(networks, seed, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnas.analysis.proxy_quality.resamples", few)
        yield


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write a table of six tiny networks, images, and scores in the order of the accuracies."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{block},0.{n + 1},8,8,10,n{n}" for n, block in enumerate(BLOCKS)
    ]  # name, accuracy, resolution, head, classes
    (tmp_path / "t.csv").write_text(
        "\n".join(["blocks,accuracy,resolution,head,classes,name", *rows, ""])
    )
    scores = [f"n{n},{n}" for n in reversed(range(len(BLOCKS)))]
    (tmp_path / "s.csv").write_text("\n".join(["name,score", *scores, ""]))
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 3
    np.savez("x.npz", x_train=pixels, y_train=labels)
    return tmp_path


def run(words):
    return main(["proxy-quality", *words.split()])


def test_scores_are_examined_and_compared(table, capsys):
    assert run("t.csv --scores s.csv --out one --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["networks"] == 6 and found["cpu_seconds"] is None
    assert found["agreement"]["proxy"]["tau"]["value"] == pytest.approx(1)
    with open("one/quality.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["predictor"] for row in rows} >= {"proxy", "mult-adds", "ridge, 3 labels"}
    # networks.csv has the form of a file of scores.
    assert run("t.csv --scores one/networks.csv --out two") == 0
    assert json.loads((table / "two/quality.json").read_text()) == found
    assert run("--report one two --out both --json") == 0
    assert set(json.loads(capsys.readouterr().out)) == {"one", "two"}
    picture = (table / "both/quality.svg").read_text()
    assert "τ: one" in picture and "τ: two" in picture


def test_networks_are_trained_and_an_examination_is_resumed(table, capsys):
    words = f"t.csv --data x.npz --recipe proxy --networks 5 --out q --engine.kind inline {TINY}"
    assert run(words) == 0
    assert "data: 40 images, 3 classes" in capsys.readouterr().err
    with open("q/networks.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and all(float(row["cpu_seconds"]) > 0 for row in rows)
    first = (table / "q/quality.json").read_text()
    assert run(words) == 0
    assert "resumed after 5 of 5 evaluations" in capsys.readouterr().err
    assert (table / "q/quality.json").read_text() == first


def test_scores_without_training_are_examined(table):
    words = "t.csv --data x.npz --evaluator zero-cost --evaluator.score synflow"
    assert run(f"{words} --out q --engine.kind inline") == 0
    with open("q/networks.csv") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(set(scores)) == 6 and all(0 < score < 1 for score in scores)


def test_several_files_of_scores_are_combined_by_standardised_means(table):
    other = ["n0,0,2", "n1,30,2", "n2,10,2", "n3,20,2", "n4,50,2", "n5,40,2"]
    (table / "o.csv").write_text("\n".join(["name,score,cpu_seconds", *other, ""]))
    assert run("t.csv --scores s.csv o.csv --out q") == 0
    with open("q/networks.csv") as file:
        rows = list(csv.DictReader(file))
    # Both files have the values 0 to 5, in other units; the means of ranks, standardised.
    means = {"n0": 0, "n1": 2, "n2": 1.5, "n3": 2.5, "n4": 4.5, "n5": 4.5}
    std = np.std(list(means.values()))
    expected = {name: accuracy_of((mean - 2.5) / std) for name, mean in means.items()}
    assert {row["name"]: float(row["score"]) for row in rows} == pytest.approx(expected)
    assert {row["cpu_seconds"] for row in rows} == {""}  # s.csv has none
    assert run("t.csv --scores o.csv o.csv --out costs") == 0
    with open("costs/networks.csv") as file:
        assert {row["cpu_seconds"] for row in csv.DictReader(file)} == {"4.0"}
    (table / "o.csv").write_text("\n".join(["name,score", *other[:5], ""]).replace(",2\n", "\n"))
    assert run("t.csv --scores s.csv o.csv --out fewer") == 0
    assert json.loads((table / "fewer/quality.json").read_text())["networks"] == 5


def test_files_of_scores_that_cannot_be_combined_are_rejected(table, capsys):
    (table / "equal.csv").write_text("\n".join(["name,score", "n0,1", "n1,1", ""]))
    assert run("t.csv --scores s.csv equal.csv") == 2
    assert_one_line(capsys, "equal.csv: all scores are 1")
    for name in "ab":
        (table / f"{name}.csv").write_text(f"name,score\nn{'ab'.index(name)},1\n")
    assert run("t.csv --scores a.csv b.csv") == 2
    assert_one_line(capsys, "no network of the table has a score in all files")


def test_networks_left_out_and_examined_are_disjoint(table):
    assert run("t.csv --scores s.csv --networks 5 --out a") == 0
    with open("a/networks.csv") as file:
        examined = {row["name"] for row in csv.DictReader(file)}
    (left,) = {f"n{n}" for n in range(6)} - examined
    assert run("t.csv --scores s.csv --skip 5 --out b") == 2
    (table / "s.csv").write_text((table / "s.csv").read_text().replace(f"{left},", "gone,"))
    assert run("t.csv --scores s.csv --out c") == 0
    assert json.loads((table / "c/quality.json").read_text())["networks"] == 5


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("", ["no TABLE"]),
        ("none.csv", ["none.csv can't be read"]),
        ("t.csv --networks 7", ["networks = 7", "at most 6"]),
        ("t.csv --networks 0", ["networks = 0"]),
        ("t.csv --skip 2", ["4 networks", "5 or more"]),
        ("t.csv --seeds 2 --scores s.csv", ["seeds = 2"]),
        ("t.csv --recipe cifarr", ["unknown recipe", "cifar"]),
        ("t.csv --evaluator prox", ["unknown evaluator", "proxy"]),
        ("t.csv --evaluator weight-bank --data x.npz", ["accepted: --space and its name"]),
        ("t.csv --evaluator bank-zero-cost --data x.npz", ["accepted: --space and its name"]),
        ("t.csv --evaluator surrogate --data x.npz", ["data = 'x.npz'"]),
        ("t.csv --evaluator surrogate --recipe cifar", ["recipe = 'cifar'"]),
        ("t.csv --data none.npz", ["none.npz"]),
        ("t.csv --space nas-bench-micro", ["did you mean nas-bench-macro"]),
        ("t.csv --scores t.csv", ["accepted: name and score"]),
        ("t.csv --w nan --scores s.csv", ["w = nan"]),
        ("t.csv --target-madds 0", ["target_madds = 0"]),
        ("t.csv --report one", ["both TABLE and --report"]),
        ("--report one", ["one/quality.json", "can't be read"]),
    ],
)
def test_mistakes_are_named(table, capsys, words, parts):
    assert run(words) == 2
    assert_one_line(capsys, *parts)
    assert not (table / "proxy-quality").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,score\nn0,high\n", "line 2: score = 'high'"),
        ("name,score\nn0,inf\n", "line 2: score = 'inf'"),
        ("name,score\nn0,1\nn0,2\n", "line 3: 'n0' a second time"),
        ("name,score\nx,1\n", "names such as"),
        ("name,score,cpu_seconds\nn0,1,0\n", "cpu_seconds = 0.0"),
        ("name,score\nn0,1\n", "1 networks with a score"),
    ],
)
def test_malformed_scores_are_rejected(table, capsys, text, message):
    (table / "s.csv").write_text(text)
    assert run("t.csv --scores s.csv") == 2
    assert message in capsys.readouterr().err
