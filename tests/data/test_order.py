"""Every order and every crop is a function of (seed, epoch, position), and as random as chance."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from small_sets import collect, make_folder

from keras_resnet.data.dataset import Data
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.order import Order, balanced, repeated, shuffled
from keras_resnet.data.sources import Arrays
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import Picture


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
            for augment in ((), ("crop", "flip"), *([("resized_crop", "flip")] if name == "files" else [])):
                with self.subTest(name, augment=augment):
                    one = collect(data.training(4, 1, 0, augment=augment))
                    self.assertAllEqual(one[0], collect(data.training(4, 1, 0, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 1, 1, augment=augment))[0])
                    self.assertNotAllEqual(one[0], collect(data.training(4, 2, 0, augment=augment))[0])

    def test_begins_anywhere(self):
        for name, data in self.sources().items():
            for augment in (("crop", "flip"), *([("resized_crop", "flip")] if name == "files" else [])):
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
            augment = ("resized_crop" if name == "files" else "crop", "flip")
            images, labels = collect(data.training(4, 0, 0, augment=augment))
            self.assertAllEqual(images.mean((1, 2)).argmax(-1), labels)

    def test_epochs_are_not_correlated(self):
        # In units of 1/sqrt(n) a random permutation's correlation is 1 in the root mean square.
        n, epochs = 5000, 32
        orders = np.stack([shuffled(n, 0, epoch) for epoch in range(epochs)])
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
        contract = Contract(Picture(1, 1, 3), Classes(tuple("abcdefghij")))
        data = Data("bands", contract, arrays, arrays, arrays)
        counts = [
            np.bincount(batch, minlength=10)
            for epoch in range(40)
            for _, batch in data.training(60, 0, epoch).as_numpy_iterator()
        ]
        chance = 60 * 0.1 * 0.9 * (1200 - 60) / (1200 - 1)  # hypergeometric variance
        self.assertBetween(np.var(counts, 0).min() / chance, 0.75, 1.0)
        self.assertBetween(np.var(counts, 0).max() / chance, 1.0, 1.3)

    def test_balanced_shows_every_class_equally_often(self):
        labels = np.repeat([0, 1, 2], [700, 90, 14])
        orders = [balanced(labels, 3, epoch) for epoch in range(40)]
        for order in orders:
            self.assertAllEqual(np.bincount(labels[order]), [268, 268, 268])
            self.assertEqual(len(np.unique(order[labels[order] == 0])), 268)  # none twice where there are enough
            self.assertAllInRange(np.bincount(order, minlength=804)[700:790], 2, 3)
        self.assertAllEqual(orders[2], balanced(labels, 3, 2))
        self.assertGreater(np.bincount(np.concatenate(orders))[:700].min(), 3)  # 15 on average: another part each time
        self.assertLess(np.abs(np.corrcoef(labels[orders[0]], np.arange(804))[0, 1]), 0.12)

    def test_repeated_shows_a_part_several_times_in_a_row(self):
        order = repeated(100, 3, 4, 3)
        self.assertAllEqual(order[:99].reshape(-1, 3).T, [shuffled(100, 3, 4)[:33]] * 3)
        self.assertEqual(len(order), 100)

    def test_sources_follow_the_order(self):
        data = load_dataset("digits")
        ((_, labels),) = data.training(1000, 0, 0, order=Order(balanced=True)).as_numpy_iterator()
        self.assertAllInRange(np.bincount(labels), 80, 116)
        images, _ = next(data.training(8, 0, 0, order=Order(repeats=4)).as_numpy_iterator())
        self.assertAllEqual(images[0], images[3])
        self.assertNotAllEqual(images[3], images[4])

    def test_files_come_in_the_same_order_as_arrays(self):
        data = self.sources()["files"]
        first = collect(data.training(1, 3, 5))[1]
        self.assertAllEqual(first, data.train.labels[shuffled(len(data.train), 3, 5)])

    def test_whole_batches_only(self):
        data = load_dataset("digits")
        shapes = {images.shape for images, _ in data.training(100, 0, 0).as_numpy_iterator()}
        self.assertEqual(shapes, {(100, 32, 32, 3)})
