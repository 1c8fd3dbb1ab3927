"""Words in a stream of sound: a window moves over it, probabilities are averaged, and what passes a threshold is said.

As keyword spotting has it (Chen et al. 2014, "Small-footprint keyword spotting using deep neural networks").
"""

import collections
import dataclasses

import numpy as np

from . import sound_files

HOP = 0.2  # seconds between two windows


@dataclasses.dataclass(frozen=True)
class Heard:
    """A word: its label, its probability, and when the window ended that it was heard in, in seconds."""

    label: str
    probability: float
    seconds: float

    def as_json(self):
        return {"seconds": round(self.seconds, 3), "label": self.label, "probability": round(self.probability, 6)}

    def __str__(self):
        return f"{self.seconds:8.2f} s  {self.label}  {100 * self.probability:.1f} %"


class Listener:
    """Hears words in samples that come bit by bit.

    Args:
        reader: `Reader` of a model of sounds and classes; labels that begin with `_` (as `_silence_`) are no words.
        hop: seconds between two windows.
        smooth: windows whose mean probability counts.
        threshold: mean probability from which on a word is heard; None for the contract's.
        rest: seconds after a word in which the same one is not heard again.

    Raises:
        ValueError: the model hears nothing, or answers with no classes; or a number can't be.
    """

    def __init__(self, reader, hop=HOP, smooth=3, threshold=None, rest=1.0):
        kinds = reader.contract.input.KIND, reader.contract.output.KIND
        if kinds != ("sound", "classes"):
            raise ValueError(f"this model is of {kinds[0]} and {kinds[1]}; expected one of sounds and classes")
        threshold = reader.contract.input.threshold if threshold is None else threshold
        if not hop > 0 or smooth < 1 or not 0 < threshold <= 1 or rest < 0:
            raise ValueError(
                f"hop={hop}, smooth={smooth}, threshold={threshold}, rest={rest}: expected a hop of more than 0 s, at "
                "least one window, a threshold above 0 and at most 1, no negative rest"
            )
        self.reader, self.threshold, self.rest = reader, threshold, rest
        self.sound, self.labels = reader.contract.input, reader.contract.labels
        self.step = max(1, round(hop * self.sound.rate))
        self.recent = collections.deque(maxlen=smooth)
        self.waiting = np.zeros(self.sound.samples)  # silence was before
        self.missing, self.passed = self.step, 0
        self.last = {}

    def hear(self, samples):
        """Takes the next samples, float64 (n,) in [-1, 1) at the contract's rate; yields `Heard` words."""
        samples = np.asarray(samples, np.float64)
        while len(samples) >= self.missing:
            part, samples = samples[: self.missing], samples[self.missing :]
            self.waiting = np.concatenate([self.waiting, part])[-self.sound.samples :]
            self.passed += len(part)
            self.missing = self.step
            yield from self._window()
        self.waiting = np.concatenate([self.waiting, samples])[-self.sound.samples :]
        self.passed += len(samples)
        self.missing -= len(samples)

    def _window(self):
        prepared = self.reader.prepare_samples(self.waiting)
        outputs = self.reader.dequantize(self.reader.invoke(prepared.tensor))
        self.recent.append(self.reader.contract.output.probabilities(outputs))
        mean, now = np.mean(self.recent, 0), self.passed / self.sound.rate
        best = int(mean.argmax())
        label = self.labels[best]
        full = len(self.recent) == self.recent.maxlen
        if full and mean[best] >= self.threshold and not label.startswith("_"):
            if now - self.last.get(label, -np.inf) > self.rest:
                yield Heard(label, float(mean[best]), now)
            self.last[label] = now


def recording(file, name, sound):
    """Yields the samples of a WAV file, a second at a time; raises SoundError where it can't be read."""
    with sound_files.opened(file, name) as opened:
        sound.check_rate(opened.rate, name)
        while len(samples := sound_files.read(opened, sound.rate)):
            yield samples


def microphone(rate):
    """Yields what a microphone hears, a tenth of a second at a time, until Ctrl-C.

    Raises:
        SoundError: no library, or no microphone of this rate.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        raise sound_files.SoundError(
            f"a microphone needs sounddevice ({error}); type pip install sounddevice (and apt install libportaudio2)"
        ) from error
    count = max(1, rate // 10)
    try:
        with sounddevice.InputStream(rate, channels=1, dtype="float32") as stream:
            while True:
                yield stream.read(count)[0][:, 0].astype(np.float64)
    except sounddevice.PortAudioError as error:
        raise sound_files.SoundError(
            f"microphone: {error}; none is there, or it can't {rate:,} samples a second"
        ) from error
