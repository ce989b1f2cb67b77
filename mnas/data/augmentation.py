"""Augmentation of training batches, on the device.

Each operation is a pure function of images, a random key and its settings. Images are float32
[B, R, R, 3] on the scale of 0 to 255, before normalisation; targets are labels int32 [B] or class
probabilities float32 [B, K]. What is random depends on the key only.

    random-resized crop   Szegedy et al., arXiv 1409.4842, section 6; boxes drawn as in torchvision
    RandAugment           `mnas.data.randaugment`
    random erasing        Zhong et al., arXiv 1708.04896
    mixup                 Zhang et al., arXiv 1710.09412
    cutmix                Yun et al., arXiv 1905.04899
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

# Boxes drawn for a crop or an erased rectangle, until one fits into the image.
ATTEMPTS = 10
CROP_RATIOS = (3 / 4, 4 / 3)
# Area of the erased rectangle, as a fraction of the image, and its ratio of width to height.
ERASED_AREAS = (0.02, 0.4)
ERASED_RATIOS = (0.3, 1 / 0.3)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation of training batches; a static argument of the programs.

    flip         mirror with probability 1/2
    padding      maximum shift in each direction, pixels
    crop         smallest area of a random-resized crop, as a fraction of the image; 1 for no crop
    operations   number of RandAugment's operations on each image
    magnitude    of these, 0 to 10
    erasing      probability that a rectangle of an image is erased
    mixup        α of mixup's Beta(α, α); 0 for none
    cutmix       α of cutmix's; with both, each batch has one of the two, with probability 1/2
    resolution   height and width of the augmented images, pixels; None for those of the images
    classes      number of classes, of mixed targets
    """

    flip: bool = False
    padding: int = 0
    crop: float = 1.0
    operations: int = 0
    magnitude: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    resolution: int | None = None
    classes: int = 0

    @property
    def draws(self) -> bool:
        """Whether anything but flips and shifts is random."""
        return self.crop < 1 or self.operations > 0 or self.erasing > 0 or self.mixes

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, and targets are probabilities."""
        return self.mixup > 0 or self.cutmix > 0


NONE = Augmentation()


def augmented(images: jax.Array, key: jax.Array, settings: Augmentation) -> jax.Array:
    """Return images cropped, resized, changed by RandAugment and erased, each as set."""
    crop_key, operation_key, erase_key = jax.random.split(key, 3)
    size = images.shape[1]
    resolution = settings.resolution or size
    if settings.crop < 1:
        images = random_resized_crop(images, crop_key, settings.crop, resolution)
    elif resolution != size:
        whole = jnp.zeros((len(images), 2)), jnp.full((len(images), 2), size)
        images = cropped(images, *whole, resolution)
    if settings.operations:
        from mnas.data.randaugment import randaugment  # imports dm_pix

        images = randaugment(images, operation_key, settings.operations, settings.magnitude)
    if settings.erasing:
        images = erased(images, erase_key, settings.erasing)
    return images


def mixed(
    images: jax.Array, targets: jax.Array, key: jax.Array, settings: Augmentation
) -> tuple[jax.Array, jax.Array]:
    """Return images mixed by mixup or cutmix and their targets; both as they are without either."""
    if not settings.mixes:
        return images, targets
    targets = jax.nn.one_hot(targets, settings.classes)
    choice_key, key = jax.random.split(key)
    if settings.mixup and settings.cutmix:
        with_mixup = mixup(images, targets, key, settings.mixup)
        with_cutmix = cutmix(images, targets, key, settings.cutmix)
        chosen = jax.random.bernoulli(choice_key)
        return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), with_mixup, with_cutmix)
    if settings.mixup:
        return mixup(images, targets, key, settings.mixup)
    return cutmix(images, targets, key, settings.cutmix)


def random_resized_crop(
    images: jax.Array, key: jax.Array, least: float, resolution: int
) -> jax.Array:
    """Return random boxes of images, resized to `resolution` × `resolution` pixels.

    A box has an area of `least` to 1 of the image and a ratio of width to height of 3/4 to 4/3,
    uniform and log-uniform; it is the whole image where none of ATTEMPTS boxes fits.
    """
    size_key, place_key = jax.random.split(key)
    size = images.shape[1]
    lengths = box_sizes(size_key, len(images), size, (least, 1.0), CROP_RATIOS, size)
    places = jax.random.uniform(place_key, (len(images), 2))
    starts = jnp.floor(places * (size - lengths + 1))
    return cropped(images, starts, lengths, resolution)


def cropped(images: jax.Array, starts: jax.Array, lengths: jax.Array, resolution: int) -> jax.Array:
    """Return boxes of images, resized linearly; where they shrink, all of their pixels count.

    starts, lengths  [B, 2], first row and column, and height and width of the boxes
    """
    weights = resampling_weights(images.shape[1], starts[..., None], lengths[..., None], resolution)
    precise = jax.lax.Precision.HIGHEST
    rows = jnp.einsum("bor,brcd->bocd", weights[:, 0], images, precision=precise)
    return jnp.einsum("bpc,bocd->bopd", weights[:, 1], rows, precision=precise)


def resampling_weights(
    size: int, start: jax.Array, length: jax.Array, resolution: int
) -> jax.Array:
    """Return the weights of `size` pixels in `resolution` ones, [..., resolution, size].

    A triangle around the centre of each new pixel, as wide as two pixels of the coarser grid, of
    the pixels inside [start, start + length) only: Pillow's bilinear filter on the cropped image.

    start, length  whole numbers [..., 1]
    """
    scale = length / resolution
    centers = (start + (jnp.arange(resolution) + 0.5) * scale)[..., None]
    pixels = jnp.arange(size) + 0.5
    inside = (pixels > start[..., None]) & (pixels < (start + length)[..., None])
    distances = jnp.abs(pixels - centers) / jnp.maximum(scale, 1)[..., None]
    weights = jnp.where(inside, jnp.maximum(0, 1 - distances), 0)
    return weights / weights.sum(-1, keepdims=True)


def erased(images: jax.Array, key: jax.Array, probability: float) -> jax.Array:
    """Return images, each with a rectangle of random pixel values with the given probability."""
    choice_key, size_key, place_key, pixel_key = jax.random.split(key, 4)
    count, size = images.shape[:2]
    lengths = box_sizes(size_key, count, size, ERASED_AREAS, ERASED_RATIOS, 0)
    places = jax.random.uniform(place_key, (count, 2))
    starts = jnp.floor(places * (size - lengths + 1))
    chosen = jax.random.bernoulli(choice_key, probability, (count,))
    inside = boxes(size, starts, starts + lengths) & chosen[:, None, None]
    noise = jax.random.uniform(pixel_key, images.shape, maxval=255.0)
    return jnp.where(inside[..., None], noise, images)


def mixup(
    images: jax.Array, targets: jax.Array, key: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Return λ · x + (1 - λ) · x' for images and targets of a batch, λ from Beta(α, α).

    x' is the image before x in the batch, whose order is random; the batch has one λ.
    """
    weight = jax.random.beta(key, alpha, alpha)

    def mix(array):
        return weight * array + (1 - weight) * jnp.roll(array, 1, 0)

    return mix(images), mix(targets)


