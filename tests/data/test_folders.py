"""Real folders with real broken pictures: what is read, what is left out, and what is said of it."""

import os
import pathlib
import re
import time

import numpy as np
import pytest
from PIL import Image, features
from small_sets import collect, make_folder

from keras_resnet.data import SPLITS, folders
from keras_resnet.data.dataset import Data
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.sources import Arrays, Files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture


def test_large_pictures_stay_in_files(tmp_path):
    assert isinstance(load_dataset(str(make_folder(tmp_path / "a")), image_size=32).train, Arrays)
    assert isinstance(load_dataset(str(make_folder(tmp_path / "b", size=(90, 110)))).train, Files)


def test_unreadable_pictures_are_named_and_left_out(tmp_path):
    make_folder(tmp_path, n=60)
    (tmp_path / "cat" / "empty.jpg").touch()
    whole = (tmp_path / "dog" / "000.png").read_bytes()
    (tmp_path / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dog" / "phone.heic").write_bytes(b"no codec for it")
    Image.fromarray(np.ones((20, 20), np.float32)).save(tmp_path / "dog" / "float.tif")
    Image.fromarray(np.ones((20, 20), np.int32)).save(tmp_path / "dog" / "int32.tif")
    Image.fromarray(np.ones((20, 20), np.uint16)).save(tmp_path / "dog" / "good.tif")
    (tmp_path / "dog" / "notes.txt").write_text("no picture, and not counted")
    os.mkfifo(tmp_path / "dog" / "pipe.png")  # to read it would be to wait for ever
    (tmp_path / "dog" / "text.png").write_text("no picture")
    with pytest.raises(
        ValueError, match=r"7 of 128 pictures can't be read, more than --max_bad_fraction=0.01"
    ) as error:
        load_dataset(str(tmp_path), image_size=20)
    assert "phone.heic: pictures of this kind are not read; convert it to PNG or JPEG" in str(error.value)
    assert "empty.jpg: empty file" in str(error.value)
    assert "cut.png" in str(error.value)
    assert "text.png: no picture, whatever its name says" in str(error.value)
    data = load_dataset(str(tmp_path), image_size=20, max_bad_fraction=0.06)
    names = sorted(pathlib.Path(path).name for path, _ in data.unreadable)
    assert names == ["cut.png", "empty.jpg", "float.tif", "int32.tif", "phone.heic", "pipe.png", "text.png"]
    assert sum(len(data.split(s)) for s in SPLITS) == 121


def test_pictures_in_no_classs_folder_are_told_of(tmp_path):
    make_folder(tmp_path / "train", n=20)
    assert load_dataset(str(tmp_path), image_size=20).note == ""
    for path in ("b.jpg", "train/a.png", "train/notes.txt"):
        (tmp_path / path).touch()
    expected = f"pictures that lie in no class's folder are left out: 2, as {tmp_path / 'b.jpg'}"
    assert load_dataset(str(tmp_path), image_size=20).note == expected


def test_a_strip_is_left_out(tmp_path):
    make_folder(tmp_path, n=60)
    Image.new("RGB", (20_000, 10)).save(tmp_path / "cat" / "strip.png")
    data = load_dataset(str(tmp_path), image_size=20)
    assert [(pathlib.Path(path).name, "too long" in reason) for path, reason in data.unreadable] == [
        ("strip.png", True)
    ]


def test_cut_jpeg_is_found(tmp_path):
    make_folder(tmp_path)
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    big.save(tmp_path / "cat" / "cut.jpg")
    data = (tmp_path / "cat" / "cut.jpg").read_bytes()
    (tmp_path / "cat" / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"cut\.jpg"):
        load_dataset(str(tmp_path))


def test_mixed_kinds_train(tmp_path):
    make_folder(tmp_path, size=(90, 110))
    image = Image.open(tmp_path / "cat" / "000.png")
    image.convert("CMYK").save(tmp_path / "cat" / "cmyk.jpg")
    image.convert("RGBA").save(tmp_path / "cat" / "rgba.png")
    image.convert("P").save(tmp_path / "cat" / "palette.gif")
    image.convert("L").save(tmp_path / "dog" / "gray.jpg")
    suffixes = [".webp", ".tif", ".tiff", ".jfif", ".ppm", *[".avif"] * features.check("avif")]
    for suffix in suffixes:
        image.save(tmp_path / "dog" / f"more{suffix}")
    for channels in (1, 3):
        data = load_dataset(str(tmp_path), image_size="64x80", channels=channels)
        assert len(data.train) + len(data.validation) + len(data.test) == 28 + len(suffixes)
        assert 0 in data.train.layouts and 1 in data.train.layouts
        images, _ = collect(data.training(2, 0, 0, augment=("resized_crop", "flip")))
        assert images.shape[1:] == (64, 80, channels)
        evaluated, _ = collect(data.evaluation("train"))
        for path, picture in zip(data.train.paths, evaluated, strict=True):
            with Image.open(path) as opened:
                np.testing.assert_array_equal((picture + 1) * 128, data.contract.picture(opened))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda root: make_folder(root, n=2), "class cat has 2 training pictures; expected at least 3"),
        (lambda root: make_folder(root, ("cat",)), "found 1 class folder(s) ['cat']; expected at least two"),
        (lambda root: (make_folder(root), (root / "emu").mkdir()), "no readable picture of class emu"),
        (lambda root: root.mkdir(exist_ok=True), "found 0 class folder(s)"),
        (
            lambda root: (make_folder(root / "train"), make_folder(root / "test", ("cat", "cow"))),
            "differing: cow, dog",
        ),
    ],
)
def test_impossible_folders(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(ValueError, match=re.escape(says)):
        load_dataset(str(tmp_path))


def test_few_pictures_wait_for_their_scan(tmp_path, monkeypatch):
    submit, futures, waiting = folders.concurrent.futures.ThreadPoolExecutor.submit, [], []

    def counted(*arguments):
        futures.append(submit(*arguments))
        waiting.append(sum(not future.done() for future in futures))
        return futures[-1]

    monkeypatch.setattr(folders.concurrent.futures.ThreadPoolExecutor, "submit", counted)
    monkeypatch.setattr(folders, "_state", lambda path, picture: time.sleep(0.005))
    monkeypatch.setattr(folders, "QUEUE", 4)
    assert folders._states([str(i) for i in range(40)], None) == [None] * 40
    assert len(waiting) == 40 and max(waiting) <= 4


def test_what_the_scan_takes_training_can_read(tmp_path):
    rng = np.random.default_rng(0)
    make_folder(tmp_path, size=(70, 70))
    for kind in ("jpg", "png"):
        image = Image.fromarray(rng.integers(0, 256, (70, 70, 3), np.uint8).repeat(2, 0)[:70])
        image.save(tmp_path / f"whole.{kind}")
        whole = (tmp_path / f"whole.{kind}").read_bytes()
        for i in range(150):
            damaged = bytearray(whole)
            for place in rng.integers(2, len(whole), rng.integers(1, 4)):
                damaged[place] = rng.integers(256)
            cut = rng.integers(1, 40) if i % 3 == 0 else 0
            (tmp_path / "cat" / f"damaged{i}.{kind}").write_bytes(damaged[: len(damaged) - cut])
        os.remove(tmp_path / f"whole.{kind}")
    found = folders.scan(tmp_path, max_bad_fraction=0.99)
    paths, labels, layouts = found.splits["train"]
    assert len(found.unreadable) > 20 and len(paths) > 50
    train = Files(paths, labels, layouts)
    contract = Contract(Picture(64, 64, 3), Classes(found.classes))
    data = Data("damaged", contract, train, train, train)
    assert len(collect(data.evaluation("train"))[1]) == len(paths)
    collect(data.training(1, 0, 0, augment=("resized_crop",)))
