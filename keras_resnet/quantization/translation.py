"""A Keras model taken apart: each layer translated into the steps that TFLite will run, nested models inlined.

What can be quantized is what `TRANSLATIONS` and `operations.OPERATIONS` list; everything else is refused by name.
"""

import collections
import dataclasses
import functools
import itertools
import re

import keras
import numpy as np
from keras import layers
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer  # no public name has it

from keras_resnet.quantization import operations, sequences
from keras_resnet.quantization.fake_quantization import (
    Lookup,
    Nearest,
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    QuantizedPReLU,
)

# TFLite's kernels demand these output scales: 1/256 and 1/128.
FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}


SHOWN = 12  # kinds of layers in a message


# Kinds of steps whose output has the range of its inputs.
INHERITING = ("same", "largest", "average", "between", "concatenate")
# Kinds whose operator takes a ReLU.
FUSING = ("linear", "join", "average")


@dataclasses.dataclass
class Step:
    """One operator of the quantized network.

    Attributes:
        kind: `linear` (convolution or dense), `affine` (a scale and an offset for each channel), `activation`, `join`
            (of several inputs), `same` (keeps its input's values), `largest` (keeps some of them: a ReLU may as well
            come first), `average` and `between` (keep their input's range, but round), `concatenate`, `mean` (whose
            range must fit its input's: `ranges.untied`), `own` (has its own range).
        name: of the layer it came from.
        inputs, output: keys of tensors.
        make: function without arguments that makes the layer; for `linear` it takes `activation`.
        kernel, bias: float arrays of a `linear` step; scale and offset of an `affine` one.
        activation: what is fused into it: `relu`, `relu6` or None.
        options: those of its layer that say how it is learned, among others.
        scaled: function of a `linear` step's kernel and a factor for each channel of its output.
        norm: the `BatchNormalization` that an `affine` step is, or that stays behind a `linear` one.
        shared: the layer of the original of which this is one call of several, or None.
        fixed: the range (low, high) that TFLite demands of its output, or None.
        shape: of the output of an `affine` step, without the batch; of a `same` one that leaves channels alone, so that
            what works on each may as well come before it, of its input.
        weights: arrays of what it makes that has others than a kernel and a bias, or None.
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
    options: dict = dataclasses.field(default_factory=dict)
    scaled: object = None
    norm: object = None
    shared: object = None
    fixed: tuple | None = None
    shape: tuple = ()
    weights: list | None = None
    ends: str = ""

    def __post_init__(self):
        self.ends = self.ends or self.name


def nodes(model):
    """Yields the nodes of a functional model in the order of computation, its inputs left out."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def is_float(tensor):
    """Whether a tensor is rounded; integers are numbers of a table's rows."""
    return keras.backend.is_float_dtype(tensor.dtype)


def call(node, values):
    """What a node's operation makes of values, a dict by the id of its tensors, where a network answers."""
    arguments, keywords = node.arguments.fill_in(values)
    if type(node.operation) in AUGMENTING:  # they take it that they train
        keywords["training"] = False
    return node.operation(*arguments, **keywords)


def functional(model):
    """The functional model that a model is, or holds.

    Raises:
        ValueError: it is none, or not built.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"expected a keras.Model, got {type(model).__name__}")
    if isinstance(model, keras.Sequential) and model._functional is None:
        raise ValueError(f"model {model.name} is not built: begin it with keras.Input(shape)")
    model = model._functional if isinstance(model, keras.Sequential) else model
    if not hasattr(model, "_nodes_by_depth"):
        raise ValueError(
            f"model {model.name} of type {type(model).__name__} has no graph; build it as keras.Model(inputs, outputs) "
            "of layers that are called in the open"
        )
    return model


def calls(model):
    """Yields the layers of a functional model, nested ones' too, once for each time they are called."""
    for node in nodes(model):
        if isinstance(node.operation, keras.Model):
            yield from calls(functional(node.operation))
        else:
            yield node.operation


