"""The contract's output `boxes`: how cells of feature maps become boxes on a picture.

Every cell of every level says how likely each class has its centre there, and where a box would lie: one anchor a cell,
a square as wide as the level's stride, moved by parts of it and stretched by exponentials, as YOLOX (Ge et al. 2021,
https://arxiv.org/abs/2107.08430) and MediaPipe's decoder have it. Boxes that cover a likelier one of their class are
dropped (non-maximum suppression).
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from .classes import names

CANDIDATES = 1000  # boxes, the likeliest, that suppression looks at
MOST_CELLS = 1 << 22  # of all levels; a contract with more of them is a broken one


@dataclasses.dataclass(frozen=True)
class Boxes:
    """From a network's scores and locations to boxes.

    Attributes:
        labels: class names, in the order of the scores.
        levels: (rows, columns, stride) of each feature map, the finest first; strides in pixels of the input.
        threshold: probability from which on a box is shown.
        overlap: intersection over union with a likelier box of its class from which on it is not.
        most: boxes of one picture.

    Raises:
        ValueError, TypeError: no boxes can be found so.
    """

    labels: tuple[str, ...]
    levels: tuple
    threshold: float = 0.3
    overlap: float = 0.6
    most: int = 100

    KIND: ClassVar = "boxes"
    COUNTED: ClassVar = "classes of boxes"
    TENSORS: ClassVar = ("location", "score")
    EXPLAINED: ClassVar = {
        "rules": {
            "cell": "score: a logit for each class; location: dy, dx, log h, log w, in strides from the cell's centre",
            "order": "level by level, row by row",
            "suppression": "by class, the likeliest first; of equal ones the one that comes first",
        }
    }

    def __post_init__(self):
        object.__setattr__(self, "labels", names(self.labels))
        object.__setattr__(self, "levels", tuple(tuple(map(int, level)) for level in self.levels))
        if not self.levels or any(len(level) != 3 or min(level) < 1 for level in self.levels):
            raise ValueError(f"levels are {self.levels}, expected (rows, columns, stride) of at least one")
        if max(level[2] for level in self.levels) > MOST_CELLS:
            raise ValueError(f"a stride of more than {MOST_CELLS:,} pixels")
        if (cells := sum(rows * columns for rows, columns, _ in self.levels)) > MOST_CELLS:
            raise ValueError(f"levels of {cells:,} cells, expected at most {MOST_CELLS:,}")
        for name in ("threshold", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number from 0 to 1")
        if type(self.most) is not int or self.most < 1:
            raise ValueError(f"most={self.most!r}: expected a whole number from 1")

    @property
    def shapes(self):
        """Of the network's outputs, location and score, without the batch."""
        return [(len(self.anchors), 4), (len(self.anchors), len(self.labels))]

    @functools.cached_property
    def anchors(self):
        """float32 (cells, 3): centre (y, x) of each cell and its stride, in pixels of the input."""
        cells = []
        for rows, columns, stride in self.levels:
            y, x = np.mgrid[:rows, :columns].reshape(2, -1) + 0.5
            cells.append(np.stack([y * stride, x * stride, np.full(y.size, stride)], -1))
        return np.concatenate(cells).astype(np.float32)

    def placed(self, location):
        """Boxes float32 (cells, 4), (top, left, bottom, right) in pixels of the input, of locations (cells, 4)."""
        y, x, stride = self.anchors.T
        dy, dx, h, w = np.asarray(location, np.float32).T
        y, x, h, w = y + dy * stride, x + dx * stride, np.exp(h) * stride / 2, np.exp(w) * stride / 2
        return np.stack([y - h, x - w, y + h, x + w], -1)

    def decode(self, location, score, threshold=None):
        """What is on a picture.

        Args:
            location: float32 (cells, 4).
            score: float32 logits (cells, classes).
            threshold: instead of the contract's.

        Returns:
            (boxes float32 (n, 4) in pixels of the input, classes int (n,), probabilities (n,)), the likeliest first.

        Raises:
            ValueError: a number is not finite.
        """
        if not (np.isfinite(location).all() and np.isfinite(score).all()):
            raise ValueError(
                "the network's answer is no number (NaN or infinite); its weights are damaged or it overflows"
            )
        probabilities = 1 / (1 + np.exp(-np.asarray(score, np.float64)))
        # Stable: equal int8 scores are common, and every machine shall keep the same.
        order = np.argsort(-probabilities.ravel(), kind="stable")[:CANDIDATES]
        order = order[probabilities.ravel()[order] >= (self.threshold if threshold is None else threshold)]
        cells, classes = np.unravel_index(order, probabilities.shape)
        boxes = self.placed(location)[cells]
        kept = suppressed(boxes, classes, self.overlap, self.most)
        return boxes[kept], classes[kept], probabilities.ravel()[order[kept]]

    def answer(self, outputs, top=5, place=None):
        """The `Found` boxes by [location, score], on the picture that a `picture.Place` is of, else on the input.

        Raises:
            ValueError: a number is not finite.
        """
        del top
        boxes, classes, probabilities = self.decode(*outputs)
        boxes = place.unplaced(boxes) if place else boxes
        return Found([self.labels[i] for i in classes], [float(p) for p in probabilities], boxes)

    def columns(self, top=5):
        """Names of the cells of `Found.as_rows`."""
        del top
        return ["label", "probability", *SIDES]


SIDES = ("left", "top", "right", "bottom")


@dataclasses.dataclass(frozen=True)
class Found:
    """What a network finds, the likeliest first.

    Attributes:
        labels: names.
        probabilities: of each.
        boxes: float32 (n, 4): top, left, bottom, right in pixels of the picture; they may reach beyond it.
    """

    labels: list
    probabilities: list
    boxes: np.ndarray

    def __str__(self):
        return "\n".join(self.as_lines())

    def _each(self):
        """(label, probability, left, top, right, bottom) of each."""
        for label, p, (top, left, bottom, right) in zip(self.labels, self.probabilities, self.boxes, strict=True):
            yield label, p, *(float(side) for side in (left, top, right, bottom))

    def as_json(self):
        """As a dictionary; digits beyond those given are no measurement."""
        found = [
            {"label": label, "probability": round(p, 6), **dict(zip(SIDES, (round(s, 2) for s in sides), strict=True))}
            for label, p, *sides in self._each()
        ]
        return {"boxes": found}

    def as_golden(self):
        """As golden files have it."""
        return self.as_json()

    def as_rows(self):
        """One for each box; an empty one where there is none."""
        rows = [[label, f"{p:.6f}", *(f"{side:.2f}" for side in sides)] for label, p, *sides in self._each()]
        return rows or [[""] * (2 + len(SIDES))]

    def as_lines(self):
        width = max(map(len, self.labels), default=0)
        return [
            f"{label:{width}}  {100 * p:5.1f} %  x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f}"
            for label, p, left, top, right, bottom in self._each()
        ] or ["nothing found"]


def suppressed(boxes, classes, overlap, most=CANDIDATES):
    """Indices, in order, of the first `most` boxes (n, 4) that no likelier one of their class covers."""
    kept, left = [], np.arange(len(boxes))
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(first)
        near = overlaps(boxes[first], boxes[left]) >= overlap
        left = left[~(near & (classes[left] == classes[first]))]
    return np.array(kept, int)


def overlaps(box, boxes):
    """Intersection over union, float64 (n,), of a box (4,) with boxes (n, 4)."""
    box, boxes = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    corners = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(corners, 0), -1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], -1) + np.prod(box[2:] - box[:2])
    return shared / (areas - shared)
