"""Data that a Python program gives: NumPy arrays, `tf.data` datasets, `keras.utils.PyDataset`s.

Pictures come as they are, uint8 in the contract's size: they are augmented here, and the network scales them itself.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data import SPLITS, DataError
from keras_resnet.data.dataset import Data
from keras_resnet.data.order import SHUFFLED
from keras_resnet.data.sources import ALL_ROWS, Arrays


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Somebody else's pipeline. Its order is its own: a training that was cut off goes on at the same step, no more.

    Attributes:
        examples: `tf.data.Dataset` of (uint8 picture, target).
        size: how many there are.
    """

    examples: tf.data.Dataset
    size: int

    def __len__(self):
        return self.size

    def fingerprint(self):
        return f"{self.size} of a pipeline"

    def batches(self, picture, batch_size):
        del picture  # they have its size already
        return self.examples.batch(batch_size)

    def unsendable(self, resized_crop):
        return "it is a Python program's own"

    def training_batches(
        self, picture, batch_size, seed, epoch, first_step, resized_crop, order=SHUFFLED, rows=ALL_ROWS
    ):
        del picture, seed, epoch
        if order.balanced or order.repeats > 1:
            raise DataError("a pipeline that was given has its own order; drop --sampling and --repeats")
        if resized_crop:
            raise DataError("random resized crops want pictures of any size, from files; give --augmentation=crop,flip")
        batches = self.examples.skip(first_step * batch_size).batch(batch_size, drop_remainder=True)
        return batches.map(lambda images, targets: (images[rows], targets[rows])).enumerate(first_step)


def make(parts, contract):
    """`Data` of what a program gives.

    Args:
        parts: (train, validation) or (train, validation, test); each is (pictures, targets) as arrays, a
            `tf.data.Dataset` or a `keras.utils.PyDataset` of such pairs, in batches or (the former) one by one.
            Pictures are uint8 (…, height, width, channels); targets are integers (…,) for `Classes`, 0 and 1
            (…, labels) for `Labels`.
        contract: `Contract` of the pictures and targets.

    Raises:
        DataError: they are something else.
    """
    if (contract.input.mean, contract.input.std) != (128.0, 128.0) or contract.output.scores != "logits":
        raise DataError("contract: networks make logits of x = pixel / 128 - 1; leave mean and std at 128, and scores")
    if len(parts) not in (2, 3):
        raise DataError(f"data: got {len(parts)} parts, expected (train, validation) or (train, validation, test)")
    several = contract.output.KIND == "labels"
    none = np.zeros((0, len(contract.labels)), np.uint8) if several else np.zeros(0, np.int64)
    sources = [_source(name, part, contract, several) for name, part in zip(SPLITS, parts, strict=False)]
    splits = dict(zip(SPLITS, [*sources, Arrays(np.zeros((0, *contract.shape), np.uint8), none)], strict=False))
    return Data("given", contract, **splits, fingerprint={name: s.fingerprint() for name, s in splits.items()})


def _source(name, part, contract, several):
    if isinstance(part, keras.utils.PyDataset):
        part = _from_py_dataset(part)
    pair = part.element_spec if isinstance(part, tf.data.Dataset) else part
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"data: {name} is no pair of pictures and targets, nor a dataset of such")
    if not isinstance(part, tf.data.Dataset):
        images, targets = map(np.asarray, part)
        _check_pictures(name, images.dtype, images.shape[1:], contract)
        return Arrays(images, _targets(name, targets, len(images), contract, several))
    images, targets = pair
    batched = len(images.shape) == 4
    _check_pictures(name, images.dtype.as_numpy_dtype, tuple(images.shape[batched:]), contract)
    shape, integer = tuple(targets.shape[batched:]), targets.dtype.is_integer or targets.dtype.is_bool
    if not integer or shape not in ([(len(contract.labels),)] if several else [(), (1,)]):
        raise DataError(f"data: {name} has targets of {targets.dtype.name} {shape}, {_expected(contract, several)}")
    examples = part.unbatch() if batched else part
    if examples.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError(f"data: {name} never ends; drop .repeat(): each epoch is one pass")
    kind = tf.uint8 if several else tf.int64
    examples = examples.map(lambda x, y: (x, tf.cast(y if several else tf.reshape(y, ()), kind)))
    size = int(examples.cardinality())
    return Pipeline(examples, size if size >= 0 else int(examples.reduce(0, lambda count, _: count + 1)))


def _targets(name, targets, size, contract, several):
    """Targets as they are learned; raises DataError where they are none of the contract's."""
    if not several and targets.shape[1:] == (1,):
        targets = targets[:, 0]
    labels, there = len(contract.labels), targets.size > 0
    right = targets.dtype.kind in "iub" and there and targets.shape == ((size, labels) if several else (size,))
    if not right or targets.min() < 0 or targets.max() >= (2 if several else labels):
        limits = f", {targets.min()} to {targets.max()}" if there and targets.dtype.kind in "iufb" else ""
        raise DataError(
            f"data: {name} has targets of {targets.dtype.name} {targets.shape}{limits} for {size} pictures, "
            f"{_expected(contract, several)}"
        )
    return targets.astype(np.uint8 if several else np.int64)


def _expected(contract, several):
    labels = len(contract.labels)
    if several:
        return f"expected 0 or 1 for each of {labels} labels, uint8 (…, {labels})"
    return f"expected a class for each picture, integers (…,) from 0 to {labels - 1}"


def _from_py_dataset(part):
    def batches():
        for i in range(part.num_batches):
            yield part[i]
        part.on_epoch_end()

    spec = tuple(tf.TensorSpec((None, *np.shape(a)[1:]), np.asarray(a).dtype) for a in part[0])
    return tf.data.Dataset.from_generator(batches, output_signature=spec)


def _check_pictures(name, dtype, shape, contract):
    if dtype != np.uint8 or shape != contract.shape:
        raise DataError(
            f"data: {name} has pictures of {np.dtype(dtype).name} {shape}, expected uint8 {contract.shape}, as the "
            "contract says: pixels from 0 to 255, which the network scales itself, as on a device"
        )
