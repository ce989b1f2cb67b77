"""Teams of worker processes: start, requests and answers, end.

A contender's workers together use the whole machine, in one of two arrangements: one pinned
single-threaded process for every core, or one process with a thread for every core. The requests
and answers are described in `mnas.benchmark.worker`.
"""

import concurrent.futures
import dataclasses
import json
import os
import queue
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnas.benchmark.contender import ContenderFailed, ContenderSpec
from mnas.engines.config import EngineConfig
from mnas.engines.environment import child_environment
from mnas.runtime.pinning import allowed_cores

_PROGRAM = Path(__file__).with_name("worker.py")


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Number of processes, and of threads in each; `name` is shown to the user."""

    name: str
    processes: int
    threads: int


def arrangements(cores: int) -> list[Arrangement]:
    """Return the arrangements that use all cores; on one core there is only one."""
    pinned = Arrangement("a process a core", cores, 1)
    return [pinned] if cores == 1 else [pinned, Arrangement("one process", 1, cores)]


class Team:
    """All worker processes of one contender in one arrangement; a context manager that ends them.

    python    interpreter of the workers
    cache     directory of compiled programs, shared by the workers and by later teams
    images    `.npz` file of `mnas.benchmark.children.write_images`
    settings  passed to the contender: those of `mnas.training.config.TrainingConfig` for training

    The constructor and all requests raise ContenderFailed if a worker cannot go on.
    """

    def __init__(
        self,
        contender: ContenderSpec,
        arrangement: Arrangement,
        *,
        python: str,
        cache: Path,
        images: Path,
        settings: dict[str, Any],
    ) -> None:
        self.arrangement = arrangement
        cores = allowed_cores()
        job = {
            "contender": str(contender.file),
            "threads": arrangement.threads,
            "images": str(images),
            "settings": settings,
            "compile": contender.compiles,
        }
        environment = _environment(contender, arrangement.threads, cache)
        self._workers: list[_Worker] = []
        try:
            for index in range(arrangement.processes):
                worker_cores = [cores[index]] if arrangement.threads == 1 else cores
                self._workers.append(_Worker(python, {**job, "cores": worker_cores}, environment))
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
        """Kill all workers."""
        for worker in self._workers:
            worker.close()

    def ask_all(self, **request: Any) -> list[dict[str, Any]]:
        """Send one request to all workers at the same time and return their answers."""
        for worker in self._workers:
            worker.send(request)
        return [worker.answer() for worker in self._workers]

    def ask_each(
        self, requests: Sequence[dict[str, Any]], answered: Callable[[], None]
    ) -> list[dict[str, Any]]:
        """Return the answers to `requests`, each sent to the next idle worker.

        answered  called after every answer
        """
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            worker = idle.get()
            try:
                worker.send(request)
                return worker.answer()
            finally:
                idle.put(worker)
                answered()

        pool = concurrent.futures.ThreadPoolExecutor(len(self._workers))
        try:
            return list(pool.map(ask, requests))
        except BaseException:
            self.close()  # unblocks threads that wait for an answer
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _environment(contender: ContenderSpec, threads: int, cache: Path) -> dict[str, str]:
    """Return a worker's environment: that of the engines' workers, and a cache of its own."""
    environment = {**os.environ, **child_environment(EngineConfig(threads=threads))}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    environment["OMP_NUM_THREADS"] = str(threads)
    # Keeps the folder of the program off the import path: its modules would hide others.
    environment["PYTHONSAFEPATH"] = "1"
    if not contender.torch:  # another interpreter must not import this one's packages
        root = str(Path(__file__).parents[2])
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    return environment


class _Worker:
    """One worker process, with at most one unanswered request."""

    def __init__(self, python: str, job: dict[str, Any], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - read when the worker dies
        self._process = subprocess.Popen(
            [python, str(_PROGRAM), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            encoding="utf-8",
        )

    def send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):  # dead, or closed
            raise ContenderFailed(self._last_error()) from None

    def started(self) -> dict[str, str]:
        """Return versions of the contender's libraries, once its file is imported."""
        answer = self._read()
        if "missing" in answer:
            raise ContenderFailed(f"not installed: {answer['missing']}")
        versions: dict[str, str] = self._checked(answer)["versions"]
        return versions

    def answer(self) -> dict[str, Any]:
        return self._checked(self._read())

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed(self._last_error())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise ContenderFailed(f"failed: {answer['error']}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # a request that was never read
                continue
        self._errors.close()

    def _last_error(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()] or ["no message"]
        return f"failed: worker ended with status {status}: {lines[-1]}"
