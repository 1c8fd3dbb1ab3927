"""Classification: every picture is of one class. Targets are integers (batch,), outputs are logits (batch, classes)."""

import dataclasses
import heapq

import numpy as np

from keras_resnet.device.classes import Classes
from keras_resnet.recipes import MOVED_ALONE, OF_SOUNDS, OF_TEXTS, Recipe
from keras_resnet.tasks import keywords, metrics

WORST = 24
# An input's kind -> the steps of augmentation that it has alone.
STEPS_OF = {"sound": OF_SOUNDS, "text": OF_TEXTS, "row": ()}
NOT_OF_TEXTS = ("axes", "version", "stem", "shortcut", "se", "blur", "mixup", "cutmix", "progressive", "train_size")
NOT_OF_TEXTS += ("freeze", "stochastic_depth", "layer_decay", "head_learning_rate", "image_size", "channels")
NOT_OF_ROWS = ("progressive", "train_size", "cutmix", "image_size", "channels")
LINES = (
    ("top-1 accuracy", "top1_accuracy"),
    ("top-5 accuracy", "top5_accuracy"),
    ("balanced accuracy (macro recall)", "balanced_accuracy"),
    ("macro F1", "macro_f1"),
)


def refuse(recipe, others, what, refused=MOVED_ALONE):
    """Raises ValueError for what a recipe asks of pictures of classes alone.

    Args:
        recipe: `Recipe`.
        others: field -> the only value that it may have.
        what: is learned, as `boxes`.
        refused: steps of augmentation that would leave what is learned where it was.
    """
    for flag, off in others.items():
        if getattr(recipe, flag) != off:
            raise ValueError(f"--{flag}={getattr(recipe, flag)}: it can't be had of pictures with {what}; drop it")
    refuse_steps(recipe, f"pictures with {what}")
    if odd := [step for step in recipe.augmentations if step in refused]:
        raise ValueError(
            f"--augmentation={recipe.augmentation}: {odd[0]} would move the pixels and not what lies on them; give "
            "steps of crop, zoom, flip, vflip, jitter, erase, cutout"
        )


def refuse_steps(recipe, what, own=None):
    """Raises ValueError for steps of augmentation of other things; `own` are those of sounds, texts or rows."""
    steps, others = {*recipe.augmentations}, own is None
    if (not others and not steps <= {*own}) or (others and steps & {*OF_SOUNDS, *OF_TEXTS}):
        would_do = f"steps that are not {', '.join(OF_SOUNDS + OF_TEXTS)}" if others else ", ".join(own)
        would_do += ", or " if would_do else ""
        raise ValueError(f"--augmentation={recipe.augmentation}: these are {what}; give {would_do}none")


