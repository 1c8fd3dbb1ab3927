"""Recordings in files, as samples: WAV by the device's own reader, other kinds by soundfile. It needs no TensorFlow."""

import math
import os

from keras_resnet.data import DataError
from keras_resnet.device import sound_files


def rate(path):
    """Samples a second of a recording."""
    if not str(path).lower().endswith(sound_files.SUFFIXES):
        return _soundfile(path).info(path).samplerate
    with sound_files.opened(path, path) as opened:
        return opened.rate


def read(path, sound=None):
    """(samples float64 (n,), rate) of a recording; with a `Sound`, of its middle alone, no more than that hears.

    Raises:
        DataError, SoundError: it can't be read.
    """
    path = os.fsdecode(path)
    if path.lower().endswith(sound_files.SUFFIXES):
        with sound_files.opened(path, path) as opened:
            return sound_files.middle(opened, _heard(sound, opened.rate, opened.frames)), opened.rate
    library = _soundfile(path)
    said = library.info(path)
    count = _heard(sound, said.samplerate, said.frames)
    samples, rate = library.read(path, count, max(0, (said.frames - count) // 2), always_2d=True)
    return samples.mean(1), rate


def _heard(sound, rate, count):
    """Samples of `count` that are as long as what is heard; of another rate more, at which resampling looks."""
    if sound is None:
        return count
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
