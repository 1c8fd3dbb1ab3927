"""A folder per class of recordings: in memory, as the log-mel pictures that the contract's `Sound` makes of them."""

import collections
import concurrent.futures
import functools
import os

import numpy as np

from keras_resnet import layouts
from keras_resnet.data import DataError, class_folders, folders, recordings
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, Files, check_memory
from keras_resnet.data.splits import complete
from keras_resnet.device import sound_files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.sound import Sound


def load(root, seconds=1.0, rate=0, bands=40, max_bad_fraction=0.01, group_by=""):
    """`Data` of a folder per class of recordings; see `loading.load_dataset`.

    Args:
        root: `pathlib.Path` of the data set.
        seconds, bands: of the contract.
        rate: samples a second, to which recordings of others are brought; 0: that of most of them.
        max_bad_fraction: unreadable recordings that are left out; more are an error.
        group_by: regular expression of what in their paths no two splits may share, a speaker.

    Raises:
        ValueError: no such folder, fewer than two classes, an empty class, or too many that can't be read.
    """
    found = class_folders.splits(root)
    classes = class_folders.classes(found)
    entries = class_folders.entries(found, classes)
    rates = [_tried(path) for _, path, _ in entries]
    known = collections.Counter(rate for rate in rates if isinstance(rate, int))
    rate = rate or max(known, key=lambda r: (known[r], r), default=0)
    unreadable = [(e[1], r) for e, r in zip(entries, rates, strict=True) if isinstance(r, str)]
    folders.check_unreadable(root, tuple(unreadable), len(entries), max_bad_fraction)
    if not rate:
        raise DataError(f"{root}: no recording can be read")
    sound = Sound.of(rate, seconds, bands)
    check_memory(root, len(entries), sound.shape, "give fewer --seconds")
    splits = {split: [] for split in found}
    for (split, path, label), r in zip(entries, rates, strict=True):
        if isinstance(r, int):
            splits[split].append((os.fsencode(path), label, r))
    columns = {split: _files(found[split], of, classes) for split, of in splits.items()}
    columns = complete(columns, classes, group_by=group_by)
    prints = {split: source.fingerprint(root) for split, source in columns.items()}
    sources = {split: _arrays(source, sound) for split, source in columns.items()}
    others = {r: n for r, n in known.items() if r != rate}
    note = ", ".join(f"{n:,} of {r:,}" for r, n in sorted(others.items()))
    note = note and f"recordings of other rates than {rate:,} samples a second are resampled: {note}"
    contract = Contract(sound, Classes(classes))
    raw = {split: functools.partial(_wav, source.paths, sound) for split, source in columns.items()}
    return Data(str(root), contract, **sources, unreadable=tuple(unreadable), note=note, fingerprint=prints, raw=raw)


def background(folder, sound):
    """Recordings of noise, cut into as much as is heard at once, one piece behind the other.

    Args:
        folder: `pathlib.Path`; all recordings below it.
        sound: the contract's `Sound`, with bands.

    Returns:
        uint8 (n, moments, bands, 1).

    Raises:
        DataError: there is none, or one can't be read.
    """
    if not sound.bands:
        raise DataError(f"--noise={folder}: it is added to log-mel pictures, not to waves (--bands=0); drop it")
    paths, pieces = sorted(p for p in folder.rglob("*") if p.suffix.lower() in layouts.SOUNDS), []
    for path in paths:
        try:
            samples = recordings.resampled(*recordings.read(path), sound.rate)
        except sound_files.SoundError as error:
            raise DataError(f"--noise={folder}: {error}") from error
        whole = max(1, len(samples) // sound.samples)
        pieces += [sound.pixels(samples[i * sound.samples :][: sound.samples]) for i in range(whole)]
    check_memory(f"--noise={folder}", len(pieces), sound.shape, "give fewer of them")
    if not pieces:
        raise DataError(f"--noise={folder}: expected a folder of recordings ({', '.join(layouts.SOUNDS)})")
    return np.stack(pieces)


def _wav(paths, sound, number):
    """A recording as a WAV file at the contract's rate, of what is heard."""
    return sound_files.wav(_heard(paths[number], sound), sound.rate)


def _files(folder, rows, classes):
    """`Files` of (path, label, rate); raises DataError where a class has none."""
    paths, labels, rates = zip(*rows, strict=True) if rows else ((), (), ())
    there = {*labels}
    if empty := [name for label, name in enumerate(classes) if label not in there]:
        raise DataError(f"{folder}: no readable recording of class {', '.join(empty)}; put .wav files there")
    return Files(np.array(paths, bytes), np.array(labels, np.int64), np.array(rates, np.int64))


def _heard(path, sound):
    """Samples of a recording at the contract's rate, of its middle."""
    return recordings.resampled(*recordings.read(path, sound), sound.rate)


def _arrays(source, sound):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        shown = list(pool.map(lambda path: sound.pixels(_heard(path, sound)), source.paths))
    return Arrays(np.stack(shown) if shown else np.zeros((0, *sound.shape), np.uint8), source.labels)


def _tried(path):
    """Samples a second of a recording, or the reason (str) why it can't be read."""
    try:
        return recordings.rate(path)
    except (DataError, sound_files.SoundError) as error:
        return str(error).removeprefix(f"{path}: ")
