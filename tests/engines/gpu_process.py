"""Process of its own for `test_gpu_shares`: searches on a Ray that believes to have a GPU.

Prints one JSON object: the error of workers that compute on the CPU nevertheless, and what workers
see whose computing is not checked.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import ray

from mnas.engines import ray as engine
from mnas.engines.config import EngineConfig
from mnas.engines.ray_directory import local_directory
from mnas.errors import RunFailure
from mnas.evaluation import Evaluation
from tests.engines.searches import build_search

VARIABLES = ("CUDA_VISIBLE_DEVICES", "XLA_CLIENT_MEM_FRACTION")


@dataclasses.dataclass(frozen=True)
class SeenConfig:
    """Evaluator whose child fails with the process and its environment as the message."""

    def build(self):
        return see


def see(architecture, seed, report=None):
    time.sleep(1)  # so that the other worker has children too
    seen = {name: os.environ.get(name) for name in VARIABLES}
    return Evaluation(error=json.dumps({"process": os.getpid(), **seen}))


def main(directory: Path) -> None:
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=local_directory(),
    )
    config = EngineConfig(kind="ray", gpus_per_worker=0.5)
    try:
        engine.run(build_search(directory / "checked.jsonl", trials=4), SeenConfig(), config)
        error = ""
    except RunFailure as failure:
        error = str(failure)
    engine.backend_of = lambda config: "cpu"  # of which nothing is required
    search = build_search(directory / "unchecked.jsonl", trials=12)
    engine.run(search, SeenConfig(), config)
    seen = [json.loads(result.evaluation.error) for result in search.results.values()]
    print(json.dumps({"error": error, "seen": seen}))
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
