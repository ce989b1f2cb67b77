"""Inference of published networks on this machine's CPU, with PyTorch beside it where installed.

Latency is one image at a time on one pinned core; throughput is batches, with a pinned process on
every core. The sides take turns network by network (A B, A B, ...), a window at a time, so that a
machine that drifts drifts for all; ratios are taken within a round.

EfficientNet's claim (arXiv 1905.11946, Table 4) is put beside: B1 answers 5.7 times as fast as
ResNet-152, one image at a time on one core (an Intel Xeon E5-2690).
"""

import contextlib
import dataclasses
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import find
from mnas.benchmark import figures
from mnas.benchmark.children import description
from mnas.benchmark.processes import (
    HERE,
    OURS,
    Arrangement,
    Side,
    SideFailed,
    Team,
    interpreter,
    unless_a_peer_fails,
)
from mnas.benchmark.progress import BenchmarkProgress
from mnas.errors import UsageError
from mnas.runtime.machine import machine
from mnas.runtime.pinning import allowed_cores

SIDES = {
    OURS: Side("ours", HERE / "inference_ours.py"),
    "torch": Side("PyTorch eager", HERE / "inference_torch.py", torch=True, compiled=False),
}
NETWORKS = (
    *(f"efficientnet-b{n}" for n in range(4)),
    *("mobilenet-v2", "resnet-50", "resnet-152"),
)
SMALL, LARGE, PAPER_RATIO = "efficientnet-b1", "resnet-152", 5.7


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """What is measured, and how long it takes."""

    networks: tuple[str, ...] = NETWORKS
    """Published networks."""
    sides: tuple[str, ...] = tuple(SIDES)
    """Who takes part: ours, torch."""
    torch_python: str | None = None
    """Interpreter that has PyTorch and timm, which we don't depend on; this one where not given."""
    torch_imports: tuple[str, ...] = ()
    """Modules that interpreter imports before timm, say one that lets it import torchvision."""
    rounds: int = 7
    """Rounds in which the sides take turns on each network."""
    window_seconds: float = 1.0
    """Answers in a row for so long, at least two, in each round."""
    batch: int = 16
    """Images in a batch of the throughput; 0 leaves throughput out."""

    def __post_init__(self) -> None:
        for name in self.sides:
            if name not in SIDES:
                raise UsageError(f"benchmark: side {name!r}; accepted: {', '.join(SIDES)}")
        if OURS not in self.sides:
            raise UsageError(f"benchmark: sides = {', '.join(self.sides)}; accepted: {OURS} and so")
        for field, least in (("rounds", 1), ("batch", 0)):
            if getattr(self, field) < least:
                value = getattr(self, field)
                raise UsageError(f"benchmark: {field} = {value}; accepted: at least {least}")
        if not 0 < self.window_seconds < math.inf:
            raise UsageError(
                f"benchmark: window_seconds = {self.window_seconds}; accepted: a number above 0"
            )
        for name in self.networks:
            find(name)


