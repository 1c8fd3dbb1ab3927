"""From a name to train, validation and test pictures and the `ImageContract`: TFDS, a folder per class, or the digits.

Small data sets are held in memory as uint8, files and large TFDS sets are streamed. Either way the batch of a step is a
function of (seed, step), so that a run can begin anywhere.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.resources
import math
import os
import pathlib
import socket
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import tensorflow as tf
import tqdm
from PIL import Image

from keras_resnet import augmentation, folders, preprocessing, programs
from keras_resnet.preprocessing import ImageContract
from keras_resnet.recipes import height_and_width, is_folder

IN_MEMORY_BYTES = 2**30
# In the making at a time; said, not tuned (see `_untuned`).
PICTURES, BATCHES = os.cpu_count(), 4
SHUFFLE_BUFFER = 16_384  # encoded pictures; only for TFDS sets that are streamed
MOST_DRAWN = 10_000
SPLIT_SEED = 20151210  # fixed: validation pictures stay the same whatever a run's own seed
SPLITS = ("train", "validation", "test")
BEGAN = time.time()
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
        """Copied once: each epoch's pipeline would keep a copy of its own alive. A GPU's memory is for the network."""
        with tf.device("CPU"):
            return tf.constant(self.images), tf.constant(self.labels)

    def batches(self, contract, batch_size):
        del contract  # they have its size already
        return tf.data.Dataset.from_tensor_slices((self.images, self.labels)).batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        if resized_crop:
            raise DataError("random resized crops want the pictures in their own size; load them with original=True")
        del contract  # they have its size already
        images, labels = self.tensors
        order = tf.data.Dataset.from_tensor_slices(shuffled(len(self), seed, epoch)[first_step * batch_size :])

        def batch(index):
            return tf.gather(images, index), tf.gather(labels, index)

        return order.batch(batch_size, drop_remainder=True).map(batch, BATCHES, deterministic=True)


@dataclasses.dataclass(frozen=True)
class Files:
    """Pictures in files: their paths as bytes, int labels, and the `preprocessing.layout` of each."""

    paths: np.ndarray
    labels: np.ndarray
    layouts: np.ndarray

    def __len__(self):
        return len(self.labels)

    def batches(self, contract, batch_size):
        files = tf.data.Dataset.from_tensor_slices((self.paths, self.layouts, self.labels))

        def read(path, layout, label):
            return contract.decode(tf.io.read_file(path), layout), label

        return files.map(read, PICTURES, deterministic=True).batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        paths, layouts, labels = tf.constant(self.paths), tf.constant(self.layouts), tf.constant(self.labels)

        def read(position, index):
            seeds = draw(seed, epoch, position) if resized_crop else None
            return _training_picture(tf.io.read_file(paths[index]), layouts[index], contract, seeds), labels[index]

        first = first_step * batch_size
        order = tf.data.Dataset.from_tensor_slices(shuffled(len(self), seed, epoch)[first:]).enumerate(first)
        return order.map(read, PICTURES, deterministic=True).batch(batch_size, drop_remainder=True)


@dataclasses.dataclass(frozen=True)
class Stream:
    """A TFDS split too large for memory, read in order with a shuffle buffer; pictures stay encoded until cropped.

    Attributes:
        builder: the TFDS builder.
        split: TFDS's name of the split.
        keys: names of the picture and the label.
        part: the part of the split that this is, where others are drawn from it too: sorted `_number`s of examples, and
            whether it is these or all the others; None for all of it.
        size: number of examples.
    """

    builder: object
    split: str
    keys: tuple[str, str]
    part: tuple[np.ndarray, bool] | None
    size: int

    def __len__(self):
        return self.size

    def _encoded(self, shuffle_seed=None):
        image, label = self.keys
        dataset = _read_stream(self.builder, self.split, {image: _skip_decoding()}, shuffle_seed)
        if self.part:
            numbers, these = tf.constant(self.part[0]), self.part[1]

            def belongs(example):
                number = _number(example["tfds_id"])
                place = tf.minimum(tf.searchsorted(numbers, number[None])[0], len(numbers) - 1)
                return (numbers[place] == number) == these

            dataset = dataset.filter(belongs)
        return dataset.map(lambda example: (example[image], example[label]))

    def batches(self, contract, batch_size):
        def read(encoded, label):
            return contract.decode(encoded, _layout(encoded)), label

        return self._encoded().map(read, PICTURES, deterministic=True).batch(batch_size)

    def training_batches(self, contract, batch_size, seed, epoch, first_step, resized_crop):
        # A Python integer: this order is drawn when the pipeline is made, once an epoch.
        order = int(np.random.default_rng((seed, epoch)).integers(2**31))
        dataset = self._encoded(order).shuffle(SHUFFLE_BUFFER, order, reshuffle_each_iteration=False)
        dataset = dataset.enumerate().skip(first_step * batch_size)

        def read(position, example):
            encoded, label = example
            seeds = draw(seed, epoch, position) if resized_crop else None
            return _training_picture(encoded, _layout(encoded), contract, seeds), label

        return dataset.map(read, PICTURES, deterministic=True).batch(batch_size, drop_remainder=True)


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: the contract of its pictures, and three splits (`Arrays`, `Files` or `Stream`).

    Attributes:
        unreadable: (path, reason) of the files that were left out.
        note: a sentence on what this source can't do or leaves out, or nothing.
        fingerprint: split -> `fingerprint` of what it was made of.
    """

    name: str
    contract: ImageContract
    train: Arrays | Files | Stream
    validation: Arrays | Files | Stream
    test: Arrays | Files | Stream
    unreadable: tuple = ()
    note: str = ""
    fingerprint: dict = dataclasses.field(default_factory=dict)

    def split(self, name):
        if name not in SPLITS:
            raise ValueError(f"split={name}: choose {', '.join(SPLITS)}")
        return getattr(self, name)

    def evaluation(self, split, batch_size=256, pixels=False):
        """Returns a `tf.data.Dataset` of (float32 pictures in [-1, 1), int labels) in the split's own order.

        With `pixels` the pictures are uint8, a quarter of the bytes, for a model `normalization.from_pixels`.
        Going through it again prepares no picture again where all fit in memory.
        """
        source = self.split(split)
        batches = source.batches(self.contract, batch_size)
        if not isinstance(source, Arrays) and len(source) * math.prod(self.contract.shape) <= IN_MEMORY_BYTES:
            batches = batches.cache()
        if not pixels:
            batches = batches.map(_normalized, BATCHES)
        return _untuned(batches.prefetch(2))

    def training(self, batch_size, seed, epoch, first_step=0, augment="none", pixels=False):
        """Returns the augmented batches of one epoch, from `first_step` on, whole batches only.

        Args:
            batch_size: pictures a step.
            seed: the run's seed.
            epoch: number of the epoch; another epoch is another order and other crops.
            first_step: step within the epoch to begin at; what comes is what an uninterrupted epoch would bring.
            augment: one of `recipes.AUGMENTATIONS`.
            pixels: leaves the pictures uint8, a quarter of the bytes, for a model `normalization.from_pixels`.

        Returns:
            `tf.data.Dataset` of (float32 pictures (batch, height, width, channels), int labels (batch,)).

        Raises:
            DataError: `augment` crops out of pictures in their own size, and they were loaded in the network's.
        """
        resized_crop = "resized_crop" in augment
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
            return (images, labels) if pixels else _normalized(images, labels)

        batches = batches.enumerate(first_step).map(finish, BATCHES, deterministic=True)
        return _untuned(batches.prefetch(4))

    def calibration(self, count, seed):
        """Returns `count` training pictures, or as many as there are, that set a quantized network's ranges.

        They come in the training's own order, so that all classes are there, and without augmentation, as pictures
        will come: float32 (n, height, width, channels).
        """
        batches = self.training(1, seed, epoch=0).take(count)  # larger batches would leave the last pictures out
        return np.concatenate([images for images, _ in batches.as_numpy_iterator()])


