"""Images: the embedded set, `.npz` arrays, and folders; resized and split.

All images are RGB, uint8, [N, H, W, 3]; grey ones are repeated over the channels. Normalisation and
augmentation happen on the device, inside the training step (`mnas.training.blockwise`).
"""

import dataclasses
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mnas.errors import UsageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are split."""

    source: str = "digits"
    """'digits' (embedded: scikit-learn's 1,797 handwritten digits), a .npz file, or a folder of
    class folders."""
    validation: float = 0.2
    """Images held out of the training set for the reward: a share below 1, or a number."""
    train_images: int | None = None
    """Train on at most so many images; all where not given."""
    split_seed: int = 0
    """Seed of the split, the same for all children of a search."""

    def __post_init__(self) -> None:
        if not self.validation > 0 or (self.validation >= 1 and self.validation % 1):
            raise UsageError(
                f"data: validation = {self.validation}; "
                "accepted: a share between 0 and 1, or a whole number of images"
            )
        if self.train_images is not None and self.train_images < 1:
            raise UsageError(
                f"data: train_images = {self.train_images}; accepted: a number of at least 1"
            )
        if self.split_seed < 0:
            raise UsageError(f"data: split_seed = {self.split_seed}; accepted: 0 or more")


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set at one resolution R. Images uint8 [N, R, R, 3], labels int32 [N].

    `test_*` are None where the source has no test set; a search never looks at them.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    classes: tuple[str, ...]


def load(config: DataConfig, resolution: int) -> Images:
    """The images of `config` at `resolution` pixels a side.

    Held-out images come from the training set, never from the test set. ValueError names what is
    missing or malformed.
    """
    if config.source == "digits":
        train, test, classes = _digits()
    elif config.source.endswith(".npz"):
        train, test, classes = _arrays(Path(config.source))
    else:
        train, test, classes = _folder(Path(config.source), resolution)
    images, labels = train
    order = np.random.default_rng(config.split_seed).permutation(len(images))
    held_out = config.validation
    count = int(held_out) if held_out >= 1 else round(held_out * len(images))
    if not 0 < count < len(images):
        raise UsageError(
            f"data: validation = {held_out} of {len(images)} training images leaves "
            f"{len(images) - count} to train on; accepted: at least one on either side"
        )
    held, kept = order[:count], order[count:][: config.train_images]
    return Images(
        train_images=_resized(images[kept], resolution),
        train_labels=labels[kept],
        validation_images=_resized(images[held], resolution),
        validation_labels=labels[held],
        test_images=None if test is None else _resized(test[0], resolution),
        test_labels=None if test is None else test[1],
        classes=classes,
    )


Labelled = tuple[np.ndarray, np.ndarray]
Loaded = tuple[Labelled, Labelled | None, tuple[str, ...]]


def _digits() -> Loaded:
    """UCI's handwritten digits as shipped with scikit-learn: 8×8, grey, 0 to 16.

    They come in the order of their 13 writers, so the last 297, kept as the test set, are nearly
    all by writers that the rest has not seen.
    """
    from sklearn.datasets import load_digits  # a second to import, needed only here

    digits = load_digits()
    images = _as_rgb(np.round(digits.images * (255 / 16)).astype(np.uint8))
    labels = digits.target.astype(np.int32)
    names = tuple(map(str, digits.target_names))
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:]), names


def _arrays(path: Path) -> Loaded:
    """A `.npz` with train_images, train_labels, and perhaps test_images, test_labels, classes."""
    if not path.is_file():
        raise UsageError(f"data: no file {path}; accepted: digits, a .npz file or a folder")
    try:
        with zipfile.ZipFile(path):  # np.load also opens what is no .npz
            pass
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"data: {path} can't be read as .npz: {error}") from None
    splits = {}
    for split in ("train", "test"):
        images, labels = (arrays.get(f"{split}_{part}") for part in ("images", "labels"))
        if split == "test" and images is None and labels is None:
            continue
        if images is None or labels is None:
            raise UsageError(
                f"data: {path} has {', '.join(arrays) or 'nothing'}; accepted: train_images "
                "and train_labels, perhaps test_images and test_labels, perhaps classes"
            )
        grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))
        if images.dtype != np.uint8 or not grey_or_rgb or not images.size:
            raise UsageError(
                f"data: {path}: {split}_images is {images.dtype} {images.shape}; "
                "accepted: uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise UsageError(
                f"data: {path}: {split}_labels is {labels.dtype} {labels.shape}; "
                f"accepted: whole numbers from 0, [{len(images)}]"
            )
        splits[split] = (_as_rgb(images), labels.astype(np.int32))
    count = int(max(labels.max() for _, labels in splits.values())) + 1
    names = tuple(map(str, arrays["classes"])) if "classes" in arrays else ()
    if names and len(names) < count:
        raise UsageError(f"data: {path}: {len(names)} classes, but labels up to {count - 1}")
    return splits["train"], splits.get("test"), names or tuple(map(str, range(count)))


def _folder(path: Path, resolution: int) -> Loaded:
    """`path/CLASS/*.png`, or `path/train/CLASS/*` with a test set in `path/val` or `path/test`."""
    if not path.is_dir():
        raise UsageError(f"data: no folder {path}; accepted: digits, a .npz file or a folder")
    root = path / "train" if (path / "train").is_dir() else path
    names = tuple(sorted(child.name for child in root.iterdir() if child.is_dir()))
    if len(names) < 2:
        raise UsageError(f"data: {root} has {len(names)} class folders; accepted: 2 or more")
    test = None
    if root != path:
        held = next((path / name for name in ("test", "val") if (path / name).is_dir()), None)
        test = None if held is None else _read_folder(held, names, resolution)
    return _read_folder(root, names, resolution), test, names


def _read_folder(root: Path, names: tuple[str, ...], resolution: int) -> Labelled:
    images, labels = [], []
    for label, name in enumerate(names):
        files = sorted(f for f in (root / name).rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise UsageError(
                f"data: no images in {root / name}; accepted: {', '.join(IMAGE_SUFFIXES)}"
            )
        images += [_read_image(file, resolution) for file in files]
        labels += [label] * len(files)
    return np.stack(images), np.array(labels, np.int32)


def _read_image(path: Path, resolution: int) -> np.ndarray:
    """One file, scaled so that its shorter side fits, and cropped to the centre square."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            fitted = ImageOps.fit(
                image.convert("RGB"), (resolution, resolution), Image.Resampling.BILINEAR
            )
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"data: {path} can't be read as an image: {error}") from None
    return np.asarray(fitted)


def _as_rgb(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def _resized(images: np.ndarray, resolution: int) -> np.ndarray:
    """Bilinear, as Pillow does it: antialiased where it shrinks."""
    if images.shape[1:3] == (resolution, resolution):
        return images
    from PIL import Image

    size = (resolution, resolution)
    resize = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(image).resize(size, resize)) for image in images])
