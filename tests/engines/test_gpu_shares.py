"""Several workers on one GPU, as far as it can be seen without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_workers_share_a_gpu_and_its_memory_and_must_compute_on_it(tmp_path):
    command = [sys.executable, "-m", "tests.engines.gpu_process", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["error"].startswith("Ray workers don't start: ")
    assert "JAX in the workers computes on the cpu; accepted: 0" in found["error"]
    assert {seen["CUDA_VISIBLE_DEVICES"] for seen in found["seen"]} == {"0"}
    assert {seen["XLA_CLIENT_MEM_FRACTION"] for seen in found["seen"]} == {"0.450"}
    assert len({seen["process"] for seen in found["seen"]}) == 2
