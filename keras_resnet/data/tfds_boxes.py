"""TFDS sets whose examples have boxes, as `voc` and `coco`: in memory, in the network's size."""

import io

import numpy as np
import tqdm
from PIL import Image

from keras_resnet.data import DataError, annotated, boxes, splits
from keras_resnet.data.sources import Arrays, check_memory
from keras_resnet.data.streams import skip_decoding
from keras_resnet.device.picture import upright_size

HARD = ("is_difficult", "is_crowd")


def objects(builder):
    """The name of a TFDS set's sequence of boxes with a class each, or None."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    for name, feature in features.items() if hasattr(features, "items") else ():
        inside = getattr(feature, "feature", None)
        kinds = {type(one) for one in inside.values()} if hasattr(inside, "values") else set()
        if {tfds.features.BBoxFeature, tfds.features.ClassLabel} <= kinds:
            return name
    return None


def load(builder, name, names, picture, strides):
    """`Data` of a TFDS set with boxes; see `loading.load_dataset`.

    Args:
        builder: of the set, prepared.
        name: what the set is called.
        names: our names of its splits -> its own.
        picture: the contract's `Picture`.
        strides: of the levels.

    Raises:
        DataError: it is too large for memory, or has not one picture an example.
    """
    total = sum(builder.info.splits[theirs].num_examples for theirs in names.values())
    check_memory(f"--dataset={name}", total, picture.shape)
    labels = _label(builder)[1].names
    shown, raws = {}, {}
    for ours, theirs in names.items():
        shown[ours], raws[ours] = _read(builder, name, theirs, picture)
    found, told = boxes.settle_splits(raws, labels)
    numbered = {ours: list(zip(shown[ours], found[ours], strict=True)) for ours in names}
    sources = {}
    for ours, pairs in splits.drawn(numbered).items():
        images = np.stack([image for image, _ in pairs]) if pairs else np.zeros((0, *picture.shape), np.uint8)
        sources[ours] = Arrays(images, annotated.targets([one for _, one in pairs], picture))
    return annotated.data(name, labels, picture, strides, sources, boxes.report(told))


def _label(builder):
    """(name, `ClassLabel`) of what each box is."""
    import tensorflow_datasets as tfds

    inside = builder.info.features[objects(builder)].feature
    return next((name, one) for name, one in inside.items() if isinstance(one, tfds.features.ClassLabel))


def _read(builder, name, split, picture):
    """(list of uint8 pictures as the contract prepares them, list of `boxes.Raw`) of a split."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    image = [key for key, one in features.items() if isinstance(one, tfds.features.Image)]
    if len(image) != 1:
        raise DataError(f"--dataset={name}: expected one picture an example, found {', '.join(image) or 'none'}")
    key, kind = objects(builder), _label(builder)
    box = next(k for k, one in features[key].feature.items() if isinstance(one, tfds.features.BBoxFeature))
    shown, raws, total = [], [], builder.info.splits[split].num_examples
    examples = tfds.as_numpy(builder.as_dataset(split=split, decoders={image[0]: skip_decoding()}))
    for number, example in enumerate(tqdm.tqdm(examples, split, total, unit=" pictures", leave=False, disable=None)):
        with Image.open(io.BytesIO(example[image[0]])) as opened:
            height, width = upright_size(opened)
            shown.append(picture.pixels(opened))
        each = example[key]
        hard = next((each[flag] for flag in HARD if flag in each), np.zeros(len(each[box]), bool))
        corners = np.asarray(each[box], np.float64) * [height, width, height, width]
        names = [kind[1].names[i] for i in each[kind[0]]]
        rows = list(zip(names, map(tuple, corners.tolist()), map(bool, hard), strict=True))
        raws.append(boxes.Raw(f"{name}, {split} {number}", None, rows, (width, height)))
    return shown, raws
