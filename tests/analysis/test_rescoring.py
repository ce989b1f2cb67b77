import dataclasses
import json
from functools import partial

import numpy as np
import pytest

from mnas import __main__ as mnas_command
from mnas.analysis import rescoring
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.spec import to_spec
from mnas.controller import Controller, Proposals
from mnas.evaluation import Evaluation, failure
from mnas.experiment.results import load_run
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.records import ResultRecord
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space
from tests.runs import (
    ACCURACY,
    head,
    network,
    proposals,
    result,
    run_of,
    settings,
    write_run,
)


def measured(trial, accuracy, mult_adds, params, latency_ms=None, **changes) -> ResultRecord:
    """Return the record of a child whose reward is its accuracy."""
    fields = {"accuracy": accuracy, "mult_adds": mult_adds, "params": params}
    fields |= {"trial": trial, "reward": accuracy, "latency_ms": latency_ms}
    return result(**(fields | changes))


PROPOSALS = [proposals([[0], [1], [2]]), proposals([[1], [4], [5]], first_trial=3, batch=1)]
RECORDS = [
    PROPOSALS[0],
    measured(2, 0.9, 800, 10, 4.0),  # In order of arrival.
    measured(0, 0.4, 100, 30, 1.0),
    measured(1, 0.6, 400, 20),
    PROPOSALS[1],
    measured(3, 0.6, 400, 20, duplicate_of=1),
    measured(4, None, 50, 5, reward=0.0, error="it diverged"),
    measured(5, 0.6, 200, 40, 2.0),
]


def ranks(reward, records=RECORDS) -> list[tuple]:
    rows = rescoring.rescore(run_of(records), reward).rows
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    return [(row.trial, row.old_rank, row.reward) for row in rows]


def test_hard_reward_matches_hand_computation():
    # Up to 200 mult-adds the accuracy; above it, accuracy · (mult-adds / 200)^-1.
    assert ranks(RewardConfig(form="hard", target_madds=200)) == [
        (5, 3, 0.6), (0, 4, 0.4), (1, 2, 0.6 / 2), (2, 1, 0.9 / 4),
    ]  # fmt: skip


def test_soft_reward_matches_hand_computation():
    # Accuracy · (mult-adds / 400)^-0.5: 0.4·2, 0.6·1, 0.9/√2, 0.6·√2.
    assert ranks(RewardConfig(w=-0.5, target_madds=400)) == [
        (5, 3, pytest.approx(0.848528)), (0, 4, pytest.approx(0.8)),
        (2, 1, pytest.approx(0.636396)), (1, 2, pytest.approx(0.6)),
    ]  # fmt: skip


def test_absolute_reward_matches_hand_computation():
    # Accuracy - 0.1·|params / 20 - 1|: 0.4 - 0.05, 0.6, 0.9 - 0.05, 0.6 - 0.1.
    assert ranks(RewardConfig(form="absolute", cost="params", target_params=20)) == [
        (2, 1, pytest.approx(0.85)), (1, 2, pytest.approx(0.6)),
        (5, 3, pytest.approx(0.5)), (0, 4, pytest.approx(0.35)),
    ]  # fmt: skip


def test_latency_reward_ranks_networks_with_latency():
    reward = RewardConfig(form="hard", cost="latency_ms", target_latency_ms=2.0)
    assert ranks(reward) == [(5, 3, 0.6), (2, 1, 0.45), (0, 4, 0.4)]
    assert rescoring.rescore(run_of(RECORDS), reward).unmeasured == 1


def stopped(records, trials):
    """Return the records with the results of `trials` as stopped early."""
    return [
        dataclasses.replace(record, stopped=True)
        if isinstance(record, ResultRecord) and record.trial in trials
        else record
        for record in records
    ]


