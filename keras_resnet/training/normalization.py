"""Batch normalization as training wants it: TensorFlow's fused kernel on one device, synchronized or not on several.

A model is built, saved and served with stock Keras layers. Training works on a twin of it whose norms are these, with
the same names and weights.
"""

import keras
import tensorflow as tf

from keras_resnet.networks import convolution
from keras_resnet.networks.weights import copy_weights
from keras_resnet.quantization.fake_quantization import FakeQuantize


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization of NHWC maps, computed by TensorFlow's fused kernel (Keras computes it in pieces)."""

    def call(self, inputs, training=None, mask=None):
        learn = bool(training and self.trainable)
        x = tf.cast(inputs, self.compute_dtype)
        gamma = self.gamma if self.scale else tf.ones_like(self.moving_mean)
        beta = self.beta if self.center else tf.zeros_like(self.moving_mean)
        # The kernel computes scale and statistics in float32 whatever the maps' precision.
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.cast(gamma, tf.float32),
            offset=tf.cast(beta, tf.float32),
            mean=tf.zeros((0,)) if learn else tf.cast(self.moving_mean, tf.float32),
            variance=tf.zeros((0,)) if learn else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=learn,
        )
        if learn:
            # The kernel returns Bessel's unbiased variance; Keras keeps the biased one.
            n = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
            mean, variance = self.shared(mean, variance * ((n - 1) / n))
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + mean * (1 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1 - keep))
        return y

    def shared(self, mean, variance):
        """What the moving statistics learn of a batch's."""
        return mean, variance


class PerReplicaBatchNormalization(FusedBatchNormalization):
    """The fused kernel on each replica's own part of the batch; moving statistics learn the mean over the replicas.

    They are therefore equal on all replicas at any step, to be saved, evaluated and resumed like weights. Nothing in
    the step waits for that mean; a synchronized norm waits for the other replicas forward and backward.
    """

    def shared(self, mean, variance):
        return tf.distribute.get_replica_context().all_reduce("MEAN", [mean, variance])


class FrozenBatchNormalization(FusedBatchNormalization):
    """Inference mode always: scale and offset learn, the moving statistics stay as they came."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False)


FUSED = {
    "frozen": FrozenBatchNormalization,
    "fused": FusedBatchNormalization,
    "per_replica": PerReplicaBatchNormalization,
}


def training_twin(model, kind, precision="float32", any_size=False, others=()):
    """Clones a flat functional model for training, weights included.

    Args:
        model: a functional `keras.Model` in float32.
        kind: `"fused"` (one device, no XLA), `"synchronized"` or `"per_replica"` (replicas), `"stock"`, or `"frozen"`.
        precision: Keras dtype policy of all layers but the last: the loss wants float32 logits. A quantized network
            computes in float32 whatever is asked.
        any_size: whether the twin takes pictures of other sides, too.
        others: dict, name of a layer -> (class, rate) of a `regularization.Noisy` one that takes its place.

    Returns:
        A new model. `copy_weights(twin, model)` brings what it learned back.
    """

    if any(isinstance(layer, FakeQuantize) for layer in model.layers):
        precision = "float32"  # bfloat16 would round a second time, between the steps of int8

    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.Layer) and layer.name not in model.output_names:  # else an operation, as x + y
            config["dtype"] = precision
        if type(layer) is keras.layers.BatchNormalization:
            if kind in FUSED and len(layer.input.shape) == 4 and layer.axis in (-1, 3):
                return FUSED[kind].from_config(config)
            if kind == "synchronized":
                config["synchronized"] = True
        if type(layer) is keras.layers.Conv2D and convolution.is_at_risk(layer):
            return convolution.SubsampledConv2D.from_config(config)
        if layer.name in others:
            kind_of_noise, rate = others[layer.name]
            noisy = kind_of_noise.from_config(config)
            noisy.rate = rate
            return noisy
        return layer.__class__.from_config(config)

    image = keras.Input((None, None, model.input_shape[-1]), name=model.inputs[0].name) if any_size else None
    twin = keras.models.clone_model(model, input_tensors=image, clone_function=clone)
    copy_weights(model, twin)
    return twin


def from_pixels(model):
    """A model that shares a functional model's layers and scales uint8 pictures itself, by the contract's rule.

    Pictures travel to a device in a quarter of float32's bytes; the values that the model sees are the same bits. A
    model of texts takes their numbers as they are.
    """
    if not keras.backend.is_float_dtype(model.inputs[0].dtype):
        return model
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    images = keras.layers.Rescaling(1 / 128, -1, dtype="float32")(pixels)
    return keras.Model(pixels, model(images), name=model.name)
