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
from mnas.loop.config import SearchConfig
from mnas.loop.journal import FORMAT, Journal, read
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space

ACCURACY = RewardConfig(w=0.0)


def network(kernel: int) -> dict:
    blocks = (Block(kernel=kernel, stride=2, filters=8),)
    return Architecture(blocks, resolution=8, stem=4, head=8, classes=10).to_dict()


def result(trial, accuracy, mult_adds, params, latency_ms=None, **others) -> dict:
    """What the loop records of a child, whose reward is its accuracy."""
    described = Architecture.from_dict(network(2 * trial + 1))
    return {
        "kind": "result", "trial": trial, "hash": described.canonical_hash(), "duplicate_of": None,
        "architecture": described.to_dict(), "reward": accuracy, "accuracy": accuracy,
        "mult_adds": mult_adds, "params": params, "latency_ms": latency_ms, "error": None,
    } | others  # fmt: skip


HEAD = {
    "kind": "experiment", "format": FORMAT, "name": "hand",
    "settings": {"reward": dataclasses.asdict(ACCURACY), "search": {"seed": 7}},
}  # fmt: skip
PROPOSALS = [
    {"kind": "proposals", "first_trial": 0, "decisions": [[0], [1], [2]]},
    {"kind": "proposals", "first_trial": 3, "decisions": [[1], [4], [5]]},
]
RECORDS = [
    HEAD,
    PROPOSALS[0],
    result(2, 0.9, 800, 10, 4.0),  # not in order: another one finished first
    result(0, 0.4, 100, 30, 1.0),
    result(1, 0.6, 400, 20),
    PROPOSALS[1],
    result(3, 0.6, 400, 20, duplicate_of=1),
    result(4, None, 50, 5, reward=0.0, error="it diverged"),
    result(5, 0.6, 200, 40, 2.0),
]


def ranks(reward, records=RECORDS) -> list[tuple]:
    rows = rescoring.rescore(records, reward).rows
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    return [(row.trial, row.old_rank, row.reward) for row in rows]


def test_hard_by_hand():
    # Up to 200 mult-adds the accuracy; above it, accuracy · (mult-adds / 200)^-1.
    assert ranks(RewardConfig(form="hard", target_madds=200)) == [
        (5, 3, 0.6), (0, 4, 0.4), (1, 2, 0.6 / 2), (2, 1, 0.9 / 4),
    ]  # fmt: skip


def test_soft_by_hand():
    # Accuracy · (mult-adds / 400)^-0.5: 0.4·2, 0.6·1, 0.9/√2, 0.6·√2.
    assert ranks(RewardConfig(w=-0.5, target_madds=400)) == [
        (5, 3, pytest.approx(0.848528)), (0, 4, pytest.approx(0.8)),
        (2, 1, pytest.approx(0.636396)), (1, 2, pytest.approx(0.6)),
    ]  # fmt: skip


def test_absolute_by_hand():
    # Accuracy - 0.1·|params / 20 - 1|: 0.4 - 0.05, 0.6, 0.9 - 0.05, 0.6 - 0.1.
    assert ranks(RewardConfig(form="absolute", cost="params", target_params=20)) == [
        (2, 1, pytest.approx(0.85)), (1, 2, pytest.approx(0.6)),
        (5, 3, pytest.approx(0.5)), (0, 4, pytest.approx(0.35)),
    ]  # fmt: skip


def test_latency_ranks_what_was_measured():
    reward = RewardConfig(form="hard", cost="latency_ms", target_latency_ms=2.0)
    assert ranks(reward) == [(5, 3, 0.6), (2, 1, 0.45), (0, 4, 0.4)]
    assert rescoring.rescore(RECORDS, reward).unmeasured == 1


def test_stopped_children_are_ranked_only_where_there_is_nothing_else():
    records = [{**record, "stopped": record.get("trial") == 2} for record in RECORDS]
    assert ranks(ACCURACY, records) == [(1, 1, 0.6), (5, 2, 0.6), (0, 3, 0.4)]
    assert rescoring.rescore(records, ACCURACY).stopped == 1
    records = [{**record, "stopped": True} for record in RECORDS]
    assert ranks(ACCURACY, records) == ranks(ACCURACY)


