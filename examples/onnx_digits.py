"""Classify the test images of the digits by onnxruntime alone, without mnas or JAX. A second.

python onnx_digits.py NETWORK.onnx
"""

import json
import sys

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits

TRAINING = 1500  # the images after these are the test images of mnas


def inputs(session, grey):
    """Return images, uint8 [N, R, R], as the network takes them: float32 [N, 3, R, R]."""
    metadata = session.get_modelmeta().custom_metadata_map
    mean, std = (np.array(json.loads(metadata[key])) for key in ("pixel_mean", "pixel_std"))
    pixels = np.repeat(grey[:, None], 3, axis=1)
    return ((pixels - mean[:, None, None]) / std[:, None, None]).astype(np.float32)


if __name__ == "__main__":
    session = onnxruntime.InferenceSession(sys.argv[1])
    resolution = session.get_inputs()[0].shape[2]
    digits = load_digits()
    if resolution != digits.images.shape[1]:
        sys.exit(f"images of {resolution} pixels; accepted: 8, since nothing is resized here")
    grey = np.round(digits.images[TRAINING:] * (255 / 16)).astype(np.uint8)
    labels = digits.target[TRAINING:]
    (logits,) = session.run(None, {"images": inputs(session, grey)})
    predicted = logits.argmax(axis=1)
    print(f"top-1 {np.mean(predicted == labels):.4f} on {len(labels)} test images")
    print("predicted:", *predicted[:10])
    print("labels:   ", *labels[:10])
