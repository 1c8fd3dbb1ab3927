"""Boxes as what is learned: one array for all pictures, which moves with their pixels.

A target is float32 (most, 6): top, left, bottom, right in pixels of the network's input, the class's number, and 1
where it is hard. Empty rows have the class -1.
"""

import numpy as np
import tensorflow as tf

from keras_resnet.data.boxes import upright_size

NOTHING = (0, 0, 0, 0, -1, 0)
SEEN = (
    0.5  # part of a box's area inside of the crop; with less of it a box is hard: nobody can say that nothing is there
)


def targets(found, picture):
    """What is learned of pictures.

    Args:
        found: list of `boxes.Annotated`.
        picture: the contract's `Picture`.

    Returns:
        float32 (n, most, 6); `most` is the most boxes that one of the pictures has, at least 1.
    """
    most = max([1, *(len(one.boxes) for one in found)])
    made = np.tile(np.float32(NOTHING), (len(found), most, 1))
    for target, one in zip(made, found, strict=True):
        width, height = upright_size(one.path)
        boxes = picture.placed(one.boxes, height, width)
        inside, seen = cut(boxes, picture.height, picture.width)
        kept = seen > 0
        rows = np.concatenate([inside, one.classes[:, None], (one.hard | (seen < SEEN))[:, None]], -1)[kept]
        target[: len(rows)] = rows
    return made


def move(targets, moves):
    """Targets that move with the pixels of a batch, for `augmentation.augment`.

    Args:
        targets: float32 tensor (batch, most, 6).
        moves: `augmentation.Moves`.

    Returns:
        float32 tensor (batch, most, 6): boxes are cut at the picture's edges, hard where less than `SEEN` is left, and
        nothing where nothing is.
    """
    boxes, classes, hard = tf.split(targets, (4, 1, 1), -1)
    sides = [_moved(boxes[..., i::2], places, moves.pad) for i, places in enumerate((moves.rows, moves.columns))]
    boxes = tf.stack([sides[0][..., 0], sides[1][..., 0], sides[0][..., 1], sides[1][..., 1]], -1)
    ends = tf.cast(tf.stack([tf.shape(moves.rows)[1], tf.shape(moves.columns)[1]] * 2), tf.float32)
    inside = tf.clip_by_value(boxes, 0.0, ends)
    areas = [tf.reduce_prod(b[..., 2:] - b[..., :2], -1, keepdims=True) for b in (inside, boxes)]
    hard = tf.maximum(hard, tf.cast(areas[0] < SEEN * areas[1], tf.float32))
    there = (classes >= 0) & (areas[0] > 0)
    return tf.where(there, tf.concat([inside, classes, hard], -1), tf.constant(NOTHING, tf.float32))


def _moved(ends, places, pad):
    """The two ends (batch, most, 2) of boxes along one axis, the lesser first, where `places` are shown (`Moves`)."""
    first, last = (tf.cast(places[:, i, None, None], tf.float32) for i in (0, -1))
    return tf.where(last >= first, ends + pad - first, (first + 1 - pad - ends)[..., ::-1])


def cut(boxes, height, width):
    """Boxes float32 (n, 4) cut at a picture's edges, and the part of its area that is left of each, (n,)."""
    inside = np.clip(boxes, 0, np.float32([height, width] * 2))
    areas = [np.prod(b[:, 2:] - b[:, :2], -1) for b in (inside, boxes)]
    return inside, areas[0] / areas[1]