def values(model, inputs):
    """Yields (name, output) of each layer of a functional model, nested ones' too; returns the model's outputs."""
    made = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in nodes(model):
        if isinstance(node.operation, keras.Model):
            outputs = yield from values(functional(node.operation), [made[id(t)] for t in node.input_tensors])
        else:
            outputs = keras.tree.flatten(call(node, made))
            yield node.operation.name, outputs[0]
        made.update(zip(map(id, node.output_tensors), outputs, strict=True))
    return [made[id(t)] for t in model.outputs]


def widths(weight_bits):
    """Regular expression of layers' names -> bits of their weights."""
    return weight_bits if isinstance(weight_bits, dict) else {".*": weight_bits}


class Graph:
    """A functional model, nested ones included, as steps.

    Attributes:
        made: list of (layer's name, key of its output).
    """

    def __init__(self, model, input_ranges, weight_bits=8, learn_ranges=False, learn_norms=False):
        self.keys = itertools.count()
        self.widths, self.learns, self.learn_norms = widths(weight_bits), learn_ranges, learn_norms
        self.steps, self.made = [], []
        self.calls, self.names, self.twins = collections.Counter(calls(model)), set(), {}
        self.taken = {layer.name for layer in self.calls}
        self.inputs = [next(self.keys) for _ in model.inputs]
        self.input_ranges = dict(zip(self.inputs, input_ranges, strict=True))
        self.outputs = self._walk(model, self.inputs)

    def _walk(self, model, inputs):
        tensors = dict(zip(map(id, model.inputs), inputs, strict=True))
        for node in nodes(model):
            keys = [tensors[id(t)] for t in node.input_tensors]
            if isinstance(node.operation, keras.Model):
                made = self._walk(functional(node.operation), keys)
            else:
                made = [self._translate(node, keys)]
                self.made.append((node.operation.name, made[0]))
            tensors.update(zip(map(id, node.output_tensors), made, strict=True))
        return [tensors[id(t)] for t in model.outputs]

    def _translate(self, node, keys):
        layer = operations.as_layer(node)
        if type(layer) not in (*TRANSLATIONS, *sequences.TWINS):
            raise ValueError(
                f"layer {layer.name} of type {type(layer).__name__} can't be quantized; replace it by layers that can: "
                f"{', '.join(kind.__name__ for kind in [*TRANSLATIONS][:SHOWN])}, … (TRANSLATIONS of {__name__})"
            )
        given = node.arguments.args[:1] or node.arguments.kwargs.get("inputs")
        if layer is node.operation and len(node.input_tensors) > len(keras.tree.flatten(given)):
            raise ValueError(f"layer {layer.name}: it is given more than its input (a mask?); TFLite knows no such")
        of_numbers = type(layer) in (layers.Embedding, operations.Slice)
        if not of_numbers and not all(is_float(tensor) for tensor in node.input_tensors):
            raise ValueError(
                f"layer {layer.name}: it is given integers; an Embedding and parts of them can take them: give floats"
            )
        if type(layer) in sequences.TWINS:
            return self._in_a_row(layer, keys, node)
        return TRANSLATIONS[type(layer)](self, layer, keys, node)

    def _in_a_row(self, layer, keys, node):
        """Translates a layer of sequences as that of maps of one row."""
        _channels_last(layer)
        given, made = node.input_tensors[0].shape[1:], node.output_tensors[0].shape[1:]
        if layer not in self.twins:
            self.twins[layer] = sequences.twin(layer, given[0])
            self.calls[self.twins[layer]] = self.calls[layer]
        row = keras.Input((1, *given))
        key = self.reshape(f"{layer.name}_row", keys[0], (1, *given))
        if zeros := sequences.causal_padding(layer):
            pad = layers.ZeroPadding2D(((0, 0), (zeros, 0)), name=f"{layer.name}_pad")
            key, row = _kept("same")(self, pad, [key], None), pad(row)
        (of_maps,) = (outputs := self.twins[layer](row))._keras_history.operation._inbound_nodes[-1:]
        key = TRANSLATIONS[type(self.twins[layer])](self, self.twins[layer], [key], of_maps)
        return key if len(outputs.shape) == 2 else self.reshape(f"{layer.name}_flat", key, made, outputs.shape[1:])

    def reshape(self, name, key, shape, given=()):
        """Adds a reshape to (…, length, channels), where the length may be None; `given` as `Step.shape`."""
        name, shape = self.unique(name), tuple(-1 if n is None else n for n in shape)
        return self.add("same", name, [key], make=lambda: layers.Reshape(shape, name=name), shape=given)

    def unique(self, name):
        """A name for a step: a layer's own, with a number where it is called again."""
        numbered = (f"{name}_{i}" for i in itertools.count(2))
        others = self.names | self.taken
        chosen = name if name not in self.names else next(other for other in numbered if other not in others)
        self.names.add(chosen)
        return chosen

    def fixed(self):
        """Tensor -> the range that it must have, or None."""
        fixed, kinds = dict(self.input_ranges), {}
        for step in self.steps:
            # A ReLU behind an average becomes one operator with it.
            inherits = step.kind in INHERITING or (step.activation and kinds.get(step.inputs[0]) == "average")
            fixed[step.output] = fixed[step.inputs[0]] if inherits else step.fixed
            kinds[step.output] = step.kind
        return fixed

    def rounding(self, layer):
        """How the kernel of a layer is rounded: arguments of a layer of `fake_quantization`."""
        bits = [bits for pattern, bits in self.widths.items() if re.fullmatch(pattern, layer.name)]
        return {"weight_bits": (bits or [8])[0], "learns": self.learns, "trainable": layer.trainable}

    def shared(self, layer):
        """The layer, where it is called more than once."""
        return layer if self.calls[layer] > 1 else None

    def add(self, kind, name, inputs, **fields):
        """Adds a step and returns its output's key."""
        self.steps.append(Step(kind, name, list(inputs), next(self.keys), **fields))
        return self.steps[-1].output

    def activate(self, key, activation, name, shape):
        """Adds an activation, a function's name, of an output of some shape; returns the key of its output."""
        if activation == "linear":
            return key
        if activation == "hard_sigmoid":  # relu6(x + 3) / 6
            key = _affine(self, f"{name}_shift", [key], 1.0, 3.0, shape)
            key = self.activate(key, "relu6", f"{name}_relu6", shape)
            return _affine(self, name, [key], 1 / 6, 0.0, shape)
        name = self.unique(name)
        if activation in ("silu", "swish"):
            gate = self.activate(key, "sigmoid", f"{name}_gate", shape)
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
            "activation",
            name,
            [key],
            make=lambda: layers.Activation(activation, name=name),
            fixed=FIXED_RANGES.get(activation),
        )


