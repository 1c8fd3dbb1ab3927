"""Figures of found boxes, by pycocotools: COCO's mean average precision.

In pixels of the network's input, so that sizes (small: less than 32 x 32 pixels, large: more than 96 x 96) are what it
sees. Hard boxes are its crowds, of which any part may be found any number of times.
"""

import contextlib
import importlib.util
import io
import math

import numpy as np

from keras_resnet.device.boxes import overlaps
from keras_resnet.tasks import metrics

NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
MOST = 100  # boxes of a picture that count
UNLIKELY = 0.1  # probability of boxes that calibration leaves out, of which there are any number
TWINS = 0.95  # intersection over union, from which on two networks' boxes are the same
INSTALL = 'pip install -e ".[boxes]"'


def check_installed():
    """Raises ValueError where pycocotools is missing, before anything is trained."""
    if importlib.util.find_spec("pycocotools") is None:
        raise ValueError(f"boxes are measured by pycocotools, which is not installed; type {INSTALL}")


def twins(found, others, step):
    """How many boxes of one network another finds, too; each is the twin of at most one.

    Args:
        found, others: as `Boxes.decode` returns them.
        step: by how much logits of twins differ at most.
    """
    # A probability of 1 has no logit: so likely as float64 can say.
    logits = [np.log(p) - np.log(np.maximum(1 - p, 1e-16)) for *_, p in (found, others)]
    free, count = np.ones(len(others[0]), bool), 0
    for box, kind, logit in zip(*found[:2], logits[0], strict=True):
        near = overlaps(box, others[0]) > TWINS
        same = free & near & (others[1] == kind) & (np.abs(logits[1] - logit) <= 1.001 * step)
        if same.any():
            free[np.argmax(same)] = False
            count += 1
    return count


class BoxesFound:
    """What was found and what is there, picture by picture.

    Args:
        contract: `device.boxes.Boxes`.
        threshold: probability from which on a box counts; mean average precision wants the unlikely ones, too.
    """

    def __init__(self, contract, threshold=0.01):
        self.contract, self.threshold = contract, threshold
        self.found, self.there = [], []
        self.known, self.counted = None, None  # the last evaluation, and of how many pictures it is

    def add(self, location, score, targets):
        """Takes a batch: locations (batch, cells, 4), logits (batch, cells, classes), targets (batch, most, 6)."""
        for place, logits, target in zip(location, score, targets, strict=True):
            self.found.append(self.contract.decode(place, logits, self.threshold))
            self.there.append(target[target[:, 4] >= 0])

    def scores(self):
        """Name -> figure in [0, 1], NaN where there is nothing of a kind; see `figures`."""
        return _figures(self._evaluation(), self.contract.labels)

    def curves(self):
        """Label -> precision (101,) at recalls from 0 to 1, at an overlap of a half; None where there is nothing."""
        return _curves(self._evaluation(), self.contract.labels)

    def confusion(self):
        """Boxes (classes + 1, classes + 1) by what they are, last nothing, and what they are found as, last not at all.

        Those that are shown, at the contract's threshold; a box is found by the likeliest one that overlaps it by a
        half, whatever its class.
        """
        classes = len(self.contract.labels)
        matrix = np.zeros((classes + 1, classes + 1), np.int64)
        for (boxes, kinds, probabilities), there in zip(self.found, self.there, strict=True):
            shown = probabilities >= self.contract.threshold
            match = matched(boxes[shown], there)
            for kind, of in zip(kinds[shown], match, strict=True):
                if of is None or not there[of, 5]:  # what finds a hard one counts for nothing
                    matrix[classes if of is None else int(there[of, 4]), kind] += 1
            missed = [int(row[4]) for i, row in enumerate(there) if i not in match and not row[5]]
            np.add.at(matrix[:, classes], missed, 1)
        return matrix

    def bins(self):
        """`metrics.binned` of the boxes that are likelier than `UNLIKELY`: a right one has a true one of its class."""
        sure, right = [np.zeros(0)], [np.zeros(0)]
        for (boxes, kinds, probabilities), there in zip(self.found, self.there, strict=True):
            likely = probabilities >= UNLIKELY
            match = matched(boxes[likely], there)
            counted = np.array([of is None or not there[of, 5] for of in match], bool)
            hit = [of is not None and there[of, 4] == kind for of, kind in zip(match, kinds[likely], strict=True)]
            sure.append(probabilities[likely][counted])
            right.append(np.array(hit, float)[counted])
        return metrics.binned(np.concatenate(sure), np.concatenate(right))

    def _evaluation(self):
        if self.counted != len(self.found):
            self.known = _evaluated(self.found, self.there, self.contract.labels)
            self.counted = len(self.found)
        return self.known


