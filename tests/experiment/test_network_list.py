"""Listed networks, each with several seeds: results, resumption, mistakes."""

import dataclasses

import pytest

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluation import Evaluation
from mnas.experiment.network_list import NetworkList, evaluate
from tests.runs import network

INLINE = EngineConfig(kind="inline")
NETWORKS = [network(kernel).replace(name=f"k{kernel}") for kernel in (3, 5, 7)]


@dataclasses.dataclass(frozen=True)
class Counting:
    """Evaluator that notes its calls in a file; one of them is interrupted."""

    path: str
    interrupted: int = 0

    def build(self):
        return self

    def __call__(self, architecture, seed, report=None):
        with open(self.path, "a+") as file:
            file.write(f"{architecture.name} {seed}\n")
            file.seek(0)
            if len(file.readlines()) == self.interrupted:
                raise KeyboardInterrupt
        return Evaluation(accuracy=seed % 1000 / 1000)


@dataclasses.dataclass(frozen=True)
class Prepared(Counting):
    """Evaluator for which a file is made first."""

    def located(self, directory):
        return dataclasses.replace(self, path=str(directory / "made"))

    def prepare(self, space):
        with open(self.path, "a") as file:
            file.write(f"for {space}\n")
        yield 1, 1, "made"


def counting(path, interrupted=0):
    return Counting(str(path), interrupted)


def facts(results):
    return [[(r.trial, r.hash, r.seed, r.accuracy) for r in of_seed] for of_seed in results]


def test_every_network_is_evaluated_once_with_every_seed(tmp_path):
    seen = []
    calls = tmp_path / "calls"
    results = evaluate(
        NETWORKS, counting(calls), INLINE, 2, tmp_path, lambda record: seen.append(record.kind)
    )
    names = [[result.architecture["name"] for result in of_seed] for of_seed in results]
    assert names == [["k3", "k5", "k7"]] * 2
    assert len({result.seed for of_seed in results for result in of_seed}) == 6
    assert len(calls.read_text().splitlines()) == 6
    assert seen == ["proposals", "result", "result", "result", "update"] * 2


def test_interrupted_evaluation_continues_and_further_seeds_are_added(tmp_path):
    calls = tmp_path / "calls"
    whole = evaluate(NETWORKS, counting(tmp_path / "o"), INLINE, 3, tmp_path / "other")
    evaluator = counting(calls, interrupted=5)
    with pytest.raises(KeyboardInterrupt):
        evaluate(NETWORKS, evaluator, INLINE, 2, tmp_path)
    resumed = []
    evaluate(NETWORKS, evaluator, INLINE, 2, tmp_path, resumed=resumed.append)
    assert len(calls.read_text().splitlines()) == 4 + 1 + 2
    results = evaluate(NETWORKS, evaluator, INLINE, 3, tmp_path, resumed=resumed.append)
    assert resumed == [4, 6]
    assert len(calls.read_text().splitlines()) == 4 + 1 + 2 + 3
    assert facts(results) == facts(whole)


def test_single_network_is_evaluated(tmp_path):
    results = evaluate(NETWORKS[:1], counting(tmp_path / "o"), INLINE, 2, tmp_path)
    assert [len(of_seed) for of_seed in results] == [1, 1]


def test_the_same_network_twice_is_rejected():
    with pytest.raises(UsageError, match="other and k3 are the same network"):
        NetworkList.of([*NETWORKS, NETWORKS[0].replace(name="other")])


def test_other_networks_in_the_same_directory_are_rejected(tmp_path):
    evaluator = counting(tmp_path / "calls")
    evaluate(NETWORKS, evaluator, INLINE, 1, tmp_path)
    with pytest.raises(UsageError, match=r"space\.networks was"):
        evaluate(NETWORKS[:2], evaluator, INLINE, 1, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "a", "name": "b"}', "network-list: network 0: duplicate key 'name'"),
        ('{"name": NaN}', "network-list: network 0 is not JSON: NaN"),
        ("{", "network-list: network 0 is not JSON: "),
    ],
)
def test_text_that_is_no_json_of_a_network_is_rejected(text, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        NetworkList((text,)).build()


def test_an_evaluator_is_prepared_for_the_space_before_the_first_network(tmp_path):
    progress = []
    for _ in range(2):
        evaluate(
            NETWORKS,
            Prepared(""),
            INLINE,
            1,
            tmp_path,
            space="a space",
            preparing=lambda *line: progress.append(line),
        )
    lines = (tmp_path / "made").read_text().splitlines()
    assert lines[0] == "for a space"
    assert sorted(line.split()[0] for line in lines[1:]) == ["k3", "k5", "k7"]
    assert progress == [(1, 1, "made")]  # nothing is left to evaluate in the second call
    with pytest.raises(UsageError, match="accepted: --space"):
        evaluate(NETWORKS, Prepared(""), INLINE, 1, tmp_path)
