"""Detection: where things are on a picture, and what they are.

Targets are boxes (batch, most, 6), see `data.annotated`. Outputs are `location` (batch, cells, 4) and `score` (batch,
cells, classes); the loop sees them as one tensor, (batch, cells, 4 + classes), no file does.
"""

import numpy as np

from keras_resnet.recipes import MOVED_ALONE
from keras_resnet.tasks import box_metrics
from keras_resnet.tasks.box_metrics import BoxesFound, check_installed
from keras_resnet.tasks.classification import Classification, Mistakes, refuse

WORST = 12  # pictures in a report
STEP = 0.05  # logits that differ by less are one, where no int8 step is coarser: a probability's hundredth
# What recipes of classes can have, and these can't.
OTHERS = {"class_weights": "none", "sampling": "all", "mixup": 0.0, "cutmix": 0.0, "progressive": 0.0, "train_size": 0}
OTHERS |= {"axes": 2, "loss": "auto", "head": "random", "dropout": 0.0}
LINES = (
    ("mAP@0.5:0.95", "map"),
    ("mAP@0.5", "map50"),
    ("mAP@0.75", "map75"),
    ("recall, at most 100 boxes a picture", "recall"),
)


class Detection(Classification):
    """What `tasks` asks of a task; see `classification.Classification`."""

    BEST = ("map50", "map", "recall", "loss")
    RUNNING = ()
    TITLES = {"map50": "mAP@0.5", "map": "mAP@0.5:0.95", "recall": "recall"}  # noqa: RUF012
    ACTIVATION = "sigmoid"
    SCORE = "mAP@0.5"
    LOSS = "loss"
    RANGES = "max"  # on blood cells 90.3 % mAP@0.5 before any training; by the mean square error 89.5, float 90.2
    PER_PICTURE = False

    @property
    def move(self):
        from keras_resnet.data import annotated

        return annotated.move

    def mix(self, recipe):
        from keras_resnet.data import annotated

        return annotated.mosaic if "mosaic" in recipe.augmentations else None

    def check(self, recipe):
        check_installed()
        # Nothing says what the mirrored edges of `shift` show.
        refuse(recipe, OTHERS, "boxes", ("shift", *MOVED_ALONE))
        if recipe.levels[0] < 4:
            raise ValueError(f"--strides={recipe.strides}: it can't be had of pictures with boxes; give 4, or 8")

    def network(self, recipe):
        """A detector of a recipe, its weights drawn by the recipe's seed."""
        return self.network_on(self.residual(recipe, features=True), recipe)

    def network_on(self, backbone, recipe):
        """The same on a backbone, whose weights it has."""
        from keras_resnet.networks.detector import detector

        strides = tuple(stride for *_, stride in self.contract.output.levels)
        filters = max(16, round(128 * recipe.width))
        return detector(backbone, len(self.contract.labels), strides, filters)

    def whole(self, model):
        """A model with one output for the loop, of one with the network's two."""
        import keras

        joined = keras.layers.Concatenate(-1, name="answers", dtype="float32")(model.outputs)
        return keras.Model(model.inputs, joined, name=model.name)

    def loss(self, recipe, labels=None):
        """The function of targets and joined outputs that is learned by; see `cells.loss`."""
        from keras_resnet.tasks import cells

        anchors = self.contract.output.anchors

        def loss(targets, outputs):
            return cells.loss(targets, outputs[..., :4], outputs[..., 4:], anchors)

        return loss

    def joined(self, outputs):
        return np.concatenate(outputs, -1)

    def losses(self, outputs, targets):
        from keras_resnet.tasks import cells

        return cells.loss(targets, outputs[..., :4], outputs[..., 4:], self.contract.output.anchors).numpy()

    def agreement(self, outputs, others, step=0):
        """Of each picture, how many boxes that are shown have a twin, and how many boxes there are.

        A twin is of the same class, overlaps by more than `TWINS`, and its score is at most a `step` away.
        """
        pairs = [
            [self.contract.output.decode(one[:, :4], one[:, 4:]) for one in pair]
            for pair in zip(outputs, others, strict=True)
        ]
        twins = [box_metrics.twins(*pair, max(step, STEP)) for pair in pairs]
        return np.array([2.0 * n for n in twins]), np.array([len(a[0]) + len(b[0]) for a, b in pairs])

    def evidence(self, outputs, label):
        import tensorflow as tf

        return tf.reduce_max(outputs[1][..., label], -1)

    def named(self, shown):
        return list(zip(shown.labels, shown.probabilities, strict=True))

    def groups(self, targets):
        """By the classes that are on a picture."""
        return np.array([sum(2 ** int(kind) for kind in {*kinds} if kind >= 0) for kinds in targets[..., 4]])

    def taught_loss(self, recipe, labels=None):
        from keras_resnet.tasks import cells

        def loss(taught, outputs):
            if taught.shape[1:] != outputs.shape[1:]:  # boxes: of those Keras asks where nothing is learned
                return self.loss(recipe)(taught, outputs)
            return cells.imitation(taught[..., :4], taught[..., 4:], outputs[..., :4], outputs[..., 4:])

        return loss

    def taught(self, outputs):
        return outputs

    def running(self, recipe):
        return []

    def accumulator(self):
        return Figures(self.contract.output)

    def report(self):
        return Report(self.contract.output)

    def lines(self, result):
        """(name, text) of a report's figures, for people."""
        found = [(title, _percent(result[name])) for title, name in LINES]
        per_class = ", ".join(f"{label} {_percent(value)}" for label, value in result["per_class_map50"].items())
        return [*found, ("by class (mAP@0.5)", per_class), ("loss", f"{result['loss']:.4f}")]


