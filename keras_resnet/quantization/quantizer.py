"""Quantization-aware training for Keras 3: `quantize_aware` makes a convolutional network learn under int8 arithmetic.

The graph is translated into TFLite's steps (`translation`), steps that TFLite runs as one operator are fused
(convolution, norm and ReLU; addition and ReLU), every tensor gets a range, shared where TFLite wants one scale
(`ranges`), and the network is built again of layers that round as TFLite will (`fake_quantization`).
"""

import math

import keras
import numpy as np
from keras import layers

from keras_resnet.networks.weights import broken_weight
from keras_resnet.quantization import ranges
from keras_resnet.quantization.fake_quantization import FakeQuantize
from keras_resnet.quantization.translation import Graph

INPUT_RANGE = (-1.0, 127 / 128)  # scale 1/128, zero point 0: the contract's pixels are exact


def _consumers(graph):
    count = dict.fromkeys(graph.outputs, 1)
    for step in graph.steps:
        for key in step.inputs:
            count[key] = count.get(key, 0) + 1
    return count


def _fuse(graph):
    """Folds norms into the convolutions before them, and ReLUs into whatever is before them, as the converter does."""
    makers = {step.output: step for step in graph.steps}
    count, kept = _consumers(graph), []
    for step in graph.steps:
        before = makers.get(step.inputs[0])
        alone = before is not None and count[step.inputs[0]] == 1 and before.activation is None
        if step.kind == "affine" and alone and before.kind == "linear":
            before.kernel = _scaled(before.kernel, step.kernel)
            before.bias = before.bias * step.kernel + step.bias
        elif step.kind == "activation" and step.activation and alone and before.kind in ("linear", "join", "own"):
            before.activation = step.activation
        else:
            if step.kind == "affine":
                step.kind, step.kernel = "linear", step.kernel.reshape(1, 1, -1, 1)
            kept.append(step)
            continue
        before.output, before.ends = step.output, step.ends
        makers[step.output] = before
    graph.steps = kept


def _scaled(kernel, scale):
    """A kernel whose output channels are multiplied; a depthwise one's are its last two axes together."""
    if kernel.ndim == 4 and kernel.shape[-1] * kernel.shape[-2] == len(scale) and kernel.shape[-1] != len(scale):
        return kernel * scale.reshape(kernel.shape[2:])
    return kernel * scale


def quantize_aware(model, calibration, *, weight_bits=8, activation_bits=8, search="mse", input_range=INPUT_RANGE):
    """Makes a trained convolutional network learn under int8 arithmetic.

    Args:
        model: a trained functional `keras.Model`, flat or nested, of the layers in `TRANSLATIONS`.
        calibration: preprocessed training pictures that set the first ranges: a float32 array (n, height, width,
            channels), or an iterable of batches (or of tuples whose first part is one).
        weight_bits: of kernels; 8, or fewer as an experiment.
        activation_bits: of activations.
        search: how ranges are found: `max`, `moving_average`, `percentile` or `mse` (see `ranges`).
        input_range: of the model's input; the default makes every uint8 pixel of the contract exact.

    Returns:
        A functional `keras.Model` with the same inputs and outputs and the layers' names kept. Norms are folded with
        their moving statistics. It trains, saves, loads and converts (`tf.lite.TFLiteConverter`) like any other.

    Raises:
        ValueError: a layer can't be quantized (it is named, with what would do), there are no calibration pictures,
            they reach beyond `input_range`, or the weights are not finite.
    """
    if search not in ranges.SEARCHES:
        raise ValueError(f"search={search!r}: choose {', '.join(ranges.SEARCHES)}")
    broken = broken_weight(model)
    if broken:
        raise ValueError(f"weight {broken} is not finite; the model is broken, quantize an earlier checkpoint")
    model = model._functional if isinstance(model, keras.Sequential) else model
    graph = Graph(model, weight_bits)
    _fuse(graph)
    quantized, input_ranges, averages = _build(graph, model, activation_bits, input_range)
    ranges.calibrate(quantized, _within(input_range, _batches(calibration)), search)
    for count, given, made in averages:
        growth = ranges.untied(given.step / count, made.step) / made.step
        made.set_range(made.low * growth, made.high * growth)
    for layer, quantizer in input_ranges.items():
        layer.input_step.assign(quantizer.step)
    return quantized


def _groups(graph):
    """Tensor -> representative of the tensors that share its range."""
    parent = {}

    def find(key):
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for step in graph.steps:
        if step.kind in ("same", "concatenate"):
            for key in step.inputs:
                parent[find(key)] = find(step.output)
    return find


def _build(graph, model, bits, input_range):
    """Builds the quantized network from fused steps, with one `FakeQuantize` for each range.

    Returns it, the `FakeQuantize` of the input of each layer that has a kernel, and of each global average the number
    of its summands and the `FakeQuantize` of its input and output.
    """
    group, quantizers, input_ranges, averages = _groups(graph), {}, {}, []
    fixed = {group(step.output): step.fixed for step in graph.steps if step.fixed}
    fixed |= {group(key): tuple(input_range) for key in graph.inputs}

    def rounded(tensor, key, name):
        root = group(key)
        if root not in quantizers:
            quantizers[root] = FakeQuantize(bits, fixed.get(root), name=f"{name}_range")
        return quantizers[root](tensor)

    inputs = [keras.Input(batch_shape=i.shape, name=i.name) for i in model.inputs]
    tensors = {key: rounded(x, key, x.name) for key, x in zip(graph.inputs, inputs, strict=True)}
    for step in graph.steps:
        x = [tensors[key] for key in step.inputs]
        x = x[0] if len(x) == 1 else x
        if step.kind == "linear":
            layer = step.make(step.activation)
            y = layer(x)
            layer.kernel.assign(step.kernel)
            layer.bias.assign(step.bias)
            input_ranges[layer] = quantizers[group(step.inputs[0])]
        else:
            y = step.make()(x)
            if step.activation and step.kind != "activation":
                y = layers.ReLU(6.0 if step.activation == "relu6" else None, name=f"{step.name}_{step.activation}")(y)
        tensors[step.output] = y if step.kind == "same" else rounded(y, step.output, step.ends)
        if isinstance(y._keras_history.operation, layers.GlobalAveragePooling2D) and None not in x.shape[1:3]:
            averages.append(
                (math.prod(x.shape[1:3]), quantizers[group(step.inputs[0])], quantizers[group(step.output)])
            )
    outputs = [tensors[key] for key in graph.outputs]
    structure = keras.tree.pack_sequence_as(model._outputs_struct, outputs)
    quantized = keras.Model(inputs if len(inputs) > 1 else inputs[0], structure, name=f"{model.name}_int8")
    return quantized, input_ranges, averages


def _within(input_range, batches):
    """Hands on batches, none of which may be cut off at the input's range."""
    low, high = input_range
    step = (high - low) / 255
    for batch in batches:
        least, greatest = float(np.min(batch)), float(np.max(batch))
        if least < low - step or greatest > high + step:
            raise ValueError(
                f"calibration: pictures reach from {least:.4g} to {greatest:.4g}, beyond input_range=({low:.4g}, "
                f"{high:.4g}); give pixel / 128 - 1, or quantize_aware(…, input_range=…) of what this network learned"
            )
        yield batch


def _batches(calibration):
    if hasattr(calibration, "shape"):
        return (calibration[i : i + 64] for i in range(0, len(calibration), 64))
    return (batch[0] if isinstance(batch, tuple) else batch for batch in calibration)
