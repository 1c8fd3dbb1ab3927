"""A network learns to read: from a table to an int8 file that is given text files."""

import json
import pathlib

import numpy as np
import pytest
from processes import python as run
from small_sets import write_reviews

from keras_resnet import api, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.reader import Reader

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = (
    "--pairs=64",
    "--width=0.25",
    "--epochs=20",
    "--batch_size=16",
    "--tokens=12",
    "--learning_rate=0.005",
    "--dropout=0",
    "--pieces=64",
    "--augmentation=none",
)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return write_reviews(tmp_path_factory.mktemp("reviews"), {"train": 400, "val": 40, "test": 40})


@pytest.fixture(scope="module")
def finished(reviews, tmp_path_factory):
    """A finished run and its export."""
    run_dir = tmp_path_factory.mktemp("reading") / "run"
    assert "top-1 accuracy" in run("train.py", f"--dataset={reviews}/", f"--run_dir={run_dir}", *FLAGS)
    run("-m", "export", run_dir, "--formats=float32,int8-ptq,int8-qat", "--qat_epochs=1")
    return run_dir


def test_the_file_says_what_the_network_says(reviews, finished):
    data, model = load_dataset(f"{reviews}/", pairs=64, pieces=64, tokens=12), api.load(finished)
    assert runs.load_contract(runs.Run(finished)) == data.contract == model.contract
    rows = {row["format"]: row for row in json.loads((finished / "export" / "comparison.json").read_text())["formats"]}
    assert rows["float32"]["accuracy"] == 1.0 and rows["int8-qat"]["accuracy"] >= 0.95
    assert rows["int8-qat"]["float_tensors"] == rows["int8-ptq"]["float_tensors"] == 0
    assert (finished / "figures" / "validation_mistakes.png").exists()
    reader_path = finished / "export" / "sentences8-float32.tflite"
    reader = Reader(reader_path)
    shown = model.predict_text("the film is great")
    assert shown.top[0][0] == "good" and api.load(reader_path).predict_text("the film is great").top[0][0] == "good"
    for ids in data.validation.images:
        np.testing.assert_allclose(reader.dequantize(reader.run(ids)), model.scores(ids), atol=1e-4)


def test_a_device_reads(reviews, finished, tmp_path):
    files = sorted((finished / "export").glob("*.tflite"))
    assert run("-m", "keras_resnet.device", "verify", *files).count("16/16 identical") == 3
    lines = [line.split("\t") for line in (reviews / "test.tsv").read_text().splitlines()]
    for i, (label, text) in enumerate(lines):
        (tmp_path / f"{i:02}_{label}.txt").write_text(text, encoding="utf-8")
    said = run("-m", "keras_resnet.device", "predict", files[1], tmp_path, "--json").splitlines()
    answers = {pathlib.Path(one["text"]).stem: one["top"][0]["label"] for one in map(json.loads, said)}
    assert len(answers) == 40 and np.mean([name.endswith(label) for name, label in answers.items()]) > 0.9
    one = run(
        "-m", "keras_resnet.device", "predict", files[1], "--text=the film is great", "--text=not great", "--json"
    )
    good, bad = (json.loads(line) for line in one.splitlines())
    assert (good["text"], good["top"][0]["label"], bad["top"][0]["label"]) == ("the film is great", "good", "bad")
    measured = json.loads(run("-m", "keras_resnet.device", "benchmark", files[0], "--seconds=0.1").splitlines()[-1])
    assert measured["preprocessing_ms"] > 0
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "no text in UTF-8" in run("-m", "keras_resnet.device", "predict", files[0], tmp_path / "latin.txt", status=1)
    for flags in (["--draw=x"], ["--coco"]):
        run("-m", "keras_resnet.device", "predict", files[0], tmp_path, *flags, status=2)


@pytest.mark.parametrize(
    ("flag", "message"),
    (
        ("--augmentation=flip", "these are texts; give forget, or none"),
        ("--mixup=0.2", "--mixup=0.2: it can't be had of texts"),
        ("--image_size=32", "--image_size=32: it is of pictures, "),
        ("--bands=20", "--bands=20: it is of recordings, "),
        ("--head_learning_rate=0.1", "--head_learning_rate=0.1: it can't be had of texts"),
        ("--depth=50", "of texts give 6n+2, as 8 or 14"),
        ("--loss=lovasz", "these texts have classes"),
        ("--augmentation=mosaic", "--augmentation=mosaic: mosaic is of boxes and masks; drop it"),
        ("--strides=4", "--strides=4: it is of boxes and masks; drop it"),
    ),
)
def test_what_is_of_pictures_is_refused(reviews, tmp_path, flag, message):
    assert message in run("train.py", f"--dataset={reviews}/", f"--run_dir={tmp_path / 'run'}", flag, status=2)
    assert not (tmp_path / "run").exists()
