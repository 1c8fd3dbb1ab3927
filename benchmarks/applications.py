"""Claim: keras.applications' convolutional families become pure int8 files, as near to float as TFLite's own make them.

    python -m benchmarks.applications [--names=MobileNetV3Small,ResNet50,…] [--tools=mse,max,tflite,edge]

One network a family, small pictures, random weights, norms that have the statistics of their inputs (without, a deep
random network answers everything alike). The error: norm of the logits' difference from the float network's, over that
of how the logits of different pictures differ; of ranges alone, nothing is trained. All tools have the same pictures.
One that refuses a network says why.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.trainings import markdown
from keras_resnet import environment

environment.load_tensorflow()

import keras  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from export import conversion, purity  # noqa: E402
from keras_resnet.device import metadata  # noqa: E402
from keras_resnet.quantization import quantize_aware  # noqa: E402

SIDES = {
    "ConvNeXtTiny": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "InceptionResNetV2": 96,
    "InceptionV3": 96,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Large": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 32,
    "Xception": 96,
}


def network(name):
    """A network of random weights whose norms match their inputs, and pictures of its own scale."""
    keras.utils.set_random_seed(0)
    shape = (SIDES[name], SIDES[name], 3)
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10, classifier_activation=None)
    scales = any(isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) for layer in model.layers)
    pictures = np.random.default_rng(0).integers(0, 256, (40, *shape)).astype(np.float32)
    pictures = pictures if scales else pictures / 128 - 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    for _ in range(8):
        model(pictures[:16], training=True)
    return model, pictures


def answers(content, pictures):
    """The logits of a file."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for picture in pictures:
        interpreter.set_tensor(given["index"], metadata.quantized(picture[None], given))
        interpreter.invoke()
        rows.append(metadata.dequantized(interpreter.get_tensor(made["index"])[0], made))
    return np.array(rows)


def error(content, pictures, expected):
    difference = np.linalg.norm(answers(content, pictures) - expected)
    return f"{difference / np.linalg.norm(expected - expected.mean(0)):.3f}"


def ours(search):
    """How `quantize_aware` makes a file, with ranges found by a `search`."""

    def make(model, calibration):
        quantized = quantize_aware(model, calibration, search=search)
        return conversion.convert("int8-qat", quantized, calibration, "float32", raw_pixels=False)

    return make


def by_tflite(model, calibration):
    return conversion.FORMATS["int8-ptq"](model, calibration, "float32")


def by_edge_quantizer(python):
    """How ai-edge-quantizer makes a file of the float one, in an environment of its own."""

    def make(model, calibration):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder, name) for name in ("float.tflite", "pictures.npy", "quantized.tflite")]
            paths[0].write_bytes(conversion.convert("float32", model, calibration))
            np.save(paths[1], calibration)
            program = pathlib.Path(__file__).with_name("edge_quantizer.py")
            made = subprocess.run([python, program, *paths], capture_output=True, text=True)
            if made.returncode:
                raise ValueError((made.stderr.strip().splitlines() or [f"signal {-made.returncode}"])[-1])
            return paths[2].read_bytes()

    return make


def row(network_name, tools):
    """A network's name, and for each tool its error, and what in its file is not int8; or why it refused."""
    model, pictures = network(network_name)
    calibration, asked = pictures[:32], pictures[32:]
    expected, cells = np.array(model(asked)), []
    for name, make in tools.items():
        try:
            content = make(model, calibration)
        except ValueError as problem:
            cells.append(str(problem).split("; replace it")[0])
            continue
        impure = len(purity.impurities(content, "int8" if name == "edge" else "float32", again=True))
        cells.append(error(content, asked, expected) + (f", {impure} operators in float" if impure else ""))
    return network_name, *cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default=",".join(SIDES), help=f"of {', '.join(SIDES)}")
    parser.add_argument("--tools", default="mse,max,tflite", help="of mse, max (our searches), tflite, edge")
    parser.add_argument("--edge_python", default=sys.executable, help="of an environment with ai-edge-quantizer")
    arguments = parser.parse_args()
    known = {"mse": ours("mse"), "max": ours("max"), "tflite": by_tflite}
    known["edge"] = by_edge_quantizer(arguments.edge_python)
    tools, rows = {name: known[name] for name in arguments.tools.split(",")}, []
    for name in arguments.names.split(","):
        rows.append(row(name, tools))
        print(*rows[-1], flush=True)
    print("\n".join(markdown(("network", *tools), rows)))


if __name__ == "__main__":
    main()
