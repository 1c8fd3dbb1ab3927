"""Quantization-aware training for Keras 3: `quantize_aware` makes a convolutional network learn under int8 arithmetic.

The graph is translated into TFLite's steps (`translation`), steps that TFLite runs as one operator are fused
(convolution, norm and ReLU; addition and ReLU), every tensor gets a range, shared where TFLite wants one scale
(`ranges`), and the network is built again of layers that round as TFLite will (`fake_quantization`).
"""

import contextlib
import math

import keras
import numpy as np
from keras import layers

from keras_resnet.networks.weights import broken_weight
from keras_resnet.quantization import pictures, ranges
from keras_resnet.quantization.fake_quantization import FakeQuantize, without_rounding
from keras_resnet.quantization.translation import (
    FUSING,
    INHERITING,
    Graph,
    Step,
    functional,
    scaled_before_last,
    values,
)

CHECKED = 4  # pictures of the first batch with which the new network is held to the float one
# Rewritten rightly, networks are 1e-7 apart, and one of 50 layers 3e-5; wrongly, 0.7 and more.
TOLERANCE = 1e-3
NARROW = 0.1  # where the float one computes in half precision


def _consumers(graph):
    count = dict.fromkeys(graph.outputs, 1)
    for step in graph.steps:
        for key in step.inputs:
            count[key] = count.get(key, 0) + 1
    return count


def _fuse(graph):
    """Folds norms into the convolutions before them, and ReLUs into whatever is before them, as the converter does."""
    _relu_first(graph)
    makers = {step.output: step for step in graph.steps}
    count, kept = _consumers(graph), []
    for step in graph.steps:
        before = makers.get(step.inputs[0])
        alone = before is not None and count[step.inputs[0]] == 1 and before.activation is None
        if step.kind == "affine" and alone and before.kind == "linear" and not before.shared:
            before.kernel = before.scaled(before.kernel, step.kernel)
            before.bias = before.bias * step.kernel + step.bias
            for name in [name for name in before.options if name.endswith(("_regularizer", "_constraint"))]:
                del before.options[name]  # they were of a kernel that is no more
        elif step.kind == "activation" and step.activation and alone and before.kind in FUSING:
            before.activation = step.activation
        else:
            kept += _alone(graph, step) if step.kind == "affine" else [step]
            makers[kept[-1].output] = kept[-1]
            continue
        before.output, before.ends = step.output, step.ends
        makers[step.output] = before
    graph.steps = kept


def _relu_first(graph):
    """Moves ReLUs before the max-pooling that they follow: as one operator behind it, they would have two ranges."""
    makers, count = {step.output: step for step in graph.steps}, _consumers(graph)
    for step in [step for step in graph.steps if step.kind == "activation" and step.activation]:
        while (pool := makers.get(step.inputs[0])) and pool.kind == "largest" and count[pool.output] == 1:
            key = next(graph.keys)
            step.inputs, step.output, pool.inputs, pool.output = pool.inputs, key, [key], step.output
            makers |= {step.output: step, pool.output: pool}
            graph.steps.remove(step)
            graph.steps.insert(graph.steps.index(pool), step)


def _alone(graph, step):
    """The steps of a scale and offset with nothing before it to fold it into; vectors go through a map of one row."""
    step.kind, step.kernel = "linear", step.kernel.reshape(1, 1, -1, 1)
    step.scaled = scaled_before_last
    if len(step.shape) == 3:
        return [step]
    if len(step.shape) > 3:
        raise ValueError(f"layer {step.name}: a norm or scaling of tensors of more than four axes")

    def reshaped(name, given, output, shape):
        return Step("same", name, [given], output, make=lambda: layers.Reshape(shape, name=name))

    row, flat = next(graph.keys), next(graph.keys)
    before = reshaped(f"{step.name}_row", step.inputs[0], row, (1, -1, step.shape[-1]))
    after = reshaped(f"{step.name}_flat", flat, step.output, tuple(-1 if n is None else n for n in step.shape))
    step.inputs, step.output = [row], flat
    return [before, step, after]


def quantize_aware(model, calibration, *, weight_bits=8, activation_bits=8, search="mse", input_range=None):
    """Makes a trained convolutional network learn under int8 arithmetic.

    Args:
        model: a trained functional `keras.Model`, flat or nested, of the layers in `TRANSLATIONS`.
        calibration: preprocessed training pictures that set the first ranges: a float32 array (n, height, width,
            channels), or an iterable (a list, a generator, a `tf.data.Dataset`) of batches or single pictures, of
            tuples whose first part is one, or of dicts by the input's name; for several inputs dicts or lists.
        weight_bits: of kernels; 8, or fewer as an experiment.
        activation_bits: of activations.
        search: how ranges are found: `max`, `moving_average`, `percentile` or `mse` (see `ranges`).
        input_range: (low, high) of the model's input, or a list of one for each of several. None: the contract's, which
            makes every uint8 pixel exact, where the calibration pictures lie within it, else that of the pictures.

    Returns:
        A functional `keras.Model` with the same inputs and outputs and the layers' names kept. Norms are folded with
        their moving statistics. It trains, saves, loads and converts (`tf.lite.TFLiteConverter`) like any other.

    Raises:
        ValueError: a layer can't be quantized (it is named, with what would do), there are no calibration pictures, or
            they are not what the model takes, `input_range` is none, the weights are not finite, or what was built
            answers otherwise than the model even without rounding.

    Warns:
        UserWarning: a thousandth of the calibration pictures' values or more lies beyond `input_range`.
    """
    if search not in ranges.SEARCHES:
        raise ValueError(f"search={search!r}: choose {', '.join(ranges.SEARCHES)}")
    model = functional(model)
    broken = broken_weight(model)
    if broken:
        raise ValueError(f"weight {broken} is not finite; the model is broken, quantize an earlier checkpoint")
    batches = pictures.batches(model, calibration)
    graph = Graph(model, weight_bits, pictures.input_ranges(input_range, batches, activation_bits))
    _fuse(graph)
    with _float32():
        quantized, tensors, input_ranges, averages = _build(graph, model, activation_bits)
    ranges.calibrate(quantized, batches, search)
    _hold_to_float(quantized, tensors, graph, model, [part[:CHECKED] for part in batches[0]])
    for count, given, made in averages:
        growth = ranges.untied(given.step / count, made.step) / made.step
        made.set_range(made.low * growth, made.high * growth)
    for layer, quantizer in input_ranges.items():
        layer.input_step.assign(quantizer.step)
    return quantized


