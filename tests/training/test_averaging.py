"""The moving average of the weights: its formula, what is evaluated and kept, and that a killed run has the same."""

import dataclasses

import keras
import numpy as np
import pytest
from processes import assert_same_state, finish, kill, state

from keras_resnet import recipes, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.history import read_history
from keras_resnet.quantization.saved import load_model
from keras_resnet.training import averaging, trainer

SHORT = ("--dataset=digits", "--epochs=3", "--width=0.5", "--batch_size=32", "--ema=0.95")
# Whatever draws or remembers something, at once.
SHORT += ("--augmentation=crop,flip,trivial,jitter,erase,cutout", "--mixup=0.2", "--cutmix=1", "--loss=bce")
SHORT += ("--stochastic_depth=0.3", "--dropout=0.2", "--progressive=0.5")
SHORT += ("--sampling=balanced", "--optimizer=lamb", "--learning_rate=0.005", "--clip=1", "--accumulate=2")


def test_it_forgets_the_first_weights_soon_and_follows_every_few_steps():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    average = averaging.Average(model, 0.99)
    expected, kernel = 1.0, 1.0
    for step in range(1, 1001):
        kernel += 0.01
        model.layers[0].kernel.assign([[kernel]])
        average.follow(step)
        if step % 5 == 0:
            keep = min(0.99**5, (1 + step // 5) / (10 + step // 5))
            expected = keep * expected + (1 - keep) * kernel
    ((name, value),) = average.variables
    assert value.numpy()[0, 0] == pytest.approx(expected, rel=1e-4) and name.endswith("kernel")
    assert kernel - 1.0 == pytest.approx(10) and kernel - 1.3 < expected < kernel - 0.5  # a hundred steps behind
    with average.worn():
        assert model.layers[0].kernel.numpy()[0, 0] == value.numpy()[0, 0]
    assert model.layers[0].kernel.numpy()[0, 0] == pytest.approx(kernel)


def test_it_averages_norms_statistics_and_counts_updates():
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    average = averaging.Average(model, 0.5, accumulate=2)
    variables = {name.split("/")[-1]: value for name, value in average.variables}
    assert set(variables) == {"gamma", "beta", "moving_mean", "moving_variance"}
    model.layers[0].moving_mean.assign([1.0, 3.0])
    for batch in range(1, 10):
        average.follow(batch)
    np.testing.assert_array_equal(variables["moving_mean"], [0, 0])
    average.follow(10)  # the fifth update
    keep = min(0.5**5, 2 / 11)
    np.testing.assert_allclose(variables["moving_mean"], [1 - keep, 3 * (1 - keep)], rtol=1e-6)


def test_what_does_not_move_is_its_own_average_to_the_bit():
    weights = np.random.default_rng(0).normal(size=(100, 100)).astype("float32")
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100, use_bias=False)])
    model.layers[0].kernel.assign(weights)
    average = averaging.Average(model, 0.99)
    for step in range(5, 101, 5):
        average.follow(step)
    np.testing.assert_array_equal(average.variables[0][1].numpy(), weights)


def test_the_better_one_is_kept_and_named(tmp_path):
    recipe = dataclasses.replace(
        recipes.RECIPES["digits"], epochs=4, batch_size=128, ema=0.9, learning_rate=0.3, schedule="steps", warmup=0.0
    )
    one = trainer.Trainer(recipe, runs.Run(tmp_path / "run"), 300, load_dataset("digits"))
    one.fit()
    rows = read_history(tmp_path / "run" / "history.csv")
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert {row["averaged"] for row in rows} == {0.0, 1.0}, rows
    pictures, labels = next(iter(one.data.evaluation("validation", 1000)))
    logits = load_model(tmp_path / "run" / "model.keras")(pictures).numpy()
    assert np.mean(logits.argmax(-1) == labels.numpy()) == pytest.approx(best["val_accuracy"])
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, True)
    assert float(np.mean(losses)) == pytest.approx(best["val_loss"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_average(tmp_path):
    finish(tmp_path / "whole", recipe=SHORT)
    kill(tmp_path / "cut", (tmp_path / "cut" / "checkpoints" / "previous.npz").exists, "--save_seconds=0", recipe=SHORT)
    finish(tmp_path / "cut", recipe=SHORT)
    whole = state(tmp_path / "whole")
    assert any(name.startswith("average/") for name in whole)
    assert_same_state(whole, state(tmp_path / "cut"))
