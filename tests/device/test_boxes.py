"""The contract's boxes: where cells lie, what is suppressed; beside plain loops and numbers worked out by hand."""

import numpy as np
import pytest

from keras_resnet.device.boxes import Boxes, overlaps, suppressed

RNG = np.random.default_rng(0)
TWO = Boxes(("cell", "plate"), ((3, 4, 8), (2, 2, 16)))


def test_a_cell_worked_out_by_hand():
    assert TWO.anchors.shape == (3 * 4 + 2 * 2, 3)
    location = np.zeros((16, 4), np.float32)
    location[6] = 0.25, -0.5, np.log(2), np.log(3)  # row 1, column 2 of the first level: its centre is (12, 20)
    location[13] = 0, 0, np.log(0.5), 0  # row 0, column 1 of the second: (8, 24)
    boxes = TWO.placed(location)
    np.testing.assert_allclose(boxes[6], [14 - 8, 16 - 12, 14 + 8, 16 + 12], rtol=1e-6)
    np.testing.assert_allclose(boxes[13], [8 - 4, 24 - 8, 8 + 4, 24 + 8], rtol=1e-6)


def slow(boxes, classes, overlap):
    """Suppression as it is said, one pair after the other."""
    kept = []
    for i in range(len(boxes)):
        for j in kept:
            top, left = max(boxes[i][0], boxes[j][0]), max(boxes[i][1], boxes[j][1])
            bottom, right = min(boxes[i][2], boxes[j][2]), min(boxes[i][3], boxes[j][3])
            shared = max(0.0, bottom - top) * max(0.0, right - left)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
            if classes[i] == classes[j] and shared / (sum(areas) - shared) >= overlap:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 1.0])
def test_suppression_beside_loops(overlap):
    for n in (0, 1, 60):
        corners = RNG.uniform(0, 50, (n, 2))
        boxes = np.concatenate([corners, corners + RNG.uniform(5, 40, (n, 2))], -1)
        boxes[n // 2 :] = boxes[: n - n // 2]  # equal ones, too
        classes = RNG.integers(0, 2, n)
        assert suppressed(boxes, classes, overlap).tolist() == slow(boxes.tolist(), classes, overlap)


def test_overlaps_worked_out_by_hand():
    found = overlaps([0, 0, 10, 10], [[0, 0, 10, 10], [0, 5, 10, 15], [10, 0, 20, 10], [2, 2, 4, 4]])
    np.testing.assert_allclose(found, [1, 50 / 150, 0, 4 / 100])


def test_decoding_keeps_the_likeliest_of_each_class():
    score, location = np.full((16, 2), -9.0, np.float32), np.zeros((16, 4), np.float32)
    location[:, 2:] = np.log(4)
    score[5], score[6] = (2.0, -9.0), (1.0, 0.5)  # neighbours: the same cell's box, and a plate beside it
    score[11] = -0.9, -9.0  # 0.289: below the threshold
    boxes, classes, probabilities = TWO.decode(location, score)
    assert classes.tolist() == [0, 1]
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp([-2.0, -0.5])))
    np.testing.assert_allclose(boxes[0], [12 - 16, 12 - 16, 12 + 16, 12 + 16], rtol=1e-6)
    # The third, 32 pixels wide like all, shares 24 x 16 of 2 x 32 x 32 - 24 x 16 with the first: less than a half.
    assert len(TWO.decode(location, score, 0.2)[0]) == 3 and len(TWO.decode(location, score, 0.9)[0]) == 0
    assert len(Boxes(TWO.labels, TWO.levels, overlap=1.0, most=3).decode(location, score, 0.0)[0]) == 3


def test_of_equal_scores_the_first_is_kept():
    score, location = np.zeros((16, 2), np.float32), np.zeros((16, 4), np.float32)
    location[:, 2:] = 9  # each covers the others of its level; the second's are four times as large
    boxes, classes, _ = TWO.decode(location, score)
    assert classes.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(boxes, TWO.placed(location)[[0, 0, 12, 12]])


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"labels": "cell"}, "labels are 'cell'"),
        ({"levels": ()}, "expected .rows, columns, stride."),
        ({"levels": ((3, 4),)}, "expected .rows, columns, stride."),
        ({"levels": ((2, 10**9, 8), (1, 1, 8))}, "levels of 2,000,000,001 cells, expected at most 4,194,304"),
        ({"levels": ((3, 4, 10**400),)}, "a stride of more than 4,194,304 pixels"),
        ({"most": "all"}, "most='all': expected a whole number from 1"),
        ({"most": 0}, "most=0: expected a whole number from 1"),
        ({"most": True}, "most=True: expected a whole number from 1"),
        ({"most": 2.5}, "most=2.5: expected a whole number from 1"),
        ({"most": float("inf")}, "most=inf: expected a whole number from 1"),
        ({"overlap": 1.5}, "overlap=1.5: expected a number from 0 to 1"),
    ],
)
def test_what_cannot_be(changed, said):
    with pytest.raises((ValueError, TypeError), match=said):
        Boxes(**{"labels": ("a",), "levels": ((3, 4, 8),), **changed})


def test_no_number():
    with pytest.raises(ValueError, match="no number"):
        TWO.decode(np.zeros((16, 4)), np.full((16, 2), np.nan))
