"""Pictures in a TensorFlow graph, as the contract's input says; pixel for pixel what `device.picture` makes of them.

The random crops of training are resized by TensorFlow, to within one level of Pillow (but for colours at the edge of a
window that is cut out of a JPEG with halved chroma, which are decoded without their neighbours).

Centre crop, gray and scale stand here a second time: `Picture`'s are Pillow's and NumPy's, for which a graph would stop
at each picture, and a device has no TensorFlow. Tests hold the two to equal bytes.
"""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_resnet.device.picture import orientation, upright

# Marks of a PNG that may say an orientation: in its EXIF, in ImageMagick's copy of it, in its XMP.
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")

# Whether rows and columns are reversed for each EXIF orientation, after the transposition of 5 to 8.
FLIPS = [[False, False]] * 2 + [[False, True], [True, True], [True, False], [False, False], [False, True]]
FLIPS += [[True, True], [True, False]]


def decode(picture, encoded, layout=1):
    """`Picture.pixels` of a picture file, in a graph.

    Args:
        picture: the contract's `Picture`.
        encoded: scalar string tensor, a picture file's bytes.
        layout: what the function `layout` says of it, a number or scalar tensor.

    Returns:
        uint8 tensor (height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: in the graph, of a picture that is broken or too long (`Picture.resized`).
    """

    def by_pillow():
        return tf.numpy_function(lambda content: picture.pixels(open_bytes(content)), [encoded], tf.uint8)

    image = tf.cond(tf.equal(layout, 0), by_pillow, lambda: _decode_by_tensorflow(picture, encoded, layout))
    return tf.ensure_shape(image, picture.shape)


def _decode_by_tensorflow(picture, encoded, layout):
    layout = tf.cast(layout, tf.int32)
    image = in_channels(decode_stored(encoded), picture.channels)

    def cropped():
        top, left = (picture.covered[0] - picture.height) // 2, (picture.covered[1] - picture.width) // 2
        return tf.slice(image, (top, left, 0), picture.shape)

    def fitted():
        across = tf.where(layout >= 5, [0], [1])
        mirrored = tf.cond(tf.gather(FLIPS, layout)[1], lambda: tf.reverse(image, across), lambda: image)
        return tf.numpy_function(lambda *stored: _fitted(picture, *stored), [mirrored, layout], tf.uint8)

    fits = tf.equal(layout, 1) & tf.reduce_all(tf.shape(image)[:2] == picture.covered)
    return tf.cond(fits, cropped, fitted)


def _fitted(picture, pixels, layout):
    """`Picture.fitted` of the upright picture, bit for bit, without turning a large one, which takes long.

    Pillow itself resizes: one level more or less, as `resize` leaves it, changed the answer to 4 of 1,000 photographs
    (ResNet-20, 32 px). It resizes the rows first, then the columns of what that leaves, which is turned in between;
    a tall picture's columns first, since version 13, which is then turned before.

    Args:
        pixels: uint8 (height, width, channels), as stored, but that its upright rows are not mirrored any more.
        layout: 1 to 8, its EXIF orientation.
    """
    image = Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels)
    if layout == 1:
        return picture.fitted(image)
    upright = image.size if layout >= 5 else image.size[::-1]
    height, width = picture.resized(*upright)
    if upright[0] > height and upright[0] - height > 2 * (upright[1] - width):
        image = image.transpose(Image.Transpose.TRANSPOSE) if layout >= 5 else image
        return picture.fitted(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if FLIPS[layout][0] else image)
    image = image.resize((image.width, width) if layout >= 5 else (width, image.height), Image.Resampling.BILINEAR)
    if layout >= 5:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    if FLIPS[layout][0]:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return picture.fitted(image.resize((width, height), Image.Resampling.BILINEAR))


def normalize(pixels):
    """Scales uint8 pixels (array or tensor of any shape) to float32 in [-1, 1): `x = pixel / 128 - 1`, exactly.

    Numbers of texts, int32, stay as they are.
    """
    if pixels.dtype in (np.int32, tf.int32):
        return pixels
    if isinstance(pixels, np.ndarray):
        return pixels.astype(np.float32) / 128 - 1
    return tf.cast(pixels, tf.float32) / 128 - 1


def resize(image, size):
    """TensorFlow's bilinear, antialiased resize of a uint8 image, rounded to uint8 as Pillow does."""
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
        return orientation(image)


def turned(encoded):
    """Whether EXIF turns a picture file's bytes; those that hold no mark of it are not opened."""
    if not any(mark in encoded for mark in (b"Exif\0", *PNG_ORIENTATION)):
        return False
    with open_bytes(encoded) as image:
        return orientation(image) != 1


def decode_stored(encoded):
    """Decodes a picture that has a `layout` from 1 to 8, pixel for pixel as Pillow does.

    Args:
        encoded: scalar string tensor, a JPEG's or PNG's bytes.

    Returns:
        uint8 tensor (height, width, 3), as it is stored, not turned.
    """

    def jpeg():  # the default DCT is a faster one that differs from Pillow's
        return tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE")

    image = tf.cond(tf.io.is_jpeg(encoded), jpeg, lambda: tf.io.decode_png(encoded, 3))
    return tf.ensure_shape(image, (None, None, 3))


def decode_upright(encoded, layout):
    """Decodes a picture and turns it upright: by Pillow where its `layout` is not 1. uint8 (height, width, 3)."""

    def by_pillow():
        return tf.numpy_function(lambda content: np.asarray(upright(open_bytes(content))), [encoded], tf.uint8)

    image = tf.cond(tf.equal(layout, 1), lambda: decode_stored(encoded), by_pillow)
    return tf.ensure_shape(image, (None, None, 3))


def try_decoding(encoded):
    """Raises what TensorFlow raises for a damaged JPEG or PNG (bytes); a JPEG is decoded at an eighth of its size."""
    with tf.device("CPU"):
        if encoded[:2] == b"\xff\xd8":
            tf.io.decode_jpeg(encoded, ratio=8)
        else:
            tf.io.decode_png(encoded)


def in_channels(image, channels):
    """A uint8 RGB tensor (…, 3) as it is, or in gray (…, 1): Pillow's conversion exactly; TensorFlow has another."""
    if channels == 3:
        return image
    # Whole numbers below 2**24, which float32 holds; in integers it takes seven times as long.
    luma = tf.tensordot(tf.cast(image, tf.float32), tf.constant([[19595.0], [38470.0], [7471.0]]), 1)
    return tf.cast((luma + 2**15) / 2**16, tf.uint8)


def open_bytes(encoded):
    """Opens a picture file's bytes with Pillow."""
    if isinstance(encoded, np.ndarray):  # what TensorFlow makes of bytes outside a graph
        encoded = encoded.item()
    return Image.open(io.BytesIO(encoded))
