"""Segmentation: the class of each pixel.

Targets are uint8 masks (batch, height, width), 255 where nothing is known; outputs are logits (batch, rows, columns,
classes), which the contract's `Mask` brings to the picture's size. Classes count by how rare they are (Paszke et al.
2016, https://arxiv.org/abs/1606.02147, ENet): `--class_weights=balanced`.
"""

import numpy as np

from keras_resnet.device.mask import between
from keras_resnet.tasks import mask_metrics
from keras_resnet.tasks.classification import Classification, Mistakes, refuse

WORST = 12  # pictures in a report
RARE = 1.1  # a class of all pixels weighs 1 / ln(2.1), one of none 1 / ln(1.1), ten times as much
# What recipes of classes can have, and these can't.
OTHERS = {"sampling": "all", "mixup": 0.0, "cutmix": 0.0, "progressive": 0.0}
OTHERS |= {"axes": 2, "head": "random", "dropout": 0.0, "label_smoothing": 0.0}
LINES = (("mean IoU", "mean_iou"), ("pixel accuracy", "pixel_accuracy"), ("boundary F-score", "boundary_f"))


class Segmentation(Classification):
    """What `tasks` asks of a task; see `classification.Classification`."""

    BEST = ("mean_iou", "pixel_accuracy", "loss")
    RUNNING = ()
    TITLES = {"mean_iou": "mean IoU", "pixel_accuracy": "pixel accuracy"}  # noqa: RUF012
    SCORE = "mean IoU"
    PER_PICTURE = False

    @property
    def move(self):
        from keras_resnet.data import masks

        return masks.move

    def mix(self, recipe):
        from keras_resnet.data import masks

        return masks.mosaic if "mosaic" in recipe.augmentations else None

    def check(self, recipe):
        refuse(recipe, OTHERS, "masks")
        if recipe.strides not in ("8", "4", "2"):  # 8 is what is usual for boxes
            raise ValueError(f"--strides={recipe.strides}: cells of masks have 4 pixels, or 2")
        if recipe.loss not in ("auto", "lovasz"):
            raise ValueError(f"--loss={recipe.loss}: it can't be had of pictures with masks; choose auto or lovasz")

    def network(self, recipe):
        """A segmenter of a recipe, its weights drawn by the recipe's seed."""
        return self.network_on(self.residual(recipe, features=True), recipe)

    def network_on(self, backbone, recipe):
        """The same on a backbone, whose weights it has."""
        from keras_resnet.data import masks
        from keras_resnet.networks.segmenter import segmenter

        filters = max(16, round(128 * recipe.width))
        return segmenter(backbone, len(self.contract.labels), filters, masks.stride(recipe.levels))

    def loss(self, recipe, labels=None):
        """Cross-entropy of each pixel, by its class's weight; logits are brought to the masks' size as answers are.

        With `loss="lovasz"` the loss that stands for intersection over union is added, of the batch's cells.

        Args:
            recipe: `Recipe`.
            labels: what there is to learn, for the weights; see `class_weights`.
        """
        import tensorflow as tf

        from keras_resnet.tasks import overlap

        classes = len(self.contract.labels)
        weights = tf.constant(class_weights(labels, classes) if recipe.class_weights == "balanced" else [1.0] * classes)

        def loss(targets, logits):
            cells, targets = tf.cast(logits, tf.float32), tf.cast(targets, tf.int32)
            logits = resized(cells, targets.shape[1:3])
            more = overlap.lovasz(*_flat(targets, cells)) if recipe.loss == "lovasz" else 0.0
            known = targets < classes
            targets = tf.where(known, targets, 0)
            weight = tf.gather(weights, targets) * tf.cast(known, tf.float32)
            crossed = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            # Of the batch's weights, whatever single pictures have of them.
            mean = tf.maximum(tf.reduce_mean(tf.reduce_sum(weight, (1, 2))), 1e-6)
            return tf.reduce_sum(crossed * weight, (1, 2)) / mean + more

        return loss

    def taught_loss(self, recipe, labels=None):
        """Cross-entropy of each cell with a teacher's probabilities."""
        import tensorflow as tf

        def loss(taught, logits):
            if taught.shape.rank == 3:  # masks: of those Keras asks where nothing is learned
                return self.loss(recipe, labels)(taught, logits)
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(taught, tf.cast(logits, tf.float32)), (1, 2))

        return loss

    def running(self, recipe):
        return []

    def losses(self, outputs, targets):
        return mask_metrics.losses(self.contract.output, outputs, targets)

    def agreement(self, outputs, others, step=0):
        """Of each picture, how many pixels are of the same class, and how many pixels there are."""
        del step
        size = self.contract.shape[:2]
        found = ([self.contract.output.decode(one, *size) for one in of] for of in (outputs, others))
        pairs = list(zip(*found, strict=True))
        return np.array([np.sum(a == b) for a, b in pairs]), np.array([a.size for a, _ in pairs])

    def evidence(self, outputs, label):
        import tensorflow as tf

        logits = outputs[0]
        there = tf.cast(tf.argmax(logits, -1) == label, tf.float32)
        there = tf.where(tf.reduce_any(there > 0, (1, 2), keepdims=True), there, 1.0)
        return tf.reduce_sum(logits[..., label] * there, (1, 2)) / tf.reduce_sum(there, (1, 2))

    def named(self, shown):
        """(label, part of the picture)."""
        return shown.parts

    def groups(self, targets):
        """By the rarest class on each picture."""
        classes = len(self.contract.labels)
        counts = np.stack([np.bincount(target.ravel(), minlength=256)[:classes] for target in targets])
        return np.where(counts > 0, counts, counts.max() + 1).argmin(-1)

    def accumulator(self):
        return mask_metrics.Masks(self.contract)

    def report(self):
        return Report(self.contract)

    def lines(self, result):
        """(name, text) of a report's figures, for people."""
        found = [(title, f"{100 * result[name]:.2f} %") for title, name in LINES]
        there = {label: value for label, value in result["per_class_iou"].items() if value is not None}
        per_class = ", ".join(f"{label} {100 * value:.1f}" for label, value in there.items())
        return [*found, ("IoU by class [%]", per_class), ("loss", f"{result['loss']:.4f} nats")]


