"""Comparison of two architectures: decisions and costs stage by stage, predicted accuracies."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import Cost, network_cost, parts
from mnas.reward import RewardConfig

# Predictor of top-1 accuracy, 0 to 1, by name of the fit: {fit: (mean, standard deviation)}. Raises
# ValueError for an architecture that the fits do not cover.
Predict = Callable[[Architecture], Mapping[str, tuple[float, float]]]

FIELDS = tuple(field.name for field in dataclasses.fields(Block))
# Settings that few networks change; tables show them only where the two networks differ.
RARE_SETTINGS = ("stem_kernel", "stem_stride", "stem_pool", "padding", "bn_epsilon")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a network: stem, stage, head or classifier; `block` is None unless a stage."""

    block: Block | None
    cost: Cost


@dataclasses.dataclass(frozen=True)
class PartPair:
    """The same part of both networks; None for a network that lacks it.

    name  stem, stage1, stage2, ..., head or classifier
    """

    name: str
    network: Part | None
    reference: Part | None

    @property
    def pair(self) -> tuple[Part | None, Part | None]:
        """Return (the network's part, the reference's part)."""
        return self.network, self.reference

    def values(self, field: str) -> tuple[Any, ...]:
        """Return both values of a `Block` field; None where a part is no stage or is missing."""
        return tuple(getattr(part and part.block, field, None) for part in self.pair)

    @property
    def differs(self) -> tuple[str, ...]:
        """Return the `Block` fields in which the two differ; all if only one has this stage."""
        return tuple(field for field in FIELDS if len(set(self.values(field))) > 1)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network beside a reference, which was resized to its resolution and number of classes.

    resized_from      the reference's own resolution and classes, as far as they differ
    predictions       by fit: (mean, standard deviation) of accuracy, of network and reference
    prediction_error  reason why predictions were requested but are not possible
    rewards           by fit: (network's, reference's) reward at the predicted accuracies; empty
                      without a reward, or for one of latency
    """

    network: Architecture
    reference: Architecture
    resized_from: dict[str, int]
    parts: tuple[PartPair, ...]
    predictions: dict[str, tuple[tuple[float, float], tuple[float, float]]]
    prediction_error: str | None
    rewards: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Return whether both build the same network, though their decisions may differ."""
        return self.network.canonical_hash() == self.reference.canonical_hash()


def compare(
    network: Architecture,
    reference: Architecture,
    predict: Predict | None = None,
    reward: RewardConfig | None = None,
) -> Comparison:
    """Return the comparison of two architectures, with stages paired in order.

    predict  predictor of accuracy, called with both networks after resizing
    reward   reward to compute at the predicted accuracies
    """
    original = {"resolution": reference.resolution, "classes": reference.classes}
    resized_from = {name: old for name, old in original.items() if old != getattr(network, name)}
    reference = reference.replace(resolution=network.resolution, classes=network.classes)
    predictions, prediction_error = _predictions(network, reference, predict)
    rewards = {}
    if reward is not None and reward.cost != "latency_ms":
        for fit, (ours, theirs) in predictions.items():
            rewards[fit] = (
                reward(ours[0], getattr(network_cost(network), reward.cost)),
                reward(theirs[0], getattr(network_cost(reference), reward.cost)),
            )
    return Comparison(
        network,
        reference,
        resized_from,
        _paired_parts(network, reference),
        predictions,
        prediction_error,
        rewards,
    )


def _predictions(
    network: Architecture, reference: Architecture, predict: Predict | None
) -> tuple[dict[str, tuple[tuple[float, float], tuple[float, float]]], str | None]:
    """Return (predictions by fit, None), or (nothing, the reason)."""
    if predict is None:
        return {}, None
    try:
        ours, theirs = predict(network), predict(reference)
    except ValueError as error:
        return {}, " ".join(str(error).split())
    return {fit: (ours[fit], theirs[fit]) for fit in ours if fit in theirs}, None


def _paired_parts(network: Architecture, reference: Architecture) -> tuple[PartPair, ...]:
    ours, theirs = _parts(network), _parts(reference)
    names = [*max(ours, theirs, key=len)]
    if "head" in {*ours, *theirs} - {*names}:  # Only the network with fewer stages has a head.
        names.insert(-1, "head")
    return tuple(PartPair(name, ours.get(name), theirs.get(name)) for name in names)


def _parts(architecture: Architecture) -> dict[str, Part]:
    """Return a network's parts by name, layers of a stage summed."""
    costs: dict[str, Cost] = collections.defaultdict(Cost)
    for part in parts(architecture):
        costs[part.name.split("_")[0]] += part.cost
    blocks = {f"stage{number}": block for number, block in enumerate(architecture.blocks, start=1)}
    return {name: Part(blocks.get(name), cost) for name, cost in costs.items()}


def totals(architecture: Architecture) -> dict[str, Any]:
    """Return costs, sizes and settings of a whole network.

    `mean_filters` is the mean over all layers of the stages.
    """
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
        **{name: getattr(architecture, name) for name in RARE_SETTINGS},
    }


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Return plain data for JSON; every pair is {"network": ..., "reference": ...}."""

    def pair(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(("network", "reference"), values, strict=True))

    networks = (comparison.network, comparison.reference)
    ours, theirs = map(totals, networks)
    return {
        **pair([network.to_dict() for network in networks]),
        "same": comparison.same,
        "reference_resized_from": comparison.resized_from,
        "totals": pair([ours, theirs]),
        "ratio": {name: ours[name] / theirs[name] for name in ("mult_adds", "params")},
        "parts": [
            {
                "name": paired.name,
                "differs": list(paired.differs),
                **pair([part and dataclasses.asdict(part) for part in paired.pair]),
            }
            for paired in comparison.parts
        ],
        "predictions": {
            fit: {
                **pair([{"mean": mean, "std": std} for mean, std in both]),
                "difference": both[0][0] - both[1][0],
            }
            for fit, both in comparison.predictions.items()
        },
        "prediction_error": comparison.prediction_error,
        "rewards": {fit: pair(both) for fit, both in comparison.rewards.items()},
    }
