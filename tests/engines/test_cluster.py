"""A Ray cluster whose machines come and go. Slow: it starts several."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.searches import facts

pytestmark = pytest.mark.slow
pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]
# A cluster of a head without cores and two machines, of which one is killed in mid-search.
PROGRAM = """
import sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from mnas.engines import ray as engine
from mnas.engines.config import EngineConfig
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search

path = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
cluster.add_node(num_cpus=1)
leaving = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()


def leave():
    while path.read_bytes().count(b'"result"') < 6:
        time.sleep(0.05)
    cluster.remove_node(leaving, allow_graceful=False)


search = build_search(path)
threading.Thread(target=leave, daemon=True).start()
engine.run(search, TableConfig(seconds=0.3), EngineConfig(address=cluster.address, pin=False))
assert search.done and not any(r.evaluation.error for r in search.results.values())
cluster.shutdown()
"""


def test_a_search_goes_on_where_a_machine_leaves_the_cluster(tmp_path, reference):
    path = tmp_path / "journal.jsonl"
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], cwd=ROOT, check=True, timeout=500)
    assert facts(path) == reference()
