"""Preparation of evaluators: where it runs, its progress, its failures."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from mnas.engines.config import EngineConfig
from mnas.errors import RunFailure, UsageError
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.preparation.evaluator import PreparedConfig, prepared

INLINE, RAY = EngineConfig(kind="inline"), EngineConfig(kind="ray")


@dataclasses.dataclass(frozen=True)
class Counting:
    """An evaluator whose preparation reports its process in `steps` steps, and then fails."""

    steps: int = 3
    path: str | None = None
    failure: str | None = None

    def located(self, directory):
        return dataclasses.replace(self, path=str(directory / "made"))

    def prepare(self, space):
        for step in range(self.steps):
            yield step + 1, self.steps, f"{space} {os.getpid()} {os.environ.get('NPROC')}"
        if self.failure == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.failure is not None:
            raise UsageError(f"{self.path}: {self.failure}")


def run(config, engine):
    seen = []
    result = prepared(config, "space", Path("run"), engine, lambda *args: seen.append(args))
    return result, seen


def test_the_inline_engine_prepares_in_its_process():
    assert isinstance(Counting(), PreparedConfig)
    config, seen = run(Counting(), INLINE)
    assert config == Counting(path="run/made")
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {line.split()[:2] == ["space", str(os.getpid())] for *_, line in seen} == {True}


def test_other_engines_prepare_in_a_process_like_a_worker():
    config, seen = run(Counting(), dataclasses.replace(RAY, threads=2))
    assert config == Counting(path="run/made")
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    (line,) = {line for *_, line in seen}
    name, process, threads = line.split()
    assert (name, threads) == ("space", "2")
    assert int(process) != os.getpid()


@pytest.mark.parametrize("engine", [INLINE, RAY], ids=["inline", "ray"])
def test_mistakes_of_the_user_found_in_a_preparation_are_raised(engine):
    with pytest.raises(UsageError, match=r"^run/made: wrong$"):
        run(Counting(failure="wrong"), engine)


def test_a_killed_preparation_is_told():
    with pytest.raises(RunFailure, match="process that prepares the evaluator was killed"):
        run(Counting(failure="killed"), RAY)


def test_wrappers_are_prepared_with_what_they_wrap():
    config, seen = run(NoisyConfig(NoisyConfig(Counting())), INLINE)
    assert config == NoisyConfig(NoisyConfig(Counting(path="run/made")))
    assert len(seen) == 3


@pytest.mark.parametrize("config", [SurrogateConfig(), NoisyConfig(SurrogateConfig())])
def test_other_evaluators_need_nothing(config):
    assert run(config, RAY) == (config, [])
