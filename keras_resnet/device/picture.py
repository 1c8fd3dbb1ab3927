"""The contract's input `picture`: how a picture becomes a tensor, in the only place that knows it.

Pillow's bilinear resize on uint8 is the reference that every client is held to.
"""

import dataclasses
import numbers
from typing import ClassVar

import numpy as np
from PIL import Image, ImageOps

from . import picture_files

ORIENTATION = 0x0112  # the EXIF tag
LONGEST = 64  # a strip of 2,000,000x1 pixels would be resized to 448,000,000x224, which takes 10 GB
RESIZES = {"cover": "until the crop is just covered", "stretch": "to the size before the crop, whatever its shape"}
MAX_COVERED = 1 << 24  # pixels of a square picture before the crop; a contract with more of them is a broken one


@dataclasses.dataclass(frozen=True)
class Picture:
    """From any picture to the network's input.

    The picture is turned upright (EXIF), converted to RGB or gray, resized (bilinear, antialiased) until it just
    covers `height / crop_fraction` x `width / crop_fraction`, or stretched to that size, cropped in the centre, and
    scaled: `x = (pixel - mean) / std`. Ours is `x = pixel / 128 - 1`, which makes a uint8 pixel the int8 input exactly:
    `q = pixel - 128`.

    Attributes:
        height, width: of the network's input, in pixels.
        channels: 3 (RGB) or 1 (gray).
        crop_fraction: the part of the resized picture's shorter side that the crop keeps, in (0, 1].
        mean, std: a number, or a tuple of one for each channel; other makers' files have others.
        resize: `cover`; or `stretch`, so that nothing is cut off, and pictures of another shape are distorted.

    Raises:
        ValueError, TypeError: no picture can be prepared so.
    """

    height: int
    width: int
    channels: int
    crop_fraction: float = 1.0
    mean: float | tuple = 128.0
    std: float | tuple = 128.0
    resize: str = "cover"

    KIND: ClassVar = "picture"
    THINGS: ClassVar = "pictures"
    FILE: ClassVar = "png"
    axes: ClassVar = 2

    def __post_init__(self):
        for name in ("height", "width", "channels"):  # JSON may say 32.0
            value = getattr(self, name)
            if not _is_number(value) or int(value) != value:
                raise ValueError(f"{name} is {value!r}, expected a whole number")
            object.__setattr__(self, name, int(value))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), self.channels))
        if self.height < 1 or self.width < 1 or self.channels not in (1, 3):
            raise ValueError(
                f"{self.height}x{self.width}x{self.channels}: expected height x width x 3 (RGB) or 1 (gray)"
            )
        if not np.all(np.float32(self.std)):
            raise ValueError(f"std={self.std}: expected no 0")
        if not _is_number(self.crop_fraction) or not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction={self.crop_fraction!r}: expected more than 0 and at most 1, as 0.875")
        if self.resize not in RESIZES:
            raise ValueError(f"resize={self.resize!r}: expected {' or '.join(RESIZES)}")
        if self.height * self.width / self.crop_fraction**2 > MAX_COVERED:
            raise ValueError(
                f"{self.height}x{self.width} out of its {self.crop_fraction}th part: expected at most {MAX_COVERED:,} "
                "pixels before the crop"
            )

    @property
    def shape(self):
        return self.height, self.width, self.channels

    @property
    def EXPLAINED(self):  # noqa: N802
        return {
            "rules": {
                "orientation": "EXIF applied",
                "resize": f"bilinear, antialiased, {RESIZES[self.resize]}; rounded to uint8",
                "crop": "centre",
                "scale": "x = (pixel - mean) / std",
            }
        }

    @property
    def covered(self):
        """Size (height, width) that a resized picture just covers, and out of whose centre the crop is taken."""
        return round(self.height / self.crop_fraction), round(self.width / self.crop_fraction)

    def resized(self, height, width):
        """Size (height, width) of a picture before the crop; in integers, so that every port agrees.

        Raises:
            ValueError: it is so long that `LONGEST` crops beside one another would not cover it.
        """
        to_height, to_width = self.covered
        if self.resize == "stretch":
            return to_height, to_width
        shorter, longer = sorted((width * to_height, height * to_width))
        if longer > LONGEST * shorter:
            raise ValueError(
                f"{width}x{height} pixels: too long for an input of {self.width}x{self.height}, which would show less "
                f"than a {LONGEST}th of it; cut the picture into parts"
            )
        if width * to_height >= height * to_width:
            return to_height, max(to_width, (width * to_height + height // 2) // height)
        return max(to_height, (height * to_width + width // 2) // width), to_width

    def pixels(self, image):
        """Prepares one picture; the reference that every other reader is held to.

        Args:
            image: a `PIL.Image.Image`.

        Returns:
            uint8 array (height, width, channels).

        Raises:
            ValueError: it is too long (`resized`).
        """
        image = _turned(image)
        self.resized(image.height, image.width)  # before anything is made of it
        return self.fitted(_converted(image, self.channels))

    def fitted(self, image):
        """Resizes and crops an upright RGB or gray `PIL.Image.Image`; returns uint8 (height, width, channels)."""
        height, width = self.resized(image.height, image.width)
        if (height, width) != (image.height, image.width):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        image = image.crop((left, top, left + self.width, top + self.height))
        return np.asarray(image, np.uint8).reshape(self.shape)

    def placed(self, boxes, height, width):
        """Where boxes of an upright picture lie in the network's input; those that the crop cuts reach beyond it.

        Args:
            boxes: (n, 4): top, left, bottom, right, in pixels of the picture, from its top left corner.
            height, width: of the picture.

        Returns:
            float32 (n, 4), in pixels of the input.

        Raises:
            ValueError: the picture is too long (`resized`).
        """
        scale, corner = self._placing(height, width)
        return (np.asarray(boxes, np.float64).reshape(-1, 4) * scale - corner).astype(np.float32)

    def unplaced(self, boxes, height, width):
        """Where boxes of the network's input lie on the upright picture: `placed` the other way round."""
        scale, corner = self._placing(height, width)
        return ((np.asarray(boxes, np.float64).reshape(-1, 4) + corner) / scale).astype(np.float32)

    def _placing(self, height, width):
        to_height, to_width = self.resized(height, width)
        scale = np.array([to_height / height, to_width / width] * 2)
        return scale, np.array([(to_height - self.height) // 2, (to_width - self.width) // 2] * 2)

    def scaled(self, pixels):
        """float32 `x` of uint8 pixels (…, channels)."""
        mean, std = (np.float32(value) for value in (self.mean, self.std))
        return (pixels.astype(np.float32) - mean) / std

    def as_flags(self):
        """What a recipe says of it: name of a field -> value."""
        size = {"image_size": f"{self.height}x{self.width}", "channels": self.channels}
        return {**size, "crop_fraction": self.crop_fraction, "resize": self.resize}

    def place(self, size):
        """The `Place` of the input on a picture of this (height, width)."""
        return Place(self, size)

    def find(self, paths):
        """The picture files of given files and folders; see `picture_files.find`."""
        return picture_files.find(paths)

    def read(self, file, name):
        """uint8 (height, width, channels) of a picture file, a path or a binary file that messages call `name`.

        Raises:
            PictureError: it can't be read, or is too long.
        """
        return self.read_sized(file, name)[0]

    def read_sized(self, file, name):
        """The same, and the picture's own size, (height, width) as it is shown."""
        with picture_files.opened(file, name) as image:
            try:
                return self.pixels(image), upright_size(image)
            except ValueError as error:
                raise picture_files.PictureError(f"{name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a network's input lies on the picture that it was made of.

    Attributes:
        picture: `Picture`.
        size: (height, width) of the picture as it is shown.
    """

    picture: Picture
    size: tuple

    def unplaced(self, boxes):
        """Boxes of the input, (n, 4), on the picture."""
        return self.picture.unplaced(boxes, *self.size)

    @property
    def shown(self):
        """((top, left), (bottom, right)) of what the input shows of the picture, in whole pixels."""
        ((top, left, bottom, right),) = self.unplaced([[0, 0, self.picture.height, self.picture.width]])
        first = (max(0, round(float(top))), max(0, round(float(left))))
        last = (min(self.size[0], round(float(bottom))), min(self.size[1], round(float(right))))
        return first, tuple(max(a + 1, b) for a, b in zip(first, last, strict=True))


def upright_size(image):
    """(height, width) of a `PIL.Image.Image` as it is shown, its EXIF orientation applied."""
    return image.size if orientation(image) >= 5 else image.size[::-1]


def orientation(image):
    """EXIF's, 1 to 8, of a `PIL.Image.Image`; 1, upright, where it says none or is broken, as browsers take it."""
    try:
        said = image.getexif().get(ORIENTATION, 1)
    except OSError:  # the picture itself
        raise
    except Exception:  # of many kinds; the picture itself is whole
        return 1
    return said if said in range(1, 9) else 1


def upright(image, channels=3):
    """Turns a `PIL.Image.Image` upright by its EXIF tag and converts it to RGB or gray, 8 bits a channel."""
    return _converted(_turned(image), channels)


# Nothing is copied without need: 50 megapixels are 200 MB.
def _turned(image):
    return ImageOps.exif_transpose(image) if orientation(image) != 1 else image


def _converted(image, channels):
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip, not scale
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 else "L"
    return image if image.mode == mode else image.convert(mode)


def _is_number(value):
    """Whether it is a number; JSON's true is none, though Python reckons with it."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _numbers(name, value, channels):
    """One number where all channels have the same, else a tuple of one for each."""
    values = value if isinstance(value, list | tuple) else np.atleast_1d(value)
    if len(values) not in (1, channels) or not all(map(_is_number, values)):
        raise TypeError(f"{name} is {str(value)[:40]!r}, expected a number or {channels}")
    values = tuple(map(float, values))
    with np.errstate(over="ignore"):  # too large for float32 is infinite, too
        if not np.isfinite(np.float32(values)).all():
            raise ValueError(f"{name}={value!r}: expected finite numbers")
    return values[0] if len(set(values)) == 1 else values
