"""The contract's input `sound`: how a recording becomes a tensor, in the only place that knows it.

A log-mel picture, a row for each moment, a column for each band; all of it in double precision, so that every client's
bytes are the same.
"""

import dataclasses
import functools
import numbers
import shlex
from typing import ClassVar

import numpy as np

from . import sound_files

MOST = 1 << 24  # samples that are heard at once; a contract with more of them is a broken one


@dataclasses.dataclass(frozen=True)
class Sound:
    """From a recording to the network's input.

    The channels' mean; of it the `seconds` in the middle, with silence around where it is shorter. Moments of `window`
    samples, every `hop` samples, under Hann's window (periodic), with zeros behind up to a power of two; their power
    spectrum, a sine of full scale being 1; the sums of it in `bands` triangles that are equally wide on the mel scale,
    from `lowest` to `highest`; decibels. From `quiet` to `loud` they become 0 to 255, and `x = q / 128 - 1`, so that
    q - 128 is the int8 input. `EXPLAINED` has the formulas.

    Without bands the wave itself is the input, a byte for each sample by the mu law (ITU-T G.711's, with mu 255).

    Attributes:
        rate: samples a second.
        seconds: of a recording that are heard.
        window, hop: in samples.
        bands: of the mel scale; 0: the wave itself.
        lowest, highest: Hz.
        quiet, loud: decibels of full scale.
        threshold: of a stream, the mean probability from which on a word is heard; see `listening`.

    Raises:
        ValueError, TypeError: no recording can be prepared so.
    """

    rate: int
    seconds: float = 1.0
    window: int = 512
    hop: int = 256
    bands: int = 40
    lowest: float = 60.0
    highest: float = 4000.0
    quiet: float = -90.0
    loud: float = -10.0
    threshold: float = dataclasses.field(default=0.7, compare=False)

    KIND: ClassVar = "sound"
    THINGS: ClassVar = "recordings"
    FILE: ClassVar = "wav"
    mean: ClassVar = 128.0
    std: ClassVar = 128.0
    EXPLAINED: ClassVar = {
        "rules": {
            "channels": "mean",
            "length": "the seconds in the middle; of an odd sample more or less, it is the last; zeros around",
            "window": "Hann, periodic; zeros behind up to a power of two",
            "spectrum": "squared magnitude of the Fourier transform / (sum of the window / 2) ** 2",
            "bands": "triangles on the mel scale, 2595 log10(1 + f / 700), their tops 1",
            "decibels": "10 log10(power + 10 ** (quiet / 10))",
            "byte": "round((decibels - quiet) / (loud - quiet) * 255), ties to even, 0 to 255",
            "wave": "without bands: round(128 + 127 * sign(x) * ln(1 + 255 * min(1, |x|)) / ln(256)), ties to even",
            "scale": "x = q / 128 - 1",
            "precision": "64-bit floats",
        }
    }

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not np.isfinite(value):
                raise ValueError(f"{field.name} is {value!r}, expected a number")
            if field.type is int and int(value) != value:
                raise ValueError(f"{field.name} is {value!r}, expected a whole number")
            object.__setattr__(self, field.name, field.type(value))
        for holds, expected in (
            (self.rate >= 1 and 1 <= self.samples <= MOST, f"1 to {MOST:,} samples"),
            (2 <= self.window <= self.samples, "a window of at least 2 samples, and no longer than what is heard"),
            (self.hop >= 1, "a hop of at least 1 sample"),
            (0 <= self.bands <= self.window, "no more bands than a window has samples"),
            (0 <= self.lowest < self.highest <= self.rate / 2, "0 <= lowest < highest <= half the rate, in Hz"),
            (self.quiet < self.loud, "quiet below loud"),
            (0 < self.threshold <= 1, "a threshold above 0 and at most 1"),
        ):
            if not holds:
                raise ValueError(f"{self}: expected {expected}")

    @classmethod
    def of(cls, rate, seconds=1.0, bands=40):
        """The usual one at a rate: windows of 32 ms that overlap by half, from 60 Hz up to 7,600 or half the rate."""
        window = max(2, round(0.032 * rate))
        return cls(rate, seconds, window, max(1, window // 2), bands, 60.0, min(7600.0, rate / 2))

    @property
    def samples(self):
        """That are heard."""
        return round(self.rate * self.seconds)

    @property
    def axes(self):
        """Of the input: moments and bands, or samples alone."""
        return 2 if self.bands else 1

    @property
    def shape(self):
        if not self.bands:
            return 1, self.samples, 1
        return (self.samples - self.window) // self.hop + 1, self.bands, 1

    @functools.cached_property
    def hann(self):
        """float64 (window,)."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    @functools.cached_property
    def length(self):
        """Of the Fourier transform: the first power of two that is no shorter than the window."""
        return 1 << (self.window - 1).bit_length()

    @functools.cached_property
    def triangles(self):
        """float64 (length / 2 + 1, bands): what each band takes of each frequency."""
        ends = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (self.lowest, self.highest)), self.bands + 2)
        hertz = 700 * (10 ** (ends / 2595) - 1)
        frequencies = np.arange(self.length // 2 + 1)[:, None] * (self.rate / self.length)
        rising = (frequencies - hertz[:-2]) / (hertz[1:-1] - hertz[:-2])
        falling = (hertz[2:] - frequencies) / (hertz[2:] - hertz[1:-1])
        return np.maximum(0, np.minimum(rising, falling))

    def pixels(self, samples):
        """Prepares one recording; the reference that every other reader is held to.

        Args:
            samples: float64 (n,) in [-1, 1), at `rate`.

        Returns:
            uint8 array (moments, bands, 1), or (1, samples, 1).
        """
        heard, samples = np.zeros(self.samples), np.asarray(samples, np.float64)
        if len(samples) < len(heard):
            before = (len(heard) - len(samples)) // 2
            heard[before : before + len(samples)] = samples
        else:
            before = (len(samples) - len(heard)) // 2
            heard = samples[before : before + len(heard)]
        if not self.bands:
            loud = np.log1p(255 * np.minimum(1, np.abs(heard))) / np.log(256)
            return np.rint(128 + 127 * np.sign(heard) * loud).astype(np.uint8)[None, :, None]
        moments = np.lib.stride_tricks.sliding_window_view(heard, self.window)[:: self.hop]
        spectrum = np.fft.rfft(moments * self.hann, self.length)
        power = (spectrum.real**2 + spectrum.imag**2) / (self.hann.sum() / 2) ** 2
        decibels = 10 * np.log10(power @ self.triangles + 10 ** (self.quiet / 10))
        steps = np.rint((decibels - self.quiet) / (self.loud - self.quiet) * 255)
        return np.clip(steps, 0, 255).astype(np.uint8)[..., None]

    def scaled(self, pixels):
        """float32 `x` of uint8 log-mel pictures (…, 1)."""
        return pixels.astype(np.float32) / np.float32(self.std) - np.float32(1)

    def find(self, paths):
        """The WAV files of given files and folders; see `sound_files.find`."""
        return sound_files.find(paths)

    def read(self, file, name):
        """uint8 (moments, bands, 1) of a WAV file, a path or a binary file that messages call `name`.

        Raises:
            SoundError: it can't be read, or is of another rate.
        """
        with sound_files.opened(file, name) as opened:
            self.check_rate(opened.rate, name)
            return self.pixels(sound_files.middle(opened, self.samples))

    def read_sized(self, file, name):
        """The same, and None: of no answer it matters how long a recording is."""
        return self.read(file, name), None

    def check_rate(self, rate, name):
        """Refuses a recording of another rate, a sentence that names it: resampling would be another's rule."""
        if rate != self.rate:
            raise sound_files.SoundError(
                f"{name}: {rate:,} samples a second, this model hears {self.rate:,}; "
                f"ffmpeg -i {shlex.quote(str(name))} -ar {self.rate} OUT.wav makes them"
            )

    def as_flags(self):
        """What a recipe says of it: name of a field -> value."""
        return {"seconds": self.seconds, "bands": self.bands, "sample_rate": self.rate}

    def place(self, size):
        """Where the input lies on what it was made of; of sounds nothing asks."""
        del size