class Classification:
    """What `tasks` asks of a task.

    Attributes:
        BEST: figures on the validation pictures by which the model can be chosen; larger is better but for the loss.
            The first is `auto`.
        RUNNING: of these, what is measured while it learns.
        TITLES: how figures show them.
        ACTIVATION: from logits to probabilities, a name of `keras.activations`.
        SCORE: what `scores` is called.
        LOSS: what an axis of its losses is called.
        RANGES: how an int8-aware training finds its first ranges (`quantize_aware`'s `search`).
        PER_PICTURE: whether `SCORE` is a mean of `scores`, one for each picture; else it is the first of `BEST`.
        move: how targets move with the pixels of a picture (`augmentation.augment`); these stay as they are.
        contract: its labels are the classes.
    """

    BEST = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
    RUNNING = ("accuracy",)
    TITLES = {"accuracy": "top-1 accuracy"}  # noqa: RUF012
    ACTIVATION = "softmax"
    SCORE = "top-1 accuracy"
    LOSS = "loss [nats]"
    RANGES = "mse"
    PER_PICTURE = True
    move = None

    def __init__(self, contract):
        self.contract = contract

    def check(self, recipe):
        """Raises ValueError for what a recipe asks of another task."""
        if recipe.loss == "lovasz":
            raise ValueError(f"--loss=lovasz: it is of masks; these {self.contract.input.THINGS} have classes")
        if recipe.strides != Recipe().strides:
            raise ValueError(f"--strides={recipe.strides}: it is of boxes and masks; drop it")
        if "mosaic" in recipe.augmentations:
            raise ValueError(f"--augmentation={recipe.augmentation}: mosaic is of boxes and masks; drop it")
        raw = [step for step in recipe.augmentations if step not in ("later", "stretch")]
        if self.contract.input.KIND == "sound" and self.contract.input.axes == 1 and raw:
            raise ValueError(f"--augmentation={recipe.augmentation}: of waves (--bands=0) give later, stretch, or none")
        refuse_steps(recipe, self.contract.input.THINGS, STEPS_OF.get(self.contract.input.KIND))
        no, given = (), self.contract.input
        if given.KIND == "text":
            no, given = NOT_OF_TEXTS, "texts"
        elif given.KIND == "row":
            no, given = NOT_OF_ROWS, "rows"
        elif given.KIND == "sound" and given.axes == 1:
            no, given = ("progressive", "train_size"), "waves (--bands=0)"
        for flag in no:
            if getattr(recipe, flag) != getattr(Recipe(), flag):
                raise ValueError(f"--{flag}={getattr(recipe, flag)}: it can't be had of {given}; drop it")

    def best(self, asked):
        """The figure that a recipe's `best` means; raises ValueError for another task's."""
        if asked not in ("auto", *self.BEST):
            raise ValueError(f"--best={asked}: this data has no such figure; choose auto, {', '.join(self.BEST)}")
        return self.BEST[0] if asked == "auto" else asked

    def network(self, recipe):
        """A network of a recipe, its weights drawn by the recipe's seed."""
        if self.contract.input.KIND == "text":
            return self._of_texts(recipe)
        return self.residual(recipe, num_classes=len(self.contract.labels))

    def _of_texts(self, recipe):
        import keras

        from keras_resnet.networks.sentences import sentence_network

        keras.utils.set_random_seed(recipe.seed)
        given = {"depth": recipe.depth, "width": recipe.width, "activation": recipe.activation}
        return sentence_network(self.contract.input, len(self.contract.labels), **given)

    def begin(self, model, data):
        """Gives a new network what the training examples say without being learned: of texts, naive Bayes' votes."""
        if self.contract.input.KIND == "text":
            from keras_resnet.data.texts import log_ratios

            ratios = log_ratios(data.train, self.contract.input, len(self.contract.labels))
            model.get_layer("votes").set_weights([ratios])
            counts = np.bincount(data.train.labels, minlength=len(self.contract.labels))
            model.get_layer("logits").bias.assign(np.log(np.maximum(counts, 1) / counts.sum()))

    def residual(self, recipe, **options):
        """A residual network of a recipe, with further `options` of `ResNet`."""
        import keras

        from keras_resnet.networks.resnet import ResNet

        keras.utils.set_random_seed(recipe.seed)
        return ResNet(
            recipe.depth,
            self.contract.shape,
            width=recipe.width,
            version=recipe.version,
            stem=None if recipe.stem == "auto" else recipe.stem,
            shortcut=recipe.shortcut,
            se=recipe.se,
            blur=bool(recipe.blur),
            axes=recipe.axes and self.contract.input.axes,
            activation=recipe.activation,
            **options,
        )

    def whole(self, model):
        """A model as the loop and the report see it, with one output: itself."""
        return model

    def loss(self, recipe, labels=None):
        """The function that is learned by; see `losses.classification`.

        Args:
            recipe: `Recipe`.
            labels: integers (n,), what there is to learn; None where they are not known before they are read.

        Raises:
            ValueError: `class_weights` asks for the counts of labels that are not known.
        """
        from keras_resnet.tasks import losses

        weights = None
        if recipe.class_weights == "balanced":
            if labels is None:
                raise ValueError("--class_weights=balanced: a data set that is streamed is not counted before; drop it")
            weights = losses.balanced_weights(labels, len(self.contract.labels))
        return losses.classification(recipe.label_smoothing, recipe.loss, weights)

    def mix(self, recipe):
        """How a batch is mixed with itself, a function for `Data.training`; None where the recipe does not."""
        if not (recipe.mixup or recipe.cutmix):
            return None
        from keras_resnet.data import augmentation

        def mix(images, targets, seed):
            probable = self.probable(targets, recipe)
            return augmentation.mix(images, probable, seed, recipe.mixup, recipe.cutmix, recipe.repeats)

        return mix

    def probable(self, targets, recipe):
        """Targets as probabilities, float32 (batch, classes), smoothed."""
        import tensorflow as tf

        classes, off = len(self.contract.labels), recipe.label_smoothing
        return tf.one_hot(targets, classes) * (1 - off) + off / classes

    def running(self, recipe):
        """Keras metrics named as `RUNNING`; of mixed examples by what is most of each."""
        import keras

        mixed = recipe.mixup or recipe.cutmix
        kind = keras.metrics.CategoricalAccuracy if mixed else keras.metrics.SparseCategoricalAccuracy
        return [kind(name="accuracy")]

    def taught_loss(self, recipe, labels=None):
        """The function that a teacher's answers (`taught`), smooth and of all classes already, are learned by."""
        return self.loss(dataclasses.replace(recipe, label_smoothing=0.0, loss="auto"), labels)

    def taught(self, logits):
        """What a student learns of a teacher's logits, a tensor: its probabilities."""
        import keras

        return keras.ops.softmax(logits)

    def accumulator(self):
        """Figures of a split, batch by batch."""
        return metrics.Accumulator(len(self.contract.labels))

    def report(self):
        """What a report shows of a split, batch by batch."""
        return Report(self.contract.labels, self.contract.input)

    @property
    def chooses(self):
        """Whether a report on validation chooses what the contract carries (`chosen`)."""
        return self.contract.input.KIND == "sound"

    def chosen(self, shown):
        """The contract with the threshold of a stream that makes the fewest faults of a report's recordings.

        The report takes it, too: what it costs on validation is what it was chosen for.
        """
        shown.words.threshold = shown.words.chosen()["threshold"]
        given = dataclasses.replace(self.contract.input, threshold=shown.words.threshold)
        return dataclasses.replace(self.contract, input=given)

    def lines(self, result):
        """(name, text) of a report's part on a split, for people."""
        found = [(name, f"{100 * result[key]:.2f} %") for name, key in LINES if key in result]
        found.append(("loss", f"{result['loss']:.4f} nats"))
        found.append(("calibration error", f"{100 * result['expected_calibration_error']:.2f} %"))
        recalls = {k: v["recall"] for k, v in result["per_class"].items() if v["recall"] is not None}
        worst = sorted(recalls, key=recalls.get)[:3]
        if "threshold" in result:
            cost = "{words_missed:.1%} of the words missed, {false_alarms_an_hour:.0f} false alarms an hour"
            found.append(("of a stream", f"--threshold={result['threshold']:.2f}: {cost.format(**result)}"))
        return [*found, ("hardest classes", ", ".join(f"{name} {100 * recalls[name]:.1f} %" for name in worst))]

    def scores(self, outputs, targets):
        """How right each answer is, floats (n,) in [0, 1], of logits or probabilities (n, classes)."""
        return (outputs.argmax(-1) == targets).astype(float)

    def joined(self, outputs):
        """A network's outputs, a list of arrays (n, …), as one; see `whole`."""
        return outputs[0]

    def agreement(self, outputs, others, step=0):
        """How far two networks say the same of each picture: floats (n,), and what the most would be, (n,)."""
        del step  # of int8 scores
        return (outputs.argmax(-1) == others.argmax(-1)).astype(float), np.ones(len(outputs))

    def losses(self, outputs, targets):
        """Cross-entropies (n,) of what the contract's scores are, in nats."""
        if self.contract.output.scores == "probabilities":
            outputs = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))  # logits but for a constant
        return metrics.losses(outputs, targets)

    def evidence(self, outputs, label):
        """How much speaks for a class, a tensor (batch,), of a network's outputs, a list of tensors."""
        return outputs[0][:, label]

    def named(self, shown):
        """(label, probability) of what an answer names, the likeliest first."""
        return shown.top

    def groups(self, targets):
        """Integers (n,): examples of different ones differ most, as golden pictures should."""
        return targets


