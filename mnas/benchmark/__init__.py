"""The project's own speed figures on this machine's CPU, with peers run beside it.

Every side gets the same random children around EfficientNet-B0, the same images, batch, resolution
and cores, and is measured by the same worker (`mnas.benchmark.worker`):

1. *trial*: the first child in both arrangements of processes and threads; the faster is kept.
2. *throughput*: images/s of the whole machine in steady state, child by child. On each child the
   sides take turns (A B C, A B C, ...), a window at a time, so that a machine that drifts drifts
   for all; ratios are taken within a round.
3. *memory*: peak resident set of a worker that compiles and trains B0.
4. *children/hour*: children trained from scratch and validated, everything included from the start
   of the worker processes: with an empty compilation cache, and again by new processes with what it
   holds then. The sides take turns here too, a part of the children at a time. What a worker waits
   at the end of its turn for the other's last child is left out: a search has no such end.

A peer that isn't installed or fails is reported with its cause; the others go on.
"""

import contextlib
import dataclasses
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.benchmark import children as material
from mnas.benchmark import figures
from mnas.benchmark.processes import (
    OURS,
    SIDES,
    Arrangement,
    SideFailed,
    Team,
    arrangements,
    interpreter,
    unless_a_peer_fails,
)
from mnas.benchmark.progress import BenchmarkProgress
from mnas.errors import UsageError
from mnas.runtime.machine import machine
from mnas.runtime.pinning import allowed_cores

