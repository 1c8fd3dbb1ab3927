"""What each cell of a detector learns of a picture's boxes, and by how much it errs.

Zhou et al. 2019 (https://arxiv.org/abs/1904.07850, CenterNet): each box is a hill of scores around its centre, 1 at
the cell that has it; scores learn by the focal loss that forgives those near a centre. The box itself is learned by the
cells near the top of the hill, of several boxes the smallest one's, by generalized intersection over union (Rezatofighi
et al. 2019, https://arxiv.org/abs/1902.09630). Of several levels the one learns a box whose own begin most alike.
"""

import math

import tensorflow as tf

from keras_resnet.networks.detector import SIZE

WIDE = 6.0  # sides of a box that are as long as so many deviations of its hill
NARROW = 2.5  # a hill is at least a stride's so-manieth part wide
NEAR = 0.6  # height of the hill from which on a cell learns the box
BOX_WEIGHT = 2.0
LONGEST = 8.0  # logarithm of a side in strides, beyond which it grows no further


def assigned(targets, anchors, classes):
    """What the cells of a batch learn.

    Args:
        targets: float32 tensor (batch, most, 6), see `data.annotated`.
        anchors: float32 (cells, 3): centre (y, x) and stride, `device.boxes.Boxes.anchors`.
        classes: how many.

    Returns:
        (heat (batch, cells, classes) in [0, 1], 1 at centres; box (batch, cells, 4): top, left, bottom, right, where
        one is learned; weight (batch, cells) of that, 0 elsewhere; counted (batch, cells), False inside of hard boxes).
    """
    boxes, kinds, hard = targets[..., :4], tf.cast(targets[..., 4], tf.int32), targets[..., 5] > 0
    y, x, stride = (tf.constant(anchors[:, i])[None, :, None] for i in range(3))
    top, left, bottom, right = (boxes[:, None, :, i] for i in range(4))
    inside = (y > top) & (y < bottom) & (x > left) & (x < right)
    easy = ((kinds >= 0) & ~hard)[:, None]
    dy, dx = y - (top + bottom) / 2, x - (left + right) / 2
    wide = [tf.maximum((b - a) / WIDE, stride / NARROW) for a, b in ((top, bottom), (left, right))]
    hill = tf.exp(-(dy**2 / (2 * wide[0] ** 2) + dx**2 / (2 * wide[1] ** 2)))
    centre = (dy > -stride / 2) & (dy <= stride / 2) & (dx > -stride / 2) & (dx <= stride / 2)
    hill = tf.where(centre, 1.0, hill) * tf.cast(easy & _level(boxes, anchors), tf.float32)
    area = tf.broadcast_to((bottom - top) * (right - left), tf.shape(hill))
    learns = ((hill > NEAR) & inside) | (hill == 1)
    area = tf.where(learns, area, math.inf)
    smallest = tf.argmin(area, -1, tf.int32)
    box = tf.gather(boxes, smallest, axis=1, batch_dims=1)
    weight = tf.gather(hill, smallest, axis=2, batch_dims=2) * tf.cast(tf.reduce_any(learns, -1), tf.float32)
    counted = ~tf.reduce_any(inside & ((kinds >= 0) & hard)[:, None], -1)
    return _by_class(hill, kinds, classes), box, weight, counted


def _level(boxes, anchors):
    """Bool (batch, cells, most): whether a cell is of the level that learns a box."""
    strides = sorted({float(stride) for stride in anchors[:, 2]})
    side = tf.sqrt(tf.maximum((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]), 1e-6))
    far = tf.stack([tf.abs(tf.math.log(side / (SIZE * stride))) for stride in strides], -1)
    chosen = tf.gather(tf.constant(strides), tf.argmin(far, -1))
    return chosen[:, None] == tf.constant(anchors[:, 2])[None, :, None]