def cutmix(
    images: jax.Array, targets: jax.Array, key: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Return images with a box of the image before in the batch, and targets mixed by area.

    The box has 1 - λ of the area, λ from Beta(α, α), around a point anywhere; what lies beyond the
    border is cut off. The batch has one box.
    """
    weight_key, place_key = jax.random.split(key)
    size = images.shape[1]
    length = size * jnp.sqrt(1 - jax.random.beta(weight_key, alpha, alpha))
    center = jax.random.randint(place_key, (1, 2), 0, size)
    half = jnp.floor(length) // 2
    inside = boxes(size, center - half, center + half)
    weight = 1 - inside.mean()
    pasted = jnp.where(inside[..., None], jnp.roll(images, 1, 0), images)
    return pasted, weight * targets + (1 - weight) * jnp.roll(targets, 1, 0)


def boxes(size: int, starts: jax.Array, ends: jax.Array) -> jax.Array:
    """Return which pixels lie in [starts, ends), rows and columns [B, 2]: bool [B, R, R]."""
    pixels = jnp.arange(size)
    inside = (pixels >= starts[..., None]) & (pixels < ends[..., None])
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def box_sizes(
    key: jax.Array,
    count: int,
    size: int,
    areas: tuple[float, float],
    ratios: tuple[float, float],
    otherwise: int,
) -> jax.Array:
    """Return heights and widths of random boxes in images of `size` pixels, [count, 2].

    areas      least and largest area, as a fraction of the image; uniform
    ratios     least and largest ratio of width to height; log-uniform
    otherwise  height and width where none of ATTEMPTS boxes fits
    """
    area_key, ratio_key = jax.random.split(key)
    area = jax.random.uniform(area_key, (ATTEMPTS, count), minval=areas[0], maxval=areas[1])
    low, high = map(math.log, ratios)
    ratio = jnp.exp(jax.random.uniform(ratio_key, (ATTEMPTS, count), minval=low, maxval=high))
    both = jnp.stack([jnp.sqrt(area / ratio), jnp.sqrt(area * ratio)], -1)
    lengths = jnp.round(size * both)
    fits = ((lengths >= 1) & (lengths <= size)).all(-1)
    first = jnp.take_along_axis(lengths, fits.argmax(0)[None, :, None], 0)[0]
    return jnp.where(fits.any(0)[:, None], first, otherwise)
