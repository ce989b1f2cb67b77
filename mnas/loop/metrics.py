"""Values of a search's records by tag, as TensorBoard and other trackers show them.

child/madds                          of each trial
child/accuracy, reward               of trials that have not failed
child/params, latency_ms, seconds    of trials that are no duplicates
search/best_reward, best_accuracy    of the best network so far, at each update
search/failed, stopped, duplicates   numbers of trials, at each update
controller/reward, log_prob          means of the batch, at each update
controller/...                       the controller's summary, at each update
remeasured/trial, seconds            of each further measurement of a network
remeasured/accuracy, reward          of those that have not failed
best                                 text: a new best network, at the next update
remeasured                           text: table of a round of measurements, at its end
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mnas.loop.records import (
    Record,
    RemeasuredRecord,
    RemeasureRecord,
    ResultRecord,
    UpdateRecord,
)
from mnas.loop.selection import grouped


class Step(NamedTuple):
    """What one record shows.

    number  of the step: the trial, of an update the number of trials so far, of a further
            measurement the number of those before it
    time    seconds since the epoch
    values  finite numbers by tag
    texts   Markdown by tag
    """

    number: int
    time: float
    values: dict[str, float]
    texts: dict[str, str]


class Metrics:
    """Steps of a search from its records, which are passed in the order of the journal.

    trials  number of trials so far
    best    best result so far, the first of equals; failed, stopped and duplicate trials are none
    """

    def __init__(self) -> None:
        self.trials = 0
        self.best: ResultRecord | None = None
        self._best_is_shown = True
        self._counts = dict.fromkeys(("failed", "stopped", "duplicates"), 0)
        self._measured: dict[tuple[int, int], RemeasuredRecord] = {}
        self._round: RemeasureRecord | None = None

    def follow(self, records: Iterable[Record]) -> "Metrics":
        """Begin after the records of a resumed search, whose steps are shown already."""
        for record in records:
            self.step(record)
        self._best_is_shown = True
        return self

    def step(self, record: Record) -> Step | None:
        """Return what the next record shows; None for one that shows nothing."""
        if isinstance(record, ResultRecord):
            self._count(record)
            return Step(record.trial, record.time, _values(record), {})
        if isinstance(record, UpdateRecord):
            return self._update(record)
        if isinstance(record, RemeasureRecord):
            self._round = record
        elif isinstance(record, RemeasuredRecord):
            return self._remeasured(record)
        return None

    def _count(self, record: ResultRecord) -> None:
        """Count a result, and keep the best so far."""
        self.trials = max(self.trials, record.trial + 1)
        is_failure, is_duplicate = record.error is not None, record.duplicate_of is not None
        self._counts["failed"] += is_failure
        self._counts["stopped"] += record.stopped
        self._counts["duplicates"] += is_duplicate
        if is_failure or is_duplicate or record.stopped:
            return
        rank = (-record.reward, record.trial)
        if self.best is None or rank < (-self.best.reward, self.best.trial):
            self.best, self._best_is_shown = record, False

    def _update(self, record: UpdateRecord) -> Step:
        values = {"reward": record.mean_reward, "log_prob": record.mean_log_prob}
        tags = {f"controller/{name}": v for name, v in {**record.controller, **values}.items()}
        tags |= {f"search/{name}": count for name, count in self._counts.items()}
        texts = {}
        if self.best is not None:
            tags["search/best_reward"] = self.best.reward
            tags["search/best_accuracy"] = self.best.accuracy
            if not self._best_is_shown:
                texts["best"] = best_text(self.best)
                self._best_is_shown = True
        return Step(self.trials, record.time, _known(tags), texts)

    def _remeasured(self, record: RemeasuredRecord) -> Step:
        number = len(self._measured)
        self._measured[record.trial, record.number] = record
        tags: dict[str, float | None] = {
            "remeasured/accuracy": record.accuracy,
            "remeasured/reward": record.reward if record.error is None else None,
            "remeasured/seconds": record.seconds,
            "remeasured/trial": record.trial,
        }
        text = self._round_text()
        return Step(number, record.time, _known(tags), {"remeasured": text} if text else {})

    def _round_text(self) -> str:
        """Return the table of the last round as Markdown; nothing before its end."""
        if self._round is None:
            return ""
        of_round = [(trial, n) for trial in self._round.trials for n in range(self._round.seeds)]
        if any(key not in self._measured for key in of_round):
            return ""
        lines = ["| trial | accuracy | 95% interval | reward | n | failed |", "|--|--|--|--|--|--|"]
        for trial, found in grouped(self._measured[key] for key in of_round).items():
            low_high = "" if found.interval is None else "{:.4f} to {:.4f}".format(*found.interval)
            mean, reward = (
                ("", "") if found.mean is None else (f"{found.mean:.4f}", f"{found.reward:.4f}")
            )
            cells = f"{trial}", mean, low_high, reward, f"{len(found.records)}", f"{found.failed}"
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted paths; lists as text, without what is None."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{path}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            found |= flat(value, name)
        elif value is not None:
            found[name] = value if isinstance(value, str | bool | int | float) else str(value)
    return found


def best_text(best: ResultRecord) -> str:
    """Return a result as Markdown: its figures and the block strings of its network."""
    blocks = "\n".join(f"    {string}" for string in best.architecture["blocks"])
    return (
        f"Trial {best.trial}: reward {best.reward:.4f}, accuracy {best.accuracy:.4f}, "
        f"{best.mult_adds:,} mult-adds, {best.params:,} params\n\n{blocks}"
    )


def _values(record: ResultRecord) -> dict[str, float]:
    """Return the values of one result by tag."""
    values: dict[str, float | None] = {
        "child/accuracy": record.accuracy,
        "child/madds": record.mult_adds,
    }
    if record.error is None:
        values["child/reward"] = record.reward
    if record.duplicate_of is None:
        values["child/params"] = record.params
        values["child/latency_ms"] = record.latency_ms
        values["child/seconds"] = record.seconds
    return _known(values)


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {tag: value for tag, value in values.items() if value is not None}
