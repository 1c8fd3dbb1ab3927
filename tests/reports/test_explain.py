"""Grad-CAM beside what it is where a mean and one layer follow the map, and the command."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet import load_dataset, load_pretrained, tasks
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import Mask
from keras_resnet.device.picture import Picture
from keras_resnet.networks.detector import detector
from keras_resnet.networks.resnet import ResNet
from keras_resnet.networks.segmenter import segmenter
from keras_resnet.reports import explain
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.segmentation import Segmentation

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits():
    return (*load_pretrained("digits-resnet8"), load_dataset("digits").validation.images[:6])


def test_of_a_mean_and_one_layer_it_is_the_class_activation_map(digits):
    """Zhou et al. 2015, https://arxiv.org/abs/1512.04150: the last map, each channel by the class's weight."""
    model, contract, images = digits
    last = keras.Model(model.inputs, model.get_layer("head_pool").input)
    kernel = model.get_layer("logits").kernel.numpy()
    for i, pixels in enumerate(images):
        made = last(contract.input.scaled(pixels)[None], training=False).numpy()[0]
        expected = np.maximum(made @ kernel[:, i], 0)
        if not expected.max() > 0:
            continue
        expected = keras.ops.image.resize(expected[None, ..., None], pixels.shape[:2]).numpy()[0, ..., 0]
        found = explain.heat(model, tasks.of(contract), pixels, i, "stage4")
        np.testing.assert_allclose(found, expected / expected.max(), atol=1e-4)
        assert found.shape == pixels.shape[:2] and found.max() == 1.0
    with pytest.raises(ValueError, match="--stage=stage7: choose stage2, stage3, stage4"):
        explain.heat(model, tasks.of(contract), images[0], 0, "stage7")


@pytest.mark.parametrize("kind", ["boxes", "mask"])
def test_of_places_only_what_they_see_speaks(kind):
    """A network whose stages see little: the heat of a class lies where its score comes from."""
    keras.utils.set_random_seed(0)
    backbone = ResNet(8, (64, 64, 3), features=True)
    picture = Picture(64, 64, 3)
    if kind == "boxes":
        model, task = detector(backbone, 2, (4,), 16), Detection(Contract(picture, Boxes(("a", "b"), ((16, 16, 4),))))
    else:
        model = segmenter(backbone, 2, 16, stride=4)
        task = Segmentation(Contract(picture, Mask(("a", "b"), (16, 16))))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for stage in ("stage3", "stage4"):
        found = explain.heat(model, task, pixels, 1, stage)
        assert found.shape == (64, 64) and np.isfinite(found).all() and found.max() in (0.0, 1.0)
        if kind == "boxes" and stage == "stage4" and found.max():
            cell = model(picture.scaled(pixels)[None])[1].numpy()[0, :, 1].argmax()
            row, column = cell // 16 * 4 + 2, cell % 16 * 4 + 2
            away = np.argwhere(found > 0.05) - (row, column)
            assert np.abs(away).max() < 40  # the heads see that far


@pytest.mark.slow
def test_the_command_writes_a_figure_for_each_picture(digits, tmp_path):
    for i, pixels in enumerate(digits[2][:2]):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    command = [
        sys.executable,
        "-m",
        "keras_resnet.program",
        "explain",
        "digits-resnet8",
        tmp_path,
        f"--out={tmp_path}/o",
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    for i in range(2):
        with Image.open(tmp_path / "o" / f"{i}-stage4.png") as image:
            assert image.width > 3 * image.height / 1.6 and len(np.unique(np.asarray(image))) > 50
    assert result.stdout.count("-stage4.png") == 2
    for flags, said in (
        ("--labels=x", "--labels=x: choose of 0, 1, 2"),
        ("--stage=a", "--stage=a: choose stage2, stage3"),
    ):
        result = subprocess.run([*command, flags], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr
