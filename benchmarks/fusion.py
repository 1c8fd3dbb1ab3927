"""Claim: a picture and a recording of the same digit, each too noisy alone, are read together, in one int8 file.

    python -m benchmarks.fusion FSDD/ [--epochs=30] [--seeds=0,1,2] [--out=runs/fusion]

FSDD/ holds recordings of digits by class (`train/0/…`, `test/0/…`). The bundled digits' pictures of each split are
paired with recordings of the same digit and split, anew in each epoch; noise is laid over both, the same for
validation and test. One network has two residual backbones, whose features are laid side by side (Ngiam et al. 2011);
in training one of the two inputs is left out now and then, so that it answers without it, too. Beside it each backbone
alone, trained for as long. The file is int8 by quantization after training, from training pairs.
"""

import argparse
import pathlib

import numpy as np

from benchmarks.trainings import markdown, mean_and_deviation
from keras_resnet import environment

BATCH, WIDTH = 64, 0.5
LEFT_OUT = 0.15  # part of the pairs whose picture training leaves out, and as many recordings
PICTURE_NOISE, SOUND_NOISE = 1.1, 0.9  # standard deviations, of what networks see in [-1, 1): about 80 % alone
NOTHING = 0.0  # what a network sees of an input that is left out
ALONE = {"picture": (0,), "recording": (1,), "both": (0, 1)}


def load(folder):
    """Split -> (pictures, their digits, log-mel pictures, their digits); float32 in [-1, 1)."""
    from keras_resnet.data.decoding import normalize
    from keras_resnet.data.loading import load_dataset

    pictures = load_dataset("digits", channels=1)
    sounds = load_dataset(f"{folder}/")
    if pictures.contract.labels != sounds.contract.labels:
        raise SystemExit(f"{folder}: expected folders 0 to 9, got {', '.join(sounds.contract.labels)}")
    both = {}
    for split in ("train", "validation", "test"):
        one, other = pictures.split(split), sounds.split(split)
        both[split] = (normalize(one.images), one.labels, normalize(other.images), other.labels)
    return both


def pairs(split, rng):
    """(pictures, recordings, digits): each picture with a recording of the same digit, under noise."""
    pictures, digits, sounds, spoken = split
    with_digit = [np.flatnonzero(spoken == digit) for digit in range(10)]
    chosen = np.array([rng.choice(with_digit[digit]) for digit in digits])

    def noisy(x, deviation):
        return np.clip(x + rng.normal(0, deviation, x.shape), -1, 127 / 128).astype(np.float32)

    return noisy(pictures, PICTURE_NOISE), noisy(sounds[chosen], SOUND_NOISE), digits


def network(shapes, seed):
    """From a picture, a recording, or both, to ten logits."""
    import keras

    from keras_resnet import ResNet

    keras.utils.set_random_seed(seed)
    inputs, features = [], []
    for name, shape in shapes.items():
        body = ResNet(8, shape, width=WIDTH, stem="small", include_top=False)
        given = keras.Input(shape, name=name)
        body.name = f"{name}_body"
        inputs.append(given)
        features.append(keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(body(given)))
    together = keras.layers.Concatenate(name="together")(features) if len(features) > 1 else features[0]
    logits = keras.layers.Dense(10, name="logits")(together)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], logits, name="fusion")


def given(parts, places):
    """Of (pictures, recordings) those that a network takes, as Keras wants them."""
    chosen = [parts[place] for place in places]
    return chosen if len(chosen) > 1 else chosen[0]


def train(model, places, split, epochs, seed):
    """Trains by AdamW on pairs that are drawn anew in each epoch."""
    import keras

    rng = np.random.default_rng(seed)
    steps = epochs * (len(split[0]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=steps // 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.05), loss)
    for _ in range(epochs):
        *parts, digits = pairs(split, rng)
        if len(places) > 1:
            draw = rng.random(len(digits))
            parts[0][draw < LEFT_OUT] = NOTHING
            parts[1][draw > 1 - LEFT_OUT] = NOTHING
        model.fit(given(parts, places), digits, BATCH, verbose=0)


def accuracy(answers, digits):
    return 100 * float(np.mean(np.argmax(answers, -1) == digits))


def file_of(model, split, seed, path):
    """Writes the int8 file of a model of both; returns its `Tensors`."""
    from export import conversion
    from keras_resnet import files
    from keras_resnet.device.tensors import Tensors

    *parts, _ = pairs(split, np.random.default_rng(seed))
    files.write_bytes(path, conversion.convert("int8-ptq", model, parts, raw_pixels=False))
    return Tensors(path)


def answers_of(file, parts):
    names = list(file.inputs)
    pictures = next(name for name in names if "picture" in name)
    sounds = next(name for name in names if "recording" in name)
    (output,) = file.outputs
    found = []
    for picture, sound in zip(*parts, strict=True):
        made = file.dequantize(file.invoke(file.quantize({pictures: picture, sounds: sound})))
        found.append(made[output])
    return np.stack(found)


def one_seed(splits, epochs, seed, out):
    """Name of a row -> accuracy on the test pairs, in per cent."""
    shapes = {"picture": splits["train"][0].shape[1:], "recording": splits["train"][2].shape[1:]}
    *parts, digits = pairs(splits["test"], np.random.default_rng(1000))
    rows, names = {}, list(shapes)
    for kind, places in ALONE.items():
        model = network({names[place]: shapes[names[place]] for place in places}, seed)
        train(model, places, splits["train"], epochs, seed)
        rows[f"{kind}, float"] = accuracy(model.predict(given(parts, places), verbose=0), digits)
    without = {
        "both": parts,
        "the picture left out": [np.zeros_like(parts[0]), parts[1]],
        "the recording left out": [parts[0], np.zeros_like(parts[1])],
    }
    file = file_of(model, splits["train"], seed, out / f"fusion-{seed}.tflite")
    for name, those in without.items():
        if name != "both":
            rows[f"{name}, float"] = accuracy(model.predict(those, verbose=0), digits)
        rows[f"{name}, int8"] = accuracy(answers_of(file, those), digits)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fsdd", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fusion"))
    chosen = parser.parse_args()
    environment.load_tensorflow()
    splits, found = load(chosen.fsdd), {}
    for seed in map(int, chosen.seeds.split(",")):
        for name, value in one_seed(splits, chosen.epochs, seed, chosen.out).items():
            found.setdefault(name, []).append(value)
            print(f"seed {seed}, {name}: {value:.1f} %", flush=True)
    rows = [(name, mean_and_deviation(values) or f"{values[0]:.1f}") for name, values in found.items()]
    print("\n".join(markdown(("test pairs", "accuracy [%]"), rows)))


if __name__ == "__main__":
    main()
