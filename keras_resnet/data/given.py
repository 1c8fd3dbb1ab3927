"""Data that a Python program gives: NumPy arrays, `tf.data` datasets, `keras.utils.PyDataset`s.

Pictures come as they are, uint8 in the contract's size: they are augmented here, and the network scales them itself.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data import SPLITS, DataError
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays


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

    def training_batches(self, picture, batch_size, seed, epoch, first_step, resized_crop):
        del picture, seed, epoch
        if resized_crop:
            raise DataError("random resized crops want pictures of any size, from files; give --augmentation=crop,flip")
        return self.examples.skip(first_step * batch_size).batch(batch_size, drop_remainder=True)


def make(parts, contract):
    """`Data` of what a program gives.

    Args:
        parts: (train, validation) or (train, validation, test); each is (pictures, targets) as arrays, a
            `tf.data.Dataset` or a `keras.utils.PyDataset` of such pairs, in batches or (the former) one by one.
            Pictures are uint8 (…, height, width, channels); targets are integers (…,) for `Classes`.
        contract: `Contract` of the pictures and targets.

    Raises:
        DataError: they are something else.
    """
    if (contract.input.mean, contract.input.std) != (128.0, 128.0):
        raise DataError("contract: networks are trained on x = pixel / 128 - 1; leave mean and std at 128")
    if len(parts) not in (2, 3):
        raise DataError(f"data: got {len(parts)} parts, expected (train, validation) or (train, validation, test)")
    none = Arrays(np.zeros((0, *contract.shape), np.uint8), np.zeros(0, np.int64))
    sources = [_source(name, part, contract) for name, part in zip(SPLITS, parts, strict=False)]
    splits = dict(zip(SPLITS, [*sources, none], strict=False))
    return Data("given", contract, **splits, fingerprint={name: s.fingerprint() for name, s in splits.items()})


def _source(name, part, contract):
    if isinstance(part, keras.utils.PyDataset):
        part = _from_py_dataset(part)
    if not isinstance(part, tf.data.Dataset):
        images, targets = map(np.asarray, part)
        _check(name, images.dtype, images.shape[1:], contract)
        return Arrays(images, targets)
    images = part.element_spec[0]
    batched = len(images.shape) == 4
    _check(name, images.dtype.as_numpy_dtype, tuple(images.shape[batched:]), contract)
    examples = part.unbatch() if batched else part
    size = int(examples.cardinality())
    return Pipeline(examples, size if size >= 0 else int(examples.reduce(0, lambda count, _: count + 1)))


def _from_py_dataset(part):
    def batches():
        for i in range(part.num_batches):
            yield part[i]
        part.on_epoch_end()

    spec = tuple(tf.TensorSpec((None, *np.shape(a)[1:]), np.asarray(a).dtype) for a in part[0])
    return tf.data.Dataset.from_generator(batches, output_signature=spec)


def _check(name, dtype, shape, contract):
    if dtype != np.uint8 or shape != contract.shape:
        raise DataError(
            f"data: {name} has pictures of {np.dtype(dtype).name} {shape}, expected uint8 {contract.shape}, as the "
            "contract says: pixels from 0 to 255, which the network scales itself, as on a device"
        )
