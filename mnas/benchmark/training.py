"""Benchmark of training: throughput, memory, and children trained per hour.

Phases:

1. *calibration*: every contender runs the first child in both arrangements of processes and threads
   and keeps the faster one;
2. *throughput*: training images/s of the whole machine in steady state, child by child. On each
   child the contenders take turns (A B C, A B C, ...), one window at a time;
3. *memory*: peak resident set of a worker that compiles and trains B0;
4. *children/hour*: children trained from scratch and validated, everything included from the start
   of the worker processes; first with an empty compilation cache, then by new processes with the
   filled one. Contenders take turns here too, a part of the children at a time. The time that a
   worker idles at the end of its turn is left out, since a search has no such end.
"""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.benchmark import children as inputs
from mnas.benchmark import figures
from mnas.benchmark.config import BenchmarkConfig
from mnas.benchmark.contender import (
    OURS,
    TRAINING_CONTENDERS,
    ContenderFailed,
    dropping_failed_peer,
)
from mnas.benchmark.estimate import Calibration, caches, remaining_seconds
from mnas.benchmark.processes import Arrangement, Team, arrangements
from mnas.benchmark.progress import BenchmarkProgress
from mnas.runtime.machine import machine
from mnas.runtime.pinning import allowed_cores

CALIBRATION_ROUNDS = 3