def test_what_is_left_out_is_counted_and_rows_are_whole():
    rescored = rescoring.rescore(RECORDS, ACCURACY)
    assert (rescored.repeats, rescored.failed, rescored.unmeasured) == (1, 1, 0)
    assert rescored.rows[1] == rescoring.Row(
        rank=2, old_rank=2, trial=1, reward=0.6, old_reward=0.6, accuracy=0.6, mult_adds=400,
        params=20, latency_ms=None, hash=RECORDS[4]["hash"], decisions=(1,),
        architecture=network(3),
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
def test_the_runs_own_reward_gives_the_runs_own_ranking(reward, tmp_path):
    """A real search with repeats and failures, read from its file."""
    rng = np.random.default_rng(0)
    controller = Controller(
        lambda key: 0,
        lambda state, key, n: Proposals(
            np.stack([SPACE.sample(rng) for _ in range(n)]), np.zeros(n, np.float32)
        ),
        lambda state, proposals, rewards: state,
        lambda state: {},
    )
    with Journal(tmp_path / "journal.jsonl") as journal:
        settings = {"reward": dataclasses.asdict(reward), "search": {"seed": 0}}
        journal.append({**HEAD, "settings": settings})
        search = Search(SPACE, controller, reward, SearchConfig(trials=12, batch=4), journal)
        while (trial := search.ask()) is not None:
            draws = rng.uniform(0.1, 1.0, 2)
            child = Evaluation(accuracy=draws[0], latency_ms=draws[1])
            search.tell(trial, failure("no luck") if trial.number == 0 else child)
    records = read(tmp_path / "journal.jsonl")
    assert rescoring.reward_of(records) == reward
    rescored = rescoring.rescore(records, rescoring.reward_of(records))
    assert rescored.repeats > 0 and rescored.failed == 1
    assert len(rescored.rows) + rescored.repeats + rescored.failed == 12
    assert [row.reward for row in rescored.rows] == [row.old_reward for row in rescored.rows]
    assert [row.rank for row in rescored.rows] == [row.old_rank for row in rescored.rows]
    assert rescored.rows[0].trial == search.best.trial.number
    for row in rescored.rows:
        trial = search.results[row.trial].trial
        assert row.decisions == tuple(trial.decisions.tolist())
        assert rescoring.architecture_of(row, tmp_path) == trial.architecture


def directory_of(path, records):
    path.mkdir()
    with Journal(path / "journal.jsonl") as journal:
        for record in records:
            journal.append(record)
    return path


@pytest.fixture
def run(tmp_path):
    return directory_of(tmp_path / "run", RECORDS)


HARD = ["--reward", "hard", "--target-madds", "200"]


def test_the_verb_in_json(run, capsys):
    assert mnas_command.main(["rescore", str(run), *HARD, "--top", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    described = json.loads(out)
    assert err == ""
    assert [row["trial"] for row in described["rows"]] == [5, 0]
    assert [described[key] for key in ("ranked", "repeats", "failed", "unmeasured")] == [4, 1, 1, 0]
    # Only what was given differs from the run's own.
    own = dataclasses.asdict(ACCURACY)
    assert described["own_reward"] == own
    assert described["reward"] == {**own, "form": "hard", "target_madds": 200.0}


def test_the_verb_for_people(run, capsys):
    assert mnas_command.main(["rescore", str(run), *HARD]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "form soft to hard, target_madds 400000000.0 to 200.0" in out
    assert "4 networks ranked; left out: repeats 1, failed 1, without mult_adds 0" in out
    first = " ".join(out.splitlines()[2].split())
    assert first == "1 3 5 0.6000 0.6000 0.6000 200 40 2.000"


def lucky() -> list[dict]:
    """Networks by three decisions. The first says all, but that one bad one was lucky."""
    vectors = [[a, b, c] for a in range(2) for b in range(4) for c in range(4)]
    proposals = {"kind": "proposals", "first_trial": 0, "decisions": vectors}
    results = [result(trial, 0.4 + 0.2 * a, 400, 20) for trial, (a, _, _) in enumerate(vectors)]
    results[3] |= {"accuracy": 0.61, "reward": 0.61}
    return [HEAD, proposals, *results]


def test_a_model_of_all_rewards_may_choose(tmp_path, capsys):
    run, path = directory_of(tmp_path / "run", lucky()), tmp_path / "new.json"
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


def test_the_new_best_as_a_spec(run, tmp_path, capsys):
    path = tmp_path / "new.json"
    assert mnas_command.main(["rescore", str(run), *HARD, "--json", "--out", str(path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"][0]["trial"] == 5 and err == f"written: {path}\n"
    spec = json.loads(path.read_text())
    expected = Architecture.from_dict(network(11)).replace(name=f"hand-{RECORDS[-1]['hash'][:8]}")
    assert spec == to_spec(expected, spec["search"])
    found = {key: spec["search"][key] for key in ("experiment", "trial", "accuracy", "seed")}
    assert found == {"experiment": "hand", "trial": 5, "accuracy": 0.6, "seed": 7}
    assert spec["search"]["reward"] == 0.6
    hard = RewardConfig(form="hard", target_madds=200.0, w=0.0)
    assert spec["search"]["rescored"] == dataclasses.asdict(hard)
    assert mnas_command.main(["cost", str(path)]) == 0


def test_older_journals_are_ranked_and_top_json_describes_their_networks(tmp_path, capsys):
    older = [{k: v for k, v in r.items() if k != "architecture"} for r in RECORDS]
    run, path = directory_of(tmp_path / "older", older), tmp_path / "new.json"
    assert ranks(ACCURACY, older) == ranks(ACCURACY)
    line = ["rescore", str(run), *HARD]
    assert mnas_command.main([*line, "--json"]) == 0
    capsys.readouterr()
    assert mnas_command.main([*line, "--out", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "trial 5" in err and "top.json" in err
    specs = [to_spec(Architecture.from_dict(network(kernel))) for kernel in (5, 11)]
    (run / "top.json").write_text(json.dumps(specs))
    assert mnas_command.main([*line, "--out", str(path)]) == 0
    assert json.loads(path.read_text())["blocks"] == network(11)["blocks"]


def spoilt(**settings) -> dict:
    return {**HEAD, "settings": settings}


JOURNALS = {
    "no line": ([], "the journal is empty"),
    "no result": ([HEAD, PROPOSALS[0]], "no network to rank: 0 results"),
    "all failed": ([HEAD, PROPOSALS[0], result(0, None, 1, 1, error="x")], "1 of them failed"),
    "no reward": ([spoilt()], "settings.reward = None"),
    "another reward": ([spoilt(reward={"wight": 1})], "settings.reward = {'wight': 1}"),
}


@pytest.mark.parametrize(("records", "expected"), JOURNALS.values(), ids=JOURNALS)
def test_journals_that_can_not_be_ranked(records, expected, tmp_path, capsys):
    run = directory_of(tmp_path / "run", records)
    assert mnas_command.main(["rescore", str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and expected in err and "accepted" in err


def test_a_reward_without_bound_is_named(run, capsys):
    assert mnas_command.main(["rescore", str(run), "--target-madds", "1e300", "--w", "-10"]) == 2
    assert "target = 1e+300" in capsys.readouterr().err
