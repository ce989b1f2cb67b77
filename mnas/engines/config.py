"""Where children are evaluated, and checks of it before anything starts."""

import dataclasses
import socket
from typing import Literal

from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """Where children are evaluated. Of all this only `threads` can change a result."""

    kind: Literal["ray", "inline", "tune"] = "ray"
    """ray: persistent Ray actors; inline: this process; tune: one Ray Tune run a batch."""
    workers: int | None = None
    """Children evaluated at the same time; where not given, one for each core (or GPU share)."""
    threads: int = 1
    """Threads of XLA on the CPU for each child. Another number gives other last digits."""
    pin: bool = True
    """Each worker on the CPU keeps to cores of its own, one a thread, where Linux lets it."""
    gpus_per_worker: float = 0.0
    """Share of a GPU for each worker; 0.25 puts four children on one."""
    address: str | None = None
    """Address of a running Ray cluster ('auto' finds it); a local Ray where not given."""
    time_limit_seconds: float | None = None
    """A child that takes longer is stopped and counts as failed."""
    retries: int = 2
    """How often a child is tried again whose worker was lost."""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 1), ("retries", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"engine: {name} = {value}; accepted: at least {least}")
        if self.gpus_per_worker < 0:
            raise UsageError(
                f"engine: gpus_per_worker = {self.gpus_per_worker}; accepted: 0 or more"
            )
        if self.time_limit_seconds is not None and not self.time_limit_seconds > 0:
            raise UsageError(
                f"engine: time_limit_seconds = {self.time_limit_seconds}; accepted: above 0"
            )


class UnusableEngine(UsageError):
    """An engine that can't run as configured; the message says what would be accepted."""


def check_engine(config: EngineConfig) -> None:
    """Finds what can be found wrong before anything is started; UnusableEngine names it.

    Ray would wait many minutes for a cluster at a HOST:PORT where nobody listens.
    """
    if config.kind == "tune" and config.time_limit_seconds is not None:
        raise UnusableEngine(
            f"engine: time_limit_seconds = {config.time_limit_seconds:g}: Ray Tune has no time "
            "limit for a child; accepted with engine ray"
        )
    host, _, port = (config.address or "").removeprefix("ray://").rpartition(":")
    if config.kind == "inline" or not (host and port.isdigit()):
        return  # 'auto', say, which Ray answers at once
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UnusableEngine(
            f"engine: address = {config.address!r}: {error.strerror or error}; "
            "accepted: the address of a running Ray cluster, or auto"
        ) from None
