"""Averages that every processor rounds alike, in files whose ranges the converter chose; see `ranges.untied`."""

import numpy as np

from keras_resnet.quantization.ranges import untied

from . import purity


def settle(content):
    """Moves the output scales of a `.tflite`'s int8 means, and the biases behind them, away from ties.

    A mean that something else than convolutions and dense layers reads keeps its scale.

    Args:
        content: the file's bytes.

    Returns:
        The bytes of a file of the same operators and kernels.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    weighted, kinds = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}, purity.kinds(model)
    for graph in model.subgraphs:
        for mean in graph.operators:
            given, made = graph.tensors[mean.inputs[0]], graph.tensors[mean.outputs[0]]
            readers = [o for o in graph.operators if mean.outputs[0] in o.inputs]
            if (
                kinds[mean.opcodeIndex] != "MEAN"
                or made.type != schema.TensorType.INT8
                or mean.outputs[0] in graph.outputs
                or not all(kinds[o.opcodeIndex] in weighted for o in readers)
            ):
                continue
            count = np.prod(given.shape) / np.prod(made.shape)
            before = np.float64(made.quantization.scale[0])
            made.quantization.scale = np.float32([untied(given.quantization.scale[0] / count, before)])
            ratio = made.quantization.scale[0] / before
            for bias in {o.inputs[2] for o in readers if len(o.inputs) > 2} - {-1}:
                _rescale(model, graph.tensors[bias], ratio, schema.BufferT())
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _rescale(model, bias, ratio, buffer):
    """Gives an int32 bias the scale of its layer's input again: the same values in steps `ratio` times as large."""
    steps = np.frombuffer(np.asarray(model.buffers[bias.buffer].data, np.uint8).tobytes(), np.int32)
    buffer.data = np.frombuffer(np.round(steps / ratio).astype(np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)  # a new one: the converter lets equal tensors share theirs
    bias.buffer = len(model.buffers) - 1
    bias.quantization.scale = np.float32(np.asarray(bias.quantization.scale) * ratio)
