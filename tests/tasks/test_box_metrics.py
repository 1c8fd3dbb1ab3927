"""COCO's figures of boxes: worked out by hand, and beside the rule written down again."""

import numpy as np
import pytest

from keras_resnet.data.annotated import NOTHING
from keras_resnet.device.boxes import Boxes, overlaps
from keras_resnet.tasks import box_metrics

LABELS = ("a", "b")
BOX = (10.0, 10.0, 50.0, 50.0)


def found(*rows):
    """(boxes, classes, probabilities) of rows (box, class, probability)."""
    boxes, classes, probabilities = ([row[i] for row in rows] for i in range(3))
    return np.reshape(boxes, (-1, 4)), np.array(classes, int), np.array(probabilities)


def there(*rows):
    return np.float32([[*box, kind, hard] for box, kind, hard in rows]).reshape(-1, 6)


def test_what_is_found_wholly():
    scores = box_metrics.figures(
        [found((BOX, 0, 0.9)), found((BOX, 1, 0.8))], [there((BOX, 0, 0)), there((BOX, 1, 0))], LABELS
    )
    for name in ("map", "map50", "map75", "map_medium", "recall", "map50 of a", "map50 of b"):
        assert scores[name] == pytest.approx(1), name
    assert np.isnan(scores["map_small"]) and np.isnan(scores["map_large"])


def test_a_box_that_is_found_half_counts_at_low_overlaps_alone():
    """3/4 of the box, as overlaps go: 0.5 to 0.75 count, 0.8 to 0.95 do not."""
    part = (10.0, 10.0, 50.0, 40.0)
    scores = box_metrics.figures([found((part, 0, 0.9))], [there((BOX, 0, 0))], LABELS)
    assert scores["map50"] == scores["map75"] == pytest.approx(1) and scores["map"] == pytest.approx(0.6)


def test_false_alarms_cost_by_their_place_and_hard_boxes_nothing():
    far = (60.0, 60.0, 90.0, 90.0)
    truth = [there((BOX, 0, 0), (far, 0, 1))]
    assert box_metrics.figures([found((BOX, 0, 0.5), (far, 0, 0.9))], truth, LABELS)["map50"] == pytest.approx(1)
    assert box_metrics.figures([found((BOX, 0, 0.5))], truth, LABELS)["map50"] == pytest.approx(1)
    beside = (0.0, 60.0, 9.0, 90.0)
    assert box_metrics.figures([found((BOX, 0, 0.5), (beside, 0, 0.9))], truth, LABELS)["map50"] == pytest.approx(0.5)
    assert box_metrics.figures([found((BOX, 0, 0.9), (beside, 0, 0.5))], truth, LABELS)["map50"] == pytest.approx(1)


def test_nothing_found_and_nothing_there():
    assert box_metrics.figures([found()], [there((BOX, 0, 0))], LABELS)["map50"] == 0
    assert np.isnan(box_metrics.figures([found((BOX, 0, 0.9))], [there()], LABELS)["map50"])


def by_hand(pictures, truths, kind, least=0.5):
    """Average precision at one overlap by the rule of 101 points, each found box taking the likeliest true one left."""
    rows = sorted(
        ((p, i, box) for i, picture in enumerate(pictures) for box, k, p in zip(*picture, strict=True) if k == kind),
        key=lambda row: -row[0],
    )
    left = [truth[truth[:, 4] == kind][:, :4].tolist() for truth in truths]
    total, right = sum(map(len, left)), []
    for _, i, box in rows:
        shared = overlaps(box, np.reshape(left[i], (-1, 4))) if left[i] else np.zeros(0)
        right.append(bool(len(shared)) and shared.max() >= least)
        if right[-1]:
            del left[i][int(shared.argmax())]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    recall = np.cumsum(right) / total
    return np.mean([max(precision[recall >= point], default=0) for point in np.linspace(0, 1, 101)])


def test_beside_the_rule_written_down_again():
    rng = np.random.default_rng(0)
    pictures, truths = [], []
    for _ in range(12):
        corners = rng.uniform(0, 200, (6, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(20, 60, (6, 2))], -1)
        kinds = rng.integers(0, 2, 6)
        truths.append(np.column_stack([boxes, kinds, np.zeros(6)]).astype(np.float32))
        moved = np.concatenate([boxes + rng.normal(0, 4, boxes.shape), rng.uniform(0, 100, (3, 4)).cumsum(-1)])
        pictures.append((moved, np.concatenate([kinds, rng.integers(0, 2, 3)]), rng.random(9)))
    scores = box_metrics.figures(pictures, truths, LABELS)
    for i, label in enumerate(LABELS):
        assert scores[f"map50 of {label}"] == pytest.approx(by_hand(pictures, truths, i), abs=1e-6)
    assert 0.2 < scores["map50"] < 0.95


