"""What cells learn of boxes: worked out by hand, beside loops, and what a perfect answer costs."""

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.annotated import NOTHING
from keras_resnet.device.boxes import Boxes
from keras_resnet.tasks import cells

RNG = np.random.default_rng(0)
TWO = Boxes(("a", "b", "c"), ((6, 8, 8), (3, 4, 16)))


def batch(*pictures):
    """Targets of pictures, each a list of rows."""
    most = max(map(len, pictures))
    return tf.constant([[*rows, *[NOTHING] * (most - len(rows))] for rows in pictures], tf.float32)


def slow(rows, anchors, classes):
    """`assigned`, cell by cell and box by box."""
    heat, box, weight = np.zeros((len(anchors), classes)), np.zeros((len(anchors), 4)), np.zeros(len(anchors))
    counted, smallest = np.ones(len(anchors), bool), np.full(len(anchors), np.inf)
    strides = sorted(set(anchors[:, 2]))
    for top, left, bottom, right, kind, hard in rows:
        area = (bottom - top) * (right - left)
        nearest = min(strides, key=lambda stride: abs(np.log(np.sqrt(max(area, 1e-6)) / (4 * stride))))
        for i, (y, x, stride) in enumerate(anchors):
            inside = top < y < bottom and left < x < right
            if kind >= 0 and hard:
                counted[i] &= not inside
            if kind < 0 or hard or stride != nearest:
                continue
            dy, dx = y - (top + bottom) / 2, x - (left + right) / 2
            sy, sx = max((bottom - top) / 6, stride / 2.5), max((right - left) / 6, stride / 2.5)
            hill = np.exp(-(dy**2 / (2 * sy**2) + dx**2 / (2 * sx**2)))
            if -stride / 2 < dy <= stride / 2 and -stride / 2 < dx <= stride / 2:
                hill = 1.0
            heat[i, int(kind)] = max(heat[i, int(kind)], hill)
            if ((hill > 0.6 and inside) or hill == 1) and area < smallest[i]:
                smallest[i], box[i], weight[i] = area, (top, left, bottom, right), hill
    return heat, box, weight, counted


def test_assignment_beside_loops():
    pictures = []
    for count in (0, 1, 5, 9):
        corners = RNG.uniform(0, (40, 56), (count, 2))
        sides = RNG.uniform(3, 45, (count, 2))
        kinds, hard = RNG.integers(0, 3, count), RNG.random(count) < 0.3
        pictures.append(np.column_stack([corners, corners + sides, kinds, hard]).tolist())
    targets = batch(*pictures)
    found = [part.numpy() for part in cells.assigned(targets, TWO.anchors, 3)]
    for i, rows in enumerate(targets.numpy()):
        heat, box, weight, counted = slow(rows, TWO.anchors, 3)
        np.testing.assert_allclose(found[0][i], heat, atol=1e-5)
        np.testing.assert_allclose(found[2][i], weight, atol=1e-5)
        np.testing.assert_allclose(found[1][i][weight > 0], box[weight > 0])
        np.testing.assert_array_equal(found[3][i], counted)
    assert found[2].max() == 1 and (found[2][0] == 0).all() and not found[3].all()


def test_one_box_worked_out_by_hand():
    heat, box, weight, _ = cells.assigned(batch([[8, 16, 24, 48, 1, 0]]), TWO.anchors, 3)  # its centre is (16, 32)
    learning = np.flatnonzero(weight[0])
    # 16 x 32 pixels are nearer to the first level's 32 x 32 than to the second's 64 x 64. (16, 32) is the corner of
    # four cells; the one below and right of it has it. Deviations are 3.2 (the least, 8 / 2.5) and 32 / 6 pixels.
    other = np.exp(-(4**2 / (2 * 3.2**2) + 4**2 / (2 * (32 / 6) ** 2)))
    assert float(heat[0, 2 * 8 + 4, 1]) == 1 and float(heat[0, 1 * 8 + 3, 1]) == pytest.approx(other)
    assert learning.tolist() == [2 * 8 + 4] and heat[0, 48:].numpy().max() == 0
    np.testing.assert_array_equal(box[0, 20], [8, 16, 24, 48])


def test_generalized_overlap_worked_out_by_hand():
    boxes = tf.constant([[0, 0, 10, 10], [0, 5, 10, 15], [0, 20, 10, 30]], tf.float32)
    found = cells.generalized_overlap(tf.constant([0, 0, 10, 10], tf.float32), boxes)
    np.testing.assert_allclose(found, [1, 50 / 150, -100 / 300], atol=1e-6)


