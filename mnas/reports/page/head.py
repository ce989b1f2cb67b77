"""The head of a run's report: best beside reference in four numbers, and how they came about."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.experiment import sessions
from mnas.experiment.results import Run
from mnas.loop.early_stopping import savings
from mnas.loop.records import ResultRecord
from mnas.reports.page.accuracies import Accuracies, Known
from mnas.reports.page.costs import CostAxis, reward_at
from mnas.reports.text import duration, magnitude


@dataclasses.dataclass(frozen=True)
class Number:
    """One of the four numbers, as text.

    interval    of `best`; empty where not known
    reference   the reference's number; empty without a reference
    difference  best relative to the reference
    note        how it was obtained
    """

    label: str
    best: str
    interval: str = ""
    reference: str = ""
    difference: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A run's best result with its network, and its reference at the same resolution."""

    result: ResultRecord
    best: Architecture
    reference: Architecture | None


def pair(run: Run) -> Pair | None:
    """Return best and reference; None where no evaluation succeeded."""
    if run.best is None:
        return None
    best = Architecture.from_dict(run.best.architecture).replace(name="best network")
    reference = PUBLISHED.get(run.head.reference or "")
    return Pair(run.best, best, None if reference is None else resized(reference, best))


def resized(network: Architecture, like: Architecture) -> Architecture:
    """Return a network for the images of another: its resolution, stem's stride and classes."""
    return network.for_images_of(like)


def numbers(networks: Pair, axis: CostAxis, accuracies: Accuracies) -> list[Number]:
    """Return accuracy, the reward's cost, params or mult-adds, and reward."""
    ours = accuracies.of_result(networks.result, networks.best)
    theirs = None if networks.reference is None else accuracies.of(networks.reference)
    other = "params" if axis.kind == "mult_adds" else "mult_adds"
    rows = [_accuracy(ours, theirs, networks.reference is not None)]
    if axis.kind == "latency_ms":
        latency = networks.result.latency_ms
        rows.append(Number("latency", "not measured" if latency is None else f"{latency:.3g} ms"))
    else:
        rows.append(_cost(networks, axis.kind))
    return [*rows, _cost(networks, other), _reward(networks, axis, ours, theirs)]


def _accuracy(ours: Known | None, theirs: Known | None, compared: bool) -> Number:
    if ours is None:
        return Number("top-1 accuracy", "unknown")
    if theirs is None:
        reference, difference = ("not evaluated" if compared else ""), ""
    else:
        reference = f"{100 * theirs.value:.2f}%{_interval(theirs)}"
        difference = f"{_minus(100 * (ours.value - theirs.value), '+.2f')} points"
    interval = _interval(ours).strip()
    label = "predicted top-1 accuracy" if ours.predicted else "top-1 accuracy"
    return Number(label, f"{100 * ours.value:.2f}%", interval, reference, difference, ours.source)


def _interval(known: Known) -> str:
    """Return an interval in percent with a space before it; nothing where there is none."""
    if known.low is None or known.high is None:
        return ""
    if known.predicted:
        return f" ± {100 * (known.high - known.low) / 2:.2f}"
    return f" [{100 * known.low:.1f}, {100 * known.high:.1f}]"


def _cost(networks: Pair, kind: str) -> Number:
    label = "mult-adds" if kind == "mult_adds" else "parameters"
    ours = getattr(network_cost(networks.best), kind)
    note = f"exact: {ours:,}"
    if networks.reference is None:
        return Number(label, magnitude(ours), note=note)
    theirs = getattr(network_cost(networks.reference), kind)
    return Number(
        label, magnitude(ours), "", magnitude(theirs), f"×{ours / max(theirs, 1):.2f}", note
    )


def _reward(networks: Pair, axis: CostAxis, ours: Known | None, theirs: Known | None) -> Number:
    reward, note = networks.result.reward, "of this accuracy and cost"
    if ours is not None and ours.reward is not None:
        reward, note = ours.reward, "mean of the further measurements"
    interval = ""
    cost = axis.of_result(networks.result)
    if ours is not None and ours.low is not None:
        ends = [reward_at(axis, value, cost) for value in (ours.low, ours.high)]
        if None not in ends:
            interval = f"[{ends[0]:.4f}, {ends[1]:.4f}]"
    if networks.reference is None:
        return Number("reward", f"{reward:.4f}", interval, note=note)
    accuracy = None if theirs is None else theirs.value
    value = reward_at(axis, accuracy, axis.of(networks.reference))
    if value is None:
        return Number("reward", f"{reward:.4f}", interval, "not evaluated", "", note)
    return Number(
        "reward",
        f"{reward:.4f}",
        interval,
        f"{value:.4f}",
        _minus(reward - value, "+.4f"),
        note,
    )


