"""ai-edge-quantizer's static int8 of a float `.tflite`; as a program where only it is installed:

PYTHON benchmarks/edge_quantizer.py FLOAT.tflite PICTURES.npy QUANTIZED.tflite
"""

import pathlib
import sys

import ai_edge_quantizer
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def quantize(path, pictures):
    """The bytes of an int8 file (`static_wi8_ai8`) of a float one, with ranges of pictures (n, …), one input's."""
    ((key, signature),) = Interpreter(model_path=str(path)).get_signature_list().items()
    (name,) = signature["inputs"]
    quantizer = ai_edge_quantizer.Quantizer(str(path), ai_edge_quantizer.recipe.static_wi8_ai8())
    # Its ranges are moving averages over the pictures: TFLite's black and white ones would not widen them.
    found = quantizer.calibrate({key: [{name: picture[None]} for picture in pictures]}, num_threads=2)
    return bytes(quantizer.quantize(found).quantized_model)


if __name__ == "__main__":
    pathlib.Path(sys.argv[3]).write_bytes(quantize(sys.argv[1], np.load(sys.argv[2])))
