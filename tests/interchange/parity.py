"""Table of logits of our networks against timm's, model by model, in both directions.

    python -m tests.interchange.parity --timm-python ~/torch/bin/python
    python -m tests.interchange.parity --timm-python ~/torch/bin/python --models resnet50

For each model: params (counted from the variables), mult-adds, and the largest difference of
logits over the largest logit of timm's, in float32 on two images at the model's resolution,

    from timm    timm's model with weights by `weights_rule`, saved as .safetensors and loaded here
    to timm      our variables, by another seed of that rule, saved here and loaded strictly by timm
    images       the same difference between the logits of the two *images*, as a scale

`--timm-python` names an interpreter with timm (requirements in `timm_peer.py`). All 23 models take
about ten minutes on one core, mostly for B5 to B7.
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
FAST_COMPILE = {"xla_backend_optimization_level": 0}  # LLVM's; halves the time of compilation


class Row(NamedTuple):
    """One line of the table."""

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
    """Return the answers of `timm_peer.py`, run by the interpreter `python`, to these jobs."""
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
    """Return logits [N, classes] of images [N, 3, R, R], computed one image at a time."""
    whole = jax.device_put(network_variables(variables))
    batches = [image[None] for image in images.transpose(0, 2, 3, 1)]
    lowered = jax.jit(Network(architecture).apply).lower(whole, batches[0])
    apply = lowered.compile(compiler_options=FAST_COMPILE)
    return np.concatenate([apply(whole, batch) for batch in batches])


def rule_variables(architecture: Architecture, seed: int = 0) -> dict[str, Variables]:
    """Return variables by block with the values of `weights_rule`."""
    shapes = {tensor.name: tensor.timm_shape for tensor in tensors(architecture)}
    return from_state_dict(architecture, weights_rule.state_dict(shapes, seed))


def compare(python: str, model: str, directory: Path, resolution: int | None = None) -> Row:
    """Compare one of timm's models in both directions; files are written to `directory`."""
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
            "weights": str(directory / f"{source}.safetensors"),
            "logits": str(directory / f"{source}.npy"),
        }
        for do, source in (("fill", "timm"), ("load", "ours"))
    ]
    answers = ask(python, jobs)
    theirs = load_weights(directory / "timm.safetensors", architecture)
    by_image = np.load(directory / "timm.npy")
    differences = [
        weights_rule.relative_difference(
            logits(architecture, variables, images), np.load(directory / f"{source}.npy")
        )
        for variables, source in ((theirs, "timm"), (ours, "ours"))
    ]
    return Row(
        model,
        architecture.resolution,
        count_params(theirs),
        answers[0]["params"],
        network_cost(architecture).mult_adds,
        *differences,
        weights_rule.relative_difference(by_image[:1], by_image[1:]),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Logits against timm's, both ways.")
    parser.add_argument("--timm-python", required=True, help="an interpreter that has timm")
    parser.add_argument("--models", nargs="+", choices=TIMM, default=list(TIMM), metavar="MODEL")
    options = parser.parse_args()
    print("| model | pixels | params | mult-adds | from timm | to timm | images |")
    print("|---|---|---|---|---|---|---|", flush=True)
    agree = True
    for model in options.models:
        with tempfile.TemporaryDirectory() as directory:
            row = compare(options.timm_python, model, Path(directory))
        agree &= row.agrees
        print(
            f"| {row.model} | {row.resolution} | {row.params:,} | {row.mult_adds:,} "
            f"| {row.from_timm:.1e} | {row.to_timm:.1e} | {row.images:.0e} |"
            f"{'' if row.agrees else ' DIFFERS'}",
            flush=True,
        )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
