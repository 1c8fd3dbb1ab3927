"""Splits, orders and files: real folders with real broken pictures, a real TFDS data set, the bundled digits."""

import os
import pathlib
import re
import socket
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image, features

from keras_resnet import datasets
from keras_resnet.datasets import Arrays, DataError, Files, Stream, load_dataset


def make_folder(root, classes=("cat", "dog"), n=12, size=(20, 20), seed=0):
    """A folder per class; the class is the picture's tint, its number is in the first pixel's blue."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 80, (*size, 3), np.uint8)
            pixels[..., c % 3] += 150
            Image.fromarray(pixels).save(root / name / f"{i:03}.png")
    return root


def collect(batches):
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


class DigitsTest(tf.test.TestCase):
    def test_known_sizes_and_contract(self):
        data = load_dataset("digits")
        self.assertEqual(len(data.train) + len(data.validation) + len(data.test), 1797)
        self.assertEqual(data.contract.shape, (32, 32, 3))
        self.assertEqual(data.contract.labels, tuple("0123456789"))
        # The UCI set's class counts.
        labels = np.concatenate([getattr(data, split).labels for split in datasets.SPLITS])
        self.assertAllEqual(np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        for split in datasets.SPLITS:
            counts = np.bincount(getattr(data, split).labels)
            self.assertLess(np.ptp(counts) / counts.mean(), 0.1)

    def test_no_picture_in_two_splits(self):
        data = load_dataset("digits")
        seen = [{image.tobytes() for image in getattr(data, split).images} for split in datasets.SPLITS]
        self.assertEqual(sum(map(len, seen)), len(set.union(*seen)))

    def test_no_iterator_has_a_tuning_thread_to_wait_for(self):
        data = load_dataset("digits")
        for batches in (data.training(32, 0, 0, augment="shift"), data.evaluation("validation")):
            self.assertIs(batches.options().autotune.enabled, False)

    def test_evaluation_is_complete_and_scaled(self):
        data = load_dataset("digits")
        images, labels = collect(data.evaluation("validation", 100))
        self.assertAllEqual(labels, data.validation.labels)
        self.assertAllEqual(images, data.validation.images.astype("float32") / 128 - 1)


class OrderTest(tf.test.TestCase):
    def sources(self):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))
        return {
            "arrays": load_dataset(str(make_folder(root / "small")), image_size=20),
            "files": load_dataset(str(make_folder(root / "large", size=(90, 110))), image_size=64),
            "digits": load_dataset("digits"),
        }

    def test_an_epoch_shows_every_picture_once(self):
        for name, data in self.sources().items():
            with self.subTest(name):
                n = len(data.train)
                images, _ = collect(data.training(1, seed=5, epoch=3))
                self.assertLen(images, n)
                expected, _ = collect(data.evaluation("train"))
                got = {image.tobytes() for image in ((images + 1) * 128).astype(np.uint8)}
                self.assertEqual(got, {image.tobytes() for image in ((expected + 1) * 128).astype(np.uint8)})

    def test_order_and_crops_are_functions_of_seed_and_epoch(self):
        for name, data in self.sources().items():
            for augment in ("none", "crop_flip", "resized_crop_flip"):
                with self.subTest(name, augment=augment):
                    one = collect(data.training(4, 1, 0, augment=augment))
                    self.assertAllEqual(one[0], collect(data.training(4, 1, 0, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 1, 1, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 2, 0, augment=augment))[0])

    def test_begins_anywhere(self):
        for name, data in self.sources().items():
            for augment in ("crop_flip", "resized_crop_flip"):
                with self.subTest(name, augment=augment):
                    whole = list(data.training(4, 7, 2, augment=augment).as_numpy_iterator())
                    rest = list(data.training(4, 7, 2, first_step=2, augment=augment).as_numpy_iterator())
                    self.assertLen(rest, len(whole) - 2)
                    for (images, labels), (again, same) in zip(whole[2:], rest, strict=True):
                        self.assertAllEqual(images, again)
                        self.assertAllEqual(labels, same)

    def test_labels_belong_to_their_pictures(self):
        for name in ("arrays", "files"):
            data = self.sources()[name]
            images, labels = collect(data.training(4, 0, 0, augment="resized_crop_flip"))
            self.assertAllEqual(images.mean((1, 2)).argmax(-1), labels)

    def test_whole_batches_only(self):
        data = load_dataset("digits")
        shapes = {images.shape for images, _ in data.training(100, 0, 0).as_numpy_iterator()}
        self.assertEqual(shapes, {(100, 32, 32, 3)})


class SplitTest(tf.test.TestCase):
    def test_stratified(self):
        labels = np.repeat(np.arange(4), [100, 50, 10, 1])
        rest, drawn = datasets.stratified_split(labels, 0.1)
        self.assertAllEqual(np.bincount(labels[drawn], minlength=4), [10, 5, 1, 1])
        self.assertAllEqual(np.sort(np.concatenate([rest, drawn])), np.arange(161))
        self.assertAllEqual(drawn, datasets.stratified_split(labels, 0.1)[1])


def test_large_pictures_stay_in_files(tmp_path):
    assert isinstance(load_dataset(str(make_folder(tmp_path / "a")), image_size=32).train, Arrays)
    assert isinstance(load_dataset(str(make_folder(tmp_path / "b", size=(90, 110)))).train, Files)


def test_own_splits_are_kept(tmp_path):
    for split, n in (("train", 12), ("val", 3), ("test", 2)):
        make_folder(tmp_path / split, n=n, seed=n)
    data = load_dataset(str(tmp_path), image_size=20)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [24, 6, 4]
    assert data.contract.labels == ("cat", "dog")


def test_missing_splits_are_drawn_from_training(tmp_path):
    make_folder(tmp_path / "train", n=20)
    make_folder(tmp_path / "validation", n=3, seed=1)
    data = load_dataset(str(tmp_path), image_size=20)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [36, 6, 4]


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
    with pytest.raises(
        ValueError, match=r"5 of 126 pictures can't be read, more than --max_bad_fraction=0.01"
    ) as error:
        load_dataset(str(tmp_path), image_size=20)
    assert "phone.heic: pictures of this kind are not read; convert it to PNG or JPEG" in str(error.value)
    assert "empty.jpg: empty file" in str(error.value)
    assert "cut.png" in str(error.value)
    data = load_dataset(str(tmp_path), image_size=20, max_bad_fraction=0.05)
    names = sorted(pathlib.Path(path).name for path, _ in data.unreadable)
    assert names == ["cut.png", "empty.jpg", "float.tif", "int32.tif", "phone.heic"]
    assert sum(len(data.split(s)) for s in datasets.SPLITS) == 121


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
        assert not data.train.plain.all()
        images, _ = collect(data.training(2, 0, 0, augment="resized_crop_flip"))
        assert images.shape[1:] == (64, 80, channels)
        evaluated, _ = collect(data.evaluation("train"))
        for path, picture in zip(data.train.paths, evaluated, strict=True):
            with Image.open(path) as opened:
                np.testing.assert_array_equal((picture + 1) * 128, data.contract.picture(opened))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda root: make_folder(root, n=2), "class number 0 has 2 training pictures; expected at least 3"),
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


def test_a_data_set_that_cannot_be_had(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such TFDS data set"):
        load_dataset("cifar11", data_dir=str(tmp_path))

    def offline(*_):
        raise socket.gaierror(-2, "Name or service not known")

    # Only the network's absence is pretended; without it this would download where there is one.
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(DataError, match=r"cifar10: not prepared in .* try --dataset=digits: it needs no download"):
        load_dataset("cifar10", data_dir=str(tmp_path))


class KrTinyShapes(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set with pictures of one size, made here so that no download is needed."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE = (12, 12, 3)

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE), "label": tfds.features.ClassLabel(names=["a", "b"])}
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(60, 0), "test": self._generate_examples(20, 1)}

    def _generate_examples(self, n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            side = self.SHAPE[:2] if self.SHAPE[0] else rng.integers(70, 90, 2)
            pixels = rng.integers(0, 100, (*side, 3), np.uint8)
            pixels[..., i % 2] += 120
            yield i, {"image": pixels, "label": i % 2}


class KrTinyPhotos(KrTinyShapes):
    """The same with pictures of many sizes, so that it is streamed."""

    SHAPE = (None, None, 3)


def test_tfds_in_memory(tmp_path):
    data = load_dataset("kr_tiny_shapes", data_dir=str(tmp_path))
    assert isinstance(data.train, Arrays)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [54, 6, 20]
    assert data.contract.shape == (12, 12, 3)
    images, labels = collect(data.evaluation("test"))
    np.testing.assert_array_equal(images.mean((1, 2)).argmax(-1), labels)
    gray = load_dataset("kr_tiny_shapes:1.0.0", data_dir=str(tmp_path), image_size="10x14", channels=1)
    assert gray.test.images.shape == (20, 10, 14, 1)


def test_tfds_streamed(tmp_path):
    data = load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64)
    assert isinstance(data.train, Stream)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [54, 6, 20]
    images, labels = collect(data.evaluation("test"))
    np.testing.assert_array_equal(images.mean((1, 2)).argmax(-1), labels)
    for augment in ("crop_flip", "resized_crop_flip"):
        whole, labels = collect(data.training(4, 3, 1, augment=augment))
        np.testing.assert_array_equal(whole.mean((1, 2)).argmax(-1), labels)
        rest, _ = collect(data.training(4, 3, 1, first_step=5, augment=augment))
        np.testing.assert_array_equal(whole[20:], rest)
        other, _ = collect(data.training(4, 3, 2, augment=augment))
        assert not np.array_equal(whole, other)


CIFAR = pathlib.Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser() / "cifar10"


@pytest.mark.skipif(not CIFAR.exists(), reason=f"SKIPPED: no prepared CIFAR-10 in {CIFAR.parent}; set TFDS_DATA_DIR")
def test_cifar10_splits():
    data = load_dataset("cifar10")
    assert [len(data.split(s)) for s in datasets.SPLITS] == [45_000, 5_000, 10_000]
    assert set(np.bincount(data.validation.labels)) == {500}
    assert data.contract.labels[:3] == ("airplane", "automobile", "bird")
    assert data.train.images.dtype == np.uint8
