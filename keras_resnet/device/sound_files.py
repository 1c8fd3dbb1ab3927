"""WAV files, as samples."""

import contextlib
import dataclasses
import io
import os
import shlex
import struct
import typing
import wave

import numpy as np

from . import picture_files

SUFFIXES = (".wav", ".wave")
PCM, EXTENSIBLE = 1, 0xFFFE  # formats of samples; of the second the format itself comes later
# Of a sample's bytes, by their number: NumPy's type, and what is the loudest. Eight bits have no sign.
WIDTHS = {1: ("u1", 128.0), 2: ("<i2", 32768.0), 4: ("<i4", 2147483648.0)}


class SoundError(ValueError):
    """A recording that can't be read; the message says which and why."""


def find(paths):
    """The WAV files of given files and folders; see `picture_files.find`."""
    return picture_files.find(paths, SUFFIXES, "sound")


@dataclasses.dataclass
class Wav:
    """A WAV file that is open, and which frame, one sample of each channel, is read next.

    Attributes:
        file: binary.
        rate: samples a second.
        channels: how many.
        width: bytes of a sample, 1 to 4.
        begin: where in the file the first frame lies.
        frames: that are there, whatever the file says of itself: it may have been cut, or written as it came.
        next: number of a frame.
    """

    file: typing.BinaryIO
    rate: int
    channels: int
    width: int
    begin: int
    frames: int
    next: int = 0


@contextlib.contextmanager
def opened(file, name):
    """The `Wav` of a file, as Kotlin's and JavaScript's readers take it.

    Args:
        file: path or binary file.
        name: what messages call it.

    Raises:
        SoundError: it is none, a broken one, or one of floats.
    """
    with contextlib.ExitStack() as stack:
        try:
            found = _found(file if hasattr(file, "read") else stack.enter_context(open(file, "rb")))
        except (OSError, ValueError) as error:
            raise SoundError(
                f"{name}: no WAV file of 8, 16, 24 or 32 bits PCM ({error}); "
                f"ffmpeg -i {shlex.quote(str(name))} -c:a pcm_s16le OUT.wav makes one"
            ) from error
        yield found


def _found(file):
    """The `Wav` of a binary file; raises ValueError where there is none."""
    end, form, place = file.seek(0, os.SEEK_END), None, 12
    file.seek(0)
    head = file.read(12)
    if len(head) < 12:
        raise ValueError("it ends early")
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    while place + 8 <= end:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        inside = place + 8
        if name == b"fmt " and size >= 16 and inside + 16 <= end:
            form = _form(file.read(min(size, 40)))
        if name == b"data" and form:
            rate, channels, width = form
            return Wav(file, rate, channels, width, inside, (min(end, inside + size) - inside) // (channels * width))
        place = end if name == b"data" else inside + size + size % 2
    raise ValueError("it has no samples, or does not say how they are written")


def _form(content):
    """(rate, channels, bytes of a sample) of a `fmt ` chunk's beginning; raises ValueError where they are not read."""
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content)
    if kind == EXTENSIBLE and len(content) >= 26:
        kind = int.from_bytes(content[24:26], "little")
    width = (bits + 7) // 8
    if kind != PCM or channels < 1 or rate < 1 or width not in (*WIDTHS, 3):
        raise ValueError(f"format {kind}, {channels} channels of {bits} bits at {rate} Hz")
    return rate, channels, width


def wav(samples, rate):
    """Bytes of a WAV file, mono, 16 bits, of samples (n,) in [-1, 1)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, rate, len(samples), "NONE", ""))
        opened.writeframes(np.clip(np.rint(np.asarray(samples) * 32768), -32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


def middle(opened, count):
    """The `count` samples in the middle of what `opened` gives, as `read` returns them; all where there are fewer."""
    opened.next = max(0, (opened.frames - count) // 2)
    return read(opened, count)


def read(opened, count):
    """The next samples of what `opened` gives: float64 (n,) in [-1, 1), n <= count; channels are averaged."""
    width, frame = opened.width, opened.width * opened.channels
    count = max(0, min(count, opened.frames - opened.next))
    opened.file.seek(opened.begin + opened.next * frame)
    opened.next += count
    content = opened.file.read(count * frame)
    if width == 3:  # as the upper three bytes of four
        content = np.pad(np.frombuffer(content, "u1").reshape(-1, 3), ((0, 0), (1, 0))).tobytes()
        width = 4
    kind, loudest = WIDTHS[width]
    samples = np.frombuffer(content, kind).astype(np.float64).reshape(-1, opened.channels)
    return ((samples - 128.0) if width == 1 else samples).mean(1) / loudest
