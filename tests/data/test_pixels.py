"""One image file to 8-bit RGB: modes, orientation, animations, damaged and huge files."""

import zlib

import numpy as np
import pytest
from PIL import Image

from mnas.data.pixels import image_header, is_image_name, read_image
from mnas.errors import UsageError
from tests.data.sets import RNG

GREY = np.array([[0, 64], [128, 255]], np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def rgb(grey) -> list:
    return np.repeat(np.array(grey)[..., None], 3, axis=2).tolist()


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(".png", "<u2"), (".tif", "<u2"), (".tif", ">u2"), (".pgm", "<u2")]
)
def test_16_bits_are_scaled_to_8(tmp_path, suffix, dtype):
    deep = GREY.astype(np.uint16) * 257 + [[0, 128], [-128, 0]]  # rounds to GREY
    image = Image.fromarray(deep.astype(dtype))
    path = saved(tmp_path / f"x{suffix}", image)
    assert read_image(path, 2).tolist() == rgb(GREY)
    assert image_header(path) == ((2, 2), True)


def test_8_bits_are_kept(tmp_path):
    path = saved(tmp_path / "x.png", Image.fromarray(GREY))
    assert read_image(path, 2).tolist() == rgb(GREY)
    assert image_header(path) == ((2, 2), False)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.new("1", (2, 2), 1), ".png", [255, 255, 255]),
        (Image.new("RGB", (2, 2), (1, 2, 3)).quantize(4), ".png", [1, 2, 3]),
        (Image.new("RGB", (2, 2), (1, 2, 3)).quantize(4), ".gif", [1, 2, 3]),
        (Image.new("CMYK", (2, 2), (0, 0, 0, 0)), ".tif", [255, 255, 255]),
        (Image.new("CMYK", (2, 2), (255, 0, 0, 0)), ".tif", [0, 255, 255]),
        (Image.new("YCbCr", (2, 2), (90, 128, 128)), ".tif", [90, 90, 90]),
        # Over white: 255 - 128 / 255 · (255 - 51) = 152.6
        (Image.new("RGBA", (2, 2), (51, 51, 51, 128)), ".png", [153, 153, 153]),
        (Image.new("RGBA", (2, 2), (51, 52, 53, 255)), ".png", [51, 52, 53]),
        (Image.new("RGBA", (2, 2), (51, 52, 53, 0)), ".webp", [255, 255, 255]),
        (Image.new("LA", (2, 2), (51, 128)), ".png", [153, 153, 153]),
    ],
    ids=["1", "P", "P-gif", "CMYK-white", "CMYK-cyan", "YCbCr", "RGBA", "opaque", "clear", "LA"],
)
def test_modes_are_converted(tmp_path, image, suffix, expected):
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"x{suffix}", image, **options)
    assert read_image(path, 2)[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("mode", "colour", "transparent"),
    [("P", 0, 0), ("P", 0, b"\x00"), ("L", 7, 7), ("RGB", (1, 2, 3), (1, 2, 3)), ("1", 1, 255)],
)
def test_a_transparent_colour_becomes_white(tmp_path, mode, colour, transparent):
    image = Image.new(mode, (2, 2), colour)
    path = saved(tmp_path / "x.png", image, transparency=transparent)
    assert read_image(path, 2)[0, 0].tolist() == [255, 255, 255]


def test_a_transparent_value_of_16_bits_becomes_white(tmp_path):
    image = Image.fromarray(np.array([[0, 300], [300, 65535]], np.uint16))
    path = saved(tmp_path / "x.png", image, transparency=300)
    assert read_image(path, 2).tolist() == rgb([[0, 255], [255, 255]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_without_a_stated_range_are_rejected(tmp_path, dtype):
    path = saved(tmp_path / "x.tif", Image.fromarray(GREY.astype(dtype)))
    message = r"x.tif can't be read as an image: mode [FI]; accepted: 8 bits a channel, or grey of"
    with pytest.raises(UsageError, match=message):
        read_image(path, 2)


CORNERS = np.array([[0, 40], [80, 120], [160, 200]], np.uint8)  # 3 high, 2 wide
# As stored for each EXIF orientation, from which CORNERS are shown.
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.T,
    6: np.rot90(CORNERS, 1),
    7: CORNERS[::-1, ::-1].T,
    8: np.rot90(CORNERS, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_images_are_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[274] = orientation
    large = np.kron(STORED[orientation], np.ones((2, 2), np.uint8))
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"x{suffix}", Image.fromarray(large), exif=exif, **options)
    # The middle square of 6 × 4 pixels is rows 1 to 4.
    expected = np.kron(CORNERS, np.ones((2, 2), np.uint8))[1:5]
    np.testing.assert_array_equal(read_image(path, 4)[..., 0], expected)
    if suffix != ".png":
        assert image_header(path)[0] == (6, 4)


def test_damaged_metadata_do_not_matter(tmp_path):
    path = saved(tmp_path / "x.png", Image.fromarray(GREY), exif=b"Exif\0\0no TIFF at all")
    assert read_image(path, 2).tolist() == rgb(GREY)


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200)]
    for suffix in (".gif", ".png", ".tif", ".webp"):
        options = {"lossless": True} if suffix == ".webp" else {}
        path = saved(
            tmp_path / f"x{suffix}", frames[0], save_all=True, append_images=frames[1:], **options
        )
        assert (read_image(path, 4) == 10).all(), suffix


def png_of_size(width, height) -> bytes:
    def chunk(kind, data):
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize("size", [(100_000, 1000), (20_000, 20_000), (1_000_000, 1_000_000)])
def test_decompression_bombs_are_rejected(tmp_path, size):
    (tmp_path / "x.png").write_bytes(png_of_size(*size))
    for read in (image_header, lambda path: read_image(path, 2)):
        with pytest.raises(UsageError, match=r"x.png can't be read as an image: .* pixels"):
            read(tmp_path / "x.png")


def test_formats_that_would_start_programs_are_not_read(tmp_path):
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(
        UsageError, match=r"x.png can't be read as an image: none of the formats PNG"
    ):
        read_image(tmp_path / "x.png", 8)


def test_damaged_files_are_rejected_by_name(tmp_path):
    path = tmp_path / "odd.png"
    Image.fromarray(RNG.integers(0, 256, (12, 12, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (b"", b"GIF89a", b"no image", whole[:40], whole[: len(whole) // 2], damaged):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"odd.png can't be read as an image") as raised:
            read_image(path, 8)
        assert str(raised.value).count("odd.png") == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".tif", ".webp"])
def test_files_with_any_byte_corrupted_raise_only_usage_errors(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    exif = Image.Exif()
    exif[274] = 6
    options = {} if suffix == ".gif" else {"exif": exif}
    Image.fromarray(RNG.integers(0, 256, (5, 5, 3), np.uint8)).save(path, **options)
    whole = path.read_bytes()
    rejected = 0
    for position in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            assert read_image(path, 5).shape == (5, 5, 3)
            image_header(path)
        except UsageError:
            rejected += 1
    assert rejected > 5


def test_images_are_told_by_their_suffix():
    assert all(map(is_image_name, ("a.png", "b.c.JPG", "d.jfif", "e.TIFF")))
    assert not any(map(is_image_name, ("a.txt", "png", "b.png.txt", "c.eps", "d.npz", "e.pdf")))
