"""The sides that are compared, and their worker processes.

A side's workers together have the whole machine, in one of two arrangements: a process a core with
one thread, pinned; or one process with all threads. They are started, driven and read here; what
they answer is said in `mnas.benchmark.worker`.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mnas
from mnas.runtime.pinning import allowed_cores

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Side:
    """One of those compared.

    title          for people
    file           with the class `Side` of `mnas.benchmark.worker`
    torch          runs under the interpreter that has PyTorch
    compiled       compiles a child before it is trained
    shares_blocks  what was compiled for one child serves others
    """

    title: str
    file: Path
    torch: bool = False
    compiled: bool = True
    shares_blocks: bool = False


OURS = "ours"
SIDES = {
    OURS: Side("ours", HERE / "ours.py", shares_blocks=True),
    "flax": Side("plain Flax", HERE / "plain_flax.py"),
    "torch": Side("PyTorch eager", HERE / "torch_eager.py", torch=True, compiled=False),
    "torch-compile": Side("torch.compile", HERE / "torch_eager.py", torch=True),
}


class SideFailed(Exception):
    """A side that can't be measured: it raised or died (one line says why), or isn't installed."""


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """How a side's processes and threads fill the machine; `name` is for people."""

    name: str
    processes: int
    threads: int


def arrangements(cores: int) -> list[Arrangement]:
    """The candidates; on one core they are the same."""
    each = Arrangement("a process a core", cores, 1)
    return [each] if cores == 1 else [each, Arrangement("one process", 1, cores)]


@contextlib.contextmanager
def unless_a_peer_fails(
    name: str, title: str, say: Callable[[str], None], leave: Callable[[str], None]
) -> Iterator[None]:
    """A peer that fails leaves the benchmark, which goes on; ours must not fail.

    say    what is told to people
    leave  called with the reason, takes the side out
    """
    try:
        yield
    except SideFailed as error:
        if name == OURS:
            raise RuntimeError(f"{title}: {error}") from error
        say(f"{title}: {error}")
        leave(str(error))


class Team:
    """All worker processes of one side in one arrangement; a context manager that ends them.

    cache     directory for what is compiled, shared by the workers and, if kept, by later teams
    images    `.npz` of `children.write_images`
    training  settings as of `mnas.training.config.TrainingConfig`

    Raises SideFailed, here and in all calls, for a side that can't go on.
    """

    def __init__(
        self,
        side: Side,
        arrangement: Arrangement,
        *,
        python: str,
        cache: Path,
        images: Path,
        training: dict[str, Any],
    ) -> None:
        self.arrangement = arrangement
        cores = allowed_cores()
        job = {
            "side": str(side.file),
            "threads": arrangement.threads,
            "images": str(images),
            "training": training,
            "compiled": side.compiled,
        }
        environment = _environment(side, arrangement.threads, cache)
        self._workers: list[_Worker] = []
        try:
            for index in range(arrangement.processes):
                own = [cores[index]] if arrangement.threads == 1 else cores
                self._workers.append(_Worker(python, {**job, "cores": own}, environment))
            for worker in self._workers:
                self.versions = worker.started()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def ask_all(self, **request: Any) -> list[dict[str, Any]]:
        """The same request to all at once; their answers."""
        for worker in self._workers:
            worker.send(request)
        return [worker.answer() for worker in self._workers]

    def ask_each(
        self, requests: Sequence[dict[str, Any]], answered: Callable[[], None]
    ) -> list[dict[str, Any]]:
        """The answers to `requests`, each given to the next worker that is free."""
        free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            free.put(worker)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            worker = free.get()
            try:
                worker.send(request)
                return worker.answer()
            finally:
                free.put(worker)
                answered()

        pool = concurrent.futures.ThreadPoolExecutor(len(self._workers))
        try:
            return list(pool.map(ask, requests))
        except BaseException:
            self.close()  # threads that wait for an answer get none, and end
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _environment(side: Side, threads: int, cache: Path) -> dict[str, str]:
    """Of a worker: what this project's own workers get, for all alike, and caches of its own."""
    from mnas.engines.config import EngineConfig
    from mnas.engines.environment import child_environment

    environment = {**os.environ, **child_environment(EngineConfig(threads=threads))}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    environment["OMP_NUM_THREADS"] = str(threads)
    # A worker's own folder is no place to import from: its files would hide others of their names.
    environment["PYTHONSAFEPATH"] = "1"
    if not side.torch:  # the other interpreter must not see this one's packages
        root = str(Path(mnas.__file__).parents[1])
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([root, known] if known else [root])
    return environment


class _Worker:
    """One process; at most one request is out at a time."""

    def __init__(self, python: str, job: dict[str, Any], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the worker dies
        self._process = subprocess.Popen(
            [python, str(HERE / "worker.py"), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )

    def send(self, request: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):  # dead, or closed
            raise SideFailed(self._last_words()) from None

    def started(self) -> dict[str, str]:
        """Versions of what the side stands on, once its file is imported."""
        answer = self._read()
        if "missing" in answer:
            raise SideFailed(f"not installed: {answer['missing']}")
        return self._checked(answer)["versions"]

    def answer(self) -> dict[str, Any]:
        return self._checked(self._read())

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise SideFailed(self._last_words())
        return json.loads(line)

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise SideFailed(f"failed: {answer['error']}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:  # a request that was never read
                continue
        self._errors.close()

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()] or ["no message"]
        return f"failed: worker ended with status {status}: {lines[-1]}"


def interpreter(side: Side, torch_python: str | None) -> str:
    """Path of the Python that runs the side's workers."""
    return (torch_python if side.torch else None) or sys.executable
