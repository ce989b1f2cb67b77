"""GPUs of this machine, as a local Ray counts them."""

import importlib

import ray

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError


def check_gpus(config: EngineConfig) -> None:
    """Raise UsageError where a local Ray would see fewer GPUs than one worker needs."""
    if config.gpu_share and not config.address and not ray.is_initialized():
        seen = _visible_gpus()
        if seen is not None and seen < config.gpu_share:
            raise no_such_gpus(config, seen)


def no_such_gpus(config: EngineConfig, seen: float) -> UsageError:
    """Return the error for more GPUs per worker than Ray sees."""
    sees = f"only {seen:g}" if seen else "no GPU"
    accepted = f"up to {seen:g}, or 0" if seen else "0"
    return UsageError(
        f"engine: gpus_per_worker = {config.gpu_share:g}, but Ray sees {sees}; accepted: "
        f"{accepted} (workers on the CPU)"
    )


def _visible_gpus() -> int | None:
    """Return the number of GPUs that a local Ray would have; None if Ray does not tell."""
    try:
        accelerators = importlib.import_module("ray._private.accelerators")
        manager = accelerators.get_accelerator_manager_for_resource("GPU")
        visible = manager.get_current_process_visible_accelerator_ids()
        count = manager.get_current_node_num_accelerators()
    except (ImportError, AttributeError):  # not in this version of Ray
        return None
    return count if visible is None else min(count, len(visible))