class Benchmark:
    """One benchmark of training; `run` it. `result` is plain data for JSON."""

    def __init__(self, config: BenchmarkConfig, progress: BenchmarkProgress) -> None:
        self._config, self._progress = config, progress
        count = max(1, config.children, config.trained)
        self._children = inputs.random_children(count, config.resolution, config.seed)
        self._training = dataclasses.asdict(config.training)
        self._teams: dict[str, Team] = {}  # of the contenders that haven't failed
        self._calibrations: dict[str, Calibration] = {}  # likewise
        self.result: dict[str, Any] = {
            "machine": machine(allowed_cores()),
            "settings": {**dataclasses.asdict(config), "training": self._training},
            "contenders": {
                name: {"title": TRAINING_CONTENDERS[name].title} for name in config.names
            },
        }

    def run(self) -> Iterator[str]:
        """Run all phases; after each, and after each round of the last, yield the phase's name.

        `result` then holds all figures so far. Raises RuntimeError if our own contender fails.
        """
        config = self._config
        with tempfile.TemporaryDirectory(prefix="mnas-benchmark-") as directory:
            self._directory = Path(directory)
            self._images = self._directory / "images.npz"
            inputs.write_images(
                self._images, config.images, config.held_out, config.resolution, config.seed
            )
            try:
                self._calibrate()
                yield "calibration"
                if config.children:
                    self._measure_throughput()
                    yield "throughput"
            finally:
                for team in self._teams.values():
                    team.close()
            self._measure_memory()
            yield "memory"
            if config.trained:
                for _ in self._measure_children_per_hour():
                    yield "children_per_hour"

    # --- calibration ---

    def _calibrate(self) -> None:
        """Select every contender's arrangement; its team in it goes on to the next phase."""
        candidates = arrangements(len(allowed_cores()))
        total = len(self._config.names) * len(candidates)
        with self._progress.phase("calibration", total) as advance:
            for name in self._config.names:
                with self._dropping_if_failed(name):
                    self._select_arrangement(name, candidates, advance)
        self._progress.estimate(remaining_seconds(self._config, self._calibrations))

    def _select_arrangement(
        self, name: str, candidates: Sequence[Arrangement], advance: Callable[[str], None]
    ) -> None:
        child, title = self._children[0], TRAINING_CONTENDERS[name].title
        with contextlib.ExitStack() as teams:
            calibrations: list[tuple[Team, Calibration]] = []
            for arrangement in candidates:
                began = time.perf_counter()
                # No space in the path: the compiler that torch.compile calls can't take one.
                cache = self._directory / f"{name}-{arrangement.processes}"
                team = teams.enter_context(self._team(name, arrangement, cache))
                start_seconds = time.perf_counter() - began
                build_seconds = self._build(team, child)
                calibrations.append(
                    (team, Calibration(arrangement, start_seconds, build_seconds, 0.0))
                )
                advance(f"{title}, {arrangement.name}: compiled and ready")
            turns = [
                [self._speed(team) for team, _ in calibrations] for _ in range(CALIBRATION_ROUNDS)
            ]
            speeds = [statistics.median(rounds) for rounds in zip(*turns, strict=True)]
            fastest = speeds.index(max(speeds))
            teams.pop_all()
            for index, (team, _) in enumerate(calibrations):
                if index != fastest:
                    team.close()
        team, calibration = calibrations[fastest]
        self._teams[name] = team
        self._calibrations[name] = dataclasses.replace(
            calibration, images_per_second=speeds[fastest]
        )
        tried = {a.name: speed for a, speed in zip(candidates, speeds, strict=True)}
        self.result["contenders"][name] |= {
            "status": "measured",
            "versions": team.versions,
            "arrangement": dataclasses.asdict(team.arrangement),
            "tried_images_per_second": tried,
        }
        listed = ", ".join(f"{arrangement} {speed:.0f}" for arrangement, speed in tried.items())
        self._progress.log(
            f"{title}: {team.arrangement.name} selected; images/s on {child.name}: {listed}"
        )

    # --- throughput ---

    def _measure_throughput(self) -> None:
        rows = []
        with self._progress.phase("throughput", self._config.children) as advance:
            for child in self._children[: self._config.children]:
                speeds = self._child_speeds(child)
                rows.append(figures.child_row(child, speeds))
                means = (
                    f"{TRAINING_CONTENDERS[name].title} {statistics.fmean(rounds):.0f}"
                    for name, rounds in speeds.items()
                )
                advance(f"{child.name}, images/s: {', '.join(means)}")
        self.result["throughput"] = figures.throughput(rows, self._config.names)

    def _child_speeds(self, child: Architecture) -> dict[str, list[float]]:
        """Return images/s in each round by contender, of those that haven't failed."""
        for name in list(self._teams):
            with self._dropping_if_failed(name):
                self._build(self._teams[name], child)
        speeds: dict[str, list[float]] = {name: [] for name in self._teams}
        for _ in range(self._config.rounds):
            for name in list(self._teams):
                with self._dropping_if_failed(name):
                    speeds[name].append(self._speed(self._teams[name]))
        return {name: speeds[name] for name in self._teams}

    # --- memory ---

    def _measure_memory(self) -> None:
        megabytes = {}
        with self._progress.phase("memory", len(self._calibrations)) as advance:
            for name, calibration in list(self._calibrations.items()):
                single = dataclasses.replace(calibration.arrangement, processes=1)
                with (
                    self._dropping_if_failed(name),
                    self._team(name, single, self._directory / f"{name}-memory") as team,
                ):
                    self._build(team, inputs.b0(self._config.resolution))
                    self._speed(team)
                    (answer,) = team.ask_all(do="memory")
                    megabytes[name] = answer["megabytes"]
                    advance(f"{TRAINING_CONTENDERS[name].title}: {megabytes[name]:.0f} MB")
        self.result["peak_memory_mb"] = megabytes

    # --- children/hour ---

    def _measure_children_per_hour(self) -> Iterator[None]:
        """Train children round by round; yield after every round.

        In a round, all contenders train a part of the children from a cold cache, one contender
        after the other; then those with a compilation cache train it once more from the warm one.
        The processes of a contender live through all rounds.
        """
        turns = [
            (name, cache)
            for cache in ("cold", "warm")
            for name in self._calibrations
            if cache in caches(TRAINING_CONTENDERS[name])
        ]
        sizes = {turn: self._config.trained_by(*turn) for turn in turns}
        passes: dict[tuple[str, str], _Pass] = {}
        total = sum(map(sum, sizes.values()))
        with (
            self._progress.phase("children/hour", total) as advance,
            contextlib.ExitStack() as teams,
        ):
            first = 0
            for index, size in enumerate(self._config.trained_by(OURS, "cold")):
                for name, cache in turns:
                    if name not in self._calibrations:  # it has failed
                        continue
                    children = self._children[first : first + sizes[name, cache][index]]
                    with self._dropping_if_failed(name):
                        if (name, cache) not in passes:
                            passes[name, cache] = self._start_pass(name, teams)
                        seconds = passes[name, cache].train(children, advance)
                        self._progress.log(
                            f"{TRAINING_CONTENDERS[name].title}, {cache} cache, round {index + 1}: "
                            f"{3600 * len(children) / seconds:.0f} children/hour"
                        )
                first += size
                results: dict[str, dict[str, Any]] = {name: {} for name in self._calibrations}
                for (contender, state), one in passes.items():
                    if contender in results:
                        results[contender][state] = one.figures()
                self.result["children_per_hour"] = figures.children_per_hour(results)
                yield

    def _start_pass(self, name: str, teams: contextlib.ExitStack) -> "_Pass":
        began = time.perf_counter()
        arrangement = self._calibrations[name].arrangement
        team = self._team(name, arrangement, self._directory / f"{name}-hour")
        return _Pass(teams.enter_context(team), time.perf_counter() - began)

    # --- requests to a team ---

    def _team(self, name: str, arrangement: Arrangement, cache: Path) -> Team:
        contender = TRAINING_CONTENDERS[name]
        return Team(
            contender,
            arrangement,
            python=contender.interpreter(self._config.torch_python),
            cache=cache,
            images=self._images,
            settings=self._training,
        )

    def _build(self, team: Team, child: Architecture) -> float:
        """Return the seconds of the slowest worker; ContenderFailed for a different network."""
        description = inputs.description(child)
        answers = team.ask_all(do="build", child=description)
        for answer in answers:
            if answer["params"] != description["params"]:
                raise ContenderFailed(
                    f"failed: {child.name} has {description['params']} params, "
                    f"built with {answer['params']}"
                )
        return max(answer["seconds"] for answer in answers)

    def _speed(self, team: Team) -> float:
        """Return images/s of all workers together, measured at the same time."""
        answers = team.ask_all(do="measure", seconds=self._config.window_seconds)
        return sum(self._config.batch * a["steps"] / a["seconds"] for a in answers)

    def _dropping_if_failed(self, name: str) -> contextlib.AbstractContextManager[None]:
        def drop(reason: str) -> None:
            self.result["contenders"][name]["status"] = reason
            self._calibrations.pop(name, None)
            if team := self._teams.pop(name, None):
                team.close()

        title = TRAINING_CONTENDERS[name].title
        return dropping_failed_peer(name, title, self._progress.log, drop)


class _Pass:
    """One contender's training of the children of children/hour, from a cold or a warm cache."""

    def __init__(self, team: Team, start_seconds: float) -> None:
        self._team, self._start_seconds = team, start_seconds
        self._children: list[Architecture] = []
        self._answers: list[dict[str, Any]] = []
        self._rounds: list[tuple[int, float]] = []
        self._megabytes = 0.0

    def train(self, children: Sequence[Architecture], advance: Callable[[], None]) -> float:
        """Train a round's children; return its seconds, in the first round with the start."""
        requests = [{"do": "train", "child": inputs.description(child)} for child in children]
        answers = self._team.ask_each(requests, advance)
        busy = sum(answer["seconds"] for answer in answers)
        seconds = busy / self._team.arrangement.processes
        seconds += 0 if self._rounds else self._start_seconds
        self._children += children
        self._answers += answers
        self._rounds.append((len(children), seconds))
        self._megabytes = max(answer["megabytes"] for answer in self._team.ask_all(do="memory"))
        return seconds

    def figures(self) -> dict[str, Any]:
        return figures.trained(self._children, self._answers, self._rounds, self._megabytes)
