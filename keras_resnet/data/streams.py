"""TFDS sets that are too large for memory: read in order with a shuffle buffer, pictures encoded until cropped."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_resnet.data import DataError, decoding
from keras_resnet.data.order import SHUFFLED, draw
from keras_resnet.data.sources import ALL_ROWS, PICTURES, training_picture

SHUFFLE_BUFFER = 16_384  # encoded pictures


@dataclasses.dataclass(frozen=True)
class Stream:
    """A TFDS split too large for memory, read in order with a shuffle buffer; pictures stay encoded until cropped.

    Attributes:
        builder: the TFDS builder.
        split: TFDS's name of the split.
        keys: names of the picture and the label.
        part: the part of the split that this is, where others are drawn from it too: sorted `number`s of examples, and
            whether it is these or all the others; None for all of it.
        size: number of examples.
    """

    builder: object
    split: str
    keys: tuple[str, str]
    part: tuple[np.ndarray, bool] | None
    size: int

    def __len__(self):
        return self.size

    def fingerprint(self):
        """What TFDS calls it."""
        return f"{len(self)} of {self.builder.info.full_name}, {self.split}"

    def _encoded(self, shuffle_seed=None):
        image, label = self.keys
        dataset = _read_stream(self.builder, self.split, {image: skip_decoding()}, shuffle_seed)
        if self.part:
            numbers, these = tf.constant(self.part[0]), self.part[1]

            def belongs(example):
                asked = number(example["tfds_id"])
                place = tf.minimum(tf.searchsorted(numbers, asked[None])[0], len(numbers) - 1)
                return (numbers[place] == asked) == these

            dataset = dataset.filter(belongs)
        target = targets(self.builder, label)
        return dataset.map(lambda example: (example[image], target(example[label])))

    def batches(self, picture, batch_size):
        def read(encoded, label):
            return decoding.decode(picture, encoded, _layout(encoded)), label

        return self._encoded().map(read, PICTURES, deterministic=True).batch(batch_size)

    def unsendable(self, resized_crop):
        return "its order can't be divided; give the same pictures as a folder of files"

    def training_batches(
        self, picture, batch_size, seed, epoch, first_step, resized_crop, order=SHUFFLED, rows=ALL_ROWS
    ):
        if order.balanced:
            raise DataError(
                "--sampling=balanced wants a data set in files or memory, not one that is streamed; drop it"
            )
        # A Python integer: this order is drawn when the pipeline is made, once an epoch.
        drawn = int(np.random.default_rng((seed, epoch)).integers(2**31))
        dataset = self._encoded(drawn)
        if order.buffered:
            # Filled anew in each epoch, though that takes a while: every epoch is a function of seed and epoch, so that
            # a killed run resumes bit for bit. A buffer that lived on would hold what the epochs before had read.
            dataset = dataset.shuffle(SHUFFLE_BUFFER, drawn, reshuffle_each_iteration=False)
        if order.repeats > 1:
            dataset = dataset.flat_map(lambda *one: tf.data.Dataset.from_tensors(one).repeat(order.repeats))
        steps = len(self) // batch_size
        dataset = dataset.enumerate().take(steps * batch_size).skip(first_step * batch_size)
        places = range(batch_size)[rows]
        if len(places) < batch_size:
            dataset = dataset.filter(lambda position, _: places.start <= position % batch_size < places.stop)

        def read(position, example):
            encoded, label = example
            seeds = draw(seed, epoch, position) if resized_crop else None
            return training_picture(encoded, _layout(encoded), picture, seeds), label

        batches = dataset.map(read, PICTURES, deterministic=True).batch(len(places), drop_remainder=True)
        return batches.enumerate(first_step)


def _layout(encoded):
    """`decoding.layout` in a graph."""
    layout = tf.numpy_function(lambda content: np.int64(decoding.layout(content)), [encoded], tf.int64)
    return tf.ensure_shape(layout, ())


def named_features(builder):
    """Name -> feature of a TFDS set's examples; empty where they have no names."""
    return dict(builder.info.features.items()) if hasattr(builder.info.features, "items") else {}


def several(feature):
    """The `ClassLabel` of a TFDS feature that is a sequence of such, or None."""
    import tensorflow_datasets as tfds

    inside = getattr(feature, "feature", None)
    return inside if isinstance(inside, tfds.features.ClassLabel) else None


def targets(builder, key):
    """A function from an example's label to what is learned: the class, or of a sequence 0 or 1 for each, uint8."""
    labels = several(builder.info.features[key])
    if labels is None:
        return lambda label: label
    return lambda label: tf.reduce_max(tf.one_hot(label, labels.num_classes, dtype=tf.uint8), 0)


def number(name):
    """The number by which an example is known, int64 and at least 0: a function of its name (string tensor) alone."""
    return tf.strings.to_hash_bucket_fast(name, 2**62)


def _read_stream(builder, split, decoders, shuffle_seed=None):
    """The examples of a TFDS split with their `tfds_id`: files in turn, in an order that a seed shuffles."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        shuffle_files=shuffle_seed is not None,
        decoders=decoders,
        # The guard refuses to read sets in another order that were prepared without shuffling.
        read_config=tfds.ReadConfig(
            shuffle_seed=shuffle_seed,
            interleave_cycle_length=16,
            interleave_block_length=1,
            add_tfds_id=True,
            enable_ordering_guard=False,
        ),
    )


def skip_decoding():
    import tensorflow_datasets as tfds

    return tfds.decode.SkipDecoding()
