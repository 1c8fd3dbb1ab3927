"""What training alone does to texts: some numbers are not known, the rare ones most often."""

import tensorflow as tf

from keras_resnet.device.text import UNKNOWN

LEAST = 0.15  # part of each number that is forgotten
RARE = 4.0  # a number of so many training texts is forgotten half of the time


def forget(ids, seed, occurrences):
    """Each number becomes `UNKNOWN` with a probability of `RARE` / (`RARE` + its occurrences), and `LEAST` at least.

    Word dropout by frequency (Kiperwasser & Goldberg 2016, https://arxiv.org/abs/1603.04351): what a single text has
    would teach that text by heart. Nothing stays nothing.

    Args:
        ids: int32 tensor (batch, length, numbers of each).
        seed: int32 tensor (2,).
        occurrences: integers (numbers,), in how many training texts each number is.
    """
    part = tf.maximum(LEAST, RARE / (RARE + tf.constant(occurrences, tf.float32)))
    forgotten = tf.random.stateless_uniform(tf.shape(ids), seed) < tf.gather(part, ids)
    return tf.where(forgotten & (ids > UNKNOWN), UNKNOWN, ids)
