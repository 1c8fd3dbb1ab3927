"""Splits, orders and files: real folders with real broken pictures, a real TFDS data set, the bundled digits."""

import dataclasses
import io
import os
import pathlib
import re
import socket
import tempfile
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image, ImageOps, features

from keras_resnet import augmentation, datasets, folders, preprocessing, recipes
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
        self.assertEqual([len(data.split(split)) for split in datasets.SPLITS], [1151, 287, 359])  # of 1,797
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
            for augment in ("none", "crop_flip", *(["resized_crop_flip"] if name == "files" else [])):
                with self.subTest(name, augment=augment):
                    one = collect(data.training(4, 1, 0, augment=augment))
                    self.assertAllEqual(one[0], collect(data.training(4, 1, 0, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 1, 1, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 2, 0, augment=augment))[0])

    def test_begins_anywhere(self):
        for name, data in self.sources().items():
            for augment in ("crop_flip", *(["resized_crop_flip"] if name == "files" else [])):
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
            augment = "resized_crop_flip" if name == "files" else "crop_flip"
            images, labels = collect(data.training(4, 0, 0, augment=augment))
            self.assertAllEqual(images.mean((1, 2)).argmax(-1), labels)

    def test_epochs_are_not_correlated(self):
        # In units of 1/sqrt(n) a random permutation's correlation is 1 in the root mean square.
        n, epochs = 5000, 32
        orders = np.stack([datasets.shuffled(n, 0, epoch) for epoch in range(epochs)])
        self.assertAllEqual(np.sort(orders[0]), np.arange(n))
        with_files = np.append(orders, [np.arange(n)], 0)
        pairs = np.corrcoef(with_files)[np.triu_indices(epochs + 1, 1)] * np.sqrt(n)
        self.assertBetween(np.sqrt(np.mean(pairs**2)), 0.9, 1.1)
        self.assertLess(np.abs(pairs).max(), 5)

    def test_batches_hold_classes_as_chance_gives_them(self):
        # Files lie class after class: 10 classes of 120, in batches of 60.
        labels = np.repeat(np.arange(10), 120)
        images = np.broadcast_to(labels[:, None, None, None], (1200, 1, 1, 3)).astype(np.uint8)
        arrays = Arrays(images, labels)
        contract = preprocessing.ImageContract(1, 1, 3, tuple("abcdefghij"))
        data = datasets.Data("bands", contract, arrays, arrays, arrays)
        counts = [
            np.bincount(batch, minlength=10)
            for epoch in range(40)
            for _, batch in data.training(60, 0, epoch).as_numpy_iterator()
        ]
        chance = 60 * 0.1 * 0.9 * (1200 - 60) / (1200 - 1)  # hypergeometric variance
        self.assertBetween(np.var(counts, 0).min() / chance, 0.75, 1.0)
        self.assertBetween(np.var(counts, 0).max() / chance, 1.0, 1.3)

    def test_files_come_in_the_same_order_as_arrays(self):
        data = self.sources()["files"]
        first = collect(data.training(1, 3, 5))[1]
        self.assertAllEqual(first, data.train.labels[datasets.shuffled(len(data.train), 3, 5)])

    def test_whole_batches_only(self):
        data = load_dataset("digits")
        shapes = {images.shape for images, _ in data.training(100, 0, 0).as_numpy_iterator()}
        self.assertEqual(shapes, {(100, 32, 32, 3)})


def test_each_augmentation_does_what_its_name_says(tmp_path):
    digits = load_dataset("digits")
    files = load_dataset(str(make_folder(tmp_path, size=(90, 110))), image_size=64)
    for augment in recipes.AUGMENTATIONS:
        resized = augment.startswith("resized_crop")
        data = files if resized else digits
        expected, labels = next(iter(data.train.training_batches(data.contract, 8, 5, 2, 1, resized)))
        images, same = next(iter(data.training(8, 5, 2, first_step=1, augment=augment, pixels=True)))
        seed = datasets.draw(5, 2, 1)
        if augment not in ("none", "resized_crop"):
            crop, shift = augment.startswith(("crop", "shift")), augment.startswith("shift")
            expected = augmentation.crop_and_flip(expected, seed, crop, "flip" in augment, shift)
        if augment.endswith("cutout"):
            expected = augmentation.cutout(expected, seed)
        np.testing.assert_array_equal(images, expected, err_msg=augment)
        np.testing.assert_array_equal(labels, same)
        assert images.dtype == np.uint8


