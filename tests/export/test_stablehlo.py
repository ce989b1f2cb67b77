"""StableHLO: a file that a process with JAX and nothing of ours runs."""

import os
import subprocess
import sys

import numpy as np
import pytest
from jax import export

from mnas.export.stablehlo import save_stablehlo, to_stablehlo
from tests.export.networks import NETWORKS, images
from tests.interchange.parity import logits, rule_variables

BARE = """
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


def test_a_process_with_nothing_but_jax_gives_the_same_logits(tmp_path):
    architecture = NETWORKS["mbconv"]
    variables, given = rule_variables(architecture), images(architecture)
    save_stablehlo(tmp_path / "network.stablehlo", architecture, variables)
    np.save(tmp_path / "images.npy", given.transpose(0, 2, 3, 1))
    files = [str(tmp_path / name) for name in ("network.stablehlo", "images.npy", "logits")]
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", BARE, *files],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "jax" in loaded
    assert not loaded & {"mnas", "flax", "optax", "ray"}
    expected = logits(architecture, variables, given)
    for count in (1, 3):  # one program for any number of images
        found = np.load(tmp_path / f"logits{count}.npy")
        np.testing.assert_allclose(found, expected[:count], rtol=1e-5, atol=1e-6)


def test_a_resnet_exports():
    architecture = NETWORKS["resnet"]
    variables, given = rule_variables(architecture), images(architecture)
    network = export.deserialize(bytearray(to_stablehlo(architecture, variables)))
    found = network.call(given.transpose(0, 2, 3, 1))
    expected = logits(architecture, variables, given)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_one_file_for_several_platforms():
    architecture = NETWORKS["mbconv"]
    variables, given = rule_variables(architecture), images(architecture)
    file = to_stablehlo(architecture, variables, ("cpu", "cuda", "tpu"))
    network = export.deserialize(bytearray(file))
    assert network.platforms == ("cpu", "cuda", "tpu")
    # XLA's own depthwise convolutions, in place of those that are for CPUs alone.
    assert "feature_group_count = 24" in network.mlir_module()
    found = network.call(given.transpose(0, 2, 3, 1))
    expected = logits(architecture, variables, given)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("platforms", [(), ("gpu",)])
def test_unknown_platforms_are_refused(platforms):
    with pytest.raises(ValueError, match="accepted: some of cpu, cuda, rocm, tpu"):
        to_stablehlo(NETWORKS["mbconv"], {}, platforms)
