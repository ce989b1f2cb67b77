"""Training of timm's network in PyTorch by the recipe `cifar`, beside `mnas train --recipe cifar`.

Command   mnas export SPEC --format timm > network.json
          python experiments/performance/cifar_peer.py network.json --data cifar10.npz --out DIR
Cost      for 30M mult-adds and 50 epochs of 45,000 images, about 2 hours of one core, estimated
Expect    a test accuracy within 0.5 points of that of `mnas train`
Results   docs/results/training.md

Needs PyTorch, timm and NumPy but not mnas, since it may run under another interpreter. Everything
is written as a PyTorch user would; only the split of the training images is made as mnas makes it.
BatchNorm uses its running averages with PyTorch's momentum of 0.1, where mnas computes statistics
anew from training images after each epoch.

The state is written to DIR after each epoch; the same command resumes a training that was stopped.
The test images are classified once, after the last epoch.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

# As `mnas.training.recipes.CIFAR`, whose other fields switch off what is not done here.
RECIPE: dict[str, Any] = {
    "epochs": 50,
    "batch_size": 128,
    "learning_rate": 0.05,
    "schedule": "cosine",
    "warmup_epochs": 2.0,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "label_smoothing": 0.1,
    "flip": True,
    "crop_padding": 4,
}


def network(description: dict[str, Any]) -> nn.Module:
    """Return timm's network as `mnas export --format timm` describes it, with timm's own weights.

    Convolutions are drawn from N(0, 2 / fan out), the classifier from U(±1/sqrt(classes)).
    """
    from timm.layers.create_act import get_act_layer
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    model: nn.Module = EfficientNet(
        decode_arch_def(description["arch_def"]),
        num_classes=description["num_classes"],
        num_features=description["num_features"],
        stem_size=description["stem_size"],
        stem_kernel_size=description["stem_kernel_size"],
        output_stride=description["output_stride"],
        pad_type=description["pad_type"],
        act_layer=get_act_layer(description["act_layer"]),
        norm_layer=partial(nn.BatchNorm2d, eps=description["bn_eps"]),
        round_chs_fn=int,
    )
    return model.to(memory_format=torch.channels_last)


def optimizer_of(model: nn.Module, recipe: dict[str, Any]) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, with weight decay of kernels only."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    return torch.optim.SGD(
        [
            {"params": kernels, "weight_decay": recipe["weight_decay"]},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe["learning_rate"],
        momentum=recipe["momentum"],
        nesterov=True,
    )


def learning_rate(recipe: dict[str, Any], step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up, then cosine to 0."""
    peak, warmup = recipe["learning_rate"], recipe["warmup_epochs"] * steps_per_epoch
    if step < warmup:
        return peak * min(1, (step + 1) / warmup)
    total = recipe["epochs"] * steps_per_epoch
    return peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


def update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    rate: float,
    label_smoothing: float,
) -> float:
    """Update the weights once; return the loss before."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(images), labels, label_smoothing=label_smoothing)
    loss.backward()
    optimizer.step()
    return loss.item()


class Data:
    """Images of a `.npz` file, split and normalised.

    train, validation, test   images uint8 [N, R, R, 3] and labels int64 [N]
    mean, std                 of the channels of `train`, float32 [3]
    """

    def __init__(self, path: str, validation: int) -> None:
        """Read a file; `validation` of its training images are held out."""
        with np.load(path) as file:
            images, labels = file["train_images"], file["train_labels"].astype(np.int64)
            self.test = file["test_images"], file["test_labels"].astype(np.int64)
        order = np.random.default_rng(0).permutation(len(labels))  # split_seed of mnas
        held_out, kept = order[:validation], order[validation:]
        self.train = images[kept], labels[kept]
        self.validation = images[held_out], labels[held_out]
        pixels = self.train[0]
        self.mean = pixels.mean((0, 1, 2), np.float64).astype(np.float32)
        self.std = pixels.std((0, 1, 2), np.float64).astype(np.float32)

    def normalised(self, images: np.ndarray) -> torch.Tensor:
        """Return images float32 [B, 3, R, R] in channels-last format."""
        return torch.from_numpy((images - self.mean) / self.std).permute(0, 3, 1, 2)

    def batches(
        self, recipe: dict[str, Any], seed: int, epoch: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the complete batches of an epoch, shuffled, shifted and mirrored."""
        images, labels = self.train
        rng, size = np.random.default_rng([seed, epoch]), recipe["batch_size"]
        order = rng.permutation(len(labels))
        for start in range(0, len(labels) - size + 1, size):
            chosen = order[start : start + size]
            batch = self.normalised(images[chosen])
            yield augmented(batch, recipe["crop_padding"], rng), torch.from_numpy(labels[chosen])


