"""How one architecture differs from another: decisions and costs stage by stage, predictions."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnas.architecture.architecture import VARIATIONS, Architecture, Block
from mnas.architecture.cost import Cost, network_cost, parts
from mnas.reward import RewardConfig

# The accuracy that every fit there is predicts, 0 to 1: {name of the fit: (mean, std)}.
# ValueError for an architecture that can't be put to them.
Predict = Callable[[Architecture], Mapping[str, tuple[float, float]]]

FIELDS = tuple(field.name for field in dataclasses.fields(Block))


@dataclasses.dataclass(frozen=True)
class Side:
    """One part of one network; its decisions are a `Block` where the part is a stage."""

    block: Block | None
    cost: Cost


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of both networks: stem, stage1, ..., head, classifier. None where one has none."""

    name: str
    network: Side | None
    reference: Side | None

    @property
    def sides(self) -> tuple[Side | None, Side | None]:
        return self.network, self.reference

    def values(self, field: str) -> tuple[Any, ...]:
        """What both decided of a block's field; None where there is no block."""
        return tuple(getattr(side and side.block, field, None) for side in self.sides)

    @property
    def differs(self) -> tuple[str, ...]:
        """The fields that the two decided differently; all where only one has such a stage."""
        return tuple(field for field in FIELDS if len(set(self.values(field))) > 1)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`network` beside `reference`, which was brought to the network's resolution and classes.

    brought         resolution and classes that the reference had before, where they were others
    predictions     by fit: (mean, std) of the network's accuracy and of the reference's
    no_predictions  why there are none, where they were asked for
    rewards         by fit: (the network's, the reference's) at the predicted accuracies, where a
                    reward was given whose cost is known
    """

    network: Architecture
    reference: Architecture
    brought: dict[str, int]
    parts: tuple[Part, ...]
    predictions: dict[str, tuple[tuple[float, float], tuple[float, float]]]
    no_predictions: str | None
    rewards: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether both build the same network, for all that their decisions may differ."""
        return self.network.canonical_hash() == self.reference.canonical_hash()


def compare(
    network: Architecture,
    reference: Architecture,
    predict: Predict | None = None,
    reward: RewardConfig | None = None,
) -> Comparison:
    """The comparison of two architectures, stages paired in order.

    `predict` is asked for both as they are compared: at the network's resolution and classes.
    """
    before = {"resolution": reference.resolution, "classes": reference.classes}
    brought = {name: old for name, old in before.items() if old != getattr(network, name)}
    reference = reference.replace(resolution=network.resolution, classes=network.classes)
    predictions, reason = {}, None
    if predict is not None:
        try:
            found, expected = predict(network), predict(reference)
            predictions = {fit: (found[fit], expected[fit]) for fit in found if fit in expected}
        except ValueError as error:
            reason = " ".join(str(error).split())
    rewards = {}
    if reward is not None and reward.cost != "latency_ms":
        costs = [getattr(network_cost(side), reward.cost) for side in (network, reference)]
        rewards = {
            fit: tuple(reward(mean, cost) for (mean, _), cost in zip(both, costs, strict=True))
            for fit, both in predictions.items()
        }
    ours, theirs = _sides(network), _sides(reference)
    names = [*max(ours, theirs, key=len)]  # of the one with more stages
    if "head" in {*ours, *theirs} - {*names}:  # all that only the other one can have
        names.insert(-1, "head")
    paired = tuple(Part(name, ours.get(name), theirs.get(name)) for name in names)
    return Comparison(network, reference, brought, paired, predictions, reason, rewards)


def _sides(architecture: Architecture) -> dict[str, Side]:
    costs: dict[str, Cost] = collections.defaultdict(Cost)
    for part in parts(architecture):
        costs[part.name.split("_")[0]] += part.cost
    blocks = {f"stage{number}": block for number, block in enumerate(architecture.blocks, start=1)}
    return {name: Side(blocks.get(name), cost) for name, cost in costs.items()}


