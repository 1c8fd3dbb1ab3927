"""Recordings as data: what is read, resampled, left out and drawn by speaker; what training does to them."""

import dataclasses
import io
import math
import shutil

import numpy as np
import pytest
import soundfile
from small_sets import KrSpoken, tone, write_tones

from keras_resnet import recipes, runs
from keras_resnet.data import DataError, augmentation, loading, recordings, sound_augmentation, sounds
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.sound import Sound

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    return write_tones(tmp_path / "tones", {"": 10})


def test_a_folder_of_recordings(folder):
    assert recipes.default_recipe(f"{folder}/") == "sounds"
    data = load_dataset(f"{folder}/", seconds=0.25, bands=20)
    sound = data.contract.input
    assert sound == Sound.of(RATE, 0.25, 20) and data.contract.labels == ("high", "low") and not data.note
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [16, 2, 2]
    for name in ("train", "validation", "test"):
        source = data.split(name)
        for number, (image, label) in enumerate(zip(source.images, source.labels, strict=True)):
            assert (image.sum(0).argmax() > 10) == (label == 0)
            np.testing.assert_array_equal(image, sound.read(io.BytesIO(data.raw[name](number)), "raw"))
    again = load_dataset(f"{folder}/", seconds=0.25, bands=20)
    assert again.fingerprint == data.fingerprint


def test_flac_and_other_rates_are_heard_alike(folder):
    one = load_dataset(f"{folder}/", seconds=0.25, bands=20)
    paths = sorted(folder.rglob("*.wav"))
    samples, _ = soundfile.read(paths[0])
    soundfile.write(paths[0].with_suffix(".flac"), samples, RATE)
    paths[0].unlink()
    number = int(paths[1].stem.split("_")[0])
    soundfile.write(paths[1], np.stack([tone(1500 + 10 * number, 0.15 + 0.02 * number, 16000)] * 2, 1), 16000, "PCM_24")
    two = load_dataset(f"{folder}/", seconds=0.25, bands=20)
    assert two.note == "recordings of other rates than 8,000 samples a second are resampled: 1 of 16,000"
    assert two.contract == one.contract
    np.testing.assert_allclose(one.train.images, two.train.images, atol=6)
    assert load_dataset(f"{folder}/", seconds=0.25, sample_rate=16000).contract.input.rate == 16000


def test_a_tone_stays_what_it_is_at_another_rate():
    for rate, to in ((16000, 8000), (8000, 11025), (44100, 16000)):
        made, expected = recordings.resampled(tone(440, 0.5, rate), rate, to), tone(440, 0.5, to)
        inside = slice(200, min(len(made), len(expected)) - 200)
        np.testing.assert_allclose(made[inside], expected[inside], atol=2e-3)
    alias = recordings.resampled(tone(7000, 0.5, 16000), 16000, 8000)  # it is beyond half the new rate
    assert np.abs(alias[200:-200]).max() < 0.02


def test_what_cannot_be_read_is_left_out_or_refused(folder):
    bad = sorted((folder / "low").iterdir())[0]
    bad.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"1 of 20 .* can't be read, .*\n.*no WAV file of 8, 16, 24 or 32 bits PCM"):
        load_dataset(f"{folder}/", seconds=0.25)
    data = load_dataset(f"{folder}/", seconds=0.25, max_bad_fraction=0.1)
    assert [path for path, _ in data.unreadable] == [str(bad)] and len(data.train) == 15
    (folder / "low" / "picture.png").write_bytes(b"")
    bad.with_suffix(".flac").write_bytes(b"fLaC")
    data = load_dataset(f"{folder}/", seconds=0.25, max_bad_fraction=0.2)
    assert len(data.unreadable) == 3


def test_what_lies_beside_recordings_makes_them_no_pictures(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "words" / "train")
    for name in (".DS_Store", ".a.png", "README.md"):
        (tmp_path / "words" / "train" / name).touch()
    data = load_dataset(f"{tmp_path / 'words'}/", seconds=0.25)
    assert data.contract.input.KIND == "sound" and len(data.contract.labels) == 2


def test_no_speaker_is_in_two_splits(folder):
    data = load_dataset(f"{folder}/", seconds=0.25, group_by=r"_([a-z]+)\.")
    speakers = [{data.raw[name].args[0][i].split(b"_")[-1] for i in range(len(data.split(name)))} for name in SPLITS]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 5 and all(speakers)
    with pytest.raises(DataError, match=r"it finds nothing in .*wav"):
        load_dataset(f"{folder}/", group_by=r"q\d")
    with pytest.raises(DataError, match="all are of one group, wav"):
        load_dataset(f"{folder}/", group_by="wav")