class InferenceBenchmark:
    """One benchmark; `run` it. `result` is plain data for JSON."""

    def __init__(self, config: InferenceConfig, progress: BenchmarkProgress) -> None:
        self.config, self._progress = config, progress
        self._networks = [find(name) for name in config.networks]
        self._left = list(config.sides)
        cores = allowed_cores()
        self._phases = {"latency": (Arrangement("one core", 1, 1), 1)}
        if config.batch:
            everywhere = Arrangement("a process a core", len(cores), 1)
            self._phases["throughput"] = (everywhere, config.batch)
        self.result: dict[str, Any] = {
            "machine": machine(cores),
            "settings": dataclasses.asdict(config),
            "sides": {name: {"title": SIDES[name].title} for name in config.sides},
        }

    def run(self) -> Iterator[str]:
        """Goes through the phases; after each network its name, with its figures in `result`."""
        with tempfile.TemporaryDirectory(prefix="mnas-benchmark-") as directory:
            for phase, (arrangement, batch) in self._phases.items():
                rows = self.result[phase] = []
                with contextlib.ExitStack() as teams:
                    self._teams = {}
                    for name in list(self._left):
                        with self._unless_it_fails(name):
                            team = self._team(name, arrangement, Path(directory))
                            self._teams[name] = teams.enter_context(team)
                            self.result["sides"][name]["versions"] = team.versions
                    with self._progress.phase(phase, len(self._networks)) as advance:
                        for network in self._networks:
                            rows.append(self._measure(network, phase, batch, advance))
                            self._claim(phase)
                            yield network.name

    def _team(self, name: str, arrangement: Arrangement, directory: Path) -> Team:
        side = SIDES[name]
        return Team(
            side,
            arrangement,
            python=interpreter(side, self.config.torch_python),
            cache=directory / name,
            images=directory,
            training={"imports": list(self.config.torch_imports)},
        )

    def _measure(
        self, network: Architecture, phase: str, batch: int, advance: Callable[[str], None]
    ) -> dict[str, Any]:
        described = description(network)
        for name in list(self._left):
            with self._unless_it_fails(name):
                request = {**described, "batch": batch}
                for answer in self._teams[name].ask_all(do="build", child=request):
                    if answer["params"] != described["params"]:
                        raise SideFailed(
                            f"failed: {network.name} has {described['params']} params, "
                            f"built with {answer['params']}"
                        )
        speeds: dict[str, list[float]] = {name: [] for name in self._left}
        for _ in range(self.config.rounds):
            for name in list(self._left):
                with self._unless_it_fails(name):
                    seconds = self.config.window_seconds
                    answers = self._teams[name].ask_all(do="measure", seconds=seconds)
                    speeds[name].append(sum(batch * a["steps"] / a["seconds"] for a in answers))
        speeds = {name: speeds[name] for name in self._left}
        row = {key: described[key] for key in ("name", "params", "mult_adds")}
        row["resolution"] = network.resolution
        row["images_per_second"] = speeds
        if phase == "latency":
            row["latency_ms"] = {
                name: _median_and_spread([1000 / v for v in values])
                for name, values in speeds.items()
            }
        row["ratios"] = {
            name: _median_and_spread(figures.ratio_rounds(speeds, name))
            for name in speeds
            if name != OURS
        }
        medians = (f"{SIDES[n].title} {statistics.median(v):.1f}" for n, v in speeds.items())
        advance(f"{phase}, {network.name}, images/s: {', '.join(medians)}")
        return row

    def _claim(self, phase: str) -> None:
        """How much faster than ResNet-152 B1 is, where both have been measured."""
        rows = {row["name"]: row for row in self.result[phase]}
        if phase == "latency" and {SMALL, LARGE} <= rows.keys():
            small, large = (rows[name]["latency_ms"] for name in (SMALL, LARGE))
            self.result["b1_against_resnet_152"] = {
                "paper": PAPER_RATIO,
                **{name: large[name]["median"] / small[name]["median"] for name in large},
            }

    def _unless_it_fails(self, name: str) -> contextlib.AbstractContextManager[None]:
        def leave(reason: str) -> None:
            self.result["sides"][name]["status"] = reason
            self._left.remove(name)

        return unless_a_peer_fails(name, SIDES[name].title, self._progress.say, leave)


def _median_and_spread(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "spread": [min(values), max(values)]}


# --- for people ---------------------------------------------------------------------------------


def tables(result: dict[str, Any]) -> list[Table]:
    """One table for each phase, and one of the paper's claim."""
    found = [
        _table(result, phase, title)
        for phase, title in (
            ("latency", "one image at a time on one core: medians, in ms (least to most)"),
            ("throughput", "batches on all cores: medians, in images/s (least to most)"),
        )
        if phase in result
    ]
    if claim := result.get("b1_against_resnet_152"):
        table = Table("", "times as fast", box=None, pad_edge=False)
        table.title, table.title_justify = "EfficientNet-B1 beside ResNet-152", "left"
        titles = {name: side["title"] for name, side in result["sides"].items()}
        for name, ratio in claim.items():
            table.add_row(titles.get(name, "paper, Table 4"), f"{ratio:.1f}")
        found.append(table)
    return found


def _table(result: dict[str, Any], phase: str, title: str) -> Table:
    names = list(result["sides"])
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("network", no_wrap=True)
    heads = ["pixels", "params, M", "mult-adds, M"]
    heads += [result["sides"][name]["title"] for name in names]
    heads += [f"ours / {result['sides'][name]['title']}" for name in names if name != OURS]
    for head in heads:
        table.add_column(head, justify="right", overflow="fold")
    for row in result[phase]:
        shown = row.get("latency_ms") or {
            name: _median_and_spread(values) for name, values in row["images_per_second"].items()
        }
        params, mult_adds = row["params"] / 1e6, row["mult_adds"] / 1e6
        cells = [f"{row['resolution']}", f"{params:.2f}", f"{mult_adds:,.1f}"]
        cells += [_cell(shown.get(name), ".1f") for name in names]
        cells += [_cell(row["ratios"].get(name), ".2f") for name in names if name != OURS]
        table.add_row(row["name"], *cells)
    return table


def _cell(figure: dict[str, Any] | None, form: str) -> str:
    if figure is None:
        return "-"
    low, high = figure["spread"]
    return f"{figure['median']:{form}} ({low:{form}} to {high:{form}})"
