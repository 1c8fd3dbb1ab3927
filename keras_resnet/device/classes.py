"""The contract's output `classes`: labels, and how scores become probabilities and a list of the likeliest."""

import dataclasses
from typing import ClassVar

import numpy as np

SCORES = ("logits", "probabilities")
BAR = 24


def names(labels):
    """Labels as a tuple; raises TypeError where they are no list of names."""
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels are {str(labels)[:40]!r}, expected a list of names")
    return tuple(labels)


@dataclasses.dataclass(frozen=True)
class Classes:
    """From a network's scores to the likeliest classes.

    Attributes:
        labels: class names, in the order of the scores.
        scores: what the network ends with, `logits` or `probabilities`.

    Raises:
        ValueError, TypeError: the labels are no list of names, or there are no such scores.
    """

    labels: tuple[str, ...]
    scores: str = "logits"

    KIND: ClassVar = "classes"
    COUNTED: ClassVar = "classes"  # what labels are of
    TENSORS: ClassVar = ()  # names of a network's outputs where it has several
    EXPLAINED: ClassVar = {}

    def __post_init__(self):
        object.__setattr__(self, "labels", names(self.labels))
        if self.scores not in SCORES:
            raise ValueError(f"scores are {self.scores!r}, expected {' or '.join(SCORES)}")

    @property
    def shapes(self):
        """Of the network's outputs, without the batch."""
        return [(len(self.labels),)]

    def probabilities(self, scores):
        """Probabilities, float64 (classes,), of scores (classes,); raises ValueError where one is no number."""
        values = np.asarray(scores, np.float64)
        if self.scores == "logits":
            with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity is said below
                values = self.activation(values)
        if not np.isfinite(values).all():
            raise ValueError(
                "the network's answer is no number (NaN or infinite); its weights are damaged or it overflows"
            )
        return values

    @staticmethod
    def activation(logits):
        """Probabilities (…, classes) of logits: softmax."""
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        return exponentials / exponentials.sum(-1, keepdims=True)

    def answer(self, scores, top=5, place=None):
        """The `Likeliest` classes by scores (classes,); raises ValueError where one is no number."""
        del place  # a class has none
        probabilities = self.probabilities(scores)
        # Stable: equal int8 logits are common, and every machine shall name them in the same order.
        likeliest = np.argsort(-probabilities, kind="stable")[:top]
        return Likeliest([(self.labels[i], float(probabilities[i])) for i in likeliest])

    def columns(self, top=5):
        """Names of the cells of `Likeliest.as_rows`."""
        return [f"{kind}{i}" for i in range(1, min(top, len(self.labels)) + 1) for kind in ("label", "probability")]


@dataclasses.dataclass(frozen=True)
class Likeliest:
    """What a network sees: (label, probability) pairs, the likeliest first."""

    top: list

    def __str__(self):
        return "\n".join(self.as_lines())

    def as_json(self):
        """As a dictionary; digits beyond those given are no measurement."""
        return {"top": [{"label": label, "probability": round(p, 6)} for label, p in self.top]}

    def as_rows(self):
        return [[cell for label, p in self.top for cell in (label, f"{p:.6f}")]]

    def as_lines(self):
        width = max(len(label) for label, _ in self.top)
        return [f"{label:{width}}  {100 * p:5.1f} %  {'█' * round(BAR * p)}".rstrip() for label, p in self.top]
