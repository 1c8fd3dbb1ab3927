"""Noise inside the network that training alone has: stochastic depth and dropout, as functions of (seed, step).

Keras' own layers remember a state instead, which files of weights don't keep.
"""

import re

import tensorflow as tf
from keras import layers

from keras_resnet import runs
from keras_resnet.networks.transfer import split


class Noisy:
    """A layer whose draws follow from the run's seed, its own number, the step and the replica.

    Attributes:
        rate: part of the time that something is left out.
        seed: int32 (2,), the run's and the layer's own.
        step: function without arguments to the step's number, a tensor.
    """

    rate, seed, step = 0.0, (0, 0), None

    def kept(self, shape):
        """0 where something is left out, and what keeps the mean elsewhere, float32 of a shape."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.constant(self.seed, tf.int32)
        for number in (self.step(), replica):
            seed = tf.random.fold_in(seed, tf.cast(number, tf.int32))
        there = tf.random.stateless_uniform(shape, seed) >= self.rate
        return tf.cast(there, tf.float32) / (1 - self.rate)


class StochasticAdd(Noisy, layers.Add):
    """The addition of a block that leaves the branch out for some pictures (Huang et al. 2016).

    https://arxiv.org/abs/1603.09382; as in timm the branch is scaled up in training, and stays as it is later.
    """

    def call(self, inputs, training=None):
        shortcut, branch = inputs
        if training:
            branch = branch * tf.cast(self.kept((tf.shape(branch)[0], 1, 1, 1)), branch.dtype)
        return super().call([shortcut, branch])


class DroppedDense(Noisy, layers.Dense):
    """A dense layer with dropout before it (Srivastava et al. 2014)."""

    def call(self, inputs, training=None):
        if training:
            inputs = inputs * tf.cast(self.kept(tf.shape(inputs)), inputs.dtype)
        return super().call(inputs)


def noisy_layers(model, recipe):
    """Name of a layer -> (class, rate) of what takes its place in training.

    The rate of stochastic depth grows evenly from block to block up to the recipe's, as in the paper.

    Raises:
        RunError: stochastic depth is asked for, and the network has no blocks of `ResNet`.
    """
    found = {}
    if recipe.stochastic_depth:
        # Others' additions may have the branch first.
        adds = [layer.name for layer in model.layers if re.fullmatch(r"stage\d+_block\d+_add", layer.name)]
        if not adds:
            raise runs.RunError(
                f"--stochastic_depth={recipe.stochastic_depth}: {model.name} has no additions of ResNet's; drop it"
            )
        found = {name: (StochasticAdd, recipe.stochastic_depth * (i + 1) / len(adds)) for i, name in enumerate(adds)}
    if recipe.dropout:
        of_texts = [layer.name for layer in model.layers if layer.name == "logits"]
        found[of_texts[0] if of_texts else split(model)[1].name] = (DroppedDense, recipe.dropout)
    return found


def wind(model, seed, step):
    """Gives the noisy layers of a model their seeds and the function that tells them the step."""
    for number, layer in enumerate(layer for layer in model.layers if isinstance(layer, Noisy)):
        layer.seed, layer.step = (seed, number), step
