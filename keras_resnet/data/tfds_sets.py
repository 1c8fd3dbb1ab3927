"""TFDS sets: prepared where they are not, held in memory where they are small, streamed else."""

import functools
import pathlib
import socket
import sys
import urllib.parse
import urllib.request

import numpy as np
import tensorflow as tf
import tqdm

from keras_resnet.data import SPLITS, DataError, decoding, tfds_boxes, tfds_masks, tfds_sounds, tfds_texts
from keras_resnet.data.dataset import IN_MEMORY_BYTES, Data, in_memory
from keras_resnet.data.sources import PICTURES, Arrays, untuned
from keras_resnet.data.splits import check_counts, complete, counts, missing, stratified_split
from keras_resnet.data.streams import SHUFFLE_BUFFER, Stream, named_features, number, several, skip_decoding, targets
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.labels import Labels
from keras_resnet.device.picture import Picture

# Their test labels are not public: what papers report is the accuracy on "validation", which so is the test split here.
PUBLISHED_ON_VALIDATION = ("imagenet2012", "imagenette", "imagewang")


def load(name, data_dir, size, channels, fit, original, strides, task, heard, read):
    builder = _builder(name, data_dir)
    if tfds_sounds.audio(builder):
        return tfds_sounds.load(builder, name, _tfds_splits(builder), **heard)
    if tfds_texts.written(builder):
        return tfds_texts.load(builder, name, _tfds_splits(builder), **read)
    picture = Picture(*(size or (224, 224)), channels or 3, **fit)
    if task in ("auto", "detection") and tfds_boxes.objects(builder):
        return tfds_boxes.load(builder, name, _tfds_splits(builder), picture, strides)
    if task == "segmentation" and tfds_masks.label_map(builder):
        return tfds_masks.load(builder, name, _tfds_splits(builder), picture, strides)
    if task in ("detection", "segmentation"):
        what = "boxes with a class" if task == "detection" else "label map"
        raise DataError(f"--task={task}: {name} has no {what} among {', '.join(builder.info.features or ())}")
    image, label = keys = _keys(builder)
    shape = builder.info.features[image].shape
    height, width = size or ((224, 224) if None in shape[:2] else shape[:2])
    channels = channels or (shape[2] if shape[2] in (1, 3) else 3)
    one, sequence = builder.info.features[label], several(builder.info.features[label])
    output = Labels(tuple(sequence.names)) if sequence else Classes(tuple(one.names))
    contract = Contract(Picture(height, width, channels, **fit), output)
    names = _tfds_splits(builder)
    total = sum(builder.info.splits[split].num_examples for split in names.values())
    if None not in shape[:2] and total * height * width * channels <= IN_MEMORY_BYTES and not original:
        splits = {ours: _read_tfds(builder, theirs, keys) for ours, theirs in names.items()}
        return in_memory(name, contract, complete(splits, contract.labels))
    streams = _streams(builder, names, keys, contract.labels)
    prints = {name: source.fingerprint() for name, source in streams.items()}
    return Data(name, contract, **streams, note=_order_note(builder, name), fingerprint=prints)


def _builder(name, data_dir):
    """A TFDS builder whose data is prepared; it downloads only what is not there.

    Raises:
        DataError: TFDS does not know it, or it is not prepared and can't be downloaded.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError:
        raise DataError(
            f"--dataset={name}: no such TFDS data set; see https://www.tensorflow.org/datasets/catalog, "
            "give a folder as --dataset=path/, or try --dataset=digits"
        ) from None
    if not builder.is_prepared():
        try:
            _check_network(builder)
            builder.download_and_prepare()
        except Exception as error:
            if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
                raise DataError(_by_hand(name, builder)) from error
            raise DataError(
                f"--dataset={name}: not prepared in {data_dir or builder.data_path}, and it can't be downloaded "
                f"({_first_line(error)}); give --data_dir where it lies, or try --dataset=digits: it needs no download"
            ) from error
    return builder


def _by_hand(name, builder):
    told = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
    root = pathlib.Path(builder.data_path).parents[len(pathlib.Path(builder.info.full_name).parts) - 1]
    return (
        f"--dataset={name}: not prepared in {builder.data_path}, and its files must be fetched by hand: {told} "
        f"Put them into {root / 'downloads' / 'manual'}: the same command then prepares them; or give --data_dir where "
        "it is prepared already"
    )


def _check_network(builder):
    """Raises OSError at once where TFDS would try for minutes: the first host that it needs can't be found.

    Behind a proxy only the proxy needs to find it.
    """
    if {"http", "https", "all"} & set(urllib.request.getproxies()):
        return
    for url in builder.url_infos or ():
        socket.getaddrinfo(urllib.parse.urlparse(url).hostname, None)
        return


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def _keys(builder):
    """Names of the picture and the label among a TFDS set's features."""
    import tensorflow_datasets as tfds

    features = named_features(builder)
    label_map = tfds_masks.label_map(builder)
    image = [k for k, f in features.items() if isinstance(f, tfds.features.Image) and k != label_map]
    label = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    label = label or [k for k, f in features.items() if several(f)]
    if builder.info.supervised_keys and len(label) > 1:  # cifar100 has coarse labels too
        label = [k for k in label if k == builder.info.supervised_keys[1]]
    if len(image) != 1 or len(label) != 1:
        raise DataError(
            f"--dataset={builder.name}: expected one picture and one class label (or sequence of labels) an example, "
            f"found {sorted(features)}; it is no image-classification set"
        )
    return image[0], label[0]