def augmented(images: torch.Tensor, padding: int, rng: np.random.Generator) -> torch.Tensor:
    """Return images cropped from padded ones, [B, 3, R, R], and mirrored with probability 1/2."""
    count, size = len(images), images.shape[-1]
    padded = nn.functional.pad(images, (padding,) * 4)
    corners = rng.integers(0, 2 * padding + 1, (count, 2))
    crops = [
        image[:, top : top + size, left : left + size]
        for image, (top, left) in zip(padded, corners.tolist(), strict=True)
    ]
    mirrored = torch.from_numpy(rng.random(count) < 0.5)[:, None, None, None]
    moved = torch.stack(crops)
    return torch.where(mirrored, moved.flip(-1), moved).contiguous(
        memory_format=torch.channels_last
    )


def accuracy(model: nn.Module, data: Data, images: np.ndarray, labels: np.ndarray) -> float:
    """Return top-1 accuracy by BatchNorm's running averages."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(labels), 250):
            part = slice(start, start + 250)
            predicted = model(data.normalised(images[part])).argmax(1).numpy()
            right += int((predicted == labels[part]).sum())
    model.train()
    return right / len(labels)


def train(
    description: dict[str, Any], data: Data, recipe: dict[str, Any], seed: int, directory: Path
) -> dict[str, Any]:
    """Train to the last epoch, or what is left of it; return the result."""
    torch.manual_seed(seed)
    model = network(description).train()
    optimizer = optimizer_of(model, recipe)
    steps = len(data.train[1]) // recipe["batch_size"]
    settings = {"network": description, "recipe": recipe, "seed": seed, "steps": steps}
    history: list[dict[str, float]] = []
    state = directory / "state.pt"
    if state.exists():
        found = torch.load(state, weights_only=True)
        if found["settings"] != settings:
            raise SystemExit(f"{state} is of a training with other settings")
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        history = found["history"]
    while len(history) < recipe["epochs"]:
        epoch, began, losses = len(history), time.process_time(), []
        for index, (images, labels) in enumerate(data.batches(recipe, seed, epoch)):
            rate = learning_rate(recipe, epoch * steps + index, steps)
            losses.append(update(model, optimizer, images, labels, rate, recipe["label_smoothing"]))
        history.append(
            {
                "epoch": epoch + 1,
                "loss": float(np.mean(losses)),
                "validation": accuracy(model, data, *data.validation),
                "processor_seconds": time.process_time() - began,
            }
        )
        print(json.dumps(history[-1]), flush=True)
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**saved, "settings": settings, "history": history}, f"{state}.new")
        os.replace(f"{state}.new", state)
    return {
        **{key: settings[key] for key in ("recipe", "seed", "steps")},
        "params": sum(p.numel() for p in model.parameters()),
        "history": history,
        "validation": {"n": len(data.validation[1]), "top1": history[-1]["validation"]},
        "test": {"n": len(data.test[1]), "top1": accuracy(model, data, *data.test)},
        "torch": torch.__version__,
    }


def main() -> None:
    """Train, and write result.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, help="file of mnas export --format timm")
    parser.add_argument("--data", required=True, help=".npz file of images")
    parser.add_argument("--validation", type=int, default=5000, help="images held out")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="directory of state and result")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    data = Data(options.data, options.validation)
    recipe = {**RECIPE, "epochs": options.epochs}
    description = json.loads(options.network.read_text(encoding="utf-8"))
    result = train(description, data, recipe, options.seed, options.out)
    (options.out / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    print(f"test: top-1 {result['test']['top1']:.2%}, n = {result['test']['n']:,}")


if __name__ == "__main__":
    main()
