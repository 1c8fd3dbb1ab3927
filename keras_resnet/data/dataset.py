"""A data set: the contract of its examples, and three splits."""

import contextlib
import dataclasses
import math
import os
import time

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_resnet import programs
from keras_resnet.data import SPLITS, DataError, augmentation, data_service, decoding
from keras_resnet.data.order import SHUFFLED, draw
from keras_resnet.data.sources import ALL_ROWS, BATCHES, Arrays, Files, untuned
from keras_resnet.data.streams import Stream
from keras_resnet.device.contract import Contract

IN_MEMORY_BYTES = 2**30
BEGAN = time.time()


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: the contract of its pictures, and three splits (`Arrays`, `Files` or `Stream`).

    Attributes:
        unreadable: (path, reason) of the files that were left out.
        note: a sentence on what this source can't do or leaves out, or nothing.
        fingerprint: split -> the fingerprint of what it was made of.
        raw: split -> a function of an example's number, which returns the bytes of its file as devices read it; None
            where they are of no use, since a picture's PNG can be made of what the contract made of it.
        background: what training adds to recordings, uint8 (n, moments, bands, 1), or None.
    """

    name: str
    contract: Contract
    train: Arrays | Files | Stream
    validation: Arrays | Files | Stream
    test: Arrays | Files | Stream
    unreadable: tuple = ()
    note: str = ""
    fingerprint: dict = dataclasses.field(default_factory=dict)
    raw: dict | None = None
    background: np.ndarray | None = None

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
        batches = source.batches(self.contract.input, batch_size)
        if not isinstance(source, Arrays) and len(source) * math.prod(self.contract.shape) <= IN_MEMORY_BYTES:
            batches = batches.cache()
        if not pixels:
            batches = batches.map(_normalized, BATCHES)
        return untuned(batches.prefetch(2))

    def training(
        self,
        batch_size,
        seed,
        epoch,
        first_step=0,
        augment=(),
        pixels=False,
        move=None,
        magnitude=9,
        zoom=1.4,
        mix=None,
        order=SHUFFLED,
        sides=None,
        noise=False,
        part=(0, 1),
        service=None,
    ):
        """Returns the augmented batches of one epoch, from `first_step` on, whole batches only.

        Args:
            batch_size: pictures a step.
            seed: the run's seed.
            epoch: number of the epoch; another epoch is another order and other crops.
            first_step: step within the epoch to begin at; what comes is what an uninterrupted epoch would bring.
            augment: names of `recipes.AUGMENTATIONS`.
            pixels: leaves the pictures uint8, a quarter of the bytes, for a model `normalization.from_pixels`.
            magnitude: RandAugment's.
            zoom: of the step of this name, how many times larger or smaller a picture becomes at most.
            order: which examples come when.
            sides: (height, width) of the pictures, or of windows that are cut out of them where what is learned moves
                with the pixels; None for the contract's.
            noise: whether `background` is added, where there is one.
            mix: a function of (images, targets, seed) that mixes examples, after all else; None for none.
            move: how what is learned moves with the pictures, a function for `augmentation.augment`; None if it stays.
            part: (number, parts) of each batch, of which the other parts are not read unless `mix` needs them.
            service: `data_service.Service` that makes the batches; the same, in the same order. None: made here.
                See `check_service`.

        Returns:
            `tf.data.Dataset` of (float32 pictures (batch, height, width, channels), int labels (batch,)).

        Raises:
            DataError: `augment` crops out of pictures in their own size, and they were loaded in the network's.
            ValueError: `augment` is a string, which holds letters and no names; or `move` is given with what would
                leave targets where they were (`augmentation.check_move`).
        """
        if isinstance(augment, str):
            raise ValueError(f"augment={augment!r}: expected names, as {tuple(augment.split('_'))}")
        augmentation.check_move(move, augment)
        resized_crop = "resized_crop" in augment
        picture = self.contract.input
        if sides and resized_crop:  # at once, of the originals
            picture, sides = dataclasses.replace(picture, height=sides[0], width=sides[1]), None
        window, sides = (sides, None) if move else (None, sides)
        number, parts = part
        mine = slice(number * batch_size // parts, (number + 1) * batch_size // parts)
        alone = parts > 1 and not mix and not augmentation.MIXING & set(augment)
        rows = mine if alone else ALL_ROWS
        batches = self.train.training_batches(picture, batch_size, seed, epoch, first_step, resized_crop, order, rows)

        def filled(read):
            """A whole batch, whose draws are for all of it, of what was read."""
            return tf.pad(read, [(mine.start, batch_size - mine.stop)] + [(0, 0)] * (len(read.shape) - 1))

        def finish(step, examples):
            images, labels = map(filled, examples) if alone else examples
            drawn = draw(seed, epoch, step)
            added = self.background if noise else None
            images, labels = augmentation.augment(images, labels, drawn, augment, move, magnitude, zoom, added, window)
            images = decoding.resize(images, sides) if sides else images
            images, labels = mix(images, labels, drawn) if mix else (images, labels)
            images, labels = (images[mine], labels[mine]) if parts > 1 else (images, labels)
            return step, ((images, labels) if pixels else _normalized(images, labels))

        batches = batches.map(finish, BATCHES, deterministic=True)
        steps = range(first_step, len(self.train) // batch_size)
        batches = service.made(batches, steps) if service else batches.map(lambda _, made: made)
        return untuned(batches.prefetch(4))

    def check_service(self, service, augment):
        """Refuses a service that can't make the training batches.

        Raises:
            DataError: for them Python would be needed there.
        """
        if why := self.train.unsendable("resized_crop" in augment):
            raise DataError(f"--data_service={service.address}: {self.name}: {why}")

    def calibration(self, count, seed):
        """Returns `count` training pictures, or as many as there are, that set a quantized network's ranges.

        They come in the training's own order, so that all classes are there, and without augmentation, as pictures
        will come: float32 (n, height, width, channels).
        """
        batches = self.training(1, seed, epoch=0).take(count)  # larger batches would leave the last pictures out
        return np.concatenate([images for images, _ in batches.as_numpy_iterator()])


def in_memory(name, contract, splits):
    """`Data` of raw `Arrays`. Their fingerprint is of what they were: Pillow's versions resize differently."""
    prints = {name: source.fingerprint() for name, source in splits.items()}
    splits = {name: Arrays(_prepared(source.images, contract), source.labels) for name, source in splits.items()}
    return Data(name, contract, **splits, fingerprint=prints)


def _prepared(pictures, contract):
    """Small pictures (an iterable of uint8 arrays) in the contract's size."""
    if getattr(pictures, "shape", None) == (len(pictures), *contract.shape) and contract.input.crop_fraction == 1:
        return pictures
    return np.stack([contract.picture(Image.fromarray(np.squeeze(picture))) for picture in pictures])


@contextlib.contextmanager
def reading(data):
    """Names the files where a pipeline of `data` fails: they could be read when it was made, so they changed since.

    Raises:
        DataError: a picture can't be read any more.
        ServiceLost: a tf.data service brings no more batches.
    """
    try:
        yield
    except tf.errors.OpError as error:
        data_service.raise_lost(error)
        sources = [source for source in map(data.split, SPLITS) if isinstance(source, Files)]
        changed = [path for source in sources for path in source.read_from() if _changed(path)]
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


def _normalized(images, labels):
    return decoding.normalize(images), labels