class SplitTest(tf.test.TestCase):
    def test_stratified(self):
        labels = np.repeat(np.arange(4), [100, 50, 10, 1])
        rest, drawn = datasets.stratified_split(labels, 0.1)
        self.assertAllEqual(np.bincount(labels[drawn], minlength=4), [10, 5, 1, 1])
        self.assertAllEqual(np.sort(np.concatenate([rest, drawn])), np.arange(161))
        self.assertAllEqual(drawn, datasets.stratified_split(labels, 0.1)[1])
        self.assertGreater(np.ptp(drawn[:10]), 50)  # not neighbours, which may be frames of one film

    def test_at_most_ten_thousand_but_one_of_each_class(self):
        for counts in (np.full(1000, 130), np.r_[np.full(2000, 100), np.full(500, 2)], np.full(12_000, 10)):
            drawn = datasets.quotas(counts, 0.1)
            self.assertEqual(drawn.sum(), max(10_000, len(counts)))
            self.assertGreaterEqual(drawn.min(), 1)
            self.assertTrue((drawn < counts).all())
            self.assertLessEqual(np.ptp(drawn[counts == counts[0]]), 1)
        self.assertAllEqual(datasets.quotas(np.array([0, 30, 5]), 0.1), [0, 3, 1])

    def test_no_class_is_drawn_empty_where_ten_thousand_are_enough(self):
        left = np.r_[np.full(9000, 3), 100_000]
        for _ in ("test", "validation"):
            drawn = datasets.quotas(left, 0.1)
            self.assertEqual(drawn.sum(), 10_000)
            self.assertAllEqual(drawn[:-1], np.ones(9000))
            left = left - drawn

    def test_many_classes_are_drawn_at_once(self):
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(16_000), 20))
        rest, drawn = datasets.stratified_split(labels, 0.1)  # 16 s when it was quadratic
        self.assertAllEqual(np.bincount(labels[drawn]), np.ones(16_000))
        self.assertAllEqual(np.sort(np.r_[rest, drawn]), np.arange(len(labels)))


def test_calibration_takes_all_there_are(tmp_path):
    data = load_dataset(str(make_folder(tmp_path, n=48)), image_size=20)  # 2 * 48, of which 18 are drawn
    everything = {images.tobytes() for images, _ in data.training(1, 0, 0).as_numpy_iterator()}
    for asked, expected in ((512, len(data.train)), (70, 70), (3, 3)):
        pictures = data.calibration(asked, 0)
        assert len(pictures) == expected
        assert len({picture.tobytes() for picture in pictures} & everything) == expected


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
    assert sum(len(data.split(s)) for s in datasets.SPLITS) == 121


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
        images, _ = collect(data.training(2, 0, 0, augment="resized_crop_flip"))
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


