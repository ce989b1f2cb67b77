"""Write golden.json: timm's logits for weights and images by `weights_rule`.

    python -m tests.interchange.golden --timm-python ~/torch/bin/python

`test_golden.py` compares our networks with the file, without timm. It holds, for each model, the
first logits of two images at 64 × 64, and the largest absolute logit, the scale of differences.
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
    parser = argparse.ArgumentParser(description="Write timm's logits to golden.json.")
    parser.add_argument("--timm-python", required=True, help="an interpreter that has timm")
    options = parser.parse_args()
    models = {}
    with tempfile.TemporaryDirectory() as directory:
        files = {
            name: str(Path(directory) / f"{name}.{suffix}")
            for name, suffix in (("images", "npy"), ("logits", "npy"), ("weights", "safetensors"))
        }
        np.save(files["images"], weights_rule.images(IMAGES, RESOLUTION))
        for model in TIMM:
            (answer,) = ask(options.timm_python, [{"do": "fill", "model": model, **files}])
            logits = np.load(files["logits"])
            models[model] = {
                "largest": float(np.abs(logits).max()),
                "logits": logits[:, :FIRST].tolist(),
            }
    FILE.write_text(json.dumps({"timm": answer["timm"], "models": models}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
