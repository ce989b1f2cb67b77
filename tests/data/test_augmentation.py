"""Operations of augmentation on pixels worked by hand, and with Pillow; the whole by its seed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mnas.data import augmentation
from mnas.data.augmentation import Augmentation, augmented, mixed
from mnas.data.batches import epoch_batches
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset

# Compiled: operation by operation, they would take longer.
cropped = jax.jit(augmentation.cropped, static_argnums=3)
erased = jax.jit(augmentation.erased, static_argnums=2)
cutmix = jax.jit(augmentation.cutmix, static_argnums=3)
random_resized_crop = jax.jit(augmentation.random_resized_crop, static_argnums=(2, 3))
box_sizes = jax.jit(augmentation.box_sizes, static_argnums=(1, 2, 3, 4, 5))

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 12, 12, 3), np.uint8)
PIXELS = IMAGES.astype(np.float32)
KEY = jax.random.key(3)
ALL = Augmentation(
    flip=True,
    padding=1,
    crop=0.3,
    operations=1,
    magnitude=9.0,
    erasing=0.5,
    mixup=0.2,
    cutmix=1.0,
    resolution=8,
    classes=8,
)


@pytest.fixture(scope="module")
def feed():
    return DeviceImages(Subset.of(IMAGES, np.arange(8)))


def ramp(*values):
    """Return one image whose rows have these values."""
    column = np.array(values, np.float32)[:, None, None]
    return jnp.asarray(np.broadcast_to(column, (1, len(values), len(values), 3)))


def rows(images):
    return np.asarray(images)[0, :, 0, 0].tolist()


def test_a_crop_of_the_same_size_has_its_pixels():
    box = cropped(ramp(0, 10, 20, 30), jnp.array([[1, 0]]), jnp.array([[2, 2]]), 2)
    assert rows(box) == [10, 20]


def test_a_crop_is_enlarged_between_the_centres_of_its_pixels():
    # Rows 10 and 30 at 0.5 and 1.5; new centres at 0.25, 0.75, 1.25, 1.75. Row 99 is outside.
    box = cropped(ramp(99, 10, 30, 99), jnp.array([[1, 1]]), jnp.array([[2, 2]]), 4)
    np.testing.assert_allclose(rows(box), [10, 15, 25, 30], rtol=1e-6)


def test_a_crop_is_reduced_by_a_weighted_mean_of_its_pixels():
    # Centres at 1 and 3, weights 1 - distance / 2 of pixels at 0.5, 1.5, 2.5, 3.5.
    half = cropped(ramp(0, 8, 80, 800), jnp.array([[0, 0]]), jnp.array([[4, 4]]), 2)
    first = (0.75 * 0 + 0.75 * 8 + 0.25 * 80) / 1.75
    second = (0.25 * 8 + 0.75 * 80 + 0.75 * 800) / 1.75
    np.testing.assert_allclose(rows(half), [first, second], rtol=1e-6)


@pytest.mark.parametrize("resolution", [5, 12, 17])
def test_crops_equal_pillows(resolution):
    boxes = [(0, 0, 12, 12), (1, 2, 7, 9), (3, 0, 4, 11), (5, 6, 6, 5)]  # top, left, height, width
    starts, lengths = np.array(boxes)[:, :2], np.array(boxes)[:, 2:]
    found = cropped(PIXELS[:4], jnp.array(starts), jnp.array(lengths), resolution)
    for image, crop, (top, left, height, width) in zip(IMAGES, found, boxes, strict=False):
        box = Image.fromarray(image).crop((left, top, left + width, top + height))
        expected = np.asarray(box.resize((resolution, resolution), Image.Resampling.BILINEAR))
        # Pillow rounds to whole numbers, after each direction.
        np.testing.assert_allclose(crop, expected, atol=1.01)


def test_random_boxes_have_areas_and_ratios_in_their_ranges():
    sizes = box_sizes(KEY, 2000, 100, (0.1, 0.5), (0.5, 2.0), 0)
    heights, widths = np.asarray(sizes).T
    area, ratio = heights * widths / 100**2, widths / heights
    assert 0.09 < area.min() < 0.12 and 0.48 < area.max() < 0.51
    assert 0.47 < ratio.min() < 0.55 and 1.85 < ratio.max() < 2.1
    assert abs(area.mean() - 0.3) < 0.02 and abs(np.log(ratio).mean()) < 0.05
    # No box of such a ratio fits.
    assert (box_sizes(KEY, 5, 100, (0.5, 1.0), (4.0, 5.0), 77) == 77).all()


def test_random_crops_are_boxes_of_the_image():
    # Of an image whose rows and columns tell where they are from.
    grid = np.stack(np.meshgrid(*2 * [np.arange(32)], indexing="ij"), -1).astype(np.float32)
    images = np.broadcast_to(np.dstack([grid, grid[..., :1]]), (200, 32, 32, 3))
    crops = np.asarray(random_resized_crop(jnp.asarray(images), KEY, 0.25, 8))
    heights = (crops[:, -1, 0, 0] - crops[:, 0, 0, 0]) * 8 / 7
    widths = (crops[:, 0, -1, 1] - crops[:, 0, 0, 1]) * 8 / 7
    # Near the border of a box, the triangle is cut off, which moves the outermost centres inwards.
    assert np.all(heights * widths / 32**2 > 0.2) and np.all(widths / heights < 1.6)
    assert len({tuple(crop[0, 0]) for crop in crops}) > 50


def test_mixup_adds_the_image_before_with_weights_of_the_beta_distribution():
    each = jax.jit(jax.vmap(lambda key: augmentation.mixup(PIXELS, jnp.eye(8), key, 0.2)))
    images, targets = map(np.asarray, each(jax.random.split(KEY, 500)))
    weights = targets[:, 0, 0]
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
    assert abs(weights.mean() - 0.5) < 0.06 and abs(weights.var() - 1 / 5.6) < 0.02
    chosen = np.argmin(np.abs(weights - 0.7))
    weight, before = weights[chosen], [7, *range(7)]
    np.testing.assert_allclose(
        targets[chosen], weight * np.eye(8) + (1 - weight) * np.eye(8)[before], atol=1e-6
    )
    expected = weight * PIXELS + (1 - weight) * PIXELS[before]
    np.testing.assert_allclose(images[chosen], expected, rtol=1e-5, atol=1e-3)


def test_cutmix_pastes_a_box_of_the_image_before_and_counts_its_area():
    images, targets = jnp.asarray(PIXELS), jnp.eye(8)
    areas = []
    for number in range(20):
        found, mixed_targets = cutmix(images, targets, jax.random.key(number), 1.0)
        pasted = (np.asarray(found) == np.roll(PIXELS, 1, 0)).all((0, 3))
        kept = (np.asarray(found) == PIXELS).all((0, 3))
        assert (pasted ^ kept).all()  # the same pixels of all images
        inside = np.argwhere(pasted)
        if len(inside):
            height, width = np.ptp(inside, 0) + 1
            assert len(inside) == height * width  # a box
        areas.append(len(inside) / 144)
        assert float(mixed_targets[3, 3]) == pytest.approx(1 - areas[-1], abs=1e-6)
        assert float(mixed_targets[3, 2]) == pytest.approx(areas[-1], abs=1e-6)
    assert min(areas) < 0.2 and max(areas) > 0.4


def test_erasing_fills_a_box_of_some_images():
    images = jnp.full((400, 16, 16, 3), 300.0)
    changed = np.asarray(erased(images, KEY, 0.25)) < 300
    assert (changed.all(-1) == changed.any(-1)).all()  # all channels
    areas = changed[..., 0].mean((1, 2))
    assert 0.15 < (areas > 0).mean() < 0.35
    assert areas.max() < 0.45 and areas[areas > 0].min() > 0.01
    for image in changed[areas > 0][:20, ..., 0]:
        inside = np.argwhere(image)
        assert len(inside) == np.prod(np.ptp(inside, 0) + 1)
    assert not (np.asarray(erased(images, KEY, 0.0)) < 300).any()


def test_operations_that_are_off_change_nothing():
    images = jnp.asarray(PIXELS)
    assert (augmented(images, KEY, Augmentation(flip=True, padding=3)) == images).all()
    found, targets = mixed(images, jnp.arange(8), KEY, Augmentation())
    assert (found == images).all() and (targets == jnp.arange(8)).all()


def test_resolution_alone_resizes_every_image(feed):
    ((images, labels),) = epoch_batches(feed, 8, 0, 1, Augmentation(resolution=6))
    for image, label in zip(images, labels, strict=True):
        resized = Image.fromarray(IMAGES[label]).resize((6, 6), Image.Resampling.BILINEAR)
        expected = (np.asarray(resized, np.float32) - feed.mean) / feed.std
        np.testing.assert_allclose(image, expected, atol=0.05)


def test_batches_depend_on_seed_and_epoch_only(feed):
    def batches(seed, epoch, settings=ALL, **options):
        found = epoch_batches(feed, 4, seed, epoch, settings, **options)
        return [np.concatenate([images.ravel(), targets.ravel()]) for images, targets in found]

    first = batches(0, 1)
    np.testing.assert_array_equal(batches(0, 1), first)
    np.testing.assert_array_equal(batches(0, 1, start=1), first[1:])
    assert not np.array_equal(batches(0, 2), first)
    assert not np.array_equal(batches(1, 1), first)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("field", ["flip", "padding", "crop", "operations", "erasing"])
def test_each_operation_changes_images_and_no_labels(feed, field):
    plain = list(epoch_batches(feed, 8, 0, 1))
    one = dataclasses.replace(Augmentation(magnitude=9.0), **{field: getattr(ALL, field)})
    found = list(epoch_batches(feed, 8, 0, 1, one))
    np.testing.assert_array_equal(found[0][1], plain[0][1])
    assert found[0][0].shape == plain[0][0].shape
    assert not np.array_equal(found[0][0], plain[0][0])


def test_each_batch_has_one_of_mixup_and_cutmix(feed):
    settings, pure = Augmentation(mixup=1.0, cutmix=1.0, classes=8), []
    plain = [np.asarray(images) for images, _ in epoch_batches(feed, 2, 0, 1)]
    for number, (images, targets) in enumerate(epoch_batches(feed, 2, 0, 1, settings)):
        assert images.shape == (2, 12, 12, 3) and targets.shape == (2, 8)
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
        own, other = plain[number], plain[number][::-1]
        pure.append(bool(((images == own) | (images == other)).all()))
    assert {*pure} == {True, False}  # cutmix only moves pixels