def matched(boxes, there, overlap=0.5):
    """For each box (n, 4), the likeliest first, the index of the row of `there` (n, 6) that it finds, or None.

    As COCO has it: the one that it overlaps most of those that no likelier one has found; where there is none, a hard
    one, of which any part may be found any number of times.
    """
    hard, match = there[:, 5] > 0, []
    free = ~hard
    for box in boxes:
        near = np.where(free, overlaps(box, there[:, :4]), 0.0) if len(there) else np.zeros(1)
        if near.max() < overlap:
            near = np.where(hard, _inside(box, there[:, :4]), 0.0) if len(there) else near
        of = int(near.argmax()) if near.max() >= overlap else None
        match.append(of)
        if of is not None:
            free[of] = False
    return match


def _inside(box, others):
    """The part of a box (4,) that lies in each of others (n, 4)."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.prod(np.maximum(shared, 0), -1) / max(float(np.prod(box[2:] - box[:2])), 1e-9)


def figures(found, there, labels):
    """COCO's figures.

    Args:
        found: of each picture (boxes (n, 4), classes (n,), probabilities (n,)), as `Boxes.decode` returns them.
        there: of each picture targets (n, 6), without empty rows; hard ones count for nothing.
        labels: class names.

    Returns:
        Name -> figure: `NAMES`, `recall` (of at most 100 boxes a picture, mean over overlaps), and for each label
        `map50 of LABEL`. NaN where there is nothing of a kind.
    """
    return _figures(_evaluated(found, there, labels), labels)


def _figures(evaluation, labels):
    stats = np.where(evaluation.stats < 0, np.nan, evaluation.stats)  # -1 where there is nothing
    curves = _curves(evaluation, labels)
    return {
        **dict(zip(NAMES, map(float, stats[:6]), strict=True)),
        "recall": float(stats[8]),
        **{f"map50 of {label}": math.nan if c is None else float(c.mean()) for label, c in curves.items()},
    }


def _curves(evaluation, labels):
    at_a_half = evaluation.eval["precision"][0, :, :, 0, -1].T  # (classes, recalls)
    return {label: None if (c < 0).any() else c for label, c in zip(labels, at_a_half, strict=True)}


def _evaluated(found, there, labels):
    """A `COCOeval` that is done."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    annotations = [
        {**_box(i, row[:4], int(row[4])), "iscrowd": int(row[5])} for i, rows in enumerate(there) for row in rows
    ]
    truth.dataset = {
        "images": [{"id": i} for i in range(len(there))],
        "categories": [{"id": i, "name": name} for i, name in enumerate(labels)],
        # An annotation 0 would count as unmatched.
        "annotations": [{**one, "id": number} for number, one in enumerate(annotations, 1)],
    }
    results = [
        {**_box(i, box, int(kind)), "score": float(probability)}
        for i, picture in enumerate(found)
        for box, kind, probability in zip(*picture, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results) if results else _empty(truth), "bbox")
        evaluation.params.maxDets = [1, 10, MOST]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _box(image, box, kind):
    top, left, bottom, right = map(float, box)
    sides = [left, top, right - left, bottom - top]
    return {"image_id": image, "category_id": kind, "bbox": sides, "area": sides[2] * sides[3]}


def _empty(truth):
    """Results without a box, which `loadRes` takes for a mistake."""
    from pycocotools.coco import COCO

    results = COCO()
    results.dataset = {**truth.dataset, "annotations": []}
    results.createIndex()
    return results