def _by_class(hill, kinds, classes):
    """The highest hill (batch, cells, classes) of each class at each cell, of hills (batch, cells, most)."""
    batch = tf.shape(hill)[0]
    numbers = tf.where(kinds >= 0, kinds + classes * tf.range(batch)[:, None], -1)
    flat = tf.reshape(tf.transpose(hill, (0, 2, 1)), (-1, tf.shape(hill)[1]))
    heat = tf.math.unsorted_segment_max(flat, tf.reshape(numbers, [-1]), classes * batch)
    return tf.transpose(tf.reshape(tf.maximum(heat, 0.0), (batch, classes, -1)), (0, 2, 1))


def focal(score, heat, counted):
    """CenterNet's focal loss, float32 (batch,), of logits and hills (batch, cells, classes), by the boxes of a picture.

    Law and Deng 2018, https://arxiv.org/abs/1808.01244, equation 1, with its exponents 2 and 4.
    """
    found = tf.sigmoid(score)
    there = tf.cast(heat == 1, tf.float32)
    hit = there * (1 - found) ** 2 * tf.math.log_sigmoid(score)
    missed = (1 - there) * (1 - heat) ** 4 * found**2 * tf.math.log_sigmoid(-score)
    # What lies in a hard box may be there or not; a box of its own in it is there.
    loss = -tf.reduce_sum(hit + missed * tf.cast(counted, tf.float32)[..., None], (1, 2))
    return loss / tf.maximum(tf.reduce_mean(tf.reduce_sum(there, (1, 2))), 1.0)


def imitation(taught_location, taught_score, location, score):
    """How much a batch's answers differ from a teacher's, float32 (batch,).

    Scores by their cross-entropy with the teacher's probabilities, less the least that it can be; locations by their
    absolute difference, where the teacher is sure that something is.
    """
    wanted = tf.sigmoid(taught_score)
    least = tf.nn.sigmoid_cross_entropy_with_logits(wanted, taught_score)
    crossed = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(wanted, score) - least, (1, 2))
    sure = tf.reduce_max(wanted, -1)
    off = tf.reduce_sum(sure * tf.reduce_sum(tf.abs(location - taught_location), -1), -1)
    return (crossed + BOX_WEIGHT * off) / tf.maximum(tf.reduce_mean(tf.reduce_sum(sure, -1)), 1.0)


def placed(location, anchors):
    """Boxes (batch, cells, 4) of locations, as `device.boxes.Boxes.placed`."""
    y, x, stride = (tf.constant(anchors[:, i]) for i in range(3))
    dy, dx, h, w = tf.unstack(location, axis=-1)
    y, x = y + dy * stride, x + dx * stride
    h, w = (tf.exp(tf.minimum(side, LONGEST)) * stride / 2 for side in (h, w))
    return tf.stack([y - h, x - w, y + h, x + w], -1)


def generalized_overlap(first, second):
    """Generalized intersection over union (…,) of boxes (…, 4), in (-1, 1]."""
    shared = tf.maximum(tf.minimum(first[..., 2:], second[..., 2:]) - tf.maximum(first[..., :2], second[..., :2]), 0.0)
    around = tf.maximum(first[..., 2:], second[..., 2:]) - tf.minimum(first[..., :2], second[..., :2])
    shared, around = tf.reduce_prod(shared, -1), tf.reduce_prod(around, -1)
    areas = sum(tf.reduce_prod(box[..., 2:] - box[..., :2], -1) for box in (first, second))
    union = areas - shared
    return shared / tf.maximum(union, 1e-6) - (around - union) / tf.maximum(around, 1e-6)


def loss(targets, location, score, anchors):
    """How much a batch's answers err, float32 (batch,).

    Args:
        targets: float32 tensor (batch, most, 6).
        location: (batch, cells, 4).
        score: logits (batch, cells, classes).
        anchors: as of `assigned`.
    """
    heat, box, weight, counted = assigned(targets, anchors, score.shape[-1])
    off = tf.reduce_sum((1 - generalized_overlap(placed(location, anchors), box)) * weight, -1)
    off /= tf.maximum(tf.reduce_mean(tf.reduce_sum(weight, -1)), 1.0)
    return focal(score, heat, counted) + BOX_WEIGHT * off