def _percent(part):
    return "" if part is None or np.isnan(part) else f"{100 * part:.2f} %"


class Figures:
    """Figures of a split, batch by batch.

    Args:
        output: the contract's, `device.boxes.Boxes`.
    """

    def __init__(self, output):
        self.output, self.found, self.losses = output, BoxesFound(output), []

    def add(self, outputs, targets):
        """Adds a batch: joined outputs (n, cells, 4 + classes) and targets (n, most, 6); returns its losses (n,)."""
        from keras_resnet.tasks import cells

        location, score = outputs[..., :4], outputs[..., 4:]
        self.found.add(location, score, targets)
        losses = cells.loss(targets, location, score, self.output.anchors).numpy()
        self.losses += losses.tolist()
        return losses

    def scores(self):
        """Name -> figure on `BEST`."""
        found = self.found.scores()
        return {"loss": float(np.mean(self.losses)), **{name: found[name] for name in ("map50", "map", "recall")}}

    def warning(self, labels):
        """A sentence on what no average shows, or None."""
        found = self.found.scores()
        never = [label for label in labels if found[f"map50 of {label}"] == 0]
        return f"never found: {', '.join(never)}" if never else None


class Report(Figures):
    """A split's figures, and the pictures whose loss is the largest."""

    def __init__(self, output):
        super().__init__(output)
        self.worst = Mistakes(WORST)

    def add(self, images, outputs, targets):
        """Adds a batch: float pictures in [-1, 1) (n, height, width, channels), outputs and targets."""
        before = len(self.losses)
        losses = super().add(outputs, targets)
        found, there = (part[before:] for part in (self.found.found, self.found.there))
        self.worst.add(images, losses, np.ones(len(losses)), lambda i: (found[i], there[i]))

    def summary(self):
        """JSON-ready figures; None where there is nothing of a kind."""
        found = {name: None if np.isnan(value) else value for name, value in self.found.scores().items()}
        per_class = {label: found.pop(f"map50 of {label}") for label in self.output.labels}
        loss = float(np.mean(self.losses))
        return {"images": len(self.losses), **found, "per_class_map50": per_class, "loss": loss}

    def warning(self):
        return super().warning(self.output.labels)

    def draw(self, title):
        """Name -> figure; the first is TensorBoard's, too."""
        from keras_resnet.tasks import box_figures, figures

        answers = [(image, *boxes) for image, boxes in self.worst.worst()]
        return {
            "worst": box_figures.answers(answers, self.output, f"{title}: the pictures with the largest loss"),
            "precision": box_figures.precision(self.found, title),
            "confusion": box_figures.confusion(self.found.confusion(), self.output.labels, title),
            "reliability": figures.reliability(self.found.bins(), title, "boxes that are right [%]", "boxes"),
        }
