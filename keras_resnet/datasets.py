"""From a name to train, validation and test pictures and the `ImageContract`: TFDS, a folder per class, or the digits.

Small data sets are held in memory as uint8, files and large TFDS sets are streamed. Either way the batch of a step is a
function of (seed, step), so that a run can begin anywhere.
"""

import dataclasses
import functools
import importlib.resources
import math
import os
import pathlib
import socket
import urllib.parse

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_resnet import augmentation, folders, preprocessing
from keras_resnet.preprocessing import ImageContract
from keras_resnet.recipes import height_and_width, is_folder

IN_MEMORY_BYTES = 2**30
# In the making at a time; said, not tuned (see `_untuned`).
PICTURES, BATCHES = os.cpu_count(), 4
SHUFFLE_BUFFER = 16_384  # encoded pictures; only for TFDS sets that are streamed
SPLIT_SEED = 20151210  # fixed: validation pictures stay the same whatever a run's own seed
SPLITS = ("train", "validation", "test")
# Their test labels are not public: what papers report is the accuracy on "validation", which so is the test split here.
PUBLISHED_ON_VALIDATION = ("imagenet2012", "imagenette", "imagewang")


class DataError(ValueError):
    """A data set that can't be had or can't be learned from; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Pictures in memory: uint8 (n, height, width, channels) in the contract's size, and int labels (n,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @functools.cached_property
    def tensors(self):
        """Copied once: each epoch's pipeline would keep a copy of its own alive."""
        return tf.constant(self.images), tf.constant(self.labels)

    def batches(self, contract, batch_size):
        del contract  # they have its size already
        return tf.data.Dataset.from_tensor_slices((self.images, self.labels)).batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        del contract, resized_crop  # small pictures: `crop_and_flip` is their augmentation
        images, labels = self.tensors
        order = tf.data.Dataset.from_tensor_slices(shuffled(len(self), seed, epoch)[first_step * batch_size :])

        def batch(index):
            return tf.gather(images, index), tf.gather(labels, index)

        return order.batch(batch_size, drop_remainder=True).map(batch, BATCHES, deterministic=True)


@dataclasses.dataclass(frozen=True)
class Files:
    """Pictures in files. `plain` says which of them TensorFlow can decode by itself; Pillow reads the others."""

    paths: np.ndarray
    labels: np.ndarray
    plain: np.ndarray

    def __len__(self):
        return len(self.labels)

    def batches(self, contract, batch_size):
        files = tf.data.Dataset.from_tensor_slices((self.paths, self.plain, self.labels))

        def read(path, plain, label):
            return contract.decode(_encoded(path, plain)), label

        return files.map(read, PICTURES, deterministic=True).batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        paths, plain, labels = tf.constant(self.paths), tf.constant(self.plain), tf.constant(self.labels)

        def read(position, index):
            encoded = _encoded(paths[index], plain[index])
            if resized_crop:
                image = augmentation.random_resized_crop(encoded, contract, draw(seed, epoch, position))
            else:
                image = contract.decode(encoded)
            return image, labels[index]

        first = first_step * batch_size
        order = tf.data.Dataset.from_tensor_slices(shuffled(len(self), seed, epoch)[first:]).enumerate(first)
        return order.map(read, PICTURES, deterministic=True).batch(batch_size, drop_remainder=True)


