"""Around a fault of TensorFlow 2.21 on CPUs: oneDNN's kernel gradient of a narrow 1x1 convolution with strides.

It is wrong, or corrupts memory until the process dies: docs/onednn_crash.md has the shapes. Such a convolution reads
every other pixel; training takes these first and convolves them with stride 1, which is the same sum.
"""

from keras import layers, ops

# Floats in oneDNN's widest vectors (AVX-512): seen to fail with fewer input channels than one vector holds.
VECTOR = 16


def is_at_risk(layer):
    """Whether TensorFlow may get the kernel gradient of a layer of a built model wrong."""
    if not isinstance(layer, layers.Conv2D) or layer.data_format != "channels_last":
        return False
    return layer.kernel_size == (1, 1) and max(layer.strides) > 1 and layer.kernel.shape[2] < VECTOR


def convolve_subsampled(inputs, kernel, strides):
    """A 1x1 convolution with strides.

    Args:
        inputs: tensor (batch, height, width, channels).
        kernel: tensor (1, 1, channels, filters).
        strides: of rows and columns.

    Returns:
        Tensor (batch, ceil(height / rows), ceil(width / columns), filters).
    """
    rows, columns = strides
    return ops.conv(inputs[:, ::rows, ::columns], kernel, 1, "valid", "channels_last")


class SubsampledConv2D(layers.Conv2D):
    """A 1x1 `Conv2D` with strides, of the same settings and weights, whose gradient is right. For training alone."""

    def convolution_op(self, inputs, kernel):
        return convolve_subsampled(inputs, kernel, self.strides)
