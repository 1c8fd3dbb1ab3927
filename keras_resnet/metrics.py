"""Figures of merit from logits and labels, in NumPy."""

import numpy as np

CALIBRATION_BINS = 15


def softmax(logits):
    """Probabilities (n, classes) of logits (n, classes)."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def losses(logits, labels):
    """Cross-entropy (n,) of logits (n, classes) and integer labels (n,), in nats."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]


def confusion_matrix(predictions, labels, classes):
    """Counts (classes, classes): row is the label, column the prediction."""
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def calibration(confidences, correct, bins=CALIBRATION_BINS):
    """Confidence against accuracy in bins of equal width (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Returns:
        (error, confidence, accuracy, count): the expected calibration error in [0, 1], and arrays (bins,); an empty
        bin's confidence and accuracy are NaN.
    """
    # Bins are open below and closed above, as in the paper.
    bin_of = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bin_of, confidences, bins) / count
        accuracy = np.bincount(bin_of, correct, bins) / count
    error = np.nansum(np.abs(confidence - accuracy) * count) / len(confidences)
    return float(error), confidence, accuracy, count


def summary(logits, labels, names):
    """All figures of one split as JSON-ready values; accuracies in [0, 1].

    Top-5 accuracy is given from 20 classes on: below, chance alone is right in more than a quarter of the cases.
    """
    predictions, probabilities = logits.argmax(-1), softmax(logits)
    correct = predictions == labels
    matrix = confusion_matrix(predictions, labels, len(names))
    figures = {
        "images": len(labels),
        "top1_accuracy": float(correct.mean()),
        "loss": float(losses(logits, labels).mean()),
    }
    if len(names) >= 20:
        best = np.argpartition(logits, -5)[:, -5:]
        figures["top5_accuracy"] = float((best == labels[:, None]).any(-1).mean())
    figures["expected_calibration_error"] = calibration(probabilities.max(-1), correct)[0]
    figures["per_class"] = {
        name: {
            "images": int(matrix[i].sum()),
            "recall": _ratio(matrix[i, i], matrix[i].sum()),
            "precision": _ratio(matrix[i, i], matrix[:, i].sum()),
        }
        for i, name in enumerate(names)
    }
    figures["confusion"] = matrix.tolist()
    return figures


def _ratio(part, whole):
    return float(part / whole) if whole else None
