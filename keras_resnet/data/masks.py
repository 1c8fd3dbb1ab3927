"""Masks as what is learned: one uint8 array (n, height, width), 255 where nothing is, that moves with the pixels."""

import math
import os
import pathlib
import zlib

import numpy as np

from keras_resnet.data import DataError, augmentation, label_maps, splits
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, Files
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import NO_CLASS, Mask
from keras_resnet.device.picture import Picture

MOST_BYTES = 6 * 2**30  # of all pictures and masks in memory


def load(root, shape, crop_fraction, stride=4):
    """`Data` of a folder of pictures and label maps; see `loading.load_dataset`.

    Targets are uint8 (n, height, width), 255 where nothing is to be learned. A split that it lacks is drawn from its
    training pictures, a tenth of them, by a fixed seed.

    Raises:
        DataError: pictures and label maps do not fit together.
    """
    picture = Picture(*shape, crop_fraction)
    names, found = label_maps.read_names(root), label_maps.pairs(root)
    if not found.get("train"):
        raise DataError(f"{root}: no training pictures; expected train/, or train.txt in ImageSets/Segmentation/")
    found = splits.drawn(found)
    total = sum(map(len, found.values()))
    needed = total * shape[0] * shape[1] * (shape[2] + 1)
    if needed > MOST_BYTES:
        raise DataError(
            f"{root}: {total:,} pictures of {shape[1]}x{shape[0]} pixels take {needed / 1e9:.0f} GB of memory; give a "
            "smaller --image_size"
        )
    numbers = label_maps.numbers(names)
    if not label_maps.classes(names):
        raise DataError(f"{root}: all of {', '.join(names)} are ignored; name at least one class otherwise")
    sources, prints = {}, {}
    for split, files in found.items():
        paths = np.array([os.fsencode(path) for path, _ in files], bytes)
        masks = [label_maps.placed(path, mask, numbers, picture) for path, mask in files]
        digests = np.array([zlib.crc32(pathlib.Path(mask).read_bytes()) for _, mask in files], np.int64)
        kept = Files(paths, digests, np.zeros(len(paths), np.int64))
        prints[split] = kept.fingerprint(root)
        targets = np.stack(masks) if masks else np.zeros((0, *shape[:2]), np.uint8)
        sources[split] = Arrays(kept.arrays(picture).images, targets)
    there = np.unique(sources["train"].labels)
    if not (there < NO_CLASS).any():
        raise DataError(
            f"{root}: no pixel of the training masks has a class; their pixels are numbers, 0 for the first"
        )
    lacking = [name for i, name in enumerate(label_maps.classes(names)) if i not in there]
    note = f"no training pixel is of {', '.join(lacking)} (255 is no class)" if lacking else ""
    size = tuple(math.ceil(side / stride) for side in shape[:2])
    contract = Contract(picture, Mask(label_maps.classes(names), size))
    return Data(str(root), contract, **sources, note=note, fingerprint=prints)


def move(targets, moves):
    """Masks (batch, height, width) that move with the pixels of a batch, for `augmentation.augment`."""
    return augmentation.moved(targets[..., None], moves, NO_CLASS)[..., 0]
