"""Claim: keras.applications' convolutional families become pure int8 files, as near to float as TFLite's own make them.

    python -m benchmarks.applications [--names=MobileNetV3Small,ResNet50,…]

One network a family, small pictures, random weights, norms that have the statistics of their inputs (without, a deep
random network answers everything alike). `error`: norm of the logits' difference from the float network's, over that of
how the logits of different pictures differ; of ranges alone, nothing is trained. PTQ is TFLite's own, on the same
pictures. A network that is refused says why.
"""

import argparse
import time

import numpy as np

from benchmarks.trainings import markdown
from keras_resnet import environment

environment.load_tensorflow()

import keras  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from export import conversion, purity  # noqa: E402
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
    """The logits of a file that takes and gives floats."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for picture in pictures:
        interpreter.set_tensor(given["index"], picture[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(made["index"])[0])
    return np.array(rows)


def error(content, pictures, expected):
    difference = np.linalg.norm(answers(content, pictures) - expected)
    return f"{difference / np.linalg.norm(expected - expected.mean(0)):.3f}"


def row(name):
    began = time.monotonic()
    model, pictures = network(name)
    calibration, asked = pictures[:32], pictures[32:]
    expected = np.array(model(asked))
    cells = []
    for kind in ("mse", "max"):
        try:
            content = conversion.FORMATS["int8-qat"](
                quantize_aware(model, calibration, search=kind), calibration, "float32"
            )
            cells.append(error(content, asked, expected))
            pure = ", ".join(purity.impurities(content, "float32")[:2]) or "pure int8"
        except ValueError as problem:
            return name, str(problem).split("; replace it")[0], "", "", "", f"{time.monotonic() - began:.0f}"
    content = conversion.FORMATS["int8-ptq"](model, calibration, "float32")
    return name, pure, *cells, error(content, asked, expected), f"{time.monotonic() - began:.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default=",".join(SIDES))
    rows = []
    for name in parser.parse_args().names.split(","):
        rows.append(row(name))
        print(*rows[-1], flush=True)
    head = ("network", "file", "error, `search=mse`", "`search=max`", "TFLite's PTQ", "seconds")
    print("\n".join(markdown(head, rows)))


if __name__ == "__main__":
    main()
