"""Networks for other budgets: selection, Pareto front, exported files."""

import csv
import dataclasses
import json

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.sources import find
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment.study import drive
from mnas.experiments import flop_budgets
from mnas.experiments.flop_budgets import (
    STUDY,
    Network,
    best_within,
    finish,
    networks,
    pareto_front,
)

B0 = PUBLISHED["efficientnet-b0"]


def network(name: str, mult_adds: float, lower_top1: float) -> Network:
    top1 = {"mlp": lower_top1, "ridge": lower_top1 + 0.01}
    return Network(B0.replace(name=name), mult_adds, 0.9, top1, "", 0, 0)


def names(networks: list[Network]) -> list[str]:
    return [network.architecture.name for network in networks]


# --- selection ---


def test_pareto_front_matches_hand_computed_one():
    evaluated = [
        network("large and best", 500, 0.70),
        network("beaten by a smaller one", 300, 0.59),
        network("smallest", 100, 0.50),
        network("as good, larger", 250, 0.60),
        network("good", 200, 0.60),
        network("of that size, worse", 200, 0.58),
        network("no better than the largest", 600, 0.70),
    ]
    assert names(pareto_front(evaluated)) == ["smallest", "good", "large and best"]
    assert names(pareto_front(evaluated[::-1])) == ["smallest", "good", "large and best"]
    assert pareto_front([]) == []


@pytest.mark.parametrize(
    "left_out, expected",
    [
        ((), "inside"),
        (("inside",), "lower edge"),
        (("inside", "lower edge"), "exactly"),
        # Nothing within 3% below: the best of what lies below, never one above.
        (("inside", "lower edge", "exactly"), "small and best of all"),
        (("inside", "lower edge", "exactly", "small and best of all"), "small"),
    ],
)
def test_prefers_networks_that_use_their_budget(left_out, expected):
    evaluated = [
        network("above", 400e6 + 1, 0.99),
        network("small", 100e6, 0.60),
        network("small and best of all", 387.9e6, 0.90),
        network("exactly", 400e6, 0.70),
        network("lower edge", 388e6, 0.71),
        network("inside", 395e6, 0.72),
    ]
    remaining = [n for n in evaluated if n.architecture.name not in left_out]
    assert best_within(remaining, 400e6).architecture.name == expected


def test_no_network_within_the_budget():
    assert best_within([network("above", 400e6 + 1, 0.9)], 400e6) is None
    assert best_within([], 400e6) is None


def test_the_study_has_a_variant_for_every_budget():
    assert list(STUDY.variants) == [f"{budget}M" for budget in (100, 200, 300, 400, 500, 600)]
    for name, experiment in STUDY.variants.items():
        assert experiment.reward.form == "hard"
        assert experiment.reward.target_madds == int(name.removesuffix("M")) * 1e6
    assert STUDY.finish is finish
    for budget, (mult_adds, accuracy) in flop_budgets.BEST_MEASURED.items():
        assert f"{budget}M" in STUDY.variants
        assert mult_adds <= budget and 0.5 < accuracy < 0.7


# --- with searches ---


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """(study, outcomes, directory, figures) of two tiny searches, finished."""
    directory = tmp_path_factory.mktemp("flop-budgets")
    two = {name: STUDY.variants[name] for name in ("300M", "500M")}
    study = dataclasses.replace(STUDY, variants=two).resized(seeds=1, trials=32)
    outcomes = drive(study, directory, workers=1)
    figures = finish(study, outcomes, directory)
    return study, outcomes, directory, figures


