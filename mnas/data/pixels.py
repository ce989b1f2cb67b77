"""One image file, on disk or in memory, as 8-bit RGB pixels; resizing.

Every file is converted by one of these rules, by Pillow's mode, or rejected:

    1, L, P, RGB, CMYK, YCbCr, RGBX     Pillow's conversion; grey is repeated over the channels
    LA, PA, RGBA, La, RGBa, and any of the above with a transparent colour
                                        over white, as browsers show them
    I;16, I;16L, I;16B, I;16N           grey, round(value · 255 / 65535)
    I of a PNG, PGM or PPM file         as I;16: these formats have at most 16 bits
    I otherwise, F, LAB, HSV, ...       rejected: 32-bit and float values have no stated range

Colour of 16 bits a channel keeps its upper 8, as Pillow reads it; colour profiles are ignored.
Images are upright: turned by their EXIF orientation, where readable. An animation is its first
frame, a document its first page. An image is scaled to its shorter edge and cropped at the centre.

The format is told by the content, among FORMATS: others, such as PostScript, would start programs.
"""

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnas.errors import UsageError, printable

if TYPE_CHECKING:
    from PIL import Image

# Pillow's names of formats, and the suffixes of their files.
FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "DIB", "WEBP", "PPM", "TIFF", "JPEG2000", "TGA", "PCX"),
    *("AVIF", "QOI"),
)
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".dib", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".jp2", ".j2k", ".jpf", ".jpx", ".tga"),
    *(".pcx", ".avif", ".qoi"),
)
# Larger images are decompression bombs more often than photographs; Pillow warns at this size.
MAX_PIXELS = 89_478_485

_DIRECT = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "RGBX")
_TRANSPARENT = ("LA", "PA", "RGBA", "La", "RGBa")
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112  # the EXIF tag


def is_image_name(name: str) -> bool:
    """Return whether a file's suffix is that of an image."""
    return name.lower().endswith(SUFFIXES)


def read_image(path: Path, resolution: int, content: bytes | None = None) -> np.ndarray:
    """Return an image, uint8 RGB [R, R, 3]. Raises UsageError where it can't be read.

    content  of the file, where it is not on disk; `path` is its name in messages then
    """
    from PIL import Image, ImageOps  # takes a while to import

    with _opened(path, content) as image:
        image.load()
        upright = _upright(image, _rgb(image))
        fitted = ImageOps.fit(upright, (resolution, resolution), Image.Resampling.BILINEAR)
    return np.asarray(fitted)


def image_header(path: Path, content: bytes | None = None) -> tuple[tuple[int, int], bool]:
    """Return (height, width) of the upright image and whether it is grey of 16 bits.

    Reads no pixels; `content` as in `read_image`. Raises UsageError where the file is no image.
    """
    with _opened(path, content) as image:
        # PNG may state the orientation behind the pixels; of TIFF, Pillow turns the size itself.
        turned = image.format not in ("PNG", "TIFF") and _orientation(image) >= 5
        width, height = image.size
        deep = image.mode in (*_GREY16, "I")
        return ((width, height) if turned else (height, width)), deep


def resized(images: np.ndarray, resolution: int) -> np.ndarray:
    """Resize images [N, H, W, 3] bilinearly with Pillow, which antialiases when shrinking."""
    if images.shape[1:3] == (resolution, resolution):
        return images
    from PIL import Image

    size = (resolution, resolution)
    resize = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(image).resize(size, resize)) for image in images])


@contextlib.contextmanager
def _opened(path: Path, content: bytes | None) -> Iterator["Image.Image"]:
    """Open an image; errors of the block, which contains only Pillow's work, name the file.

    Warnings, which are about metadata, are dropped.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # By path, Pillow (up to 13) maps turned TIFF images into memory and mixes up their pixels.
        with (
            open(path, "rb") if content is None else io.BytesIO(content) as file,
            warnings.catch_warnings(action="ignore"),
        ):
            if not file.seek(0, os.SEEK_END):
                raise _unreadable(path, "the file is empty")
            file.seek(0)
            image = Image.open(file, formats=_formats())
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width:,} × {image.height:,} pixels"
                raise _unreadable(path, f"{size}; accepted: at most {MAX_PIXELS:,}")
            yield image
    except UsageError:
        raise
    except UnidentifiedImageError:
        raise _unreadable(path, f"none of the formats {', '.join(_formats())}") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except Exception as error:  # Pillow's decoders raise anything for damaged files.
        raise _unreadable(path, str(error) or type(error).__name__) from None


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return those of FORMATS that this build of Pillow reads."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _unreadable(path: Path, cause: str) -> UsageError:
    return UsageError(f"data: {path} can't be read as an image: {printable(cause, 150)}")


def _rgb(image: "Image.Image") -> "Image.Image":
    """Return an RGB image by the rules of this module."""
    from PIL import Image

    mode = image.mode
    if mode in _GREY16 or (mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray(_grey_of_16_bits(image)).convert("RGB")
    if mode not in (*_DIRECT, *_TRANSPARENT):
        raise ValueError(f"mode {mode}; accepted: 8 bits a channel, or grey of 16")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        straight = {"La": "LA", "RGBa": "RGBA"}.get(mode, mode)
        return Image.alpha_composite(white, image.convert(straight).convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _grey_of_16_bits(image: "Image.Image") -> np.ndarray:
    """Return uint8 [H, W] of values from 0 to 65,535; a transparent value becomes white."""
    values = np.asarray(image).astype(np.int64)
    stated_bits = getattr(image, "tag_v2", {}).get(258, (16,))  # TIFF; Pillow doesn't scale 12
    if values.min() < 0 or values.max() > 65535 or tuple(stated_bits) != (16,):
        raise ValueError("grey of another depth; accepted: 8 or 16 bits")
    grey = (values * 255 + 32767) // 65535
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey.astype(np.uint8)


def _orientation(image: "Image.Image") -> int:
    """Return the EXIF orientation, 1 to 8; 1, as stored, where none can be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Metadata is often damaged where the pixels are not.
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(image: "Image.Image", rgb: "Image.Image") -> "Image.Image":
    """Return the pixels `rgb` of an image turned by its EXIF orientation."""
    from PIL.Image import Transpose

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(_orientation(image))
    return rgb if method is None else rgb.transpose(method)
