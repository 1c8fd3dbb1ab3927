"""What training alone does to log-mel pictures, besides moving them in time and pitch (`augmentation.Moves`).

Bytes are decibels; here all sounds have the range of `device.sound.Sound`'s defaults.
"""

import math

import tensorflow as tf

STEP = 80 / 255  # decibels of a byte
GAIN = 6.0  # decibels, louder or less loud at most
WIDEST = 0.125  # part of the side that the widest stripe takes
BELOW = (5.0, 40.0)  # decibels by which what is mixed in is less loud


def gain(images, seed):
    """Each recording louder or less loud, by at most `GAIN` decibels, drawn evenly; silence stays silence.

    Args:
        images: uint8 tensor (batch, moments, bands, 1).
        seed: int32 tensor (2,).
    """
    most = round(GAIN / STEP)
    more = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, -most, most + 1, tf.int32)
    bytes_ = tf.cast(images, tf.int32)
    return tf.cast(tf.where(bytes_ > 0, tf.clip_by_value(bytes_ + more, 0, 255), 0), tf.uint8)


def babble(images, seed):
    """What another recording of the batch sounds like, 5 to 40 decibels less loud, is added, power by power."""
    seeds = tf.random.split(seed, 2)
    batch = tf.shape(images)[0]
    other = tf.roll(images, tf.random.stateless_uniform((), seeds[0], 1, tf.maximum(batch, 2), tf.int32), 0)
    return added(images, other, seeds[1])


def noise(images, seed, background):
    """A piece of background noise, drawn evenly from `background` (n, moments, bands, 1), is added in the same way."""
    seeds = tf.random.split(seed, 2)
    drawn = tf.random.stateless_uniform((tf.shape(images)[0],), seeds[0], 0, len(background), tf.int32)
    return added(images, tf.gather(background, drawn), seeds[1])


def added(images, others, seed):
    """Recordings with others added, made `BELOW` decibels less loud than they were: their powers add up.

    Of two sounds that know nothing of each other they do, but for their interference.
    """
    below = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, *BELOW)
    nepers = STEP * math.log(10) / 10
    ours, theirs = (tf.cast(one, tf.float32) * nepers for one in (images, others))
    # A byte of 0 is silence, whose power of 1 has been added to both already.
    mixed = tf.math.log(tf.exp(ours) + (tf.exp(theirs) - 1) * tf.exp(-below * (math.log(10) / 10)))
    return tf.cast(tf.clip_by_value(tf.round(mixed / nepers), 0, 255), tf.uint8)


def stripes(images, seed):
    """Moments and bands that are silent: a stripe of each, up to an eighth of the side wide.

    Park et al. 2019, https://arxiv.org/abs/1904.08779 (SpecAugment), without its warping.
    """
    seeds, hidden = tf.random.split(seed, 4), False
    batch = tf.shape(images)[0]
    for axis in (1, 2):
        side = images.shape[axis]
        width = tf.random.stateless_uniform((batch, 1), seeds[axis - 1], 0, int(WIDEST * side) + 1, tf.int32)
        first = tf.cast(
            tf.random.stateless_uniform((batch, 1), seeds[axis + 1]) * tf.cast(side - width, tf.float32), tf.int32
        )
        places = tf.range(side)[None]
        stripe = (places >= first) & (places < first + width)
        hidden |= tf.reshape(stripe, (-1, side, 1, 1) if axis == 1 else (-1, 1, side, 1))
    return tf.where(hidden, tf.constant(0, tf.uint8), images)


STEPS = {"gain": gain, "babble": babble, "stripes": stripes}
