"""The peer that answers with timm's models: PyTorch eager, in the faster of its memory orders.

Needs PyTorch and timm, and nothing of this project: it may run under another interpreter. timm
imports torchvision, whose published builds expect the CUDA build of PyTorch; with one for CPUs only
they refuse to be imported unless a module that is imported first makes them (`imports`).
"""

import importlib
import time

import torch

NAMES = {
    **{f"efficientnet-b{n}": f"efficientnet_b{n}" for n in range(8)},
    **{f"resnet-{n}": f"resnet{n}" for n in (18, 34, 50, 101, 152)},
    "mobilenet-v2": "mobilenetv2_100",
    "mnasnet-a1": "semnasnet_100",
    "mnasnet-b1": "mnasnet_100",
}


class Side:
    """See `mnas.benchmark.worker`; a step is one batch answered, and over when it returns."""

    def __init__(self, job):
        for name in job["training"]["imports"]:
            importlib.import_module(name)
        self._timm = importlib.import_module("timm")
        self.versions = {"torch": torch.__version__, "timm": self._timm.__version__}
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)

    def build(self, child):
        self._model = self._timm.create_model(NAMES[child["name"]]).eval()
        side = child["spec"]["resolution"]
        images = torch.randn(child["batch"], 3, side, side)
        seconds = {}
        for order in (torch.contiguous_format, torch.channels_last):
            self._put(images, order)
            self.step()
            began = time.perf_counter()
            for _ in range(3):
                self.step()
            seconds[order] = time.perf_counter() - began
        self._put(images, min(seconds, key=seconds.get))
        return sum(leaf.numel() for leaf in self._model.parameters())

    def _put(self, images, order):
        self._model = self._model.to(memory_format=order)
        self._images = images.contiguous(memory_format=order)

    def step(self):
        with torch.inference_mode():
            return self._model(self._images)

    def wait(self, logits):
        """PyTorch computes at once on a CPU."""
