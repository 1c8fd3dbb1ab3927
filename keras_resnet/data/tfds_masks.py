"""TFDS sets whose examples have a label map, as `oxford_iiit_pet`: in memory, in the network's size."""

import io

import numpy as np
import tqdm
from PIL import Image

from keras_resnet.data import DataError, label_maps, masks, splits
from keras_resnet.data.sources import Arrays, check_memory
from keras_resnet.data.streams import named_features, skip_decoding
from keras_resnet.device.picture import upright_size

# Names of the numbers in label maps that TFDS gives none; what says ignored is no class.
NAMES = {"oxford_iiit_pet": ("ignored", "pet", "background", "ignored border")}


def label_map(builder):
    """The name of a TFDS set's label maps among its features, or None."""
    import tensorflow_datasets as tfds

    features = named_features(builder)
    named = [key for key, one in features.items() if isinstance(one, tfds.features.LabeledImage)]
    return named[0] if named else next((key for key in ("segmentation_mask",) if key in features), None)


def load(builder, name, names, picture, strides):
    """`Data` of a TFDS set with label maps; see `loading.load_dataset`.

    Args:
        builder: of the set, prepared.
        name: what the set is called.
        names: our names of its splits -> its own.
        picture: the contract's `Picture`.
        strides: of the recipe.

    Raises:
        DataError: it is too large for memory, nothing names its classes, or a label map does not fit its picture.
    """
    import tensorflow_datasets as tfds

    key = label_map(builder)
    numbered = getattr(builder.info.features[key], "names", None) or NAMES.get(builder.name)
    if not numbered:
        raise DataError(f"--dataset={name}: nothing names the classes of its {key}; expected a LabeledImage")
    kinds = {k: one for k, one in builder.info.features.items() if isinstance(one, tfds.features.Image) and k != key}
    if len(kinds) != 1:
        raise DataError(f"--dataset={name}: expected one picture an example, found {', '.join(kinds) or 'none'}")
    total = sum(builder.info.splits[theirs].num_examples for theirs in names.values())
    check_memory(f"--dataset={name}", total, (*picture.shape[:2], picture.channels + 1))
    keys = next(iter(kinds)), key
    read = {ours: _read(builder, name, theirs, keys, numbered, picture) for ours, theirs in names.items()}
    sources = {}
    for ours, pairs in splits.drawn(read).items():
        images, maps = zip(*pairs, strict=True) if pairs else ((), ())
        empty = np.zeros((len(pairs), *picture.shape), np.uint8)
        sources[ours] = Arrays(np.stack(images) if pairs else empty, np.stack(maps) if pairs else empty[..., 0])
    return masks.data(name, numbered, picture, sources, strides)


def _read(builder, name, split, keys, numbered, picture):
    """List of (uint8 picture as the contract prepares it, uint8 label map of the same size) of a split."""
    import tensorflow_datasets as tfds

    image, key = keys
    table, pairs = label_maps.numbers(numbered), []
    examples = tfds.as_numpy(builder.as_dataset(split=split, decoders={image: skip_decoding()}))
    total = builder.info.splits[split].num_examples
    for number, example in enumerate(tqdm.tqdm(examples, split, total, unit=" pictures", leave=False, disable=None)):
        values = np.asarray(example[key])[..., 0]
        with Image.open(io.BytesIO(example[image])) as opened:
            where, size = f"{name}, {split} {number}", upright_size(opened)
            if size != values.shape:
                shown = " and ".join("{1}x{0}".format(*one) for one in (size, values.shape))
                raise DataError(f"{where}: its picture and its label map are {shown}")
            pixels = picture.pixels(opened)
        pairs.append((pixels, label_maps.placed(label_maps.known(values, table, where), picture)))
    return pairs
