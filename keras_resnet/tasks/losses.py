"""What is learned by: losses of logits, a value for each example."""

import keras
import numpy as np
from keras import ops

# A class that is more than this of a mixed example is wholly there for the binary loss, as in Wightman et al. 2021.
THERE = 0.2
FOCUS = 2.0  # Lin et al. 2017's gamma


def classification(label_smoothing=0.0, kind="auto", weights=None):
    """A loss for examples of one class each.

    Args:
        label_smoothing: part of a label's probability that is spread over all classes.
        kind: `"auto"`, softmax cross-entropy; `"bce"`, binary cross-entropy, the mean over the classes (Wightman et
            al. 2021, https://arxiv.org/abs/2110.00476); `"focal"`, cross-entropy times (1 - p) ** 2 (Lin et al. 2017,
            https://arxiv.org/abs/1708.02002).
        weights: floats (classes,), how much an example of each class counts.

    Returns:
        A function of labels and logits (batch, classes). Labels are integers (batch,), which are smoothed, or
        probabilities (batch, classes), which are already; the binary loss takes those for 0 or 1, as timm does.
    """

    def loss(labels, logits):
        targets, smoothing = labels, 0.0
        if labels.shape[1:] != logits.shape[1:]:
            targets, smoothing = ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1]), label_smoothing
            parts = targets
        else:  # what is smoothed counts as what it was, or a rare class would lose its weight to the others
            parts = (labels - label_smoothing / logits.shape[-1]) / (1 - label_smoothing)
        if kind == "bce" and targets is labels:
            targets = ops.cast(labels > THERE, logits.dtype)
        if kind == "focal":
            smooth = targets * (1 - smoothing) + smoothing / logits.shape[-1]
            log = ops.log_softmax(logits)
            values = -ops.sum(smooth * (1 - ops.exp(log)) ** FOCUS * log, -1)
        elif kind == "bce":
            smooth = targets * (1 - smoothing) + smoothing / logits.shape[-1]
            values = keras.losses.binary_crossentropy(smooth, logits, True)
        else:
            values = keras.losses.categorical_crossentropy(targets, logits, True, smoothing)
        return values if weights is None else values * ops.sum(parts * ops.cast(weights, logits.dtype), -1)

    return loss


def several(label_smoothing=0.0, kind="auto"):
    """A loss for examples with several labels: binary cross-entropy, the mean over the labels, or focal.

    Targets are 0 and 1, or probabilities, (batch, labels), as the logits.
    """

    def loss(targets, logits):
        targets = ops.cast(targets, logits.dtype)
        if kind != "focal":
            return keras.losses.binary_crossentropy(targets, logits, True, label_smoothing)
        return keras.losses.binary_focal_crossentropy(
            targets, logits, gamma=FOCUS, from_logits=True, label_smoothing=label_smoothing
        )

    return loss


def balanced_weights(labels, classes):
    """Float32 (classes,), so that each class that is there weighs the same in all, and an example 1 in the mean.

    Args:
        labels: integers (n,).
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
