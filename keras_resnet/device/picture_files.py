"""Pictures in files and folders, read with as much memory as a Raspberry Pi with 1 GB has."""

import contextlib
import functools
import pathlib

from PIL import Image

from .memory import Room

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif"),
    *(".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
# Bytes of memory that pictures may take at a time: one of a phone's 50 megapixels fits, on a Pi with 1 GB. A small file
# that unpacks into gigabytes does not.
MEMORY = 9 * 8192 * 6144
# Bytes that a pixel takes at most until it is prepared, by mode: decoded, turned upright, converted; all measured.
BYTES = {"RGB": 9, "1": 6, "L": 6, "P": 10, "LA": 12, "RGBA": 12, "CMYK": 12}
OTHER_BYTES = 16  # 16 and 32 bits a channel
DECODER_BYTES = {"AVIF": 16, "TIFF": 13, "WEBP": 16}  # those that keep more than the picture
PROGRESSIVE_BYTES = 10  # a JPEG's coefficients, all at once


class PictureError(ValueError):
    """A picture that can't be read; the message says which and why."""


def find(paths, suffixes=SUFFIXES, what="picture"):
    """The files of a kind among given files and folders (with all below them, hidden ones left out), sorted in each.

    Raises:
        PictureError: there is no such file, or no picture in a folder.
    """
    formats()
    found = []
    if "" in map(str, paths):
        raise PictureError(f"an empty path; expected a {what} or folder")
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_one(p, path, suffixes))
            if not inside:
                raise PictureError(f"{path}: no {what} in this folder; expected files as {', '.join(suffixes[:4])}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PictureError(f"{path}: no such {what} or folder")
    return found


def _is_one(path, root, suffixes):
    """Whether a path below a folder looks like a file of a kind; a pipe with such a name would be waited for."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in suffixes and not hidden and not path.is_dir() and not path.is_fifo()


ROOM = Room(MEMORY)


@functools.cache
def formats():
    """Pillow's names of the formats that are read. It loads all decoders, which a picture's time should not hold."""
    Image.init()
    return tuple(f for f in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "AVIF", "TIFF", "PPM") if f in Image.OPEN)


@contextlib.contextmanager
def opened(file, name):
    """A decoded picture, `PIL.Image.Image`; while it is used, threads that want another wait where both are too large.

    Args:
        file: path or binary file.
        name: what messages call it.

    Raises:
        PictureError: it is no picture, a broken or a huge one.
    """
    Image.MAX_IMAGE_PIXELS = None  # `MEMORY` decides
    try:
        image = Image.open(file, formats=formats())
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"{name}: no picture; expected {', '.join(formats())}") from error
    # Decoders raise many kinds for a broken file.
    except Exception as error:
        raise PictureError(f"{name}: broken picture ({error})") from error
    with image:
        needed = memory(image)
        if needed > MEMORY:
            raise PictureError(
                f"{name}: {image.width}x{image.height} pixels ({image.format}, {image.mode}) take "
                f"{needed / 1e6:,.0f} MB of memory; expected at most {MEMORY / 1e6:.0f}; make the picture smaller"
            )
        with ROOM.taken(needed):
            try:
                image.load()
            except Exception as error:
                raise PictureError(f"{name}: broken picture ({error})") from error
            yield image


def memory(image):
    """Bytes that an opened picture takes at most until it is prepared."""
    decoder = PROGRESSIVE_BYTES if image.info.get("progressive") else DECODER_BYTES.get(image.format, 0)
    return image.width * image.height * max(BYTES.get(image.mode, OTHER_BYTES), decoder)
