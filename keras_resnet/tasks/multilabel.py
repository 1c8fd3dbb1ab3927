"""Multi-label classification: each label is there or not. Targets are 0 and 1 (batch, labels), outputs are logits."""

import dataclasses

import numpy as np

from keras_resnet.tasks.classification import Classification, Mistakes

TITLES = {
    "mean_average_precision": "mean average precision",
    "macro_f1": "macro F1",
    "label_accuracy": "label accuracy",
}
MOST_LABELS = 40  # that a figure can still show


class MultiLabel(Classification):
    """What `tasks` asks of a task; see `Classification`."""

    BEST = ("mean_average_precision", "macro_f1", "label_accuracy", "loss")
    RUNNING = ("label_accuracy",)
    TITLES = TITLES
    ACTIVATION = "sigmoid"
    chooses = True
    SCORE = "label accuracy"

    def loss(self, recipe, labels=None):
        from keras_resnet.tasks import losses

        for flag, off in (("class_weights", "none"), ("sampling", "all")):
            if getattr(recipe, flag) != off:
                raise ValueError(f"--{flag}={getattr(recipe, flag)}: these pictures have several labels each; drop it")
        return losses.several(recipe.label_smoothing, recipe.loss)

    def probable(self, targets, recipe):
        import tensorflow as tf

        return tf.cast(targets, tf.float32)

    def running(self, recipe):
        import keras

        def right(targets, logits):
            return keras.metrics.binary_accuracy(keras.ops.round(targets), logits, 0.0)

        return [keras.metrics.MeanMetricWrapper(right, name="label_accuracy")]

    def taught(self, logits):
        import keras

        return keras.ops.sigmoid(logits)

    def accumulator(self):
        return Accumulator(self.contract.output)

    def report(self):
        return Report(self.contract.output)

    def chosen(self, shown):
        """The contract with the thresholds that make each label's F1 the largest on a report's pictures.

        The report takes them, too: its F1 on validation is what they were chosen for.
        """
        output = dataclasses.replace(self.contract.output, thresholds=shown.figures.thresholds())
        shown.output = shown.figures.output = output
        return dataclasses.replace(self.contract, output=output)

    def lines(self, result):
        found = [(TITLES[name], f"{100 * result[name]:.2f} %") for name in TITLES]
        found += [("all labels right", f"{100 * result['exact']:.2f} %"), ("loss", f"{result['loss']:.4f} nats")]
        scores = {k: v["average_precision"] for k, v in result["per_label"].items() if v["images"]}
        worst = sorted(scores, key=scores.get)[:3]
        hardest = ", ".join(f"{name} {100 * scores[name]:.1f} %" for name in worst)
        return [*found, ("hardest labels (average precision)", hardest)]

    def scores(self, outputs, targets):
        """The part of the labels that is right, of each picture."""
        return (self._there(outputs) == targets).mean(-1)

    def agreement(self, outputs, others, step=0):
        """Whether both name the same labels."""
        del step
        return (self._there(outputs) == self._there(others)).all(-1).astype(float), np.ones(len(outputs))

    def losses(self, outputs, targets):
        if self.contract.output.scores == "logits":
            return losses(outputs, targets).mean(-1)
        right = np.where(targets, outputs, 1 - outputs)
        return -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean(-1)

    def groups(self, targets):
        return np.where(targets.any(-1), targets.argmax(-1), targets.shape[-1])

    def _there(self, outputs):
        return self.contract.output.there(self.contract.output.probabilities(outputs))


def losses(logits, targets):
    """Binary cross-entropies, float64, of logits and 0 or 1 of the same shape, in nats."""
    return np.logaddexp(0, np.where(targets, -1.0, 1.0) * np.asarray(logits, np.float64))


def named(output, logits):
    """Which labels logits (…, labels) name, booleans, by the thresholds of a contract's `Labels`."""
    return output.there(output.activation(logits.astype(np.float64)))


