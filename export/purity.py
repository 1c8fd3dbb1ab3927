"""What a pure int8 `.tflite` must not hold: operators that compute in float, and rounding that nobody simulated."""

import numpy as np


def kinds(model):
    """The names of the schema's `BuiltinOperator` that a model's operators' `opcodeIndex` stands for, as a list."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]


def impurities(content, io, again=False):
    """Looks through a file for what is not int8.

    Args:
        content: the file's bytes.
        io: type of its input and output, `uint8`, `int8` or `float32`.
        again: whether a tensor may get another scale without an operator between, as by quantization after training.

    Returns:
        List of a sentence for each operator that reads or makes floats, and for each that only changes a tensor's
        scale; those between the input or output and the network, which `io` asks for, are not in it.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    floats = (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32, schema.TensorType.FLOAT64)
    found, names = [], kinds(model)
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind = names[operator.opcodeIndex]
            tensors = [index for index in (*operator.inputs, *operator.outputs) if index != -1]
            boundary = operator.inputs[0] in graph.inputs or operator.outputs[0] in graph.outputs
            if kind in ("QUANTIZE", "DEQUANTIZE") and boundary and io != "int8":
                scales = [scale for i in tensors for scale in graph.tensors[i].quantization.scale or []]
                if np.allclose(scales, scales[0], rtol=1e-6):  # a float has none
                    continue
            name = graph.tensors[operator.outputs[0]].name.decode()
            if any(graph.tensors[index].type in floats for index in tensors):
                found.append(f"{kind} ({name}) computes in float")
            elif kind == "QUANTIZE" and not again:
                found.append(f"{kind} ({name}) rounds once more")
    return found
