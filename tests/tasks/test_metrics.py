"""Figures of merit against values worked out by hand."""

import tracemalloc

import numpy as np
import pytest

from keras_resnet.device.classes import Classes
from keras_resnet.tasks import metrics

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.9, 0.05, 0.05]]))
LABELS = np.array([0, 2, 2, 1])


def accumulated(logits, labels, batch=3):
    figures = metrics.Accumulator(logits.shape[1])
    for i in range(0, len(labels), batch):
        figures.add(logits[i : i + batch], labels[i : i + batch])
    return figures


def test_summary():
    figures = accumulated(LOGITS, LABELS).summary(("a", "b", "c"))
    assert figures["images"] == 4
    assert figures["top1_accuracy"] == 0.5
    assert figures["loss"] == pytest.approx(-np.log([0.7, 0.3, 0.5, 0.05]).mean())
    assert (figures["confused_pairs"], figures["confused"]) == (2, [["c", "b", 1], ["b", "a", 1]])
    assert figures["per_class"]["a"] == {"images": 1, "recall": 1.0, "precision": 0.5, "f1": pytest.approx(2 / 3)}
    assert figures["per_class"]["b"] == {"images": 1, "recall": 0.0, "precision": 0.0, "f1": 0.0}
    assert figures["per_class"]["c"] == {"images": 2, "recall": 0.5, "precision": 1.0, "f1": pytest.approx(2 / 3)}
    assert figures["balanced_accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert "top5_accuracy" not in figures


def test_batches_add_up():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 3, (500, 40)).astype(np.float32), rng.integers(0, 40, 500)
    whole = accumulated(logits, labels, 500)
    names = [str(i) for i in range(40)]
    for batch in (1, 7, 256):
        parts = accumulated(logits, labels, batch)
        np.testing.assert_array_equal(parts.matrix(range(40)), whole.matrix(range(40)))
        found, expected = parts.summary(names), whole.summary(names)
        for name in ("loss", "expected_calibration_error"):  # sums of floats
            assert found.pop(name) == pytest.approx(expected.pop(name), rel=1e-12)
        assert found == expected
    predictions = logits.argmax(-1)
    matrix = [[int(((labels == a) & (predictions == b)).sum()) for b in range(40)] for a in range(40)]
    np.testing.assert_array_equal(whole.matrix(range(40)), matrix)
    assert whole.scores()["loss"] == pytest.approx(metrics.losses(logits, labels).mean())


def test_a_majority_guess_is_seen_through():
    figures = accumulated(np.tile([3.0, 1.0], (100, 1)), np.repeat([0, 1], [95, 5]))
    assert figures.scores()["accuracy"] == 0.95
    assert figures.scores()["balanced_accuracy"] == 0.5
    assert figures.scores()["macro_f1"] == pytest.approx((2 * 95 / 195 + 0) / 2)
    assert figures.warning(("healthy", "ill")) == "never predicted: ill (1 of 2 classes)"
    assert accumulated(LOGITS, LABELS).warning(("a", "b", "c")) is None
    names = [f"class{i}" for i in range(9)]
    said = accumulated(np.eye(9)[[0] * 8], np.arange(8)).warning(names)  # the ninth has no picture: nothing was missed
    assert said == "never predicted: class1, class2, class3, class4, class5 and 2 more (7 of 9 classes)"


