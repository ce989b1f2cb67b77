"""The `mnas` command: `python -m mnas VERB`, or `mnas VERB` where installed.

People-facing output goes to standard error where `--json` is given, and standard output then has
one JSON object and nothing else.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from mnas import compare as comparing
from mnas import rescore as rescoring
from mnas.architecture import Architecture, block_strings
from mnas.benchmark import QUICK, Benchmark, BenchmarkConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.table import tables
from mnas.cli import parse, report_mistakes
from mnas.cost import network_cost, parts
from mnas.export import FORMATS
from mnas.reward import CostKind, Form, RewardConfig
from mnas.spec import find

Spec = Annotated[str, tyro.conf.Positional]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What to change of the spec before it is counted, compared or exported."""

    resolution: int | None = None
    """Side of the input image, pixels."""
    classes: int | None = None
    """Outputs of the classifier."""

    def apply(self, architecture: Architecture) -> Architecture:
        changes = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return architecture.replace(**changes)


@dataclasses.dataclass(frozen=True)
class CostArguments:
    """Params and mult-adds of an architecture, part by part."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    verify: bool = False
    """Also count the built Flax model: its parameter leaves, and the multiply-adds of its jaxpr."""
    json: bool = False
    """One JSON object on standard output."""


def cost(arguments: list[str]) -> None:
    """`mnas cost`."""
    chosen = parse(CostArguments, "mnas cost", arguments, tyro.MISSING_NONPROP)
    architecture = chosen.changes.apply(find(chosen.spec))
    total, rows = network_cost(architecture), list(parts(architecture))
    counted = None
    if chosen.verify:
        from mnas.nn.count import model_cost  # the one verb option that needs JAX

        counted = model_cost(architecture)
    if chosen.json:
        described = {
            "name": architecture.name,
            "params": total.params,
            "mult_adds": total.mult_adds,
            "resolution": architecture.resolution,
            "parts": [
                {
                    "name": row.name,
                    "params": row.cost.params,
                    "mult_adds": row.cost.mult_adds,
                    "out_resolution": row.resolution,
                    "out_filters": row.filters,
                }
                for row in rows
            ],
        }
        if counted:
            described["model"] = dataclasses.asdict(counted)
        print(json.dumps(described, indent=2))
        return
    shown = [
        (
            row.name,
            f"{row.resolution}×{row.resolution}×{row.filters}",
            f"{row.cost.params:,}",
            f"{row.cost.mult_adds:,}",
        )
        for row in rows
    ]
    table = _table(("part", "output", "params", "mult-adds"), shown)
    table.add_section()
    table.add_row(architecture.name, "", f"{total.params:,}", f"{total.mult_adds:,}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    resolution = architecture.resolution
    console.print(
        f"{total.params / 1e6:.2f}M params, {total.mult_adds / 1e6:.1f}M mult-adds "
        f"at {resolution}×{resolution} (one multiply-add counts once)"
    )
    if counted:
        agrees = "the same" if counted == total else "NOT the same"
        console.print(
            f"counted from the Flax model: {counted.params:,} params, "
            f"{counted.mult_adds:,} mult-adds, {agrees}"
        )
    for string in block_strings(architecture):
        console.print(f"  {string}", soft_wrap=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(heads[0], box=None, pad_edge=False)
    for head in heads[1:]:
        table.add_column(head, justify="right", overflow="fold")  # narrow, but never cut off
    for row in rows:
        table.add_row(*row)
    return table


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """An architecture in another form."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    format: str = "json"
    """json (a spec), tf (block strings) or timm (arch_def)."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    out: str | None = None
    """File to write; standard output where not given."""


def export(arguments: list[str]) -> None:
    """`mnas export`."""
    chosen = parse(ExportArguments, "mnas export", arguments, tyro.MISSING_NONPROP)
    if chosen.format not in FORMATS:
        raise ValueError(f"format = {chosen.format!r}; accepted: {', '.join(FORMATS)}")
    text = FORMATS[chosen.format](chosen.changes.apply(find(chosen.spec)))
    if chosen.out is None:
        print(text)
        return
    _write(chosen.out, text)


def _write(out: str, text: str) -> None:
    try:
        Path(out).write_text(text + "\n")
    except OSError as error:
        raise ValueError(f"{out} can't be written: {error.strerror}") from None
    print(f"written: {out}", file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class ReportArguments:
    """One self-contained HTML page about one run or several."""

    directories: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Directories of runs."""
    out: str | None = None
    """File to write; report.html in the first directory where not given."""


