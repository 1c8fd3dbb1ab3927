"""TensorBoard: curves of training and validation in one plot each, an augmented batch, the graph, the confusion."""

import numpy as np
import tensorflow as tf


class Writer:
    """Writes below one folder: `train` and `validation` are two runs to TensorBoard, so that it overlays them."""

    def __init__(self, folder):
        self.train = tf.summary.create_file_writer(str(folder / "train"))
        self.validation = tf.summary.create_file_writer(str(folder / "validation"))

    def begin(self, model, batches):
        """Writes the graph and the first training batch as the network sees it."""
        images = next(iter(batches))[0].numpy()
        graph = tf.function(lambda image: model(image, training=False)).get_concrete_function(
            tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        )
        with self.train.as_default(step=0):
            tf.summary.graph(graph.graph)
            tf.summary.image("augmented batch", grid(images)[None])

    def epoch(self, row):
        """Writes one row of the history."""
        step = row["step"]
        if row["epoch"]:
            with self.train.as_default(step):
                for name in ("loss", "accuracy", "learning_rate", "images_per_second"):
                    tf.summary.scalar(name, row[name])
        with self.validation.as_default(step):
            for name in ("loss", "accuracy"):
                tf.summary.scalar(name, row[f"val_{name}"])
        self.train.flush()
        self.validation.flush()

    def close(self):
        self.train.close()
        self.validation.close()


def grid(images, most=64):
    """Tiles float pictures in [-1, 1) (n, height, width, channels) to one uint8 picture, eight in a row."""
    images = np.clip((images[:most] + 1) * 128, 0, 255).astype(np.uint8)
    columns = min(8, len(images))
    rows = len(images) // columns
    n, height, width, channels = (rows * columns, *images.shape[1:])
    tiles = images[:n].reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(rows * height, columns * width, channels)


def write_confusion(folder, picture, step):
    """Writes the confusion matrix's picture, uint8 (height, width, 3), beside the validation curves."""
    with tf.summary.create_file_writer(str(folder / "validation")).as_default(step):
        tf.summary.image("confusion matrix", picture[None])
