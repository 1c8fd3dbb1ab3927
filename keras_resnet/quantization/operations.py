"""Keras operations (`x + y`, `keras.ops.mean`), each as the layer that does the same."""

import math

import keras
import numpy as np
from keras import layers


def as_layer(node):
    """The layer that does what a node of a functional model does: its own, where it is one.

    Raises:
        ValueError: none does; the operation is named.
    """
    operation = node.operation
    if isinstance(operation, keras.Layer):
        return operation
    make = OPERATIONS.get(type(operation).__name__)
    layer = make and make(operation, *node.arguments.args, **node.arguments.kwargs)
    if layer is None:
        raise ValueError(
            f"operation {operation.name} of type {type(operation).__name__}, as it is used here, has no int8 form; "
            f"use layers, or {', '.join(OPERATIONS)}"
        )
    layer.name = operation.name
    return layer


def _is_tensor(x):
    return isinstance(x, keras.KerasTensor)


def _join(kind):
    """Of two tensors of one rank: layers would broadcast others in their own way."""
    return lambda x, y: kind() if _is_tensor(x) and _is_tensor(y) and len(x.shape) == len(y.shape) else None


def _rescaling(tensor, scale, offset):
    """For one number or one for each channel."""
    scale, offset = (np.asarray(keras.ops.convert_to_numpy(v), np.float32) for v in (scale, offset))
    if any(v.size not in (1, tensor.shape[-1] if v.ndim and v.shape[-1] > 1 else 1) for v in (scale, offset)):
        return None
    return layers.Rescaling(scale.ravel().tolist(), offset.ravel().tolist())


def _add(operation, x1, x2):
    if _is_tensor(x1) and _is_tensor(x2):
        return _join(layers.Add)(x1, x2)
    return _rescaling(x1, 1.0, x2) if _is_tensor(x1) else _rescaling(x2, 1.0, x1)


def _subtract(operation, x1, x2):
    if _is_tensor(x1) and _is_tensor(x2):
        return _join(layers.Subtract)(x1, x2)
    return _rescaling(x1, 1.0, np.negative(x2)) if _is_tensor(x1) else _rescaling(x2, -1.0, x1)


def _multiply(operation, x1, x2):
    if _is_tensor(x1) and _is_tensor(x2):
        return _join(layers.Multiply)(x1, x2)
    return _rescaling(x1, x2, 0.0) if _is_tensor(x1) else _rescaling(x2, x1, 0.0)


def _divide(operation, x1, x2):
    return None if _is_tensor(x2) else _rescaling(x1, 1 / np.asarray(x2, np.float32), 0.0)


def _pooling(kind):
    """Over a map's whole height and width."""

    def make(operation, x):
        axes = sorted(axis % len(x.shape) for axis in operation.axis or [])
        return kind(keepdims=operation.keepdims) if len(x.shape) == 4 and axes == [1, 2] else None

    return make


def _reshape(operation, x):
    """Any that leaves the batch alone."""
    shape = operation.compute_output_spec(x).shape
    if None not in (*shape[1:], *x.shape[1:]) and math.prod(shape[1:]) != math.prod(x.shape[1:]):
        return None  # the batch takes part
    return layers.Reshape([-1 if n is None else n for n in shape[1:]]) if shape[:1] == x.shape[:1] else None


def _transpose(operation, x):
    axes = [axis % len(x.shape) for axis in operation.axes or [len(x.shape) - 1]]
    return layers.Permute(axes[1:]) if axes[0] == 0 else None


def _pad(operation, x, constant_values=None):
    widths = operation.pad_width * (len(x.shape) if len(operation.pad_width) == 1 else 1)
    alone = len(x.shape) == 4 and not any((*widths[0], *widths[3]))
    zeros = operation.mode == "constant" and not constant_values
    return layers.ZeroPadding2D(widths[1:3]) if alone and zeros else None


def _clip(operation, x):
    return layers.ReLU(operation.x_max) if operation.x_min == 0 else None


def _resize(operation, x):
    odd = operation.antialias or operation.crop_to_aspect_ratio or operation.pad_to_aspect_ratio
    height, width = map(int, operation.size)
    return None if odd else layers.Resizing(height, width, interpolation=operation.interpolation)


def _slice(operation, x, key):
    """Of positions; the batch stays whole."""
    keys = key if isinstance(key, (tuple, list)) else (key,)
    return Slice(tuple(keys)) if keys[0] in (slice(None), Ellipsis) else None


@keras.saving.register_keras_serializable("keras_resnet")
class Slice(layers.Layer):
    """`x[key]`."""

    def __init__(self, key, **keywords):
        super().__init__(**keywords)
        self.key = tuple(key)

    def call(self, inputs):
        return inputs[self.key]

    def get_config(self):
        return {**super().get_config(), "key": keras.saving.serialize_keras_object(self.key)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "key": keras.saving.deserialize_keras_object(config["key"])})


def _activation(name):
    return lambda operation, x: layers.Activation(name)


OPERATIONS = {
    "Add": _add,
    "Subtract": _subtract,
    "Multiply": _multiply,
    "Divide": _divide,
    "TrueDivide": _divide,
    "Negative": lambda operation, x: layers.Rescaling(-1.0),
    "Maximum": lambda operation, x1, x2: _join(layers.Maximum)(x1, x2),
    "Minimum": lambda operation, x1, x2: _join(layers.Minimum)(x1, x2),
    "Relu": lambda operation, x: layers.ReLU(),
    "Relu6": lambda operation, x: layers.ReLU(6),
    "LeakyRelu": lambda operation, x: layers.LeakyReLU(operation.negative_slope),
    "Clip": _clip,
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "Silu": _activation("silu"),
    "HardSilu": _activation("hard_silu"),
    "HardSigmoid": _activation("hard_sigmoid"),
    "Softmax": lambda operation, x: layers.Softmax(operation.axis),
    "Concatenate": lambda operation, xs: layers.Concatenate(operation.axis),
    "Mean": _pooling(layers.GlobalAveragePooling2D),
    "Max": _pooling(layers.GlobalMaxPooling2D),
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "ExpandDims": _reshape,
    "Transpose": _transpose,
    "GetItem": _slice,
    "Pad": _pad,
    "Resize": _resize,
    "StopGradient": lambda operation, x: layers.Identity(),
}
