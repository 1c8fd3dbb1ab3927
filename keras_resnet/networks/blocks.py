"""Residual blocks as free functions on Keras tensors: a block is x + F(x), and nothing more.

He et al. 2015, https://arxiv.org/abs/1512.03385 (version 1, the ReLU after the addition), and He et al. 2016,
https://arxiv.org/abs/1603.05027 (version 2, norm and ReLU before each convolution). F is a list of convolutions, so
the basic and the bottleneck block are two lists, not two functions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from keras import layers


@dataclass(frozen=True)
class Style:
    """What all blocks of one network have in common; `ResNet` explains each."""

    padding: str = "same"
    activation: str = "relu"
    shortcut: str = "projection"
    se: float = 0.0
    blur: bool = False
    axes: int = 2
    dtype: str | None = None

    def along(self, size):
        """A side of a kernel, or a stride, of both axes: of 2-D maps, of sequences (columns alone), of vectors."""
        return {2: (size, size), 1: (1, size), 0: (1, 1)}[self.axes]


class Conv(NamedTuple):
    """One convolution of a residual branch."""

    filters: int
    kernel: int
    strides: int = 1


def basic(filters, strides, stride_conv="3x3"):
    """The branch of ResNet-18, -34 and the CIFAR family: two 3x3 convolutions."""
    del stride_conv  # both are 3x3: only the first can carry the stride
    return [Conv(filters, 3, strides), Conv(filters, 3)]


def bottleneck(filters, strides, stride_conv="3x3"):
    """The branch of ResNet-50 and deeper. `stride_conv="3x3"` is "v1.5", `"1x1"` is the paper's v1."""
    first, middle = (strides, 1) if stride_conv == "1x1" else (1, strides)
    return [Conv(filters, 1, first), Conv(filters, 3, middle), Conv(4 * filters, 1)]


