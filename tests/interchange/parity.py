"""Logits of our networks against timm's, model by model and both ways, as a table.

    python -m tests.interchange.parity --timm-python ~/torch/bin/python
    python -m tests.interchange.parity --timm-python ~/torch/bin/python --models resnet50

For each model: params (counted from the variables), mult-adds, and the largest difference of
logits over the largest logit of timm's, in float32 on two images at the model's resolution,

    from timm    timm's model, filled by `weights_rule`, saved as .safetensors and loaded here
    to timm      our variables, others by that rule, saved here and loaded strictly by timm
    images       for comparison, the two *images'* logits, likewise: how much there is to see

`--timm-python` names an interpreter with timm; what it needs is said in `timm_peer.py`. All 17
models take ten minutes or so on one core, most of them for B5 to B7.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import TIMM
from mnas.nn.network import Network, Variables, count_params, network_variables
from mnas.nn.weights import from_state_dict, load_weights, save_weights, tensors
from tests.interchange import weights_rule

PEER = Path(__file__).with_name("timm_peer.py")
IMAGES = 2
TOLERANCE = 1e-4


class Row(NamedTuple):
    """One model of the table."""

    model: str
    resolution: int
    params: int
    timm_params: int
    mult_adds: int
    from_timm: float
    to_timm: float
    images: float

    @property
    def agrees(self) -> bool:
        same = max(self.from_timm, self.to_timm) <= TOLERANCE < self.images
        return same and self.params == self.timm_params


def ask(python: str, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of timm's side (`timm_peer.py`) to these jobs."""
    done = subprocess.run(
        [python, str(PEER)], input=json.dumps(jobs), capture_output=True, text=True
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{python} {PEER.name}: {lines[-1]}")
    return json.loads(done.stdout)


def logits(
    architecture: Architecture, variables: dict[str, Variables], images: np.ndarray
) -> np.ndarray:
    """Logits [N, classes] of images [N, 3, R, R]; one at a time, compiled once."""
    apply = jax.jit(Network(architecture).apply)
    whole = jax.device_put(network_variables(variables))
    one_by_one = [apply(whole, image[None]) for image in images.transpose(0, 2, 3, 1)]
    return np.concatenate(one_by_one)


def rule_variables(architecture: Architecture, seed: int = 0) -> dict[str, Variables]:
    """Variables block by block, as `weights_rule` has them."""
    shapes = {tensor.name: tensor.timm_shape for tensor in tensors(architecture)}
    return from_state_dict(architecture, weights_rule.state_dict(shapes, seed))


def compare(python: str, model: str, directory: Path, resolution: int | None = None) -> Row:
    """Both directions for one of timm's models, by files in `directory`."""
    architecture = TIMM[model]
    architecture = architecture.replace(resolution=resolution or architecture.resolution)
    images = weights_rule.images(IMAGES, architecture.resolution)
    np.save(directory / "images.npy", images)
    ours = rule_variables(architecture, seed=1)
    save_weights(directory / "ours.safetensors", architecture, ours)
    shared = {"model": model, "images": str(directory / "images.npy")}
    jobs = [
        {
            **shared,
            "do": do,
            "weights": str(directory / f"{whose}.safetensors"),
            "logits": str(directory / f"{whose}.npy"),
        }
        for do, whose in (("fill", "timm"), ("load", "ours"))
    ]
    answers = ask(python, jobs)
    theirs = load_weights(directory / "timm.safetensors", architecture)
    two = np.load(directory / "timm.npy")
    differences = [
        weights_rule.relative_difference(
            logits(architecture, variables, images), np.load(directory / f"{whose}.npy")
        )
        for variables, whose in ((theirs, "timm"), (ours, "ours"))
    ]
    return Row(
        model,
        architecture.resolution,
        count_params(theirs),
        answers[0]["params"],
        network_cost(architecture).mult_adds,
        *differences,
        weights_rule.relative_difference(two[:1], two[1:]),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Logits against timm's, both ways.")
    parser.add_argument("--timm-python", required=True, help="an interpreter that has timm")
    parser.add_argument("--models", nargs="+", choices=TIMM, default=list(TIMM), metavar="MODEL")
    chosen = parser.parse_args()
    print("| model | pixels | params | mult-adds | from timm | to timm | images |")
    print("|---|---|---|---|---|---|---|", flush=True)
    fine = True
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as directory:
            row = compare(chosen.timm_python, model, Path(directory))
        fine &= row.agrees
        print(
            f"| {row.model} | {row.resolution} | {row.params:,} | {row.mult_adds:,} "
            f"| {row.from_timm:.1e} | {row.to_timm:.1e} | {row.images:.0e} |"
            f"{'' if row.agrees else ' DIFFERS'}",
            flush=True,
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
