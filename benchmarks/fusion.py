"""Claim: a picture and a recording of the same digit, each too noisy alone, are read together by one int8 file.

    python -m benchmarks.fusion FSDD/ [--epochs=40] [--seeds=0,1,2] [--out=runs/fusion]

FSDD/ holds recordings of digits by class (`train/0/…`, `test/0/…`). The bundled digits' pictures are paired with
recordings of the same digit and split, anew in each epoch, and noise is laid over both, of test pairs, too. One network
has two residual backbones, whose features are laid side by side (Ngiam et al. 2011); in training one of its inputs is
left out now and then (Neverova et al. 2014, https://arxiv.org/abs/1501.00102), so that it answers without it, too.
Beside it each backbone alone, trained for as long. The file is what `python -m export` makes of the model, calibrated
by training pairs; the contract of both inputs is inside, so that `keras-resnet predict` reads pictures and recordings.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

from benchmarks.trainings import markdown, mean_and_deviation
from keras_resnet import environment
from keras_resnet.device.contract import Contract
from keras_resnet.device.reader import Reader
from keras_resnet.device.several import Several

BATCH, WIDTH = 32, 0.5
TEST_DRAWS = 5  # of a recording and of noise, for each of the test pictures
LEFT_OUT = 0.1  # part of the pairs whose picture training leaves out, and as many recordings
NOISE = {"picture": 2.4, "recording": 0.95}  # deviations, of what lies in [-1, 1): four of five are read alone


def load(folder):
    """Split -> input's name -> (examples, float32 in [-1, 1), and their digits); and the `Contract` of both."""
    from keras_resnet.data.decoding import normalize
    from keras_resnet.data.loading import load_dataset

    sets = {"picture": load_dataset("digits", channels=1), "recording": load_dataset(f"{folder}/")}
    labels = sets["recording"].contract.labels
    if labels != sets["picture"].contract.labels:
        raise SystemExit(f"{folder}: expected folders 0 to 9, got {', '.join(labels)}")
    both = {}
    for split in ("train", "test"):
        parts = {name: data.split(split) for name, data in sets.items()}
        both[split] = {name: (normalize(part.images), part.labels) for name, part in parts.items()}
    inputs = {name: data.contract.input for name, data in sets.items()}
    return both, Contract(Several(inputs, optional=tuple(inputs)), sets["picture"].contract.output)


def pairs(split, rng):
    """(input's name -> examples, their digits): each picture with a recording of the same digit, under noise."""
    (pictures, digits), (recordings, spoken) = split["picture"], split["recording"]
    with_digit = [np.flatnonzero(spoken == digit) for digit in range(10)]
    chosen = np.array([rng.choice(with_digit[digit]) for digit in digits])
    clean = {"picture": pictures, "recording": recordings[chosen]}
    noisy = {name: x + rng.normal(0, NOISE[name], x.shape) for name, x in clean.items()}
    return {name: np.clip(x, -1, 127 / 128).astype(np.float32) for name, x in noisy.items()}, digits


def network(shapes, seed):
    """From the inputs of these names and shapes to ten logits."""
    import keras

    from keras_resnet import ResNet

    keras.utils.set_random_seed(seed)
    inputs, features = [], []
    for name, shape in shapes.items():
        given = keras.Input(shape, name=name)
        body = ResNet(8, shape, width=WIDTH, stem="small", include_top=False)

        def renamed(layer, name=name):
            return type(layer).from_config({**layer.get_config(), "name": f"{name}_{layer.name}"})

        body = keras.models.clone_model(body, input_tensors=given, clone_function=renamed)
        inputs.append(given)
        features.append(keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(body.outputs[0]))
    together = keras.layers.Concatenate(name="together")(features) if len(features) > 1 else features[0]
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(together), name="fusion")


