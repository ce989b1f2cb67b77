"""Automatic settings of an experiment: values that follow from the backend of its workers.

They are set before anything is recorded: a run's experiment.json and journal hold the values, and
the backend. So no result depends on the machine without a record, and a run is resumed on its own
backend only.
"""

import dataclasses
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.engines.environment import backend_of
from mnas.evaluation import DeviceDependent, ImageDescription, WrapperConfig, unwrapped
from mnas.experiment.settings import Experiment


def backend(experiment: Experiment) -> str | None:
    """Return the backend that children are evaluated on; None where results don't depend on it.

    Call it after `mnas.engines.environment.prepare_driver`.
    """
    is_dependent = isinstance(unwrapped(experiment.evaluator), DeviceDependent)
    return backend_of(experiment.engine) if is_dependent else None


def resolved(experiment: Experiment) -> Experiment:
    """Return the experiment with the values of its automatic settings."""
    name = backend(experiment)
    if name is None:
        return experiment
    evaluator = _for_backend(experiment.evaluator, name)
    return dataclasses.replace(experiment, evaluator=evaluator)


def _for_backend(evaluator: Any, name: str) -> Any:
    """Return an evaluator's configuration, within wrappers too, for a backend."""
    if isinstance(evaluator, WrapperConfig):
        inner: Any = _for_backend(evaluator.evaluator, name)
        changes: dict[str, Any] = {"evaluator": inner}
        return dataclasses.replace(evaluator, **changes)  # type: ignore[type-var]
    return evaluator.for_backend(name)


def describe_images(experiment: Experiment, architecture: Architecture) -> str | None:
    """Return one line: where workers keep images of networks like this one; None without any."""
    evaluator = unwrapped(experiment.evaluator)
    if not isinstance(evaluator, ImageDescription):
        return None
    return evaluator.describe_images(architecture, backend_of(experiment.engine))
