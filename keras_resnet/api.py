"""The package from Python: `train` with one's own data and network, `load` what answers."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from keras_resnet import environment, models, runs
from keras_resnet.data import SPLITS
from keras_resnet.device.contract import Contract
from keras_resnet.recipes import RECIPES


@dataclasses.dataclass(frozen=True)
class Model:
    """What answers.

    Attributes:
        contract: from a picture to the network's input, from its output to an answer.
        scores: from pixels, uint8 (height, width, channels), to the network's output, as scores, float32 (classes,).
        network: the `keras.Model`, or the reader of a `.tflite`.
    """

    contract: Contract
    scores: Callable
    network: object

    def predict_picture(self, file, top=5):
        """What a picture file shows, a path or a binary file, as `device.classes.Likeliest` or `device.boxes.Found`.

        Raises:
            PictureError: it can't be read.
        """
        pixels, size = self.contract.input.read_sized(file, file)
        return self.contract.answer(self.scores(pixels), size, top)

    def predict_text(self, text, top=5):
        """What a text says, as `device.classes.Likeliest`.

        Raises:
            ValueError: this model takes something else.
        """
        if self.contract.input.KIND != "text":
            things = self.contract.input.THINGS
            raise ValueError(f"predict_text: this model takes {things}; give predict_picture a file")
        return self.contract.answer(self.scores(self.contract.input.ids(text)), None, top)


def load(name):
    """Loads what answers.

    Args:
        name: a run's folder, a shipped model's name, or a `.tflite` file.

    Raises:
        ValueError: it is none of these, or broken.
    """
    path = pathlib.Path(name)
    path = path if path.exists() else models.files().get(str(name), path)
    if path.suffix == ".tflite":
        from keras_resnet.device.reader import Reader

        reader = Reader(path)
        return Model(reader.contract, lambda pixels: reader.dequantize(reader.run(pixels)), reader)
    if not path.is_dir():
        path = models.folder(name)
    environment.load_tensorflow()
    from keras_resnet.quantization.saved import load_model

    run = runs.Run(path)
    runs.check_model(run)
    network, contract = load_model(run.model), runs.load_contract(run)
    return Model(contract, lambda pixels: _scores(network, contract.input.scaled(pixels)), network)


def _scores(network, x):
    made = network(x[None], training=False)
    return [np.asarray(one)[0] for one in made] if isinstance(made, list) else np.asarray(made)[0]


def train(recipe, data=None, contract=None, model=None, run_dir=None, split="validation"):
    """Trains a recipe, or continues, and reports; `python train.py` from Python, with one's own data and network.

    A run of arrays resumes bit for bit. Of a pipeline that somebody else made, the order is its own.

    Args:
        recipe: `Recipe`, or the name of one.
        data: (train, validation) or (train, validation, test), see `data.given.make`; by default the recipe's.
        contract: `Contract` of that data.
        model: functional `keras.Model` from pictures, scaled by the contract, to logits; by default the recipe's.
        run_dir: the run's folder.
        split: which one the report is about.

    Returns:
        `Model`, the best on validation.

    Raises:
        ValueError: something given can't be; the message says what was expected.
    """
    if isinstance(recipe, str) and recipe not in RECIPES:
        raise ValueError(f"recipe={recipe!r}: choose {', '.join(RECIPES)}, or give a Recipe")
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: choose {', '.join(SPLITS)}")
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    if run_dir is None or (data is None) != (contract is None):
        raise ValueError("train: expected run_dir, and data with its contract or neither")
    if recipe.strategy == "multi_worker":
        raise ValueError("train: several machines begin by python train.py --strategy=multi_worker; docs/cluster.md")
    environment.load_tensorflow()
    from keras_resnet.reports import evaluation
    from keras_resnet.training import trainer

    if data is not None:
        from keras_resnet.data import given

        data, picture = given.make(data, contract), contract.input
        if not len(data.split(split)):
            raise ValueError(f"split={split}: none was given; data=(train, validation, test) has one")
        recipe = dataclasses.replace(
            recipe,
            dataset="given",
            image_size=f"{picture.height}x{picture.width}",
            channels=picture.channels,
            crop_fraction=picture.crop_fraction,
            resize=picture.resize,
        )
    recipe.check()
    run = runs.Run(pathlib.Path(run_dir))
    runs.check(run, recipe)
    trained = trainer.train(recipe, run.path, data=data, model=model)
    if trained or not evaluation.has_report(run.path, split):
        evaluation.report(run.path, split, trained or data)
    return load(run.path)
