"""Listed networks evaluated with several seeds: one exhaustive search of the list for each seed.

    DIR/seed-0/journal.jsonl, DIR/seed-1/journal.jsonl, ...

So a list is evaluated on every engine and resumed from its journals, like any search, and seeds can
be added. The engine runs all searches as one (`mnas.loop.group`): networks of a seed come before
those of the next seed, and workers idle only at the end of the last one.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.errors import UsageError
from mnas.evaluation import EvaluatorConfig, unwrapped
from mnas.experiment import registry, run
from mnas.experiment.automatic import resolved
from mnas.experiment.settings import Experiment
from mnas.files import parse_json
from mnas.loop.config import MAX_BATCH, SearchConfig
from mnas.loop.group import SearchGroup
from mnas.loop.records import ResultRecord
from mnas.loop.search import Observer
from mnas.preparation.evaluator import PreparedConfig, prepared
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space

NAME = "network-list"
ACCURACY = RewardConfig(w=0.0)  # accuracy · (cost / target)^0


@dataclasses.dataclass(frozen=True)
class NetworkList:
    """Space with a single decision: the index in a list of networks.

    networks  JSON of `Architecture.to_dict`, all different
    """

    networks: tuple[str, ...]

    @classmethod
    def of(cls, networks: Sequence[Architecture]) -> "NetworkList":
        """Return the list of these networks. Raises UsageError where two of them are the same."""
        names: dict[str, str] = {}
        for network in networks:
            other = names.setdefault(network.canonical_hash(), network.name)
            if other is not network.name:
                raise UsageError(
                    f"{network.name} and {other} are the same network; accepted: each one once"
                )
        return cls(tuple(json.dumps(network.to_dict()) for network in networks))

    def build(self) -> Space:
        """Return the space. Raises UsageError for text that is not JSON of a network."""
        networks = {
            index: Architecture.from_dict(parse_json(text, f"{NAME}: network {index}"))
            for index, text in enumerate(self.networks)
        }
        return Space(NAME, partial(_listed, networks=networks, index=OneOf(*networks)))


def _listed(networks: dict[int, Architecture], index: Any) -> Architecture:
    return networks[index]


def experiment(
    networks: Sequence[Architecture], evaluator: EvaluatorConfig, engine: EngineConfig, seed: int
) -> Experiment:
    """Return the experiment that evaluates each network once; its reward is the accuracy."""
    return Experiment(
        name=NAME,
        space=NetworkList.of(networks),
        controller=registry.load("controller", "exhaustive")(),
        evaluator=evaluator,
        reward=ACCURACY,
        search=SearchConfig(trials=None, batch=MAX_BATCH, seed=seed, failed_batches=1),
        engine=engine,
    )


def require_space(evaluator: EvaluatorConfig, space: Any) -> None:
    """Raise UsageError if the evaluator is prepared for a search space, and there is none."""
    config = unwrapped(evaluator)
    if space is None and isinstance(config, PreparedConfig):
        raise UsageError(
            f"{type(config).__name__} is prepared for the networks of a search space, and none is "
            "named; accepted: --space and its name"
        )


def evaluate(
    networks: Sequence[Architecture],
    evaluator: EvaluatorConfig,
    engine: EngineConfig,
    seeds: int,
    directory: Path,
    observe: Observer = lambda record: None,
    resumed: Callable[[int], None] = lambda results: None,
    space: Any = None,
    preparing: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> list[list[ResultRecord]]:
    """Evaluate every network with seeds 0, 1, ...; return the results, [seeds][networks].

    directory  of the journals, and of what the evaluator prepares; what they hold is not evaluated
               again
    observe    called with each record that is added to a journal
    resumed    called with the number of results that the journals hold before any is added
    space      configuration of the search space that the evaluator is prepared for, where it needs
               that (`mnas.preparation.evaluator`)
    preparing  called with the progress of this preparation

    An evaluation's own seed is derived from that and the network's index. Raises as
    `mnas.experiment.run.opened` and `drive`: UsageError where the journals are of other networks or
    settings; RunFailure, also where more than half of a seed's evaluations fail; KeyboardInterrupt.
    Results so far stay in the journals.
    """
    require_space(evaluator, space)
    searches = []
    with contextlib.ExitStack() as stack:
        for seed in range(seeds):
            seeded = experiment(networks, evaluator, engine, seed)
            path = directory / f"seed-{seed}"
            path.mkdir(parents=True, exist_ok=True)
            opened = run.opened(seeded, path, (observe,))
            searches.append(stack.enter_context(opened))
        resumed(sum(len(search.results) for search in searches))
        group = SearchGroup(searches)
        if not group.done:
            ready = prepared(resolved(seeded).evaluator, space, directory, engine, preparing)
            drive(group, ready, engine)
    return [
        [ResultRecord.of(search.results[number]) for number in sorted(search.results)]
        for search in searches
    ]
