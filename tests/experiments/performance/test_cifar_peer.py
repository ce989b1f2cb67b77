"""The recipe of the PyTorch training against `mnas train`'s: settings, data, losses.

Slow, and skipped unless MNAS_TIMM_PYTHON names an interpreter that has timm:

    MNAS_TIMM_PYTHON=~/torch/bin/python pytest -m slow tests/experiments/performance
"""

import ast
import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import mnas.experiments.performance
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.batches import ordered_batches
from mnas.data.feeds import Feeding
from mnas.data.images import DataConfig, Images, load
from mnas.export.text import to_timm
from mnas.nn.network import init_variables
from mnas.nn.weights import save_weights
from mnas.training.batches import training_batches
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.recipes import CIFAR
from mnas.training.whole_network import Retraining

PEER = Path(mnas.experiments.performance.__path__[0]) / "cifar_peer.py"
PYTHON = os.environ.get("MNAS_TIMM_PYTHON", "")
STEPS, BATCH = 5, 32
NETWORK = Architecture(
    (
        Block(kernel=3, stride=1, filters=16, expand_ratio=2),
        Block(kernel=5, stride=2, filters=24, expand_ratio=3, repeats=2),
    ),
    resolution=32,
    stem=16,
    head=64,
    classes=10,
    activation="relu",
    name="small",
)
# Run by the other interpreter: a job as JSON on standard input, the answer on standard output.
ANSWER = """
import json, sys
import numpy as np, torch
from safetensors.torch import load_file
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import cifar_peer as peer

job = json.load(sys.stdin)
recipe = {**peer.RECIPE, **job["changes"]}
data = peer.Data(job["data"], job["validation"])
held_out = data.normalised(data.validation[0]).permute(0, 2, 3, 1).numpy()
np.savez(job["held_out"], images=held_out, labels=data.validation[1])
model = peer.network(job["description"]).train()
initial = {name: [t.mean().item(), t.std().item()] for name, t in model.state_dict().items()
           if t.ndim > 1}
model.load_state_dict(load_file(job["weights"]), strict=True)
optimizer = peer.optimizer_of(model, recipe)
rates = [peer.learning_rate(recipe, step, job["steps"])
         for step in range(job["steps"] * recipe["epochs"])]
losses = []
with np.load(job["batches"]) as file:
    for images, labels, rate in zip(file["images"], file["labels"].astype("int64"), rates):
        batch = torch.from_numpy(images).permute(0, 3, 1, 2)
        losses.append(peer.update(model, optimizer, batch, torch.from_numpy(labels), rate,
                                  recipe["label_smoothing"]))
shown = peer.augmented(torch.from_numpy(np.load(job["pixels"])), 4, np.random.default_rng(0))
np.save(job["augmented"], shown.numpy())
json.dump({"rates": rates, "losses": losses, "initial": initial}, sys.stdout)
"""


def write_images(path: Path) -> None:
    """Write a source of 10 classes: 180 training and 20 test images of 32 pixels."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"classes": np.array([*"abcdefghij"])}
    for split, count in (("train", STEPS * BATCH + 20), ("test", 20)):
        labels = np.arange(count) % 10
        noise = rng.normal(100, 40, (count, 32, 32, 3)) + labels[:, None, None, None] * 8
        arrays[f"{split}_images"] = np.clip(noise, 0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez(path, **arrays)


def test_settings_are_those_of_the_recipe():
    values = {
        node.target.id: node.value
        for node in ast.parse(PEER.read_text()).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    settings = ast.literal_eval(values["RECIPE"])
    assert dataclasses.replace(TrainingConfig(), **settings) == CIFAR.config


class StopTraining(Exception):
    """Ends a training after the steps that are compared."""


@dataclasses.dataclass(frozen=True)
class Compared:
    """Our training, and the answer of PyTorch's to the same weights and batches."""

    images: Images
    feeding: Feeding
    config: TrainingConfig
    losses: list[float]
    answer: dict[str, Any]
    directory: Path


