"""TFDS sets of recordings, as `speech_commands` and `spoken_digit`: in memory, as log-mel pictures."""

import dataclasses
import functools

import numpy as np
import tqdm

from keras_resnet.data import DataError, recordings
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, check_memory
from keras_resnet.data.splits import complete
from keras_resnet.data.streams import named_features
from keras_resnet.device import sound_files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.sound import Sound

LOUDEST = 32768.0  # TFDS gives samples of 16 bits as whole numbers


@dataclasses.dataclass(frozen=True)
class Numbered:
    """Log-mel pictures, labels, and each one's number in its TFDS split."""

    images: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray


def audio(builder):
    """The names of a TFDS set's recording and its one label among the features, or None."""
    import tensorflow_datasets as tfds

    features = named_features(builder)
    sounds = [key for key, one in features.items() if isinstance(one, tfds.features.Audio)]
    labels = [key for key, one in features.items() if isinstance(one, tfds.features.ClassLabel)]
    return (sounds[0], labels[0]) if len(sounds) == len(labels) == 1 else None


def load(builder, name, names, seconds, bands, rate):
    """`Data` of a TFDS set of recordings; see `loading.load_dataset`.

    Args:
        builder: of the set, prepared.
        name: what the set is called.
        names: our names of its splits -> its own.
        seconds, bands, rate: as of `sounds.load`.

    Raises:
        DataError: it is too large for memory, or does not say its rate.
    """
    keys = audio(builder)
    theirs = builder.info.features[keys[0]].sample_rate or rate
    if not theirs:
        raise DataError(f"--dataset={name}: it does not say its rate; give it, as --sample_rate=16000")
    sound = Sound.of(rate or theirs, seconds, bands)
    total = sum(builder.info.splits[s].num_examples for s in names.values())
    check_memory(f"--dataset={name}", total, sound.shape, "give fewer --seconds")
    classes = tuple(builder.info.features[keys[1]].names)
    read = {ours: _read(builder, split, keys, sound, theirs) for ours, split in names.items()}
    read = complete(read, classes)
    sources = {split: Arrays(part.images, part.labels) for split, part in read.items()}
    raw = {
        split: functools.partial(_wav, builder, names.get(split, names["train"]), keys[0], part.numbers, sound, theirs)
        for split, part in read.items()
    }
    prints = {split: source.fingerprint() for split, source in sources.items()}
    return Data(name, Contract(sound, Classes(classes)), **sources, fingerprint=prints, raw=raw)


def _samples(values, sound, rate):
    return recordings.resampled(np.asarray(values, np.float64) / LOUDEST, rate, sound.rate)


def _read(builder, split, keys, sound, rate):
    import tensorflow_datasets as tfds

    shown, labels = [], []
    examples = tfds.as_numpy(builder.as_dataset(split=split))
    total = builder.info.splits[split].num_examples
    for example in tqdm.tqdm(examples, split, total, unit=" recordings", leave=False, disable=None):
        shown.append(sound.pixels(_samples(example[keys[0]], sound, rate)))
        labels.append(int(example[keys[1]]))
    return Numbered(np.stack(shown), np.array(labels, np.int64), np.arange(len(labels)))


def _wav(builder, split, key, numbers, sound, rate, number):
    """A recording as a WAV file at the contract's rate; its split is read up to it."""
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(split=split).skip(int(numbers[number])).take(1)
    (example,) = tfds.as_numpy(examples)
    return sound_files.wav(_samples(example[key], sound, rate), sound.rate)