def totals(architecture: Architecture) -> dict[str, Any]:
    """A whole network in a few figures; `mean_filters` is taken over the layers of its stages."""
    cost, layers = network_cost(architecture), architecture.layers()
    return {
        "mult_adds": cost.mult_adds,
        "params": cost.params,
        "layers": len(layers),
        "mean_filters": sum(layer.filters for layer in layers) / len(layers),
        "stem": architecture.stem,
        "head": architecture.head,
        "resolution": architecture.resolution,
        "classes": architecture.classes,
        "activation": architecture.activation,
        **{name: getattr(architecture, name) for name in VARIATIONS},
    }


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain data for JSON; every pair is {"network": ..., "reference": ...}."""

    def pair(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(("network", "reference"), values, strict=True))

    networks = (comparison.network, comparison.reference)
    ours, theirs = map(totals, networks)
    return {
        **pair([network.to_dict() for network in networks]),
        "same": comparison.same,
        "reference_brought_from": comparison.brought,
        "totals": pair([ours, theirs]),
        "ratio": {name: ours[name] / theirs[name] for name in ("mult_adds", "params")},
        "parts": [
            {
                "name": part.name,
                "differs": list(part.differs),
                **pair([side and dataclasses.asdict(side) for side in part.sides]),
            }
            for part in comparison.parts
        ],
        "predictions": {
            fit: {
                **pair([{"mean": mean, "std": std} for mean, std in both]),
                "difference": both[0][0] - both[1][0],
            }
            for fit, both in comparison.predictions.items()
        },
        "no_predictions": comparison.no_predictions,
        "rewards": {fit: pair(both) for fit, both in comparison.rewards.items()},
    }


# --- for people, on a terminal and in the report ---

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # heads and rows, all text


def tables(comparison: Comparison) -> list[Table]:
    """The whole networks; the decisions of every stage; the cost of every part."""
    return [_totals(comparison), _decisions(comparison), _costs(comparison)]


def _totals(comparison: Comparison) -> Table:
    ours, theirs = totals(comparison.network), totals(comparison.reference)
    long = {"mult_adds": "mult-adds", "mean_filters": "mean filters"}
    rows = []
    for name in ours:
        if name in VARIATIONS and ours[name] == theirs[name]:
            continue  # few networks have them; they would fill the table
        ratio = f"×{ours[name] / theirs[name]:.3f}" if name in ("mult_adds", "params") else ""
        rows.append((long.get(name, name), _text(ours[name]), _text(theirs[name]), ratio))
    for fit, both in comparison.predictions.items():
        shown = (f"{100 * mean:.2f} ± {100 * std:.2f}" for mean, std in both)
        rows.append((f"top-1 by {fit}, %", *shown, f"{100 * (both[0][0] - both[1][0]):+.2f}"))
    for fit, (ours, theirs) in comparison.rewards.items():
        rows.append((f"reward by {fit}", f"{ours:.4f}", f"{theirs:.4f}", f"{ours - theirs:+.4f}"))
    return ("", comparison.network.name, comparison.reference.name, ""), rows


def _decisions(comparison: Comparison) -> Table:
    short = {"expand_ratio": "expand", "se_ratio": "SE"}
    rows = []
    for part in comparison.parts:
        if any(side and side.block for side in part.sides):
            pairs = [map(_text, part.values(field)) for field in FIELDS]
            cells = (a if a == b else f"{a} ({b})" for a, b in pairs)
            rows.append((part.name, *cells))
    return ("", *(short.get(field, field) for field in FIELDS)), rows


def _costs(comparison: Comparison) -> Table:
    rows = []
    for part in comparison.parts:
        costs = [side and side.cost for side in part.sides]
        figures = [getattr(c, kind, None) for kind in ("mult_adds", "params") for c in costs]
        rows.append((part.name, *map(_text, figures)))
    return ("", "mult-adds", "reference", "params", "reference"), rows


def _text(value: float | str | bool | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def notes(comparison: Comparison) -> list[str]:
    """What a reader of the tables has to know, a line each."""
    name = comparison.reference.name
    lines = [f"Where a stage differs, {name}'s stands in parentheses; - is none."]
    if comparison.same:
        lines.append("Both build the same network.")
    if comparison.brought:
        changes = (
            f"{what} {getattr(comparison.reference, what)} (from {old})"
            for what, old in comparison.brought.items()
        )
        lines.append(f"{name} was brought to {' and '.join(changes)}.")
    if comparison.predictions:
        lines.append(
            "Predicted top-1 is that of a training of 16 epochs, by fits to measured networks. So "
            "short a schedule favours small networks: it doesn't tell which is better when both "
            "are trained to the end. The fits are surest among networks like the measured ones; "
            "where they disagree by more than their deviations, believe neither."
        )
    if comparison.no_predictions:
        lines.append(f"No predicted accuracy: {comparison.no_predictions}")
    return lines
