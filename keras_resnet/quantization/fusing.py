"""Steps that TFLite runs as one operator: convolution, norm and ReLU; addition and ReLU."""

import numpy as np
from keras import layers

from keras_resnet.quantization.fake_quantization import QuantizedDepthwiseConv2D
from keras_resnet.quantization.translation import FUSING, Step


def _consumers(graph):
    count = dict.fromkeys(graph.outputs, 1)
    for step in graph.steps:
        for key in step.inputs:
            count[key] = count.get(key, 0) + 1
    return count


def fuse(graph):
    """Folds norms into the convolutions before them, and ReLUs into whatever is before them, as the converter does."""
    _move(graph)
    makers = {step.output: step for step in graph.steps}
    count, kept = _consumers(graph), []
    for step in graph.steps:
        before = makers.get(step.inputs[0])
        alone = before is not None and count[step.inputs[0]] == 1 and before.activation is None
        if step.kind == "affine" and alone and before.kind == "linear" and not (before.shared or before.norm):
            if graph.learn_norms and step.norm:
                before.norm, before.options["norm"] = step.norm, {**step.norm.get_config(), "axis": -1}
            else:
                before.kernel = np.asarray(before.scaled(before.kernel, step.kernel))
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


def _move(graph):
    """Moves ReLUs before the max-pooling that they follow (as one operator behind it, they would have two ranges).

    And both ReLUs and norms before a reshape of a sequence, so that they can be folded.
    """
    makers, count = {step.output: step for step in graph.steps}, _consumers(graph)
    for step in [step for step in graph.steps if step.kind == "affine" or step.activation]:
        while (before := makers.get(step.inputs[0])) and count[before.output] == 1:
            passes = before.shape if before.kind == "same" else before.kind == "largest" and step.kind == "activation"
            if not passes:
                break
            key = next(graph.keys)
            step.inputs, step.output, before.inputs, before.output = before.inputs, key, [key], step.output
            step.shape = before.shape or step.shape
            count[key] = 1
            makers |= {step.output: step, before.output: before}
            graph.steps.remove(step)
            graph.steps.insert(graph.steps.index(before), step)


def _alone(graph, step):
    """The steps of a scale and offset with nothing before it to fold it into; vectors go through a map of one row."""
    step.kind, step.kernel, step.norm = "linear", step.kernel.reshape(1, 1, -1, 1), None
    step.scaled = QuantizedDepthwiseConv2D.scaled
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