ACTIVATIONS = ("linear", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "swish", "hard_silu", "hard_swish",
               "hard_sigmoid", "softmax", "gelu")  # fmt: skip


def array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def _channels_last(layer):
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ValueError(f"layer {layer.name}: data_format={layer.data_format}; TFLite wants channels_last")


def _linear(graph, layer, inputs, node, kind, kernel, bias, **options):
    """A step with a kernel, and its activation."""
    _channels_last(layer)
    if graph.shared(layer) and graph.fixed()[inputs[0]]:  # its other inputs may need another
        inputs = [_affine(graph, f"{layer.name}_input", inputs, 1.0, 0.0, node.input_tensors[0].shape[1:])]
    name = graph.unique(layer.name)
    options = {**graph.rounding(layer), **options, "name": name}

    def make(activation):
        return kind(**options, activation=activation)

    channels = node.output_tensors[0].shape[-1]
    bias = np.zeros(channels, np.float32) if bias is None else array(bias)
    fields = {"make": make, "kernel": kernel, "bias": bias, "scaled": kind.scaled, "options": options}
    fields |= {"shared": graph.shared(layer)}
    key = graph.add("linear", name, inputs, **fields)
    return graph.activate(key, _name(layer.activation), f"{layer.name}_activation", node.output_tensors[0].shape[1:])


def _options(layer, *names):
    """Those of a layer's options, and how it is learned."""
    given = layer.get_config()
    learning = ("_regularizer", "_constraint")
    return {name: value for name, value in given.items() if name in names or (value and name.endswith(learning))}


