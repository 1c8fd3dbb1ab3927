"""What training and evaluation get of a data set, batch by batch."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_sets import collect, make_folder

from keras_resnet import runs
from keras_resnet.data import augmentation
from keras_resnet.data.loading import load_data, load_dataset
from keras_resnet.data.order import draw
from keras_resnet.data.sources import Arrays, Files
from keras_resnet.recipes import Recipe


class BatchesTest(tf.test.TestCase):
    def test_no_iterator_has_a_tuning_thread_to_wait_for(self):
        data = load_dataset("digits")
        for batches in (data.training(32, 0, 0, augment=("shift",)), data.evaluation("validation")):
            self.assertIs(batches.options().autotune.enabled, False)

    def test_evaluation_is_complete_and_scaled(self):
        data = load_dataset("digits")
        images, labels = collect(data.evaluation("validation", 100))
        self.assertAllEqual(labels, data.validation.labels)
        self.assertAllEqual(images, data.validation.images.astype("float32") / 128 - 1)


@pytest.mark.parametrize(
    "steps",
    [
        *((), ("flip",), ("crop",), ("crop", "flip"), ("crop", "flip", "cutout"), ("cutout",)),
        *(("shift",), ("shift", "flip", "cutout"), ("resized_crop",), ("resized_crop", "flip", "cutout")),
    ],
)
def test_each_augmentation_does_what_its_name_says(tmp_path, steps):
    resized = "resized_crop" in steps
    size = {"image_size": 64} if resized else {}
    data = load_dataset(str(make_folder(tmp_path, size=(90, 110))) if resized else "digits", **size)
    step, (expected, labels) = next(iter(data.train.training_batches(data.contract.input, 8, 5, 2, 1, resized)))
    assert step == 1
    images, same = next(iter(data.training(8, 5, 2, first_step=1, augment=steps, pixels=True)))
    seed = draw(5, 2, 1)
    if {"crop", "shift", "flip"} & {*steps}:
        moves = augmentation.draw_moves(data.contract.shape[:2], 8, seed, steps)
        assert (moves.start[:, 0].numpy() != 0).any() == bool({"crop", "shift"} & {*steps})
        expected = augmentation.moved(expected, moves, None if "shift" in steps else 128)
    if "cutout" in steps:
        expected = augmentation.cutout(expected, seed)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, same)
    assert images.dtype == np.uint8


def test_augmentations_are_names_not_letters():
    with pytest.raises(ValueError, match=r"augment='crop_flip': expected names, as \('crop', 'flip'\)"):
        load_dataset("digits").training(8, 0, 0, augment="crop_flip")


def test_maps_are_learned_where_the_pictures_show_them():
    """Maps as targets, as they would come from a data set: moved within the pipeline, in whatever step it begins."""
    digits = load_dataset("digits")
    train = Arrays(digits.train.images, digits.train.images)
    data = dataclasses.replace(digits, train=train)

    def move(maps, moves):
        return augmentation.moved(maps, moves, None)

    arguments = {"augment": ("shift", "flip"), "pixels": True, "move": move}
    whole = list(data.training(64, 5, 2, **arguments).as_numpy_iterator())
    for images, maps in whole:
        np.testing.assert_array_equal(images, maps)
    rest = list(data.training(64, 5, 2, first_step=15, **arguments).as_numpy_iterator())
    np.testing.assert_array_equal(rest[0][1], whole[15][1])
    for steps in (("resized_crop",), ("flip", "rand"), ("trivial",)):
        with pytest.raises(ValueError, match=f"move with {steps[-1]}: .*crop, flip, shift"):
            data.training(64, 5, 2, augment=steps, move=move)
    images, maps = next(iter(data.training(64, 5, 2, augment=("flip",), move=move, sides=(16, 12), pixels=True)))
    assert images.shape[1:3] == (16, 12)
    np.testing.assert_array_equal(images, maps)
    with pytest.raises(ValueError, match="move with rand, trivial: "):
        augmentation.augment(digits.train.images[:2], digits.train.images[:2], draw(5, 2, 1), ("trivial", "rand"), move)
    without = next(iter(data.training(64, 5, 2, augment=("shift", "flip"), pixels=True)))
    assert not np.array_equal(*without)


def test_stretched_pictures_show_all_there_is(tmp_path):
    root = make_folder(tmp_path, n=12)
    stretched = load_dataset(str(root), image_size="20x60", resize="stretch")
    assert stretched.contract.input.resize == "stretch"
    files = {np.asarray(Image.open(path).resize((60, 20), Image.BILINEAR)).tobytes() for path in root.rglob("*.png")}
    images, _ = collect(stretched.evaluation("validation", 8, pixels=True))
    assert len(images) and {image.tobytes() for image in np.asarray(images)} <= files
    assert load_dataset("digits", image_size=16, resize="stretch").contract.input.resize == "stretch"
    recipe = Recipe(dataset="digits", image_size=16, resize="stretch")
    assert load_data(recipe, runs.Run(tmp_path / "run")).contract.input.resize == "stretch"


def test_calibration_takes_all_there_are(tmp_path):
    data = load_dataset(str(make_folder(tmp_path, n=48)), image_size=20)  # 2 * 48, of which 18 are drawn
    everything = {images.tobytes() for images, _ in data.training(1, 0, 0).as_numpy_iterator()}
    for asked, expected in ((512, len(data.train)), (70, 70), (3, 3)):
        pictures = data.calibration(asked, 0)
        assert len(pictures) == expected
        assert len({picture.tobytes() for picture in pictures} & everything) == expected


def test_validation_pictures_are_prepared_once(tmp_path):
    data = load_dataset(str(make_folder(tmp_path, size=(90, 110))), image_size=64)
    assert isinstance(data.validation, Files)
    batches = data.evaluation("validation")
    first = collect(batches)
    for path in data.validation.paths:
        os.remove(path)
    for again, expected in zip(collect(batches), first, strict=True):
        np.testing.assert_array_equal(again, expected)
