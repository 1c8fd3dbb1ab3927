"""Layers that compute in float what TFLite will compute in int8: rounded activations and rounded kernels.

Weights are symmetric, narrow range, per channel; activations asymmetric, per tensor (Jacob et al. 2017,
https://arxiv.org/abs/1712.05877; Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342).
"""

import keras
from keras import layers, ops

PACKAGE = "keras_resnet"


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantize(layers.Layer):
    """Rounds activations (of any shape) to the 2^bits steps of a range.

    The gradient passes straight through inside the range and is zero outside. The range is found before training and
    stays: it is then equal on all replicas, and a restart needs nothing but the weights.

    Args:
        bits: of a step's number; None rounds nothing.
        fixed: the range (low, high) that TFLite demands; None where `ranges.calibrate` finds one.
    """

    def __init__(self, bits=8, fixed=None, **keywords):
        super().__init__(**{**keywords, "dtype": "float32"})
        self.bits, self.fixed = bits, fixed
        self.observe = None  # a function that is shown the input instead, while ranges are searched

    def build(self, shape):
        low, high = self.fixed or (-1.0, 1.0)
        self.low = self.add_weight((), keras.initializers.Constant(low), trainable=False, name="low")
        self.high = self.add_weight((), keras.initializers.Constant(high), trainable=False, name="high")
        super().build(shape)

    def set_range(self, low, high):
        self.low.assign(low)
        self.high.assign(high)

    def call(self, inputs):
        if self.observe is not None:
            self.observe(inputs)
            return inputs
        if self.bits is None:
            return inputs
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, self.low, self.high, num_bits=self.bits)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "bits": self.bits, "fixed": self.fixed}


def fake_quantize_kernel(kernel, bits, per_channel=True):
    """Rounds a kernel (…, channels) symmetrically to 2^bits - 1 steps, each channel by its own largest value.

    None for bits rounds nothing.
    """
    if bits is None:
        return kernel
    axes = tuple(range(len(kernel.shape) - 1)) if per_channel else None
    largest = ops.maximum(ops.max(ops.abs(ops.stop_gradient(kernel)), axis=axes), 1e-6)
    return keras.quantizers.fake_quant_with_min_max_vars(
        kernel, -largest, largest, num_bits=bits, narrow_range=True, axis=-1 if per_channel else None
    )


class _Quantized:
    """What the layers with a quantized kernel share."""

    def __init__(self, *arguments, weight_bits=8, **keywords):
        super().__init__(*arguments, **{**keywords, "dtype": "float32"})
        self.weight_bits = weight_bits

    def get_config(self):
        return {**super().get_config(), "weight_bits": self.weight_bits}


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2D(_Quantized, layers.Conv2D):
    """`Conv2D` with a kernel rounded per output channel."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, fake_quantize_kernel(kernel, self.weight_bits))


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDepthwiseConv2D(_Quantized, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel rounded per output channel."""

    def call(self, inputs):
        height, width, channels, multiplier = self.kernel.shape
        kernel = ops.reshape(self.kernel, (height, width, channels * multiplier))
        kernel = ops.reshape(fake_quantize_kernel(kernel, self.weight_bits), self.kernel.shape)
        outputs = ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate, data_format=self.data_format
        )
        outputs = ops.add(outputs, self.bias) if self.use_bias else outputs
        return self.activation(outputs)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDense(_Quantized, layers.Dense):
    """`Dense` with a kernel rounded as a whole: the converter rejects a scale for each channel there."""

    def call(self, inputs, training=None):
        kernel = fake_quantize_kernel(self.kernel, self.weight_bits, per_channel=False)
        outputs = ops.matmul(inputs, kernel)
        outputs = ops.add(outputs, self.bias) if self.use_bias else outputs
        return self.activation(outputs)