@contextlib.contextmanager
def _float32():
    """Layers are made in float32, whatever the policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _groups(graph):
    """Tensor -> representative of the tensors that share its range."""
    parent = {}

    def find(key):
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    shared = {}
    for step in graph.steps:
        if step.kind in INHERITING:
            for key in step.inputs:
                parent[find(key)] = find(step.output)
        if step.shared:  # one kernel, one bias: its step is that of one input
            parent[find(step.inputs[0])] = find(shared.setdefault(step.shared, step.inputs[0]))
    return find


def _fixed(graph, group):
    """Representative of a group -> the range that it must have, where there is one.

    Raises:
        ValueError: a tensor shares its range with one that must have another.
    """
    made = [("input", key, limits) for key, limits in graph.input_ranges.items()]
    made += [(step.ends, step.output, step.fixed) for step in graph.steps if step.kind not in INHERITING]
    fixed = {group(key): limits for _, key, limits in made if limits}
    for name, key, limits in made:
        if fixed.get(group(key)) != limits:
            raise ValueError(
                f"layer {name}: its output shares a range with another's that TFLite fixes to {fixed[group(key)]}; "
                "put a layer of its own between"
            )
    return fixed


def _build(graph, model, bits):
    """Builds the quantized network from fused steps, with one `FakeQuantize` for each range.

    Returns it, its tensors by key, the `FakeQuantize` of the input of each layer that has a kernel, and of each global
    average the number of its summands and the `FakeQuantize` of its input and output.
    """
    group, quantizers, input_ranges, averages, shared = _groups(graph), {}, {}, [], {}
    fixed = _fixed(graph, group)

    def rounded(tensor, key, name):
        root = group(key)
        if root not in quantizers:
            quantizers[root] = FakeQuantize(bits, fixed.get(root), name=f"{name}_range")
        return quantizers[root](tensor)

    inputs = [keras.Input(batch_shape=i.shape, name=i._keras_history.operation.name) for i in model.inputs]
    tensors = {key: rounded(x, key, x.name) for key, x in zip(graph.inputs, inputs, strict=True)}
    for step in graph.steps:
        x = [tensors[key] for key in step.inputs]
        x = x[0] if len(x) == 1 else x
        if step.kind == "linear":
            layer = shared.get(step.shared) or step.make(None if step.shared else step.activation)
            y = layer(x)
            layer.kernel.assign(step.kernel)
            layer.bias.assign(step.bias)
            input_ranges[layer] = quantizers[group(step.inputs[0])]
            if step.shared:
                shared[step.shared] = layer
        else:
            y = step.make()(x)
        if step.activation and step.name != step.ends and (step.shared or step.kind != "linear"):
            y = layers.ReLU(6.0 if step.activation == "relu6" else None, name=f"{step.name}_{step.activation}")(y)
        tensors[step.output] = y if step.kind == "same" else rounded(y, step.output, step.ends)
        if isinstance(y._keras_history.operation, layers.GlobalAveragePooling2D) and None not in x.shape[1:3]:
            averages.append(
                (math.prod(x.shape[1:3]), quantizers[group(step.inputs[0])], quantizers[group(step.output)])
            )
    outputs = [tensors[key] for key in graph.outputs]
    structure = keras.tree.pack_sequence_as(model._outputs_struct, outputs)
    quantized = keras.Model(inputs if len(inputs) > 1 else inputs[0], structure, name=f"{model.name}_int8")
    return quantized, tensors, input_ranges, averages


def _numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def _hold_to_float(quantized, tensors, graph, model, batch):
    """Raises a ValueError that names the first layer which, with all rounding off, answers otherwise than in float."""
    batch = [keras.ops.convert_to_tensor(part) for part in batch]
    expected = [_numpy(value) for _, value in values(model, batch)]
    kept = [i for i, (_, key) in enumerate(graph.made) if key in tensors]  # what is fused has no tensor any more
    with without_rounding(*quantized.layers):
        made = keras.Model(quantized.inputs, [tensors[graph.made[i][1]] for i in kept])(batch, training=False)
        made = map(_numpy, keras.tree.flatten(made))
    narrow = any(layer.compute_dtype != "float32" for layer in model._flatten_layers() if layer.compute_dtype)
    for i, value in zip(kept, made, strict=True):
        norm = np.linalg.norm(expected[i])
        difference = np.linalg.norm(value - expected[i])
        if not difference <= (NARROW if narrow else TOLERANCE) * norm:
            raise ValueError(
                f"layer {graph.made[i][0]}: made ready for int8 it answers otherwise than in float, even without any "
                f"rounding (norm of the difference {difference:.2g}, of its answer {norm:.2g}); one of its settings "
                "can't be translated: build it of other layers"
            )