def class_weights(labels, classes):
    """Weight of each class, 1 / ln(1.1 + its part of the pixels), of what `masks.counted` takes."""
    from keras_resnet.data.masks import counted

    counts = counted(labels)[:classes]
    return (1 / np.log(RARE + counts / max(1, counts.sum()))).astype(np.float32)


def _flat(masks, cells):
    """Targets (cells,) and logits (cells, classes) of a batch's cells: of each the pixel where its corner lies."""
    import tensorflow as tf

    rows, columns = map(mask_metrics.on, cells.shape[1:3], masks.shape[1:])
    there = tf.gather(tf.gather(masks, rows, axis=1), columns, axis=2)
    return tf.reshape(there, (-1,)), tf.reshape(cells, (-1, cells.shape[-1]))


def resized(maps, size):
    """Maps (batch, rows, columns, channels), a float32 tensor, bilinear with corners onto corners, as `Mask` does.

    By two products with matrices, of which XLA has the gradient, too.
    """
    import tensorflow as tf

    rows, columns, channels = maps.shape[1:]
    down, across = _matrix(rows, size[0]), _matrix(columns, size[1])
    # Columns first: there are fewer small products of as few columns as there are classes.
    wider = tf.matmul(across, maps)
    taller = tf.matmul(down, tf.reshape(wider, (-1, rows, size[1] * channels)))
    return tf.reshape(taller, (-1, *size, channels))


def _matrix(count, size):
    """float32 (size, count): what each of `size` places takes of each of `count` cells."""
    first, last, part = between(count, size)
    matrix = np.zeros((size, count), np.float32)
    matrix[np.arange(size), first] = 1 - part
    matrix[np.arange(size), last] += part
    return matrix


class Report(mask_metrics.Masks):
    """A split's figures, and the pictures with the largest loss."""

    def __init__(self, contract):
        super().__init__(contract)
        self.worst, self.edges = Mistakes(WORST), mask_metrics.Boundaries(len(contract.labels))

    def add(self, images, outputs, targets):
        """Adds a batch: float pictures in [-1, 1) (n, height, width, channels), logits and masks."""
        found, losses = super().add(outputs, targets, decoded=True)
        for mask, target in zip(found, targets, strict=True):
            self.edges.add(mask, target)
        self.worst.add(images, losses, np.ones(len(losses)), lambda i: (found[i], targets[i]))

    def summary(self):
        """JSON-ready figures; None where there is nothing of a kind."""
        per_class = zip(self.output.labels, self.overlaps(), strict=True)
        named = {label: None if np.isnan(value) else float(value) for label, value in per_class}
        figures = {**self.scores(), "boundary_f": self.edges.score()}
        return {"images": len(self.losses), **figures, "per_class_iou": named}

    def warning(self):
        return super().warning(self.output.labels)

    def draw(self, title):
        """Name -> figure; the first is TensorBoard's, too."""
        from keras_resnet.tasks import mask_figures

        worst = [(image, *pair) for image, pair in self.worst.worst()]
        return {
            "worst": mask_figures.answers(worst, self.output, f"{title}: the pictures with the largest loss"),
            "overlaps": mask_figures.overlaps(self.overlaps(), self.output, title),
            "confusion": mask_figures.confusion(self.matrix, self.output.labels, title),
        }