@dataclasses.dataclass(frozen=True)
class Stream:
    """A TFDS split too large for memory, read in order with a shuffle buffer; pictures stay encoded until cropped."""

    builder: object
    split: str
    keys: tuple[str, str]

    def __len__(self):
        return self.builder.info.splits[self.split].num_examples

    def _encoded(self, shuffle_seed=None):
        import tensorflow_datasets as tfds

        image, label = self.keys
        dataset = self.builder.as_dataset(
            split=self.split,
            shuffle_files=shuffle_seed is not None,
            decoders={image: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(shuffle_seed=shuffle_seed, interleave_cycle_length=16),
        )
        return dataset.map(lambda example: (example[image], example[label]))

    def batches(self, contract, batch_size):
        pictures = self._encoded().map(lambda encoded, label: (contract.decode(encoded), label), PICTURES)
        return pictures.batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        # A Python integer: this order is drawn when the pipeline is made, once an epoch.
        order = int(np.random.default_rng((seed, epoch)).integers(2**31))
        dataset = self._encoded(order).shuffle(SHUFFLE_BUFFER, order, reshuffle_each_iteration=False)
        dataset = dataset.enumerate().skip(first_step * batch_size)

        def read(position, example):
            encoded, label = example
            if resized_crop:
                return augmentation.random_resized_crop(encoded, contract, draw(seed, epoch, position)), label
            return contract.decode(encoded), label

        return dataset.map(read, PICTURES, deterministic=True).batch(batch_size, drop_remainder=True)


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: the contract of its pictures, and three splits (`Arrays`, `Files` or `Stream`).

    Attributes:
        unreadable: (path, reason) of the files that were left out.
    """

    name: str
    contract: ImageContract
    train: Arrays | Files | Stream
    validation: Arrays | Files | Stream
    test: Arrays | Files | Stream
    unreadable: tuple = ()

    def split(self, name):
        if name not in SPLITS:
            raise ValueError(f"split={name}: choose {', '.join(SPLITS)}")
        return getattr(self, name)

    def evaluation(self, split, batch_size=256):
        """Returns a `tf.data.Dataset` of (float32 pictures in [-1, 1), int labels) in the split's own order."""
        batches = self.split(split).batches(self.contract, batch_size)
        return _untuned(batches.map(_normalized, BATCHES).prefetch(2))

    def training(self, batch_size, seed, epoch, first_step=0, augment="none"):
        """Returns the augmented batches of one epoch, from `first_step` on, whole batches only.

        Args:
            batch_size: pictures a step.
            seed: the run's seed.
            epoch: number of the epoch; another epoch is another order and other crops.
            first_step: step within the epoch to begin at; what comes is what an uninterrupted epoch would bring.
            augment: one of `recipes.AUGMENTATIONS`.

        Returns:
            `tf.data.Dataset` of (float32 pictures (batch, height, width, channels), int labels (batch,)).
        """
        # A picture that is in memory is small: it has no detail to zoom into, and is padded and cropped instead.
        resized_crop = "resized_crop" in augment and not isinstance(self.train, Arrays)
        shift, flip = "shift" in augment, "flip" in augment
        crop = shift or ("crop" in augment and not resized_crop)
        batches = self.train.training_batches(self.contract, batch_size, seed, epoch, first_step, resized_crop)

        def finish(step, example):
            images, labels = example
            drawn = draw(seed, epoch, step)
            if crop or flip:
                images = augmentation.crop_and_flip(images, drawn, crop, flip, shift)
            if "cutout" in augment:
                images = augmentation.cutout(images, drawn)
            return _normalized(images, labels)

        batches = batches.enumerate(first_step).map(finish, BATCHES, deterministic=True)
        return _untuned(batches.prefetch(4))

    def calibration(self, count, seed):
        """Returns `count` training pictures, or as many as there are, that set a quantized network's ranges.

        They come in the training's own order, so that all classes are there, and without augmentation, as pictures
        will come: float32 (n, height, width, channels).
        """
        batch_size = min(64, count, len(self.train))
        batches = self.training(batch_size, seed, epoch=0).take(-(-count // batch_size))
        return np.concatenate([images for images, _ in batches.as_numpy_iterator()])[:count]


def load_dataset(name="cifar10", data_dir=None, image_size=0, crop_fraction=1.0, max_bad_fraction=0.01, channels=0):
    """Loads an image-classification data set.

    A split that the source lacks is drawn from its training pictures by a fixed seed, class by class: a tenth of them
    (a fifth of the digits), at most 10,000. `validation` is for choices, `test` is asked for once.

    Args:
        name: `digits`; a folder with a folder per class (or with `train`, `validation`/`val`, `test` folders of such);
            or a TFDS name.
        data_dir: where TFDS keeps its data. It downloads only what is not there.
        image_size: of the network's input, 224 or "240x320" (height x width); 0 for the data set's own, 224 where its
            sizes vary.
        crop_fraction: the contract's.
        max_bad_fraction: unreadable pictures of a folder that may be left out.
        channels: 3 (RGB) or 1 (gray); 0 for the data set's own, which are 3 for a folder.

    Returns:
        `Data`.

    Raises:
        ValueError: it can't be had (`DataError`), or can't be learned from.
    """
    size = height_and_width(image_size)
    if name == "digits":
        return _digits(size or (32, 32), channels or 3, crop_fraction)
    if is_folder(name):
        shape = *(size or (224, 224)), channels or 3
        return _folder(pathlib.Path(name).expanduser(), shape, crop_fraction, max_bad_fraction)
    return _tfds(name, data_dir, size, channels, crop_fraction)


def shuffled(size, seed, epoch):
    """An epoch's order: a permutation of 0 … size - 1, int64 (size,); NumPy's, which is random.

    TensorFlow's `index_shuffle` needs no memory, but has 4 rounds of its cipher: any two epochs were correlated.
    """
    return np.random.default_rng((seed, epoch)).permutation(size)


def draw(seed, epoch, position):
    """A stateless seed, int32 (2,), for the augmentation at a position (a step, or an example) of an epoch."""
    base = tf.random.fold_in(tf.constant([seed, epoch], tf.int32), tf.cast(position, tf.int32))
    return tf.cast(base, tf.int32)


def stratified_split(labels, fraction):
    """Draws a part of every class, at least one example, by a fixed seed.

    Returns:
        (rest, drawn): sorted index arrays.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    drawn = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        drawn.append(members[: max(1, round(fraction * len(members)))])
    drawn = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(labels)), drawn), drawn


def _untuned(dataset):
    """A dataset without tf.data's tuning of parallelism, whose thread sleeps for up to a minute at a time.

    The end of an iterator waits for that thread, and wakes it before it can see that it is cancelled: in TensorFlow
    2.21 it may sleep on, and an epoch of 27 s takes 41.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _normalized(images, labels):
    return preprocessing.normalize(images), labels


def _encoded(path, plain):
    def by_pillow():
        return tf.ensure_shape(tf.numpy_function(preprocessing.plain_bytes, [path], tf.string), ())

    return tf.cond(plain, lambda: tf.io.read_file(path), by_pillow)


def _take(source, index):
    """A part of `Arrays` or `Files`."""
    return type(source)(*(getattr(source, field.name)[index] for field in dataclasses.fields(source)))


def _complete(splits, fraction=0.1):
    """Draws the splits that are missing from the training pictures.

    Raises:
        DataError: a class has too few pictures to be in every split.
    """
    needed = 3 - len(splits) + 1
    counts = np.bincount(splits["train"].labels)
    if needed > 1 and counts.min() < needed:
        few = int(counts.argmin())
        raise DataError(
            f"class number {few} has {counts[few]} training pictures; expected at least {needed}, one for each split "
            "that is drawn from them: add pictures, or give train, validation and test folders of your own"
        )
    for name in ("test", "validation"):
        if name not in splits:
            train = splits["train"]
            rest, drawn = stratified_split(train.labels, min(fraction, 10_000 / len(train)))
            splits |= {"train": _take(train, rest), name: _take(train, drawn)}
    return splits


def _digits(size, channels, crop_fraction):
    with importlib.resources.files("keras_resnet").joinpath("data/digits.npz").open("rb") as file:
        saved = np.load(file)
        pictures, labels = saved["images"], saved["labels"].astype(np.int64)
    contract = ImageContract(*size, channels, tuple("0123456789"), crop_fraction)
    splits = _complete({"train": Arrays(_prepared(pictures, contract), labels)}, 0.2)
    return Data("digits", contract, **splits)


def _prepared(pictures, contract):
    """Small pictures (an iterable of uint8 arrays) in the contract's size."""
    if getattr(pictures, "shape", None) == (len(pictures), *contract.shape) and contract.crop_fraction == 1:
        return pictures
    return np.stack([contract.picture(Image.fromarray(np.squeeze(picture))) for picture in pictures])


def _folder(root, shape, crop_fraction, max_bad_fraction):
    found = folders.scan(root, max_bad_fraction)
    contract = ImageContract(*shape, found.classes, crop_fraction)
    splits = {name: Files(*columns) for name, columns in found.splits.items()}
    total = sum(map(len, splits.values()))
    if min(shape[:2]) < 64 and total * math.prod(shape) <= IN_MEMORY_BYTES:
        splits = {name: _read_files(source, contract) for name, source in splits.items()}
    return Data(str(root), contract, **_complete(splits), unreadable=found.unreadable)


def _read_files(source, contract):
    def read(path):
        with Image.open(path) as image:
            return contract.picture(image)

    return Arrays(np.stack([read(path) for path in source.paths]), source.labels)


def _tfds(name, data_dir, size, channels, crop_fraction):
    builder = _builder(name, data_dir)
    image, label = keys = _keys(builder)
    shape = builder.info.features[image].shape
    height, width = size or ((224, 224) if None in shape[:2] else shape[:2])
    channels = channels or (shape[2] if shape[2] in (1, 3) else 3)
    contract = ImageContract(height, width, channels, tuple(builder.info.features[label].names), crop_fraction)
    names = _tfds_splits(builder)
    total = sum(builder.info.splits[split].num_examples for split in names.values())
    if None not in shape[:2] and total * height * width * channels <= IN_MEMORY_BYTES:
        splits = {ours: _read_tfds(builder, theirs, keys, contract) for ours, theirs in names.items()}
        return Data(name, contract, **_complete(splits))
    return Data(
        name, contract, **{ours: Stream(builder, theirs, keys) for ours, theirs in _sliced(builder, names).items()}
    )


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
            raise DataError(
                f"--dataset={name}: not prepared in {data_dir or builder.data_path}, and it can't be downloaded "
                f"({_first_line(error)}); give --data_dir where it lies, or try --dataset=digits: it needs no download"
            ) from error
    return builder


def _check_network(builder):
    """Raises OSError at once where TFDS would try for minutes: the first host that it needs can't be found."""
    for url in builder.url_infos or ():
        socket.getaddrinfo(urllib.parse.urlparse(url).hostname, None)
        return


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def _keys(builder):
    """Names of the picture and the label among a TFDS set's features."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items()) if hasattr(builder.info.features, "items") else {}
    image = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
    label = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    if builder.info.supervised_keys and len(label) > 1:  # cifar100 has coarse labels too
        label = [k for k in label if k == builder.info.supervised_keys[1]]
    if len(image) != 1 or len(label) != 1:
        raise DataError(
            f"--dataset={builder.name}: expected one picture and one class label an example, found {sorted(features)}; "
            "it is no image-classification set"
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


def _read_tfds(builder, split, keys, contract):
    import tensorflow_datasets as tfds

    image, label = keys
    decoders = tfds.decode.PartialDecoding({image: True, label: True})
    examples = builder.as_dataset(split=split, batch_size=-1, decoders=decoders)
    return Arrays(_prepared(examples[image].numpy(), contract), examples[label].numpy())


def _sliced(builder, names):
    """Completes the splits of a streamed set by slices: TFDS has shuffled the examples when it prepared them."""
    size = builder.info.splits["train"].num_examples
    part = int(min(0.1, 10_000 / size) * size)
    end, sliced = size, dict(names)
    for name in ("test", "validation"):
        if name not in names:
            sliced[name] = f"train[{end - part}:{end}]"
            end -= part
    return {**sliced, "train": f"train[:{end}]"}
