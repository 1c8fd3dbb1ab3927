"""Layers that compute in float what TFLite will compute in int8: rounded activations, kernels and biases.

Weights are symmetric, narrow range, per channel; activations asymmetric, per tensor (Jacob et al. 2017,
https://arxiv.org/abs/1712.05877; Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342).
"""

import contextlib

import keras
import tensorflow as tf
from keras import layers, ops

from keras_resnet.networks import convolution

PACKAGE = "keras_resnet"
UNKNOWN = 1e-9  # the step of a layer's input until `quantize_aware` has found it: as good as none
INT32 = 2.0**30  # what a bias may reach in a file: beside the products, a half of what its type holds


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


def straight_through(x, rounded):
    """`rounded`, what became of `x`, with a gradient that passes everywhere.

    TensorFlow's own cuts it off beyond the range, and rounding errors put the largest weight of some channels there.
    """
    return x + ops.stop_gradient(rounded - x)


def learned(x, growth, low, high, round_):
    """`round_(x, low, high)` with the range 2^growth as wide, whose gradient teaches the range, too.

    Within the range the gradient is that of the rounding error, beyond it that of its edge (Esser et al. 2019, LSQ,
    https://arxiv.org/abs/1902.08153), in the logarithm of the range (Jain et al. 2019, TQT,
    https://arxiv.org/abs/1903.08066).

    Args:
        x: float32, of any shape.
        growth: float32 of shape () or, one for each of x's last axis, (channels,).
        low, high: float32 like `growth`: the range at growth 0, where zero has a whole number.
    """
    factor = 2.0**growth
    low, high = low * factor, high * factor
    one = factor / ops.stop_gradient(factor)  # its gradient is not zero
    y = ops.stop_gradient(round_(x, low, high))
    return ops.where((x >= low) & (x <= high), x + (y - ops.stop_gradient(x)) * one, y * one)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedModel(keras.Model):
    """A functional model whose outputs have the names of the float one's, not of the layers that round them.

    Args:
        output_names: list of a string for each output.
    """

    def __init__(self, *args, output_names=None, **kwargs):  # these names tell Keras what it is
        super().__init__(*args, **kwargs)
        self.output_names = list(output_names or self.output_names)
        for layer in self.layers:
            if getattr(layer, "follows", None):
                layer.follow(self.get_layer(layer.follows))

    def get_config(self):
        return {**super().get_config(), "output_names": self.output_names}


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantize(layers.Layer):
    """Rounds activations (of any shape) to the 2^bits steps of a range.

    The gradient passes straight through inside the range and is zero outside.

    Args:
        bits: of a step's number; None rounds nothing.
        fixed: the range (low, high) that TFLite demands; None where `ranges.calibrate` finds one.
        learns: whether the range goes on learning, as `learned` does; else it stays as it was found.
    """

    def __init__(self, bits=8, fixed=None, learns=False, **keywords):
        super().__init__(**{**keywords, "dtype": "float32"})
        self.bits, self.fixed, self.learns = bits, fixed, learns
        self.observe = None  # a function that is shown the input instead, while ranges are searched

    def build(self, shape):
        low, high = self.fixed or (-1.0, 1.0)
        self.low = self.add_weight((), keras.initializers.Constant(low), trainable=False, name="low")
        self.high = self.add_weight((), keras.initializers.Constant(high), trainable=False, name="high")
        if self.learns:
            self.growth = self.add_weight((), "zeros", name="growth")
        super().build(shape)

    def set_range(self, low, high):
        self.low.assign(low)
        self.high.assign(high)
        if self.learns:
            self.growth.assign(0.0)

    @property
    def range(self):
        """(low, high), float32 tensors."""
        factor = 2.0**self.growth if self.learns else 1.0
        return self.low * factor, self.high * factor

    @property
    def step(self):
        """Distance of two neighbouring values, the tensor's scale in TFLite."""
        low, high = map(float, self.range)
        return (high - low) / (2**self.bits - 1)

    def call(self, inputs, training=None):
        if self.observe is not None:
            self.observe(inputs)
            return inputs
        if self.bits is None:
            return inputs
        if self.learns and training:
            return learned(inputs, self.growth, self.low, self.high, self._round)
        return self._round(inputs, *self.range)

    def _round(self, inputs, low, high):
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, low, high, num_bits=self.bits)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "bits": self.bits, "fixed": self.fixed, "learns": self.learns}


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
    return straight_through(bias, ops.round(bias / step) * step)