def average_precision(scores, targets):
    """Area under the steps of the precision-recall curve; NaN without a positive.

    The sum over all distinct scores of (rise of recall) x precision, as in scikit-learn: ties count as one step.

    Args:
        scores: floats (n,), larger is surer.
        targets: 0 or 1 (n,).
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(targets[order], dtype=np.int64)[ends]
    with np.errstate(invalid="ignore"):
        return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / np.float64(hits[-1]))


def best_threshold(probabilities, targets):
    """The threshold in (0, 1), between two probabilities, whose F1 is the largest; a half without a positive."""
    if not targets.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    sure = probabilities[order]
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True))
    hits = np.cumsum(targets[order], dtype=np.int64)[ends]
    best = int(np.argmax(2 * hits / (ends + 1 + targets.sum())))
    below = sure[ends[best] + 1] if ends[best] + 1 < len(sure) else 0.0
    return float(np.clip((sure[ends[best]] + below) / 2, 1e-12, 1 - 1e-12))


class Accumulator:
    """A split's figures. Average precision wants all scores: memory grows with pictures times labels.

    Args:
        output: the contract's `Labels`, whose thresholds decide which labels are named.
    """

    def __init__(self, output):
        self.output, self.logits, self.targets = output, [], []

    def add(self, logits, targets):
        """Adds a batch: floats and 0 or 1, (n, labels) both."""
        self.logits.append(logits)
        self.targets.append(targets.astype(bool))

    def thresholds(self):
        """`best_threshold` of each label."""
        logits, targets = self._all()
        probabilities = self.output.activation(logits.astype(np.float64))
        return tuple(best_threshold(p, t) for p, t in zip(probabilities.T, targets.T, strict=True))

    def scores(self):
        """Loss and means over the labels: average precision and F1 of those that some picture has, accuracy of all."""
        named = self._named()
        return self._means(named, self._rows(named))

    def _means(self, named, rows):
        logits, targets = self._all()
        there = targets.any(0)
        return {
            "loss": float(losses(logits, targets).mean()),
            "mean_average_precision": float(np.mean(rows["average_precision"][there])) if there.any() else 0.0,
            "macro_f1": float(np.mean(rows["f1"][there])) if there.any() else 0.0,
            "label_accuracy": float((named == targets).mean()),
        }

    def summary(self):
        """All figures as JSON-ready values."""
        logits, targets = self._all()
        named = self._named()
        exact, columns = (named == targets).all(-1).mean(), self._rows(named)
        thresholds = self.output.thresholds or (0.5,) * len(self.output.labels)
        rows = (
            {name: None if np.isnan(value) else float(value) for name, value in zip(columns, row, strict=True)}
            for row in zip(*columns.values(), strict=True)
        )
        per_label = {
            name: {"images": int(count), **row, "threshold": threshold}
            for name, count, row, threshold in zip(self.output.labels, targets.sum(0), rows, thresholds, strict=True)
        }
        return {"images": len(logits), **self._means(named, columns), "exact": float(exact), "per_label": per_label}

    def warning(self, names):
        """A sentence that names labels that pictures have and that are never named, or None."""
        missed = np.flatnonzero(self._all()[1].any(0) & ~self._named().any(0))
        if not len(missed):
            return None
        return f"never named: {', '.join(names[i] for i in missed[:5])} ({len(missed):,} of {len(names):,} labels)"

    def _all(self):
        if len(self.logits) > 1:
            self.logits, self.targets = [np.concatenate(self.logits)], [np.concatenate(self.targets)]
        return self.logits[0], self.targets[0]

    def _named(self):
        return named(self.output, self._all()[0])

    def _rows(self, named):
        """Average precision, precision, recall and F1 of each label, arrays (labels,); NaN where nothing is divided."""
        logits, targets = self._all()
        hits, there, said = (named & targets).sum(0), targets.sum(0), named.sum(0)
        with np.errstate(invalid="ignore"):
            return {
                "average_precision": np.array([average_precision(*p) for p in zip(logits.T, targets.T, strict=True)]),
                "precision": hits / said,
                "recall": hits / there,
                "f1": 2 * hits / (there + said),
            }


class Report:
    """A split's figures, and the pictures with the largest loss."""

    def __init__(self, output):
        self.output, self.figures, self.mistakes = output, Accumulator(output), Mistakes()

    def add(self, images, outputs, targets):
        """Adds a batch: float pictures in [-1, 1), logits and 0 or 1 (n, labels)."""
        self.figures.add(outputs, targets)
        all_ = np.ones(len(targets), bool)  # what is wrong is known when the thresholds are
        self.mistakes.add(images, losses(outputs, targets).mean(-1), all_, lambda i: (outputs[i].copy(), targets[i]))

    def _said(self, outputs, targets):
        from keras_resnet.drawing import short

        wrong = np.flatnonzero(named(self.output, outputs) != targets.astype(bool))
        said = [f"{'no' if targets[k] else 'said'} {short(self.output.labels[k])}" for k in wrong] or ["right"]
        return "\n".join([*said[:2], *["…"] * (len(said) > 2)])

    def summary(self):
        return self.figures.summary()

    def warning(self):
        return self.figures.warning(self.output.labels)

    def draw(self, title):
        """Name -> figure; the first is TensorBoard's, too."""
        from keras_resnet.tasks import figures

        rows = sorted(self.summary()["per_label"].items(), key=lambda row: -row[1]["images"])[:MOST_LABELS]
        return {
            "labels": figures.labels(rows, title),
            "mistakes": figures.mistakes(
                [(image, self._said(*answer)) for image, answer in self.mistakes.worst()],
                f"{title}: the answers with the largest loss",
            ),
        }
