"""From a recipe's fields to the parts of a training: each of them is where it is meant to be. Nothing is trained."""

import dataclasses
import math

import numpy as np
import pytest

from keras_resnet import runs
from keras_resnet.data import augmentation, order, random_operations
from keras_resnet.data.loading import load_dataset
from keras_resnet.recipes import RECIPES
from keras_resnet.training import regularization, trainer

RECIPE = dataclasses.replace(RECIPES["digits"], width=0.25, augmentation="none", seed=3)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def loss(one, label):
    """Of an example whose logits say nothing; binary, it is that of ten answers of one half."""
    logits = np.zeros((1, 10), "float32")
    return float(one.twin.compute_loss(None, np.array([label]), logits))


def zoomed_far(one, data):
    asked, usual = [], augmentation.draw_moves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "draw_moves", lambda *given: asked.append(given) or usual(*given))
        one.batches(1, 0).take(1)
    assert [given[-2] for given in asked] == [2.5]


def repeated_and_strong(one, data):
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(random_operations, "rand", lambda image, seed, magnitude: asked.append(magnitude) or image)
        ((images, labels),) = one.batches(1, 0).take(1).as_numpy_iterator()
    assert set(asked) == {21} and images.shape == (32, 16, 16, 3)
    shown = order.repeated(len(data.train), 3, 1, 3)[:32]
    np.testing.assert_array_equal(labels, data.train.labels[shown])
    np.testing.assert_array_equal(images[0], images[2])  # the last of three views, which nothing changed here
    assert not np.array_equal(images[2], images[3])
    assert loss(one, 0) == pytest.approx(math.log(2))


def shown_twice(one, data):
    half = len(data.train) // 32
    assert one.steps == 2 * half

    def images(batches):
        return [image for image, _ in batches.as_numpy_iterator()]

    def one_pass(number, first_step=0):
        return images(data.training(32, 3, number, first_step, pixels=True))

    np.testing.assert_array_equal(images(one.batches(1, 0)), one_pass(2) + one_pass(3))
    np.testing.assert_array_equal(images(one.batches(1, half - 1)), one_pass(2, half - 1) + one_pass(3))
    np.testing.assert_array_equal(images(one.batches(1, half + 4)), one_pass(3, 4))


def balanced_and_focal(one, data):
    ((images, _),) = one.batches(1, 0).take(1).as_numpy_iterator()
    shown = order.balanced(data.train.labels, 3, 1)[:32]
    np.testing.assert_array_equal(images, data.train.images[shown])
    assert loss(one, 0) == pytest.approx(0.9**2 * math.log(10))


def weighted_and_noisy(one, data):
    for label in (3, 8):
        weight = len(data.train) / 10 / np.sum(data.train.labels == label)
        assert weight != 1 and loss(one, label) == pytest.approx(weight * math.log(10))
    rates = {name: layer.rate for name, layer in one.layers.items() if isinstance(layer, regularization.Noisy)}
    assert rates.pop("logits") == 0.5
    assert rates == pytest.approx({f"stage{i}_block1_add": 0.3 * (i - 1) / 3 for i in (2, 3, 4)})
    assert one.layers["logits"].seed == (3, 3) and int(one.layers["logits"].step()) == 0


def another_network(one, data):
    names = {layer.name for layer in one.model.layers}
    assert {"stem_conv2", "stem_pool_blur", "stage3_block1_shortcut_pool", "stage4_block1_conv1_blur"} <= names
    assert one.model.get_layer("stage4_block1_se_reduce").filters == 4  # of 16


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        (
            {"augmentation": "rand", "magnitude": 21, "repeats": 3, "train_size": 16, "loss": "bce"},
            repeated_and_strong,
        ),
        ({"augmentation": "zoom", "zoom": 2.5}, zoomed_far),
        ({"passes": 2}, shown_twice),
        ({"sampling": "balanced", "loss": "focal"}, balanced_and_focal),
        ({"class_weights": "balanced", "stochastic_depth": 0.3, "dropout": 0.5}, weighted_and_noisy),
        ({"stem": "deep", "shortcut": "pool", "se": 0.25, "blur": 1}, another_network),
    ],
)
def test_each_field_reaches_what_it_is_for(digits, tmp_path, fields, check):
    recipe = dataclasses.replace(RECIPE, **fields)
    recipe.check()
    check(trainer.Trainer(recipe, runs.Run(tmp_path / "run"), 300, digits), digits)
