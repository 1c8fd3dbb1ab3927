"""The order of examples and the seeds of their augmentation: functions of (seed, epoch, position) and nothing else."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


def shuffled(size, seed, epoch):
    """An epoch's order: a permutation of 0 … size - 1, int64 (size,); NumPy's, which is random.

    TensorFlow's `index_shuffle` needs no memory, but has 4 rounds of its cipher: any two epochs were correlated.
    """
    return np.random.default_rng((seed, epoch)).permutation(size)


def balanced(labels, seed, epoch):
    """An order that shows every class equally often, as many examples as there are, int64 (n,).

    Each class's examples come shuffled, again and again where they are few; of a large class many are left out, others
    in each epoch.

    Args:
        labels: integers (n,).
    """
    rng = np.random.default_rng((seed, epoch))
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    counts = len(labels) // len(classes) + (rng.permutation(len(classes)) < len(labels) % len(classes))
    shown = []
    for examples, count in zip(classes, counts, strict=True):
        rounds = [rng.permutation(examples) for _ in range(-(-count // len(examples)))]
        shown.append(np.concatenate(rounds)[:count])
    return rng.permutation(np.concatenate(shown))


def repeated(size, seed, epoch, times):
    """An order that shows a part of the examples, each `times` one after the other, int64 (size,).

    Repeated augmentation (Hoffer et al. 2019, https://arxiv.org/abs/1901.09335): a batch has several views of each.
    """
    return np.repeat(shuffled(size, seed, epoch)[: -(-size // times)], times)[:size]


class Order(NamedTuple):
    """Which order a training has: `shuffled`, `balanced`, or `repeated` so often.

    Attributes:
        buffered: whether a stream fills its shuffle buffer first; a batch that is only looked at can do without.
    """

    balanced: bool = False
    repeats: int = 1
    buffered: bool = True

    def indices(self, labels, seed, epoch):
        """An epoch's examples, int64 (n,), of integers (n,)."""
        if self.balanced:
            return balanced(labels, seed, epoch)
        return repeated(len(labels), seed, epoch, self.repeats)


SHUFFLED = Order()


def draw(seed, epoch, position):
    """A stateless seed, int32 (2,), for the augmentation at a position (a step, or an example) of an epoch."""
    base = tf.random.fold_in(tf.constant([seed, epoch], tf.int32), tf.cast(position, tf.int32))
    return tf.cast(base, tf.int32)