def train(model, split, epochs, seed):
    """Trains by Muon on pairs that are drawn anew in each epoch."""
    import keras

    from keras_resnet.networks.weights import copy_weights
    from keras_resnet.recipes import Recipe
    from keras_resnet.training.normalization import training_twin
    from keras_resnet.training.optimization import make_optimizer

    rng, twin = np.random.default_rng(seed), training_twin(model, "fused")
    recipe = Recipe(epochs=epochs, optimizer="muon", learning_rate=0.02, weight_decay=0.005, warmup=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(make_optimizer(recipe, epochs * -(-len(split["picture"][0]) // BATCH)), loss)
    names = [tensor.name for tensor in model.inputs]
    for _ in range(epochs):
        examples, digits = pairs(split, rng)
        if len(names) > 1:
            draw = rng.random(len(digits))
            examples["picture"][draw < LEFT_OUT] = 0
            examples["recording"][draw > 1 - LEFT_OUT] = 0
        twin.fit([examples[name] for name in names], digits, BATCH, verbose=0)
    copy_weights(twin, model)


def exported(model, split, contract, seed, path):
    """`Reader` of the int8 file that is made of a model, saved at a path."""
    model.save(path)
    path.with_suffix(".json").write_text(json.dumps(contract.as_json()))
    np.savez(path.with_suffix(".npz"), **pairs(split, np.random.default_rng(seed))[0])
    flags = [f"--examples={path.with_suffix('.npz')}", f"--contract={path.with_suffix('.json')}"]
    flags += ["--calibration=500", "--formats=int8-qat"]
    subprocess.run([sys.executable, "-m", "export", path, *flags], check=True, stdout=sys.stderr)
    return Reader(path.parent / f"{path.stem}-export" / f"{path.stem}-int8-qat.tflite")


def answers(file, examples):
    """The file's logits, float32 (n, 10), of examples in [-1, 1), which are rounded to the contract's bytes."""
    pixels = {name: np.rint(128 * x + 128).astype(np.uint8) for name, x in examples.items()}
    each = (dict(zip(pixels, one, strict=True)) for one in zip(*pixels.values(), strict=True))
    return np.stack([file.dequantize(file.run(one)) for one in each])


def one_seed(splits, contract, epochs, seed, out):
    """Name of a row -> accuracy on the test pairs in per cent, of the model and, of both inputs, of its file."""
    many = {name: [np.concatenate([part] * TEST_DRAWS) for part in parts] for name, parts in splits["test"].items()}
    examples, digits = pairs(many, np.random.default_rng(1000))
    shapes = {name: x.shape[1:] for name, x in examples.items()}

    def predicted(model, examples):
        return model.predict([examples[tensor.name] for tensor in model.inputs], verbose=0)

    def accuracy(logits):
        return 100 * float(np.mean(np.argmax(logits, -1) == digits))

    rows = {}
    for name, shape in shapes.items():
        alone = network({name: shape}, seed)
        train(alone, splits["train"], epochs, seed)
        rows[f"{name} alone"] = [accuracy(predicted(alone, examples))]
    model = network(shapes, seed)
    train(model, splits["train"], epochs, seed)
    file = exported(model, splits["train"], contract, seed, out / f"fusion-{seed}.keras")
    for name, missing in {"both": (), "both, no picture": ("picture",), "both, no recording": ("recording",)}.items():
        given = {**examples, **{one: np.zeros_like(examples[one]) for one in missing}}
        rows[name] = [accuracy(predicted(model, given)), accuracy(answers(file, given))]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fsdd", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fusion"))
    chosen = parser.parse_args()
    environment.load_tensorflow()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (splits, contract), found = load(chosen.fsdd), {}
    for seed in map(int, chosen.seeds.split(",")):
        for name, values in one_seed(splits, contract, chosen.epochs, seed, chosen.out).items():
            found.setdefault(name, []).append(values)
            print(f"seed {seed}, {name}: {', '.join(f'{value:.1f} %' for value in values)}", flush=True)
    rows = []
    for name, values in found.items():
        cells = [mean_and_deviation(column) or f"{column[0]:.1f}" for column in zip(*values, strict=True)]
        rows.append((name, *cells, *[""] * (2 - len(cells))))
    print("\n".join(markdown(("accuracy of test pairs, %", "Keras, float32", "int8 file"), rows)))


if __name__ == "__main__":
    main()
