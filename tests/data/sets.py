"""Small data sets, and checks that several test modules share."""

from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def contents(images: np.ndarray) -> set[bytes]:
    """Return the pixels of every image as bytes."""
    return {image.tobytes() for image in images}


def checked(images, resolution):
    """Check the shapes, types and labels that `Images` documents; return the images."""
    for split in ("train", "validation", "test"):
        pixels, labels = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        if split == "test" and pixels is None:
            assert labels is None
            continue
        assert pixels.shape == (len(labels), resolution, resolution, 3)
        assert (pixels.dtype, labels.dtype) == (np.uint8, np.int32)
        assert labels.min() >= 0 and labels.max() < len(images.classes)
    return images


def save_image(path: Path, colour, size=(12, 12), mode="RGB", **options):
    """Save an image of one colour; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)


def save_classes(root: Path, names=("cat", "dog"), count=3, suffix=".png") -> Path:
    """Save `count` images of noise for each class; return the folder."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            noise = RNG.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(root / name / f"{index}{suffix}")
    return root
