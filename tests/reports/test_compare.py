"""`keras-resnet compare` of shipped models, which are runs: their own reports' figures, one table, one picture."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from keras_resnet import files, models
from keras_resnet.reports import compare

MODELS = pathlib.Path(__file__).parents[2] / "keras_resnet" / "models"


def run(*arguments, cwd):
    command = [sys.executable, "-X", "importtime", "-m", "keras_resnet.program", "compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_shipped_models_side_by_side(tmp_path):
    result = run(MODELS, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert " tensorflow\n" not in result.stderr  # it was not loaded
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    for path in (models.folder(name) / "report.json" for name in models.names()):
        for split, part in files.read_json(path).items():
            if split != "training":
                assert f" {100 * part['top1_accuracy']:.2f} %" in lines[path.parent.name]
    assert "--depth=8" in lines["cifar10-jpeg-resnet8"] and "--dataset=digits" in lines["digits-resnet8"]
    assert "--dataset=cifar10" not in lines["cifar10-jpeg-resnet8"]  # a default is not told
    with Image.open(tmp_path / "runs" / "compare.png") as picture:
        assert picture.width > 1000


def test_a_run_that_goes_on_says_so_and_a_figure_that_it_lacks_is_left_empty(tmp_path):
    for name in ("digits-resnet8", "cifar10-jpeg-resnet8"):
        shutil.copytree(MODELS / name, tmp_path / name)
    made = files.read_json(tmp_path / "digits-resnet8" / "recipe.json")
    made["recipe"]["epochs"] = 100
    files.write_json(tmp_path / "digits-resnet8" / "recipe.json", made)
    (tmp_path / "digits-resnet8" / "report.json").unlink()
    found, left = compare.read_all([tmp_path])
    assert not left
    line = compare.table(found)[2]
    assert "of 40, 100 planned" in line and line.count("%") == 1


def test_what_chose_the_epoch_is_shown_and_the_median_of_speeds(tmp_path):
    shutil.copytree(MODELS / "digits-resnet8", tmp_path / "run")
    made = files.read_json(tmp_path / "run" / "recipe.json")
    made["recipe"]["best"], made["recipe"]["epochs"] = "loss", 2
    made.pop("chosen", None)  # as runs were written at first
    files.write_json(tmp_path / "run" / "recipe.json", made)
    head, first, second = (tmp_path / "run" / "history.csv").read_text().splitlines()[:3]
    names = head.split(",")
    rows = [dict(zip(names, row.split(","), strict=True)) for row in (first, second)]
    rows[0] |= {"val_loss": "0.5", "val_accuracy": "0.8", "images_per_second": "100"}
    rows[1] |= {"val_loss": "0.9", "val_accuracy": "0.81", "images_per_second": "200"}
    text = "\n".join([head, *(",".join(row[name] for name in names) for row in rows)])
    (tmp_path / "run" / "history.csv").write_text(text + "\n")
    (tmp_path / "run" / "report.json").unlink()
    line = compare.table(compare.read_all([tmp_path / "run"])[0])[1]
    assert "0.5000" in line and "1 of 2" in line and " 150 " in line, line


def test_what_is_no_run_among_others_is_left_out_with_a_line(tmp_path):
    for name in ("a", "b", "begun", "broken"):
        shutil.copytree(MODELS / "digits-resnet8", tmp_path / name)
    (tmp_path / "begun" / "history.csv").unlink()
    (tmp_path / "broken" / "recipe.json").write_text("{")
    (tmp_path / "photos-check").mkdir()
    made = files.read_json(tmp_path / "b" / "recipe.json")
    made["recipe"] |= {"dataset": "photos/", "learning_rate": 100.0, "crop_fraction": 0.875, "weight_decay": 0.5}
    files.write_json(tmp_path / "b" / "recipe.json", made)
    result = run(*sorted(tmp_path.iterdir()), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["a", "b"] and "--learning_rate=100.0" in lines[2]
    assert "different data" in lines[3]
    assert ["photos-check: no run" in lines[4], "begun: no epoch" in lines[5], "recipe.json" in lines[6]] == [True] * 3


def test_a_report_of_another_model_is_not_shown(tmp_path):
    shutil.copytree(MODELS / "digits-resnet8", tmp_path / "a")
    report = files.read_json(tmp_path / "a" / "report.json")
    for weights, shown in ((files.sha256(tmp_path / "a" / "model.keras"), 2), ("0" * 64, 1)):
        report["test"] = {**report["validation"], "model_sha256": weights}
        files.write_json(tmp_path / "a" / "report.json", report)
        assert compare.table([compare.read(tmp_path / "a", "a")])[1].count("%") == shown


@pytest.mark.parametrize(("given", "says"), [("nowhere", "no run is there"), ("empty", "no epoch of this run is done")])
def test_what_is_no_run(tmp_path, given, says):
    (tmp_path / "empty").mkdir()
    shutil.copy(MODELS / "digits-resnet8" / "recipe.json", tmp_path / "empty")
    result = run(tmp_path / given, cwd=tmp_path)
    assert result.returncode == 2 and says in result.stderr.splitlines()[-1]
    assert not (tmp_path / "runs" / "compare.png").exists()
