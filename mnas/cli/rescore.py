"""`mnas rescore`: a run's journal under another reward."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from mnas.analysis import rescoring
from mnas.cli.arguments import parse, rows_table, write
from mnas.errors import UsageError
from mnas.loop.selection import Selection
from mnas.reward import CostKind, Form, RewardConfig


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
    selection: Selection | None = None
    """measured: by reward; model: by what a model of all rewards expects, for noisy ones."""
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
        raise UsageError(f"top = {chosen.top}; accepted: at least 1")
    directory = Path(chosen.run)
    records = rescoring.read(directory)
    own = rescoring.reward_of(records)
    reward = chosen.changed(own)
    settings = records[0].get("settings", {}).get("search", {})
    selection = chosen.selection or settings.get("selection", "measured")
    rescored = rescoring.rescore(records, reward, selection)
    rows = rescored.rows[: chosen.top]
    if chosen.out is not None:
        spec = rescoring.spec_of(rows[0], records, directory, reward)
        write(chosen.out, json.dumps(spec, indent=2, allow_nan=False))
    if chosen.json:
        described = {
            "run": str(directory),
            "reward": dataclasses.asdict(reward),
            "own_reward": dataclasses.asdict(own),
            "selection": selection,
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
    by_model = selection == "model"
    heads = ("rank", "was", "trial", *(("expected",) if by_model else ()))
    heads += ("reward", "was", "accuracy")
    heads += ("mult-adds", "params", "latency, ms")
    shown = [
        (
            f"{row.rank}",
            f"{row.old_rank}",
            f"{row.trial}",
            *(("-" if row.expected is None else f"{row.expected:.4f}",) if by_model else ()),
            f"{row.reward:.4f}",
            f"{row.old_reward:.4f}",
            f"{row.accuracy:.4f}",
            f"{row.mult_adds:,}",
            f"{row.params:,}",
            "-" if row.latency_ms is None else f"{row.latency_ms:.3f}",
        )
        for row in rows
    ]
    console.print(rows_table(heads, shown))
    stopped = f", stopped early {rescored.stopped}" if rescored.stopped else ""
    console.print(
        f"{len(rescored.rows)} networks ranked; left out: repeats {rescored.repeats}, "
        f"failed {rescored.failed}, without {reward.cost} {rescored.unmeasured}{stopped}",
        soft_wrap=True,
    )