class _Quantized:
    """What the layers with a quantized kernel share.

    A bias is an int32 in TFLite, a multiple of the input's step times the kernel's. Left unrounded it would be off by
    thousandths of an output's step only, and yet hardly a picture would end with the file's logits. Where a channel's
    weights are all but dead, those steps are too small for its bias: they are made larger.

    Args:
        weight_bits: of the kernel; None rounds neither kernel nor bias.
        learns: whether the kernel's range is learned, as `learned` does; else it is that of its largest weights.
        follows: name of the `FakeQuantize` of its input, whose range learns; None: `input_step` stays as it is.
        statistics: whether its norm's are those of each batch. They have to stay for the last part of a training.
        norm: configuration of a `BatchNormalization` behind it that goes on learning, which the file has folded into
            kernel and bias (Krishnamoorthi 2018, section 3.2.2); None: there is none, or it is in them already.
    """

    per_channel = True
    # Convolution and dense would save their kernel and bias alone.
    save_own_variables = layers.Layer.save_own_variables
    load_own_variables = layers.Layer.load_own_variables

    def __init__(self, *arguments, weight_bits=8, learns=False, follows=None, norm=None, statistics=True, **keywords):
        super().__init__(*arguments, **{**keywords, "dtype": "float32"})
        self.weight_bits, self.learns, self.follows = weight_bits, learns, follows
        self.given_step, self.statistics = None, statistics
        given = {**(norm or {}), "dtype": "float32", "synchronized": True}
        self.norm = layers.BatchNormalization.from_config(given) if norm else None

    def build(self, shape):
        super().build(shape)
        # Distance of two neighbouring values of the input.
        self.input_step = self.add_weight((), keras.initializers.Constant(UNKNOWN), trainable=False, name="input_step")
        if self.norm:
            self.norm.build(self.compute_output_shape(shape))
        if self.learns:  # the logarithm of the largest weight, to base 2
            channels = self.compute_output_shape(shape)[-1:]
            self.kernel_range = self.add_weight(channels if self.per_channel else (), "zeros", name="kernel_range")

    def reset_range(self):
        """Begins with the largest weights: less clipped, as lies nearest in the square, 4 bits answer worse."""
        largest = kernel_range(self._flat(self.folded[0]), self.per_channel)
        self.kernel_range.assign(ops.log2(largest) + 1e-5)  # and those weights within

    def follow(self, quantizer):
        """Lets biases be rounded in the steps of an input's range that learns: `QuantizedModel` calls it."""
        self.follows = quantizer.name

        def step():  # a function, since the range is no part of this layer
            low, high = quantizer.range
            return ops.stop_gradient(high - low) / (2**quantizer.bits - 1)

        self.given_step = step

    @property
    def folded(self):
        """Kernel and bias with the norm in them."""
        norm, bias = self.norm, self.bias
        if norm is None:
            return self.kernel, bias
        scale = (norm.gamma if norm.scale else 1.0) * ops.rsqrt(norm.moving_variance + norm.epsilon)
        offset = (norm.beta if norm.center else 0.0) + ((0.0 if bias is None else bias) - norm.moving_mean) * scale
        return self.scaled(self.kernel, scale), offset

    @staticmethod
    def scaled(kernel, scale):
        """A kernel whose output channels (the last axis) are multiplied by a factor each."""
        return kernel * scale

    def call(self, inputs, training=None):
        before = kernel, bias = self.folded
        if self.weight_bits is not None:
            kernel, bias = self._rounded(kernel, bias, training)
        if training and self.norm and self.norm.trainable and self.statistics:
            # The norm as ever, and what is added by rounding its folded form.
            outputs = self._apply(inputs, self.kernel, training)
            outputs = self.norm(outputs if self.bias is None else outputs + self.bias, training=True)
            outputs = outputs + self._apply(inputs, kernel - before[0], training)
            return self.activation(outputs + ops.stop_gradient(bias - before[1]))
        outputs = self._apply(inputs, kernel, training)
        return self.activation(outputs if bias is None else ops.add(outputs, bias))

    def _flat(self, kernel):
        """A kernel whose last axis are the channels that have ranges of their own."""
        return kernel

    def _rounded(self, kernel, bias, training=False):
        largest = 2.0**self.kernel_range if self.learns else kernel_range(kernel, self.per_channel)
        if bias is not None:
            levels = 2 ** (self.weight_bits - 1) - 1
            step = self.given_step() if self.given_step else self.input_step
            least = ops.abs(ops.stop_gradient(bias)) * levels / step / INT32
            least = least if self.per_channel else ops.max(least)
            largest = ops.maximum(largest, ops.where(step > UNKNOWN, least, 0.0))
            bias = fake_quantize_bias(bias, step * ops.stop_gradient(largest) / levels)
        if not training:
            return fake_quantize_kernel(kernel, largest, self.weight_bits), bias
        if not self.learns:
            return straight_through(kernel, fake_quantize_kernel(kernel, largest, self.weight_bits)), bias
        unit = ops.stop_gradient(largest / 2.0**self.kernel_range)  # 1, but for dead channels
        kernel = learned(
            kernel, self.kernel_range, -unit, unit, lambda k, low, high: fake_quantize_kernel(k, high, self.weight_bits)
        )
        return kernel, bias

    def get_config(self):
        given = {"weight_bits": self.weight_bits, "learns": self.learns, "follows": self.follows}
        given |= {"norm": self.norm and self.norm.get_config(), "statistics": self.statistics}
        return {**super().get_config(), **given}


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2D(_Quantized, layers.Conv2D):
    """`Conv2D` with a kernel rounded per output channel."""

    def _apply(self, inputs, kernel, training):
        if training and convolution.is_at_risk(self):  # converted, it is one operator with strides
            return convolution.convolve_subsampled(inputs, kernel, self.strides)
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDepthwiseConv2D(_Quantized, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel rounded per output channel: its last two axes together."""

    @staticmethod
    def scaled(kernel, scale):
        return kernel * ops.reshape(scale, kernel.shape[2:])

    def _apply(self, inputs, kernel, training):
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate, data_format=self.data_format
        )

    def _flat(self, kernel):
        return ops.reshape(kernel, (*kernel.shape[:2], -1))

    def _rounded(self, kernel, bias, training=False):
        flat, bias = super()._rounded(self._flat(kernel), bias, training)
        return ops.reshape(flat, kernel.shape), bias


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedConv2DTranspose(_Quantized, layers.Conv2DTranspose):
    """`Conv2DTranspose` with a kernel rounded as a whole; its output channels are the last axis but one."""

    per_channel = False

    @staticmethod
    def scaled(kernel, scale):
        return kernel * ops.expand_dims(scale, -1)

    def _apply(self, inputs, kernel, training):
        return ops.conv_transpose(inputs, kernel, self.strides, self.padding, data_format=self.data_format)


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedDense(_Quantized, layers.Dense):
    """`Dense` with a kernel rounded as a whole: the converter rejects a scale for each channel there."""

    per_channel = False

    def _apply(self, inputs, kernel, training):
        return ops.matmul(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class Lookup(layers.Embedding):
    """`Embedding` of numbers from 0 on: one GATHER, where Keras' own takes three operators to count from the end too.

    The range of its output is that of the table, which the converter stores in its steps.
    """

    def call(self, inputs):
        return tf.gather(self.embeddings, inputs)


@keras.saving.register_keras_serializable(PACKAGE)
class Nearest(layers.Resizing):
    """`Resizing` to the nearest pixel; where it learns the pixels are gathered: XLA has no gradient of the operator."""

    def call(self, data, training=None):
        if not training:
            return super().call(data)
        for axis, made in ((1, self.height), (2, self.width)):
            given = data.shape[axis]
            nearest = [min(int((i + 0.5) * given / made), given - 1) for i in range(made)]
            data = tf.gather(data, nearest, axis=axis)
        return data


@keras.saving.register_keras_serializable(PACKAGE)
class QuantizedPReLU(layers.PReLU):
    """`PReLU` with slopes rounded as a whole, to 8 bits.

    The converter makes its operator of just this sum, of slopes without the batch, and rounds them itself.

    Args:
        weight_bits: of the slopes, 8; None rounds nothing.
    """

    def __init__(self, *arguments, weight_bits=8, **keywords):
        super().__init__(*arguments, **{**keywords, "dtype": "float32"})
        self.weight_bits = weight_bits

    def call(self, inputs):
        slopes = self.alpha
        if self.weight_bits is not None:
            step = kernel_range(slopes, per_channel=False) / (2 ** (self.weight_bits - 1) - 1)
            slopes = straight_through(slopes, ops.round(slopes / step) * step)
        return ops.relu(inputs) + (-slopes) * ops.relu(-inputs)

    def get_config(self):
        return {**super().get_config(), "weight_bits": self.weight_bits}
