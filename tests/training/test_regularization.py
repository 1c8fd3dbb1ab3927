"""Stochastic depth and dropout: how often, how much, never at evaluation, and from (seed, step) alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_resnet import recipes, runs
from keras_resnet.networks.resnet import ResNet
from keras_resnet.training import normalization, regularization

RECIPE = dataclasses.replace(recipes.Recipe(), stochastic_depth=0.4, dropout=0.5)


def clock(layer, seed=3, step=7):
    layer.rate, layer.seed = 0.4, (seed, 0)
    layer.step = lambda: tf.constant(step)
    return layer


def test_a_branch_is_left_out_of_some_pictures_and_scaled_up_in_the_others():
    add = clock(regularization.StochasticAdd())
    shortcut, branch = np.full((4000, 2, 2, 3), 10, "float32"), np.ones((4000, 2, 2, 3), "float32")
    out = add([shortcut, branch], training=True).numpy()
    np.testing.assert_allclose(np.unique(out), [10, 10 + 1 / 0.6], rtol=1e-6)
    assert (out == out[:, :1, :1, :1]).all()  # whole branches
    assert np.mean(out == 10) == pytest.approx(0.4, abs=0.03)
    np.testing.assert_array_equal(add([shortcut, branch], training=False), shortcut + branch)


def test_dropout_before_the_last_layer():
    dense = clock(regularization.DroppedDense(1, kernel_initializer="ones"))
    out = dense(np.ones((2000, 10), "float32"), training=True).numpy() * 0.6
    assert np.mean(out) == pytest.approx(6, abs=0.1) and np.var(out) == pytest.approx(10 * 0.4 * 0.6, rel=0.1)
    np.testing.assert_array_equal(dense(np.ones((3, 10), "float32"), training=False), np.full((3, 1), 10))


def test_draws_follow_seed_and_step_alone():
    def drawn(**at):
        return clock(regularization.StochasticAdd(), **at).kept((50,)).numpy()

    np.testing.assert_array_equal(drawn(), drawn())
    for other in (drawn(step=8), drawn(seed=4)):
        assert not np.array_equal(drawn(), other)


def test_the_rate_grows_from_block_to_block_and_the_saved_model_has_stock_layers():
    model = ResNet(20, (32, 32, 3), 10)
    others = regularization.noisy_layers(model, RECIPE)
    assert [rate for kind, rate in others.values() if kind is regularization.StochasticAdd] == pytest.approx(
        [0.4 * i / 9 for i in range(1, 10)]
    )
    twin = normalization.training_twin(model, "stock", others=others)
    regularization.wind(twin, 0, lambda: tf.constant(0))
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(twin(pictures, training=False), model(pictures, training=False), atol=1e-6)
    assert len({layer.seed for layer in twin.layers if isinstance(layer, regularization.Noisy)}) == 10
    assert not any(isinstance(layer, regularization.Noisy) for layer in model.layers)
    assert [v.path for v in twin.variables] == [v.path for v in model.variables]  # no state to lose


def test_without_blocks_it_says_so():
    import keras

    image = keras.Input((8, 8, 3))
    y = layers.Add(name="block2_add")([layers.Conv2D(3, 1)(image), image])  # the branch first, as in others' networks
    plain = keras.Model(image, layers.Dense(2)(layers.Flatten()(y)), name="plain")
    with pytest.raises(runs.RunError, match=r"--stochastic_depth=0\.4: plain has no additions of ResNet's"):
        regularization.noisy_layers(plain, RECIPE)
