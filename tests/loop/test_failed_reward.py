"""A failed child never counts more than the worst valid one, under every form of reward."""

import numpy as np
import pytest

from mnas.evaluation import Evaluation, failure
from mnas.loop.failed_reward import FailedReward
from mnas.loop.journal import read
from mnas.loop.records import ResultRecord, UpdateRecord
from mnas.reward import RewardConfig
from tests.loop.searches import (
    BATCH,
    TRIALS,
    A,
    B,
    C,
    D,
    E,
    ask_all,
    finish,
    hashing,
    scripted,
    updates_of,
)

# A strict target: all networks of the tiny space cost many times as much.
REWARDS = {
    "soft": RewardConfig(target_madds=1e4),
    "hard": RewardConfig("hard", target_madds=1e4),
    "absolute": RewardConfig("absolute", target_madds=1e4),
    "absolute params": RewardConfig("absolute", "params", target_params=100, beta=-1.0),
    "absolute latency": RewardConfig("absolute", "latency_ms", target_latency_ms=0.1),
}


def evaluate(trial) -> Evaluation:
    """Fail a third of the networks; of the others some have an accuracy of 0."""
    number = int(trial.hash, 16)
    if number % 3 == 0:
        return failure("unlucky")
    return Evaluation(accuracy=number % 5 / 5, latency_ms=1 + number % 7)


def test_value_is_the_least_reward_of_accuracy_0():
    failed = FailedReward(0.0, RewardConfig("absolute", target_madds=100.0, beta=-0.1))
    values = []
    for cost in (100, 300, 200, 0.5, 1100):
        failed.add(cost)
        values.append(failed.value)
    assert values == pytest.approx([0, -0.2, -0.2, -0.2, -1.0])
    soft = FailedReward(0.0, RewardConfig())
    soft.add(1e9)
    assert soft.value == 0
    assert FailedReward(-2.0, RewardConfig()).value == -2


@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS)
def test_failures_never_count_more_than_the_worst_valid_network_so_far(start, reward):
    settings = {"trials": TRIALS, "batch": BATCH, "failed_batches": 0}
    updates = []
    controller = hashing()

    def tell(state, proposals, rewards):
        updates.append(rewards)
        return controller.tell(state, proposals, rewards)

    search = finish(
        start(controller._replace(tell=tell), reward=reward, **settings),
        np.random.default_rng(0),
        evaluate,
    )
    counted = np.concatenate(updates)
    failed = np.array([search.results[n].evaluation.error is not None for n in range(TRIALS)])
    assert 3 < failed.sum() < TRIALS - 3
    for batch in range(search.batches_done):
        end = min(TRIALS, (batch + 1) * BATCH)
        in_batch = slice(batch * BATCH, end)
        valid = counted[:end][~failed[:end]]
        if valid.size:
            assert (counted[in_batch][failed[in_batch]] <= valid.min()).all()
    assert search.best.evaluation.error is None


@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS)
def test_failures_count_the_same_in_any_order_and_after_resuming(start, tmp_path, reward):
    settings = {"trials": TRIALS, "batch": BATCH, "failed_batches": 0, "reward": reward}
    expected = finish(start(hashing(), path=tmp_path / "whole", **settings), None, evaluate)
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    for seed in range(4):
        cut = tmp_path / f"{seed}"
        cut.write_bytes(b"".join(lines[: 6 * seed]))
        search = start(hashing(), path=cut, **settings)
        finish(search, np.random.default_rng(seed), evaluate)
        assert search.state.tolist() == expected.state.tolist()
        assert [r.reward for r in search.results.values()]
        assert {n: r.reward for n, r in search.results.items()} == {
            n: r.reward for n, r in expected.results.items()
        }


def test_recorded_mean_is_of_the_rewards_that_counted(start):
    reward = REWARDS["absolute latency"]
    search = start(
        scripted([A, B], [C, D, E][:2]), reward=reward, trials=4, batch=2, failed_batches=0
    )
    for _ in range(2):
        first, second = ask_all(search)
        search.tell(first, failure("lost"))
        search.tell(second, Evaluation(accuracy=0.5, latency_ms=1.1))  # 0.5 - 0.1 * 10
    rewards = [rewards.tolist() for _, rewards in updates_of(search)]
    assert rewards == [pytest.approx([-1, -0.5])] * 2
    records = read(search.journal.path)
    assert [r.mean_reward for r in records if isinstance(r, UpdateRecord)] == [
        pytest.approx(-0.75)
    ] * 2
    # A latency is known once its batch is complete.
    recorded = [r.reward for r in records if isinstance(r, ResultRecord)]
    assert recorded == pytest.approx([0, -0.5, -1, -0.5])
