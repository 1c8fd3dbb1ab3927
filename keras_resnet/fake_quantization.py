"""Layers that compute in float what TFLite will compute in int8: rounded activations, kernels and biases.

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

    @property
    def step(self):
        """Distance of two neighbouring values, the tensor's scale in TFLite."""
        return (float(self.high) - float(self.low)) / (2**self.bits - 1)

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


def kernel_range(kernel, per_channel=True):
    """The largest absolute value of each channel of a kernel (…, channels), or of the whole kernel."""
    axes = tuple(range(len(kernel.shape) - 1)) if per_channel else None
    return ops.maximum(ops.max(ops.abs(ops.stop_gradient(kernel)), axis=axes), 1e-6)


def fake_quantize_kernel(kernel, bits, per_channel=True):
    """Rounds a kernel (…, channels) symmetrically to 2^bits - 1 steps, each channel by its own largest value."""
    largest = kernel_range(kernel, per_channel)
    return keras.quantizers.fake_quant_with_min_max_vars(
        kernel, -largest, largest, num_bits=bits, narrow_range=True, axis=-1 if per_channel else None
    )


def fake_quantize_bias(bias, step):
    """Rounds a bias (channels,) to multiples of a step, a number or one for each channel."""
    return bias + ops.stop_gradient(ops.round(bias / step) * step - bias)


class _Quantized:
    """What the layers with a quantized kernel share.

    A bias is an int32 in TFLite, a multiple of the input's step times the kernel's. Left unrounded it would be off by
    thousandths of an output's step only, and yet hardly a picture would end with the file's logits.

    Args:
        weight_bits: of the kernel; None rounds neither kernel nor bias.
        input_step: distance of two neighbouring values of the input; None, as long as it is not known, rounds no bias.
    """

    per_channel = True

    def __init__(self, *arguments, weight_bits=8, input_step=None, **keywords):
        super().__init__(*arguments, **{**keywords, "dtype": "float32"})
        self.weight_bits, self.input_step = weight_bits, input_step

    def call(self, inputs, training=None):
        kernel, bias = self._rounded()
        outputs = self.linear(inputs, kernel)
        return self.activation(outputs if bias is None else ops.add(outputs, bias))

    def _rounded(self):
        if self.weight_bits is None:
            return self.kernel, self.bias
        kernel, bias = self.channels_last(self.kernel), self.bias
        if bias is not None and self.input_step is not None:
            kernel_step = kernel_range(kernel, self.per_channel) / (2 ** (self.weight_bits - 1) - 1)
            bias = fake_quantize_bias(bias, self.input_step * kernel_step)
        return ops.reshape(fake_quantize_kernel(kernel, self.weight_bits, self.per_channel), self.kernel.shape), bias

    def channels_last(self, kernel):
        """The kernel with its output channels in one last axis."""
        return kernel

    def get_config(self):
        return {**super().get_config(), "weight_bits": self.weight_bits, "input_step": self.input_step}


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2D(_Quantized, layers.Conv2D):
    """`Conv2D` with a kernel rounded per output channel."""

    def linear(self, inputs, kernel):
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDepthwiseConv2D(_Quantized, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel rounded per output channel."""

    def linear(self, inputs, kernel):
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate, data_format=self.data_format
        )

    def channels_last(self, kernel):
        height, width, channels, multiplier = kernel.shape
        return ops.reshape(kernel, (height, width, channels * multiplier))


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDense(_Quantized, layers.Dense):
    """`Dense` with a kernel rounded as a whole: the converter rejects a scale for each channel there."""

    per_channel = False

    def linear(self, inputs, kernel):
        return ops.matmul(inputs, kernel)
