"""Splits that a source lacks: a part of every class, drawn by a fixed seed."""

import os
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf
from small_sets import make_folder

from keras_resnet.data import SPLITS
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.splits import quotas, stratified_split


class SplitTest(tf.test.TestCase):
    def test_stratified(self):
        labels = np.repeat(np.arange(4), [100, 50, 10, 1])
        rest, drawn = stratified_split(labels, 0.1)
        self.assertAllEqual(np.bincount(labels[drawn], minlength=4), [10, 5, 1, 1])
        self.assertAllEqual(np.sort(np.concatenate([rest, drawn])), np.arange(161))
        self.assertAllEqual(drawn, stratified_split(labels, 0.1)[1])
        self.assertGreater(np.ptp(drawn[:10]), 50)  # not neighbours, which may be frames of one film

    def test_at_most_ten_thousand_but_one_of_each_class(self):
        for counts in (np.full(1000, 130), np.r_[np.full(2000, 100), np.full(500, 2)], np.full(12_000, 10)):
            drawn = quotas(counts, 0.1)
            self.assertEqual(drawn.sum(), max(10_000, len(counts)))
            self.assertGreaterEqual(drawn.min(), 1)
            self.assertTrue((drawn < counts).all())
            self.assertLessEqual(np.ptp(drawn[counts == counts[0]]), 1)
        self.assertAllEqual(quotas(np.array([0, 30, 5]), 0.1), [0, 3, 1])

    def test_no_class_is_drawn_empty_where_ten_thousand_are_enough(self):
        left = np.r_[np.full(9000, 3), 100_000]
        for _ in ("test", "validation"):
            drawn = quotas(left, 0.1)
            self.assertEqual(drawn.sum(), 10_000)
            self.assertAllEqual(drawn[:-1], np.ones(9000))
            left = left - drawn

    def test_many_classes_are_drawn_at_once(self):
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(100_000), 5))
        began = time.process_time()
        rest, drawn = stratified_split(labels, 0.1)
        self.assertLess(time.process_time() - began, 3)  # 0.1 s; one look at all labels for each class takes 14
        self.assertAllEqual(np.bincount(labels[drawn]), np.ones(100_000))
        self.assertAllEqual(np.sort(np.r_[rest, drawn]), np.arange(len(labels)))


def test_own_splits_are_kept(tmp_path):
    for split, n in (("train", 12), ("val", 3), ("test", 2)):
        make_folder(tmp_path / split, n=n, seed=n)
    data = load_dataset(str(tmp_path), image_size=20)
    assert [len(data.split(s)) for s in SPLITS] == [24, 6, 4]
    assert data.contract.labels == ("cat", "dog")


def test_missing_splits_are_drawn_from_training(tmp_path):
    make_folder(tmp_path / "train", n=20)
    make_folder(tmp_path / "validation", n=3, seed=1)
    data = load_dataset(str(tmp_path), image_size=20)
    assert [len(data.split(s)) for s in SPLITS] == [36, 6, 4]


CIFAR = pathlib.Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser() / "cifar10"


@pytest.mark.skipif(not CIFAR.exists(), reason=f"SKIPPED: no prepared CIFAR-10 in {CIFAR.parent}; set TFDS_DATA_DIR")
def test_cifar10_splits():
    data = load_dataset("cifar10")
    assert [len(data.split(s)) for s in SPLITS] == [45_000, 5_000, 10_000]
    assert set(np.bincount(data.validation.labels)) == {500}
    assert data.contract.labels[:3] == ("airplane", "automobile", "bird")
    assert data.train.images.dtype == np.uint8
