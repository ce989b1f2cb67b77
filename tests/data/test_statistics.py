"""Statistics of pixels."""

import numpy as np

from mnas.data.statistics import pixel_statistics

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)


def test_statistics_equal_mean_and_standard_deviation():
    mean, std = pixel_statistics([IMAGES])
    np.testing.assert_allclose(mean, IMAGES.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, IMAGES.std((0, 1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(pixel_statistics([np.zeros_like(IMAGES)])[1], np.ones(3))


def test_statistics_do_not_depend_on_the_parts():
    whole = pixel_statistics([IMAGES])
    for parts in ([3], [1, 2, 9]):
        np.testing.assert_array_equal(pixel_statistics(np.split(IMAGES, parts)), whole)
