"""WAV files, as samples."""

import contextlib
import io
import wave

import numpy as np

from . import picture_files

SUFFIXES = (".wav", ".wave")
# Of a sample's bytes, by their number: NumPy's type, and what is the loudest. Eight bits have no sign.
WIDTHS = {1: ("u1", 128.0), 2: ("<i2", 32768.0), 4: ("<i4", 2147483648.0)}


class SoundError(ValueError):
    """A recording that can't be read; the message says which and why."""


def find(paths):
    """The WAV files of given files and folders; see `picture_files.find`."""
    return picture_files.find(paths, SUFFIXES, "sound")


@contextlib.contextmanager
def opened(file, name):
    """A `wave.Wave_read` of a WAV file whose samples `read` reads.

    Args:
        file: path or binary file.
        name: what messages call it.

    Raises:
        SoundError: it is none, a broken one, or one of floats.
    """
    try:
        with wave.open(file if hasattr(file, "read") else str(file), "rb") as opened:
            if opened.getframerate() < 1 or opened.getnchannels() < 1 or opened.getsampwidth() not in (*WIDTHS, 3):
                raise wave.Error(f"{opened.getsampwidth()} bytes a sample")
            yield opened
    except (wave.Error, EOFError, OSError, ArithmeticError) as error:
        said = str(error) or "it ends early"
        raise SoundError(
            f"{name}: no WAV file of 8, 16, 24 or 32 bits PCM ({said}); "
            f"ffmpeg -i {name} -c:a pcm_s16le OUT.wav makes one"
        ) from error


def wav(samples, rate):
    """Bytes of a WAV file, mono, 16 bits, of samples (n,) in [-1, 1)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, rate, len(samples), "NONE", ""))
        opened.writeframes(np.clip(np.rint(np.asarray(samples) * 32768), -32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


def middle(opened, count):
    """The `count` samples in the middle of what `opened` gives, as `read` returns them; all where there are fewer."""
    said = opened.getnframes()
    if not _holds(opened, said - 1):  # it was cut, or written as it came: what is there
        opened.rewind()
        samples = read(opened, said)
        start = max(0, (len(samples) - count) // 2)
        return samples[start : start + count]
    opened.setpos(max(0, (said - count) // 2))
    return read(opened, count)


def _holds(opened, frame):
    """Whether a frame is there."""
    try:
        opened.setpos(max(0, frame))
        return bool(opened.readframes(1))
    except RuntimeError:  # beyond the chunk around it
        return False


def read(opened, count):
    """The next samples of what `opened` gives: float64 (n,) in [-1, 1), n <= count; channels are averaged."""
    width, channels = opened.getsampwidth(), opened.getnchannels()
    content = opened.readframes(count)
    content = content[: len(content) // (width * channels) * width * channels]  # a file that was cut in a sample
    if width == 3:  # as the upper three bytes of four
        content = np.pad(np.frombuffer(content, "u1").reshape(-1, 3), ((0, 0), (1, 0))).tobytes()
        width = 4
    kind, loudest = WIDTHS[width]
    samples = np.frombuffer(content, kind).astype(np.float64).reshape(-1, channels)
    return ((samples - 128.0) if width == 1 else samples).mean(1) / loudest
