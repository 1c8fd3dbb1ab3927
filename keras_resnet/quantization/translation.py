"""A Keras model taken apart: each layer translated into the steps that TFLite will run, nested models inlined.

What can be quantized is what `TRANSLATIONS` lists; everything else is refused by name.
"""

import dataclasses
import itertools

import keras
import numpy as np
from keras import layers

from keras_resnet.quantization.fake_quantization import QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D

# TFLite's kernels demand these output scales: 1/256 and 1/128.
FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}


@dataclasses.dataclass
class Step:
    """One operator of the quantized network.

    Attributes:
        kind: `linear` (convolution or dense), `affine` (a scale and an offset for each channel), `activation`, `join`
            (of several inputs), `same` (keeps its input's range), `concatenate`, `own` (has a range of its own).
        name: of the layer it came from.
        inputs, output: keys of tensors.
        make: function without arguments that makes the layer; for `linear` it takes `activation`.
        kernel, bias: float arrays of a `linear` step; scale and offset of an `affine` one.
        activation: what is fused into it: `relu`, `relu6` or None.
        fixed: the range (low, high) that TFLite demands of its output, or None.
        ends: name of the last layer that is fused into it, whose output is its output.
    """

    kind: str
    name: str
    inputs: list
    output: int
    make: object = None
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    activation: str | None = None
    fixed: tuple | None = None
    ends: str = ""

    def __post_init__(self):
        self.ends = self.ends or self.name


def nodes(model):
    """Yields the nodes of a functional model in the order of computation, its inputs left out."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


class Graph:
    """A functional model, nested ones included, as steps."""

    def __init__(self, model, weight_bits):
        self.keys = itertools.count()
        self.weight_bits = weight_bits
        self.steps, self.seen = [], []
        self.inputs = [next(self.keys) for _ in model.inputs]
        self.outputs = self._walk(model, self.inputs)

    def _walk(self, model, inputs):
        functional = model._functional if isinstance(model, keras.Sequential) else model
        tensors = dict(zip(map(id, functional.inputs), inputs, strict=True))
        for node in nodes(functional):
            keys = [tensors[id(t)] for t in node.input_tensors]
            if isinstance(node.operation, keras.Model):
                made = self._walk(node.operation, keys)
            else:
                made = [self._translate(node.operation, keys, node.output_tensors[0])]
            tensors.update(zip(map(id, node.output_tensors), made, strict=True))
        return [tensors[id(t)] for t in functional.outputs]

    def _translate(self, layer, inputs, output):
        if layer in self.seen:
            raise ValueError(
                f"layer {layer.name} is called twice; give each call a layer of its own to quantize this model"
            )
        self.seen.append(layer)
        translate = next((t for kind, t in TRANSLATIONS.items() if type(layer) is kind), None)
        if translate is None:
            known = ", ".join(kind.__name__ for kind in TRANSLATIONS)
            raise ValueError(
                f"layer {layer.name} of type {type(layer).__name__} can't be quantized; "
                f"replace it by layers that can: {known}"
            )
        return translate(self, layer, inputs, output)

    def add(self, kind, name, inputs, **fields):
        """Adds a step and returns its output's key."""
        self.steps.append(Step(kind, name, list(inputs), next(self.keys), **fields))
        return self.steps[-1].output

    def activate(self, key, activation, name):
        """Adds an activation, a function's name, and returns the key of its output."""
        if activation == "linear":
            return key
        if activation in ("silu", "swish"):
            gate = self.add(
                "activation",
                f"{name}_gate",
                [key],
                make=_activation("sigmoid", f"{name}_gate"),
                fixed=FIXED_RANGES["sigmoid"],
            )
            return self.add("join", name, [key, gate], make=lambda: layers.Multiply(name=name))
        if activation in ("relu", "relu6"):
            return self.add(
                "activation",
                name,
                [key],
                make=lambda: layers.ReLU(6.0 if activation == "relu6" else None, name=name),
                activation=activation,
            )
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"layer {name}: activation {activation} has no int8 kernel in TFLite; "
                f"use one of {', '.join(ACTIVATIONS)}"
            )
        return self.add(
            "activation", name, [key], make=_activation(activation, name), fixed=FIXED_RANGES.get(activation)
        )