def test_scores_are_those_of_all_answers_at_once():
    """The plain formulas, where classes lack pictures, or answers, or both."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        logits = rng.normal(0, 2, (60, 9)).astype(np.float32)
        logits[:, 4] -= 50  # never named
        labels = rng.choice([0, 1, 2, 4, 5, 6], 60)  # 3 is named without pictures, 7 and 8 are, or not
        logits[:, 8] -= 50
        answers = logits.argmax(-1)
        probabilities = np.exp(logits.astype(np.float64))
        probabilities /= probabilities.sum(-1, keepdims=True)
        hits = [np.sum((labels == c) & (answers == c)) for c in range(9)]
        recalls = [hits[c] / np.sum(labels == c) for c in range(9) if c in labels]
        f1 = [2 * hits[c] / (np.sum(labels == c) + np.sum(answers == c)) for c in range(9) if c in {*labels, *answers}]
        error, confidences, right = 0.0, probabilities.max(-1), labels == answers
        for b in range(15):
            here = (confidences > b / 15) & (confidences <= (b + 1) / 15)
            error += abs(confidences[here].sum() - right[here].sum()) / 60
        summary = accumulated(logits, labels, 7).summary("abcdefghi")
        assert summary["loss"] == pytest.approx(-np.log(probabilities[np.arange(60), labels]).mean())
        assert summary["balanced_accuracy"] == pytest.approx(np.mean(recalls))
        assert summary["macro_f1"] == pytest.approx(np.mean(f1))
        assert summary["expected_calibration_error"] == pytest.approx(error)


def test_nothing_grows_with_the_square_of_the_classes():
    classes, rng = 100_000, np.random.default_rng(0)
    names = [f"n{i}" for i in range(classes)]
    tracemalloc.start()
    figures = metrics.Accumulator(classes)
    for _ in range(3):
        figures.add(rng.random((4, classes), np.float32), rng.integers(0, classes, 4))
    summary = figures.summary(names)
    counts = figures.matrix(figures.most_confused(30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.shape == (30, 30)
    assert summary["confused_pairs"] == len(summary["confused"]) == 12
    assert peak < 200e6  # the square of 100,000 takes 74 GB, even as bytes 9


def test_a_report_lists_the_most_frequent_confusions(monkeypatch):
    monkeypatch.setattr(metrics, "MOST_CONFUSED", 2)
    labels, predictions = [0, 0, 0, 1, 1, 2], [1, 1, 1, 2, 2, 0]
    summary = accumulated(np.eye(3)[predictions], np.array(labels)).summary(("a", "b", "c"))
    assert (summary["confused_pairs"], summary["confused"]) == (3, [["a", "b", 3], ["b", "c", 2]])


def test_the_most_confused_classes():
    figures = metrics.Accumulator(50)
    labels = np.array([7] * 5 + [30] * 4 + [2] * 3 + [41] * 9)
    figures.add(np.eye(50)[[8] * 5 + [7] * 4 + [3] * 3 + [41] * 9], labels)
    assert figures.most_confused(5) == [2, 3, 7, 8, 30]
    np.testing.assert_array_equal(figures.matrix([7, 8, 41]), [[0, 5, 0], [0, 0, 0], [0, 0, 9]])
    assert figures.most_confused(6) == [2, 3, 7, 8, 30, 41]  # nothing else is confused: the class with most pictures


def test_top5():
    rng = np.random.default_rng(0)
    logits = rng.permuted(np.tile(np.arange(20.0), (200, 1)), axis=1)
    labels = rng.integers(0, 20, 200)
    expected = np.mean([(row > row[label]).sum() < 5 for row, label in zip(logits, labels, strict=True)])
    assert accumulated(logits, labels).summary([str(i) for i in range(20)])["top5_accuracy"] == expected


def test_calibration_error():
    # Two bins of ten: |0.95 - 0.5| for two pictures, |0.6 - 1| for two.
    error, confidence, accuracy, count = metrics.calibration(
        metrics.binned(np.array([0.95, 0.95, 0.6, 0.6]), np.array([True, False, True, True]), bins=10)
    )
    assert error == pytest.approx((0.45 + 0.4) / 2)
    assert (count[9], count[5]) == (2, 2)
    assert (confidence[9], accuracy[9], accuracy[5]) == (pytest.approx(0.95), 0.5, 1.0)


def test_a_class_without_pictures_has_no_recall():
    figures = accumulated(LOGITS[:1], LABELS[:1]).summary(("a", "b", "c"))
    assert figures["per_class"]["b"] == {"images": 0, "recall": None, "precision": None, "f1": None}
    assert (figures["balanced_accuracy"], figures["macro_f1"]) == (1, 1)  # of the classes that are there


def test_softmax_and_losses_of_large_logits():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    np.testing.assert_allclose(Classes.activation(logits), [[1, 0], [0, 1]])
    np.testing.assert_allclose(metrics.losses(logits, np.array([0, 0])), [0, 1000])