def _tfds_splits(builder):
    """Our names for a TFDS set's labelled splits."""
    available = builder.info.splits
    if builder.name in PUBLISHED_ON_VALIDATION and "validation" in available:
        return {"train": "train", "test": "validation"}
    names = {name: name for name in SPLITS if name in available}
    if "train" not in names:
        raise DataError(f"--dataset={builder.name}: expected a split named train, found {sorted(available)}")
    return names


def _read_tfds(builder, split, keys):
    image, label = keys
    shape, target = builder.info.features[image].shape, targets(builder, label)

    def marked(encoded, labels):  # of many at once: a call of Python's for each would take as long as its decoding
        turned = tf.numpy_function(lambda e: np.array([decoding.turned(one) for one in e]), [encoded], tf.bool)
        return encoded, tf.ensure_shape(turned, encoded.shape), labels

    def decoded(encoded, turned, label):
        # TFDS itself decodes by TensorFlow's default DCT, up to 5 levels from Pillow's pixels.
        stored = functools.partial(tf.io.decode_jpeg, encoded, shape[2], dct_method="INTEGER_ACCURATE")
        upright = functools.partial(decoding.decode, Picture(*shape), encoded, 0)
        pixels = tf.cond(turned, upright, stored) if shape[2] in (1, 3) else stored()
        return tf.ensure_shape(pixels, shape), label

    examples = builder.as_dataset(split=split, decoders={image: skip_decoding()})
    examples = examples.map(lambda example: (example[image], target(example[label]))).batch(1024)
    examples = examples.map(marked).unbatch().map(decoded, PICTURES).batch(4096)
    images, labels = zip(*untuned(examples).as_numpy_iterator(), strict=True)
    return Arrays(np.concatenate(images), np.concatenate(labels))


def _streams(builder, names, keys, classes):
    """`Stream`s of a TFDS set's splits; what is missing is drawn from the training examples, class by class.

    Raises:
        DataError: a class has too few examples to be in every split.
    """
    sizes = {ours: builder.info.splits[theirs].num_examples for ours, theirs in names.items()}
    streams = {ours: Stream(builder, theirs, keys, None, sizes[ours]) for ours, theirs in names.items()}
    lacking = missing(names)
    if not lacking:
        return streams
    numbers, labels = _numbers(builder, names["train"], keys[1])
    check_counts(counts(labels, len(classes)), classes, lacking)
    left = np.arange(len(labels))
    for name in lacking:
        rest, drawn = stratified_split(labels[left], 0.1)
        part = np.sort(numbers[left[drawn]]), True
        streams[name], left = Stream(builder, names["train"], keys, part, len(drawn)), left[rest]
    others = np.sort(np.delete(numbers, left)), False
    return {**streams, "train": Stream(builder, names["train"], keys, others, len(left))}


def _numbers(builder, split, label):
    """The `number` and the label of each example of a split, in one pass through its files without decoding.

    They come in the order of `_read_tfds`: the same pictures are drawn whether a set is streamed or in memory.
    """
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=split,
        decoders=tfds.decode.PartialDecoding({label: True}),
        read_config=tfds.ReadConfig(add_tfds_id=True),
    )
    target = targets(builder, label)
    pairs = examples.map(lambda example: (number(example["tfds_id"]), target(example[label]))).batch(4096)
    total, parts = builder.info.splits[split].num_examples, []
    with tqdm.tqdm(total=total, unit=" labels", desc="splits", leave=False, disable=not sys.stderr.isatty()) as bar:
        for part in pairs.as_numpy_iterator():
            parts.append(part)
            bar.update(len(part[0]))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _order_note(builder, name):
    if not builder.info.disable_shuffling:
        return ""
    return (
        f"{name}: its examples were prepared in order, without shuffling; training mixes 16 of its files at a time and "
        f"{SHUFFLE_BUFFER:,} neighbouring examples, no more: if its classes lie together, so will those of a batch"
    )