def load_dataset(
    name="cifar10", data_dir=None, image_size=0, crop_fraction=1.0, max_bad_fraction=0.01, channels=0, original=False
):
    """Loads an image-classification data set.

    A split that the source lacks is drawn from its training pictures by a fixed seed, class by class: a tenth of them
    (a fifth of the digits), at most 10,000 but at least one of each class. `validation` is for choices, `test` is
    asked for once.

    Args:
        name: `digits`; a folder with a folder per class (or with `train`, `validation`/`val`, `test` folders of such);
            or a TFDS name.
        data_dir: where TFDS keeps its data. It downloads only what is not there.
        image_size: of the network's input, 224 or "240x320" (height x width); 0 for the data set's own, 224 where its
            sizes vary.
        crop_fraction: the contract's.
        max_bad_fraction: unreadable pictures of a folder that may be left out.
        channels: 3 (RGB) or 1 (gray); 0 for the data set's own, which are 3 for a folder.
        original: whether pictures must keep their own size, for random resized crops; they are read from disk then,
            though they might fit in memory.

    Returns:
        `Data`.

    Raises:
        ValueError: it can't be had (`DataError`), or can't be learned from.
    """
    size = height_and_width(image_size)
    if name == "digits":
        if original:
            raise DataError("--dataset=digits: 8x8 pixels have no detail to zoom into; give --augmentation=shift")
        return _digits(size or (32, 32), channels or 3, crop_fraction)
    if is_folder(name):
        shape = *(size or (224, 224)), channels or 3
        return _folder(pathlib.Path(name).expanduser(), shape, crop_fraction, max_bad_fraction, original)
    return _tfds(name, data_dir, size, channels, crop_fraction, original)


