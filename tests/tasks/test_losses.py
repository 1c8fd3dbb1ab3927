"""Each loss against its paper's formula, by hand in NumPy."""

import numpy as np
import pytest

from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture
from keras_resnet.recipes import Recipe
from keras_resnet.tasks import losses
from keras_resnet.tasks.classification import Classification

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], "float32")
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
SIGMOID = 1 / (1 + np.exp(-LOGITS))
LABELS = np.array([0, 1])


def binary(targets):
    return -(targets * np.log(SIGMOID) + (1 - targets) * np.log(1 - SIGMOID)).mean(-1)


def test_softmax_smoothed_or_of_given_probabilities():
    smooth = np.eye(3)[LABELS] * 0.9 + 0.1 / 3
    np.testing.assert_allclose(
        losses.classification(0.1)(LABELS, LOGITS), -(smooth * np.log(SOFTMAX)).sum(-1), rtol=1e-5
    )
    given = np.array([[0.7, 0.3, 0.0], [0.0, 0.25, 0.75]], "float32")
    np.testing.assert_allclose(losses.classification(0.1)(given, LOGITS), -(given * np.log(SOFTMAX)).sum(-1), rtol=1e-5)


def test_binary_counts_what_is_mixed_in_as_there():
    np.testing.assert_allclose(losses.classification(kind="bce")(LABELS, LOGITS), binary(np.eye(3)[LABELS]), rtol=1e-5)
    smooth = np.eye(3)[LABELS] * 0.9 + 0.1 / 3
    np.testing.assert_allclose(losses.classification(0.1, "bce")(LABELS, LOGITS), binary(smooth), rtol=1e-5)
    given = np.array([[0.7, 0.3, 0.0], [0.0, 0.15, 0.85]], "float32")
    there = np.array([[1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(losses.classification(kind="bce")(given, LOGITS), binary(there), rtol=1e-5)


def test_focal():
    p = SOFTMAX[[0, 1], LABELS]
    expected = -((1 - p) ** 2) * np.log(p)
    np.testing.assert_allclose(losses.classification(kind="focal")(LABELS, LOGITS), expected, rtol=1e-5)
    targets = np.eye(3)[LABELS]
    right = np.where(targets, SIGMOID, 1 - SIGMOID)
    expected = (-((1 - right) ** 2) * np.log(right)).mean(-1)
    np.testing.assert_allclose(losses.several(kind="focal")(targets, LOGITS), expected, rtol=1e-4)


def test_focal_smoothed():
    smooth = np.eye(3)[LABELS] * 0.9 + 0.1 / 3
    expected = -(smooth * (1 - SOFTMAX) ** 2 * np.log(SOFTMAX)).sum(-1)
    np.testing.assert_allclose(losses.classification(0.1, "focal")(LABELS, LOGITS), expected, rtol=1e-5)
    plain, smoothed = (losses.several(s, "focal")(np.eye(3)[LABELS], LOGITS) for s in (0.0, 0.2))
    t = np.eye(3)[LABELS] * 0.8 + 0.1
    # Keras weighs by how far the smoothed target is from the answer.
    distance = 1 - (t * SIGMOID + (1 - t) * (1 - SIGMOID))
    expected = (distance**2 * -(t * np.log(SIGMOID) + (1 - t) * np.log(1 - SIGMOID))).mean(-1)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-4)
    assert np.abs(plain - smoothed).min() > 0.005


def test_a_rare_class_counts_as_much_as_a_large_one():
    weights = losses.balanced_weights(np.array([0] * 8 + [1] * 2 + [2] * 2), 3)
    np.testing.assert_allclose(weights, [0.5, 2, 2])
    plain = losses.classification()(LABELS, LOGITS)
    np.testing.assert_allclose(losses.classification(weights=weights)(LABELS, LOGITS), plain * [0.5, 2], rtol=1e-6)
    mixed = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0]], "float32")
    plain = losses.classification()(mixed, LOGITS)
    np.testing.assert_allclose(losses.classification(weights=weights)(mixed, LOGITS), plain * [1.1, 2], rtol=1e-6)
    for kind in ("auto", "bce", "focal"):  # of a mixed example the weights' mean, and equal weights change nothing
        for targets in (LABELS, mixed):
            plain = losses.classification(0.1, kind)(targets, LOGITS)
            same = losses.classification(0.1, kind, np.ones(3, "float32"))(targets, LOGITS)
            np.testing.assert_allclose(same, plain, rtol=1e-6)


def test_smoothed_targets_of_mixing_keep_a_rare_class_its_weight():
    task = Classification(Contract(Picture(8, 8, 3), Classes(("a", "b"))))
    recipe, labels = Recipe(label_smoothing=0.1, class_weights="balanced", mixup=0.2), np.array([0] * 9 + [1])
    targets = np.array(task.probable(labels, recipe))
    values = np.array(task.loss(recipe, labels)(targets, np.zeros((10, 2), "float32")))
    assert values[:9].sum() == pytest.approx(values[9], rel=1e-5)


def test_a_class_that_is_not_there_takes_no_weight_from_the_others():
    weights = losses.balanced_weights(np.array([0, 0, 0, 2]), 3)
    np.testing.assert_allclose(weights[[0, 2]], [2 / 3, 2])


def test_class_weights_want_labels_that_are_known():
    task = Classification(Contract(Picture(8, 8, 3), Classes(("a", "b"))))
    recipe = Recipe(class_weights="balanced")
    assert task.loss(recipe, np.array([0, 0, 1])) is not None
    with pytest.raises(ValueError, match="--class_weights=balanced: a data set that is streamed"):
        task.loss(recipe, None)


def test_labels_become_smoothed_probabilities():
    task = Classification(Contract(Picture(8, 8, 3), Classes(("a", "b", "c", "d"))))
    found = task.probable(np.array([1, 3]), Recipe(label_smoothing=0.2))
    np.testing.assert_allclose(found, np.eye(4)[[1, 3]] * 0.8 + 0.05, rtol=1e-6)


@pytest.mark.parametrize("kind", ["auto", "bce", "focal"])
def test_several_labels(kind):
    targets = np.array([[1, 1, 0], [0, 0, 0]], "float32")
    if kind != "focal":
        np.testing.assert_allclose(losses.several(kind=kind)(targets, LOGITS), binary(targets), rtol=1e-5)
    assert losses.several(kind=kind)(targets, LOGITS).shape == (2,)
