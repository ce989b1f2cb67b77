"""Benchmark of inference: latency and throughput of published networks.

Latency is that of one image at a time on one pinned core; throughput is that of batches, with one
pinned process on every core. The contenders take turns on each network, one window at a time.

Reference: EfficientNet (arXiv 1905.11946, Table 4) reports that B1 is 5.7 times as fast as
ResNet-152, one image at a time on one core (Intel Xeon E5-2690).
"""

import contextlib
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.sources import find
from mnas.benchmark import figures
from mnas.benchmark.children import description
from mnas.benchmark.contender import (
    INFERENCE_CONTENDERS,
    OURS,
    ContenderFailed,
    dropping_failed_peer,
)
from mnas.benchmark.processes import Arrangement, Team
from mnas.benchmark.progress import BenchmarkProgress
from mnas.errors import UsageError, require_positive, require_whole
from mnas.runtime.machine import machine
from mnas.runtime.pinning import allowed_cores

NETWORKS = (
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "mobilenet-v2",
    "resnet-50",
    "resnet-152",
)
SMALL, LARGE, PAPER_RATIO = "efficientnet-b1", "resnet-152", 5.7


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """Networks, contenders and sample sizes."""

    networks: tuple[str, ...] = NETWORKS
    """Published networks."""
    contenders: tuple[str, ...] = tuple(INFERENCE_CONTENDERS)
    """Contenders: ours, torch."""
    torch_python: str | None = None
    """Python interpreter that has PyTorch and timm; default: the one that runs mnas."""
    torch_imports: tuple[str, ...] = ()
    """Modules that this interpreter imports before timm, for instance one that makes torchvision
    importable."""
    rounds: int = 7
    """Rounds in which contenders take turns on each network."""
    window_seconds: float = 1.0
    """Duration of one measurement, s; at least two batches."""
    batch: int = 16
    """Images in a batch of the throughput; 0 skips throughput."""

    def __post_init__(self) -> None:
        for name in self.contenders:
            if name not in INFERENCE_CONTENDERS:
                accepted = ", ".join(INFERENCE_CONTENDERS)
                raise UsageError(f"benchmark: contender {name!r}; accepted: {accepted}")
        if OURS not in self.contenders:
            listed = ", ".join(self.contenders)
            raise UsageError(f"benchmark: contenders = {listed}; accepted: {OURS}, and the others")
        require_whole("benchmark", "rounds", self.rounds)
        require_whole("benchmark", "batch", self.batch, least=0)
        require_positive("benchmark", "window_seconds", self.window_seconds)
        for name in self.networks:
            find(name)


class InferenceBenchmark:
    """One benchmark of inference; `run` it. `result` is plain data for JSON."""

    def __init__(self, config: InferenceConfig, progress: BenchmarkProgress) -> None:
        self._config, self._progress = config, progress
        self._networks = [find(name) for name in config.networks]
        self._remaining = list(config.contenders)  # without those that failed
        cores = allowed_cores()
        self._phases = {"latency": (Arrangement("one core", 1, 1), 1)}
        if config.batch:
            all_cores = Arrangement("a process a core", len(cores), 1)
            self._phases["throughput"] = (all_cores, config.batch)
        self.result: dict[str, Any] = {
            "machine": machine(cores),
            "settings": dataclasses.asdict(config),
            "contenders": {
                name: {"title": INFERENCE_CONTENDERS[name].title} for name in config.contenders
            },
        }

    def run(self) -> Iterator[str]:
        """Run all phases; after each network, yield its name, with its figures in `result`.

        Raises RuntimeError if our own contender fails.
        """
        with tempfile.TemporaryDirectory(prefix="mnas-benchmark-") as directory:
            for phase, (arrangement, batch) in self._phases.items():
                rows = self.result[phase] = []
                with contextlib.ExitStack() as teams:
                    self._teams = {}
                    for name in list(self._remaining):
                        with self._dropping_if_failed(name):
                            team = self._team(name, arrangement, Path(directory))
                            self._teams[name] = teams.enter_context(team)
                            self.result["contenders"][name]["versions"] = team.versions
                    with self._progress.phase(phase, len(self._networks)) as advance:
                        for network in self._networks:
                            rows.append(self._measure(network, phase, batch, advance))
                            if phase == "latency":
                                self._compare_with_paper(rows)
                            yield network.name

    def _team(self, name: str, arrangement: Arrangement, directory: Path) -> Team:
        contender = INFERENCE_CONTENDERS[name]
        return Team(
            contender,
            arrangement,
            python=contender.interpreter(self._config.torch_python),
            cache=directory / name,
            images=directory,
            settings={"imports": list(self._config.torch_imports)},
        )

    def _measure(
        self, network: Architecture, phase: str, batch: int, advance: Callable[[str], None]
    ) -> dict[str, Any]:
        """Return one network's row of a phase."""
        described = description(network)
        speeds = self._speeds(described, batch)
        row = {key: described[key] for key in ("name", "params", "mult_adds")}
        row["resolution"] = network.resolution
        row["images_per_second"] = speeds
        if phase == "latency":
            row["latency_ms"] = {
                name: figures.median_and_spread([1000 / speed for speed in rounds])
                for name, rounds in speeds.items()
            }
        row["ratios"] = {
            name: figures.median_and_spread(figures.ratio_rounds(speeds, name))
            for name in speeds
            if name != OURS
        }
        medians = (
            f"{INFERENCE_CONTENDERS[name].title} {statistics.median(rounds):.1f}"
            for name, rounds in speeds.items()
        )
        advance(f"{phase}, {network.name}, images/s: {', '.join(medians)}")
        return row

    def _speeds(self, described: dict[str, Any], batch: int) -> dict[str, list[float]]:
        """Return images/s in each round by contender, of those that haven't failed."""
        for name in list(self._remaining):
            with self._dropping_if_failed(name):
                self._build(name, {**described, "batch": batch})
        speeds: dict[str, list[float]] = {name: [] for name in self._remaining}
        for _ in range(self._config.rounds):
            for name in list(self._remaining):
                with self._dropping_if_failed(name):
                    seconds = self._config.window_seconds
                    answers = self._teams[name].ask_all(do="measure", seconds=seconds)
                    speeds[name].append(sum(batch * a["steps"] / a["seconds"] for a in answers))
        return {name: speeds[name] for name in self._remaining}

    def _build(self, name: str, child: dict[str, Any]) -> None:
        for answer in self._teams[name].ask_all(do="build", child=child):
            if answer["params"] != child["params"]:
                raise ContenderFailed(
                    f"failed: {child['name']} has {child['params']} params, "
                    f"built with {answer['params']}"
                )

    def _compare_with_paper(self, rows: list[dict[str, Any]]) -> None:
        """Add the ratio of ResNet-152's latency to B1's, once both are measured."""
        by_name = {row["name"]: row["latency_ms"] for row in rows}
        if {SMALL, LARGE} <= by_name.keys():
            small, large = by_name[SMALL], by_name[LARGE]
            self.result["b1_against_resnet_152"] = {
                "paper": PAPER_RATIO,
                **{name: large[name]["median"] / small[name]["median"] for name in large},
            }

    def _dropping_if_failed(self, name: str) -> contextlib.AbstractContextManager[None]:
        def drop(reason: str) -> None:
            self.result["contenders"][name]["status"] = reason
            self._remaining.remove(name)

        title = INFERENCE_CONTENDERS[name].title
        return dropping_failed_peer(name, title, self._progress.log, drop)
