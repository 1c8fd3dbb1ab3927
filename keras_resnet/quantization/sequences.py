"""Layers of sequences (batch, length, channels), each as that of maps of one row, which is how TFLite computes them."""

import keras
from keras import layers

TWINS = {
    layers.Conv1D: layers.Conv2D,
    layers.Conv1DTranspose: layers.Conv2DTranspose,
    layers.DepthwiseConv1D: layers.DepthwiseConv2D,
    layers.SeparableConv1D: layers.SeparableConv2D,
    layers.AveragePooling1D: layers.AveragePooling2D,
    layers.MaxPooling1D: layers.MaxPooling2D,
    layers.GlobalAveragePooling1D: layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D: layers.GlobalMaxPooling2D,
    layers.ZeroPadding1D: layers.ZeroPadding2D,
    layers.Cropping1D: layers.Cropping2D,
    layers.UpSampling1D: layers.UpSampling2D,
}
ALONG = ("kernel_size", "strides", "dilation_rate", "pool_size", "size", "output_padding")


def twin(layer, length):
    """The layer of maps (batch, 1, length, channels) that does what a layer does with sequences, with its weights."""
    given = layer.get_config()
    for name in ALONG:
        if given.get(name) is not None:
            given[name] = (1, *(given[name] if isinstance(given[name], (list, tuple)) else (given[name],)))
    for name in ("padding", "cropping"):
        if name in given and not isinstance(given[name], str):
            given[name] = ((0, 0), tuple(given[name]))
    if given.get("padding") == "causal":
        given["padding"] = "valid"  # after `causal_padding`
    made = TWINS[type(layer)].from_config({**given, "dtype": "float32"})
    made.build((None, 1, length, layer.input.shape[-1]) if layer.weights else (None, 1, length, 1))
    for weight, of in zip(made.weights, layer.weights, strict=True):
        weight.assign(keras.ops.reshape(of, weight.shape))
    made.trainable = layer.trainable
    return made


def causal_padding(layer):
    """How many zeros come before the sequence."""
    if getattr(layer, "padding", None) != "causal":
        return 0
    return layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
