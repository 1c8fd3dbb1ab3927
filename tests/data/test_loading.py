"""From a name to a data set: the bundled digits, a real TFDS set, and what can't be had."""

import socket
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from small_sets import collect

from keras_resnet.data import SPLITS, DataError, tfds_sets
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.sources import Arrays


class DigitsTest(tf.test.TestCase):
    def test_known_sizes_and_contract(self):
        data = load_dataset("digits")
        self.assertEqual([len(data.split(split)) for split in SPLITS], [1151, 287, 359])  # of 1,797
        self.assertEqual(data.contract.shape, (32, 32, 3))
        self.assertEqual(data.contract.labels, tuple("0123456789"))
        # The UCI set's class counts.
        labels = np.concatenate([getattr(data, split).labels for split in SPLITS])
        self.assertAllEqual(np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        for split in SPLITS:
            counts = np.bincount(getattr(data, split).labels)
            self.assertLess(np.ptp(counts) / counts.mean(), 0.1)

    def test_no_picture_in_two_splits(self):
        data = load_dataset("digits")
        seen = [{image.tobytes() for image in getattr(data, split).images} for split in SPLITS]
        self.assertEqual(sum(map(len, seen)), len(set.union(*seen)))


def test_tfds_in_memory(tmp_path):
    data = load_dataset("kr_tiny_shapes", data_dir=str(tmp_path))
    assert isinstance(data.train, Arrays)
    assert [len(data.split(s)) for s in SPLITS] == [54, 6, 20]
    assert data.contract.shape == (12, 12, 3)
    images, labels = collect(data.evaluation("test"))
    np.testing.assert_array_equal(images.mean((1, 2)).argmax(-1), labels)
    gray = load_dataset("kr_tiny_shapes:1.0.0", data_dir=str(tmp_path), image_size="10x14", channels=1)
    assert gray.test.images.shape == (20, 10, 14, 1)


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
    monkeypatch.setattr(tfds_sets, "_check_network", lambda builder: None)
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
    tfds_sets._check_network(builder)


def test_what_is_a_label_and_what_is_a_test_split():
    builder = tfds.builder("cifar100", try_gcs=False)  # it has coarse labels, too
    assert tfds_sets._keys(builder) == ("image", "label")
    for name, expected in (
        ("imagenet2012", {"train": "train", "test": "validation"}),  # the labels of its test pictures are not public
        ("other", {"train": "train", "validation": "validation", "test": "test"}),
    ):
        builder = types.SimpleNamespace(name=name, info=types.SimpleNamespace(splits=["test", "train", "validation"]))
        assert tfds_sets._tfds_splits(builder) == expected