def conv(x, filters, kernel, strides, name, style, initializer="he_normal", bias=False):
    """A convolution, without bias where a norm follows: its offset would cancel the bias."""
    padding = "same"
    kernel, strides = style.along(kernel), style.along(strides)
    if style.padding == "symmetric" and max(strides) > 1 and max(kernel) > 1:
        x = layers.ZeroPadding2D([side // 2 for side in kernel], name=f"{name}_pad", dtype=style.dtype)(x)
        padding = "valid"
    return layers.Conv2D(
        filters, kernel, strides, padding, use_bias=bias, kernel_initializer=initializer, name=name, dtype=style.dtype
    )(x)


def blur(x, name, style):
    """Every other pixel, behind a fixed low-pass filter (Zhang 2019, https://arxiv.org/abs/1904.11486).

    As there, it stands behind a convolution's activation, and before a shortcut's; the stem's convolution has none.
    """
    row = np.array([1.0, 2.0, 1.0], "float32") / 4
    down, across = (row if side > 1 else np.ones(1, "float32") for side in style.along(3))
    kernel = np.tile(np.outer(down, across)[:, :, None, None], (1, 1, x.shape[-1], 1))
    return layers.DepthwiseConv2D(
        style.along(3),
        style.along(2),
        "same",
        use_bias=False,
        depthwise_initializer=keras.initializers.Constant(kernel.tolist()),
        trainable=False,
        name=f"{name}_blur",
        dtype=style.dtype,
    )(x)


def squeeze_excite(x, ratio, name, style):
    """Scales each channel by what all of them are on average (Hu et al. 2017, https://arxiv.org/abs/1709.01507)."""
    filters = x.shape[-1]
    s = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_pool", dtype=style.dtype)(x)
    for part, units, activation in (("reduce", max(1, round(filters * ratio)), "relu"), ("expand", filters, "sigmoid")):
        s = layers.Conv2D(units, 1, activation=activation, name=f"{name}_se_{part}", dtype=style.dtype)(s)
    return layers.Multiply(name=f"{name}_se_scale", dtype=style.dtype)([x, s])


def norm(x, name, style, scale="ones"):
    """Batch normalization with PyTorch's momentum and epsilon, the field's usual ones for residual networks."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=scale, name=name, dtype=style.dtype)(
        x
    )


def relu(x, name, style):
    return layers.ReLU(6.0 if style.activation == "relu6" else None, name=name, dtype=style.dtype)(x)


def projection(x, filters, strides, name, style):
    """Option B of the paper, a 1x1 convolution; of `"pool"`, ResNet-D's, it reads means instead of every other pixel.

    He et al. 2018, https://arxiv.org/abs/1812.01187, section 4.2.
    """
    if style.shortcut == "pool" and strides > 1:
        size = style.along(strides)
        x = layers.AveragePooling2D(size, size, "same", name=f"{name}_shortcut_pool", dtype=style.dtype)(x)
        strides = 1
    elif style.blur and strides > 1:
        x, strides = blur(x, f"{name}_shortcut", style), 1
    return conv(x, filters, 1, strides, f"{name}_shortcut_conv", style)


def identity_shortcut(x, filters, strides, name, style):
    """Option A of the paper: every other pixel, missing channels filled with zeros; `x` where nothing changes."""
    channels = x.shape[-1]
    if style.blur and strides > 1:
        x = blur(x, f"{name}_shortcut", style)
    elif strides > 1:
        x = layers.MaxPooling2D(1, style.along(strides), name=f"{name}_shortcut_subsample", dtype=style.dtype)(x)
    if filters > channels:
        before = (filters - channels) // 2
        after = filters - channels - before
        # Read as channels-first, the padded "columns" of an NHWC tensor are its channels: one PAD, no transposition.
        x = layers.ZeroPadding2D(
            ((0, 0), (before, after)), data_format="channels_first", name=f"{name}_shortcut_pad", dtype=style.dtype
        )(x)
    return x


def post_activation_block(x, convs, name, style):
    """Version 1: conv-norm-relu … conv-norm, add, relu.

    Args:
        x: Keras tensor (batch, height, width, channels).
        convs: the branch, a list of `Conv`.
        name: prefix of every layer, as `stage2_block1`.
        style: the network's `Style`.

    Returns:
        Keras tensor with the last convolution's filters; smaller by the branch's strides.
    """
    shortcut, strides, filters = x, _strides(convs), convs[-1].filters
    if style.shortcut != "none" and (strides > 1 or x.shape[-1] != filters):
        if style.shortcut == "A":
            shortcut = identity_shortcut(x, filters, strides, name, style)
        else:
            shortcut = projection(x, filters, strides, name, style)
            shortcut = norm(shortcut, f"{name}_shortcut_norm", style)
    for i, c in enumerate(convs, 1):
        last, blurred = i == len(convs), style.blur and c.strides > 1
        x = conv(x, c.filters, c.kernel, 1 if blurred else c.strides, f"{name}_conv{i}", style)
        # A zero scale makes the block an identity at the start (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).
        x = norm(x, f"{name}_norm{i}", style, "zeros" if last and style.shortcut != "none" else "ones")
        if not last:
            x = relu(x, f"{name}_relu{i}", style)
        if blurred:
            x = blur(x, f"{name}_conv{i}", style)
    if style.se:
        x = squeeze_excite(x, style.se, name, style)
    if style.shortcut != "none":
        x = layers.Add(name=f"{name}_add", dtype=style.dtype)([shortcut, x])
    return relu(x, f"{name}_relu", style)


def pre_activation_block(x, convs, name, style):
    """Version 2: norm-relu-conv …, add; nothing stands on the path from addition to addition.

    Arguments and result as in `post_activation_block`. A projection reads the activated input, as in the paper.
    """
    shortcut, strides, filters = x, _strides(convs), convs[-1].filters
    projected = style.shortcut in ("projection", "pool") and x.shape[-1] != filters
    blurred = False
    for i, c in enumerate(convs, 1):
        last = i == len(convs)
        x = relu(norm(x, f"{name}_norm{i}", style), f"{name}_relu{i}", style)
        if blurred:
            x = blur(x, f"{name}_conv{i - 1}", style)
        blurred = style.blur and c.strides > 1
        if i == 1 and projected:
            shortcut = projection(x, filters, strides, name, style)
        # No norm follows the last convolution: its own kernel starts at zero (a zero scale before a ReLU would stay).
        initializer = "zeros" if last and style.shortcut != "none" else "he_normal"
        x = conv(x, c.filters, c.kernel, 1 if blurred else c.strides, f"{name}_conv{i}", style, initializer)
    if style.se:
        x = squeeze_excite(x, style.se, name, style)
    if style.shortcut == "none":
        return x
    if not projected:
        shortcut = identity_shortcut(shortcut, filters, strides, name, style)
    return layers.Add(name=f"{name}_add", dtype=style.dtype)([shortcut, x])


def _strides(convs):
    return max(c.strides for c in convs)