def test_stopped_children_are_ranked_only_without_complete_ones():
    records = stopped(RECORDS, {2})
    assert ranks(ACCURACY, records) == [(1, 1, 0.6), (5, 2, 0.6), (0, 3, 0.4)]
    assert rescoring.rescore(run_of(records), ACCURACY).stopped == 1
    assert ranks(ACCURACY, stopped(RECORDS, range(6))) == ranks(ACCURACY)


def test_left_out_results_are_counted_and_rows_are_complete():
    rescored = rescoring.rescore(run_of(RECORDS), ACCURACY)
    assert (rescored.duplicates, rescored.failed, rescored.unmeasured) == (1, 1, 0)
    assert rescored.rows[1] == rescoring.Row(
        rank=2, old_rank=2, trial=1, reward=0.6, old_reward=0.6, accuracy=0.6, mult_adds=400,
        params=20, latency_ms=None, hash=network(3).canonical_hash(), decisions=(1,),
        architecture=network(3).to_dict(),
    )  # fmt: skip


BLOCK = partial(Block, kernel=OneOf(3, 5, 7), repeats=OneOf(1, 2), stride=2, filters=8)
SPACE = Space("small", partial(Architecture, blocks=(BLOCK,), resolution=16, stem=4, classes=10))
REWARDS = [
    RewardConfig(target_madds=3000.0),
    RewardConfig(form="hard", target_madds=3000.0, alpha=-0.01),
    RewardConfig(form="absolute", cost="params", target_params=700.0, beta=-0.3),
    RewardConfig(cost="latency_ms", target_latency_ms=0.7),
]


@pytest.mark.parametrize("reward", REWARDS, ids=lambda reward: f"{reward.form}-{reward.cost}")
def test_own_reward_gives_the_ranking_of_the_search(reward, tmp_path):
    """A search with duplicates and failures, read from its files."""
    rng = np.random.default_rng(0)
    controller = Controller(
        lambda key: 0,
        lambda state, key, n: Proposals(
            np.stack([SPACE.sample(rng) for _ in range(n)]), np.zeros(n, np.float32)
        ),
        lambda state, proposals, rewards: state,
        lambda state: {},
    )
    write_run(tmp_path, [], head(settings=settings(reward)))
    with Journal(tmp_path / "journal.jsonl") as journal:
        search = Search(SPACE, controller, reward, SearchConfig(trials=12, batch=4), journal)
        while (trial := search.ask()) is not None:
            accuracy, latency = rng.uniform(0.1, 1.0, 2)
            child = Evaluation(accuracy, latency_ms=latency)
            search.tell(trial, failure("no luck") if trial.number == 0 else child)
    run = load_run(tmp_path)
    assert rescoring.reward_of(run) == reward
    rescored = rescoring.rescore(run, reward)
    assert rescored.duplicates > 0 and rescored.failed == 1
    assert len(rescored.rows) + rescored.duplicates + rescored.failed == 12
    assert [row.reward for row in rescored.rows] == [row.old_reward for row in rescored.rows]
    assert [row.rank for row in rescored.rows] == [row.old_rank for row in rescored.rows]
    assert rescored.rows[0].trial == search.best.trial.number
    for row in rescored.rows:
        trial = search.results[row.trial].trial
        assert row.decisions == tuple(trial.decisions.tolist())
        assert Architecture.from_dict(row.architecture) == trial.architecture


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", RECORDS)


HARD = ["--reward", "hard", "--target-madds", "200"]


