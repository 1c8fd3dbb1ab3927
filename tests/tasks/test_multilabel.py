"""Several labels a picture: the figures against a plain second way, and a run from labels.csv to the int8 file."""

import csv
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from processes import finish
from small_sets import make_folder

from keras_resnet import runs, tasks
from keras_resnet.device.contract import Contract, parse
from keras_resnet.device.labels import Labels
from keras_resnet.device.picture import Picture
from keras_resnet.recipes import Recipe
from keras_resnet.tasks import multilabel

NAMES = ("red", "green", "blue", "line")


def average_precision_by_definition(scores, targets):
    """Rise of recall times precision over every threshold, one by one."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        named = scores >= threshold
        hits = (named & targets).sum()
        area += (hits / targets.sum() - recall) * hits / named.sum()
        recall = hits / targets.sum()
    return area


@pytest.mark.parametrize("levels", [3, 40, 100_000])  # many ties, some, none
def test_average_precision_is_its_definition(levels):
    rng = np.random.default_rng(levels)
    for _ in range(20):
        scores, targets = rng.integers(0, levels, 50).astype(np.float32), rng.random(50) < 0.3
        targets[0] = True
        assert multilabel.average_precision(scores, targets) == pytest.approx(
            average_precision_by_definition(scores, targets), abs=1e-12
        )
    assert np.isnan(multilabel.average_precision(scores, np.zeros(50, bool)))
    # Worked by hand: right, wrong, right: (1/2) * 1 + (1/2) * (2/3).
    assert multilabel.average_precision(np.array([3.0, 2.0, 1.0]), np.array([1, 0, 1])) == pytest.approx(5 / 6)


def test_no_threshold_has_a_larger_f1():
    rng = np.random.default_rng(0)
    for levels in (5, 1000):
        probabilities = (1 + rng.integers(0, levels, 200)) / (levels + 1)  # a sigmoid is never 0
        targets = rng.random(200) < 0.2
        chosen = multilabel.best_threshold(probabilities, targets)

        def f1(threshold, p=probabilities, t=targets):
            named = p >= threshold
            return 2 * (named & t).sum() / max(1, named.sum() + t.sum())

        assert 0 < chosen < 1
        assert f1(chosen) == max(f1(t) for t in np.linspace(0, 1, 3001))
    assert multilabel.best_threshold(probabilities, np.zeros(200, bool)) == 0.5
    assert 0 < multilabel.best_threshold(np.ones(3), np.array([True, False, True])) < 1


def test_scores_and_loss_are_keras_own():
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(0, 3, (64, 4)).astype(np.float32), rng.integers(0, 2, (64, 4)).astype(np.uint8)
    contract = Contract(Picture(8, 8, 3), Labels(NAMES, thresholds=(0.5, 0.2, 0.9, 0.5)))
    task = tasks.of(contract)
    assert type(task) is multilabel.MultiLabel
    figures = task.accumulator()
    for part in (slice(0, 40), slice(40, 64)):
        figures.add(logits[part], targets[part])
    bce = keras.losses.BinaryCrossentropy(from_logits=True)(targets.astype("float32"), logits)
    assert figures.scores()["loss"] == pytest.approx(float(bce), rel=1e-5)
    assert np.mean(task.losses(logits, targets)) == pytest.approx(float(bce), rel=1e-5)
    learned = task.loss(Recipe())(keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(logits))
    assert float(np.mean(learned)) == pytest.approx(float(bce), rel=1e-5)
    named = 1 / (1 + np.exp(-logits.astype(np.float64))) >= (0.5, 0.2, 0.9, 0.5)
    assert figures.scores()["label_accuracy"] == (named == targets).mean()
    assert np.array_equal(task.scores(logits, targets), (named == targets).mean(-1))
    row = figures.summary()["per_label"]["green"]
    hits = (named[:, 1] & (targets[:, 1] == 1)).sum()
    assert row["precision"] == pytest.approx(hits / named[:, 1].sum()) and row["threshold"] == 0.2
    assert row["recall"] == pytest.approx(hits / targets[:, 1].sum())
    # Of probabilities instead of logits, the same is said.
    sure = tasks.of(Contract(contract.input, Labels(NAMES, "probabilities", contract.output.thresholds)))
    probabilities = 1 / (1 + np.exp(-logits))
    assert np.array_equal(sure.scores(probabilities, targets), task.scores(logits, targets))
    assert sure.losses(probabilities, targets) == pytest.approx(task.losses(logits, targets), rel=1e-4)


def test_labels_answer_by_their_own_thresholds():
    output = Labels(NAMES, thresholds=(0.9, 0.1, 0.5, 0.5))
    answer = output.answer(np.log([0.8, 0.2, 0.4, 0.6]) - np.log([0.2, 0.8, 0.6, 0.4]), top=3)
    assert answer.labels == ["green", "line"]
    assert [label for label, _ in answer.top] == ["red", "line", "blue"]
    assert answer.as_json()["labels"] == ["green", "line"]
    assert [line[0] for line in answer.as_lines()] == [" ", "✓", " ", "✓"]
    assert answer.as_lines()[3] == "✓ green"  # likelier than its threshold, though the three others are likelier
    assert len(output.columns(9)) == len(output.answer(np.zeros(4), 9).as_rows()[0]) == 9
    for wrong in ((0.5,), (0.5, 0.5, 0.5, 1.0)):
        with pytest.raises(ValueError, match="thresholds"):
            Labels(NAMES, thresholds=wrong)
    contract = Contract(Picture(8, 8, 3), output)
    assert parse(json.loads(json.dumps(contract.as_json()))) == contract
    assert parse(contract.as_json()).output.thresholds == output.thresholds


def write_set(root, count=240):
    """Pictures with squares of colours and a white line, and `labels.csv`."""
    rng = np.random.default_rng(0)
    root.mkdir()
    rows = []
    for i in range(count):
        there = rng.random(4) < (0.5, 0.4, 0.3, 0.1)
        image = rng.integers(0, 60, (16, 16, 3)).astype(np.uint8)
        for k in np.flatnonzero(there[:3]):
            y, x = rng.integers(0, 9, 2)
            image[y : y + 7, x : x + 7, k] = 230
        if there[3]:
            image[8:10] = 255
        Image.fromarray(image).save(root / f"{i}.png")
        rows.append([f"{i}.png", " ".join(np.array(NAMES)[there])])
    with open(root / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["picture", "labels"], *rows])


@pytest.mark.slow
def test_from_labels_csv_to_an_int8_file(tmp_path):
    write_set(tmp_path / "set")
    run = tmp_path / "run"
    flags = [f"--dataset={tmp_path}/set/", "--depth=8", "--width=0.5", "--image_size=16", "--crop_fraction=1"]
    flags += ["--epochs=12", "--batch_size=16", "--learning_rate=0.1", "--schedule=one_cycle", "--augmentation=flip"]
    command = [sys.executable, "train.py", *flags, "--stem=small", "--label_smoothing=0", f"--run_dir={run}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "mean average precision" in result.stdout and "label_accuracy" in result.stdout
    assert "/ test, 4 labels\n" in result.stdout
    report = json.loads((run / "report.json").read_text())
    assert report["training"]["best"] == "mean_average_precision"
    assert report["validation"]["mean_average_precision"] > 0.9
    contract = runs.load_contract(runs.Run(run))
    assert sorted(contract.labels) == sorted(NAMES) and len(contract.output.thresholds) == 4
    thresholds = {name: row["threshold"] for name, row in report["validation"]["per_label"].items()}
    assert tuple(thresholds[name] for name in contract.labels) == contract.output.thresholds
    assert {p.name for p in (run / "figures").iterdir()} == {
        *("curves.png", "validation_labels.png", "validation_mistakes.png")
    }
    again = subprocess.run(command, capture_output=True, text=True)  # the thresholds make it no other run
    assert again.returncode == 0 and "is finished" in again.stdout
    with pytest.raises(ValueError, match="this data has no such figure; choose auto, mean_average_precision"):
        tasks.of(contract).best("accuracy")
    command = [sys.executable, "-m", "export", str(run), "--formats=int8-ptq", "--output=probabilities"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((run / "export" / "comparison.json").read_text())["formats"]
    assert row["agreement"] > 0.8 and row["float_tensors"] == 0
    picture = tmp_path / "set" / "0.png"
    command = [sys.executable, "-m", "keras_resnet.device", "predict", run / "export" / "resnet8-int8-ptq.tflite"]
    result = subprocess.run([*command, picture, "--json"], capture_output=True, text=True)
    answer = json.loads(result.stdout)
    sure = {entry["label"]: entry["probability"] for entry in answer["top"]}
    assert answer["labels"] == [n for n in contract.labels if sure[n] >= thresholds[n]]


@pytest.mark.slow
def test_from_classes_to_labels_of_the_same_backbone_and_back(tmp_path):
    """Two probes; the classes of the second have the names of the labels, and are no labels for it."""
    write_set(tmp_path / "set")
    make_folder(tmp_path / "photos", NAMES, 20, (32, 32))  # red and line have one tint
    several, classes = tmp_path / "several", tmp_path / "classes"
    flags = ("--init=cifar10-jpeg-resnet8", f"--dataset={tmp_path}/set/", "--recipe=probe")
    assert "new: logits, 4 answers for its 10 of other labels, fitted" in finish(several, *flags, recipe=())
    report = json.loads((several / "report.json").read_text())
    assert report["validation"]["mean_average_precision"] > 0.6  # by chance 0.33
    flags = (f"--init={several}", f"--dataset={tmp_path}/photos/", "--recipe=probe")
    assert "new: logits, 4 answers for its 4 of other labels, fitted" in finish(classes, *flags, recipe=())
    assert json.loads((classes / "report.json").read_text())["validation"]["top1_accuracy"] >= 0.6
    one, other = (keras.models.load_model(run / "model.keras") for run in (several, classes))
    for ours, theirs in zip(one.weights[:-2], other.weights[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


CONTRACT = Contract(Picture(8, 8, 3), Labels(NAMES))


def test_a_student_learns_its_teachers_probabilities_unsmoothed():
    task, logits = tasks.of(CONTRACT), np.array([[2.0, -1.0, 0.5, 0.0]], np.float32)
    taught = task.taught(keras.ops.convert_to_tensor(logits))
    assert np.allclose(taught, 1 / (1 + np.exp(-logits)), atol=1e-6)
    learn = {smoothing: task.loss(Recipe(label_smoothing=smoothing)) for smoothing in (0.0, 0.2)}
    hard = keras.ops.convert_to_tensor(np.array([[1, 0, 1, 0]], np.uint8))
    # Binary smoothing: 1 becomes 0.9, 0 becomes 0.1.
    soft = keras.ops.convert_to_tensor(np.array([[0.9, 0.1, 0.9, 0.1]], np.float32))
    assert float(learn[0.2](hard, logits)[0]) == pytest.approx(float(learn[0.0](soft, logits)[0]), rel=1e-6)
    assert float(learn[0.2](hard, logits)[0]) != pytest.approx(float(learn[0.0](hard, logits)[0]), rel=1e-3)


def test_figures_leave_out_labels_that_no_picture_has():
    targets = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    logits = np.where(targets, 5.0, -5.0).astype(np.float32)
    logits[0, 2] = 5.0  # named, and on no picture
    logits[:2, 1] = -4.0  # there, and never named
    figures = tasks.of(CONTRACT).accumulator()
    figures.add(logits, targets)
    assert figures.scores()["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert figures.scores()["mean_average_precision"] == 1.0
    assert figures.warning(NAMES) == "never named: green (1 of 4 labels)"
    row = figures.summary()["per_label"]["line"]
    assert row["images"] == 0 and row["recall"] is None and row["average_precision"] is None
    task = tasks.of(CONTRACT)
    assert task.groups(targets).tolist() == [0, 1, 4]
    other = logits.copy()
    other[1, 3] = 5.0
    assert task.agreement(logits, other)[0].tolist() == [1.0, 0.0, 1.0]


def test_a_probability_at_the_threshold_counts_and_sure_ones_are_told_apart():
    assert Labels(NAMES, thresholds=(0.25,) * 4).there(np.array([0.25, 0.2, 0.3, 0.0])).tolist() == [
        True,
        False,
        True,
        False,
    ]
    probabilities = 1 / (1 + np.exp(-np.array([20.0, 18.0, 17.0, -20.0])))
    chosen = multilabel.best_threshold(probabilities, np.array([True, True, False, False]))
    assert (probabilities >= chosen).tolist() == [True, True, False, False]