def formula(axis: CostAxis) -> dict[str, str] | None:
    """Return the parts of the reward's formula as text; None where the journal lacks it.

    Keys: form, cost, target, exponent, and for the hard form `above`.
    """
    reward = axis.reward
    if reward is None:
        return None
    target = f"{reward.target:g} ms" if axis.kind == "latency_ms" else magnitude(reward.target)
    beta = (
        {"hard": -1.0, "absolute": -0.10}.get(reward.form) if reward.beta is None else reward.beta
    )
    exponent = reward.w if reward.form == "soft" else reward.alpha
    return {
        "form": reward.form,
        "cost": axis.name,
        "target": target,
        "exponent": _minus(exponent),
        "beta": _minus(beta or 0.0),
    }


def _minus(value: float, form: str = "g") -> str:
    return f"{value:{form}}".replace("-", "−")


def facts(run: Run) -> list[tuple[str, str]]:
    """Return (name, text) of the search: trials, time, workers, machine, versions, command."""
    origin = run.settings.get("provenance") or run.head.provenance
    origin = origin if isinstance(origin, Mapping) else {}
    rows = [("trials", _trials(run))]
    networks = [result for result in run.results if result.duplicate_of is None]
    stopped, saved = savings((result.epochs, result.stopped) for result in networks)
    if stopped:
        epochs = sum(result.epochs for result in networks)
        rows.append(
            ("early stopping", f"{stopped:,} stopped, {saved:,} of {saved + epochs:,} epochs saved")
        )
    rows.append(("time", _time(run)))
    rows += [("workers", _workers(run, origin)), ("machine", _machine(origin))]
    if isinstance(versions := origin.get("versions"), Mapping):
        names = [f"{name} {value}" for name, value in versions.items() if value is not None]
        rows.append(("versions", ", ".join(names)))
    for name in ("commit", "command"):
        if value := origin.get(name):
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((name, text))
    return [(name, text) for name, text in rows if text]


def progress(run: Run) -> tuple[int, int | None]:
    """Return (number of results, number of trials that the search is to have, if known)."""
    search: Any = run.settings.get("search", {})
    planned = search.get("trials") if isinstance(search, Mapping) else None
    return len(run.results), planned if type(planned) is int else None


def _trials(run: Run) -> str:
    done, planned = progress(run)
    text = f"{done:,}" if planned is None or done >= planned else f"{done:,} of {planned:,}"
    duplicates = sum(result.duplicate_of is not None for result in run.results)
    failed = sum(result.error is not None and result.duplicate_of is None for result in run.results)
    parts = [f"{done - duplicates:,} networks evaluated"]
    parts += [f"{duplicates:,} duplicates"] if duplicates else []
    parts += [f"{failed:,} failed"] if failed else []
    return f"{text}: {', '.join(parts)}"


def _time(run: Run) -> str:
    seconds = sessions.seconds(run)
    if seconds is None:
        return ""
    count = len(sessions.recorded(run.settings))
    pauses = f" in {count} sessions" if count > 1 else ""
    evaluation = sum(result.seconds for result in run.results)
    return f"{duration(seconds)} wall-clock{pauses}; {duration(evaluation)} of evaluation"


def _workers(run: Run, origin: Mapping[str, Any]) -> str:
    engine = run.settings.get("engine")
    if not isinstance(engine, Mapping) or "kind" not in engine:
        return ""
    if engine["kind"] == "inline":
        return "1, in the process of the search"
    count = engine.get("workers")
    text = f"as many as fit on {origin.get('cores')} cores" if count is None else f"{count}"
    return f"{text} ({engine['kind']})"


def _machine(origin: Mapping[str, Any]) -> str:
    devices = origin.get("devices")
    devices = devices if isinstance(devices, list) else []
    parts = [origin.get("host"), origin.get("processor")]
    cores = origin.get("cores")
    parts += [f"{cores} core{'' if cores == 1 else 's'}" if cores else None, *devices]
    return ", ".join(str(part) for part in [*parts, origin.get("system")] if part)
