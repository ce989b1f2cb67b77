"""Settings of an engine."""

import dataclasses
from typing import Literal

from mnas.errors import (
    is_number,
    rejected,
    require_at_least,
    require_positive,
    require_whole,
)
from mnas.runtime.backends import choices


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
    gpus_per_worker: float | Literal["auto"] = 0.0
    """GPUs per worker; 0.25 puts four workers on one GPU, 0 keeps workers on the CPU, 'auto' is the
    share that `mnas.runtime.backends` has for GPUs."""
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
        if self.gpus_per_worker == "auto":  # the same on every machine
            object.__setattr__(self, "gpus_per_worker", 1 / choices("gpu").workers)
        if not is_number(self.gpus_per_worker):
            accepted = "'auto', or a number of at least 0"
            raise rejected("engine", "gpus_per_worker", self.gpus_per_worker, accepted)
        require_at_least("engine", "gpus_per_worker", self.gpu_share, 0)
        if self.gpu_share > 1 and self.gpu_share % 1:
            accepted = "0 to 1, or a whole number"
            raise rejected("engine", "gpus_per_worker", self.gpu_share, accepted)
        if self.time_limit_seconds is not None:
            require_positive("engine", "time_limit_seconds", self.time_limit_seconds, most=1e8)

    @property
    def gpu_share(self) -> float:
        """`gpus_per_worker` as a number."""
        assert self.gpus_per_worker != "auto"  # __post_init__ replaces it
        return self.gpus_per_worker
