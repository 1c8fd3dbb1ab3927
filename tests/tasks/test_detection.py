"""A detector learns from a folder of boxes, by the command that everything is trained by."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_resnet import files, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device import drawing
from keras_resnet.device.boxes import Boxes, suppressed
from keras_resnet.device.reader import Reader
from keras_resnet.quantization.saved import load_model
from keras_resnet.tasks import box_metrics

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--image_size=64", "--width=0.125", "--strides=8,16", "--learning_rate=0.003", "--weight_decay=0.01")
FLAGS += ("--augmentation=crop,flip", "--ema=0")


def draw(root, counts):
    """A folder in Pascal VOC's form: bright squares and dark discs on gray noise, drawn by a seed."""
    rng = np.random.default_rng(0)
    number = 0
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).mkdir()
    for split, count in counts.items():
        stems = []
        for _ in range(count):
            pixels, objects = rng.integers(90, 160, (64, 64, 3)), []
            for quarter in rng.permutation(4)[: rng.integers(0, 4)]:
                side, kind = rng.integers(12, 26), ["square", "disc"][rng.integers(2)]
                top, left = rng.integers(0, 32 - side + 1, 2) + 32 * np.array([quarter // 2, quarter % 2])
                y, x = np.mgrid[:side, :side] - (side - 1) / 2
                shape = np.ones((side, side), bool) if kind == "square" else x**2 + y**2 <= (side / 2) ** 2
                pixels[top : top + side, left : left + side][shape] = 240 if kind == "square" else 20
                box = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{left + side}</xmax><ymax>{top + side}</ymax>"
                objects.append(f"<object><name>{kind}</name><bndbox>{box}</bndbox></object>")
            stem, number = f"p{number:03}", number + 1
            Image.fromarray(pixels.astype(np.uint8)).save(root / "JPEGImages" / f"{stem}.png")
            (root / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{''.join(objects)}</annotation>")
            stems.append(stem)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
    return root


def train(folder, run_dir, *flags):
    command = [sys.executable, "train.py", f"--dataset={folder}/", f"--run_dir={run_dir}", *FLAGS, *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("shapes"), {"train": 64, "val": 16})


def test_the_data_of_a_folder(shapes):
    data = load_dataset(f"{shapes}/", image_size=64, strides=(8, 16))
    assert data.contract.output == Boxes(("disc", "square"), ((8, 8, 8), (4, 4, 16)))
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [58, 16, 6]  # a tenth is drawn
    images, targets = next(iter(data.evaluation("validation", 16, pixels=True)))
    for image, target in zip(images.numpy(), targets.numpy(), strict=True):
        for top, left, bottom, right, kind, hard in target[target[:, 4] >= 0]:
            inside = image[int((top + bottom) / 2), int((left + right) / 2)]
            assert (inside == [20, 240][int(kind)]).all() and not hard
    again = load_dataset(f"{shapes}/", image_size=64)
    assert again.fingerprint == data.fingerprint


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    """A finished run, and what its training said."""
    path = tmp_path_factory.mktemp("trained") / "run"
    result = train(shapes, path, "--epochs=12")
    assert result.returncode == 0, result.stderr
    return runs.Run(path), result.stdout


@pytest.fixture(scope="module")
def exported(trained):
    """The folder of its files, int8 by both ways and float, and what the export said."""
    run, _ = trained
    command = [sys.executable, "-m", "export", run.path, "--formats=float32,int8-ptq,int8-qat", "--qat_epochs=2"]
    result = subprocess.run([*command, "--tolerance=10"], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.returncode == 0, result.stderr
    return run.path / "export", result.stdout


@pytest.mark.slow
def test_a_detector_learns_resumes_and_reports(shapes, trained):
    run, said = trained
    report = files.read_json(run.report)["validation"]
    assert report["map50"] > 0.6 and set(report["per_class_map50"]) == {"disc", "square"}
    for name in ("curves", *(f"validation_{of}" for of in ("worst", "precision", "confusion", "reliability"))):
        assert (run.figures / f"{name}.png").stat().st_size > 10_000
    assert "mAP@0.5 " in said and "by class (mAP@0.5)" in said
    again = train(shapes, run.path, "--epochs=12")
    assert again.returncode == 0 and "finished" in again.stdout + again.stderr
    contract = runs.load_contract(run)
    network, data = load_model(run.model), load_dataset(f"{shapes}/", image_size=64, strides=(8, 16))
    images, targets = next(iter(data.evaluation("validation", 16)))
    location, score = (np.asarray(part) for part in network(images))
    found = [contract.output.decode(*one) for one in zip(location, score, strict=True)]
    assert sum(len(boxes) for boxes, *_ in found) >= 0.5 * (targets.numpy()[..., 4] >= 0).sum()


@pytest.mark.slow
def test_files_of_a_detector_are_held_to_it(shapes, trained, exported):
    folder, said = exported
    report = files.read_json(folder / "comparison.json")
    data = load_dataset(f"{shapes}/", image_size=64, strides=(8, 16))
    images, targets = (part.numpy() for part in next(iter(data.evaluation("validation", 16, pixels=True))))
    rows = {row["format"]: row for row in report["formats"]}
    assert report["float_accuracy"] == pytest.approx(files.read_json(trained[0].report)["validation"]["map50"])
    for name, row in rows.items():
        reader = Reader(folder / f"resnet18_detector-{name}.tflite")
        outputs = [reader.dequantize(reader.run(image)) for image in images]
        assert [output.shape for output in outputs[0]] == reader.contract.output.shapes
        found = [reader.contract.output.decode(*one, 0.01) for one in outputs]
        there = [target[target[:, 4] >= 0] for target in targets]
        expected = box_metrics.figures(found, there, reader.contract.labels)["map50"]
        assert row["accuracy"] == pytest.approx(expected) and row["interval"] is None
        assert abs(row["difference"]) < 0.1 and set(row["same_logits"]) == {"location", "score"}
        assert (row["float_tensors"] == 0) == name.startswith("int8")
    assert min(rows["int8-qat"]["same_logits"].values()) > 0.98 and rows["int8-qat"]["agreement"] > 0.9
    assert min(rows["float32"]["same_logits"].values()) == 1.0 == rows["float32"]["agreement"]
    assert "mAP@0.5" in said and "location 1.0000, score" in said
    command = [sys.executable, "-m", "keras_resnet.device", "verify", *sorted(folder.glob("*.tflite"))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0 and result.stdout.count("16/16 identical") == 3, result.stdout + result.stderr
    golden = folder / "resnet18_detector-int8-qat.golden.json"
    saved = files.read_json(golden)
    one = next(one for one in saved["pictures"] if one["answer"]["boxes"])
    one["answer"]["boxes"][0]["left"] += 0.1
    golden.write_text(json.dumps(saved))
    result = subprocess.run([*command[:4], golden.with_name("resnet18_detector-int8-qat.tflite")], capture_output=True)
    assert result.returncode == 1 and b"15/16 identical" in result.stdout


@pytest.mark.slow
def test_boxes_are_answered_on_the_picture_as_it_is(exported, tmp_path):
    """A picture three times as large, stored on its side: boxes come out three times as large, and upright."""
    reader = Reader(exported[0] / "resnet18_detector-int8-qat.tflite")
    (picture,) = (draw(tmp_path / "one", {"train": 1}) / "JPEGImages").glob("*.png")
    image = Image.open(picture)
    large = image.resize((192, 192), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when it is shown
    large.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "large.png", exif=exif)
    (image.resize((192, 192), Image.Resampling.NEAREST)).save(tmp_path / "plain.png")
    boxes = {}
    for name in (picture, tmp_path / "large.png", tmp_path / "plain.png"):
        boxes[name] = reader.predict(name)
    assert len(boxes[picture].labels) > 0
    expected = boxes[tmp_path / "plain.png"]
    assert boxes[tmp_path / "large.png"].as_json() == expected.as_json()
    np.testing.assert_allclose(expected.boxes[0], 3 * boxes[picture].boxes[0], atol=12)
    command = [sys.executable, "-m", "keras_resnet.device", "predict"]
    command += [exported[0] / "resnet18_detector-int8-qat.tflite", tmp_path / "plain.png"]
    said = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=ROOT).stdout)
    assert said["boxes"] == expected.as_json()["boxes"]
    rows = subprocess.run([*command, "--csv"], capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    assert rows[0] == "picture,preprocessing_ms,inference_ms,label,probability,left,top,right,bottom"
    assert [row.split(",")[3] for row in rows[1:]] == expected.labels
    said = subprocess.run([*command, "--coco", f"--draw={tmp_path / 'out.png'}"], capture_output=True, cwd=ROOT).stdout
    results = json.loads(said)
    assert [reader.contract.labels[one["category_id"] - 1] for one in results] == expected.labels
    top, left, bottom, right = expected.boxes[0]
    np.testing.assert_allclose(results[0]["bbox"], [left, top, right - left, bottom - top], atol=0.01)
    drawn = drawing.drawn(Image.open(tmp_path / "plain.png"), expected, reader.contract.labels)
    np.testing.assert_array_equal(Image.open(tmp_path / "out.png"), drawn)
    wrong = subprocess.run([*command, f"--maps={tmp_path}"], capture_output=True, text=True, cwd=ROOT)
    assert wrong.returncode == 2 and "this model answers with boxes, not with masks" in wrong.stderr


@pytest.mark.slow
def test_mediapipe_finds_what_the_reader_finds(mediapipe_python, exported, tmp_path):
    """Fifty pictures. Of a cell MediaPipe knows the likeliest class; of boxes that overlap by 0.3 the likelier one."""
    folder = draw(tmp_path / "fifty", {"train": 50}) / "JPEGImages"
    paths = [exported[0] / f"resnet18_detector-{name}.tflite" for name in ("int8-qat", "int8-ptq", "float32")]
    script = ROOT / "tests" / "export" / "mediapipe_boxes.py"
    command = [mediapipe_python, script, folder, "0.3", *paths]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    for path, answers in zip(paths, json.loads(result.stdout), strict=True):
        reader, boxes = Reader(path), 0
        for picture, theirs in zip(sorted(folder.glob("*.png")), answers, strict=True):
            location, score = reader.dequantize(reader.run(np.asarray(Image.open(picture))))
            assert same(ours_as_mediapipe(reader.contract.output, location, score, 0.3), theirs), picture
            boxes += len(theirs)
        assert boxes > 50


def ours_as_mediapipe(output, location, score, threshold):
    """(name, probability, left, top, width, height) by our decoding, of any class together."""
    best = score.argmax(-1)
    likely = 1 / (1 + np.exp(-score.max(-1).astype(np.float64)))
    order = np.argsort(-likely, kind="stable")
    order = order[likely[order] >= threshold]
    placed = output.placed(location)[order]
    kept = suppressed(placed, np.zeros(len(order)), 0.3)
    ends = np.array([[top, left, bottom, right] for top, left, bottom, right in placed[kept]])
    names = [output.labels[i] for i in best[order][kept]]
    return [
        (name, p, left, top, right - left, bottom - top)
        for name, p, (top, left, bottom, right) in zip(names, likely[order][kept], ends.reshape(-1, 4), strict=True)
    ]


def same(ours, theirs):
    """Whether two lists of boxes are equal; MediaPipe cuts sides to whole pixels."""
    return len(ours) == len(theirs) and all(
        a[0] == b[0] and abs(a[1] - b[1]) < 1e-4 and np.allclose(a[2:], b[2:], atol=1.01)
        for a, b in zip(sorted(ours), sorted(map(tuple, theirs)), strict=True)
    )


@pytest.mark.parametrize(
    "flags",
    [("--mixup=0.2",), pytest.param(("--sampling=balanced",), marks=pytest.mark.slow)],
)
def test_what_boxes_cannot_do(shapes, tmp_path, flags):
    result = train(shapes, tmp_path / "run", *flags, "--epochs=1")
    assert result.returncode == 2 and "it can't be had of pictures with boxes; drop it" in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "run" / "model.keras").exists()


def test_strides_that_cannot_be(shapes, tmp_path):
    result = train(shapes, tmp_path / "run", "--strides=16,8")
    assert result.returncode == 2 and "--strides=16,8: expected some of 4, 8, 16, 32, growing" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--compile=xla",),
        ("--strategy=mirrored", "--logical_cpus=2"),
        ("--precision=mixed_bfloat16", "--ema=0.9", "--augmentation=mosaic"),
    ],
    ids=" ".join,
)
def test_a_detector_learns_on_any_hardware(shapes, tmp_path, flags):
    result = train(shapes, tmp_path / "run", "--epochs=1", *flags)
    assert result.returncode == 0, result.stderr
    row = files.read_json(tmp_path / "run" / "report.json")["validation"]
    assert np.isfinite(row["loss"]) and row["images"] == 16
