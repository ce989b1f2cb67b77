"""Settings of an engine, and their checks."""

import contextlib
import dataclasses
import importlib
import socket
from typing import Literal

from mnas.errors import (
    UsageError,
    rejected,
    require_at_least,
    require_positive,
    require_whole,
    shown,
)


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """Engine and resources of a search. Only `threads` affects results."""

    kind: Literal["ray", "inline", "tune"] = "ray"
    """ray: persistent Ray actors; inline: this process; tune: one Ray Tune run per batch."""
    workers: int | None = None
    """Children evaluated in parallel; None: one per core, or per GPU fraction."""
    threads: int = 1
    """XLA CPU threads per worker. Results with another number differ in the last bits."""
    pin: bool = True
    """Pin each CPU worker to cores of its own, one per thread (Linux only)."""
    gpus_per_worker: float = 0.0
    """GPUs per worker; 0.25 puts four workers on one GPU, 0 keeps workers on the CPU."""
    address: str | None = None
    """Address of a running Ray cluster ('auto' finds it); None starts a local Ray."""
    time_limit_seconds: float | None = None
    """Time limit per child; a child that exceeds it is stopped and recorded as failed."""
    retries: int = 2
    """Further attempts for a child whose worker process died."""

    def __post_init__(self) -> None:
        if self.workers is not None:
            require_whole("engine", "workers", self.workers, most=100_000)
        require_whole("engine", "threads", self.threads, most=10_000)
        require_whole("engine", "retries", self.retries, least=0, most=1_000)
        require_at_least("engine", "gpus_per_worker", self.gpus_per_worker, 0)
        if self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
            raise rejected(
                "engine", "gpus_per_worker", self.gpus_per_worker, "0 to 1, or a whole number"
            )
        if self.time_limit_seconds is not None:
            require_positive("engine", "time_limit_seconds", self.time_limit_seconds, most=1e8)


def check_engine(config: EngineConfig) -> None:
    """Raise UsageError for settings that cannot work, without starting Ray.

    Tries to connect to a HOST:PORT address: Ray itself would wait many minutes for a cluster that
    does not answer. Without an address, looks for GPUs where workers need some.
    """
    if config.kind == "tune" and config.time_limit_seconds is not None:
        raise UsageError(
            f"engine: time_limit_seconds = {config.time_limit_seconds:g}: Ray Tune has no time "
            "limit for a child; accepted with engine ray"
        )
    if config.kind != "inline" and config.gpus_per_worker and not config.address:
        with contextlib.suppress(ModuleNotFoundError):  # which `mnas.engines.drive` reports
            importlib.import_module("mnas.engines.ray_connection").check_gpus(config)
    host, _, port = (config.address or "").removeprefix("ray://").rpartition(":")
    if config.kind == "inline" or not (host and port.isdigit()):
        return  # No address, or one such as 'auto', which Ray resolves at once.
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UsageError(
            f"engine: address = {shown(config.address)}: {error.strerror or error}; "
            "accepted: the address of a running Ray cluster, or auto"
        ) from None
