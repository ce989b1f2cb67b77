"""RandAugment: a number of random operations on each image, all of one magnitude.

Cubuk et al., "RandAugment" (arXiv 1909.13719): its 14 operations, each with equal probability, with
the ranges of AutoAugment (arXiv 1805.09501) at magnitude 10. Operations on pixel values are those
of Pillow, which the paper uses, to a unit in the last place; geometric ones interpolate linearly,
turn and shear about the centre, and show grey from outside of the image. Where an operation has a
direction, it is drawn.

An operation is a function of an image, float32 [R, R, 3] of whole numbers from 0 to 255, and a
strength from -1 to 1, whose magnitude is a tenth of the setting's and whose sign is the direction.
"""

import dm_pix as pix
import jax
import jax.numpy as jnp

# Ranges at the largest strength.
MOST_ENHANCEMENT = 0.9  # of a factor of 1
MOST_BITS = 4  # removed of 8
MOST_ROTATION = jnp.pi / 6
MOST_SHEAR = 0.3
MOST_TRANSLATION = 0.45  # of the image: AutoAugment's 150 pixels of 331
GREY = 128.0
MAX_MAGNITUDE = 10


def randaugment(images: jax.Array, key: jax.Array, operations: int, magnitude: float) -> jax.Array:
    """Return images after `operations` operations each, float32 [B, R, R, 3] of 0 to 255.

    magnitude  0 to 10, of all operations
    """
    images = jnp.clip(jnp.round(images), 0, 255)
    for step_key in jax.random.split(key, operations):
        operation_key, sign_key = jax.random.split(step_key)
        chosen = jax.random.randint(operation_key, images.shape[:1], 0, len(OPERATIONS))
        sign = jax.random.rademacher(sign_key, images.shape[:1], jnp.float32)
        strengths = sign * (magnitude / MAX_MAGNITUDE)
        if jax.default_backend() == "cpu":  # one after the other: only what was drawn is computed
            images = jax.lax.map(lambda each: applied(*each), (images, chosen, strengths))
        else:
            images = jax.vmap(applied)(images, chosen, strengths)
    return images


def applied(image: jax.Array, operation: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image after the operation of this number in OPERATIONS."""
    number = operation - len(PIXEL_OPERATIONS)
    # One branch for all geometric operations: where images are in parallel, all are computed.
    branches = (*PIXEL_OPERATIONS, lambda image, strength: transformed(image, number, strength))
    index = jnp.minimum(operation, len(PIXEL_OPERATIONS))
    return jax.lax.switch(index, branches, image, strength)


def identity(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return the image."""
    return image


def autocontrast(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image whose channels each reach from 0 to 255. The strength has no effect."""
    low, high = image.min((0, 1)), image.max((0, 1))
    scale = 255 / jnp.maximum(high - low, 1)
    return jnp.where(high > low, _whole(image * scale - low * scale), image)


def equalize(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image whose channels have nearly uniform histograms. The strength has no effect."""

    def channel(values):
        counts = jnp.zeros(256, jnp.int32).at[values].add(1)
        # The largest value has no part in the step from one value to the next.
        step = (values.size - counts[values.max()]) // 255
        below = jnp.cumsum(counts) - counts
        table = jnp.clip((below + step // 2) // jnp.maximum(step, 1), 0, 255)
        return jnp.where(step > 0, table[values], values)

    return jax.vmap(channel, -1, -1)(image.astype(jnp.int32)).astype(image.dtype)


def posterize(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image without the lowest bits of its values: at most four."""
    unit = 2 ** jnp.round(jnp.abs(strength) * MOST_BITS)
    return jnp.floor(image / unit) * unit


def solarize(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image whose values from a threshold on are inverted; 0 at the largest strength."""
    threshold = 256 * (1 - jnp.abs(strength))
    return jnp.round(255 * pix.solarize(image / 255, threshold / 255))


def color(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image of less or more saturated colours."""
    return _enhanced(image, jnp.round(pix.rgb_to_grayscale(image)), strength)


def contrast(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image nearer to, or further from, its mean grey."""
    mean = jnp.floor(jnp.round(pix.rgb_to_grayscale(image)).mean() + 0.5)
    return _enhanced(image, mean, strength)


def brightness(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return a darker or brighter image."""
    return _enhanced(image, jnp.zeros_like(image), strength)


def sharpness(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Return a smoother or sharper image. Pixels at the border stay as they are."""
    size = image.shape[0]
    if size < 3:
        return image
    around = sum(image[i : size - 2 + i, j : size - 2 + j] for i in range(3) for j in range(3))
    smooth = jnp.floor((around + 4 * image[1:-1, 1:-1]) / 13 + 0.5)
    return _enhanced(image, image.at[1:-1, 1:-1].set(smooth), strength)


def transformed(image: jax.Array, number: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image rotated, sheared or translated along an axis.

    number  0: rotate; 1, 2: shear, 3, 4: translate in x, y
    """
    size = image.shape[0]
    angle, shear = strength * MOST_ROTATION, strength * MOST_SHEAR
    one, zero = jnp.ones_like(strength), jnp.zeros_like(strength)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    # Row and column of the pixel that is shown, from those where it is shown.
    matrices = jnp.array(
        [
            [[cosine, sine], [-sine, cosine]],
            [[one, zero], [shear, one]],
            [[one, shear], [zero, one]],
            [[one, zero], [zero, one]],
            [[one, zero], [zero, one]],
        ]
    )
    distance = strength * MOST_TRANSLATION * size
    shifts = jnp.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 0]], jnp.float32) * distance
    matrix, shift = matrices[number], shifts[number]
    center = jnp.full(2, (size - 1) / 2)
    offset = center - matrix @ center + shift
    return jnp.round(
        pix.affine_transform(
            image,
            jnp.eye(3).at[:2, :2].set(matrix),
            offset=jnp.append(offset, 0.0),
            mode="constant",
            cval=GREY,
        )
    )


def _enhanced(image: jax.Array, degenerate: jax.Array, strength: jax.Array) -> jax.Array:
    """Return an image between a degenerate version of it and its opposite."""
    factor = 1 + MOST_ENHANCEMENT * strength
    return _whole(degenerate + factor * (image - degenerate))


def _whole(values: jax.Array) -> jax.Array:
    """Return the whole numbers from 0 to 255 below values."""
    return jnp.floor(jnp.clip(values, 0, 255))


PIXEL_OPERATIONS = (
    *(identity, autocontrast, equalize, posterize, solarize),
    *(color, contrast, brightness, sharpness),
)
OPERATIONS = (
    *(operation.__name__ for operation in PIXEL_OPERATIONS),
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
)
