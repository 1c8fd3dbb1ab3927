"""Pictures in memory and in files: their batches in the split's own order, and in a training's."""

import dataclasses
import functools
import hashlib
import math
import os

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_resnet.data import DataError, augmentation, decoding
from keras_resnet.data.order import SHUFFLED, draw

MOST_BYTES = 6 * 2**30  # of what is held in memory because it can't be read again

# In the making at a time; said, not tuned (see `untuned`).
PICTURES, BATCHES = os.cpu_count(), 4
ALL_ROWS = slice(None)  # of a batch


def check_memory(name, total, shape, instead="give a smaller --image_size"):
    """Refuses what would fill the memory.

    Args:
        name: of the data, for the sentence.
        total: pictures, recordings or texts.
        shape: of one of them, in bytes.

    Raises:
        DataError: together they take more than `MOST_BYTES`.
    """
    needed = total * math.prod(shape)
    if needed > MOST_BYTES:
        raise DataError(
            f"{name}: {total:,} times {'x'.join(map(str, shape))} bytes take {needed / 1e9:.0f} GB of memory; {instead}"
        )


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Pictures in memory: uint8 (n, height, width, channels) in the contract's size, and int labels (n,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @functools.cached_property
    def tensors(self):
        """Copied once: each epoch's pipeline would keep a copy of its own alive. A GPU's memory is for the network."""
        with tf.device("CPU"):
            return tf.constant(self.images), tf.constant(self.labels)

    def fingerprint(self):
        """A text that no longer holds when any byte has changed."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            digest.update(np.ascontiguousarray(array))
        return f"{len(self)} sha256:{digest.hexdigest()[:32]}"

    def batches(self, picture, batch_size):
        del picture  # they have its size already
        return tf.data.Dataset.from_tensor_slices((self.images, self.labels)).batch(batch_size)

    def unsendable(self, resized_crop):
        """Why another machine can't make these batches; nothing where it can."""
        most = 1 << 30  # a graph has room for two
        return "it holds more than a gigabyte in memory, which needs no help" if self.images.nbytes > most else ""

    def training_batches(
        self, picture, batch_size, seed, epoch, first_step, resized_crop, order=SHUFFLED, rows=ALL_ROWS
    ):
        if resized_crop:
            raise DataError("random resized crops want the pictures in their own size; load them with original=True")
        del picture  # they have its size already
        images, labels = self.tensors

        def batch(step, index):
            return step, (tf.gather(images, index), tf.gather(labels, index))

        steps = _steps(order.indices(self.labels, seed, epoch), batch_size, first_step, rows)
        return steps.map(batch, BATCHES, deterministic=True)


@dataclasses.dataclass(frozen=True)
class Files:
    """Pictures in files: their paths as bytes, int labels, and the `decoding.layout` of each."""

    paths: np.ndarray
    labels: np.ndarray
    layouts: np.ndarray

    def __len__(self):
        return len(self.labels)

    def fingerprint(self, root):
        """A text of paths below `root`, sizes and labels, in order: it stays when the same files lie elsewhere."""
        digest = hashlib.sha256()
        for path, label in zip(self.paths, self.labels, strict=True):
            what = " ".join(map(str, np.atleast_1d(label))).encode()
            digest.update(b"%b\0%d %b\n" % (path.removeprefix(os.fsencode(root)), os.stat(path).st_size, what))
        return f"{len(self)} sha256:{digest.hexdigest()[:32]}"

    def arrays(self, picture):
        """All of them in memory, as devices prepare them: `Arrays`."""

        def pixels(path):
            with Image.open(path) as image:
                return picture.pixels(image)

        shown = [pixels(path) for path in self.paths]
        return Arrays(np.stack(shown) if shown else np.zeros((0, *picture.shape), np.uint8), self.labels)

    def read_from(self):
        """Paths of all files, as text."""
        return list(map(os.fsdecode, self.paths))

    def learned(self, picture):
        """A function of an example's number, a tensor, that returns what is learned of it."""
        del picture  # no label depends on its size
        labels = tf.constant(self.labels)
        return lambda index: labels[index]

    def batches(self, picture, batch_size):
        paths, layouts, learned = tf.constant(self.paths), tf.constant(self.layouts), self.learned(picture)

        def read(index):
            return decoding.decode(picture, tf.io.read_file(paths[index]), layouts[index]), learned(index)

        return tf.data.Dataset.range(len(self)).map(read, PICTURES, deterministic=True).batch(batch_size)

    def unsendable(self, resized_crop):
        """Why another machine can't make these batches, for which Python would be needed; nothing where it can."""
        if not resized_crop:
            return "Pillow resizes the pictures here; --augmentation=resized_crop,flip leaves that to TensorFlow"
        odd = [os.fsdecode(path) for path in self.paths[self.layouts == 0]]
        return f"Pillow alone reads {odd[0]}, and {len(odd) - 1} others; make RGB JPEGs of them" if odd else ""

    def training_batches(
        self, picture, batch_size, seed, epoch, first_step, resized_crop, order=SHUFFLED, rows=ALL_ROWS
    ):
        paths, layouts, learned = tf.constant(self.paths), tf.constant(self.layouts), self.learned(picture)
        steps = _steps(order.indices(self.labels, seed, epoch), batch_size, first_step, rows)
        places = np.arange(batch_size)[rows]

        def ones(step, indices):
            positions = step * batch_size + places
            return tf.data.Dataset.from_tensor_slices((tf.fill(places.shape, step), positions, indices))

        def read(step, position, index):
            seeds = draw(seed, epoch, position) if resized_crop else None
            image = training_picture(tf.io.read_file(paths[index]), layouts[index], picture, seeds)
            return step, (image, learned(index))

        batches = steps.flat_map(ones).map(read, PICTURES, deterministic=True).batch(len(places), drop_remainder=True)
        return batches.map(lambda steps, examples: (steps[0], examples))


def _steps(indices, batch_size, first_step, rows):
    """(step, its examples' indices) of an epoch's whole batches from a step on, of which `rows` are wanted."""
    whole = len(indices) // batch_size
    table = indices[: whole * batch_size].reshape(whole, batch_size)
    return tf.data.Dataset.from_tensor_slices((np.arange(whole)[first_step:], table[first_step:, rows]))


def training_picture(encoded, layout, picture, seed):
    """A training picture, a random resized crop of it where a seed is given."""
    if seed is None:
        return decoding.decode(picture, encoded, layout)
    return augmentation.random_resized_crop(encoded, layout, picture, seed)


def untuned(dataset):
    """A dataset without tf.data's tuning of parallelism, whose thread sleeps for up to a minute at a time.

    The end of an iterator waits for that thread, and wakes it before it can see that it is cancelled: in TensorFlow
    2.21 it may sleep on, and an epoch of 27 s takes 41.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
