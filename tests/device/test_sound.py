"""The contract's sounds: against the definition written out, known tones, WAV files of every width, what is refused."""

import dataclasses
import io
import wave

import numpy as np
import pytest

from keras_resnet.device import sound_files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract, parse
from keras_resnet.device.sound import Sound

rng = np.random.default_rng(0)
SMALL = Sound(8000, 0.1, 200, 120, 12, 100.0, 3500.0, -80.0, -20.0)


def wav(samples, rate=8000, width=2):
    """Bytes of a WAV file of samples (n, channels) in [-1, 1)."""
    steps = np.round(np.asarray(samples) * 2 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    content = steps.astype("<i8").view("u1").reshape(-1, 8)[:, :width].tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((np.shape(samples)[1], width, rate, len(samples), "NONE", ""))
        opened.writeframes(content)
    return file.getvalue()


def by_definition(sound, samples):
    """The same numbers before they are rounded, moment by moment, frequency by frequency, band by band."""
    n, length = sound.samples, 1
    while length < sound.window:
        length *= 2
    first = (len(samples) - n) // 2 if len(samples) >= n else -((n - len(samples)) // 2)
    heard = [samples[i] if 0 <= i < len(samples) else 0.0 for i in range(first, first + n)]
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * i / sound.window) for i in range(sound.window)]
    mel, hertz = (lambda f: 2595 * np.log10(1 + f / 700)), (lambda m: 700 * (10 ** (m / 2595) - 1))
    step = (mel(sound.highest) - mel(sound.lowest)) / (sound.bands + 1)
    rows = []
    for start in range(0, n - sound.window + 1, sound.hop):
        power = []
        for k in range(length // 2 + 1):
            angles = 2 * np.pi * k * np.arange(sound.window) / length
            part = np.array(heard[start : start + sound.window]) * hann
            power.append((part @ np.cos(angles)) ** 2 + (part @ np.sin(angles)) ** 2)
        row = []
        for band in range(sound.bands):
            low, top, high = (hertz(mel(sound.lowest) + (band + i) * step) for i in range(3))
            total = 0.0
            for k, p in enumerate(power):
                f = k * sound.rate / length
                weight = (f - low) / (top - low) if f <= top else (high - f) / (high - top)
                total += p * max(0.0, weight)
            total /= (sum(hann) / 2) ** 2
            decibels = 10 * np.log10(total + 10 ** (sound.quiet / 10))
            row.append((decibels - sound.quiet) / (sound.loud - sound.quiet) * 255)
        rows.append(row)
    return np.clip(rows, 0, 255)[..., None]


@pytest.mark.parametrize("count", [0, 301, 800, 2001])
@pytest.mark.parametrize("sound", [SMALL, Sound(16000, 0.05, 256, 256, 20, 0.0, 8000.0)])
def test_it_is_what_the_contract_says(sound, count):
    samples = rng.normal(0, 0.05, count) * np.linspace(1, 0, count)
    made, expected = sound.pixels(samples), by_definition(sound, samples)
    assert made.dtype == np.uint8 and made.shape == sound.shape == expected.shape
    np.testing.assert_allclose(made, expected, atol=0.5 + 1e-6)
    if not count:
        assert not made.any()  # silence is 0, wherever `quiet` is


def test_a_tone_is_as_loud_as_it_is():
    sound = Sound.of(16000, 1.0, 40)
    assert sound.shape == (61, 40, 1) and (sound.window, sound.hop, sound.highest) == (512, 256, 7600.0)
    frequency = 32 * 16000 / 512
    tone = 10 ** (-30 / 20) * np.sin(2 * np.pi * frequency * np.arange(16000) / 16000)
    made = sound.pixels(tone)[..., 0]
    band = int(np.argmax(sound.triangles[32]))
    assert (made.argmax(1) == band).all()
    # Hann's window spreads a sine over three frequencies, of power 1/4, 1, 1/4.
    power = sound.triangles[31:34, band] @ [0.25, 1, 0.25] * 1e-3
    assert (made[:, band] == round((10 * np.log10(power) + 90) / 80 * 255)).all()
    assert (made[:, [0, 39]] < made.max() / 2).all()


def test_without_bands_it_is_the_wave_by_the_mu_law():
    sound = Sound.of(8000, 0.1, 0)
    assert sound.shape == (1, 800, 1) and sound.axes == 1 and SMALL.axes == 2
    samples = np.linspace(-1, 1, 800)
    made = sound.scaled(sound.pixels(samples))[0, :, 0].astype(np.float64)
    wave = np.sign(made) * (256 ** np.minimum(1, np.abs(made) * 128 / 127) - 1) / 255
    assert np.abs(wave - samples).max() < 0.024 and np.abs(wave - samples)[380:420].max() < 2e-3
    assert (
        (np.diff(made) >= 0).all() and made[0] == -made[-1] == -127 / 128 and not sound.scaled(sound.pixels([])).any()
    )


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_every_width(width, tmp_path):
    given = np.round(rng.uniform(-1, 1, (900, 2)) * 100) / 128
    (tmp_path / "a.wav").write_bytes(wav(given, width=width))
    for file in (tmp_path / "a.wav", io.BytesIO(wav(given, width=width))):
        with sound_files.opened(file, "a") as opened:
            np.testing.assert_array_equal(sound_files.read(opened, 500), given[:500].mean(1))
            np.testing.assert_array_equal(sound_files.read(opened, 500), given[500:].mean(1))
    np.testing.assert_array_equal(SMALL.read(tmp_path / "a.wav", "a"), SMALL.pixels(given.mean(1)))
    assert SMALL.read_sized(tmp_path / "a.wav", "a")[1] is None
    assert SMALL.find([tmp_path]) == [tmp_path / "a.wav"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"a\.wav: no WAV file of 8, 16, 24 or 32 bits PCM \(it ends early\); ffmpeg -i a\.wav"),
        (b"\x89PNG" * 20, r"a\.wav: no WAV file .*RIFF"),
        (
            wav(np.zeros((9, 1)), 16000),
            r"a\.wav: 16,000 samples a second, this model hears 8,000; ffmpeg -i a\.wav -ar 8000",
        ),
        (wav(np.zeros((9, 1)))[:30], r"a\.wav: no WAV file"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, said):
    if not content:  # what is said can be pasted, whatever the name
        with pytest.raises(sound_files.SoundError, match=r"ffmpeg -i 'a b\.wav' -c:a"):
            SMALL.read(io.BytesIO(content), "a b.wav")
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(sound_files.SoundError, match=said):
        SMALL.read(tmp_path / "a.wav", "a.wav")


def test_a_recording_that_was_cut_is_heard_to_its_end():
    whole = wav(np.full((800, 2), 0.25))
    with sound_files.opened(io.BytesIO(whole[:-401]), "a") as opened:  # in the midst of a sample
        assert len(sound_files.read(opened, 800)) == 800 - 101
    samples = np.linspace(-0.9, 0.9, 4001)[:, None]
    whole = wav(samples)
    with sound_files.opened(io.BytesIO(whole), "a") as opened:
        there = sound_files.read(opened, 4001)
    streamed = whole[:40] + b"\xff" * 4 + whole[44:4444]
    for content in (whole[:4444], streamed, streamed[:4] + b"\xff" * 4 + streamed[8:]):
        expected = SMALL.pixels(there[: (4444 - 44) // 2])
        np.testing.assert_array_equal(SMALL.read(io.BytesIO(content), "a"), expected)


def test_the_contract_keeps_it():
    contract = Contract(SMALL, Classes(("no", "yes")))
    saved = contract.as_json()
    assert parse(saved) == contract and saved["input"]["kind"] == "sound" and "rules" in saved["input"]
    assert contract.shape == (6, 12, 1)
    np.testing.assert_array_equal(SMALL.scaled(np.array([0, 128, 255], np.uint8)), np.float32([-1, 0, 127 / 128]))
    assert contract.answer(np.float32([0, 3]), None).as_json()["top"][0]["label"] == "yes"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"window": 5000}, "a window of at least 2 samples"),
        ({"hop": 0}, "a hop of at least 1"),
        ({"highest": 5000.0}, "half the rate"),
        ({"quiet": 0.0}, "quiet below loud"),
        ({"seconds": 0.0}, "1 to 16,777,216 samples"),
        ({"seconds": float("nan")}, "seconds is nan, expected a number"),
        ({"rate": 8000.5}, "rate is 8000.5, expected a whole number"),
        ({"bands": True}, "bands is True, expected a number"),
        ({"bands": -1}, "no more bands than"),
    ],
)
def test_sounds_that_cannot_be_are_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(SMALL, **changed)
