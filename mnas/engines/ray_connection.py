"""Connection of this process to Ray: one of its own on this machine, or a cluster.

A Ray of our own listens on the loopback interface only, so other machines cannot reach it. Other
users of this machine can reach its ports, on which Ray asks for a token from version 2.59 on, but
not its files and sockets (`mnas.engines.ray_directory`). It ends with this process: Ray ends what
this process has started, workers end with their raylet (`mnas.runtime.parent`), and Ray's agents,
which would stay for a minute, are ended by `mnas.engines.ray_watchdog`.

A search depends on two services, the GCS and the raylet of this machine. Ray does not say when they
end: `ray.wait` never returns, or the process is aborted a minute later. So `Services.check` looks.
"""

import contextlib
import importlib
import os
import secrets
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from mnas.engines import ray_watchdog
from mnas.engines.check import check_engine
from mnas.engines.config import EngineConfig
from mnas.engines.environment import environment_variables
from mnas.engines.ray_directory import local_directory
from mnas.errors import RunFailure, UsageError, shown
from mnas.runtime import signals
from mnas.runtime.pinning import usable_cores

LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0": Ray's addresses are 127.0.0.1
PATIENCE_SECONDS = 30.0  # for a service of another machine that does not answer


class Services:
    """The services of Ray that a search depends on, by name, with their TCP addresses."""

    def __init__(self, addresses: dict[str, tuple[str, int]]) -> None:
        self._addresses = addresses
        self._answered = dict.fromkeys(addresses, time.monotonic())

    @classmethod
    def connected(cls) -> "Services":
        """Return the services of the Ray that this process is connected to."""
        if ray.util.client.ray.is_connected():  # through a proxy, which tells of losses
            return cls({})
        context = ray.get_runtime_context()
        node_id = context.get_node_id()
        node = next(node for node in ray.nodes() if node["NodeID"] == node_id)
        host, _, port = context.gcs_address.rpartition(":")
        return cls(
            {
                "GCS": (host, int(port)),
                "raylet": (node["NodeManagerAddress"], node["NodeManagerPort"]),
            }
        )

    def check(self) -> None:
        """Raise RunFailure where a service has ended."""
        for name, address in self._addresses.items():
            try:
                socket.create_connection(address, timeout=5).close()
                self._answered[name] = time.monotonic()
            except OSError:
                local = address[0].startswith("127.")
                silent = time.monotonic() - self._answered[name]
                if local or silent > PATIENCE_SECONDS:
                    cause = "killed, or out of memory" if local else f"silent for {silent:.0f} s"
                    raise RunFailure(f"Ray's {name} has ended ({cause})") from None


@contextlib.contextmanager
def connect(config: EngineConfig) -> Iterator[Services]:
    """Connect this process to Ray within the context.

    Uses the connection that the process has, else the cluster at `config.address`, else a new local
    Ray that ends with the context. Raises: UsageError where Ray cannot be reached or started.
    """
    if ray.is_initialized():
        yield Services.connected()
        return
    # Ray prints the errors of workers, which are in their results, and its own in full.
    with (
        _set_attribute(ray._private.worker, "print_to_stdstream", lambda *_, **__: None),
        contextlib.nullcontext() if config.address else _own_token(),
        contextlib.nullcontext() if config.address else _watchdog(),
    ):
        try:
            _start(config)
            yield Services.connected()
        finally:
            ray.shutdown()


def _start(config: EngineConfig) -> None:
    """Connect to the cluster at `config.address`, or start a local Ray."""
    # Ray warns where this variable is not set.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if config.address:
        check_engine(config)
        _initialize(config, options | {"address": config.address})
    else:
        needed = (config.workers or 1) * config.threads
        options |= {
            "address": "local",
            "num_cpus": max(usable_cores(), needed),
            "include_dashboard": False,
            "_temp_dir": local_directory(),
        }
        with _on_loopback():
            _initialize(config, options)
    signals.reinstall()  # Ray has set handlers of its own
    signals.check()


def _initialize(config: EngineConfig, options: dict[str, Any]) -> None:
    """Call `ray.init`; UsageError with the first line of its error."""
    try:
        with warnings.catch_warnings():
            # JAX warns about a fork of a process with threads; Ray's fork is followed by exec.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(**options)
    except TypeError:  # options that this version of Ray does not have
        raise
    except Exception as error:  # Ray raises errors of many classes, Exception itself among them
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        cause = lines[0] if lines else type(error).__name__
        if config.address:
            raise UsageError(f"engine: address = {shown(config.address)}: {cause}") from None
        raise UsageError(
            f"Ray does not start: {cause}; accepted without Ray: --engine.kind inline"
        ) from None


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that is started within the context use the loopback interface only.

    Ray has this for systems whose firewalls ask about every port. A user who has set the variable
    keeps it.
    """
    if LOOPBACK_VARIABLE in os.environ:
        yield
        return
    constants = importlib.import_module("ray._private.ray_constants")
    with (
        environment_variables({LOOPBACK_VARIABLE: "0"}),
        _set_attribute(constants, "ENABLE_RAY_CLUSTER", False),
    ):
        yield


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """Give a Ray that is started within the context a secret token of its own.

    Ray would keep one in ~/.ray/auth_token, with the permissions of the umask, for all that this
    user ever starts. A user who has set one keeps it.
    """
    loader = getattr(ray._raylet, "AuthenticationTokenLoader", None)
    if loader is None or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        yield
        return
    try:
        with environment_variables({"RAY_AUTH_TOKEN": secrets.token_hex(32)}):
            loader.instance().reset_cache()
            yield
    finally:
        loader.instance().reset_cache()


def _watchdog() -> contextlib.AbstractContextManager[Any]:
    """Start the watchdog; its standard input closes when this process or the context ends."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(ray_watchdog.__file__)), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in a terminal is for the driver
    )


@contextlib.contextmanager
def _set_attribute(module: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of a module within the context."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