def test_a_data_set_that_cannot_be_had(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such TFDS data set"):
        load_dataset("cifar11", data_dir=str(tmp_path))

    def offline(*_):
        raise socket.gaierror(-2, "Name or service not known")

    # Only the network's absence is pretended; without it this would download where there is one.
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(DataError, match=r"cifar10: not prepared in .* try --dataset=digits: it needs no download"):
        load_dataset("cifar10", data_dir=str(tmp_path))


def test_a_data_set_that_is_fetched_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_check_network", lambda builder: None)
    says = (
        rf"imagenet2012: not prepared in {tmp_path}/imagenet2012/.*, and its files must be fetched by hand: .*"
        rf"ILSVRC2012_img_train.tar.*image-net.org.* Put them into {tmp_path}/downloads/manual: the same command"
    )
    with pytest.raises(DataError, match=says):
        load_dataset("imagenet2012", data_dir=str(tmp_path))


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_behind_a_proxy_no_name_is_looked_up(variable, monkeypatch):
    builder = tfds.builder("cifar10", try_gcs=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was looked up"))
    monkeypatch.setenv(variable, "http://proxy:3128")
    datasets._check_network(builder)


def test_what_is_a_label_and_what_is_a_test_split():
    builder = tfds.builder("cifar100", try_gcs=False)  # it has coarse labels, too
    assert datasets._keys(builder) == ("image", "label")
    for name, expected in (
        ("imagenet2012", {"train": "train", "test": "validation"}),  # the labels of its test pictures are not public
        ("other", {"train": "train", "validation": "validation", "test": "test"}),
    ):
        builder = types.SimpleNamespace(name=name, info=types.SimpleNamespace(splits=["test", "train", "validation"]))
        assert datasets._tfds_splits(builder) == expected


class KrTinyShapes(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set with pictures of one size, made here so that no download is needed."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE, FORMAT = (12, 12, 3), None

    def _info(self):
        image = tfds.features.Image(shape=self.SHAPE, encoding_format=self.FORMAT)
        features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(names=["a", "b"])})
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


class KrTinyJpegs(KrTinyShapes):
    """The same as JPEGs."""

    FORMAT = "jpeg"


class KrRarePhotos(KrTinyShapes):
    """One split, its three classes one after the other and the last one rare, prepared without shuffling."""

    def _info(self):
        names = tfds.features.ClassLabel(names=["a", "b", "rare"])
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3)), "label": names})
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("image", "label"), disable_shuffling=True
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, label in enumerate([0] * 180 + [1] * 19 + [2] * 3):
            yield i, {"image": np.full((66, 70, 3), i, np.uint8), "label": label}


class KrTurnedPhotos(KrTinyShapes):
    """JPEG files of a bright sky over a dark ground, stored in all eight orientations."""

    SHAPE = (None, None, 3)

    def _generate_examples(self, n, seed):
        sky = np.full((70, 80, 3), 30, np.uint8)
        sky[:35] = 230
        for i in range(n):
            exif, file = Image.Exif(), io.BytesIO()
            exif[preprocessing.ORIENTATION] = orientation = i % 8 + 1
            stored = Image.fromarray(sky)
            for _ in range(3):  # turning is its own undoing after at most four times
                stored.getexif()[preprocessing.ORIENTATION] = orientation
                stored = ImageOps.exif_transpose(stored)
            stored.save(file, "JPEG", exif=exif, quality=95)
            yield i, {"image": io.BytesIO(file.getvalue()), "label": i % 2}


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


def test_random_resized_crops_are_cut_from_the_original_or_refused(tmp_path):
    data = load_dataset("kr_tiny_shapes", data_dir=str(tmp_path), original=True)
    assert isinstance(data.train, Stream)
    collect(data.training(4, 0, 0, augment="resized_crop"))
    folder = make_folder(tmp_path / "folder")
    assert isinstance(load_dataset(str(folder), image_size=20, original=True).train, Files)
    with pytest.raises(DataError, match="load them with original=True"):
        load_dataset(str(folder), image_size=20).training(4, 0, 0, augment="resized_crop")
    with pytest.raises(DataError, match="8x8 pixels have no detail"):
        load_dataset("digits", original=True)


def test_tfds_streamed(tmp_path):
    data = load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64, original=True)
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


def test_a_picture_is_cropped_otherwise_in_each_epoch(tmp_path):
    files = load_dataset(str(make_folder(tmp_path / "folder", size=(90, 110))), image_size=64)
    stream = load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64, original=True)
    one_file = datasets._take(files.train, [0])
    one_streamed = dataclasses.replace(stream.train, split="train[:1]", part=None, size=1)
    for source in (one_file, one_streamed):

        def crop(seed, epoch, source=source):
            ((images, _),) = source.training_batches(files.contract, 1, seed, epoch, 0, True)
            return images.numpy().tobytes()

        assert len({crop(0, 0), crop(0, 1), crop(1, 0), crop(0, 0)}) == 3


def test_streamed_splits_are_stratified_and_disjoint(tmp_path):
    data = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)
    assert isinstance(data.train, Stream)
    assert "prepared in order" in data.note
    seen = {}
    for split in datasets.SPLITS:
        images, labels = collect(data.evaluation(split))
        seen[split] = {image.tobytes() for image in images}
        assert len(labels) == len(data.split(split)) == len(seen[split])
        # A tenth of 180, 19 and 3, and of what is left of them.
        expected = {"train": [146, 15, 1], "validation": [16, 2, 1], "test": [18, 2, 1]}[split]
        np.testing.assert_array_equal(np.bincount(labels, minlength=3), expected)
    assert sum(map(len, seen.values())) == len(set.union(*seen.values())) == 202
    again = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)
    np.testing.assert_array_equal(collect(again.evaluation("test"))[0], collect(data.evaluation("test"))[0])