GEOMETRY = ("kernel_size", "strides", "padding", "dilation_rate")


def _convolution(graph, layer, inputs, node):
    options = _options(layer, "filters", "groups", *GEOMETRY)
    return _linear(graph, layer, inputs, node, QuantizedConv2D, array(layer.kernel), layer.bias, **options)


def _depthwise(graph, layer, inputs, node):
    options = _options(layer, "depth_multiplier", *GEOMETRY)
    given = (QuantizedDepthwiseConv2D, array(layer.kernel), layer.bias)
    return _linear(graph, layer, inputs, node, *given, **options)


def _transposed(graph, layer, inputs, node):
    if any(n != 1 for n in np.atleast_1d(layer.dilation_rate)) or layer.output_padding is not None:
        raise ValueError(f"layer {layer.name}: TFLite has Conv2DTranspose without dilation and output_padding")
    options = _options(layer, "filters", "kernel_size", "strides", "padding")
    given = (QuantizedConv2DTranspose, array(layer.kernel), layer.bias)
    return _linear(graph, layer, inputs, node, *given, **options, weight_bits=8)  # LiteRT has no kernel for fewer


def _separable(graph, layer, inputs, node):
    kernel, name = array(layer.depthwise_kernel), graph.unique(f"{layer.name}_depthwise")
    if graph.shared(layer):
        raise ValueError(f"layer {layer.name} is called more than once; write it as DepthwiseConv2D and Conv2D")

    given, learned = _options(layer, "depth_multiplier", *GEOMETRY), {"trainable": layer.trainable}
    learned |= {name.replace("pointwise", "kernel"): given.pop(name) for name in list(given) if "pointwise" in name}
    learned |= {name: given.pop(name) for name in list(given) if name.startswith(("bias_", "activity_"))}
    options = {**given, **graph.rounding(layer), "name": name}

    def make(activation):
        return QuantizedDepthwiseConv2D(**options, activation=activation)

    zeros = np.zeros(kernel.shape[2] * kernel.shape[3], np.float32)
    scaled = QuantizedDepthwiseConv2D.scaled
    key = graph.add("linear", name, inputs, make=make, kernel=kernel, bias=zeros, scaled=scaled)
    given = (QuantizedConv2D, array(layer.pointwise_kernel), layer.bias)
    return _linear(graph, layer, [key], node, *given, filters=layer.filters, kernel_size=1, **learned)


def _dense(graph, layer, inputs, node):
    given = (QuantizedDense, array(layer.kernel), layer.bias)
    return _linear(graph, layer, inputs, node, *given, **_options(layer, "units"))


def _last_axis(layer, axes, rank):
    """Refuses a layer that works along other axes than the last one."""
    if any(axis not in (-1, rank - 1) for axis in axes):
        raise ValueError(f"layer {layer.name}: axis={layer.axis}; int8 kernels work along the last one: permute before")


def _affine(graph, name, inputs, scale, offset, shape, trainable=False, norm=None):
    """A scale and an offset for each channel: folded into what comes before, or a 1x1 depthwise convolution."""
    scale, offset = (np.broadcast_to(np.asarray(v, np.float32).ravel(), shape[-1]).copy() for v in (scale, offset))
    name = graph.unique(name)

    def make(activation):
        options = {"learns": graph.learns, "trainable": trainable, "name": name}
        return QuantizedDepthwiseConv2D(1, activation=activation, **options)

    return graph.add("affine", name, inputs, make=make, kernel=scale, bias=offset, shape=tuple(shape), norm=norm)


def _batch_normalization(graph, layer, inputs, node):
    shape = node.output_tensors[0].shape
    _last_axis(layer, [layer.axis], len(shape))
    scale = (array(layer.gamma) if layer.scale else 1.0) / np.sqrt(array(layer.moving_variance) + layer.epsilon)
    offset = (array(layer.beta) if layer.center else 0.0) - array(layer.moving_mean) * scale
    return _affine(graph, layer.name, inputs, scale, offset, shape[1:], layer.trainable, norm=layer)