def shuffled(size, seed, epoch):
    """An epoch's order: a permutation of 0 … size - 1, int64 (size,); NumPy's, which is random.

    TensorFlow's `index_shuffle` needs no memory, but has 4 rounds of its cipher: any two epochs were correlated.
    """
    return np.random.default_rng((seed, epoch)).permutation(size)


def fingerprint(source, root=None):
    """A text that stays when the same data lies elsewhere, and no longer holds when it has changed.

    Of `Files`, their paths below `root`, sizes and labels, in order; of `Arrays`, all their bytes; of a `Stream`, what
    TFDS calls it.
    """
    if isinstance(source, Stream):
        return f"{len(source)} of {source.builder.info.full_name}, {source.split}"
    digest = hashlib.sha256()
    if isinstance(source, Files):
        for path, label in zip(source.paths, source.labels, strict=True):
            digest.update(b"%b\0%d %d\n" % (path.removeprefix(os.fsencode(root)), os.stat(path).st_size, label))
    else:
        for array in (source.images, source.labels):
            digest.update(np.ascontiguousarray(array))
    return f"{len(source)} sha256:{digest.hexdigest()[:32]}"


@contextlib.contextmanager
def reading(data):
    """Names the files where a pipeline of `data` fails: they could be read when it was made, so they changed since.

    Raises:
        DataError: a picture can't be read any more.
    """
    try:
        yield
    except tf.errors.OpError as error:
        sources = [source for source in map(data.split, SPLITS) if isinstance(source, Files)]
        changed = [path for source in sources for path in map(os.fsdecode, source.paths) if _changed(path)]
        if not changed:
            raise
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise DataError(
            f"{', '.join(changed[:3])}{more}: changed or removed while in use ({programs.sentence(error)}); "
            "restore the data, then the same command continues"
        ) from error


def _changed(path):
    try:
        return os.stat(path).st_mtime > BEGAN
    except OSError:
        return True


def draw(seed, epoch, position):
    """A stateless seed, int32 (2,), for the augmentation at a position (a step, or an example) of an epoch."""
    base = tf.random.fold_in(tf.constant([seed, epoch], tf.int32), tf.cast(position, tf.int32))
    return tf.cast(base, tf.int32)


