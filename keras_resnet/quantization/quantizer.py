"""Quantization-aware training for Keras 3: `quantize_aware` makes a convolutional network learn under int8 arithmetic.

The graph is translated into TFLite's steps (`translation`), steps that TFLite runs as one operator are fused
(convolution, norm and ReLU; addition and ReLU), every tensor gets a range, shared where TFLite wants one scale
(`ranges`), and the network is built again of layers that round as TFLite will (`fake_quantization`).
"""

import contextlib
import math
import re

import keras
import numpy as np
from keras import layers

from keras_resnet.networks.weights import broken_weight
from keras_resnet.quantization import pictures, ranges
from keras_resnet.quantization.fake_quantization import (
    FakeQuantize,
    QuantizedModel,
    without_rounding,
)
from keras_resnet.quantization.fusing import fuse
from keras_resnet.quantization.translation import (
    INHERITING,
    Graph,
    calls,
    functional,
    is_float,
    values,
    widths,
)

BITS = 8  # of activations
WIDTHS = (8, 4)  # of weights
SHOWN = 8  # names of layers in a message
CHECKED = 4  # pictures of the first batch with which the new network is held to the float one
# Rewritten rightly, networks are 1e-7 apart, and one of 50 layers 3e-5; wrongly, 0.7 and more.
TOLERANCE = 1e-3
NARROW = 0.1  # where the float one computes in half precision


def quantize_aware(
    model,
    calibration,
    *,
    weight_bits=8,
    search="mse",
    input_range=None,
    learn_ranges=False,
    learn_norms=False,
):
    """Makes a trained convolutional network learn under int8 arithmetic.

    Args:
        model: a trained functional `keras.Model`, flat or nested, of the layers in `TRANSLATIONS`.
        calibration: preprocessed training pictures that set the first ranges: a float32 array (n, height, width,
            channels), or an iterable (a list, a generator, a `tf.data.Dataset`) of batches or single pictures, of
            tuples whose first part is one, or of dicts by the input's name; for several inputs dicts or lists.
        weight_bits: of kernels, 8 or 4; or a dict by regular expressions of whole layers' names, the first that fits
            counts, where others have 8: `{"stage3.*": 4}`. Transposed convolutions have 8.
        search: how ranges are found: `max`, `moving_average`, `percentile` or `mse` (see `ranges`).
        input_range: (low, high) of the model's input, or a list of one for each of several. None: the contract's, which
            makes every uint8 pixel exact, where the calibration pictures lie within it, else that of the pictures.
        learn_ranges: whether ranges of activations and kernels go on learning with the weights. Those that TFLite
            fixes, the input's, and those before and behind a global average (which must fit each other) do not; those
            behind frozen layers do, unless all are frozen.
        learn_norms: whether batch norms behind convolutions go on learning, by the statistics of each batch until
            `freeze_norms`; else they are folded with their moving ones before it learns.

    Returns:
        A functional `keras.Model` with the same inputs and outputs and the layers' names kept. Norms are folded with
        their moving statistics. It trains, saves and loads like any other; `export.conversion.convert` makes the file.

    Raises:
        ValueError: a layer can't be quantized (it is named, with what would do), there are no calibration pictures, or
            they are not what the model takes, `input_range` is none, the weights are not finite, or what was built
            answers otherwise than the model even without rounding.

    Warns:
        UserWarning: a thousandth of the calibration pictures' values or more lies beyond `input_range`.
    """
    if search not in ranges.SEARCHES:
        raise ValueError(f"search={search!r}: choose {', '.join(ranges.SEARCHES)}")
    for name, given in (("learn_ranges", learn_ranges), ("learn_norms", learn_norms)):
        if not isinstance(given, bool):
            raise ValueError(f"{name}={given!r}: expected True or False")
    model = functional(model)
    if isinstance(model, QuantizedModel):
        raise ValueError(f"model {model.name} is made ready for int8 already; give the float one")
    _check_widths(weight_bits, model)
    broken = broken_weight(model)
    if broken:
        raise ValueError(f"weight {broken} is not finite; the model is broken, quantize an earlier checkpoint")
    batches = pictures.batches(model, calibration)
    learn_ranges = learn_ranges and bool(model.trainable_weights)
    graph = Graph(model, pictures.input_ranges(input_range, batches, BITS), weight_bits, learn_ranges, learn_norms)
    fuse(graph)
    with _float32():
        quantized, tensors, input_ranges, averages = _build(graph, model)
    ranges.calibrate(quantized, batches, search)
    _hold_to_float(quantized, tensors, graph, model, [part[:CHECKED] for part in batches[0]])
    for count, given, made in averages:
        growth = ranges.untied(given.step / count, made.step) / made.step
        made.set_range(made.low * growth, made.high * growth)
    for layer, quantizer in input_ranges.items():
        layer.input_step.assign(quantizer.step)
        if quantizer.learns:
            layer.follow(quantizer)
    return quantized