def table(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_networks_are_all_evaluated_ones_with_both_predictions(searched):
    study, outcomes, *_ = searched
    evaluated = networks(outcomes)
    assert 32 < len(evaluated) <= 64 == sum(len(outcome.results) for outcome in outcomes)
    assert {network.variant for network in evaluated} == set(study.variants)
    for network in evaluated[::16]:
        assert network.mult_adds == network_cost(network.architecture).mult_adds
        by_fit = {fit: mean for fit, (mean, _) in predict(network.architecture).items()}
        assert network.top1 == pytest.approx(by_fit, abs=1e-12)
        assert network.accuracy == pytest.approx(by_fit["mlp"], abs=1e-12)
        assert network.lower_top1 == pytest.approx(min(by_fit.values()), abs=1e-12)


@pytest.mark.parametrize("variant", ["300M", "500M"])
def test_specs_keep_their_budgets(searched, variant):
    _, outcomes, directory, _ = searched
    budget = int(variant.removesuffix("M")) * 1e6
    spec = find(str(directory / f"{variant}.json"))
    assert spec.name == variant
    assert network_cost(spec).mult_adds <= budget
    best = best_within(networks(outcomes), budget)
    assert spec.canonical_hash() == best.architecture.canonical_hash()
    search = json.loads((directory / f"{variant}.json").read_text())["search"]
    assert search["study"] == "flop-budgets"
    # The provenance identifies the trial, whichever search of the study it was in.
    (outcome,) = (o for o in outcomes if (o.variant, o.seed) == (search["experiment"], 0))
    result = outcome.results[search["trial"]]
    assert result.hash == spec.canonical_hash()
    assert search["accuracy"] == result.accuracy and search["seed"] == 0
    assert search["lower_top1"] == best.lower_top1


def test_writes_the_table_of_budgets(searched):
    study, _, directory, _ = searched
    rows = table(directory / "budgets.csv")
    assert [row["name"] for row in rows] == ["300M", "500M", "efficientnet-b0"]
    for row, experiment in zip(rows, study.variants.values(), strict=False):
        spec = find(str(directory / f"{row['name']}.json"))
        cost = network_cost(spec)
        assert (int(row["mult_adds"]), int(row["params"])) == (cost.mult_adds, cost.params)
        fraction = cost.mult_adds / experiment.reward.target_madds
        assert float(row["budget_fraction"]) == pytest.approx(fraction) and fraction <= 1
        for fit, (mean, _) in predict(spec).items():
            assert float(row[f"top1_{fit}"]) == pytest.approx(mean, abs=1e-12)
    assert int(rows[-1]["mult_adds"]) == network_cost(B0).mult_adds
    assert rows[-1]["budget_fraction"] == ""


def test_writes_the_pareto_front(searched):
    _, outcomes, directory, _ = searched
    rows = table(directory / "front.csv")
    expected = pareto_front(networks(outcomes))
    assert [int(row["mult_adds"]) for row in rows] == [network.mult_adds for network in expected]
    lower = [min(float(row["top1_mlp"]), float(row["top1_ridge"])) for row in rows]
    assert lower == sorted(set(lower))
    for row in rows:  # the blocks are a SPEC of the command line
        assert network_cost(find(row["blocks"])).mult_adds == int(row["mult_adds"])
    drawing = (directory / "front.svg").read_text()
    assert drawing.startswith("<?xml") and "</svg>" in drawing


def test_prints_names_untruncated(searched, tmp_path, capsys):
    study, outcomes, *_ = searched
    finish(study, outcomes, tmp_path)
    shown = capsys.readouterr().err
    assert "efficientnet-b0" in shown and "0.6474" in shown  # the best measured up to 300M


def test_writes_nothing_without_a_network(searched, tmp_path):
    study, outcomes, *_ = searched
    failed = [dataclasses.replace(r, error="RuntimeError: no") for r in outcomes[0].run.results]
    for results in ((), tuple(failed)):
        run = dataclasses.replace(outcomes[0].run, results=results)
        finish(study, [dataclasses.replace(outcomes[0], run=run)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_figure_of_the_page_has_front_budgets_and_reference(searched):
    *_, directory, (figure,) = searched
    layers = [layer["data"]["values"] for layer in figure.body["layer"]]
    front = [round(1e6 * point["cost"]) for point in layers[0]]
    assert front == [int(row["mult_adds"]) for row in table(directory / "front.csv")]
    *budgets, reference = table(directory / "budgets.csv")
    exported, b0 = layers[2], layers[3]
    accuracies = [point["accuracy"] for point in exported]
    assert accuracies == pytest.approx([float(row["top1_mlp"]) for row in budgets])
    assert b0[0]["accuracy"] == pytest.approx(float(reference["top1_mlp"]))
    assert len(layers[-1]) == len(flop_budgets.BEST_MEASURED)
    assert all(point["tip"][1][0][0] == "mult-adds" for layer in layers for point in layer)
