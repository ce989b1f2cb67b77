"""`mnas rescore`: the networks of a run under another reward."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from mnas.analysis import rescoring
from mnas.cli.arguments import Directory, parse, print_fitting, write_output
from mnas.errors import require_whole
from mnas.experiment.results import load_run
from mnas.loop.selection import Selection
from mnas.reports.terminal import plain_console
from mnas.reward import CostKind, Form, RewardConfig


@dataclasses.dataclass(frozen=True)
class RescoreArguments:
    """Rank the networks of a run under another reward, without evaluating anything.

    Settings that are not given are those of the run.

    Example: mnas rescore runs/digits-1 --reward hard --target-madds 4e6
    """

    run: Directory
    """Directory of a run, finished or not."""
    reward: Form | None = None
    """soft: acc·(cost/T)^w; hard: the same with alpha up to T and beta above it in place of w;
    absolute: acc + beta·|cost/T - 1|."""
    cost: CostKind | None = None
    """Cost that is traded against accuracy; T is the target of that cost."""
    target_madds: float | None = None
    """Target T in mult-adds (one multiply-add counts once)."""
    target_params: float | None = None
    """Target T in parameters."""
    target_latency_ms: float | None = None
    """Target T in milliseconds per image."""
    w: float | None = None
    """Exponent of the soft form."""
    alpha: float | None = None
    """Exponent of the hard form up to the target."""
    beta: float | None = None
    """Exponent of the hard form above the target, or weight of the absolute form."""
    selection: Selection | None = None
    """measured: rank by reward; model: by the reward at the accuracy that a model of all accuracies
    expects, for noisy accuracies. Networks that the run measured again come first."""
    top: int = 10
    """Number of networks to show."""
    json: bool = False
    """Print one JSON object."""
    out: str | None = None
    """File for the spec of the best network."""

    def changed(self, own: RewardConfig) -> RewardConfig:
        """Return the reward of the run with the given settings."""
        changes = {field.name: getattr(self, field.name, None) for field in dataclasses.fields(own)}
        changes["form"] = self.reward
        return dataclasses.replace(own, **{k: v for k, v in changes.items() if v is not None})


def main(arguments: list[str]) -> None:
    """Run `mnas rescore`."""
    options = parse(RescoreArguments, "mnas rescore", arguments)
    require_whole("rescore", "top", options.top)
    directory = Path(options.run)
    run = load_run(directory)
    own = rescoring.reward_of(run)
    reward = options.changed(own)
    selection = options.selection or run.selection
    rescored = rescoring.rescore(run, reward, selection)
    rows = rescored.rows[: options.top]
    if options.out is not None:
        spec = rescoring.spec_of(rows[0], run, reward)
        write_output(options.out, json.dumps(spec, indent=2, allow_nan=False))
    if options.json:
        result = {
            "run": str(directory),
            "reward": dataclasses.asdict(reward),
            "own_reward": dataclasses.asdict(own),
            "selection": selection,
            "ranked": len(rescored.rows),
            "duplicates": rescored.duplicates,
            "failed": rescored.failed,
            "stopped": rescored.stopped,
            "unmeasured": rescored.unmeasured,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    before, now = dataclasses.asdict(own), dataclasses.asdict(reward)
    changes = [f"{name} {before[name]} to {now[name]}" for name in now if now[name] != before[name]]
    console = plain_console()
    console.print(
        f"{reward.form} reward of {reward.cost}, target {reward.target:,g}; "
        f"changed: {', '.join(changes) or 'nothing'}",
        soft_wrap=True,
    )
    heads, cells = _table(rows, expected=selection == "model")
    print_fitting(console, heads, cells, _least(heads, reward.cost))
    stopped = f", stopped early {rescored.stopped}" if rescored.stopped else ""
    console.print(
        f"{len(rescored.rows)} networks ranked; left out: duplicates {rescored.duplicates}, "
        f"failed {rescored.failed}, without {reward.cost} {rescored.unmeasured}{stopped}",
        soft_wrap=True,
    )


def _table(rows: Sequence[rescoring.Row], expected: bool) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of the table of ranks, rewards and costs.

    expected  whether to show the model's expectation; "again" is the mean reward of further
              measurements, of networks that have them
    """
    heads = ["rank", "was", "trial", "reward", "was", "accuracy"]
    heads += ["mult-adds", "params", "latency, ms"]
    cells = [
        [
            f"{row.rank}",
            f"{row.old_rank}",
            f"{row.trial}",
            f"{row.reward:.4f}",
            f"{row.old_reward:.4f}",
            f"{row.accuracy:.4f}",
            f"{row.mult_adds:,}",
            f"{row.params:,}",
            "-" if row.latency_ms is None else f"{row.latency_ms:.3f}",
        ]
        for row in rows
    ]
    if expected:
        heads.insert(3, "expected")
        for row, line in zip(rows, cells, strict=True):
            line.insert(3, "-" if row.expected is None else f"{row.expected:.4f}")
    if any(row.remeasured is not None for row in rows):
        heads.insert(3, "again")
        for row, line in zip(rows, cells, strict=True):
            line.insert(3, "-" if row.remeasured is None else f"{row.remeasured:.4f}")
    if all(row.latency_ms is None for row in rows):
        heads, cells = heads[:-1], [line[:-1] for line in cells]
    return heads, cells


def _least(heads: Sequence[str], cost: CostKind) -> list[tuple[int, ...]]:
    """Return the columns that a narrow terminal goes without, the least important one first."""
    costs = {"params": "params", "mult_adds": "mult-adds"}
    others = [heads.index(head) for kind, head in costs.items() if kind != cost]
    before = [place for place, head in enumerate(heads) if head == "was"]
    return [(place,) for place in (*others, *reversed(before), heads.index("trial"))]
