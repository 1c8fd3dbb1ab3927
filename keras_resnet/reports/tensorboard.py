"""TensorBoard: curves of training and validation in one plot each, an augmented batch, the graph, the confusion."""

import contextlib
import dataclasses

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorflow.core.util import event_pb2

from keras_resnet.recipes import PLACES

NO_CURVES = ("epoch", "step", "seconds", "peak_memory_mb")


class Writer:
    """Writes below one folder: `train` and `validation` are two runs to TensorBoard, so that it overlays them.

    What the folder holds already is not written again, so that a run that continues can offer all of its history.
    """

    def __init__(self, folder):
        self.folder = folder
        self.there = {name: set(_written(folder / name)) for name in ("train", "validation")}
        self.writers = {name: tf.summary.create_file_writer(str(folder / name)) for name in self.there}

    def begin(self, model, batches, recipe, words=None):
        """Writes the recipe, as hyperparameters, the graph, and the first training batch as the network sees it.

        Of texts `words` makes one of its numbers, `Text.words`.
        """
        if ("augmented batch", 0) in self.there["train"]:
            return
        images = next(iter(batches))[0].numpy()
        graph = tf.function(lambda image: model(image, training=False)).get_concrete_function(
            tf.TensorSpec((None, *model.input_shape[1:]), model.inputs[0].dtype)
        )
        fields = {name: value for name, value in dataclasses.asdict(recipe).items() if name not in PLACES}
        # In the folder of both runs: so TensorBoard's table has the figures of both.
        with tf.summary.create_file_writer(str(self.folder)).as_default():
            hparams.hparams(fields)
        with self.writers["train"].as_default(step=0):
            tf.summary.graph(graph.graph)
            if words:
                tf.summary.text("augmented batch", [words(ids) for ids in images])
            else:
                tf.summary.image("augmented batch", grid(images)[None])
        self.writers["train"].flush()

    def epoch(self, row):
        """Writes one row of the history."""
        names = [name for name in row if name not in NO_CURVES]
        if row["epoch"]:
            self._scalars("train", row["step"], {name: row[name] for name in names if not name.startswith("val_")})
        validation = {name.removeprefix("val_"): row[name] for name in names if name.startswith("val_")}
        self._scalars("validation", row["step"], validation)

    def steps(self, step, values):
        """Writes numbers of a step, beside the training's."""
        self._scalars("train", step, values)

    def _scalars(self, name, step, values):
        with self.writers[name].as_default(step):
            for tag in values:
                if (tag, step) not in self.there[name]:
                    tf.summary.scalar(tag, values[tag])
                    self.there[name].add((tag, step))
        self.writers[name].flush()

    def close(self):
        for writer in self.writers.values():
            writer.close()


def _written(folder):
    """Yields (tag, step) of all that the event files of a folder hold, up to where a kill cut one off."""
    for path in folder.glob("events.out.tfevents.*"):
        with contextlib.suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                event = event_pb2.Event.FromString(record)
                yield from ((value.tag, event.step) for value in event.summary.value)


def grid(images, most=64):
    """Tiles float pictures in [-1, 1) (n, height, width, channels) to one uint8 picture, eight in a row."""
    images = np.clip((images[:most] + 1) * 128, 0, 255).astype(np.uint8)
    columns = min(8, len(images))
    rows = len(images) // columns
    n, height, width, channels = (rows * columns, *images.shape[1:])
    tiles = images[:n].reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(rows * height, columns * width, channels)


def write_picture(folder, name, picture, step):
    """Writes a report's picture, uint8 (height, width, 3), beside the validation curves."""
    with tf.summary.create_file_writer(str(folder / "validation")).as_default(step):
        tf.summary.image(name, picture[None])