def freeze_norms(model, frozen=True):
    """Lets the norms of a quantized model answer by their moving statistics in training, too; compile it again then."""
    found = False
    for layer in model._flatten_layers():
        if getattr(layer, "norm", None) is not None:
            layer.statistics, found = not frozen, True
    if not found:
        raise ValueError(f"model {model.name} has no norms that learn; quantize_aware(…, learn_norms=True) leaves them")


def _dtype(tensor):
    """Of an input of the quantized network: floats of any width become float32."""
    return "float32" if is_float(tensor) else tensor.dtype


def _check_widths(weight_bits, model):
    """Holds `weight_bits` to what a file can store, and its patterns to the model's layers."""
    names = dict.fromkeys(
        layer.name for layer in calls(model) if any("kernel" in w.name for w in getattr(layer, "weights", ()))
    )
    for pattern, bits in widths(weight_bits).items():
        if bits not in WIDTHS:
            raise ValueError(f"weight_bits={weight_bits!r}: expected 8 or 4, which LiteRT stores, or a dict of them")
        try:
            found = any(re.fullmatch(pattern, name) for name in names)
        except re.error as error:
            raise ValueError(f"weight_bits={weight_bits!r}: {pattern} is no regular expression ({error})") from error
        if not found and isinstance(weight_bits, dict):
            shown = [*names][:SHOWN] + ["…"] * (len(names) > SHOWN)
            raise ValueError(f"weight_bits={weight_bits!r}: {pattern} is no layer's whole name; as {', '.join(shown)}")


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
        if step.shared and step.kind == "linear":  # one kernel, one bias: its step is that of one input
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


def _build(graph, model):
    """Builds the quantized network from fused steps, with one `FakeQuantize` for each range.

    Returns it, its tensors by key, the `FakeQuantize` of the input of each layer that has a kernel, and of each global
    average the number of its summands and the `FakeQuantize` of its input and output.
    """
    group, quantizers, input_ranges, averages, shared = _groups(graph), {}, {}, [], {}
    fixed = _fixed(graph, group)
    means = [step for step in graph.steps if step.kind == "mean"]
    still = {*fixed, *(group(key) for step in means for key in (*step.inputs, step.output))}

    def rounded(tensor, key, name):
        if not is_float(tensor):
            return tensor
        root = group(key)
        if root not in quantizers:
            learns = graph.learns and root not in still
            quantizers[root] = FakeQuantize(BITS, fixed.get(root), learns, name=f"{name}_range")
        return quantizers[root](tensor)

    inputs = [
        keras.Input(batch_shape=i.shape, dtype=_dtype(i), name=i._keras_history.operation.name) for i in model.inputs
    ]
    tensors = {key: rounded(x, key, x.name) for key, x in zip(graph.inputs, inputs, strict=True)}
    for step in graph.steps:
        x = [tensors[key] for key in step.inputs]
        x = x[0] if len(x) == 1 else x
        if step.kind == "linear":
            layer = shared.get(step.shared) or step.make(None if step.shared else step.activation)
            y = layer(x)
            layer.kernel.assign(step.kernel)
            layer.bias.assign(step.bias)
            if step.norm:
                layer.norm.set_weights(step.norm.get_weights())
            if layer.learns:
                layer.reset_range()
            input_ranges[layer] = quantizers[group(step.inputs[0])]
            if step.shared:
                shared[step.shared] = layer
        else:
            layer = shared.get(step.shared) or step.make()
            y = layer(x)
            if step.weights:
                layer.set_weights(step.weights)
            if step.shared:
                shared[step.shared] = layer
        if step.activation and step.name != step.ends and (step.shared or step.kind != "linear"):
            y = layers.ReLU(6.0 if step.activation == "relu6" else None, name=f"{step.name}_{step.activation}")(y)
        tensors[step.output] = y if step.kind == "same" else rounded(y, step.output, step.ends)
        if step.kind == "mean" and None not in x.shape[1:3]:
            averages.append(
                (math.prod(x.shape[1:3]), quantizers[group(step.inputs[0])], quantizers[group(step.output)])
            )
    outputs = [tensors[key] for key in graph.outputs]
    quantized = QuantizedModel(
        keras.tree.pack_sequence_as(model._inputs_struct, inputs),
        keras.tree.pack_sequence_as(model._outputs_struct, outputs),
        name=f"{model.name}_int8",
        output_names=model.output_names,
    )
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
