"""Figures of masks: mean intersection over union, pixel accuracy, boundary F-score."""

import numpy as np

from keras_resnet.tasks import metrics

NEAR = 0.0075  # of the picture's diagonal, within which an edge is where another is


class Masks:
    """Figures of a split, batch by batch, on masks of the network's input size.

    Args:
        contract: `Contract` whose output is a `device.mask.Mask`.

    Attributes:
        matrix: int64 (classes, classes), pixels by what they are and what they are taken for.
    """

    def __init__(self, contract):
        self.output, self.losses = contract.output, []
        classes = len(contract.labels)
        self.matrix = np.zeros((classes, classes), np.int64)

    def add(self, outputs, targets, decoded=False):
        """Adds a batch: logits (n, rows, columns, classes) and uint8 masks (n, height, width).

        Returns:
            Its losses (n,), or with `decoded` the masks that were found, and those.
        """
        found = [self.output.decode(one, *target.shape) for one, target in zip(outputs, targets, strict=True)]
        classes = len(self.matrix)
        for mask, target in zip(found, targets, strict=True):
            known = target < classes
            pairs = target[known].astype(np.int64) * classes + mask[known]
            self.matrix += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        values = losses(self.output, outputs, targets)
        self.losses += values.tolist()
        return (found, values) if decoded else values

    def overlaps(self):
        """Intersection over union of each class, NaN of one that is nowhere and nowhere found."""
        hit = np.diag(self.matrix)
        union = self.matrix.sum(0) + self.matrix.sum(1) - hit
        return np.where(union, hit / np.maximum(union, 1), np.nan)

    def scores(self):
        """Name -> figure on `Segmentation.BEST`."""
        accuracy = np.trace(self.matrix) / max(1, self.matrix.sum())
        return {
            "loss": float(np.mean(self.losses)),
            "mean_iou": float(np.nanmean(self.overlaps())),
            "pixel_accuracy": float(accuracy),
        }

    def warning(self, labels):
        """A sentence on what no average shows, or None."""
        never = [label for label, value in zip(labels, self.overlaps(), strict=True) if value == 0]
        return f"never found: {', '.join(never)}" if never else None


def on(count, side):
    """Which of `side` pixels each of `count` cells lies on, integers (count,): corners onto corners."""
    return np.rint(np.linspace(0, side - 1, count)).astype(int)


def losses(output, outputs, targets):
    """Cross-entropies (n,), means of a picture's cells, of logits (n, rows, columns, classes), in nats.

    Of each cell against the pixel that it lies on: a figure to watch, which needs no resize.
    """
    rows, columns = map(on, output.size, targets.shape[1:])
    wanted = targets[:, rows[:, None], columns]
    known = wanted < len(output.labels)
    crossed = metrics.losses(outputs.reshape(-1, len(output.labels)), np.where(known, wanted, 0).ravel())
    crossed = crossed.reshape(wanted.shape) * known
    return crossed.sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)


class Boundaries:
    """Boundary F-score (Csurka et al. 2013, BMVC, "What is a good evaluation measure for semantic segmentation?").

    Of each picture and class on it: the harmonic mean of how many of the found edge's pixels lie near a true one, and
    of how many of the true ones lie near a found one; the mean of classes, then of pictures.
    """

    def __init__(self, classes):
        self.classes, self.scores = classes, []

    def add(self, mask, target):
        """Adds a picture: masks uint8 (height, width), what was found and what is; 255 is neither."""
        near = max(1, round(NEAR * float(np.hypot(*mask.shape))))
        known = target < self.classes
        found = []
        for number in np.unique(target[known]):
            ours, theirs = (edge((of == number) & known, known) for of in (mask, target))
            if not ours.any() and not theirs.any():  # it fills all that is known: nothing is to be found
                continue
            if not ours.any() or not theirs.any():
                found.append(0.0)
                continue
            precision, recall = (np.mean(widened(b, near)[a]) for a, b in ((ours, theirs), (theirs, ours)))
            found.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        if found:
            self.scores.append(float(np.mean(found)))

    def score(self):
        return float(np.mean(self.scores)) if self.scores else 0.0


def edge(inside, known=True):
    """Pixels, booleans (height, width), of a region that have a known neighbour (of four) outside it."""
    padded = np.pad(inside | ~np.asarray(known), 1, mode="edge")
    around = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~around


def widened(pixels, near):
    """Pixels that have one of `pixels` at most `near` away along rows and columns, and no further along both."""
    wide = pixels
    for axis in (0, 1):
        sums = np.cumsum(np.pad(wide, [(near + 1, near) if i == axis else (0, 0) for i in (0, 1)]), axis)
        wide = np.take(sums, np.arange(2 * near + 1, sums.shape[axis]), axis) > np.take(
            sums, np.arange(sums.shape[axis] - 2 * near - 1), axis
        )
    return wide