def test_batches_of_answers():
    """A cell that says all: its box is found, an empty row of the targets counts for nothing."""
    contract = Boxes(LABELS, ((4, 4, 16),))
    location, score = np.zeros((1, 16, 4), np.float32), np.full((1, 16, 2), -9.0, np.float32)
    score[0, 5, 1] = 3.0
    (box,) = contract.placed(location[0])[5:6]
    task = box_metrics.BoxesFound(contract)
    task.add(location, score, np.float32([[[*box, 1, 0], NOTHING]]))
    assert task.scores()["map"] == pytest.approx(1)


def test_what_is_missing_is_said_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(box_metrics.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pycocotools, which is not installed; type pip install -e"):
        box_metrics.check_installed()


def shown(pictures, truths, threshold=0.3):
    """`BoxesFound` that has seen so."""
    boxes = box_metrics.BoxesFound(Boxes(LABELS, ((1, 1, 8),), threshold=threshold))
    boxes.found, boxes.there = list(pictures), list(truths)
    return boxes


def test_confusion_with_nothing_worked_out_by_hand():
    far, off = (60.0, 60.0, 90.0, 90.0), (200.0, 200.0, 240.0, 240.0)
    near = (12.0, 12.0, 52.0, 52.0)
    pictures = [
        found((BOX, 0, 0.9), (near, 0, 0.8), (far, 0, 0.7), (off, 1, 0.6), (off, 0, 0.1)),
        found((BOX, 1, 0.5)),
        found(),
    ]
    truths = [there((BOX, 0, 0), (far, 1, 0)), there((BOX, 0, 1)), there((BOX, 1, 0))]
    # Of a: one found (the second box on it finds nothing), of b: one found as a, one not at all.
    expected = [[1, 0, 0], [1, 0, 1], [1, 1, 0]]
    np.testing.assert_array_equal(shown(pictures, truths).confusion(), expected)


def test_scores_are_calibrated_where_they_are_right_as_often_as_they_say():
    far = (60.0, 60.0, 90.0, 90.0)
    pictures = [found((BOX, 0, 0.55), (far, 1, 0.55)), found((BOX, 1, 0.95), (far, 0, 0.05))]
    truths = [there((BOX, 0, 0)), there((BOX, 1, 0))]
    images, confidences, right = shown(pictures, truths).bins()
    assert images.sum() == 3 and confidences.sum() == pytest.approx(0.55 * 2 + 0.95) and right.sum() == 2
    assert sorted(images[images > 0]) == [1, 2]


def test_twins_are_of_one_class_place_and_score():
    pair = found((BOX, 0, 0.5), (BOX, 1, 0.5))
    assert box_metrics.twins(pair, pair, 0.01) == 2
    assert box_metrics.twins(pair, found((BOX, 0, 0.5)), 0.01) == 1
    step = 1 / (1 + np.exp(-0.1))  # a tenth of a logit more than 0.5
    for allowed, count in ((0.05, 0), (0.1, 1)):
        assert box_metrics.twins(found((BOX, 0, 0.5)), found((BOX, 0, step)), allowed) == count
    moved = (10.0, 10.0, 50.0, 53.0)  # 0.93 of it
    assert box_metrics.twins(found((BOX, 0, 0.5)), found((moved, 0, 0.5)), 1) == 0
    assert box_metrics.twins(found((BOX, 0, 0.5), (BOX, 0, 0.4)), found((BOX, 0, 0.5)), 9) == 1  # each is one's twin


def test_hard_boxes_take_nothing_and_any_part_of_them_may_be_found():
    easy, hard, part = (0.0, 0.0, 20.0, 20.0), (0.0, 0.0, 20.0, 26.0), (0.0, 0.0, 8.0, 8.0)
    boxes = shown([found(((0.0, 0.0, 20.0, 24.0), 0, 0.9))], [there((easy, 0, 0), (hard, 0, 1))])
    np.testing.assert_array_equal(boxes.confusion(), [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert boxes.bins()[2].sum() == 1
    boxes = shown([found((part, 0, 0.9), (part, 0, 0.8))], [there(((0.0, 0.0, 30.0, 30.0), 0, 1))])
    assert boxes.confusion().sum() == 0 and boxes.bins()[0].sum() == 0


def test_the_surest_boxes_have_twins_too():
    sure = found((BOX, 0, 1.0))
    assert box_metrics.twins(sure, sure, 0.01) == 1 and box_metrics.twins(sure, found((BOX, 0, 0.99)), 0.01) == 0
