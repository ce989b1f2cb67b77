"""A search on a cluster of Ray, of which one machine leaves in mid-search, as a process.

python -m tests.engines.cluster_process LOSS RETRIES DIRECTORY

The head has no cores; each of two machines has one. After `RESULTS` results, while both evaluate a
child, the second machine is killed (LOSS killed), or stopped so that it does not answer (silent).
Writes the journal, and a file `attempts` with a line for each evaluation begun, to DIRECTORY.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from mnas.engines import ray as engine
from mnas.engines.config import EngineConfig
from mnas.loop.journal import read
from mnas.loop.records import ResultRecord
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search

RESULTS = 7
CHILD_SECONDS = 1.0
NOTICE_SECONDS = 60.0  # until Ray counts a machine as dead


def family(process: int) -> list[int]:
    """Return a process and its children."""
    found = [process]
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == process:
                found.append(int(name))
    return found


def both_evaluate(directory: Path) -> bool:
    """Return whether two children are being evaluated, after so many results."""
    results = [r for r in read(directory / "journal.jsonl") if isinstance(r, ResultRecord)]
    begun = len(notes(directory, "attempts"))
    return len(results) >= RESULTS and begun == 2 + len({record.hash for record in results})


def machines_alive(address: str) -> int:
    with ray.init(address, log_to_driver=False, logging_level="ERROR"):
        return sum(node["Alive"] for node in ray.nodes())


def main(loss: str, retries: int, directory: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.add_node(num_cpus=1)
    leaving = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    machine = family(leaving.all_processes["raylet"][0].process.pid)
    left: list[float] = []

    def leave() -> None:
        while not both_evaluate(directory):
            time.sleep(0.02)
        machine[:] = family(machine[0])
        for process in machine:
            os.kill(process, signal.SIGKILL if loss == "killed" else signal.SIGSTOP)
        left.append(time.monotonic())

    search = build_search(directory / "journal.jsonl")
    threading.Thread(target=leave, daemon=True).start()
    evaluator = TableConfig(seconds=CHILD_SECONDS, directory=str(directory))
    config = EngineConfig(address=cluster.address, pin=False, retries=retries)
    try:
        engine.run(search, evaluator, config)
        assert search.done
        assert left, "no machine left"
        while machines_alive(cluster.address) > 2:
            assert time.monotonic() < left[0] + NOTICE_SECONDS, "all machines are alive"
            time.sleep(1)
    finally:
        for process in machine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
