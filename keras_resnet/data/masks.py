"""Masks as what is learned: uint8 (n, height, width), 255 where nothing is, that move with the pixels."""

import dataclasses
import math
import os
import pathlib
import zlib

import numpy as np
import tensorflow as tf

from keras_resnet.data import DataError, augmentation, decoding, label_maps, splits
from keras_resnet.data.dataset import IN_MEMORY_BYTES, Data
from keras_resnet.data.sources import Arrays, Files
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import NO_CLASS, Mask
from keras_resnet.device.picture import Picture


def stride(strides):
    """Pixels between the cells of a recipe: what is usual for boxes is no more than 4 for masks."""
    return min(4, *strides)


@dataclasses.dataclass(frozen=True)
class MaskFiles(Files):
    """Pictures and label maps in files. `labels` are the pixels of each class, int64 (n, 256); see `counted`.

    Attributes:
        maps: paths of the label maps, as text.
        numbers: `label_maps.numbers`.
    """

    maps: tuple
    numbers: np.ndarray

    @classmethod
    def of(cls, files, numbers, picture):
        """Of (picture, label map) paths; each map is looked at. Raises DataError where one does not fit."""
        masks = (label_maps.placed(label_maps.read(path, mask, numbers), picture) for path, mask in files)
        pixels = [np.bincount(mask.ravel(), minlength=NO_CLASS + 1) for mask in masks]
        shown = [decoding.layout(pathlib.Path(path).read_bytes()) for path, _ in files]
        return cls(
            np.array([os.fsencode(path) for path, _ in files], bytes),
            np.array(pixels, np.int64).reshape(-1, NO_CLASS + 1),
            np.array(shown, np.int64),
            tuple(mask for _, mask in files),
            numbers,
        )

    def fingerprint(self, root):
        """As `Files`, of the label maps' bytes."""
        digests = np.array([zlib.crc32(pathlib.Path(mask).read_bytes()) for mask in self.maps], np.int64)
        return Files(self.paths, digests, self.layouts).fingerprint(root)

    def read_from(self):
        return [*super().read_from(), *self.maps]

    def mask(self, index, picture):
        """What is learned of an example, uint8 (height, width)."""
        return label_maps.placed(
            label_maps.read(os.fsdecode(self.paths[index]), self.maps[index], self.numbers), picture
        )

    def unsendable(self, resized_crop):
        return "Pillow reads the label maps here"

    def learned(self, picture):
        def read(index):
            mask = tf.numpy_function(lambda i: self.mask(i, picture), [index], tf.uint8)
            return tf.ensure_shape(mask, picture.shape[:2])

        return read

    def arrays(self, picture):
        masks = [self.mask(index, picture) for index in range(len(self))]
        shown = np.stack(masks) if masks else np.zeros((0, *picture.shape[:2]), np.uint8)
        return Arrays(super().arrays(picture).images, shown)


def counted(labels):
    """How many pixels are of each class, int64 (256,), of masks (n, height, width) or `MaskFiles.labels` (n, 256)."""
    if labels.ndim == 2:
        return labels.sum(0)
    # One by one: NumPy counts in eight bytes a pixel.
    return sum((np.bincount(mask.ravel(), minlength=NO_CLASS + 1) for mask in labels), np.zeros(NO_CLASS + 1, int))


def load(root, shape, fit, strides):
    """`Data` of a folder of pictures and label maps; see `loading.load_dataset`.

    They are held in memory where they take no more than `IN_MEMORY_BYTES`. A split that the folder lacks is drawn from
    its training pictures, a tenth of them, by a fixed seed.

    Raises:
        DataError: pictures and label maps do not fit together.
    """
    picture = Picture(*shape, **fit)
    names, found = label_maps.read_names(root), label_maps.pairs(root)
    if not found.get("train"):
        raise DataError(f"{root}: no training pictures; expected train/, or train.txt in ImageSets/Segmentation/")
    told, found = tuple(label_maps.alone(root, found)), splits.drawn(found)
    numbers = label_maps.numbers(names)
    if not label_maps.classes(names):
        raise DataError(f"{root}: all of {', '.join(names)} are ignored; name at least one class otherwise")
    sources = {split: MaskFiles.of(files, numbers, picture) for split, files in found.items()}
    prints = {split: source.fingerprint(root) for split, source in sources.items()}
    if sum(map(len, sources.values())) * math.prod(shape) <= IN_MEMORY_BYTES:
        sources = {split: source.arrays(picture) for split, source in sources.items()}
    return data(str(root), names, picture, sources, strides, prints, told)


def data(name, names, picture, sources, strides, prints=None, told=()):
    """`Data` of pictures with masks.

    Args:
        name: what it is called.
        names: of the numbers in its label maps.
        picture: the contract's `Picture`.
        sources: split -> `Arrays` or `MaskFiles`.
        strides: of the recipe.
        prints: split -> fingerprint; by default the sources' own.
        told: lines for people.

    Raises:
        DataError: no training pixel has a class.
    """
    there = counted(sources["train"].labels)
    if not there[:NO_CLASS].any():
        raise DataError(
            f"{name}: no pixel of the training masks has a class; their pixels are numbers, 0 for the first"
        )
    if odd := label_maps.all_or_nothing(label_maps.classes(names), there):
        raise DataError(f"{name}: {odd}")
    prints = prints or {split: source.fingerprint() for split, source in sources.items()}
    lacking = [name for i, name in enumerate(label_maps.classes(names)) if not there[i]]
    told += (f"no training pixel is of {', '.join(lacking)} (255 is no class)",) if lacking else ()
    size = tuple(math.ceil(side / stride(strides)) for side in picture.shape[:2])
    contract = Contract(picture, Mask(label_maps.classes(names), size))
    return Data(name, contract, **sources, note="\n".join(told), fingerprint=prints)


def mosaic(images, targets, seed):
    """A batch of which half are made of four each (`augmentation.quarters`), for `Data.training`'s `mix`."""
    parts = augmentation.quarters(images.shape[1:3], tf.shape(images)[0], seed)
    return augmentation.mosaic(images, parts), augmentation.mosaic(targets[..., None], parts)[..., 0]


def move(targets, moves):
    """Masks (batch, height, width) that move with the pixels of a batch, for `augmentation.augment`."""
    return augmentation.moved(targets[..., None], moves, NO_CLASS)[..., 0]
