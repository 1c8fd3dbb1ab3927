"""Figures of merit from logits and labels, in NumPy, accumulated batch by batch."""

import collections

import numpy as np

CALIBRATION_BINS = 15
MOST_CONFUSED = 1000  # pairs of classes that a report lists
MOST_NAMED = 5  # classes that a warning names


def log_softmax(logits):
    """Logarithms of the probabilities, float64 (n, classes), of logits (n, classes)."""
    shifted = np.asarray(logits, np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def losses(logits, labels):
    """Cross-entropy, float64 (n,), of logits (n, classes) and integer labels (n,), in nats; no label is smoothed."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def binned(confidences, correct, bins=CALIBRATION_BINS):
    """Pictures, sum of confidences and right answers (3, bins) by confidence, in bins of equal width."""
    # Bins are open below and closed above, as in the paper.
    bin_of = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    return np.stack([np.bincount(bin_of, weights, bins) for weights in (None, confidences, correct)])


def calibration(bins):
    """Confidence against accuracy (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        bins: (3, bins), of `binned`, or a sum of such.

    Returns:
        (error, confidence, accuracy, count): the expected calibration error in [0, 1], and arrays (bins,); an empty
        bin's confidence and accuracy are NaN.
    """
    count = bins[0]
    with np.errstate(invalid="ignore"):
        confidence, accuracy = bins[1:] / count
    error = np.nansum(np.abs(confidence - accuracy) * count) / max(1.0, count.sum())
    return float(error), confidence, accuracy, count


class Accumulator:
    """The figures of one split, from its batches: it grows with the classes and the mistakes, not with the logits.

    Attributes:
        images, predicted, correct: int64 (classes,): pictures of each class, answers that name it, right ones of these.
        confused: pictures of (label, prediction), for every such pair of two classes; a `collections.Counter`.
        loss: sum of the cross-entropies in nats.
        bins: sum of `binned`.
    """

    def __init__(self, classes):
        self.images, self.predicted, self.correct = np.zeros((3, classes), np.int64)
        self.confused = collections.Counter()
        self.loss, self.top5 = 0.0, 0
        self.bins = np.zeros((3, CALIBRATION_BINS))

    def add(self, logits, labels):
        """Adds a batch.

        Args:
            logits: floats (n, classes).
            labels: integers (n,).
        """
        classes, labels = len(self.images), labels.astype(np.int64)
        predictions, logarithms = logits.argmax(-1), log_softmax(logits)
        rows, right = np.arange(len(labels)), predictions == labels
        self.images += np.bincount(labels, minlength=classes)
        self.predicted += np.bincount(predictions, minlength=classes)
        self.correct += np.bincount(labels[right], minlength=classes)
        self.confused.update(zip(labels[~right].tolist(), predictions[~right].tolist(), strict=True))
        self.loss -= float(logarithms[rows, labels].sum())
        self.bins += binned(np.exp(logarithms[rows, predictions]), right)
        if classes >= 5:
            self.top5 += int((np.argpartition(logits, -5)[:, -5:] == labels[:, None]).sum())

    def scores(self):
        """Loss and accuracies of the whole split, as `history.csv` has them.

        Balanced accuracy is macro recall: the mean recall of the classes that have pictures. Macro F1 is the mean F1 of
        the classes that have pictures or are named, as in scikit-learn.
        """
        there, either = self.images > 0, self.images + self.predicted > 0
        return {
            "loss": float(self.loss / self.images.sum()),
            "accuracy": float(self.correct.sum() / self.images.sum()),
            "balanced_accuracy": float((self.correct[there] / self.images[there]).mean()),
            "macro_f1": float((2 * self.correct[either] / (self.images + self.predicted)[either]).mean()),
        }

    def summary(self, names):
        """All figures as JSON-ready values; accuracies in [0, 1].

        Top-5 accuracy is given from 20 classes on: below, chance alone is right in more than a quarter of the cases.
        `confused` lists [label, prediction, pictures], the most frequent first, at most `MOST_CONFUSED` of
        `confused_pairs`.
        """
        scores = self.scores()
        figures = {"images": int(self.images.sum()), "top1_accuracy": scores.pop("accuracy"), **scores}
        if len(names) >= 20:
            figures["top5_accuracy"] = self.top5 / figures["images"]
        figures["expected_calibration_error"] = calibration(self.bins)[0]
        figures["per_class"] = {
            name: {
                "images": images,
                "recall": _ratio(correct, images),
                "precision": _ratio(correct, predicted),
                "f1": _ratio(2 * correct, images + predicted),
            }
            for name, images, predicted, correct in zip(
                names, self.images.tolist(), self.predicted.tolist(), self.correct.tolist(), strict=True
            )
        }
        figures["confused_pairs"] = len(self.confused)
        figures["confused"] = [[names[a], names[b], n] for (a, b), n in self.confused.most_common(MOST_CONFUSED)]
        return figures

    def most_confused(self, most):
        """Indices, rising, of the classes that make up the most frequent confusions; all where they are at most `most`.

        Where fewer are confused at all, those with the most pictures come with them.
        """
        if len(self.images) <= most:
            return list(range(len(self.images)))
        pairs = (label for pair, _ in self.confused.most_common(most) for label in pair)
        found = dict.fromkeys([*pairs, *np.argsort(-self.images, kind="stable")[:most].tolist()])
        return sorted(list(found)[:most])

    def matrix(self, classes):
        """Counts (n, n) for n class indices: row is the label, column the prediction."""
        counts = np.diag(self.correct[classes])
        place = {label: i for i, label in enumerate(classes)}
        for (label, prediction), count in self.confused.items():
            if label in place and prediction in place:
                counts[place[label], place[prediction]] = count
        return counts

    def warning(self, names):
        """A sentence that names the classes that are there and never predicted, or None."""
        missed = [names[i] for i in np.flatnonzero((self.images > 0) & (self.predicted == 0))]
        if not missed:
            return None
        named, more = ", ".join(missed[:MOST_NAMED]), len(missed) - MOST_NAMED
        which = f"{named} and {more:,} more" if more > 0 else named
        return f"never predicted: {which} ({len(missed):,} of {len(names):,} classes)"


def _ratio(part, whole):
    return part / whole if whole else None