def test_command_prints_json(run, capsys):
    assert mnas_command.main(["rescore", str(run), *HARD, "--top", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    described = json.loads(out)
    assert err == ""
    assert [row["trial"] for row in described["rows"]] == [5, 0]
    assert [described[key] for key in ("ranked", "duplicates", "failed", "unmeasured")] == [
        4,
        1,
        1,
        0,
    ]
    # Settings that are not given are the run's own.
    own = dataclasses.asdict(ACCURACY)
    assert described["own_reward"] == own
    assert described["reward"] == {**own, "form": "hard", "target_madds": 200.0}


def test_command_prints_a_table(run, capsys):
    assert mnas_command.main(["rescore", str(run), *HARD]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "form soft to hard, target_madds 400000000.0 to 200.0" in out
    assert "4 networks ranked; left out: duplicates 1, failed 1, without mult_adds 0" in out
    first = " ".join(out.splitlines()[2].split())
    assert first == "1 3 5 0.6000 0.6000 0.6000 200 40 2.000"


def lucky() -> list:
    """Return networks of which the first decision alone tells the reward, but for a lucky one."""
    vectors = [[a, b, c] for a in range(2) for b in range(4) for c in range(4)]
    rewards = [0.4 + 0.2 * a for a, _, _ in vectors]
    rewards[3] = 0.61
    results = [measured(trial, reward, 400, 20) for trial, reward in enumerate(rewards)]
    return [proposals(vectors), *results]


def test_selection_by_model_ranks_by_expected_reward(tmp_path, capsys):
    run, path = write_run(tmp_path / "run", lucky()), tmp_path / "new.json"
    assert mnas_command.main(["rescore", str(run), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["selection"] == "measured" and described["rows"][0]["trial"] == 3
    assert described["rows"][0]["expected"] is None
    flags = ["--selection", "model", "--top", "32", "--out", str(path)]
    assert mnas_command.main(["rescore", str(run), *flags, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    rows = described["rows"]
    assert described["selection"] == "model" and rows[0]["trial"] >= 16
    assert [row["expected"] for row in rows] == sorted((r["expected"] for r in rows), reverse=True)
    (one,) = [row for row in rows if row["trial"] == 3]
    assert one["reward"] == 0.61 and one["old_rank"] == 1 and 0.39 < one["expected"] < 0.59
    provenance = json.loads(path.read_text())["search"]
    assert (provenance["trial"], provenance["selection"]) == (rows[0]["trial"], "model")
    assert mnas_command.main(["rescore", str(run), "--selection", "model"]) == 0
    assert "expected" in capsys.readouterr().out


def test_command_writes_the_spec_of_the_best(run, tmp_path, capsys):
    path = tmp_path / "new.json"
    assert mnas_command.main(["rescore", str(run), *HARD, "--json", "--out", str(path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"][0]["trial"] == 5 and err == f"written: {path}\n"
    spec = json.loads(path.read_text())
    expected = network(11).replace(name=f"hand-{network(11).canonical_hash()[:8]}")
    assert spec == to_spec(expected, spec["search"])
    provenance = {key: spec["search"][key] for key in ("experiment", "trial", "accuracy", "seed")}
    assert provenance == {"experiment": "hand", "trial": 5, "accuracy": 0.6, "seed": 7}
    assert spec["search"]["reward"] == 0.6
    hard = RewardConfig(form="hard", target_madds=200.0, w=0.0)
    assert spec["search"]["rescored"] == dataclasses.asdict(hard)
    assert mnas_command.main(["cost", str(path)]) == 0


RUNS = {
    "no result": ([PROPOSALS[0]], head(), "no network to rank: 0 results"),
    "all failed": (
        [PROPOSALS[0], measured(0, None, 1, 1, reward=0.0, error="x")],
        head(),
        "1 of them failed",
    ),
    "no reward": ([], head(settings={}), "settings.reward = None"),
    "another reward": ([], head(settings={"reward": {"wight": 1}}), "reward = {'wight': 1}"),
}


@pytest.mark.parametrize(("records", "first", "expected"), RUNS.values(), ids=RUNS)
def test_run_that_cannot_be_ranked_is_rejected(records, first, expected, tmp_path, capsys):
    run = write_run(tmp_path / "run", records, first)
    assert mnas_command.main(["rescore", str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and expected in err and "accepted" in err


def test_infinite_reward_is_rejected(run, capsys):
    assert mnas_command.main(["rescore", str(run), "--target-madds", "1e18", "--w", "-100"]) == 2
    error = capsys.readouterr().err
    assert "trial 0: reward: mult_adds = " in error and "with target 1e+18" in error
