"""Neural architecture search for MBConv networks: the search that finds EfficientNet-B0.

A search samples architectures from a space by a controller, evaluates each and rewards accuracy
against cost; the best is exported, scaled and trained to the end.

    import mnas

    run = mnas.search("b0-imagenet", out="runs/b0")    # or an Experiment of one's own
    print(run.best.reward, run.architecture)

    space ──▶ controller ──▶ architecture ──▶ evaluator ──▶ reward ──▶ controller
                                  └──▶ journal ──▶ best ──▶ export, scale, train, report

The names below are the public interface. They are imported when first used, so that `import mnas`
loads neither JAX nor Ray. The parts that ship are in `mnas.search_spaces`, `mnas.controllers`,
`mnas.evaluators` and `mnas.experiments`; `mnas.testing` checks one's own.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__: str  # of the installed package, read when it is used

__all__ = [
    "Architecture",
    "Block",
    "Controller",
    "ControllerConfig",
    "EngineConfig",
    "Evaluation",
    "EvaluatorConfig",
    "Experiment",
    "Journal",
    "OneOf",
    "Proposals",
    "RewardConfig",
    "Run",
    "Search",
    "SearchConfig",
    "Space",
    "Study",
    "Trial",
    "UsageError",
    "load_run",
    "search",
]

if TYPE_CHECKING:
    from mnas.api.run import Run, load_run
    from mnas.api.search import search
    from mnas.architecture.architecture import Architecture
    from mnas.architecture.block import Block
    from mnas.controller import Controller, ControllerConfig, Proposals
    from mnas.engines.config import EngineConfig
    from mnas.errors import UsageError
    from mnas.evaluation import Evaluation, EvaluatorConfig
    from mnas.experiment.settings import Experiment
    from mnas.experiment.study import Study
    from mnas.loop.config import SearchConfig
    from mnas.loop.journal import Journal
    from mnas.loop.search import Search
    from mnas.loop.trial import Trial
    from mnas.reward import RewardConfig
    from mnas.space import OneOf, Space

# The module of each public name: the same as above, for when the program runs.
_MODULES = {
    "Architecture": "mnas.architecture.architecture",
    "Block": "mnas.architecture.block",
    "Controller": "mnas.controller",
    "ControllerConfig": "mnas.controller",
    "EngineConfig": "mnas.engines.config",
    "Evaluation": "mnas.evaluation",
    "EvaluatorConfig": "mnas.evaluation",
    "Experiment": "mnas.experiment.settings",
    "Journal": "mnas.loop.journal",
    "OneOf": "mnas.space",
    "Proposals": "mnas.controller",
    "RewardConfig": "mnas.reward",
    "Run": "mnas.api.run",
    "Search": "mnas.loop.search",
    "SearchConfig": "mnas.loop.config",
    "Space": "mnas.space",
    "Study": "mnas.experiment.study",
    "Trial": "mnas.loop.trial",
    "UsageError": "mnas.errors",
    "load_run": "mnas.api.run",
    "search": "mnas.api.search",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("mnas")
    if name not in _MODULES:
        raise AttributeError(f"module 'mnas' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
