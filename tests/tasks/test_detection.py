"""A detector learns from a folder of boxes, by the command that everything is trained by."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_resnet import files, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.boxes import Boxes
from keras_resnet.quantization.saved import load_model

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--image_size=64", "--crop_fraction=1", "--depth=18", "--width=0.125", "--stem=imagenet", "--strides=8,16")
FLAGS += (
    "--batch_size=8",
    "--optimizer=adamw",
    "--learning_rate=0.003",
    "--weight_decay=0.01",
    "--augmentation=crop,flip",
)


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


@pytest.mark.slow
def test_a_detector_learns_resumes_and_reports(shapes, tmp_path):
    result = train(shapes, tmp_path / "run", "--epochs=12")
    assert result.returncode == 0, result.stderr
    run = runs.Run(tmp_path / "run")
    report = files.read_json(run.report)["validation"]
    assert report["map50"] > 0.6 and set(report["per_class_map50"]) == {"disc", "square"}
    for name in ("curves", "validation_worst", "validation_precision"):
        assert (run.figures / f"{name}.png").stat().st_size > 10_000
    assert "mAP@0.5 " in result.stdout and "by class (mAP@0.5)" in result.stdout
    again = train(shapes, tmp_path / "run", "--epochs=12")
    assert again.returncode == 0 and "finished" in again.stdout + again.stderr
    contract = runs.load_contract(run)
    network, data = load_model(run.model), load_dataset(f"{shapes}/", image_size=64, strides=(8, 16))
    images, targets = next(iter(data.evaluation("validation", 16)))
    location, score = (np.asarray(part) for part in network(images))
    found = [contract.output.decode(*one) for one in zip(location, score, strict=True)]
    assert sum(len(boxes) for boxes, *_ in found) >= 0.5 * (targets.numpy()[..., 4] >= 0).sum()
    result = subprocess.run([sys.executable, "-m", "export", run.path], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2 and "it finds boxes, of which no files are made yet" in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--mixup=0.2",),
        pytest.param(("--quantize=int8", "--init=digits-resnet8"), marks=pytest.mark.slow),
        pytest.param(("--sampling=balanced",), marks=pytest.mark.slow),
    ],
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
    [("--compile=xla",), ("--strategy=mirrored", "--logical_cpus=2"), ("--precision=mixed_bfloat16", "--ema=0.9")],
    ids=" ".join,
)
def test_a_detector_learns_on_any_hardware(shapes, tmp_path, flags):
    result = train(shapes, tmp_path / "run", "--epochs=1", *flags)
    assert result.returncode == 0, result.stderr
    row = files.read_json(tmp_path / "run" / "report.json")["validation"]
    assert np.isfinite(row["loss"]) and row["images"] == 16