@pytest.mark.parametrize(("name", "shards"), [("kr_tiny_shapes", 1), ("kr_tiny_shapes", 20), ("kr_tiny_jpegs", 1)])
def test_streamed_and_in_memory_the_same_pictures_are_drawn(tmp_path, name, shards):
    builder = tfds.builder(name, data_dir=str(tmp_path))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))
    streamed, held = (load_dataset(name, data_dir=str(tmp_path), original=o) for o in (True, False))
    assert (type(streamed.train), type(held.train)) == (Stream, Arrays)
    for split in datasets.SPLITS:
        one, other = ({image.tobytes() for image in collect(data.evaluation(split))[0]} for data in (streamed, held))
        assert one == other


def test_a_stream_is_shuffled_by_files_and_by_a_buffer(tmp_path, monkeypatch):
    builder = tfds.builder("kr_rare_photos", data_dir=str(tmp_path))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=20))
    data = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)

    def order(epoch, buffer):
        monkeypatch.setattr(datasets, "SHUFFLE_BUFFER", buffer)
        images, _ = collect(data.training(1, 0, epoch))
        return (128 * (images[:, 0, 0, 0] + 1)).astype(int)  # a picture's pixels are its place in the files

    # 16 of the 20 files are read in turn: neighbours in a file, ten to each, do not follow each other.
    files = [order(epoch, 1) for epoch in (0, 1)]
    assert np.abs(np.diff(files[0])[:50]).min() > 1
    assert not np.array_equal(*files)
    mixed = [order(epoch, 1000) for epoch in range(6)]
    assert all(np.array_equal(np.sort(m), np.sort(files[0])) for m in mixed)
    correlations = np.corrcoef([*mixed, files[0], np.sort(files[0])])[np.triu_indices(8, 1)][:-1]
    assert np.sqrt(np.mean(correlations**2) * len(mixed[0])) < 1.6


def test_streams_are_turned_upright(tmp_path):
    data = load_dataset("kr_turned_photos", data_dir=str(tmp_path), image_size=64, original=True)
    assert isinstance(data.train, Stream)
    for batches in (data.evaluation("train"), data.training(4, 0, 0)):
        for image in collect(batches)[0]:
            assert image[:8].mean() > 0.5 and image[-8:].mean() < 0  # the sky is above
    crops = collect(data.training(4, 0, 0, augment="resized_crop"))[0]
    above, below = crops[:, :8].mean((1, 2, 3)), crops[:, -8:].mean((1, 2, 3))
    assert np.mean(above > below + 1) > 0.5 and (above > below - 0.1).all()


def test_validation_pictures_are_prepared_once(tmp_path):
    data = load_dataset(str(make_folder(tmp_path, size=(90, 110))), image_size=64)
    assert isinstance(data.validation, Files)
    batches = data.evaluation("validation")
    first = collect(batches)
    for path in data.validation.paths:
        os.remove(path)
    for again, expected in zip(collect(batches), first, strict=True):
        np.testing.assert_array_equal(again, expected)


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
    data = datasets.Data("damaged", preprocessing.ImageContract(64, 64, 3, found.classes), train, train, train)
    assert len(collect(data.evaluation("train"))[1]) == len(paths)
    collect(data.training(1, 0, 0, augment="resized_crop"))


CIFAR = pathlib.Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser() / "cifar10"


@pytest.mark.skipif(not CIFAR.exists(), reason=f"SKIPPED: no prepared CIFAR-10 in {CIFAR.parent}; set TFDS_DATA_DIR")
def test_cifar10_splits():
    data = load_dataset("cifar10")
    assert [len(data.split(s)) for s in datasets.SPLITS] == [45_000, 5_000, 10_000]
    assert set(np.bincount(data.validation.labels)) == {500}
    assert data.contract.labels[:3] == ("airplane", "automobile", "bird")
    assert data.train.images.dtype == np.uint8
