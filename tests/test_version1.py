"""What version 0.1.0 wrote is still read: a run on the digits, its int8-aware run, and its exported file."""

import dataclasses
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import files, recipes, runs
from keras_resnet.data.decoding import normalize
from keras_resnet.data.loading import load_data
from keras_resnet.device import verify
from keras_resnet.device.contract import Contract
from keras_resnet.device.reader import Reader
from keras_resnet.history import read_history
from keras_resnet.quantization.fake_quantization import FakeQuantize
from keras_resnet.quantization.saved import load_model
from keras_resnet.reports import evaluation
from keras_resnet.training import starting

ROOT = pathlib.Path(__file__).parents[1]
WRITTEN = ROOT / "tests" / "files" / "version1"
FILE = "resnet8-int8-qat.tflite"
# With which it was trained.
FLAGS = ("--dataset=digits", "--width=0.25", "--epochs=3")


@pytest.fixture
def old(tmp_path):
    """A copy of the run, elsewhere than where it was trained."""
    return shutil.copytree(WRITTEN, tmp_path / "old")


def command(*words):
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=ROOT, timeout=500)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_run_is_known_and_finished():
    run, qat = runs.Run(WRITTEN), runs.Run(WRITTEN / "qat")
    recipe = runs.load_recipe(run)
    assert (recipe.augmentations, recipe.best, recipe.width, recipe.epochs) == (("shift",), "accuracy", 0.25, 3)
    assert runs.load_recipe(qat).quantize == "int8"
    assert runs.is_finished(run) and runs.is_finished(qat)
    assert "version" not in files.read_json(run.contract)
    data = load_data(recipe, run)  # held to its contract, its sizes and its fingerprints
    assert runs.load_contract(run) == runs.load_contract(qat) == data.contract
    assert data.contract.labels == tuple("0123456789") and data.contract.shape == (32, 32, 3)


def test_its_models_load_and_may_be_started_from():
    run, qat = runs.Run(WRITTEN), runs.Run(WRITTEN / "qat")
    data = load_data(runs.load_recipe(run), run)
    pictures = normalize(data.validation.images)
    for model, history in ((load_model(run.model), run.history), (load_model(qat.model), qat.history)):
        hits = model.predict(pictures, verbose=0).argmax(-1) == data.validation.labels
        best = max(row["val_accuracy"] for row in read_history(history))
        assert hits.mean() == pytest.approx(best, abs=1e-6)
    assert any(isinstance(layer, FakeQuantize) for layer in model.layers)
    for flag in ("init", "teacher"):
        assert starting.finished_model(flag, WRITTEN, data.contract).count_params() > 5000


def test_its_report_is_made_again(old):
    before = files.read_json(old / "report.json")
    assert evaluation.has_report(old, "validation")
    result = command("-m", "keras_resnet.evaluation", old)
    assert result.returncode == 0, result.stderr
    after = files.read_json(old / "report.json")
    assert after["validation"].pop("asked") == before["validation"].pop("asked") + 1
    for volatile in ("date", "loss", "expected_calibration_error"):
        if volatile != "date":
            assert after["validation"][volatile] == pytest.approx(before["validation"][volatile], rel=1e-4)
        del after["validation"][volatile], before["validation"][volatile]
    assert after == before
    for name in ("curves", "validation_confusion", "validation_reliability", "validation_mistakes"):
        assert (old / "figures" / f"{name}.png").exists()


@pytest.mark.parametrize("more", [(), ("--best=accuracy",), ("--augmentation=shift",), ("--best=auto",)])
def test_the_same_command_says_that_it_is_finished(old, more):
    before = content(old)
    result = command("train.py", *FLAGS, f"--run_dir={old}", *more)
    assert result.returncode == 0, result.stderr
    assert f"{old}: this run is finished; nothing to train" in result.stdout
    assert "its report on the validation split is in" in result.stdout
    assert content(old) == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--best=loss", "--best=loss (it has accuracy)"),
        ("--augmentation=crop_flip", "--augmentation=crop,flip (it has shift)"),
        ("--epochs=2", "--epochs=2 (it has 3)"),
    ],
)
def test_another_command_is_refused_with_the_difference(old, more, says):
    refused(old, more, f"another run is there: {says}; give its flags")


