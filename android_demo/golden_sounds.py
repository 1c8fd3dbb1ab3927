"""What core's SoundTest compares with: WAV files, and the bytes that Python makes; golden_vectors.py writes it."""

import base64
import dataclasses
import io
import wave

import numpy as np

from keras_resnet.device.sound import Sound

EXTENSIBLE = bytes.fromhex("000000001000800000aa00389b71")  # PCM's identifier behind its first two bytes
# sound, samples, channels, bytes a sample
CASES = (
    (Sound.of(8000, 0.25, 20), 1700, 1, 2),
    (Sound.of(8000, 0.25, 20), 3001, 1, 2),
    (Sound.of(8000, 0.25, 20), 0, 1, 2),
    (Sound.of(16000, 0.2, 40), 3200, 2, 2),
    (Sound.of(16000, 0.2, 40), 3001, 1, 1),
    (Sound.of(16000, 0.2, 40), 3001, 3, 3),
    (Sound.of(11025, 0.2, 12), 2500, 1, 4),
    (Sound(8000, 0.1, 200, 77, 9, 0.0, 3999.0, -80.0, -20.0), 801, 1, 2),
    (Sound.of(8000, 0.1, 0), 700, 1, 2),
)


def wav(sound, count, channels, width, rng):
    """A WAV file's bytes: a gliding tone in noise that falls silent."""
    t = np.arange(count)[:, None] / sound.rate
    samples = 0.4 * np.sin(2 * np.pi * (300 + 4000 * t) * t) + rng.normal(0, 0.02, (count, channels))
    samples = np.clip(samples * np.linspace(1, 0, count)[:, None] ** 2, -1, 0.99)
    steps = np.round(samples * 2 ** (8 * width - 1)).astype("<i8") + (128 if width == 1 else 0)
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((channels, width, sound.rate, count, "NONE", ""))
        opened.writeframes(steps.view("u1").reshape(-1, 8)[:, :width].tobytes())
    return file.getvalue()


def files():
    """(sound, WAV file) of all cases: whole ones, some that were cut or written as they came, 12 bits, a later form."""
    rng = np.random.default_rng(0)
    for sound, *about in CASES:
        yield sound, wav(sound, *about, rng)
    sound = CASES[0][0]
    whole = wav(sound, 6001, 2, 2, rng)
    yield sound, whole[:9001]
    bits, streamed = bytearray(whole), bytearray(whole)
    bits[34:36] = (12).to_bytes(2, "little")
    yield sound, bytes(bits)
    streamed[4:8] = streamed[40:44] = b"\xff" * 4
    yield sound, bytes(streamed)
    short = wav(sound, 900, 2, 2, rng)
    killed = bytearray(short[:2500])  # its recorder had no time to say how long it is
    killed[4:8] = (36).to_bytes(4, "little")
    yield sound, bytes(killed)
    form = (0xFFFE).to_bytes(2, "little") + short[22:36] + bytes.fromhex("1600 1000 03000000 0100") + EXTENSIBLE
    yield sound, short[:16] + len(form).to_bytes(4, "little") + form + short[36:]


def vectors():
    """What SoundTest compares with, a dict for each case."""
    for sound, content in files():
        pixels = sound.read(io.BytesIO(content), "case")
        made = {"wav": content, "pixels": pixels.tobytes()}
        texts = {name: base64.b64encode(one).decode() for name, one in made.items()}
        yield {"sound": dataclasses.asdict(sound), "shape": pixels.shape, **texts}
