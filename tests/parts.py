"""Registered configuration classes, for tests that cover every implementation."""

from typing import Any

from mnas.experiment import registry


def registered(part: str) -> dict[str, Any]:
    """Return the configuration classes of `part` (space, controller, evaluator) by name."""
    return {name: registry.load(part, name) for name in registry.entries(part)}