def test_without_checkpoints_it_is_not_extended(old):
    refused(old, "--epochs=4", f"are gone; to train its model further: --init={old}")


def refused(old, more, says):
    before = content(old)
    result = command("train.py", *FLAGS, f"--run_dir={old}", more)
    assert result.returncode == 2
    assert f"--run_dir={old}: " in result.stderr and says in result.stderr
    assert content(old) == before


def test_its_int8_aware_run_is_finished_wherever_its_origin_lies(old):
    before = content(old)
    flags = (f"--init={old}", "--quantize=int8", "--epochs=1", f"--run_dir={old / 'qat'}")
    run, recipe = runs.Run(old / "qat"), recipes.continued(runs.load_recipe(runs.Run(old)), str(old), "int8")
    runs.check(run, dataclasses.replace(recipe, epochs=1))
    result = command("train.py", *flags)
    assert result.returncode == 0, result.stderr
    assert "this run is finished; nothing to train" in result.stdout
    after = content(old)
    assert {path: after[path] for path in before} == before


def test_it_is_exported_to_the_same_answers(old):
    golden = verify.load_golden(old / "export" / FILE)
    result = command("-m", "export", old, "--formats=int8-qat,float32", "--tolerance=3")
    assert result.returncode == 0, result.stderr
    reader = Reader(old / "export" / FILE)
    assert reader.contract == Contract.load(old / "contract.json")
    for png, given, expected, _ in golden:
        same, _, differences = verify.compare(reader, png, given, expected)
        assert same and not differences.any()
    report = files.read_json(old / "export" / "comparison.json")
    assert [row["format"] for row in report["formats"]] == ["int8-qat", "float32"]
    assert min(row["agreement"] for row in report["formats"]) > 0.95


def test_its_file_answers_its_golden_pictures():
    reader, golden = Reader(WRITTEN / "export" / FILE), verify.load_golden(WRITTEN / "export" / FILE)
    assert len(golden) == 16
    for png, given, expected, _ in golden:
        same, _, differences = verify.compare(reader, png, given, expected)
        assert same and not differences.any()
    result = command("-m", "keras_resnet.device", "verify", WRITTEN / "export" / FILE)
    assert result.returncode == 0, result.stderr
    assert f"{FILE}: 16/16 identical" in result.stdout


def test_names_of_its_modules():
    from keras_resnet import preprocessing

    assert preprocessing.ImageContract is keras_resnet.ImageContract
    contract = preprocessing.ImageContract(24, 32, 1, ("a", "b"), crop_fraction=0.875)
    assert (contract.shape, contract.labels) == ((24, 32, 1), ("a", "b"))
    assert contract.input.crop_fraction == 0.875
    assert contract.picture(Image.new("RGB", (100, 90))).shape == (24, 32, 1)
    assert preprocessing.ImageContract.load(WRITTEN / "contract.json").shape == (32, 32, 3)
    np.testing.assert_array_equal(preprocessing.normalize(np.uint8([0, 128, 255])), np.float32([-1, 0, 127 / 128]))
    for name in ("ResNet", "resnet8", "Layout", "load_dataset", "load_pretrained", "Recipe", "RECIPES"):
        assert hasattr(keras_resnet, name)


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("none", ()),
        ("flip", ("flip",)),
        ("crop", ("crop",)),
        ("crop_flip", ("crop", "flip")),
        ("crop_flip_cutout", ("crop", "flip", "cutout")),
        ("shift", ("shift",)),
        ("resized_crop", ("resized_crop",)),
        ("resized_crop_flip", ("resized_crop", "flip")),
    ],
)
def test_its_augmentations(said, steps):
    recipe = recipes.Recipe(augmentation=said)
    recipe.check()
    assert recipe.augmentations == steps
    assert recipe == recipes.Recipe(augmentation=",".join(steps) or "none")
    assert recipes.Recipe(augmentation=recipe.augmentation).differences({"augmentation": said}) == []
