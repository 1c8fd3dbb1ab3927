"""Boxes as what is learned: one array for all pictures, which moves with their pixels.

A target is float32 (most, 6): top, left, bottom, right in pixels of the network's input, the class's number, and 1
where it is hard. Empty rows have the class -1.
"""

import math
import os

import numpy as np
import tensorflow as tf

from keras_resnet.data import DataError, augmentation, boxes, decoding
from keras_resnet.data.dataset import IN_MEMORY_BYTES, Data
from keras_resnet.data.sources import Files
from keras_resnet.data.splits import drawn
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture

NOTHING = (0, 0, 0, 0, -1, 0)
SEEN = (
    0.5  # part of a box's area inside of the crop; with less of it a box is hard: nobody can say that nothing is there
)


def load(root, reader, shape, fit, strides):
    """`Data` of a folder of pictures with boxes; see `loading.load_dataset`.

    A split that it lacks is drawn from its training pictures, a tenth of them, by a fixed seed.

    Raises:
        DataError: an annotation or a picture can't be understood.
    """
    picture = Picture(*shape, **fit)
    labels, raws = reader.read(root)
    found, told = boxes.settle_splits(raws, labels)
    if not found.get("train"):
        raise DataError(f"{root}: no training pictures; expected a list, a folder or a JSON file called train")
    if not any(len(one.boxes) for one in found["train"]):
        why = boxes.report(told) or "its lists are empty, or nothing is annotated"
        raise DataError(f"{root}: no box is left to learn from; {why}")
    found = drawn(found)
    sources = {name: _files(pictures, picture) for name, pictures in found.items()}
    prints = {name: source.fingerprint(root) for name, source in sources.items()}
    if sum(map(len, sources.values())) * math.prod(shape) <= IN_MEMORY_BYTES:
        sources = {name: source.arrays(picture) for name, source in sources.items()}
    return data(str(root), labels, picture, strides, sources, boxes.report(told), prints)


def data(name, labels, picture, strides, sources, note, prints=None):
    """`Data` of pictures with boxes.

    Args:
        name: what it is called.
        labels: class names.
        picture: the contract's `Picture`.
        strides: of the levels.
        sources: split -> `Files` or `Arrays`.
        note: what was cut or left out.
        prints: split -> fingerprint; by default the sources' own.
    """
    size = picture.shape[:2]
    levels = tuple((*(math.ceil(side / stride) for side in size), stride) for stride in strides)
    prints = prints or {split: source.fingerprint() for split, source in sources.items()}
    return Data(name, Contract(picture, Boxes(labels, levels)), **sources, note=note, fingerprint=prints)


def _files(found, picture):
    paths = np.array([os.fsencode(one.path) for one in found], bytes)
    layouts = []
    for path in paths:
        with open(path, "rb") as file:
            layouts.append(decoding.layout(file.read()))
    return Files(paths, targets(found, picture), np.array(layouts, np.int64))


def targets(found, picture):
    """What is learned of pictures.

    Args:
        found: list of `boxes.Annotated`.
        picture: the contract's `Picture`.

    Returns:
        float32 (n, most, 6); `most` is the most boxes that one of the pictures has, at least 1.
    """
    most = max([1, *(len(one.boxes) for one in found)])
    made = np.tile(np.float32(NOTHING), (len(found), most, 1))
    for target, one in zip(made, found, strict=True):
        width, height = one.size
        ends = np.zeros(2, np.float32), np.float32([picture.height, picture.width])
        inside, left, whole = map(np.asarray, cut(picture.placed(one.boxes, height, width), *ends))
        hard = one.hard[:, None] | (left < SEEN * whole)
        rows = np.concatenate([inside, one.classes[:, None], hard], -1)[left[:, 0] > 0]
        target[: len(rows)] = rows
    return made


def move(targets, moves):
    """Targets that move with the pixels of a batch, for `augmentation.augment`.

    Args:
        targets: float32 tensor (batch, most, 6).
        moves: `augmentation.Moves`.

    Returns:
        float32 tensor (batch, most, 6): boxes are cut at the picture's edges, hard where less than `SEEN` is left, and
        nothing where nothing is.
    """
    corners, classes, hard = tf.split(targets, (4, 1, 1), -1)
    ends = [[moves.moved(corners[..., i], i % 2) for i in (axis, axis + 2)] for axis in (0, 1)]
    top, left, bottom, right = (take(*ends[axis]) for take in (tf.minimum, tf.maximum) for axis in (0, 1))
    moved = tf.concat([tf.stack([top, left, bottom, right], -1), classes, hard], -1)
    return _kept(moved, tf.zeros(2), tf.constant(moves.size, tf.float32))


def mosaic(images, targets, seed):
    """A batch of which half are made of four each (`augmentation.quarters`), for `Data.training`'s `mix`.

    Returns:
        (images, targets): float32 tensor (batch, 4 most, 6), boxes cut where their part ends.
    """
    parts = augmentation.quarters(images.shape[1:3], tf.shape(images)[0], seed)
    kept = [
        _kept(tf.roll(targets, -place, 0), part[:, None, :2], part[:, None, 2:])
        for place, part in enumerate(tf.unstack(parts))
    ]
    return augmentation.mosaic(images, parts), tf.concat(kept, 1)


def _kept(targets, first, last):
    """Targets of what lies between two corners; a box of which less than `SEEN` does is hard."""
    corners, classes, hard = tf.split(targets, (4, 1, 1), -1)
    inside, left, whole = cut(corners, first, last)
    hard = tf.maximum(hard, tf.cast(left < SEEN * whole, tf.float32))
    there = (classes >= 0) & (left > 0)
    return tf.where(there, tf.concat([inside, classes, hard], -1), tf.constant(NOTHING, tf.float32))


def cut(corners, first, last):
    """Boxes (…, 4) cut at two corners (y, x), and the areas (…, 1) that are left and that were: tensors."""
    inside = tf.clip_by_value(corners, tf.concat([first, first], -1), tf.concat([last, last], -1))
    left, whole = (tf.reduce_prod(box[..., 2:] - box[..., :2], -1, keepdims=True) for box in (inside, corners))
    return inside, left, whole
