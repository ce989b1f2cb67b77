"""Training as a PyTorch user writes it: eager, channels-last; optionally with `torch.compile`.

Needs PyTorch and NumPy but not mnas, since it may run under another interpreter.
"""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn


def convolution(
    filters_in: int, filters: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return the modules of a convolution with BatchNorm."""
    conv = nn.Conv2d(filters_in, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)]


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507)."""

    def __init__(self, filters: int, reduced: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(filters, reduced, 1),
            nn.SiLU(inplace=True),
            nn.Conv2d(reduced, filters, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


class MBConv(nn.Module):
    """One layer of `mnas.benchmark.children.description`."""

    def __init__(self, layer: dict[str, Any]) -> None:
        super().__init__()
        filters_in, expanded = layer["in_filters"], layer["expanded_filters"]
        parts: list[nn.Module] = []
        if layer["expand_ratio"] != 1:
            parts += [*convolution(filters_in, expanded), nn.SiLU(inplace=True)]
        kernel, stride = layer["kernel"], layer["stride"]
        parts += [*convolution(expanded, expanded, kernel, stride, groups=expanded)]
        parts += [nn.SiLU(inplace=True)]
        if layer["se_filters"]:
            parts.append(SqueezeExcite(expanded, layer["se_filters"]))
        self.branch = nn.Sequential(*parts, *convolution(expanded, layer["filters"]))
        self.skip = layer["skip"] == "identity"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x) if self.skip else self.branch(x)


def network(child: dict[str, Any]) -> nn.Module:
    """Return the model of a child: images [B, 3, R, R] → logits [B, classes]."""
    spec, layers = child["spec"], child["layers"]
    return nn.Sequential(
        *convolution(3, spec["stem"], kernel=3, stride=2),
        nn.SiLU(inplace=True),
        *map(MBConv, layers),
        *convolution(layers[-1]["filters"], spec["head"]),
        nn.SiLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(spec["head"], spec["classes"]),
    )


class Contender:
    """PyTorch; the interface is described in `mnas.benchmark.worker`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.versions = {"torch": torch.__version__}
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)
        self._config, self._compile = job["settings"], job["compile"]
        with np.load(job["images"]) as arrays:
            self._arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
        images = self._arrays["train_images"].double()
        self._mean = images.mean((0, 1, 2)).float()
        self._std = images.std((0, 1, 2), correction=0).float()

    def build(self, child: dict[str, Any]) -> int:
        self._create(child)
        self._batch = self._load("train", torch.arange(self._config["batch_size"]))
        return sum(leaf.numel() for leaf in self._model.parameters())

    def step(self) -> torch.Tensor:
        return self._train_step(*self._batch)

    def wait(self, loss: torch.Tensor) -> None:
        loss.item()

    def train(self, child: dict[str, Any]) -> dict[str, float]:
        config = self._config
        self._create(child)
        count, batch_size = len(self._arrays["train_labels"]), config["batch_size"]
        steps = count // batch_size
        warmup, total = config["warmup_epochs"] * steps, config["epochs"] * steps

        def learning_rate_factor(step: int) -> float:
            if step < warmup:
                return min(1.0, (step + 1) / warmup)
            return (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, learning_rate_factor)
        compile_seconds = 0.0
        for epoch in range(config["epochs"]):
            order = torch.randperm(count)[: steps * batch_size]
            for step, batch in enumerate(order.split(batch_size)):
                began = time.perf_counter()
                self._train_step(*self._load("train", batch))
                schedule.step()
                if self._compile and epoch == step == 0:  # includes one training step
                    compile_seconds = time.perf_counter() - began
        return {"compile_seconds": compile_seconds, "accuracy": self._accuracy(batch_size)}

    def _create(self, child: dict[str, Any]) -> None:
        config = self._config
        self._model = network(child).to(memory_format=torch.channels_last)
        self._forward = self._model
        if self._compile:
            torch.compiler.reset()  # otherwise it stops compiling after a few children
            self._forward = torch.compile(self._model)
        kernels = [p for p in self._model.parameters() if p.ndim > 1]
        others = [p for p in self._model.parameters() if p.ndim == 1]
        self._optimizer = torch.optim.RMSprop(
            [
                {"params": kernels, "weight_decay": config["weight_decay"]},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config["learning_rate"],
            alpha=config["rms_decay"],
            momentum=config["momentum"],
            eps=config["epsilon"],
        )
        self._loss = nn.CrossEntropyLoss(label_smoothing=config["label_smoothing"])

    def _train_step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self._forward(images), labels)
        loss.backward()
        self._optimizer.step()
        return loss

    def _load(self, part: str, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return normalised images [B, 3, R, R] in channels-last format, and labels [B]."""
        images = self._arrays[f"{part}_images"][indices].float()
        images = ((images - self._mean) / self._std).permute(0, 3, 1, 2)
        return images, self._arrays[f"{part}_labels"][indices].long()

    def _accuracy(self, batch_size: int) -> float:
        """Return top-1 accuracy on held-out images, by the eager model to avoid a compilation."""
        labels = self._arrays["held_out_labels"]
        self._model.eval()
        with torch.inference_mode():
            predictions = [
                self._model(self._load("held_out", batch)[0]).argmax(1)
                for batch in torch.arange(len(labels)).split(batch_size)
            ]
        return float((torch.cat(predictions) == labels).float().mean())
