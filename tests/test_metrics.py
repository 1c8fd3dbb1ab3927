"""Figures of merit against values worked out by hand."""

import numpy as np
import pytest

from keras_resnet import metrics

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.9, 0.05, 0.05]]))
LABELS = np.array([0, 2, 2, 1])


def test_summary():
    figures = metrics.summary(LOGITS, LABELS, ("a", "b", "c"))
    assert figures["images"] == 4
    assert figures["top1_accuracy"] == 0.5
    assert figures["loss"] == pytest.approx(-np.log([0.7, 0.3, 0.5, 0.05]).mean())
    assert figures["confusion"] == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert figures["per_class"]["a"] == {"images": 1, "recall": 1.0, "precision": 0.5}
    assert figures["per_class"]["b"] == {"images": 1, "recall": 0.0, "precision": 0.0}
    assert figures["per_class"]["c"] == {"images": 2, "recall": 0.5, "precision": 1.0}
    assert "top5_accuracy" not in figures


def test_top5():
    rng = np.random.default_rng(0)
    logits = rng.permuted(np.tile(np.arange(20.0), (200, 1)), axis=1)
    labels = rng.integers(0, 20, 200)
    expected = np.mean([(row > row[label]).sum() < 5 for row, label in zip(logits, labels, strict=True)])
    assert metrics.summary(logits, labels, [str(i) for i in range(20)])["top5_accuracy"] == expected


def test_calibration_error():
    # Two bins of ten: |0.95 - 0.5| for two pictures, |0.6 - 1| for two.
    error, confidence, accuracy, count = metrics.calibration(
        np.array([0.95, 0.95, 0.6, 0.6]), np.array([True, False, True, True]), bins=10
    )
    assert error == pytest.approx((0.45 + 0.4) / 2)
    assert (count[9], count[5]) == (2, 2)
    assert (confidence[9], accuracy[9], accuracy[5]) == (pytest.approx(0.95), 0.5, 1.0)


def test_a_class_without_pictures_has_no_recall():
    figures = metrics.summary(LOGITS[:1], LABELS[:1], ("a", "b", "c"))
    assert figures["per_class"]["b"] == {"images": 0, "recall": None, "precision": None}


def test_softmax_and_losses_of_large_logits():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    np.testing.assert_allclose(metrics.softmax(logits), [[1, 0], [0, 1]])
    np.testing.assert_allclose(metrics.losses(logits, np.array([0, 0])), [0, 1000])
