"""Writes what core's JUnit tests read whole: tiny int8 models of boxes, masks, sounds and texts, with golden sets.

    python android_demo/golden_models.py [FOLDER]

Their weights are random; with those that are there, other versions of TensorFlow may write other bytes. `make arm-test`
replays them, too.
"""

import io
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
RESOURCES = HERE / "core" / "src" / "test" / "resources" / "models"
sys.path.insert(0, str(HERE.parent))
PICTURES, RATE = 4, 8000
LABELS = ("a", "b", "c")
TEXTS = (
    "It’s a film that doesn't bore: 9/10!",
    "",
    "ＦＵＬＬ width, été e\u0301te\u0301, ﬁne",
    "电影很好看 very 好 🙂👍🏽 ok" + "a" * 2000 + " film" * 500,
)


def places():
    """Name -> (network, contract, PNG files) of a detector and a segmenter."""
    from export import golden
    from keras_resnet.device.boxes import Boxes
    from keras_resnet.device.contract import Contract
    from keras_resnet.device.mask import Mask
    from keras_resnet.device.picture import Picture
    from keras_resnet.networks.detector import detector
    from keras_resnet.networks.resnet import ResNet
    from keras_resnet.networks.segmenter import segmenter

    backbone = ResNet(8, (32, 48, 3), width=0.25, features=True)
    networks = {
        "detector": (detector(backbone, 3, (2, 4), 8), Boxes(LABELS, ((16, 24, 2), (8, 12, 4)), 0.5)),
        "segmenter": (segmenter(backbone, 3, 8), Mask(LABELS, (8, 12))),
    }
    rng, picture = np.random.default_rng(0), Picture(32, 48, 3)
    images = rng.integers(0, 256, (PICTURES, 4, 6, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    for network, _ in networks.values():
        for layer in network.layers:  # what is learned last is small at first: all answers would be alike
            if layer.name.endswith("_cells") or layer.name == "logits":
                layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
                layer.bias.assign(0 * layer.bias)
    things = [golden.png(image) for image in images]
    return {name: (network, Contract(picture, output), things) for name, (network, output) in networks.items()}


def others():
    """Name -> (network, contract, files): of recordings, tones in noise that are shorter and longer than is heard."""
    from keras_resnet.device import sound_files
    from keras_resnet.device.classes import Classes
    from keras_resnet.device.contract import Contract
    from keras_resnet.device.sound import Sound
    from keras_resnet.device.text import Text, tokens
    from keras_resnet.networks.resnet import ResNet
    from keras_resnet.networks.sentences import sentence_network

    rng, recordings = np.random.default_rng(0), []
    for seconds in (0.1, 0.25, 0.3, 0.5):
        t = np.arange(round(RATE * seconds)) / RATE
        tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 3000) * t) + rng.normal(0, 0.01, len(t))
        recordings.append(sound_files.wav(tone, RATE))
    sound = Contract(Sound.of(RATE, 0.25, 16), Classes(LABELS))
    known = sorted({token for text in TEXTS for token in tokens(text)} - {"film", "ok"})
    text = Contract(Text(known, 12, 32, 16), Classes(LABELS))
    hearing, reading = ResNet(8, sound.shape, 3, width=0.25, stem="small"), sentence_network(text.input, 3, width=0.25)
    for network in (hearing, reading):
        network.get_layer("logits").kernel.assign(rng.normal(0, 0.5, network.get_layer("logits").kernel.shape))
    reading.get_layer("votes").set_weights([rng.normal(size=(text.input.numbers, 3))])
    made = {
        "hearer": (hearing, sound, recordings),
        "reader": (reading, text, [one.encode() for one in TEXTS]),
    }
    for network, contract, things in made.values():  # or all answers would be alike
        network.get_layer("logits").bias.assign(-np.mean(network(given(contract, things)), 0))
    return made


def given(contract, things):
    """What a network takes of files."""
    return np.stack([contract.input.scaled(contract.input.read(io.BytesIO(thing), "golden")) for thing in things])


def write(folder, name, network, contract, things):
    """Writes one file, and its golden set."""
    from export import conversion, golden, metadata
    from keras_resnet.device.reader import Reader
    from keras_resnet.quantization import quantize_aware

    x = given(contract, things)
    quantized = quantize_aware(network, x)
    content = conversion.convert("int8-qat", quantized, x, raw_pixels=contract.input.KIND != "text")
    path = folder / f"{name}.tflite"
    path.write_bytes(metadata.embed(content, contract, metadata.Card(name)))
    golden.write(path, Reader(path), things)
    path.with_suffix(".golden.npz").unlink()


def main(folder):
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    for made in (places, others):
        keras.utils.set_random_seed(0)
        for name, parts in made().items():
            write(folder, name, *parts)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RESOURCES)