def perfect(targets):
    """An answer that says just what is there."""
    heat, box, weight, _ = (part.numpy() for part in cells.assigned(targets, TWO.anchors, 3))
    y, x, stride = TWO.anchors.T
    top, left, bottom, right = np.moveaxis(box, -1, 0)
    with np.errstate(divide="ignore"):
        location = [
            ((top + bottom) / 2 - y) / stride,
            ((left + right) / 2 - x) / stride,
            np.log(np.maximum((bottom - top) / stride, 1e-3)),
            np.log(np.maximum((right - left) / stride, 1e-3)),
        ]
    return np.stack(location, -1).astype(np.float32), np.where(heat == 1, 20, -20).astype(np.float32), weight


def test_a_perfect_answer_costs_nothing_and_is_decoded_to_the_boxes():
    rows = [[2, 3, 30, 40, 0, 0], [20, 30, 44, 60, 2, 0]]
    targets = batch(rows, [])
    location, score, _ = perfect(targets)
    np.testing.assert_allclose(cells.loss(targets, location, score, TWO.anchors), [0, 0], atol=1e-4)
    boxes, classes, _ = TWO.decode(location[0], score[0])
    np.testing.assert_allclose(boxes[np.argsort(classes)], [row[:4] for row in rows], atol=1e-4)
    np.testing.assert_allclose(cells.placed(location, TWO.anchors)[0], TWO.placed(location[0]), rtol=1e-5)
    worse = cells.loss(targets, location + 0.1, score, TWO.anchors).numpy()
    assert worse[0] > 0.05 and worse[1] == pytest.approx(0, abs=1e-4)  # nothing is there to be placed wrongly


def test_what_is_hard_is_neither_learned_nor_missed():
    targets = batch([[2, 3, 44, 60, 0, 1]])
    location, score = np.zeros((1, 60, 4), np.float32), np.full((1, 60, 3), -20, np.float32)
    inside = (TWO.anchors[:, 0] < 44) & (TWO.anchors[:, 0] > 2) & (TWO.anchors[:, 1] > 3) & (TWO.anchors[:, 1] < 60)
    score[0, inside] = 20
    assert float(cells.loss(targets, location, score, TWO.anchors)[0]) == pytest.approx(0, abs=1e-4)
    assert cells.loss(batch([NOTHING]), location, score, TWO.anchors)[0] > 1


def test_no_gradient_is_lost_in_pictures_without_boxes():
    location, score = tf.Variable(tf.zeros((2, 60, 4))), tf.Variable(tf.fill((2, 60, 3), -4.6))
    location.assign(tf.fill(location.shape, 500.0))  # far too large
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(cells.loss(batch([], [[2, 3, 30, 40, 0, 0]]), location, score, TWO.anchors))
    gradients = tape.gradient(total, [location, score])
    assert np.isfinite(total) and all(np.isfinite(g).all() for g in gradients)
    assert np.abs(gradients[1]).min() > 0


def test_imitation_worked_out_by_hand():
    """Two cells of one class in two pictures: by how much scores and places differ from a teacher's."""
    taught, score = np.float32([[[0.0], [2.0]], [[-1.0], [-1.0]]]), np.float32([[[1.0], [2.0]], [[-1.0], [0.0]]])
    places, location = np.zeros((2, 2, 4), np.float32), np.zeros((2, 2, 4), np.float32)
    location[0, 1] = [0.5, 0, -0.5, 0]
    p, q = 1 / (1 + np.exp(-taught[..., 0])), 1 / (1 + np.exp(-score[..., 0]))
    apart = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(-1)
    expected = (apart + cells.BOX_WEIGHT * np.array([p[0, 1] * 1.0, 0])) / max(1, p.sum(-1).mean())
    np.testing.assert_allclose(cells.imitation(places, taught, location, score), expected, rtol=1e-4)


def test_a_box_inside_of_a_hard_one_learns_its_score():
    targets = np.float32([[[20, 20, 50, 50, 0, 0], [0, 0, 64, 64, 0, 1]]])
    anchors = Boxes(("a",), ((8, 8, 8),)).anchors
    silent = np.full((1, 64, 1), -9, np.float32)
    heat, _, _, counted = cells.assigned(targets, anchors, 1)
    assert (heat.numpy() == 1).sum() == 1 and not counted.numpy().any()
    assert float(cells.focal(silent, heat, counted)[0]) > 8
    np.testing.assert_allclose(
        cells.focal(np.where(heat == 1, 9.0, 9.0).astype(np.float32), heat, counted), 0, atol=1e-3
    )