# A block-compiled child finds most of its blocks compiled after about so many.
CHILDREN_TO_WARM_UP = 10
TRIAL_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured, and how long it takes."""

    sides: str = ",".join(SIDES)
    """Who takes part, joined by commas: ours, flax, torch, torch-compile."""
    torch_python: str | None = None
    """Interpreter that has PyTorch, which is none of our dependencies; this one where not given."""
    children: int = 20
    """Random children whose throughput is measured; 0 leaves throughput out."""
    rounds: int = 5
    """Rounds in which the sides take turns: on each of these children, and for children/hour on a
    part of the trained ones."""
    window_seconds: float = 1.0
    """Training steps in a row for so long, at least two, in each round."""
    batch: int = 64
    """Images a training step."""
    resolution: int = 32
    """Side of the images, pixels."""
    trained: int = 200
    """Random children trained from start to end, for children/hour; 0 leaves that out."""
    peer_trained: int | None = None
    """Peers, and ours from a warm cache, train only so many of these, the first ones of each round,
    and ratios are of the same children; all where not given."""
    epochs: int = 5
    """Passes over the training images, for each child of children/hour."""
    images: int = 2000
    """Training images."""
    held_out: int = 512
    """Images that a trained child is validated on."""
    seed: int = 0
    """Of children and images."""

    def __post_init__(self) -> None:
        for field, least in (
            *(("children", 0), ("rounds", 1), ("batch", 1), ("resolution", 8), ("trained", 0)),
            *(("peer_trained", 1), ("epochs", 1), ("images", 1), ("held_out", 1), ("seed", 0)),
        ):
            value = getattr(self, field)
            if value is not None and value < least:
                raise UsageError(f"benchmark: {field} = {value}; accepted: at least {least}")
        if not 0 < self.window_seconds < math.inf:
            raise UsageError(
                f"benchmark: window_seconds = {self.window_seconds}; accepted: a number above 0"
            )
        if self.images < self.batch:
            raise UsageError(
                f"benchmark: images = {self.images}; accepted: at least one batch, {self.batch}"
            )
        for name in self.names:
            if name not in SIDES:
                raise UsageError(f"benchmark: side {name!r}; accepted: {', '.join(SIDES)}")
        if OURS not in self.names:
            raise UsageError(
                f"benchmark: sides = {self.sides!r}; accepted: {OURS}, and any of the others"
            )
        if self.torch_python is not None and not shutil.which(self.torch_python):
            raise UsageError(
                f"benchmark: torch_python = {self.torch_python!r}; accepted: a Python interpreter"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The sides, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.sides.split(",")))

    def trained_by(self, name: str, cache: str) -> list[int]:
        """How many children a side trains for children/hour, round by round; `cache` cold, warm."""
        count = self.trained
        if self.peer_trained is not None and (name, cache) != (OURS, "cold"):
            count = min(count, self.peer_trained)
        rounds = min(self.rounds, self.trained, self.peer_trained or self.trained)
        # Fewer children are never more in any round.
        return [len(range(i, count, rounds)) for i in range(rounds)]


QUICK = BenchmarkConfig(
    sides="ours,flax,torch", children=3, rounds=3, trained=6, peer_trained=2, epochs=1, images=640
)


class Benchmark:
    """One benchmark: call the phases in order, or `run`. `result` is plain data for JSON."""

    def __init__(self, config: BenchmarkConfig, progress: BenchmarkProgress) -> None:
        self.config, self._progress = config, progress
        count = max(1, config.children, config.trained)
        self._children = material.random_children(count, config.resolution, config.seed)
        # TrainingConfig's values, said here because its module loads JAX.
        self._training = {
            **{"epochs": config.epochs, "batch_size": config.batch, "learning_rate": 0.005},
            **{"warmup_epochs": 0.5, "rms_decay": 0.9, "momentum": 0.9, "epsilon": 1e-3},
            **{"weight_decay": 1e-5, "label_smoothing": 0.1},
        }
        self._teams: dict[str, Team] = {}  # of the sides that still take part
        self._picked: dict[str, Arrangement] = {}
        self._trial: dict[str, dict[str, float]] = {}  # of the picked arrangement
        self.result: dict[str, Any] = {
            "machine": machine(allowed_cores()),
            "settings": {**dataclasses.asdict(config), "training": self._training},
            "sides": {name: {"title": SIDES[name].title} for name in config.names},
        }

    def run(self) -> Iterator[str]:
        """Goes through the phases; after each, its name, with what it found in `result`."""
        with tempfile.TemporaryDirectory(prefix="mnas-benchmark-") as directory:
            self._directory = Path(directory)
            self._images = self._directory / "images.npz"
            config = self.config
            material.write_images(
                self._images, config.images, config.held_out, config.resolution, config.seed
            )
            try:
                self.trial()
                yield "trial"
                if config.children:
                    self.throughput()
                    yield "throughput"
            finally:
                for team in self._teams.values():
                    team.close()
            self.memory()
            yield "memory"
            if config.trained:
                for _ in self.children_per_hour():
                    yield "children_per_hour"

    def trial(self) -> None:
        """Picks each side's arrangement, and leaves a team in it at work."""
        candidates = arrangements(len(allowed_cores()))
        child = self._children[0]
        with self._progress.phase("trial", len(self.config.names) * len(candidates)) as advance:
            for name in self.config.names:
                with self._unless_it_fails(name):
                    self._try_out(name, candidates, child, advance)
        self._progress.estimate(self.seconds_left())

    def _try_out(
        self,
        name: str,
        candidates: Sequence[Arrangement],
        child: Architecture,
        advance: Callable[[str], None],
    ) -> None:
        with contextlib.ExitStack() as losers:
            tried = []
            for arrangement in candidates:
                began = time.perf_counter()
                # Without spaces, which the compiler of torch.compile can't take in a path.
                cache = self._directory / f"{name}-{arrangement.processes}"
                team = losers.enter_context(self._team(name, arrangement, cache))
                seconds = {"start": time.perf_counter() - began, "build": self._build(team, child)}
                tried.append((team, seconds))
                advance(f"{SIDES[name].title}, {arrangement.name}: compiled and ready")
            # In turns, like all that is compared.
            turns = [[self._speed(team) for team, _ in tried] for _ in range(TRIAL_ROUNDS)]
            speeds = [statistics.median(rounds) for rounds in zip(*turns, strict=True)]
            best = speeds.index(max(speeds))
            winner, seconds = tried[best]
            losers.pop_all()
            for team, _ in tried:
                if team is not winner:
                    team.close()
        self._teams[name], self._picked[name] = winner, winner.arrangement
        self._trial[name] = {**seconds, "images_per_second": speeds[best]}
        names = [arrangement.name for arrangement in candidates]
        self.result["sides"][name] |= {
            "status": "measured",
            "versions": winner.versions,
            "arrangement": dataclasses.asdict(winner.arrangement),
            "tried_images_per_second": dict(zip(names, speeds, strict=True)),
        }
        self._progress.say(
            f"{SIDES[name].title}: {winner.arrangement.name} picked; images/s on {child.name}: "
            + ", ".join(f"{n} {speed:.0f}" for n, speed in zip(names, speeds, strict=True))
        )

    def throughput(self) -> None:
        """Images/s in steady state, the sides taking turns on each child."""
        rows = []
        with self._progress.phase("throughput", self.config.children) as advance:
            for child in self._children[: self.config.children]:
                speeds = self._take_turns(child)
                rows.append(figures.child_row(child, speeds))
                means = (f"{SIDES[name].title} {sum(v) / len(v):.0f}" for name, v in speeds.items())
                advance(f"{child.name}, images/s: {', '.join(means)}")
        self.result["throughput"] = figures.throughput(rows, self.config.names)

    def _take_turns(self, child: Architecture) -> dict[str, list[float]]:
        for name in list(self._teams):
            with self._unless_it_fails(name):
                self._build(self._teams[name], child)
        speeds: dict[str, list[float]] = {name: [] for name in self._teams}
        for _ in range(self.config.rounds):
            for name in list(self._teams):
                with self._unless_it_fails(name):
                    speeds[name].append(self._speed(self._teams[name]))
        return {name: speeds[name] for name in self._teams}

    def memory(self) -> None:
        """Peak resident set of one worker of each side, with B0, from an empty cache."""
        found = {}
        with self._progress.phase("memory", len(self._picked)) as advance:
            for name, arrangement in list(self._picked.items()):
                one = dataclasses.replace(arrangement, processes=1)
                with (
                    self._unless_it_fails(name),
                    self._team(name, one, self._directory / f"{name}-memory") as team,
                ):
                    self._build(team, material.b0(self.config.resolution))
                    self._speed(team)
                    (answer,) = team.ask_all(do="memory")
                    found[name] = answer["megabytes"]
                    advance(f"{SIDES[name].title}: {found[name]:.0f} MB")
        self.result["peak_memory_mb"] = found

    def children_per_hour(self) -> Iterator[int]:
        """Children trained from start to end, in rounds; yields each round's number, from 1.

        In a round all sides train a part of the children from a cold cache, one after the other,
        then those that keep what they compile once more. A side's processes stay for all rounds.
        """
        turns = [(name, cache) for cache in ("cold", "warm") for name in self._passes(cache)]
        sizes = {turn: self.config.trained_by(*turn) for turn in turns}
        done: dict[tuple[str, str], _Pass] = {}
        total = sum(map(sum, sizes.values()))
        with self._progress.phase("children/hour", total) as advance, contextlib.ExitStack() as end:
            first = 0
            for index, size in enumerate(self.config.trained_by(OURS, "cold")):
                for name, cache in turns:
                    if name not in self._picked:  # it failed
                        continue
                    children = self._children[first : first + sizes[name, cache][index]]
                    with self._unless_it_fails(name):
                        if (name, cache) not in done:
                            done[name, cache] = self._started(name, end)
                        seconds = done[name, cache].train(children, advance)
                        self._progress.say(
                            f"{SIDES[name].title}, {cache} cache, round {index + 1}: "
                            f"{3600 * len(children) / seconds:.0f} children/hour"
                        )
                first += size
                found: dict[str, dict[str, Any]] = {name: {} for name in self._picked}
                for (name, cache), one in done.items():
                    if name in found:
                        found[name][cache] = one.figures()
                self.result["children_per_hour"] = figures.children_per_hour(found)
                yield index + 1

    def _passes(self, cache: str) -> list[str]:
        """The sides that go through the children with their cache cold or warm."""
        return [name for name in self._picked if cache == "cold" or SIDES[name].compiled]

    def _started(self, name: str, end: contextlib.ExitStack) -> "_Pass":
        began = time.perf_counter()
        team = self._team(name, self._picked[name], self._directory / f"{name}-hour")
        return _Pass(end.enter_context(team), time.perf_counter() - began)

    def seconds_left(self) -> dict[str, float]:
        """Estimated seconds of the phases that follow the trial, from what it measured."""
        config = self.config
        left = dict.fromkeys(("throughput", "memory", "children_per_hour"), 0.0)
        for name, seconds in self._trial.items():
            speed, shares = seconds["images_per_second"], SIDES[name].shares_blocks
            processes = self._picked[name].processes
            step = config.batch * processes / speed

            def builds(children: int, shares=shares, build=seconds["build"]) -> float:
                return (min(children, CHILDREN_TO_WARM_UP) if shares else children) * build

            window = config.window_seconds + 2 * step  # one before it, one half under way after it
            left["throughput"] += config.children * config.rounds * window + builds(config.children)
            left["memory"] += seconds["start"] + seconds["build"]
            for cache in ("cold", "warm"):
                if name in self._passes(cache):
                    count = sum(config.trained_by(name, cache))
                    images = count * config.epochs * (config.images // config.batch) * config.batch
                    left["children_per_hour"] += seconds["start"] + images / speed
            count = sum(config.trained_by(name, "cold"))
            left["children_per_hour"] += builds(count) / processes
        return left

    def _team(self, name: str, arrangement: Arrangement, cache: Path) -> Team:
        side = SIDES[name]
        return Team(
            side,
            arrangement,
            python=interpreter(side, self.config.torch_python),
            cache=cache,
            images=self._images,
            training=self._training,
        )

    def _build(self, team: Team, child: Architecture) -> float:
        """Seconds that the slowest worker took; SideFailed where it is another network."""
        described = material.description(child)
        answers = team.ask_all(do="build", child=described)
        for answer in answers:
            if answer["params"] != described["params"]:
                raise SideFailed(
                    f"failed: {child.name} has {described['params']} params, "
                    f"built with {answer['params']}"
                )
        return max(answer["seconds"] for answer in answers)

    def _speed(self, team: Team) -> float:
        """Images/s of all workers together, measured at the same time."""
        answers = team.ask_all(do="measure", seconds=self.config.window_seconds)
        return sum(self.config.batch * a["steps"] / a["seconds"] for a in answers)

    def _unless_it_fails(self, name: str) -> contextlib.AbstractContextManager[None]:
        def leave(reason: str) -> None:
            self.result["sides"][name]["status"] = reason
            self._picked.pop(name, None)
            self._trial.pop(name, None)
            if team := self._teams.pop(name, None):
                team.close()

        return unless_a_peer_fails(name, SIDES[name].title, self._progress.say, leave)


class _Pass:
    """A side's way through the children of children/hour, a round at a time."""

    def __init__(self, team: Team, start_seconds: float) -> None:
        self._team, self._start_seconds = team, start_seconds
        self._children: list[Architecture] = []
        self._answers: list[dict[str, Any]] = []
        self._rounds: list[tuple[int, float]] = []
        self._megabytes = 0.0

    def train(self, children: Sequence[Architecture], advance: Callable[[], None]) -> float:
        """Seconds of this round; the processes' start is in the first."""
        requests = [{"do": "train", "child": material.description(child)} for child in children]
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
