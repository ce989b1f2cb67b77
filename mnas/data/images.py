"""Image data sets: the embedded digits, `.npz` arrays and image folders; resizing and splits.

All images are RGB, uint8 [N, H, W, 3]; grey ones are repeated over the channels. Normalisation and
augmentation happen on the device (`mnas.data.batches`).
"""

import dataclasses
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mnas.errors import UsageError, is_number, rejected, require_whole

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set, and its training and validation split."""

    source: str = "digits"
    """Data set: 'digits' (embedded: scikit-learn's 1,797 handwritten digits), a .npz file, or a
    folder of class folders."""
    validation: float = 0.2
    """Images held out of the training set to compute the reward: a fraction, or a number."""
    train_images: int | None = None
    """Maximum number of training images; all by default."""
    split_seed: int = 0
    """Seed of the split, shared by all children of a search."""

    def __post_init__(self) -> None:
        held_out = self.validation
        if not is_number(held_out) or not held_out > 0 or (held_out >= 1 and held_out % 1):
            accepted = "a fraction between 0 and 1, or a whole number of images"
            raise rejected("data", "validation", held_out, accepted)
        if self.train_images is not None:
            require_whole("data", "train_images", self.train_images)
        require_whole("data", "split_seed", self.split_seed, least=0)


@dataclasses.dataclass(frozen=True)
class Images:
    """Data set at one resolution R: images uint8 [N, R, R, 3], labels int32 [N].

    `test_images` and `test_labels` are None if the source has no test set; a search never uses
    them. `classes` are the names of the classes, in order of the labels.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    classes: tuple[str, ...]


def load(config: DataConfig, resolution: int) -> Images:
    """Load the images of `config`, resized to `resolution` × `resolution` pixels.

    Validation images come from the training set, never from the test set. Raises UsageError for
    missing or malformed data.
    """
    if config.source == "digits":
        labelled, test, classes = _digits()
    elif config.source.endswith(".npz"):
        labelled, test, classes = _arrays(Path(config.source))
    else:
        labelled, test, classes = _folder(Path(config.source), resolution)
    images, labels = labelled
    order = np.random.default_rng(config.split_seed).permutation(len(images))
    held_out = config.validation
    count = int(held_out) if held_out >= 1 else round(held_out * len(images))
    if not 0 < count < len(images):
        raise UsageError(
            f"data: validation = {held_out} of {len(images)} training images leaves "
            f"{len(images) - count} to train on; accepted: at least one image in each split"
        )
    validation, train = order[:count], order[count:][: config.train_images]
    return Images(
        train_images=_resized(images[train], resolution),
        train_labels=labels[train],
        validation_images=_resized(images[validation], resolution),
        validation_labels=labels[validation],
        test_images=None if test is None else _resized(test[0], resolution),
        test_labels=None if test is None else test[1],
        classes=classes,
    )


Labelled = tuple[np.ndarray, np.ndarray]
Loaded = tuple[Labelled, Labelled | None, tuple[str, ...]]


def _digits() -> Loaded:
    """Return UCI's handwritten digits as shipped with scikit-learn: 8×8, grey, 0 to 16.

    They are ordered by their 13 writers. The last 297 are the test set, nearly all of them by
    writers who do not occur in the rest.
    """
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    images = _as_rgb(np.round(digits.images * (255 / 16)).astype(np.uint8))
    labels = digits.target.astype(np.int32)
    names = tuple(map(str, digits.target_names))
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:]), names


def _arrays(path: Path) -> Loaded:
    """Return the splits and class names of a `.npz` file; its arrays are checked."""
    if not path.is_file():
        raise UsageError(f"data: no file {path}; accepted: digits, a .npz file or a folder")
    try:
        with zipfile.ZipFile(path):  # np.load opens other formats as well
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
                "and train_labels, optionally test_images with test_labels, and classes"
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
                f"accepted: integers from 0, [{len(images)}]"
            )
        splits[split] = (_as_rgb(images), labels.astype(np.int32))
    count = int(max(labels.max() for _, labels in splits.values())) + 1
    names = tuple(map(str, arrays["classes"])) if "classes" in arrays else ()
    if names and len(names) < count:
        raise UsageError(f"data: {path}: {len(names)} classes, but labels up to {count - 1}")
    return splits["train"], splits.get("test"), names or tuple(map(str, range(count)))


def _folder(path: Path, resolution: int) -> Loaded:
    """Return `path/CLASS/*.png`, or `path/train/CLASS/*` with a test set in `test` or `val`."""
    if not path.is_dir():
        raise UsageError(f"data: no folder {path}; accepted: digits, a .npz file or a folder")
    root = path / "train" if (path / "train").is_dir() else path
    names = tuple(sorted(child.name for child in root.iterdir() if child.is_dir()))
    if len(names) < 2:
        raise UsageError(f"data: {root} has {len(names)} class folders; accepted: 2 or more")
    test = None
    if root != path:
        folders = [path / name for name in ("test", "val") if (path / name).is_dir()]
        test = _read_folder(folders[0], names, resolution) if folders else None
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
    """Return one image, scaled to `resolution` along its shorter edge and centre-cropped."""
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
    """Return images [N, H, W], [N, H, W, 1] or [N, H, W, 3] as [N, H, W, 3]."""
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def _resized(images: np.ndarray, resolution: int) -> np.ndarray:
    """Resize images bilinearly with Pillow, which antialiases when shrinking."""
    if images.shape[1:3] == (resolution, resolution):
        return images
    from PIL import Image

    size = (resolution, resolution)
    resize = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(image).resize(size, resize)) for image in images])
