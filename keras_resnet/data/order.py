"""The order of examples and the seeds of their augmentation: functions of (seed, epoch, position) and nothing else."""

import numpy as np
import tensorflow as tf


def shuffled(size, seed, epoch):
    """An epoch's order: a permutation of 0 … size - 1, int64 (size,); NumPy's, which is random.

    TensorFlow's `index_shuffle` needs no memory, but has 4 rounds of its cipher: any two epochs were correlated.
    """
    return np.random.default_rng((seed, epoch)).permutation(size)


def draw(seed, epoch, position):
    """A stateless seed, int32 (2,), for the augmentation at a position (a step, or an example) of an epoch."""
    base = tf.random.fold_in(tf.constant([seed, epoch], tf.int32), tf.cast(position, tf.int32))
    return tf.cast(base, tf.int32)
