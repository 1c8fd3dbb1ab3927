"""`ImageContract`: how a picture becomes a tensor, in the only place that knows it.

Training, evaluation, calibration, the exported file and every client obey the contract that a run saves. Pillow's
bilinear resize on uint8 is the reference; evaluation and calibration are identical to it, pixel for pixel. The random
crops of training are resized by TensorFlow, to within one level (but for colours at the edge of a window that is cut
out of a JPEG with halved chroma, which are decoded without their neighbours).
"""

import dataclasses
import io

import numpy as np
from PIL import Image, ImageOps

from keras_resnet import files

ORIENTATION = 0x0112  # the EXIF tag
# Marks of a PNG that may say an orientation: in its EXIF, in ImageMagick's copy of it, in its XMP.
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
LONGEST = 64  # a strip of 2,000,000x1 pixels would be resized to 448,000,000x224, which takes 10 GB


@dataclasses.dataclass(frozen=True)
class ImageContract:
    """From any picture to the network's input.

    The picture is turned upright (EXIF), converted to RGB or gray, resized (bilinear, antialiased) until it just
    covers `height / crop_fraction` x `width / crop_fraction`, cropped in the centre, and scaled: `x = pixel / 128 - 1`.
    That scale makes a uint8 pixel the int8 input exactly: `q = pixel - 128`.

    Attributes:
        height, width: of the network's input, in pixels.
        channels: 3 (RGB) or 1 (gray).
        labels: class names, in the order of the logits.
        crop_fraction: the part of the resized picture's shorter side that the crop keeps, in (0, 1].
    """

    height: int
    width: int
    channels: int
    labels: tuple[str, ...]
    crop_fraction: float = 1.0

    def __post_init__(self):
        if self.height < 1 or self.width < 1 or self.channels not in (1, 3):
            raise ValueError(
                f"{self.height}x{self.width}x{self.channels}: expected height x width x 3 (RGB) or 1 (gray)"
            )
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction={self.crop_fraction}: expected more than 0 and at most 1, as 0.875")

    @property
    def shape(self):
        return self.height, self.width, self.channels

    def save(self, path):
        """Writes the contract as JSON, with the rules in words, so that a reader needs no other source."""
        rules = {
            "orientation": "EXIF applied",
            "resize": "bilinear, antialiased, until the crop is just covered; rounded to uint8",
            "crop": "centre",
            "scale": "x = pixel / 128 - 1",
        }
        files.write_json(path, {**dataclasses.asdict(self), "rules": rules})

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        saved = files.read_json(path)
        with files.understood(path):
            saved.pop("rules")
            return cls(**{**saved, "labels": tuple(saved["labels"])})

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
        shorter, longer = sorted((width * to_height, height * to_width))
        if longer > LONGEST * shorter:
            raise ValueError(
                f"{width}x{height} pixels: too long for an input of {self.width}x{self.height}, which would show less "
                f"than a {LONGEST}th of it; cut the picture into parts"
            )
        if width * to_height >= height * to_width:
            return to_height, max(to_width, (width * to_height + height // 2) // height)
        return max(to_height, (height * to_width + width // 2) // width), to_width

    def picture(self, image):
        """Prepares one picture; the reference that every other reader is held to.

        Args:
            image: a `PIL.Image.Image`.

        Returns:
            uint8 array (height, width, channels).

        Raises:
            ValueError: it is too long (`resized`).
        """
        return self._fitted(upright(image, self.channels))

    def _fitted(self, image):
        """Resizes and crops an upright RGB or gray `PIL.Image.Image`; returns uint8 (height, width, channels)."""
        height, width = self.resized(image.height, image.width)
        if (height, width) != (image.height, image.width):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        image = image.crop((left, top, left + self.width, top + self.height))
        return np.asarray(image, np.uint8).reshape(self.shape)

    def decode(self, encoded, layout=1):
        """The same in a TensorFlow graph, pixel for pixel.

        Args:
            encoded: scalar string tensor, a picture file's bytes.
            layout: what the function `layout` says of it, a number or scalar tensor.

        Returns:
            uint8 tensor (height, width, channels).

        Raises:
            tf.errors.InvalidArgumentError: in the graph, of a picture that is broken or too long (`resized`).
        """
        import tensorflow as tf

        def by_pillow():
            return tf.numpy_function(lambda content: self.picture(open_bytes(content)), [encoded], tf.uint8)

        image = tf.cond(tf.equal(layout, 1), lambda: self._decode_upright(encoded), by_pillow)
        return tf.ensure_shape(image, self.shape)

    def _decode_upright(self, encoded):
        import tensorflow as tf

        image = in_channels(decode_stored(encoded), self.channels)

        def cropped():
            top, left = (self.covered[0] - self.height) // 2, (self.covered[1] - self.width) // 2
            return tf.slice(image, (top, left, 0), self.shape)

        # Pillow itself: one level more or less, as `resize` leaves it, changed the answer to 4 of 1,000 photographs
        # (ResNet-20, 32 px).
        def fitted(pixels):
            return self._fitted(Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels))

        fits = tf.reduce_all(tf.shape(image)[:2] == self.covered)
        return tf.cond(fits, cropped, lambda: tf.numpy_function(fitted, [image], tf.uint8))


def normalize(pixels):
    """Scales uint8 pixels (array or tensor of any shape) to float32 in [-1, 1): `x = pixel / 128 - 1`, exactly."""
    if isinstance(pixels, np.ndarray):
        return pixels.astype(np.float32) / 128 - 1
    import tensorflow as tf

    return tf.cast(pixels, tf.float32) / 128 - 1


def resize(image, size):
    """TensorFlow's bilinear, antialiased resize of a uint8 image, rounded to uint8 as Pillow does."""
    import tensorflow as tf

    resized = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def layout(encoded):
    """Who decodes a picture file's bytes, from its header alone.

    Returns:
        1 to 8, its EXIF orientation, where TensorFlow decodes it as Pillow does (JPEG and PNG, 8 bits, RGB or gray);
        0 where only Pillow can.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        if image.mode not in ("RGB", "L"):
            return 0
        if image.format == "PNG":  # it would be decoded to look its orientation up
            return int(not any(mark in encoded for mark in PNG_ORIENTATION) and encoded[24] == 8)
        if image.format not in ("JPEG", "MPO"):  # MPO: a phone's JPEG with further pictures behind it
            return 0
        orientation = image.getexif().get(ORIENTATION, 1)
        return orientation if orientation in range(1, 9) else 1


def decode_stored(encoded):
    """Decodes a picture that has a `layout` from 1 to 8, pixel for pixel as Pillow does.

    Args:
        encoded: scalar string tensor, a JPEG's or PNG's bytes.

    Returns:
        uint8 tensor (height, width, 3), as it is stored, not turned.
    """
    import tensorflow as tf

    def jpeg():  # the default DCT is a faster one that differs from Pillow's
        return tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE")

    image = tf.cond(tf.io.is_jpeg(encoded), jpeg, lambda: tf.io.decode_png(encoded, 3))
    return tf.ensure_shape(image, (None, None, 3))


def decode_upright(encoded, layout):
    """Decodes a picture and turns it upright: by Pillow where its `layout` is not 1. uint8 (height, width, 3)."""
    import tensorflow as tf

    def by_pillow():
        return tf.numpy_function(lambda content: np.asarray(upright(open_bytes(content))), [encoded], tf.uint8)

    image = tf.cond(tf.equal(layout, 1), lambda: decode_stored(encoded), by_pillow)
    return tf.ensure_shape(image, (None, None, 3))


def try_decoding(encoded):
    """Raises what TensorFlow raises for a damaged JPEG or PNG (bytes); a JPEG is decoded at an eighth of its size."""
    import tensorflow as tf

    with tf.device("CPU"):
        if encoded[:2] == b"\xff\xd8":
            tf.io.decode_jpeg(encoded, ratio=8)
        else:
            tf.io.decode_png(encoded)


def in_channels(image, channels):
    """A uint8 RGB tensor (…, 3) as it is, or in gray (…, 1): Pillow's conversion exactly; TensorFlow has another."""
    import tensorflow as tf

    if channels == 3:
        return image
    # Whole numbers below 2**24, which float32 holds; in integers it takes seven times as long.
    luma = tf.tensordot(tf.cast(image, tf.float32), tf.constant([[19595.0], [38470.0], [7471.0]]), 1)
    return tf.cast((luma + 2**15) / 2**16, tf.uint8)


def upright(image, channels=3):
    """Turns a `PIL.Image.Image` upright by its EXIF tag and converts it to RGB or gray, 8 bits a channel."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip, not scale
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 else "L"
    return image if image.mode == mode else image.convert(mode)  # `convert` would copy it


def open_bytes(encoded):
    """Opens a picture file's bytes with Pillow."""
    if isinstance(encoded, np.ndarray):  # what TensorFlow makes of bytes outside a graph
        encoded = encoded.item()
    return Image.open(io.BytesIO(encoded))
