"""Variants of a short training: their settings, gains by hand, and a short comparison."""

import csv
import dataclasses
import json

import pytest

from mnas.analysis.proxy_quality import Score
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.network_table import TableRow
from mnas.errors import UsageError
from mnas.evaluators.presets import with_recipe
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiments import proxy_recipes
from mnas.experiments.proxy_recipes import BASE, VARIANTS, Arguments, changed, compare


def test_each_variant_is_a_valid_recipe_that_differs_from_the_base():
    configs = proxy_recipes.configurations(Arguments("t.csv", "digits"))
    assert list(configs) == [BASE, *VARIANTS]
    assert len(set(configs.values())) == len(configs)
    assert configs[BASE] == with_recipe(ProxyConfig(), "proxy-10s")
    assert configs["accuracy"] == dataclasses.replace(configs[BASE], score="accuracy")
    names = [proxy_recipes.directory_name(name) for name in configs]
    assert len(set(names)) == len(names)
    assert proxy_recipes.directory_name("width 1/2, 2,100 images") == "width-1-2-2-100-images"


def test_a_teacher_is_a_further_variant(tmp_path):
    path = str(tmp_path / "teacher.npz")
    arguments = Arguments("t.csv", "digits", variants=("accuracy",), teacher=path)
    configs = proxy_recipes.configurations(arguments)
    assert list(configs) == [BASE, "accuracy", proxy_recipes.TEACHER]
    assert configs[proxy_recipes.TEACHER] == dataclasses.replace(configs[BASE], teacher=path)


def test_a_variant_that_equals_the_base_is_rejected():
    arguments = Arguments("t.csv", "digits", recipe="cifar", variants=("shifts and flips",))
    with pytest.raises(UsageError, match="variant shifts and flips equals recipe cifar"):
        proxy_recipes.configurations(arguments)


def test_changes_reach_fields_and_fields_of_parts():
    config = changed(ProxyConfig(), {"width": 0.5, "training.epochs": 2, "training.momentum": 0.5})
    assert (config.width, config.training.epochs, config.training.momentum) == (0.5, 2, 0.5)
    assert config.data == ProxyConfig().data
    with pytest.raises(TypeError):
        changed(ProxyConfig(), {"training.epoch": 2})


def rows() -> list[TableRow]:
    """Return six networks of one to six layers, the deeper the better."""
    return [
        TableRow(
            Architecture(
                (Block(kernel=3, stride=1, repeats=depth, filters=8),),
                *(8, 8),
                head=16,
                classes=10,
                name=f"depth {depth}",
            ),
            accuracy=0.5 + depth / 20,
        )
        for depth in range(1, 7)
    ]


def test_gains_by_hand_leave_out_networks_without_a_score():
    # The base has the five known networks in order but for the first two: of ten pairs, nine
    # concordant and one discordant, tau .8. The variant has all of them in order.
    scores = {
        BASE: [Score((s,), 2.0) for s in (0.2, 0.1, 0.3, 0.4, 0.5, 0.6)],
        "better": [*(Score((s,), 4.0) for s in (0.1, 0.2, 0.3, 0.4, 0.5)), None],
    }
    base, better = compare(scores, rows())
    assert (base.variant, base.networks, base.cpu_seconds, base.gains) == (BASE, 5, 2.0, {})
    assert base.measures["tau"].value == pytest.approx(0.8)
    assert (better.cpu_seconds, better.measures["tau"].value) == (4.0, 1.0)
    gain = better.gains["tau"]
    assert gain.value == pytest.approx(0.2)
    assert gain.low == 0 and gain.high > 0.2  # resamples without one of both, or with few others
    assert better.gains["tau_equal_depth"].value is None
    text = proxy_recipes.cells(better)
    assert text[:2] == ["better", "4.0"] and text[3].startswith("+0.20 [+0.00, ")
    (row, _) = proxy_recipes.records([base, better])
    assert row["tau"] == pytest.approx(0.8) and row["tau_gain"] is None


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Change to a directory with a table of five small networks."""
    monkeypatch.chdir(tmp_path)
    with open("t.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["blocks", "resolution", "stem", "head", "accuracy"])
        for depth in range(1, 6):
            writer.writerow([f"r{depth}_k3_s11_e1_i8_o8", 8, 8, 16, 0.5 + depth / 20])
    return ["t.csv", "--data", "digits", "--networks", "5", "--engine.kind", "inline"]


def test_comparison_on_small_networks_is_continued(table, capsys):
    words = [*table, "--out", "out", "--json", "--variants", "accuracy"]
    assert proxy_recipes.main(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert [line["variant"] for line in first["variants"]] == ["base", "accuracy"]
    with open("out/recipes.csv", encoding="utf-8", newline="") as file:
        base, accuracy = csv.DictReader(file)
    assert float(accuracy["tau_gain"]) == pytest.approx(float(accuracy["tau"]) - float(base["tau"]))
    with open("out/recipes.svg", encoding="utf-8") as file:
        assert "accuracy" in file.read()
    # A further variant: what is known is not evaluated again.
    assert proxy_recipes.main([*words, "statistics of 1 batch"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["variants"][:2] == first["variants"]


def test_unknown_variants_are_named(table):
    with pytest.raises(UsageError, match="unknown variant 'acuracy'; did you mean accuracy"):
        proxy_recipes.main([*table, "--variants", "acuracy"])
