"""The contract's output `labels`: each is there or not, whatever the others are."""

import dataclasses
from typing import ClassVar

import numpy as np

from .classes import Classes, Likeliest


@dataclasses.dataclass(frozen=True)
class Labels(Classes):
    """From a network's scores, each by itself, to the labels that are there.

    Attributes:
        thresholds: the probability from which on each label counts, chosen on validation; a half where there are none.

    Raises:
        ValueError, TypeError: as `Classes`, or the thresholds are not as many as the labels, each between 0 and 1.
    """

    thresholds: tuple[float, ...] = dataclasses.field(default=(), compare=False)

    KIND: ClassVar = "labels"
    COUNTED: ClassVar = "labels"

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.thresholds, list | tuple):  # an empty text or object, too, would pass for none
            raise TypeError(f"thresholds are {str(self.thresholds)[:40]!r}, expected a list of numbers")
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        if len(self.thresholds) not in (0, len(self.labels)) or not all(0 < t < 1 for t in self.thresholds):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.labels)} labels, or not all in (0, 1)")

    @staticmethod
    def activation(logits):
        """Probabilities of logits of any shape: sigmoid."""
        return 1 / (1 + np.exp(-logits))

    def there(self, probabilities):
        """Which labels count, booleans, of probabilities (…, labels)."""
        return probabilities >= (np.array(self.thresholds) if self.thresholds else 0.5)

    def answer(self, scores, top=5, place=None):
        """The `There` of scores (labels,); raises ValueError where one is no number."""
        found = self.there(self.probabilities(scores))
        return There(super().answer(scores, top).top, [self.labels[i] for i in np.flatnonzero(found)])

    def columns(self, top=5):
        return ["labels", *super().columns(top)]


@dataclasses.dataclass(frozen=True)
class There(Likeliest):
    """What a network sees: the likeliest (label, probability) pairs, and the names of the labels that count."""

    labels: list

    def as_json(self):
        return {"labels": self.labels, **super().as_json()}

    def as_rows(self):
        return [[";".join(self.labels), *row] for row in super().as_rows()]

    def as_lines(self):
        marks = ("✓" if label in self.labels else " " for label, _ in self.top)
        lines = [f"{mark} {line}" for mark, line in zip(marks, super().as_lines(), strict=True)]
        below = [label for label in self.labels if label not in dict(self.top)]
        return [*lines, f"✓ {', '.join(below)}"] if below else lines
