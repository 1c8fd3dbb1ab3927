"""What tests ask of a `.tflite`: how it is made from a quantized model, what is in it, what it answers."""

import collections

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export import conversion


def convert(model, io="int8"):
    """The bytes of a batch-1 `.tflite` of a quantized model."""
    return conversion.FORMATS["int8-qat"](model, None, io)


def overflow_file(path):
    """Writes a classifier of pictures 16 x 16 whose answer to a white one is no number."""
    inputs = keras.Input(batch_shape=(1, 16, 16, 3))
    x = keras.layers.Rescaling(1e38)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer=keras.initializers.Constant(9))(x))
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


class File:
    """A `.tflite` in memory, run by LiteRT's own kernels or, as everywhere by default, by XNNPACK's."""

    def __init__(self, content, xnnpack=False):
        self.content = content
        kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
        self.interpreter.allocate_tensors()
        (self.input,), (self.output,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()

    @property
    def operators(self):
        return collections.Counter(op["op_name"] for op in self.interpreter._get_ops_details())

    @property
    def float_tensors(self):
        floats = (np.float16, np.float32, np.float64)
        return [t["name"] for t in self.interpreter.get_tensor_details() if t["dtype"] in floats]

    @property
    def weight_scales(self):
        """Number of scales of each convolution's kernel."""
        details = {t["index"]: t for t in self.interpreter.get_tensor_details()}
        convolutions = [o for o in self.interpreter._get_ops_details() if "CONV" in o["op_name"]]
        return [len(details[o["inputs"][1]]["quantization_parameters"]["scales"]) for o in convolutions]

    @property
    def biases(self):
        """The biases of convolutions and dense layers, in float, and their steps."""
        details = {t["index"]: t for t in self.interpreter.get_tensor_details()}
        kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        indices = [op["inputs"][2] for op in self.interpreter._get_ops_details() if op["op_name"] in kinds]
        steps = [details[index]["quantization_parameters"]["scales"] for index in indices]
        return [(self.interpreter.get_tensor(index) * s, s) for index, s in zip(indices, steps, strict=True)]

    def __call__(self, quantized):
        """Runs quantized inputs (n, …) one by one and returns the quantized outputs as int64."""
        outputs = []
        for picture in quantized:
            self.interpreter.set_tensor(self.input["index"], picture[None])
            self.interpreter.invoke()
            outputs.append(self.interpreter.get_tensor(self.output["index"])[0])
        return np.array(outputs, np.int64)

    def steps(self, values):
        """Float outputs as steps of the file's output scale."""
        scale, zero = self.output["quantization"]
        return np.round(np.asarray(values, np.float64) / scale).astype(np.int64) + zero
