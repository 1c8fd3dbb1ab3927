"""Which words speak for a class: of a network whose answer is the sum of what its words say, exactly these."""

import keras
import numpy as np
import pytest

from keras_resnet import drawing
from keras_resnet.device.text import Text
from keras_resnet.reports import words


def adding(text, says):
    """A network whose one class has the sum of its numbers' rows as its logit."""
    ids = keras.Input(text.shape, dtype="int32")
    table = keras.layers.Embedding(text.numbers, 2, name="table")
    model = keras.Model(ids, keras.layers.Lambda(lambda x: keras.ops.sum(x, (1, 2)))(table(ids)))
    table.set_weights([np.stack([says, np.zeros_like(says)], 1)])
    return model


def test_weights_are_what_words_add():
    text = Text(("good", "not", "film"), 6)
    says = np.float32([0, 0, 3, -2, 0.5])
    weighed = words.weights(adding(text, says), text.ids("Not good, film"), 0)
    np.testing.assert_allclose(weighed, [-2, 3, 0, 0.5], atol=1e-5)
    assert words.line(["not", "good", ",", "film"], weighed, False) == "not[-2.00] good[+3.00] , film[+0.50]"
    assert "\033[42mgood\033[0m" in words.line(["not", "good", ",", "film"], weighed, True)


@pytest.mark.parametrize("pieces", (0, 5))
def test_pairs_are_hidden_with_their_words(pieces):
    text = Text(("not", "good"), 4, pairs=8, pieces=pieces)
    says = np.zeros(text.numbers, np.float32)
    ids = text.ids("not good good")
    says[ids[0, 1]] = 5  # of "not good"
    assert ids[0, 1] != ids[1, 1]
    np.testing.assert_allclose(words.weights(adding(text, says), ids, 0), [5, 5, 0], atol=1e-5)
    np.testing.assert_allclose(words.weights(adding(text, says), ids, 1), [-5, -5, 0], atol=1e-5)


def test_a_long_text_is_wrapped_and_an_empty_one_drawn():
    said = ["word"] * 60
    image = drawing.pixels(words.figure(said, [("good 90 %", np.linspace(-1, 1, 60, dtype=np.float32))] * 2, "title"))
    assert image.shape[0] > 300 and (image != 255).any()
    drawing.pixels(words.figure([], [("good 50 %", np.zeros(0, np.float32))], "nothing"))
    assert words.weights(adding(Text(("a",), 3), np.zeros(3, np.float32)), np.zeros((3, 1), np.int32), 0).shape == (0,)


def test_odds_are_against_all_other_classes():
    text, rng = Text(("a", "b"), 2), np.random.default_rng(0)
    ids = keras.Input(text.shape, dtype="int32")
    table = keras.layers.Embedding(text.numbers, 3)
    model = keras.Model(ids, keras.layers.Lambda(lambda x: keras.ops.sum(x, (1, 2)))(table(ids)))
    says = rng.normal(size=(text.numbers, 3))
    table.set_weights([says])

    def odds(*numbers):
        p = np.exp(says[list(numbers)].sum(0))
        return np.log(p[1] / (p[0] + p[2]))

    expected = [odds(2, 3) - odds(1, 3), odds(2, 3) - odds(2, 1)]
    np.testing.assert_allclose(words.weights(model, text.ids("a b"), 1), expected, atol=1e-5)