ACTIVATIONS = ("linear", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "swish", "hard_silu", "hard_swish",
               "softmax", "elu", "gelu")  # fmt: skip


def _activation(function, name):
    return lambda: layers.Activation(function, name=name)


def array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def _convolution(graph, layer, inputs, output):
    config, name = layer.get_config(), layer.name
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    if layer.data_format != "channels_last":
        raise ValueError(f"layer {name}: data_format={layer.data_format}; TFLite wants channels_last")
    if getattr(layer, "groups", 1) != 1:
        raise ValueError(f"layer {name}: groups={layer.groups} has no int8 kernel in TFLite; use groups=1")
    kernel = array(layer.kernel)
    channels = output.shape[-1]
    bias = array(layer.bias) if layer.use_bias else np.zeros(channels, np.float32)
    geometry = {k: config[k] for k in ("kernel_size", "strides", "padding", "dilation_rate")}
    size = {"depth_multiplier": layer.depth_multiplier} if depthwise else {"filters": layer.filters}
    kind = QuantizedDepthwiseConv2D if depthwise else QuantizedConv2D

    def make(activation):
        return kind(**size, **geometry, activation=activation, weight_bits=graph.weight_bits, name=name)

    key = graph.add("linear", name, inputs, make=make, kernel=kernel, bias=bias)
    return graph.activate(key, _name(layer.activation), f"{name}_activation")


def _separable(graph, layer, inputs, output):
    kernel = array(layer.depthwise_kernel)
    geometry = {k: layer.get_config()[k] for k in ("kernel_size", "strides", "padding", "dilation_rate")}

    def depthwise(activation):
        return QuantizedDepthwiseConv2D(
            **geometry, depth_multiplier=layer.depth_multiplier, activation=activation,
            weight_bits=graph.weight_bits, name=f"{layer.name}_depthwise",
        )  # fmt: skip

    def pointwise(activation):
        return QuantizedConv2D(layer.filters, 1, activation=activation, weight_bits=graph.weight_bits, name=layer.name)

    zeros = np.zeros(kernel.shape[2] * kernel.shape[3], np.float32)
    key = graph.add("linear", f"{layer.name}_depthwise", inputs, make=depthwise, kernel=kernel, bias=zeros)
    bias = array(layer.bias) if layer.use_bias else np.zeros(layer.filters, np.float32)
    key = graph.add("linear", layer.name, [key], make=pointwise, kernel=array(layer.pointwise_kernel), bias=bias)
    return graph.activate(key, _name(layer.activation), f"{layer.name}_activation")


def _dense(graph, layer, inputs, output):
    def make(activation):
        return QuantizedDense(layer.units, activation=activation, weight_bits=graph.weight_bits, name=layer.name)

    bias = array(layer.bias) if layer.use_bias else np.zeros(layer.units, np.float32)
    key = graph.add("linear", layer.name, inputs, make=make, kernel=array(layer.kernel), bias=bias)
    return graph.activate(key, _name(layer.activation), f"{layer.name}_activation")


def _affine(graph, name, inputs, scale, offset, channels, rank=4):
    """A scale and an offset for each channel: folded into what comes before, or a 1x1 depthwise convolution."""
    if rank != 4:
        raise ValueError(f"layer {name}: a norm or scaling of vectors with no dense layer before it; put one before it")
    scale, offset = (np.broadcast_to(np.asarray(v, np.float32).ravel(), channels).copy() for v in (scale, offset))

    def make(activation):
        return QuantizedDepthwiseConv2D(1, activation=activation, weight_bits=graph.weight_bits, name=name)

    return graph.add("affine", name, inputs, make=make, kernel=scale, bias=offset)


def _batch_normalization(graph, layer, inputs, output):
    scale = (array(layer.gamma) if layer.scale else 1.0) / np.sqrt(array(layer.moving_variance) + layer.epsilon)
    offset = (array(layer.beta) if layer.center else 0.0) - array(layer.moving_mean) * scale
    return _affine(graph, layer.name, inputs, scale, offset, output.shape[-1], len(output.shape))