def report(arguments: list[str]) -> None:
    """`mnas report`."""
    from mnas.report import write_report  # matplotlib takes a second to import
    from mnas.surrogate import predict

    chosen = parse(ReportArguments, "mnas report", arguments, tyro.MISSING_NONPROP)
    if not chosen.directories:
        raise ValueError("no run named; accepted: one directory or more")
    directories = [Path(name) for name in chosen.directories]
    out = Path(chosen.out) if chosen.out else directories[0] / "report.html"
    write_report(directories, out, predict)
    print(f"written: {out}", file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class CompareArguments:
    """How an architecture differs from a reference: decisions, costs, stage by stage."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    reference: Spec = "efficientnet-b0"
    """The same; it is brought to the resolution and the classes of the spec."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    json: bool = False
    """One JSON object on standard output."""


def compare(arguments: list[str]) -> None:
    """`mnas compare`."""
    from mnas.surrogate import predict

    chosen = parse(CompareArguments, "mnas compare", arguments, tyro.MISSING_NONPROP)
    network = chosen.changes.apply(find(chosen.spec))
    comparison = comparing.compare(network, find(chosen.reference), predict)
    if chosen.json:
        print(json.dumps(comparing.to_dict(comparison), indent=2))
        return
    console = Console(highlight=False, markup=False)
    for heads, rows in comparing.tables(comparison):
        console.print(_table(heads, rows), "")
    for note in comparing.notes(comparison):
        console.print(note, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class RescoreArguments:
    """A run's networks ranked under another reward; what is not given is the run's own."""

    run: Annotated[str, tyro.conf.Positional]
    """Directory of a run, finished or not."""
    reward: Form | None = None
    """soft: acc·(cost/T)^w; hard: the same, with alpha up to T and beta above in place of w;
    absolute: acc + beta·|cost/T - 1|. Like all that follows, the run's own where not given."""
    cost: CostKind | None = None
    """What is traded against accuracy; its target is the option of the same kind."""
    target_madds: float | None = None
    """T in mult-adds (one multiply-add counts once)."""
    target_params: float | None = None
    """T in parameters."""
    target_latency_ms: float | None = None
    """T in milliseconds for one image."""
    w: float | None = None
    """Exponent of the soft form."""
    alpha: float | None = None
    """Exponent of the hard form up to the target."""
    beta: float | None = None
    """Exponent of the hard form above the target, or weight of the absolute form."""
    top: int = 10
    """How many of the best to show."""
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the spec of the best under this reward."""

    def changed(self, own: RewardConfig) -> RewardConfig:
        """The run's own reward with what was given."""
        given = {field.name: getattr(self, field.name, None) for field in dataclasses.fields(own)}
        given["form"] = self.reward
        return dataclasses.replace(own, **{k: v for k, v in given.items() if v is not None})


def rescore(arguments: list[str]) -> None:
    """`mnas rescore`."""
    chosen = parse(RescoreArguments, "mnas rescore", arguments, tyro.MISSING_NONPROP)
    if chosen.top < 1:
        raise ValueError(f"top = {chosen.top}; accepted: at least 1")
    directory = Path(chosen.run)
    records = rescoring.read(directory)
    own = rescoring.reward_of(records)
    reward = chosen.changed(own)
    rescored = rescoring.rescore(records, reward)
    rows = rescored.rows[: chosen.top]
    if chosen.out is not None:
        spec = rescoring.spec_of(rows[0], records, directory, reward)
        _write(chosen.out, json.dumps(spec, indent=2, allow_nan=False))
    if chosen.json:
        described = {
            "run": str(directory),
            "reward": dataclasses.asdict(reward),
            "own_reward": dataclasses.asdict(own),
            "ranked": len(rescored.rows),
            "repeats": rescored.repeats,
            "failed": rescored.failed,
            "stopped": rescored.stopped,
            "unmeasured": rescored.unmeasured,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        print(json.dumps(described, indent=2, allow_nan=False))
        return
    before, now = dataclasses.asdict(own), dataclasses.asdict(reward)
    changes = [f"{name} {before[name]} to {now[name]}" for name in now if now[name] != before[name]]
    console = Console(highlight=False, markup=False)
    console.print(
        f"{reward.form} reward of {reward.cost}, target {reward.target:,g}; "
        f"changed: {', '.join(changes) or 'nothing'}",
        soft_wrap=True,
    )
    heads = ("rank", "was", "trial", "reward", "was", "accuracy")
    heads += ("mult-adds", "params", "latency, ms")
    shown = [
        (
            f"{row.rank}",
            f"{row.old_rank}",
            f"{row.trial}",
            f"{row.reward:.4f}",
            f"{row.old_reward:.4f}",
            f"{row.accuracy:.4f}",
            f"{row.mult_adds:,}",
            f"{row.params:,}",
            "-" if row.latency_ms is None else f"{row.latency_ms:.3f}",
        )
        for row in rows
    ]
    console.print(_table(heads, shown))
    stopped = f", stopped early {rescored.stopped}" if rescored.stopped else ""
    console.print(
        f"{len(rescored.rows)} networks ranked; left out: repeats {rescored.repeats}, "
        f"failed {rescored.failed}, without {reward.cost} {rescored.unmeasured}{stopped}",
        soft_wrap=True,
    )


@dataclasses.dataclass(frozen=True)
class BenchmarkArguments:
    """The project's own speed figures on this machine's CPU, beside those of peers."""

    config: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = BenchmarkConfig()
    quick: bool = False
    """Small numbers, for a first look: minutes, and rough. Flags that are given still count."""
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the same JSON object, written after each phase with what is known by then."""


def benchmark(arguments: list[str]) -> None:
    """`mnas benchmark`."""
    default = BenchmarkArguments(QUICK if "--quick" in arguments else BenchmarkConfig())
    chosen = parse(BenchmarkArguments, "mnas benchmark", arguments, default)
    running = Benchmark(chosen.config, BenchmarkProgress())
    for _ in running.run():
        if chosen.out is not None:
            _write(chosen.out, json.dumps(running.result, indent=2, allow_nan=False))
    if chosen.json:
        print(json.dumps(running.result, indent=2, allow_nan=False))
        return
    console = Console(highlight=False, markup=False)
    for table in tables(running.result):
        console.print(table, "")


VERBS: dict[str, Callable[[list[str]], None]] = {
    "cost": cost,
    "compare": compare,
    "rescore": rescore,
    "export": export,
    "report": report,
    "benchmark": benchmark,
}


def main(arguments: list[str] | None = None) -> int:
    """The exit status of one call."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        verb = arguments[0] if arguments else ""
        if verb in ("-h", "--help"):
            print(f"{__doc__}\nverbs: {', '.join(VERBS)}; mnas VERB --help tells more")
            return
        if verb not in VERBS:
            raise ValueError(f"unknown verb {verb!r}; accepted: {', '.join(VERBS)}")
        VERBS[verb](arguments[1:])

    return report_mistakes("mnas", run)


if __name__ == "__main__":
    sys.exit(main())