def stratified_split(labels, fraction, most=MOST_DRAWN):
    """Draws a part of every class, at least one example, by a fixed seed.

    Returns:
        (rest, drawn): sorted index arrays.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_drawn = rank < np.repeat(quotas(counts, fraction, most), counts)
    return np.sort(order[~is_drawn]), np.sort(order[is_drawn])


def quotas(counts, fraction, most=MOST_DRAWN):
    """How many examples of each class are drawn: a fraction, at least one, and at most `most` altogether.

    One of each class is more important than `most`, where there are more classes than that.

    Args:
        counts: int array (classes,), examples of each class.
        fraction: of them that is wanted.
    """
    there = counts > 0
    drawn = np.maximum(there, np.round(fraction * counts).astype(int))
    if drawn.sum() <= most:
        return drawn
    # One of each, and of what else was wanted shares as equal as whole numbers can be: the largest remainders get the
    # last ones. No class gives more than was wanted of it.
    spare, more = max(0, most - there.sum()), drawn - there
    shares = spare * more / max(1, more.sum())
    drawn = there + shares.astype(int)
    last = np.argsort(-(shares % 1), kind="stable")[: most - drawn.sum()] if spare else []
    drawn[last] += 1
    return drawn


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


def _training_picture(encoded, layout, contract, seed):
    """A training picture, a random resized crop of it where a seed is given."""
    if seed is None:
        return contract.decode(encoded, layout)
    return augmentation.random_resized_crop(encoded, layout, contract, seed)


def _layout(encoded):
    """`preprocessing.layout` in a graph."""
    layout = tf.numpy_function(lambda content: np.int64(preprocessing.layout(content)), [encoded], tf.int64)
    return tf.ensure_shape(layout, ())


def _take(source, index):
    """A part of `Arrays` or `Files`."""
    return type(source)(*(getattr(source, field.name)[index] for field in dataclasses.fields(source)))


def _check_counts(counts, classes, drawn):
    """Raises DataError where a class has too few training examples for the splits (a list) that are drawn from them."""
    needed = len(drawn) + 1
    few = int(np.where(counts, counts, counts.max()).argmin())  # a TFDS set may have a class without examples
    if drawn and counts[few] < needed:
        raise DataError(
            f"class {classes[few]} has {counts[few]} training pictures; expected at least {needed}, one for each split "
            "that is drawn from them: add pictures, or give train, validation and test folders of your own"
        )


def _missing(splits):
    return [name for name in ("test", "validation") if name not in splits]


def _complete(splits, classes, fraction=0.1):
    """Draws the splits that are missing from the training pictures.

    Raises:
        DataError: a class has too few pictures to be in every split.
    """
    _check_counts(np.bincount(splits["train"].labels, minlength=len(classes)), classes, _missing(splits))
    for name in _missing(splits):
        train = splits["train"]
        rest, drawn = stratified_split(train.labels, fraction)
        splits |= {"train": _take(train, rest), name: _take(train, drawn)}
    return splits


def _digits(size, channels, crop_fraction):
    with importlib.resources.files("keras_resnet").joinpath("data/digits.npz").open("rb") as file:
        saved = np.load(file)
        pictures, labels = saved["images"], saved["labels"].astype(np.int64)
    contract = ImageContract(*size, channels, tuple("0123456789"), crop_fraction)
    return _in_memory("digits", contract, _complete({"train": Arrays(pictures, labels)}, contract.labels, 0.2))


def _prepared(pictures, contract):
    """Small pictures (an iterable of uint8 arrays) in the contract's size."""
    if getattr(pictures, "shape", None) == (len(pictures), *contract.shape) and contract.crop_fraction == 1:
        return pictures
    return np.stack([contract.picture(Image.fromarray(np.squeeze(picture))) for picture in pictures])


def _folder(root, shape, crop_fraction, max_bad_fraction, original):
    contract = ImageContract(*shape, (), crop_fraction)
    found = folders.scan(root, max_bad_fraction, contract)
    contract = dataclasses.replace(contract, labels=found.classes)
    splits = _complete({name: Files(*columns) for name, columns in found.splits.items()}, found.classes)
    prints = {name: fingerprint(source, root) for name, source in splits.items()}
    total = sum(map(len, splits.values()))
    if min(shape[:2]) < 64 and total * math.prod(shape) <= IN_MEMORY_BYTES and not original:
        splits = {name: _read_files(source, contract) for name, source in splits.items()}
    return Data(str(root), contract, **splits, unreadable=found.unreadable, note=found.note, fingerprint=prints)


def _read_files(source, contract):
    def read(path):
        with Image.open(path) as image:
            return contract.picture(image)

    return Arrays(np.stack([read(path) for path in source.paths]), source.labels)


def _tfds(name, data_dir, size, channels, crop_fraction, original):
    builder = _builder(name, data_dir)
    image, label = keys = _keys(builder)
    shape = builder.info.features[image].shape
    height, width = size or ((224, 224) if None in shape[:2] else shape[:2])
    channels = channels or (shape[2] if shape[2] in (1, 3) else 3)
    contract = ImageContract(height, width, channels, tuple(builder.info.features[label].names), crop_fraction)
    names = _tfds_splits(builder)
    total = sum(builder.info.splits[split].num_examples for split in names.values())
    if None not in shape[:2] and total * height * width * channels <= IN_MEMORY_BYTES and not original:
        splits = {ours: _read_tfds(builder, theirs, keys) for ours, theirs in names.items()}
        return _in_memory(name, contract, _complete(splits, contract.labels))
    streams = _streams(builder, names, keys)
    prints = {name: fingerprint(source) for name, source in streams.items()}
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


