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
    for subset in (images.train, images.validation, images.test):
        if subset is None:
            continue
        pixels, labels = subset.read(), subset.labels
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


CIFAR_NAMES = {
    10: ([f"data_batch_{number}.bin" for number in range(1, 6)], "test_batch.bin"),
    100: (["train.bin"], "test.bin"),
}


def cifar_files(classes=10, count=4) -> dict[str, bytes]:
    """Return the files of a small CIFAR-10 or CIFAR-100 in the binary format."""
    train, test = CIFAR_NAMES[classes]
    files = {}
    for name in (*train, test):
        records = RNG.integers(0, 256, (count, 3074 - (classes == 10)), np.uint8)
        records[:, 0] = np.arange(count) % min(classes, 20)
        if classes == 100:
            records[:, 1] = 99 - np.arange(count)
        files[name] = records.tobytes()
    names = "".join(f"class{index}\n" for index in range(classes)).encode()
    if classes == 10:
        return {**files, "batches.meta.txt": names + b"\n", "readme.html": b"<html>"}
    coarse = "".join(f"coarse{index}\n" for index in range(20)).encode()
    return {**files, "fine_label_names.txt": names, "coarse_label_names.txt": coarse}


def save_files(root: Path, files: dict[str, bytes]) -> Path:
    """Write files by name; return their folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).write_bytes(content)
    return root


def save_cifar(root: Path, classes=10, count=4) -> Path:
    """Save a small CIFAR in the binary format; return the folder."""
    return save_files(root, cifar_files(classes, count))


def idx(array) -> bytes:
    """Return an idx file of unsigned bytes."""
    array = np.asarray(array, np.uint8)
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def idx_files(prefix="", test="t10k", first=0) -> dict[str, bytes]:
    """Return the files of a small MNIST: 9 training and 4 test images of 3 classes."""
    files = {}
    for split, count in ("train", 9), (test, 4):
        images = RNG.integers(0, 256, (count, 7, 6), np.uint8)
        files[f"{prefix}{split}-images-idx3-ubyte"] = idx(images)
        files[f"{prefix}{split}-labels-idx1-ubyte"] = idx(first + np.arange(count) % 3)
    return files


def save_idx(root: Path, **options) -> Path:
    """Save a small MNIST; return the folder."""
    return save_files(root, idx_files(**options))
