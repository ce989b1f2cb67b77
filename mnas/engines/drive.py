"""Run a search on the engine that its configuration names."""

import importlib
from typing import Any

from mnas.engines.config import EngineConfig, UnusableEngine
from mnas.evaluation import EvaluatorConfig
from mnas.loop.search import Search

ENGINES = {
    "inline": "mnas.engines.inline",
    "ray": "mnas.engines.ray",
    "tune": "mnas.engines.tune",
}


def drive(search: Search, evaluator: EvaluatorConfig, config: EngineConfig, **options: Any) -> None:
    """Drives `search` to its end. UnusableEngine where it can't run as configured."""
    try:
        engine = importlib.import_module(ENGINES[config.kind])
    except ModuleNotFoundError as error:
        raise UnusableEngine(
            f"engine: kind = {config.kind!r} needs {error.name}, which is not installed; "
            "accepted here: inline"
        ) from None
    engine.run(search, evaluator, config, **options)
