"""Layers that compute in float what TFLite will compute in int8: rounded activations, kernels and biases.

Weights are symmetric, narrow range, per channel; activations asymmetric, per tensor (Jacob et al. 2017,
https://arxiv.org/abs/1712.05877; Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342).
"""

import contextlib

import keras
from keras import layers, ops

from keras_resnet.networks import convolution

PACKAGE = "keras_resnet"


@contextlib.contextmanager
def without_rounding(*quantized):
    """Lets layers compute in float: activations pass through, kernels and biases stay as they are."""
    names = ("bits", "weight_bits")
    rounding = [(layer, name, vars(layer)[name]) for layer in quantized for name in names if name in vars(layer)]
    try:
        for layer, name, _ in rounding:
            setattr(layer, name, None)
        yield
    finally:
        for layer, name, bits in rounding:
            setattr(layer, name, bits)


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


def fake_quantize_kernel(kernel, largest, bits):
    """Rounds a kernel (…, channels) symmetrically to 2^bits - 1 steps of a range, or of one for each channel."""
    return keras.quantizers.fake_quant_with_min_max_vars(
        kernel, -largest, largest, num_bits=bits, narrow_range=True, axis=-1 if len(largest.shape) else None
    )


def fake_quantize_bias(bias, step):
    """Rounds a bias (channels,) to multiples of a step, or of one for each channel."""
    return bias + ops.stop_gradient(ops.round(bias / step) * step - bias)


class _Quantized:
    """What the layers with a quantized kernel share.

    A bias is an int32 in TFLite, a multiple of the input's step times the kernel's. Left unrounded it would be off by
    thousandths of an output's step only, and yet hardly a picture would end with the file's logits.

    Args:
        weight_bits: of the kernel; None rounds neither kernel nor bias.
    """

    per_channel = True
    # Convolution and dense would save their kernel and bias alone.
    save_own_variables = layers.Layer.save_own_variables
    load_own_variables = layers.Layer.load_own_variables

    def __init__(self, *arguments, weight_bits=8, **keywords):
        super().__init__(*arguments, **{**keywords, "dtype": "float32"})
        self.weight_bits = weight_bits

    def build(self, shape):
        super().build(shape)
        # Distance of two neighbouring values of the input: as good as none, until `quantize_aware` has found it.
        self.input_step = self.add_weight((), keras.initializers.Constant(1e-9), trainable=False, name="input_step")

    def call(self, inputs, training=None):
        kernel, bias = self.kernel, self.bias
        if self.weight_bits is not None:
            kernel, bias = self._rounded(kernel, bias)
        outputs = self._apply(inputs, kernel, training)
        return self.activation(outputs if bias is None else ops.add(outputs, bias))

    def _rounded(self, kernel, bias):
        largest = kernel_range(kernel, self.per_channel)
        if bias is not None:
            bias = fake_quantize_bias(bias, self.input_step * largest / (2 ** (self.weight_bits - 1) - 1))
        return fake_quantize_kernel(kernel, largest, self.weight_bits), bias

    def get_config(self):
        return {**super().get_config(), "weight_bits": self.weight_bits}


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2D(_Quantized, layers.Conv2D):
    """`Conv2D` with a kernel rounded per output channel."""

    def _apply(self, inputs, kernel, training):
        if training and convolution.is_at_risk(self):  # converted, it is one operator with strides
            return convolution.convolve_subsampled(inputs, kernel, self.strides)
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDepthwiseConv2D(_Quantized, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel rounded per output channel."""

    def _apply(self, inputs, kernel, training):
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate, data_format=self.data_format
        )

    def _rounded(self, kernel, bias):
        height, width, channels, multiplier = kernel.shape
        flat, bias = super()._rounded(ops.reshape(kernel, (height, width, channels * multiplier)), bias)
        return ops.reshape(flat, kernel.shape), bias


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2DTranspose(_Quantized, layers.Conv2DTranspose):
    """`Conv2DTranspose` with a kernel rounded as a whole."""

    per_channel = False

    def _apply(self, inputs, kernel, training):
        return ops.conv_transpose(inputs, kernel, self.strides, self.padding, data_format=self.data_format)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDense(_Quantized, layers.Dense):
    """`Dense` with a kernel rounded as a whole: the converter rejects a scale for each channel there."""

    per_channel = False

    def _apply(self, inputs, kernel, training):
        return ops.matmul(inputs, kernel)
