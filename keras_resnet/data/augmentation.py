"""What training alone does to pictures, step by step. Every draw is a function of the seed it is given.

`recipes.AUGMENTATIONS` names the steps. Those that move pixels do so by `Moves`, drawn once for a batch, which
move what is learned as well, where it lies on the picture.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_resnet.data import decoding

PAD = 4  # pixels on each side of a 32x32 picture, as in He et al. 2015, section 4.2
MOVING = {"crop", "shift", "flip"}


class Moves(NamedTuple):
    """Where the pixels of a batch come from.

    Attributes:
        pad: pixels that are added on each side before.
        rows: int32 (batch, height): of each row, the padded picture's row that it shows.
        columns: int32 (batch, width): the same of columns.
    """

    pad: int
    rows: tf.Tensor
    columns: tf.Tensor


def augment(images, targets, seed, steps, move=None):
    """What a training step sees of a batch; the random resized crop alone comes before it, one by one.

    Args:
        images: uint8 tensor (batch, height, width, channels), contiguous examples of one step.
        targets: tensor (batch, …), what is learned of them.
        seed: int32 tensor (2,).
        steps: names of `recipes.AUGMENTATIONS`.
        move: a function of (targets, `Moves`) for targets that move with the pixels; None for those that stay.

    Returns:
        (images, targets) of the same shapes.
    """
    if MOVING & set(steps):
        moves = draw_moves(images.shape[1:3], tf.shape(images)[0], seed, steps)
        # 128 is zero after scaling, what a convolution pads with too.
        images = moved(images, moves, None if "shift" in steps else 128)
        targets = move(targets, moves) if move else targets
    return (cutout(images, seed) if "cutout" in steps else images), targets


def draw_moves(size, batch, seed, steps):
    """The `Moves` of a batch: crops at random places (`crop`, `shift`), half of the pictures mirrored (`flip`).

    Padding is an eighth of the shorter side, 4 of 32 pixels.
    """
    height, width = size
    rows, columns = tf.range(height)[None], tf.range(width)[None]
    # One seed for each draw: the same seed would make offset and mirroring depend on each other.
    seeds = tf.random.split(seed, 3)
    pad = max(1, min(height, width) * PAD // 32) if {"crop", "shift"} & set(steps) else 0
    rows += tf.random.stateless_uniform((batch, 1), seeds[0], 0, 2 * pad + 1, tf.int32)
    offset = tf.random.stateless_uniform((batch, 1), seeds[1], 0, 2 * pad + 1, tf.int32)
    if "flip" in steps:
        mirrored = tf.random.stateless_uniform((batch, 1), seeds[2]) < 0.5
        columns = tf.where(mirrored, columns[:, ::-1], columns)
    return Moves(pad, rows, columns + offset)


def moved(maps, moves, fill):
    """Maps (batch, height, width, channels), moved; around them is `fill` or, where that is None, their mirror."""
    mode = {"mode": "SYMMETRIC"} if fill is None else {"constant_values": fill}
    padded = tf.pad(maps, [[0, 0], [moves.pad] * 2, [moves.pad] * 2, [0, 0]], **mode)
    maps = tf.gather(padded, moves.rows, axis=1, batch_dims=1)
    return tf.gather(maps, moves.columns, axis=2, batch_dims=1)


def cutout(images, seed):
    """Hides a square of each picture, a quarter of the shorter side wide, centred anywhere in it.

    DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552, with the smaller square of Page 2018 for short trainings.

    Args:
        images: uint8 tensor (batch, height, width, channels).
        seed: int32 tensor (2,).

    Returns:
        uint8 tensor of the same shape; the squares are 128, which is zero after scaling.
    """
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    side = max(1, min(height, width) // 4)
    # Other draws than those of `draw_moves` from the same seed.
    seeds = tf.random.split(tf.random.fold_in(seed, 1), 2)

    def hidden(size, seed):
        first = tf.random.stateless_uniform((batch, 1), seed, 0, size, tf.int32) - side // 2
        places = tf.range(size)[None]
        return (places >= first) & (places < first + side)

    square = hidden(height, seeds[0])[:, :, None] & hidden(width, seeds[1])[:, None, :]
    return tf.where(square[..., None], tf.constant(128, tf.uint8), images)


def random_resized_crop(encoded, layout, picture, seed, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)):
    """Decodes only a random window of a picture and resizes it (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842).

    Args:
        encoded: scalar string tensor, the picture's bytes.
        layout: `decoding.layout` of it, a scalar tensor.
        picture: the contract's `Picture`, of the result.
        seed: int32 tensor (2,).
        area: least and largest part of the picture's area.
        aspect: least and largest width / height, of the picture as it is seen.

    Returns:
        uint8 tensor (height, width, channels).
    """
    # Of a JPEG only the window is decoded; any other picture is decoded whole, once.
    in_windows = (layout > 0) & tf.io.is_jpeg(encoded)
    orientation = tf.maximum(layout, 1)  # what is decoded whole is upright
    whole = tf.cond(in_windows, lambda: tf.zeros((1, 1, 3), tf.uint8), lambda: decoding.decode_upright(encoded, layout))
    stored = tf.cond(in_windows, lambda: tf.io.extract_jpeg_shape(encoded)[:2], lambda: tf.shape(whole)[:2])
    seen = _turned_size(stored, orientation)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([seen, [3]], 0),
        tf.zeros((1, 0, 4)),
        seed,
        min_object_covered=0.0,
        area_range=area,
        aspect_ratio_range=aspect,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    window = _stored_window(begin[:2], size[:2], seen, orientation)

    def jpeg():
        return tf.image.decode_and_crop_jpeg(encoded, window, 3, dct_method="INTEGER_ACCURATE")

    image = tf.cond(in_windows, jpeg, lambda: tf.slice(whole, begin, size))
    image = decoding.in_channels(tf.ensure_shape(image, (None, None, 3)), picture.channels)
    # Turned when it is small; the resize treats rows and columns alike.
    image = decoding.resize(image, _turned_size(picture.shape[:2], orientation))
    return tf.ensure_shape(_upright(image, orientation), picture.shape)


# Whether rows and columns are reversed for each EXIF orientation, after the transposition of 5 to 8.
FLIPS = [[False, False]] * 2 + [[False, True], [True, True], [True, False], [False, False], [False, True]]
FLIPS += [[True, True], [True, False]]


def _upright(image, orientation):
    """Turns a picture, a uint8 tensor (height, width, channels), upright by its EXIF orientation, 1 to 8."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    return tf.reverse(image, tf.where(tf.gather(FLIPS, orientation))[:, 0])


def _turned_size(size, orientation):
    """Size (height, width) of a picture, or of an upright one that is stored so, turned by its EXIF orientation."""
    size = tf.convert_to_tensor(size)
    return tf.where(orientation >= 5, tf.reverse(size, [0]), size)  # [::-1]: TensorFlow complains on stderr


def _stored_window(begin, size, seen, orientation):
    """Where a window of an upright picture lies in the picture as it is stored: (top, left, height, width).

    Args:
        begin, size, seen: (rows, columns), int32: the window's corner and size, the upright picture's size.
        orientation: the picture's EXIF orientation, 1 to 8.
    """
    begin = tf.where(tf.gather(FLIPS, orientation), seen - begin - size, begin)
    window = tf.concat([begin, size], 0)
    return tf.where(orientation >= 5, tf.gather(window, (1, 0, 3, 2)), window)
