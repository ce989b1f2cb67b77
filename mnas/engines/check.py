"""Check of an engine's settings against this machine, before anything is started."""

import contextlib
import socket

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError, shown


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
    if config.kind != "inline" and config.gpu_share and not config.address:
        with contextlib.suppress(ModuleNotFoundError):  # of Ray, which `mnas.engines.drive` reports
            from mnas.engines.ray_gpus import check_gpus

            check_gpus(config)
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
