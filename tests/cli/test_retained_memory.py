"""Commands that compute set the allocator before JAX has threads, which would keep their arenas."""

import json
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import sys
from mnas.__main__ import main
from mnas.runtime import memory

def retain():
    bridge = sys.modules.get("jax._src.xla_bridge")
    print("jax" in sys.modules, bridge is not None and bridge.backends_are_initialized())
    raise SystemExit(7)

memory.retain_freed_memory = retain
main(sys.argv[1:])
"""
SPEC = {
    "format": "mnas-spec/1",
    "name": "tiny",
    "blocks": ["r1_k3_s22_e1_i8_o8"],
    "resolution": 8,
    "stem": 8,
    "head": 8,
    "classes": 3,
}


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("train tiny.json --data images.npz", "False False"),
        ("evaluate tiny.json --weights none --data images.npz --split validation", "False False"),
        # A search imports the controllers, and so JAX, but computes nothing before.
        ("search digits --engine.kind inline", "True False"),
    ],
)
def test_memory_is_retained_before_jax_has_threads(tmp_path, command, printed):
    (tmp_path / "tiny.json").write_text(json.dumps(SPEC))
    pixels, labels = np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=labels)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.split("\n")[-2] == printed