def _rescaling(graph, layer, inputs, node):
    return _affine(graph, layer.name, inputs, layer.scale, layer.offset, node.output_tensors[0].shape[1:])


def _normalization(graph, layer, inputs, node):
    shape = node.output_tensors[0].shape
    _last_axis(layer, layer.axis, len(shape))
    deviation, mean = np.maximum(np.sqrt(array(layer.variance)), keras.config.epsilon()), array(layer.mean)
    scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    return _affine(graph, layer.name, inputs, scale, offset, shape[1:])


def _relu(graph, layer, inputs, node):
    limit, shape = layer.max_value, node.output_tensors[0].shape[1:]
    if layer.threshold or (limit is not None and (layer.negative_slope or limit <= 0)):
        raise ValueError(f"layer {layer.name}: TFLite has ReLU without a threshold, and LeakyReLU without a maximum")
    if layer.negative_slope:
        leaky = layers.LeakyReLU(layer.negative_slope, name=layer.name)
        return _kept("activation")(graph, leaky, inputs, node)
    if limit in (None, 6):
        return graph.activate(inputs[0], "relu6" if limit else "relu", layer.name, shape)
    key = _affine(graph, f"{layer.name}_to_6", inputs, 6 / limit, 0.0, shape)
    key = graph.activate(key, "relu6", f"{layer.name}_relu6", shape)
    return _affine(graph, layer.name, [key], limit / 6, 0.0, shape)


def _prelu(graph, layer, inputs, node):
    name, options = graph.unique(layer.name), _options(layer, "shared_axes")
    options |= {"trainable": layer.trainable, "name": name}
    make = functools.partial(QuantizedPReLU, **options)
    return graph.add("own", name, inputs, make=make, weights=[array(layer.alpha)], shared=graph.shared(layer))


def _embedding(graph, layer, inputs, node):
    if layer.mask_zero:
        raise ValueError(f"layer {layer.name}: mask_zero=True, but TFLite knows no masks; leave it out")
    if is_float(node.input_tensors[0]):
        raise ValueError(
            f'layer {layer.name}: its numbers come as floats; begin with keras.Input(shape, dtype="int32")'
        )
    name, options = graph.unique(layer.name), _options(layer, "input_dim", "output_dim")
    make = functools.partial(Lookup, **options, trainable=layer.trainable, name=name)
    return graph.add("own", name, inputs, make=make, weights=[array(layer.embeddings)], shared=graph.shared(layer))


def _function(graph, layer, inputs, node):
    return graph.activate(inputs[0], _name(layer.activation), layer.name, node.output_tensors[0].shape[1:])


def _softmax(graph, layer, inputs, node):
    shape = node.output_tensors[0].shape
    _last_axis(layer, np.atleast_1d(layer.axis), len(shape))
    return graph.activate(inputs[0], "softmax", layer.name, shape[1:])


def _again(layer, name):
    """The same layer without weights, as float32, under another name."""
    return type(layer).from_config({**layer.get_config(), "dtype": "float32", "name": name})


def _kept(kind):
    """Translates a layer into a step that makes the same layer again."""

    def translate(graph, layer, inputs, node):
        name = graph.unique(layer.name)
        return graph.add(kind, name, inputs, make=lambda: _again(layer, name))

    return translate


def _chain(kind):
    """Translates a layer of two or more inputs into steps of two: TFLite's operators have no more."""

    def translate(graph, layer, inputs, node):
        if kind == "same":
            inputs = _apart(graph, layer.name, inputs, node)
        key, name = inputs[0], graph.unique(layer.name)
        for i, other in enumerate(inputs[1:], 2):
            step = name if i == len(inputs) else f"{name}_of_{i}"
            key = graph.add(kind, step, [key, other], make=lambda step=step: _again(layer, step))
        return key

    return translate


def _average(graph, layer, inputs, node):
    total = _chain("join")(graph, layers.Add(name=f"{layer.name}_sum"), inputs, node)
    return _affine(graph, layer.name, [total], 1 / len(inputs), 0.0, node.output_tensors[0].shape[1:])


