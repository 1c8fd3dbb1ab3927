"""A folder per class of recordings: in memory, as the log-mel pictures that the contract's `Sound` makes of them."""

import collections
import concurrent.futures
import functools
import math
import os

import numpy as np

from keras_resnet.data import DataError, class_folders, folders
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
    rates = [_tried(_rate, path) for _, path, _ in entries]
    known = collections.Counter(rate for rate in rates if isinstance(rate, int))
    rate = rate or max(known, key=lambda r: (known[r], r), default=0)
    unreadable = [(e[1], r) for e, r in zip(entries, rates, strict=True) if isinstance(r, str)]
    folders._check_unreadable(root, tuple(unreadable), len(entries), max_bad_fraction)
    if not rate:
        raise DataError(f"{root}: no recording can be read")
    sound = Sound.of(rate, seconds, bands)
    check_memory(root, len(entries), sound.shape)
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


def _wav(paths, sound, number):
    """A recording as a WAV file at the contract's rate, of what is heard."""
    return sound_files.wav(resampled(*read(paths[number], sound), sound.rate), sound.rate)


def _files(folder, rows, classes):
    """`Files` of (path, label, rate); raises DataError where a class has none."""
    paths, labels, rates = zip(*rows, strict=True) if rows else ((), (), ())
    there = {*labels}
    if empty := [name for label, name in enumerate(classes) if label not in there]:
        raise DataError(f"{folder}: no readable recording of class {', '.join(empty)}; put .wav files there")
    return Files(np.array(paths, bytes), np.array(labels, np.int64), np.array(rates, np.int64))


def _arrays(source, sound):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        shown = list(pool.map(lambda path: sound.pixels(resampled(*read(path, sound), sound.rate)), source.paths))
    return Arrays(np.stack(shown) if shown else np.zeros((0, *sound.shape), np.uint8), source.labels)


def _tried(function, path):
    """What a function makes of a path, or the reason (str) why it can't."""
    try:
        return function(path)
    except (DataError, sound_files.SoundError) as error:
        return str(error).removeprefix(f"{path}: ")


def _rate(path):
    """Samples a second of a recording."""
    if not str(path).lower().endswith(sound_files.SUFFIXES):
        return _soundfile(path).info(path).samplerate
    with sound_files.opened(path, path) as opened:
        return opened.getframerate()


def read(path, sound):
    """(samples float64 (n,), rate) of a recording: of its middle, no more than a `Sound` hears, whatever its rate."""
    path = os.fsdecode(path)
    if path.lower().endswith(sound_files.SUFFIXES):
        with sound_files.opened(path, path) as opened:
            rate = opened.getframerate()
            return sound_files.middle(opened, _heard(sound, rate)), rate
    library = _soundfile(path)
    said = library.info(path)
    first = max(0, (said.frames - _heard(sound, said.samplerate)) // 2)
    samples, rate = library.read(path, _heard(sound, said.samplerate), first, always_2d=True)
    return samples.mean(1), rate


def _heard(sound, rate):
    """Samples of a rate that are as long as what is heard; of another rate more, at which resampling looks."""
    return sound.samples if rate == sound.rate else math.ceil((sound.seconds + 0.2) * rate)


def _soundfile(path):
    """The library that reads FLAC, OGG and MP3."""
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise DataError(f'{path}: {error}; type pip install -e ".[sound]", or convert it to WAV') from error
    try:
        soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from error
    return soundfile


def resampled(samples, rate, to):
    """Samples (n,) at another rate: by a polyphase filter, its low-pass under a Kaiser window of beta 5 (SciPy's)."""
    if rate == to:
        return samples
    from scipy.signal import resample_poly

    shared = math.gcd(rate, to)
    return resample_poly(samples, to // shared, rate // shared)
