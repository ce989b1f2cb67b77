"""StableHLO: a process that has JAX but not mnas computes our logits from the exported file."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export

from mnas.errors import UsageError
from mnas.export.stablehlo import save_stablehlo, to_stablehlo
from tests.export.networks import NETWORKS, reference
from tests.interchange.parity import FAST_COMPILE

PROGRAM = """
import sys
import jax
import numpy as np
from jax import export

with open(sys.argv[1], "rb") as file:
    network = jax.jit(export.deserialize(bytearray(file.read())).call)
for count in (1, 3):
    np.save(f"{sys.argv[3]}{count}.npy", network(np.load(sys.argv[2])[:count]))
print(*{name.partition(".")[0] for name in sys.modules})
"""


def run(file: bytes, images: np.ndarray) -> tuple[export.Exported, np.ndarray]:
    """Return the deserialized program and its logits of images [N, 3, R, R]."""
    exported = export.deserialize(bytearray(file))
    nhwc = images.transpose(0, 2, 3, 1)
    compiled = jax.jit(exported.call).lower(nhwc).compile(compiler_options=FAST_COMPILE)
    return exported, np.asarray(compiled(nhwc))


def test_a_process_without_mnas_computes_the_same_logits(tmp_path):
    architecture = NETWORKS["mbconv"]
    variables, images, expected = reference(architecture)
    save_stablehlo(tmp_path / "network.stablehlo", architecture, variables)
    np.save(tmp_path / "images.npy", images.transpose(0, 2, 3, 1))
    files = [str(tmp_path / name) for name in ("network.stablehlo", "images.npy", "logits")]
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    options = " ".join(f"--{name}={value}" for name, value in FAST_COMPILE.items())
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *files],
        env={**environment, "XLA_FLAGS": options},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "jax" in loaded
    assert not loaded & {"mnas", "flax", "optax", "ray"}
    for count in (1, 3):  # the batch dimension is symbolic
        logits = np.load(tmp_path / f"logits{count}.npy")
        np.testing.assert_allclose(logits, expected[:count], rtol=1e-5, atol=1e-6)


def test_logits_of_a_resnet_agree_with_our_network():
    architecture = NETWORKS["resnet"]
    variables, images, expected = reference(architecture)
    _, logits = run(to_stablehlo(architecture, variables), images)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_one_file_serves_several_platforms():
    architecture = NETWORKS["mbconv"]
    variables, images, expected = reference(architecture)
    exported, logits = run(to_stablehlo(architecture, variables, ("cpu", "cuda", "tpu")), images)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    # XLA's depthwise convolutions; those of mnas are for CPUs only.
    assert "feature_group_count = 24" in exported.mlir_module()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("platforms", [(), ("gpu",)])
def test_unknown_platforms_are_rejected(platforms):
    with pytest.raises(UsageError, match="accepted: some of cpu, cuda, rocm, tpu"):
        to_stablehlo(NETWORKS["mbconv"], {}, platforms)
