"""The contract's output `mask`: how a coarse map of scores becomes a class for each pixel of a picture.

Scores are brought to the picture's own size, bilinearly, corners onto corners, `position = i * (h - 1) / (H - 1)`; then
the largest is taken. MediaPipe's `ImageSegmenter` does the same. What the contract's crop leaves out has no class.
"""

import dataclasses
import hashlib
from typing import ClassVar

import numpy as np

from .classes import BAR, names

NO_CLASS = 255
MOST = 255  # classes: a mask's pixel is a byte


@dataclasses.dataclass(frozen=True)
class Mask:
    """From a network's scores to a mask.

    Attributes:
        labels: class names, in the order of the scores.
        size: (rows, columns) of the scores.
        colours: (red, green, blue) of each class, 0 to 255.

    Raises:
        ValueError, TypeError: no mask can be made so.
    """

    labels: tuple[str, ...]
    size: tuple
    colours: tuple = ()

    KIND: ClassVar = "mask"
    COUNTED: ClassVar = "classes of pixels"
    TENSORS: ClassVar = ()
    EXPLAINED: ClassVar = {
        "rules": {
            "scores": "a logit for each class and cell",
            "resize": "bilinear, rows first, corners onto corners: position = i * (h - 1) / (H - 1), float32",
            "class": "the largest score's; of equal ones the first",
        }
    }

    def __post_init__(self):
        object.__setattr__(self, "labels", names(self.labels))
        object.__setattr__(self, "size", tuple(map(int, self.size)))
        colours = self.colours or palette(len(self.labels))
        object.__setattr__(self, "colours", tuple(tuple(map(int, colour)) for colour in colours))
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size={self.size}: expected rows and columns of the scores")
        if not 1 <= len(self.labels) <= MOST:
            raise ValueError(f"{len(self.labels)} classes: expected 1 to {MOST}")
        if len(self.colours) != len(self.labels) or not all(
            len(c) == 3 and min(c) >= 0 and max(c) <= 255 for c in self.colours
        ):
            raise ValueError(f"{len(self.colours)} colours for {len(self.labels)} classes, or not three bytes each")

    @property
    def shapes(self):
        """Of the network's output, without the batch."""
        return [(*self.size, len(self.labels))]

    def decode(self, scores, height, width):
        """The class of each pixel, uint8 (height, width), by scores (rows, columns, classes); numbers of any type.

        Raises:
            ValueError: a score is not finite.
        """
        scores = np.asarray(scores, np.float32)
        if not np.isfinite(scores).all():
            raise ValueError(
                "the network's answer is no number (NaN or infinite); its weights are damaged or it overflows"
            )
        (top, bottom, down), (left, right, across) = map(between, scores.shape[:2], (height, width))
        down = down[:, None]
        best, classes = np.full((height, width), -np.inf, np.float32), np.zeros((height, width), np.uint8)
        for number, plane in enumerate(np.moveaxis(scores, -1, 0)):
            rows = plane[top] + (plane[bottom] - plane[top]) * down
            values = rows[:, left] + (rows[:, right] - rows[:, left]) * across
            larger = values > best
            best[larger], classes[larger] = values[larger], number
        return classes

    def answer(self, scores, top=5, place=None):
        """The `Masked` picture by scores (rows, columns, classes); without a `place`, of the input's own size.

        Raises:
            ValueError: a score is not finite.
        """
        if place is None:
            return Masked(self.decode(scores, *self.size), self.labels, self.colours, top)
        height, width = place.size
        first, last = place.shown
        shown = self.decode(scores, last[0] - first[0], last[1] - first[1])
        mask = np.full((height, width), NO_CLASS, np.uint8)
        mask[first[0] : last[0], first[1] : last[1]] = shown
        return Masked(mask, self.labels, self.colours, top)

    def columns(self, top=5):
        """Names of the cells of `Masked.as_rows`."""
        del top
        return ["label", "part"]


def between(count, size):
    """Of each of `size` places: the cells before and behind it, of `count`, and how far it is between them, float32."""
    place = np.arange(size) * ((count - 1) / max(1, size - 1))
    first = np.minimum(np.floor(place).astype(int), count - 1)
    return first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32)


def palette(count):
    """(red, green, blue) of each of `count` classes: hues by the golden angle, three lightnesses in turn."""
    colours = []
    for i in range(count):
        hue, value = i * 0.381966 % 1.0, (1.0, 0.72, 0.86)[i % 3]
        ramp = [min(1.0, max(0.0, abs((6 * hue + offset) % 6 - 3) - 1)) for offset in (0, 4, 2)]
        colours.append(tuple(round(255 * value * (0.25 + 0.75 * part)) for part in ramp))
    return tuple(colours)


@dataclasses.dataclass(frozen=True)
class Masked:
    """A class for each pixel of a picture.

    Attributes:
        mask: uint8 (height, width), the classes' numbers; 255 where none is known.
        labels: class names.
        colours: of each.
        top: how many classes are named, the largest first.
    """

    mask: np.ndarray
    labels: tuple
    colours: tuple
    top: int = 5

    def __str__(self):
        return "\n".join(self.as_lines())

    @property
    def parts(self):
        """(label, part of the picture) of the classes that are there, the largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=NO_CLASS + 1)[: len(self.labels)]
        order = np.argsort(-counts, kind="stable")
        return [(self.labels[i], float(counts[i] / self.mask.size)) for i in order if counts[i]]

    def as_json(self):
        """As a dictionary; digits beyond those given are no measurement."""
        return {"parts": [{"label": label, "part": round(part, 6)} for label, part in self.parts]}

    def as_golden(self):
        """As golden files have it: with a digest of all pixels."""
        return {**self.as_json(), "sha256": hashlib.sha256(np.ascontiguousarray(self.mask)).hexdigest()}

    def as_rows(self):
        return [[label, f"{part:.6f}"] for label, part in self.parts] or [["", ""]]

    def as_lines(self):
        shown = self.parts[: self.top]
        width = max((len(label) for label, _ in shown), default=0)
        return [f"{label:{width}}  {100 * part:5.1f} %  {'█' * round(BAR * part)}".rstrip() for label, part in shown]
