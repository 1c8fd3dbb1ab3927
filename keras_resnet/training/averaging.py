"""A moving average of the weights (Polyak & Juditsky 1992), which is evaluated beside them and kept where it is better.

It follows the weights every few steps, as in Page 2018 and airbench, and averages norms' statistics, too, as timm does.
"""

import contextlib

import keras
import tensorflow as tf

EVERY = 5  # steps


class Average:
    """Averages of a model's weights.

    Args:
        model: built `keras.Model`; in the scope of its strategy.
        decay: of a step, as 0.999. At the beginning it is smaller, so that the first weights are soon forgotten.
        accumulate: batches that make one step.
    """

    def __init__(self, model, decay, accumulate=1):
        self.decay, self.every, self.weights = decay, EVERY * accumulate, [v.value for v in model.weights]
        # Under its weight's path each is found in a checkpoint.
        self.variables = [(v.path, keras.Variable(v, trainable=False, dtype=v.dtype)) for v in model.weights]
        self.averages = [average.value for _, average in self.variables]

    def follow(self, step):
        """Moves towards the weights that are there after a batch, counted from 1; only every few steps."""
        if step % self.every == 0:
            updates = step // self.every
            self._follow(tf.constant(min(self.decay**EVERY, (1 + updates) / (10 + updates)), tf.float32))

    @tf.function
    def _follow(self, decay):
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.assign_add((weight - average) * (1 - decay))  # a frozen weight's is it, to the bit

    @contextlib.contextmanager
    def worn(self):
        """The model has the averages for its weights inside."""
        kept = [tf.identity(v) for v in self.weights]
        self._assign(self.averages)
        try:
            yield
        finally:
            self._assign(kept)

    def _assign(self, values):
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)


class Following(keras.callbacks.Callback):
    """Lets an average follow each step; `step` is how many there were before."""

    def __init__(self, average, step):
        super().__init__()
        self.average, self.step = average, step

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.average.follow(self.step)