SPLITS = ("train", "validation", "test")


def test_a_tfds_set_of_recordings(tmp_path):
    KrSpoken(data_dir=tmp_path).download_and_prepare()
    data = load_dataset("kr_spoken", tmp_path, seconds=0.25, bands=20)
    assert data.contract.input == Sound.of(RATE, 0.25, 20) and data.contract.labels == ("low", "high")
    assert [len(data.split(name)) for name in SPLITS] == [18, 2, 4]
    for name in SPLITS:
        for number, (image, label) in enumerate(zip(data.split(name).images, data.split(name).labels, strict=True)):
            assert (image.sum(0).argmax() > 10) == (label == 1)
            made = data.contract.input.read(io.BytesIO(data.raw[name](number)), "raw")
            np.testing.assert_array_equal(image, made)


def changed(steps, images, seed=(3, 4)):
    return augmentation.augment(images, np.zeros(len(images)), np.array(seed, np.int32), steps)[0].numpy()


@pytest.fixture
def images():
    made = np.random.default_rng(0).integers(1, 200, (64, 30, 20, 1)).astype(np.uint8)
    made[:, :8] = made[:, -8:] = 0  # silence before and behind
    return made


def test_gain_is_decibels(images):
    made = changed(("gain",), images).astype(int)
    more = (made - images)[:, 8:-8]
    inside = (made[:, 8:-8] > 0) & (made[:, 8:-8] < 255)
    for one, where in zip(more, inside, strict=True):
        assert len(np.unique(one[where])) == 1
    drawn = np.array([one[where][0] for one, where in zip(more, inside, strict=True)])
    assert abs(drawn).max() <= round(6 / (80 / 255)) and drawn.std() > 5 and not made[:, :8].any()


def test_stripes_hide_a_moment_and_a_band(images):
    made = changed(("stripes",), images)
    hidden = (made != images)[..., 0]
    for one, image in zip(hidden, images[..., 0], strict=True):
        rows = [i for i in range(8, 22) if one[i, image[i] > 0].all()]
        columns = [j for j in range(20) if one[image[:, j] > 0, j].all()]
        assert len(rows) <= 3 and len(columns) <= 2  # an eighth of 30 and of 20
        expected = np.zeros_like(one)
        expected[rows], expected[:, columns] = True, True
        np.testing.assert_array_equal(one, expected & (image > 0))
    assert hidden.mean() > 0.02


def test_babble_adds_powers(images):
    made = changed(("babble",), images)
    power = lambda q: 10 ** (q.astype(float) * 80 / 255 / 10)  # noqa: E731
    assert (made >= images).all()
    found = []
    for one, image in zip(made, images, strict=True):
        added = power(one) - power(image)  # of the other recording, less loud
        loud = one.astype(int) - image > 3
        if loud.sum() > 9:
            best = max(images, key=lambda other: np.corrcoef(power(other)[loud], added[loud])[0, 1])
            found.append(np.corrcoef(power(best)[loud], added[loud])[0, 1])
            below = 10 * math.log10(np.median(power(best)[loud] / added[loud]))
            assert 4 < below < 41
    assert len(found) > 9 and min(found) > 0.9


def test_sounds_come_later_and_faster(images):
    made = changed(("later",), images)
    assert all(changed_row.any() for changed_row in made) and (made != images).any()
    starts = [int(np.flatnonzero(one.any((1, 2)))[0]) for one in made]
    assert min(starts) < 8 < max(starts) and abs(np.array(starts) - 8).max() <= math.ceil(0.15 * 30)
    for one, image, start in zip(made, images, starts, strict=True):
        moved = np.roll(image, start - 8, 0)
        np.testing.assert_array_equal(one, moved)  # nothing is cut, since silence is around
    stretched = changed(("stretch",), images)
    lengths = [int((one.max((1, 2)) > 3).sum()) for one in stretched]
    assert min(lengths) < 13 and max(lengths) > 15 and max(lengths) <= 14 * 1.25 + 2


