"""Writes what core's JUnit tests read whole: a tiny detector and a tiny segmenter, int8, with their golden sets.

    python android_demo/golden_places.py [FOLDER]

Their weights are random; with those that are there, other versions of TensorFlow may write other bytes.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
RESOURCES = HERE / "core" / "src" / "test" / "resources" / "places"
sys.path.insert(0, str(HERE.parent))
PICTURES = 4


def write(folder):
    import keras

    from export import conversion, golden, metadata
    from keras_resnet.device.boxes import Boxes
    from keras_resnet.device.contract import Contract
    from keras_resnet.device.mask import Mask
    from keras_resnet.device.picture import Picture
    from keras_resnet.device.reader import Reader
    from keras_resnet.networks.detector import detector
    from keras_resnet.networks.resnet import ResNet
    from keras_resnet.networks.segmenter import segmenter
    from keras_resnet.quantization import quantize_aware

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    backbone = ResNet(8, (32, 48, 3), width=0.25, features=True)
    picture, labels = Picture(32, 48, 3), ("a", "b", "c")
    networks = {
        "detector": (detector(backbone, 3, (2, 4), 8), Boxes(labels, ((16, 24, 2), (8, 12, 4)), 0.5)),
        "segmenter": (segmenter(backbone, 3, 8), Mask(labels, (8, 12))),
    }
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (PICTURES, 4, 6, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    for name, (network, output) in networks.items():
        for layer in network.layers:  # what is learned last is small at first: all answers would be alike
            if layer.name.endswith("_cells") or layer.name == "logits":
                layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
                layer.bias.assign(0 * layer.bias)
        contract = Contract(picture, output)
        quantized = quantize_aware(network, picture.scaled(images))
        content = conversion.convert("int8-qat", quantized, picture.scaled(images))
        path = folder / f"{name}.tflite"
        path.write_bytes(metadata.embed(content, contract, metadata.Card(name)))
        golden.write(path, Reader(path), images)
        path.with_suffix(".golden.npz").unlink()


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RESOURCES)
