"""A report made from a run's folder alone, and its pictures read back."""

import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet import evaluation, events, figures, files, preprocessing, recipes, training
from keras_resnet.datasets import load_dataset

NAMES = tuple("0123456789")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluation") / "run"
    recipe = recipes.Recipe(dataset="digits", depth=8, width=0.5, epochs=2, batch_size=64, augmentation="shift")
    assert training.train(recipe, path)
    evaluation.report(path)
    return path


def test_report_equals_keras(run_dir):
    model, data = keras.models.load_model(run_dir / "model.keras"), load_dataset("digits")
    model.compile(loss=training.cross_entropy(), metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])
    expected = model.evaluate(data.evaluation("validation"), verbose=0, return_dict=True)
    result = files.read_json(run_dir / "report.json")["validation"]
    assert result["top1_accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert result["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert sum(map(sum, result["confusion"])) == result["images"] == 287


def test_made_again_by_the_command(run_dir):
    before = files.read_json(run_dir / "report.json")
    shutil.rmtree(run_dir / "figures")
    command = [sys.executable, "-m", "keras_resnet.evaluation", str(run_dir)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = files.read_json(run_dir / "report.json")
    assert f"{100 * after['validation']['top1_accuracy']:.2f} %" in output
    assert after["validation"].pop("asked") == before["validation"].pop("asked") + 1
    assert after == before
    for name in ("curves", "validation_confusion", "validation_reliability", "validation_mistakes"):
        with Image.open(run_dir / "figures" / f"{name}.png") as picture:
            assert picture.width > 400
            assert np.asarray(picture.convert("L")).std() > 10  # something is drawn


def test_the_test_split_is_counted(run_dir, capsys):
    first = evaluation.report(run_dir, "test")
    assert (first["test"]["asked"], first["test"]["images"]) == (1, 359)
    assert "choose on validation" not in capsys.readouterr().out
    assert evaluation.report(run_dir, "test")["test"]["asked"] == 2
    assert "has been asked for 2 times: choose on validation" in capsys.readouterr().out


def test_a_folder_without_a_run(tmp_path):
    command = [sys.executable, "-m", "keras_resnet.evaluation"]
    result = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 2
    assert "no run is there" in result.stderr
    assert "Traceback" not in result.stderr
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode and "type python -m keras_resnet.evaluation runs/NAME" in result.stderr


class WorstTest(tf.test.TestCase):
    def test_mistakes_are_sorted_by_loss(self):
        # A "network" whose logits are its input's first pixels; the label is always 0.
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (300, 1, 10, 3), np.uint8)
        image = keras.Input((1, 10, 3))
        model = keras.Model(image, keras.layers.Reshape((10,))(image[..., 0]))
        batches = tf.data.Dataset.from_tensor_slices((pixels, np.zeros(300, np.int64))).batch(64)
        batches = batches.map(lambda x, y: (preprocessing.normalize(x), y))
        result, logits, _, worst = evaluation.evaluate(model, batches, NAMES)
        self.assertAllEqual(logits, preprocessing.normalize(pixels[:, 0, :, 0]))
        self.assertEqual(result["top1_accuracy"], float((logits.argmax(-1) == 0).mean()))
        self.assertLen(worst, evaluation.WORST)
        losses = [np.log(np.exp(x).sum()) - x[0] for x in logits if x.argmax()]
        expected = np.sort(losses)[::-1][: evaluation.WORST]
        found = [np.log(np.exp(x).sum()) - x[0] for x in (preprocessing.normalize(w["image"][0, :, 0]) for w in worst)]
        self.assertAllClose(found, expected, 1e-5, 1e-5)


def test_figures_of_many_classes_and_of_no_mistakes(tmp_path):
    matrix = np.eye(100, dtype=int) * 7
    path = pathlib.Path(tmp_path) / "many.png"
    figures.save(figures.confusion(matrix, [str(i) for i in range(100)], "a hundred classes"), path)
    figures.save(figures.mistakes([], NAMES, "nothing wrong"), tmp_path / "none.png")
    assert path.stat().st_size > 5000 and (tmp_path / "none.png").stat().st_size > 1000
    assert figures.pixels(figures.confusion(matrix, [""] * 100, "")).shape[2] == 3


def test_grid_of_pictures():
    images = preprocessing.normalize(
        np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    )
    tiles = events.grid(images)
    assert tiles.shape == (4, 24, 3)
    np.testing.assert_array_equal(tiles[2, 3], [9, 9, 9])
