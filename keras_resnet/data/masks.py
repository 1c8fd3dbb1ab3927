"""Masks as what is learned: one uint8 array (n, height, width), 255 where nothing is, that moves with the pixels."""

import math
import os
import pathlib
import zlib

import numpy as np

from keras_resnet.data import DataError, augmentation, label_maps, splits
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, Files, check_memory
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import NO_CLASS, Mask
from keras_resnet.device.picture import Picture


def load(root, shape, fit, stride=4):
    """`Data` of a folder of pictures and label maps; see `loading.load_dataset`.

    Targets are uint8 (n, height, width), 255 where nothing is to be learned. A split that it lacks is drawn from its
    training pictures, a tenth of them, by a fixed seed.

    Raises:
        DataError: pictures and label maps do not fit together.
    """
    picture = Picture(*shape, **fit)
    names, found = label_maps.read_names(root), label_maps.pairs(root)
    if not found.get("train"):
        raise DataError(f"{root}: no training pictures; expected train/, or train.txt in ImageSets/Segmentation/")
    found = splits.drawn(found)
    check_memory(root, sum(map(len, found.values())), (*shape[:2], shape[2] + 1))
    numbers = label_maps.numbers(names)
    if not label_maps.classes(names):
        raise DataError(f"{root}: all of {', '.join(names)} are ignored; name at least one class otherwise")
    sources, prints = {}, {}
    for split, files in found.items():
        paths = np.array([os.fsencode(path) for path, _ in files], bytes)
        masks = [label_maps.placed(label_maps.read(path, mask, numbers), picture) for path, mask in files]
        digests = np.array([zlib.crc32(pathlib.Path(mask).read_bytes()) for _, mask in files], np.int64)
        kept = Files(paths, digests, np.zeros(len(paths), np.int64))
        prints[split] = kept.fingerprint(root)
        targets = np.stack(masks) if masks else np.zeros((0, *shape[:2]), np.uint8)
        sources[split] = Arrays(kept.arrays(picture).images, targets)
    return data(str(root), names, picture, sources, prints, stride)


def data(name, names, picture, sources, prints=None, stride=4):
    """`Data` of pictures with masks.

    Args:
        name: what it is called.
        names: of the numbers in its label maps.
        picture: the contract's `Picture`.
        sources: split -> `Arrays`.
        prints: split -> fingerprint; by default the sources' own.
        stride: of the network's cells.

    Raises:
        DataError: no training pixel has a class.
    """
    there = np.unique(sources["train"].labels)
    if not (there < NO_CLASS).any():
        raise DataError(
            f"{name}: no pixel of the training masks has a class; their pixels are numbers, 0 for the first"
        )
    prints = prints or {split: source.fingerprint() for split, source in sources.items()}
    lacking = [name for i, name in enumerate(label_maps.classes(names)) if i not in there]
    note = f"no training pixel is of {', '.join(lacking)} (255 is no class)" if lacking else ""
    size = tuple(math.ceil(side / stride) for side in picture.shape[:2])
    contract = Contract(picture, Mask(label_maps.classes(names), size))
    return Data(name, contract, **sources, note=note, fingerprint=prints)


def move(targets, moves):
    """Masks (batch, height, width) that move with the pixels of a batch, for `augmentation.augment`."""
    return augmentation.moved(targets[..., None], moves, NO_CLASS)[..., 0]
