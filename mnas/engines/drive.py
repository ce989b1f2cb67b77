"""Run a search on the engine that its configuration names."""

import importlib
from typing import Any

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluation import EvaluatorConfig
from mnas.loop.group import TrialSource
from mnas.runtime.jax_settings import default_settings

# Imported when used: Ray need not be installed for the inline engine.
ENGINES = {
    "inline": "mnas.engines.inline",
    "ray": "mnas.engines.ray",
    "tune": "mnas.engines.tune",
}


def drive(
    search: TrialSource, evaluator: EvaluatorConfig, config: EngineConfig, **options: Any
) -> None:
    """Run `search` until it is done, on the engine `config.kind`, with JAX's default settings.

    options  further arguments of that engine's `run`: `scheduler` and `storage_path` of the engine
             tune

    Raises: UsageError where the engine's library is missing or it cannot run as configured;
    `mnas.loop.search.TooManyFailures`; RunFailure where workers cannot start.
    """
    try:
        engine = importlib.import_module(ENGINES[config.kind])
    except ModuleNotFoundError as error:
        raise UsageError(
            f"engine: kind = {config.kind!r} needs {error.name}, which is not installed; "
            "accepted here: inline"
        ) from None
    with default_settings(other_threads=True):
        engine.run(search, evaluator, config, **options)