def _in_memory(name, contract, splits):
    """`Data` of raw `Arrays`. Their fingerprint is of what they were: Pillow's versions resize differently."""
    prints = {name: fingerprint(source) for name, source in splits.items()}
    splits = {name: Arrays(_prepared(source.images, contract), source.labels) for name, source in splits.items()}
    return Data(name, contract, **splits, fingerprint=prints)


def _read_tfds(builder, split, keys):
    image, label = keys
    channels = builder.info.features[image].shape[2]

    def decoded(example):  # TFDS decodes JPEGs by TensorFlow's default DCT, up to 5 levels from Pillow's pixels
        encoded = example[image]
        return tf.io.decode_jpeg(encoded, channels, dct_method="INTEGER_ACCURATE"), example[label]

    examples = builder.as_dataset(split=split, decoders={image: _skip_decoding()}).map(decoded, PICTURES)
    images, labels = zip(*_untuned(examples.batch(4096)).as_numpy_iterator(), strict=True)
    return Arrays(np.concatenate(images), np.concatenate(labels))


def _streams(builder, names, keys):
    """`Stream`s of a TFDS set's splits; what is missing is drawn from the training examples, class by class.

    Raises:
        DataError: a class has too few examples to be in every split.
    """
    sizes = {ours: builder.info.splits[theirs].num_examples for ours, theirs in names.items()}
    streams = {ours: Stream(builder, theirs, keys, None, sizes[ours]) for ours, theirs in names.items()}
    missing = _missing(names)
    if not missing:
        return streams
    numbers, labels = _numbers(builder, names["train"], keys[1])
    classes = builder.info.features[keys[1]].names
    _check_counts(np.bincount(labels, minlength=len(classes)), classes, missing)
    left = np.arange(len(labels))
    for name in missing:
        rest, drawn = stratified_split(labels[left], 0.1)
        part = np.sort(numbers[left[drawn]]), True
        streams[name], left = Stream(builder, names["train"], keys, part, len(drawn)), left[rest]
    others = np.sort(np.delete(numbers, left)), False
    return {**streams, "train": Stream(builder, names["train"], keys, others, len(left))}


def _numbers(builder, split, label):
    """The `_number` and the label of each example of a split, in one pass through its files without decoding.

    They come in the order of `_read_tfds`: the same pictures are drawn whether a set is streamed or in memory.
    """
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=split,
        decoders=tfds.decode.PartialDecoding({label: True}),
        read_config=tfds.ReadConfig(add_tfds_id=True),
    )
    pairs = examples.map(lambda example: (_number(example["tfds_id"]), example[label])).batch(4096)
    total, parts = builder.info.splits[split].num_examples, []
    with tqdm.tqdm(total=total, unit=" labels", desc="splits", leave=False, disable=not sys.stderr.isatty()) as bar:
        for part in pairs.as_numpy_iterator():
            parts.append(part)
            bar.update(len(part[0]))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _number(name):
    """The number by which an example is known, int64 and at least 0: a function of its name (string tensor) alone."""
    return tf.strings.to_hash_bucket_fast(name, 2**62)


def _read_stream(builder, split, decoders, shuffle_seed=None):
    """The examples of a TFDS split with their `tfds_id`: files in turn, in an order that a seed shuffles."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        shuffle_files=shuffle_seed is not None,
        decoders=decoders,
        # The guard refuses to read sets in another order that were prepared without shuffling.
        read_config=tfds.ReadConfig(
            shuffle_seed=shuffle_seed,
            interleave_cycle_length=16,
            interleave_block_length=1,
            add_tfds_id=True,
            enable_ordering_guard=False,
        ),
    )


def _skip_decoding():
    import tensorflow_datasets as tfds

    return tfds.decode.SkipDecoding()


def _order_note(builder, name):
    if not builder.info.disable_shuffling:
        return ""
    return (
        f"{name}: its examples were prepared in order, without shuffling; training mixes 16 of its files at a time and "
        f"{SHUFFLE_BUFFER:,} neighbouring examples, no more: if its classes lie together, so will those of a batch"
    )
