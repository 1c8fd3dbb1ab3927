"""TFDS sets that are streamed: whole, in an order that the seed decides, and the same pictures as in memory."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from small_sets import collect, make_folder

from keras_resnet import runs
from keras_resnet.data import SPLITS, DataError, splits, streams
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.order import Order
from keras_resnet.data.sources import Arrays, Files
from keras_resnet.data.streams import Stream
from keras_resnet.recipes import Recipe
from keras_resnet.reports import tensorboard
from keras_resnet.training.trainer import Trainer


def test_tfds_streamed(tmp_path):
    data = load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64, original=True)
    assert isinstance(data.train, Stream)
    assert [len(data.split(s)) for s in SPLITS] == [54, 6, 20]
    images, labels = collect(data.evaluation("test"))
    np.testing.assert_array_equal(images.mean((1, 2)).argmax(-1), labels)
    for augment in (("crop", "flip"), ("resized_crop", "flip")):
        whole, labels = collect(data.training(4, 3, 1, augment=augment))
        np.testing.assert_array_equal(whole.mean((1, 2)).argmax(-1), labels)
        rest, _ = collect(data.training(4, 3, 1, first_step=5, augment=augment))
        np.testing.assert_array_equal(whole[20:], rest)
        other, _ = collect(data.training(4, 3, 2, augment=augment))
        assert not np.array_equal(whole, other)
    views, _ = collect(data.training(6, 3, 1, augment=("resized_crop",), order=Order(repeats=3)))
    shown = views.mean((1, 2)).reshape(18, 3, 3)
    assert len(views) == 54 and np.abs(shown - shown[:, :1]).max() < 0.2 < np.abs(shown[1:] - shown[:-1]).max()
    assert not np.array_equal(views[0], views[1])
    for repeats in (1, 3):
        how = {"augment": ("resized_crop", "flip"), "order": Order(repeats=repeats)}
        whole, labels = collect(data.training(6, 3, 1, **how))
        part, his = collect(data.training(6, 3, 1, first_step=2, part=(1, 3), **how))
        np.testing.assert_array_equal(part, whole.reshape(9, 6, 64, 64, 3)[2:, 2:4].reshape(14, 64, 64, 3))
        np.testing.assert_array_equal(his, labels.reshape(9, 6)[2:, 2:4].ravel())
    with pytest.raises(DataError, match="wants a data set in files or memory"):
        data.training(4, 3, 1, order=Order(balanced=True))


def test_random_resized_crops_are_cut_from_the_original_or_refused(tmp_path):
    data = load_dataset("kr_tiny_shapes", data_dir=str(tmp_path), original=True)
    assert isinstance(data.train, Stream)
    collect(data.training(4, 0, 0, augment=("resized_crop",)))
    folder = make_folder(tmp_path / "folder")
    assert isinstance(load_dataset(str(folder), image_size=20, original=True).train, Files)
    with pytest.raises(DataError, match="load them with original=True"):
        load_dataset(str(folder), image_size=20).training(4, 0, 0, augment=("resized_crop",))
    with pytest.raises(DataError, match="8x8 pixels have no detail"):
        load_dataset("digits", original=True)


def test_a_picture_is_cropped_otherwise_in_each_epoch(tmp_path):
    files = load_dataset(str(make_folder(tmp_path / "folder", size=(90, 110))), image_size=64)
    stream = load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64, original=True)
    one_file = splits._take(files.train, [0])
    one_streamed = dataclasses.replace(stream.train, split="train[:1]", part=None, size=1)
    for source in (one_file, one_streamed):

        def crop(seed, epoch, source=source):
            ((_, (images, _)),) = source.training_batches(files.contract.input, 1, seed, epoch, 0, True)
            return images.numpy().tobytes()

        assert len({crop(0, 0), crop(0, 1), crop(1, 0), crop(0, 0)}) == 3


def test_streamed_splits_are_stratified_and_disjoint(tmp_path):
    data = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)
    assert isinstance(data.train, Stream)
    assert "prepared in order" in data.note
    seen = {}
    for split in SPLITS:
        images, labels = collect(data.evaluation(split))
        seen[split] = {image.tobytes() for image in images}
        assert len(labels) == len(data.split(split)) == len(seen[split])
        # A tenth of 180, 19 and 3, and of what is left of them.
        expected = {"train": [146, 15, 1], "validation": [16, 2, 1], "test": [18, 2, 1]}[split]
        np.testing.assert_array_equal(np.bincount(labels, minlength=3), expected)
    assert sum(map(len, seen.values())) == len(set.union(*seen.values())) == 202
    again = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)
    np.testing.assert_array_equal(collect(again.evaluation("test"))[0], collect(data.evaluation("test"))[0])


@pytest.mark.parametrize(
    ("name", "shards"),
    [
        ("kr_tiny_shapes", 1),
        ("kr_tiny_shapes", 20),
        ("kr_tiny_jpegs", 1),
        ("kr_turned_shapes", 1),
        ("kr_tiny_labels", 1),
    ],
)
def test_streamed_and_in_memory_the_same_pictures_are_drawn(tmp_path, name, shards):
    builder = tfds.builder(name, data_dir=str(tmp_path))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))
    streamed, held = (load_dataset(name, data_dir=str(tmp_path), original=o) for o in (True, False))
    assert (type(streamed.train), type(held.train)) == (Stream, Arrays)
    for split in SPLITS:
        one, other = (collect(data.evaluation(split)) for data in (streamed, held))
        pairs = [{(x.tobytes(), y.tobytes()) for x, y in zip(*both, strict=True)} for both in (one, other)]
        assert pairs[0] == pairs[1]
        if name == "kr_tiny_labels":
            assert other[1].dtype == np.uint8 and len(np.unique(other[1], axis=0)) > 4
            np.testing.assert_array_equal(other[0].mean((1, 2)) > 0, other[1])
        if name == "kr_turned_shapes":
            assert other[0].shape[1:] == (70, 80, 3) and (other[0][:, :8] > 0.5).all()  # the sky is above


def test_a_stream_is_shuffled_by_files_and_by_a_buffer(tmp_path, monkeypatch):
    builder = tfds.builder("kr_rare_photos", data_dir=str(tmp_path))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=20))
    data = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)

    def order(epoch, buffer):
        monkeypatch.setattr(streams, "SHUFFLE_BUFFER", buffer)
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


def test_what_tensorboard_shows_waits_for_no_buffer(tmp_path, monkeypatch):
    data = load_dataset("kr_rare_photos", data_dir=str(tmp_path), image_size=64)
    recipe = Recipe("kr_rare_photos", image_size=64, depth=8, width=0.25, batch_size=8, epochs=1, augmentation="crop")
    one = Trainer(recipe, runs.Run(tmp_path / "run"), 300, data)
    monkeypatch.setattr(streams, "SHUFFLE_BUFFER", None)  # what TensorBoard shows needs none, only the epoch does
    with pytest.raises(ValueError, match="None"):
        one.fit()
    assert ("augmented batch", 0) in tensorboard._written(tmp_path / "run" / "tensorboard" / "train")
    (images, _), *_ = one.batches(0, 0, shown=True)
    assert images.dtype == tf.float32 and np.ptp(images, (1, 2, 3)).max() > 0  # of one colour, cropped with their edge


def test_streams_are_turned_upright(tmp_path):
    data = load_dataset("kr_turned_photos", data_dir=str(tmp_path), image_size=64, original=True)
    assert isinstance(data.train, Stream)
    for batches in (data.evaluation("train"), data.training(4, 0, 0)):
        for image in collect(batches)[0]:
            assert image[:8].mean() > 0.5 and image[-8:].mean() < 0  # the sky is above
    crops = collect(data.training(4, 0, 0, augment=("resized_crop",)))[0]
    above, below = crops[:, :8].mean((1, 2, 3)), crops[:, -8:].mean((1, 2, 3))
    assert np.mean(above > below + 1) > 0.5 and (above > below - 0.1).all()
