"""What training alone does to texts: some numbers are not known."""

import tensorflow as tf

from keras_resnet.device.text import UNKNOWN

FORGOTTEN = 0.15  # part of the numbers


def forget(ids, seed):
    """Each number becomes `UNKNOWN` with a probability of `FORGOTTEN` (word dropout, Iyyer et al. 2015).

    https://aclanthology.org/P15-1162. Nothing stays nothing.

    Args:
        ids: int32 tensor (batch, length, numbers of each).
        seed: int32 tensor (2,).
    """
    forgotten = tf.random.stateless_uniform(tf.shape(ids), seed) < FORGOTTEN
    return tf.where(forgotten & (ids > UNKNOWN), UNKNOWN, ids)


STEPS = {"forget": forget}
