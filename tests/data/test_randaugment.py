"""RandAugment's operations against Pillow's, and geometric ones on pixels worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mnas.data import randaugment
from mnas.data.randaugment import GREY, OPERATIONS, transformed

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (16, 16, 3), np.uint8)
DARK = RNG.integers(40, 60, (16, 16, 3), np.uint8)
FLAT = np.full((16, 16, 3), 7, np.uint8)
applied = jax.jit(randaugment.applied)


def pillow(name, image, strength):
    """Return the operation of Pillow's with the same name."""
    factor = 1 + 0.9 * strength
    return {
        "identity": lambda: image,
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
        "solarize": lambda: ImageOps.solarize(image, 256 * (1 - abs(strength))),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
    }[name]()


@pytest.mark.parametrize("name", OPERATIONS[:9])
@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.0, 0.6, 0.9])
def test_operations_on_values_equal_pillows(name, strength):
    for image in (NOISE, DARK, FLAT):
        found = applied(jnp.asarray(image, jnp.float32), OPERATIONS.index(name), strength)
        expected = np.asarray(pillow(name, Image.fromarray(image), strength), np.float32)
        difference = np.abs(found - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.05


def geometric(name, image, strength):
    number = OPERATIONS.index(name) - len(randaugment.PIXEL_OPERATIONS)
    compiled = jax.jit(lambda *arguments: transformed(*arguments))  # anew, with the patched range
    return np.asarray(compiled(jnp.asarray(image, jnp.float32), number, jnp.float32(strength)))


def test_translation_moves_pixels_and_shows_grey(monkeypatch):
    monkeypatch.setattr(randaugment, "MOST_TRANSLATION", 0.25)  # 4 of 16 pixels
    left = geometric("translate_x", NOISE, 1.0)
    np.testing.assert_array_equal(left[:, :12], NOISE[:, 4:])
    assert (left[:, 12:] == GREY).all()
    down = geometric("translate_y", NOISE, -1.0)
    np.testing.assert_array_equal(down[4:], NOISE[:12])
    assert (down[:4] == GREY).all()


def test_a_quarter_turn_equals_numpys(monkeypatch):
    monkeypatch.setattr(randaugment, "MOST_ROTATION", np.pi / 2)
    turned = geometric("rotate", NOISE, 1.0)
    # Rounding may put the outermost centres outside of the image.
    np.testing.assert_array_equal(turned[1:-1, 1:-1], np.rot90(NOISE)[1:-1, 1:-1])


def test_shear_moves_rows_by_their_distance_from_the_centre(monkeypatch):
    monkeypatch.setattr(randaugment, "MOST_SHEAR", 2.0)
    sheared = geometric("shear_x", NOISE, 1.0)
    # Row r is 7.5 - r rows from the centre: 1 in row 7.5 ± 0.5, to the left and to the right.
    np.testing.assert_array_equal(sheared[8, 1:14], NOISE[8, 2:15])
    np.testing.assert_array_equal(sheared[7, 2:15], NOISE[7, 1:14])
    np.testing.assert_array_equal(sheared[9, :13], NOISE[9, 3:])
    assert (sheared[9, 13:] == GREY).all()
    np.testing.assert_array_equal(
        geometric("shear_y", NOISE.transpose(1, 0, 2), 1.0), sheared.transpose(1, 0, 2)
    )


def test_rotation_by_the_largest_angle_equals_pillows():
    found = geometric("rotate", NOISE, 1.0)
    grey = (int(GREY),) * 3
    expected = Image.fromarray(NOISE).rotate(30, Image.Resampling.BILINEAR, fillcolor=grey)
    inside = np.hypot(*np.meshgrid(*2 * [np.arange(16) - 7.5])) < 6.5
    np.testing.assert_allclose(found[inside], np.asarray(expected)[inside], atol=1.01)


def test_every_operation_is_drawn_equally_often_and_with_both_signs(monkeypatch):
    drawn = []

    def record(image, operation, strength):
        return jnp.full_like(image, operation) + strength / 4

    monkeypatch.setattr(randaugment, "applied", record)
    images = jnp.zeros((2800, 1, 1, 3))
    drawn = np.asarray(randaugment.randaugment(images, jax.random.key(0), 1, 5.0))[:, 0, 0, 0]
    operations, strengths = np.round(drawn), 4 * (drawn - np.round(drawn))
    assert np.bincount(operations.astype(int), minlength=14).min() > 150  # 200 expected
    np.testing.assert_allclose(np.abs(strengths), 0.5, rtol=1e-5)
    assert 0.45 < (strengths > 0).mean() < 0.55
    assert randaugment.randaugment(images, jax.random.key(0), 2, 5.0).max() > 14 - 2
