import csv
import dataclasses
import json

import pytest
from mnas.experiments import flop_budgets
from mnas.experiments.flop_budgets import STUDY, choose, finish, networks, pareto_front

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import find
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment.study import Outcome, drive

B0 = PUBLISHED["efficientnet-b0"]


def network(name: str, mult_adds: float, confirmed: float) -> dict:
    return {"name": name, "mult_adds": mult_adds, "confirmed": confirmed}


def names(found: list[dict]) -> list[str]:
    return [network["name"] for network in found]


# --- choosing ---


def test_pareto_front_by_hand():
    found = [
        network("large and best", 500, 0.70),
        network("beaten by a smaller one", 300, 0.59),
        network("smallest", 100, 0.50),
        network("as good, larger", 250, 0.60),
        network("good", 200, 0.60),
        network("of that size, worse", 200, 0.58),
        network("no better than the largest", 600, 0.70),
    ]
    assert names(pareto_front(found)) == ["smallest", "good", "large and best"]
    assert names(pareto_front(found[::-1])) == ["smallest", "good", "large and best"]
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
def test_the_best_that_uses_its_budget(left_out, expected):
    found = [
        network("above", 400e6 + 1, 0.99),
        network("small", 100e6, 0.60),
        network("small and best of all", 387.9e6, 0.90),
        network("exactly", 400e6, 0.70),
        network("lower edge", 388e6, 0.71),
        network("inside", 395e6, 0.72),
    ]
    left = [network for network in found if network["name"] not in left_out]
    assert choose(left, 400e6)["name"] == expected


def test_nothing_keeps_the_budget():
    assert choose([network("above", 400e6 + 1, 0.9)], 400e6) is None
    assert choose([], 400e6) is None


def test_the_study_asks_for_every_budget():
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
    """(study, outcomes, directory) of two tiny searches, finished."""
    directory = tmp_path_factory.mktemp("flop-budgets")
    two = {name: STUDY.variants[name] for name in ("300M", "500M")}
    study = dataclasses.replace(STUDY, variants=two).resized(seeds=1, trials=32)
    outcomes = drive(study, directory, workers=1)
    finish(study, outcomes, directory)
    return study, outcomes, directory


def table(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_networks_are_all_that_was_evaluated(searched):
    study, outcomes, _ = searched
    found = networks(outcomes)
    assert 32 < len(found) <= 64 == sum(len(outcome.results) for outcome in outcomes)
    assert {network["experiment"] for network in found} == set(study.variants)
    for network in found[::16]:
        assert network["mult_adds"] == network_cost(network["architecture"]).mult_adds
        by_fit = {fit: mean for fit, (mean, _) in predict(network["architecture"]).items()}
        assert {fit: network[fit] for fit in by_fit} == pytest.approx(by_fit, abs=1e-12)
        assert network["accuracy"] == pytest.approx(by_fit["mlp"], abs=1e-12)
        assert network["confirmed"] == pytest.approx(min(by_fit.values()), abs=1e-12)


@pytest.mark.parametrize("variant", ["300M", "500M"])
def test_specs_keep_their_budgets(searched, variant):
    _, outcomes, directory = searched
    budget = int(variant.removesuffix("M")) * 1e6
    spec = find(str(directory / f"{variant}.json"))
    assert spec.name == variant
    assert network_cost(spec).mult_adds <= budget
    best = choose(networks(outcomes), budget)
    assert spec.canonical_hash() == best["architecture"].canonical_hash()
    search = json.loads((directory / f"{variant}.json").read_text())["search"]
    assert search["study"] == "flop-budgets"
    # The provenance leads back to the trial, whichever of the searches it was in.
    (outcome,) = (o for o in outcomes if (o.variant, o.seed) == (search["experiment"], 0))
    result = outcome.results[search["trial"]]
    assert result["hash"] == spec.canonical_hash()
    assert search["accuracy"] == result["accuracy"] and search["seed"] == 0
    assert search["confirmed"] == best["confirmed"]


def test_the_table_of_budgets(searched):
    study, _, directory = searched
    rows = table(directory / "budgets.csv")
    assert [row["name"] for row in rows] == ["300M", "500M", "efficientnet-b0"]
    for row, experiment in zip(rows, study.variants.values(), strict=False):
        spec = find(str(directory / f"{row['name']}.json"))
        cost = network_cost(spec)
        assert (int(row["mult_adds"]), int(row["params"])) == (cost.mult_adds, cost.params)
        share = cost.mult_adds / experiment.reward.target_madds
        assert float(row["share"]) == pytest.approx(share) and share <= 1
        for fit, (mean, _) in predict(spec).items():
            assert float(row[f"top1_{fit}"]) == pytest.approx(mean, abs=1e-12)
    assert int(rows[-1]["mult_adds"]) == network_cost(B0).mult_adds and rows[-1]["share"] == ""


def test_the_front(searched):
    _, outcomes, directory = searched
    rows = table(directory / "front.csv")
    expected = pareto_front(networks(outcomes))
    assert [int(row["mult_adds"]) for row in rows] == [n["mult_adds"] for n in expected]
    lower = [min(float(row["top1_mlp"]), float(row["top1_ridge"])) for row in rows]
    assert lower == sorted(set(lower))
    for row in rows:  # the blocks are a SPEC of the command line
        assert network_cost(find(row["blocks"])).mult_adds == int(row["mult_adds"])
    drawing = (directory / "front.svg").read_text()
    assert drawing.startswith("<?xml") and "</svg>" in drawing


def test_names_are_shown_whole(searched, tmp_path, capsys):
    study, outcomes, _ = searched
    finish(study, outcomes, tmp_path)
    shown = capsys.readouterr().err
    assert "efficientnet-b0" in shown and "0.6474" in shown  # the best measured up to 300M


def test_searches_that_found_nothing_write_nothing(tmp_path):
    variants = {"300M": STUDY.variants["300M"]}
    study = dataclasses.replace(STUDY, variants=variants)
    failed = {"error": "RuntimeError: no", "duplicate_of": None, "trial": 0}
    for results in ((), (failed,)):
        finish(study, [Outcome("300M", variants["300M"], tmp_path, results)], tmp_path)
    assert not list(tmp_path.iterdir())
