"""timm's part of the comparison, run by a separate interpreter without JAX and without mnas.

    python timm_peer.py < jobs.json > answers.json

PyTorch is needed for comparisons only. On a machine without GPU, install matching *CPU* builds of
PyTorch and torchvision (their versions end in '+cpu'), for instance

    pip install torch==2.13.0 torchvision==0.28.0 timm safetensors    (from PyTorch's CPU index)

A torchvision built for CUDA cannot be imported beside a CPU build of PyTorch ("operator
torchvision::nms does not exist"); this module works around it, since timm's models use none of
torchvision's operators.

A job is an object with `do` and paths of files; answers are in the order of jobs:

    fill      model, images, logits, weights    set timm's model to `weights_rule`, write its state
                                                dict (.safetensors) and logits (.npy)
    load      model, images, logits, weights    load weights strictly, write logits
    build     description                       build the network of `mnas export --format timm`

`images` is [N, 3, R, R] in .npy. `load` also accepts a `description` in place of `model`. Every
answer holds the model's `params` and timm's version.
"""

import json
import sys

import numpy as np
import torch
import weights_rule
from safetensors.torch import load_file, save_file


def import_timm():
    """Import timm, also beside a torchvision whose operators this build of PyTorch lacks."""
    try:
        import timm
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in list(sys.modules):
            if name.partition(".")[0] in ("timm", "torchvision"):
                del sys.modules[name]  # partially imported
        register = torch.library.register_fake

        def register_known(operator, *arguments, **options):
            if str(operator).startswith("torchvision::"):
                return lambda function: function
            return register(operator, *arguments, **options)

        torch.library.register_fake = register_known
        import timm
    return timm


timm = import_timm()


def build(description: dict) -> torch.nn.Module:
    """Build the model that `mnas export --format timm` describes (`mnas.export.text.to_timm`)."""
    from functools import partial

    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    return EfficientNet(
        decode_arch_def(description["arch_def"]),
        num_classes=description["num_classes"],
        num_features=description["num_features"],
        stem_size=description["stem_size"],
        stem_kernel_size=description["stem_kernel_size"],
        output_stride=description["output_stride"],
        pad_type=description["pad_type"],
        act_layer=timm.layers.get_act_layer(description["act_layer"]),
        norm_layer=partial(torch.nn.BatchNorm2d, eps=description["bn_eps"]),
        round_chs_fn=int,
    )


def fill(model: torch.nn.Module, weights: str) -> None:
    state = model.state_dict()
    filled = weights_rule.state_dict({name: tuple(t.shape) for name, t in state.items()})
    model.load_state_dict({name: torch.from_numpy(a) for name, a in filled.items()}, strict=True)
    save_file(model.state_dict(), weights)


def write_logits(model: torch.nn.Module, job: dict) -> None:
    images = torch.from_numpy(np.load(job["images"]))
    with torch.inference_mode():
        # One image at a time, to limit the memory of large models at large resolutions.
        logits = torch.cat([model.eval()(image[None]) for image in images])
    np.save(job["logits"], logits.numpy())


def answer(job: dict) -> dict:
    description = job.get("description")
    model = timm.create_model(job["model"]) if description is None else build(description)
    if job["do"] == "fill":
        fill(model, job["weights"])
    elif job["do"] == "load":
        model.load_state_dict(load_file(job["weights"]), strict=True)
    if "logits" in job:
        write_logits(model, job)
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "timm": timm.__version__,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump([answer(job) for job in json.load(sys.stdin)], sys.stdout)