def _rescaling(graph, layer, inputs, output):
    return _affine(graph, layer.name, inputs, layer.scale, layer.offset, output.shape[-1], len(output.shape))


def _normalization(graph, layer, inputs, output):
    deviation = np.maximum(np.sqrt(array(layer.variance)), keras.config.epsilon())
    return _affine(
        graph, layer.name, inputs, 1 / deviation, -array(layer.mean) / deviation, output.shape[-1], len(output.shape)
    )


def _relu(graph, layer, inputs, output):
    if layer.threshold or layer.max_value not in (None, 6):
        raise ValueError(f"layer {layer.name}: TFLite has ReLU with a maximum of 6 or none, and no threshold")
    if layer.negative_slope:
        leaky = layers.LeakyReLU(layer.negative_slope, name=layer.name)
        return _kept("activation")(graph, leaky, inputs, output)
    return graph.activate(inputs[0], "relu6" if layer.max_value == 6 else "relu", layer.name)


def _function(graph, layer, inputs, output):
    return graph.activate(inputs[0], _name(layer.activation), layer.name)


def _softmax(graph, layer, inputs, output):
    return graph.activate(inputs[0], "softmax", layer.name)


def _kept(kind):
    """Translates a layer into a step that makes the same layer again."""

    def translate(graph, layer, inputs, output):
        config = {**layer.get_config(), "dtype": "float32"}
        return graph.add(kind, layer.name, inputs, make=lambda: type(layer).from_config(config))

    return translate


def _concatenate(graph, layer, inputs, output):
    """A concatenation has one range. A fixed one among others would become that of all, and is scaled over first.

    A 1x1 depthwise convolution with ones does that; two ranges one after the other would be merged by the converter.
    """
    fixed = dict.fromkeys(graph.inputs, "input")
    for step in graph.steps:
        inherits = step.kind in ("same", "concatenate")
        fixed[step.output] = fixed[step.inputs[0]] if inherits else step.fixed
    if len({fixed.get(key) for key in inputs}) > 1:
        channels = [tensor.shape[-1] for tensor in layer.input]
        inputs = [
            _affine(graph, f"{layer.name}_input{i}", [key], 1.0, 0.0, channels[i]) if fixed.get(key) else key
            for i, key in enumerate(inputs)
        ]
    return _kept("concatenate")(graph, layer, inputs, output)


def _nothing(graph, layer, inputs, output):
    """Layers that do nothing when a network answers. Dropout would disturb the ranges of a short training."""
    return inputs[0]


def _upsampling(graph, layer, inputs, output):
    return _kept("same" if layer.interpolation == "nearest" else "own")(graph, layer, inputs, output)


def _name(activation):
    return getattr(activation, "__name__", str(activation))


TRANSLATIONS = {
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.SeparableConv2D: _separable,
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_normalization,
    layers.Rescaling: _rescaling,
    layers.Normalization: _normalization,
    layers.ReLU: _relu,
    layers.LeakyReLU: _kept("activation"),
    layers.ELU: _kept("activation"),
    layers.Activation: _function,
    layers.Softmax: _softmax,
    layers.Add: _kept("join"),
    layers.Subtract: _kept("join"),
    layers.Multiply: _kept("join"),
    layers.Concatenate: _concatenate,
    layers.GlobalAveragePooling2D: _kept("own"),
    layers.GlobalMaxPooling2D: _kept("same"),
    layers.AveragePooling2D: _kept("same"),
    layers.MaxPooling2D: _kept("same"),
    layers.ZeroPadding2D: _kept("same"),
    layers.Cropping2D: _kept("same"),
    layers.UpSampling2D: _upsampling,
    layers.Flatten: _kept("same"),
    layers.Reshape: _kept("same"),
    layers.Permute: _kept("same"),
    layers.Dropout: _nothing,
    layers.SpatialDropout2D: _nothing,
    layers.GaussianNoise: _nothing,
    layers.GaussianDropout: _nothing,
    layers.Identity: _nothing,
}