def test_waves_come_later_and_faster():
    silence = np.full((32, 1, 200, 1), 128, np.uint8)
    images = silence.copy()
    images[:, :, 80:120] = np.random.default_rng(0).integers(160, 255, (32, 1, 40, 1))
    made = changed(("later",), images)
    starts = [int(np.flatnonzero(one[0, :, 0] != 128)[0]) for one in made]
    assert max(starts) <= 110 and min(starts) >= 50 and len({*starts}) > 9
    for one, image, start in zip(made, images, starts, strict=True):
        np.testing.assert_array_equal(one, np.roll(image, start - 80, 1))
    lengths = [int((one != 128).sum()) for one in changed(("stretch",), images)]
    assert min(lengths) < 36 and 45 < max(lengths) <= 52


def test_steps_of_sounds_are_for_sounds(folder):
    for steps, said in (("later,flip", "are of recordings, the others are not"), ("flip", "these are recordings")):
        recipe = recipes.RECIPES["sounds"]
        with pytest.raises(ValueError, match=said):
            recipe = recipes.dataclasses.replace(recipe, dataset=f"{folder}/", augmentation=steps)
            recipe.check()
            from keras_resnet import tasks

            tasks.of(load_dataset(f"{folder}/", seconds=0.25).contract).check(recipe)
    assert {*sound_augmentation.STEPS} < {*recipes.OF_SOUNDS}


def test_waves_have_one_length(folder):
    from keras_resnet import tasks

    waves = tasks.of(load_dataset(f"{folder}/", seconds=0.25, bands=0).contract)
    for flag, value in (("train_size", 160), ("progressive", 0.5)):
        recipe = recipes.dataclasses.replace(recipes.RECIPES["sounds"], augmentation="later", **{flag: value})
        with pytest.raises(ValueError, match=f"--{flag}={value}: it can't be had of waves"):
            waves.check(recipe)


def test_noise_of_a_folder_is_added(folder, tmp_path, images):
    """Its pieces, less loud than they were, and to training's recordings alone; by its power, as babble."""
    (tmp_path / "noise" / "deep").mkdir(parents=True)
    hum = tone(3000, 1.1, 16000)
    soundfile.write(tmp_path / "noise" / "deep" / "hum.flac", np.roll(hum, 100), 16000)
    recipe = dataclasses.replace(
        recipes.RECIPES["sounds"], dataset=f"{folder}/", seconds=0.25, bands=20, noise=str(tmp_path / "noise")
    )
    data = loading.load_data(recipe, runs.Run(tmp_path / "run"))
    assert data.background.shape == (4, *data.contract.shape)  # 1.1 s have four whole pieces of a quarter
    high = data.background.sum((0, 1))[:, 0].argmax()
    plain, noisy = (np.stack([x for x, _ in data.training(1, 0, 0, pixels=True, noise=n)]) for n in (False, True))
    more = (noisy.astype(int) - plain)[:, 0, ..., 0]
    assert (more >= 0).all() and more.sum((0, 1)).argmax() == high and (more.sum((1, 2)) > 0).mean() > 0.8
    assert (data.calibration(99, 0) == plain[:, 0] / np.float32(128) - 1).all()
    made = sound_augmentation.added(images, images[::-1], np.array((1, 2), np.int32)).numpy()
    power = lambda q: 10 ** (q.astype(float) * 80 / 255 / 10)  # noqa: E731
    quiet = np.zeros((32, 30, 20, 1), np.uint8)
    assert not sound_augmentation.added(quiet, quiet, np.array((1, 2), np.int32)).numpy().any()
    drawn = np.arange(200).reshape(50, 2, 2, 1).astype(np.uint8) + 50
    heard = sound_augmentation.noise(np.zeros((200, 2, 2, 1), np.uint8), np.array((1, 2), np.int32), drawn).numpy()
    orders = {tuple(np.round(one.ravel().astype(float) - one.ravel()[0]).astype(int)) for one in heard}
    assert len({int(one.max()) for one in heard}) > 40 and orders
    below = 10 * np.log10(power(images[::-1]) / np.maximum(power(made) - power(images), 1e-9))[made > images + 9]
    assert np.percentile(below, 5) > 4 and np.percentile(below, 95) < 41
    with pytest.raises(DataError, match="expected a folder of recordings"):
        sounds.background(tmp_path / "none", data.contract.input)
    with pytest.raises(DataError, match="not to waves"):
        sounds.background(tmp_path / "noise", Sound.of(RATE, 0.25, 0))
    with pytest.raises(DataError, match=r"--noise=.*: these are pictures"):
        digits = dataclasses.replace(recipes.RECIPES["digits"], noise=str(tmp_path / "noise"))
        loading.load_data(digits, runs.Run(tmp_path / "run"))