# A weight decay that shows in the losses of five steps.
@pytest.fixture(scope="module", params=[5e-4, 0.5])
def compared(request, tmp_path_factory) -> Compared:
    directory = tmp_path_factory.mktemp("peer")
    write_images(directory / "images.npz")
    data = DataConfig(str(directory / "images.npz"), 20)
    images = load(data, 32, test=True)
    changes = {"batch_size": BATCH, "epochs": 3, "weight_decay": request.param}
    config = dataclasses.replace(CIFAR.config, **changes)
    feeding = Feeding.of(data, images)
    feed = feeding.feed(images.train)
    batches = [*training_batches(feed, config, 10, 0, 1)]
    files = {
        "batches": "batches.npz",
        "weights": "weights.safetensors",
        "pixels": "pixels.npy",
        "held_out": "held_out.npz",
        "augmented": "augmented.npy",
    }
    job = {key: str(directory / name) for key, name in files.items()}
    inputs, labels = ([np.asarray(part) for part in parts] for parts in zip(*batches, strict=True))
    np.savez(job["batches"], images=inputs, labels=labels)
    np.save(job["pixels"], np.arange(1, 1 + 400 * 36, dtype=np.float32).reshape(400, 1, 6, 6))
    save_weights(Path(job["weights"]), NETWORK, init_variables(NETWORK, 0))
    description = json.loads(to_timm(NETWORK))
    more = {"changes": changes, "validation": 20, "steps": STEPS, "description": description}
    answer = subprocess.run(
        [PYTHON, "-c", ANSWER, str(PEER.parent)],
        input=json.dumps({**job, **more, "data": str(directory / "images.npz")}),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    training = Retraining(NETWORK, images, config, 0, directory / "ours", feeding=feeding)
    losses: list[float] = []

    def on_step(step: int) -> None:
        if step == STEPS:
            losses.extend(training.losses)
            raise StopTraining

    with pytest.raises(StopTraining):
        training.run(on_step=on_step)
    return Compared(images, feeding, config, losses, json.loads(answer.stdout), directory)


with_timm = pytest.mark.skipif(not PYTHON, reason="MNAS_TIMM_PYTHON names no interpreter with timm")


@pytest.mark.slow
@with_timm
def test_losses_are_equal_for_the_same_weights_and_batches(compared):
    assert len(compared.losses) == STEPS
    np.testing.assert_allclose(compared.answer["losses"], compared.losses, atol=1e-4)


@pytest.mark.slow
@with_timm
def test_learning_rates_are_equal_in_every_step(compared):
    steps = range(STEPS * compared.config.epochs)
    expected = [learning_rate(compared.config, step, STEPS) for step in steps]
    np.testing.assert_allclose(compared.answer["rates"], expected, rtol=1e-12)


@pytest.mark.slow
@with_timm
def test_held_out_images_are_the_same_and_normalised_alike(compared):
    statistics = compared.feeding.feed(compared.images.train)
    feed = compared.feeding.feed(compared.images.validation, (statistics.mean, statistics.std))
    ((images, labels),) = ordered_batches(feed, 20)
    with np.load(compared.directory / "held_out.npz") as theirs:
        np.testing.assert_array_equal(theirs["labels"], labels)
        np.testing.assert_allclose(theirs["images"], images, atol=1e-5)


@pytest.mark.slow
@with_timm
def test_weights_are_drawn_from_our_distribution(compared):
    variables = init_variables(NETWORK, 1)
    save_weights(compared.directory / "drawn.safetensors", NETWORK, variables)
    ours = load_file(compared.directory / "drawn.safetensors")
    drawn = compared.answer["initial"]
    assert drawn.keys() == {name for name, array in ours.items() if array.ndim > 1}
    for name, (mean, std) in drawn.items():
        # Six standard errors of the ratio of two standard deviations, and of a mean.
        error = 6 / np.sqrt(ours[name].size)
        assert std / ours[name].std() == pytest.approx(1, abs=error), name
        assert abs(mean) < error * std, name


@pytest.mark.slow
@with_timm
def test_images_are_shifted_by_up_to_four_pixels_and_half_of_them_mirrored(compared):
    pixels = np.load(compared.directory / "pixels.npy")
    moved = np.load(compared.directory / "augmented.npy")
    shifts, mirrored = set(), 0
    for before, after in zip(pixels[:, 0], moved[:, 0], strict=True):
        padded = np.pad(before, 4)
        found = [
            (row, column, flip)
            for row in range(9)
            for column in range(9)
            for flip in (1, -1)
            if np.array_equal(padded[row : row + 6, column : column + 6][:, ::flip], after)
        ]
        assert len(found) == 1
        ((row, column, flip),) = found
        shifts.add((row, column))
        mirrored += flip < 0
    assert {row for row, _ in shifts} == {column for _, column in shifts} == set(range(9))
    assert 140 < mirrored < 260