class Report:
    """A split's figures, and its mistakes with the largest loss."""

    def __init__(self, labels, given):
        self.labels, self.figures = labels, metrics.Accumulator(len(labels))
        self.mistakes = Mistakes(shown=getattr(given, "words", pixels))
        heard = given.KIND == "sound"
        self.words = keywords.Keywords(labels, given.seconds, given.threshold) if heard else None

    def add(self, images, outputs, targets):
        """Adds a batch: float pictures in [-1, 1) (n, height, width, channels), logits (n, classes), ints (n,)."""
        from keras_resnet.drawing import short

        self.figures.add(outputs, targets)
        if self.words:
            self.words.add(outputs, targets)

        def said(i):
            predicted, sure = outputs[i].argmax(), Classes.activation(outputs[i]).max()
            return f"{short(self.labels[predicted])} {100 * sure:.0f} %\nis {short(self.labels[targets[i]])}"

        self.mistakes.add(images, metrics.losses(outputs, targets), outputs.argmax(-1) != targets, said)

    def summary(self):
        """JSON-ready figures."""
        return {**self.figures.summary(self.labels), **(self.words.at(self.words.threshold) if self.words else {})}

    def warning(self):
        """A sentence on what no average shows, or None."""
        return self.figures.warning(self.labels)

    def draw(self, title):
        """Name -> figure; the first is TensorBoard's, too."""
        from keras_resnet.tasks import figures

        return {
            **({"words": keywords.figure(self.words, f"{title}: what a threshold costs")} if self.words else {}),
            "confusion": figures.confusion(self.figures, self.labels, title),
            "reliability": figures.reliability(self.figures.bins, title),
            "mistakes": figures.mistakes(self.mistakes.worst(), f"{title}: the mistakes with the largest loss"),
        }


