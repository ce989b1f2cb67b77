"""Logits that timm gives for weights and images by `weights_rule`, kept in golden.json.

    python -m tests.interchange.golden --timm-python ~/torch/bin/python

writes the file anew; `test_golden.py` holds our networks to it, without timm. For each model: the
first logits of two images at 64 × 64, and the largest logit in size, which differences are put in
relation to.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from mnas.architecture.published import TIMM
from tests.interchange import weights_rule
from tests.interchange.parity import IMAGES, ask

FILE = Path(__file__).with_name("golden.json")
RESOLUTION = 64
FIRST = 8


def main() -> int:
    parser = argparse.ArgumentParser(description="Pins timm's logits.")
    parser.add_argument("--timm-python", required=True, help="an interpreter that has timm")
    chosen = parser.parse_args()
    models = {}
    with tempfile.TemporaryDirectory() as directory:
        files = {
            name: str(Path(directory) / f"{name}.{suffix}")
            for name, suffix in (("images", "npy"), ("logits", "npy"), ("weights", "safetensors"))
        }
        np.save(files["images"], weights_rule.images(IMAGES, RESOLUTION))
        for model in TIMM:
            (answer,) = ask(chosen.timm_python, [{"do": "fill", "model": model, **files}])
            logits = np.load(files["logits"])
            models[model] = {
                "largest": float(np.abs(logits).max()),
                "logits": logits[:, :FIRST].tolist(),
            }
    FILE.write_text(json.dumps({"timm": answer["timm"], "models": models}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