def _apart(graph, name, inputs, node):
    """Scales over those inputs of a step with one range for all whose range is fixed, where others' is another.

    A 1x1 depthwise convolution with ones does that; two ranges one after the other would be merged by the converter.
    """
    fixed = graph.fixed()
    if len({fixed.get(key) for key in inputs}) == 1:
        return inputs
    shapes = [tensor.shape[1:] for tensor in node.input_tensors]
    return [
        _affine(graph, f"{name}_input{i}", [key], 1.0, 0.0, shapes[i]) if fixed.get(key) else key
        for i, key in enumerate(inputs)
    ]


def _scaled_residual(graph, layer, inputs, node):
    """`x + scale * y`."""
    key = _affine(graph, f"{layer.name}_scale", inputs[1:], layer.scale, 0.0, node.output_tensors[0].shape[1:])
    return _chain("join")(graph, layers.Add(name=layer.name), [inputs[0], key], node)


def _concatenate(graph, layer, inputs, node):
    if len(inputs) == 1:
        return inputs[0]
    return _kept("concatenate")(graph, layer, _apart(graph, layer.name, inputs, node), node)


def _nothing(graph, layer, inputs, node):
    """Layers that do nothing when a network answers. Dropout would disturb the ranges of a short training."""
    return inputs[0]


def _resized(graph, layer, inputs, node):
    """One operator each; Keras' own nearest neighbour is a repetition, and becomes several."""
    _channels_last(layer)
    given = layer.get_config()
    odd = [name for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias") if given.get(name)]
    if odd or layer.interpolation not in ("nearest", "bilinear"):
        raise ValueError(f"layer {layer.name}: TFLite resizes by nearest or bilinear interpolation alone")
    height, width = node.output_tensors[0].shape[1:3]
    if height is None or width is None:
        raise ValueError(f"layer {layer.name}: it resizes maps of any size; give the model's input a size")
    name = graph.unique(layer.name)
    kind = "same" if layer.interpolation == "nearest" else "between"

    def make():
        kind_of_layer = Nearest if kind == "same" else layers.Resizing
        return kind_of_layer(height, width, interpolation=layer.interpolation, dtype="float32", name=name)

    return graph.add(kind, name, inputs, make=make)


# What changes pictures in training alone; a random crop cuts afterwards, too.
AUGMENTING = [kind for name, kind in vars(layers).items() if name.startswith("Random") and name != "RandomCrop"]


def _name(activation):
    return getattr(activation, "__name__", str(activation))


TRANSLATIONS = {
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Dense: _dense,
    layers.Embedding: _embedding,
    layers.BatchNormalization: _batch_normalization,
    layers.Rescaling: _rescaling,
    layers.Normalization: _normalization,
    layers.ReLU: _relu,
    layers.LeakyReLU: _kept("activation"),
    layers.PReLU: _prelu,
    layers.Activation: _function,
    layers.Softmax: _softmax,
    layers.Add: _chain("join"),
    layers.Subtract: _kept("join"),
    layers.Multiply: _chain("join"),
    layers.Average: _average,
    CustomScaleLayer: _scaled_residual,
    layers.Maximum: _chain("same"),
    layers.Minimum: _chain("same"),
    layers.Concatenate: _concatenate,
    layers.GlobalAveragePooling2D: _kept("mean"),
    layers.GlobalMaxPooling2D: _kept("same"),
    layers.AveragePooling2D: _kept("average"),
    layers.MaxPooling2D: _kept("largest"),
    layers.ZeroPadding2D: _kept("same"),
    layers.Cropping2D: _kept("same"),
    layers.UpSampling2D: _resized,
    layers.Resizing: _resized,
    layers.Flatten: _kept("same"),
    layers.Reshape: _kept("same"),
    layers.Permute: _kept("same"),
    operations.Slice: _kept("same"),
    layers.Dropout: _nothing,
    layers.SpatialDropout1D: _nothing,
    layers.SpatialDropout2D: _nothing,
    layers.GaussianNoise: _nothing,
    layers.GaussianDropout: _nothing,
    layers.Identity: _nothing,
    **dict.fromkeys(AUGMENTING, _nothing),
}
