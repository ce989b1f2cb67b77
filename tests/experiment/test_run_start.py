"""Checks before a run starts; a run that never begins leaves nothing behind."""

import dataclasses
import json
import os

import pytest

from mnas.api.search import search
from mnas.errors import UsageError
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment import run
from mnas.loop.journal import Journal, read
from mnas.reward import RewardConfig
from tests.studies import RANDOM

LATENCY = RewardConfig(cost="latency_ms")
ERRORS = {error.__name__: error for error in (RuntimeError, UsageError, KeyboardInterrupt)}


@dataclasses.dataclass(frozen=True)
class BrokenConfig:
    """Evaluator that can't be built, as on a machine without a GPU."""

    error: str = "RuntimeError"

    def build(self):
        raise ERRORS[self.error]("no GPU")


BROKEN = dataclasses.replace(RANDOM, evaluator=BrokenConfig())


@pytest.mark.parametrize(
    ("evaluator", "flags"),
    [
        (ProxyConfig(), "--evaluator.measure-latency or --evaluator.latency-table"),
        (SurrogateConfig(), "--evaluator.device"),
        (NoisyConfig(SurrogateConfig()), "--evaluator.evaluator.device"),
        (
            NoisyConfig(NoisyConfig(ProxyConfig())),
            "--evaluator.evaluator.evaluator.measure-latency or "
            "--evaluator.evaluator.evaluator.latency-table",
        ),
    ],
)
def test_reward_of_a_cost_that_is_not_measured_is_rejected(evaluator, flags):
    experiment = dataclasses.replace(RANDOM, evaluator=evaluator, reward=LATENCY)
    with pytest.raises(UsageError) as caught:
        run.check(experiment)
    assert str(caught.value) == (f"reward: cost = 'latency_ms'; accepted: another cost, or {flags}")


@pytest.mark.parametrize(
    "evaluator",
    [
        ProxyConfig(measure_latency=True),
        ProxyConfig(latency_table="laptop.json"),
        SurrogateConfig(device="a100"),
        NoisyConfig(SurrogateConfig(device="a100")),
    ],
)
def test_measured_costs_are_accepted(evaluator):
    assert evaluator.missing_settings("latency_ms") == ()


def test_evaluator_that_does_not_tell_its_costs_is_accepted(tmp_path):
    run.check(dataclasses.replace(BROKEN, reward=LATENCY))


def test_reward_that_is_not_finite_is_rejected_before_the_start():
    steep = RewardConfig(w=-100.0, target_madds=1e18)
    with pytest.raises(UsageError, match=r"^reward: mult_adds = .* gives no finite soft reward"):
        run.check(dataclasses.replace(RANDOM, reward=steep))


def test_run_that_a_usage_error_ended_before_it_began_leaves_nothing(tmp_path):
    experiment = dataclasses.replace(RANDOM, evaluator=BrokenConfig("UsageError"))
    with pytest.raises(UsageError, match="no GPU"):
        search(experiment, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no GPU"):
        search(experiment, tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_run_that_something_else_ended_can_be_resumed_or_replaced(tmp_path, error):
    experiment = dataclasses.replace(RANDOM, evaluator=BrokenConfig(error.__name__))
    for _ in range(2):
        with pytest.raises(error, match="no GPU"):
            search(experiment, tmp_path)
    assert len(search(RANDOM, tmp_path).results) == 8


def test_run_that_has_begun_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), run.opened(RANDOM, tmp_path) as opened:
        opened.ask()
        raise ZeroDivisionError
    assert [record.kind for record in read(tmp_path / "journal.jsonl")][1] == "proposals"
    with pytest.raises(UsageError, match="holds a run already; accepted: a new directory, or mnas"):
        run.create(RANDOM, tmp_path)


def test_resumed_run_that_has_not_begun_is_kept_after_an_error(tmp_path):
    with run.opened(RANDOM, tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), run.opened(RANDOM, tmp_path):
        raise ZeroDivisionError
    assert (tmp_path / "journal.jsonl").exists()


@pytest.mark.parametrize("left", [b"", b'{"n":0,"kind":"experim', None])
def test_directory_of_a_run_that_never_began_is_used_again(tmp_path, left):
    other = dataclasses.replace(RANDOM, search=dataclasses.replace(RANDOM.search, seed=9))
    run.create(other, tmp_path)
    with run.opened(other, tmp_path):
        pass
    if left is not None:
        (tmp_path / "journal.jsonl").write_bytes(left)
    assert not run.has_begun(tmp_path)
    assert len(search(RANDOM, tmp_path).results) == 8


def test_directory_of_a_run_that_is_starting_is_not_used_again(tmp_path):
    run.create(RANDOM, tmp_path)
    with (
        run.opened(RANDOM, tmp_path),
        pytest.raises(UsageError, match="another process is writing this journal"),
    ):
        run.create(RANDOM, tmp_path)
    with Journal(tmp_path / "journal.jsonl"):
        pass


def test_directories_that_cannot_be_made_are_named(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name in ("dangling", "file"):
        message = f"{name} is no directory, but a file or a link to nothing; accepted: a new"
        with pytest.raises(UsageError, match=message):
            run.new_directory(tmp_path / name, "digits")
        with pytest.raises(UsageError, match=message):
            run.create(RANDOM, tmp_path / name)
    with pytest.raises(UsageError, match="File name too long"):
        run.create(RANDOM, tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match="can't be created: Not a directory"):
        run.create(RANDOM, tmp_path / "file" / "run")
    (tmp_path / "run" / "experiment.json").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"experiment.json can't be written: Is a directory"):
        run.create(RANDOM, tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_directories_are_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="can't be created: Permission denied"):
        run.new_directory(tmp_path / "runs", "digits")
    with pytest.raises(UsageError, match=r"experiment.json can't be written: Permission denied"):
        run.create(RANDOM, tmp_path)


def test_origin_is_in_the_settings_and_the_head(tmp_path):
    done = search(RANDOM, tmp_path)
    written = json.loads((tmp_path / "experiment.json").read_text())["provenance"]
    assert written == done.head.provenance
    assert {"versions", "host", "processor", "devices", "commit", "command"} <= written.keys()
    assert written["versions"].keys() >= {"python", "mnas", "jax", "jaxlib", "flax", "numpy", "ray"}
    # It is no part of the identity: a run may go on on another machine.
    written["host"] = "elsewhere"
    assert len(search(RANDOM, tmp_path, trials=12).results) == 12