def pixels(image):
    """uint8 pixels of a float picture in [-1, 1)."""
    return np.clip((image + 1) * 128, 0, 255).astype(np.uint8)


class Mistakes:
    """The mistakes with the largest loss of all batches added, worst first in `worst()`, for `figures.mistakes`."""

    def __init__(self, most=WORST, shown=pixels):
        self.most, self.heap, self.seen, self.shown = most, [], 0, shown

    def add(self, images, losses, wrong, said):
        """Adds a batch.

        Args:
            images: float pictures in [-1, 1) (n, height, width, channels), or what else `shown` takes one of.
            losses: floats (n,).
            wrong: booleans (n,).
            said: what is kept beside the picture, a function of its index.
        """
        wrong = np.flatnonzero(wrong)
        for i in wrong[np.argsort(-losses[wrong], kind="stable")][: self.most]:
            if len(self.heap) == self.most and losses[i] <= self.heap[0][0]:
                break  # nor is any of the others worse
            # `seen - i` breaks ties, so that no two pictures are compared, and the earlier one stays.
            entry = (float(losses[i]), -self.seen - int(i), self.shown(images[i]), said(i))
            (heapq.heappushpop if len(self.heap) == self.most else heapq.heappush)(self.heap, entry)
        self.seen += len(losses)

    def worst(self):
        """(uint8 picture or text, what `said` of it) of each."""
        return [entry[2:] for entry in sorted(self.heap, key=lambda entry: entry[:2], reverse=True)]
