"""Inference with timm's models: PyTorch eager, in the faster memory format.

Needs PyTorch and timm but not mnas, since it may run under another interpreter. timm imports
torchvision, whose CUDA builds cannot be imported beside a CPU build of PyTorch; the setting
`imports` names modules that are imported before timm and may work around that.
"""

import importlib
import time
from typing import Any

import torch

NAMES = {
    **{f"efficientnet-b{n}": f"efficientnet_b{n}" for n in range(8)},
    **{f"resnet-{n}": f"resnet{n}" for n in (18, 34, 50, 101, 152)},
    "mobilenet-v2": "mobilenetv2_100",
    "mnasnet-a1": "semnasnet_100",
    "mnasnet-b1": "mnasnet_100",
}


class Contender:
    """PyTorch; the interface is described in `mnas.benchmark.worker`. A step is one batch."""

    def __init__(self, job: dict[str, Any]) -> None:
        for name in job["settings"]["imports"]:
            importlib.import_module(name)
        self._timm = importlib.import_module("timm")
        self.versions = {"torch": torch.__version__, "timm": self._timm.__version__}
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)

    def build(self, child: dict[str, Any]) -> int:
        self._model = self._timm.create_model(NAMES[child["name"]]).eval()
        resolution = child["spec"]["resolution"]
        images = torch.randn(child["batch"], 3, resolution, resolution)
        seconds = {}
        for memory_format in (torch.contiguous_format, torch.channels_last):
            self._set_format(images, memory_format)
            self.step()
            began = time.perf_counter()
            for _ in range(3):
                self.step()
            seconds[memory_format] = time.perf_counter() - began
        self._set_format(images, min(seconds, key=seconds.__getitem__))
        return sum(leaf.numel() for leaf in self._model.parameters())

    def _set_format(self, images: torch.Tensor, memory_format: torch.memory_format) -> None:
        self._model = self._model.to(memory_format=memory_format)
        self._images = images.contiguous(memory_format=memory_format)

    def step(self) -> torch.Tensor:
        with torch.inference_mode():
            return self._model(self._images)

    def wait(self, logits: torch.Tensor) -> None:
        """Do nothing: on a CPU, PyTorch has computed when `step` returns."""
