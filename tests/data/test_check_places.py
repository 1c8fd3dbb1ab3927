"""`keras-resnet check` of boxes and masks: counts, sizes, what is left out, sheets with what lies where."""

import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

from keras_resnet.data import check_places
from keras_resnet.device import drawing

ROOT = pathlib.Path(__file__).parents[2]


def check(folder, sheets):
    command = [sys.executable, "-m", "keras_resnet.program", "check", folder, f"--sheets={sheets}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def coco(root):
    """Three pictures: a crowd; a flat box and one that reaches over the edge; nothing."""
    boxes = {0: [(1, [10, 20, 30, 40], 0), (2, [50, 10, 100, 100], 1)], 2: []}
    boxes[1] = [(2, [5, 5, 0, 9], 0), (2, [90, 0, 90, 99], 0)]
    (root / "train").mkdir(parents=True)
    for i in boxes:
        pixels = np.random.default_rng(i).integers(60, 90, (120, 160, 3), np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{i}.png")
    annotations = [
        {"id": 10 * i + n, "image_id": i, "category_id": kind, "bbox": box, "iscrowd": hard}
        for i, of in boxes.items()
        for n, (kind, box, hard) in enumerate(of)
    ]
    images = [{"id": i, "file_name": f"{i}.png", "width": 160, "height": 120} for i in boxes]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    saved = {"images": images, "annotations": annotations, "categories": categories}
    (root / "train" / "_annotations.coco.json").write_text(json.dumps(saved))


def test_boxes_are_counted_and_drawn(tmp_path):
    coco(tmp_path / "data")
    result = check(tmp_path / "data", tmp_path / "sheets")
    assert result.returncode == 0, result.stderr
    for said in (
        "3 pictures, 2 classes of boxes",
        "3 boxes: cat 1, dog 2",
        "0 below 32, 2 between, 1 from 96 on",  # 30x40, 70x99 within the picture, 100x100
        "pictures without a box: 1; most on one: 2; hard ones: 1",
        "1 box, of which each has no area: ",
        "1 box, of which each reaches over the picture's edge and is cut there: ",
        "no duplicates",
        f"train --dataset={tmp_path / 'data'}/ --image_size=120x160 --batch_size=1 --learning_rate=0.00013",
    ):
        assert said in result.stdout, result.stdout
    assert "refuses" not in result.stdout
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["000-cat.png", "001-dog.png"]
    shown = np.asarray(Image.open(tmp_path / "sheets" / "000-cat.png").convert("RGB")).reshape(-1, 3)
    for kind in range(2):  # the cat's picture has a dog, too
        assert (np.abs(shown.astype(int) - drawing.PALETTE[kind]).max(-1) < 8).sum() > 50
    places = check_places.look_for(tmp_path / "data")
    pixels = np.asarray(places.drawn(str(tmp_path / "data" / "train" / "0.png")))
    assert tuple(pixels[60, 25]) == drawing.PALETTE[0] and tuple(pixels[50, 20]) not in drawing.PALETTE


def test_sizes_and_batches_that_suit_are_those_training_takes(tmp_path):
    for i in range(9):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "trainannot").mkdir(exist_ok=True)
        Image.new("RGB", (2000, 40)).save(tmp_path / "train" / f"{i}.png")
        Image.new("L", (2000, 40)).save(tmp_path / "trainannot" / f"{i}.png")
    (tmp_path / "classes.txt").write_text("ground\n")
    # Of nine pictures seven are left when test and validation are drawn.
    command = f"train --dataset={tmp_path}/ --image_size=33x641 --batch_size=4 --learning_rate=0.01 "
    assert command in check(tmp_path, tmp_path.parent / "sheets").stdout
    for i in range(9, 12):
        Image.new("RGB", (40, 40)).save(tmp_path / "train" / f"{i}.png")
        Image.new("L", (40, 40)).save(tmp_path / "trainannot" / f"{i}.png")
    assert f"train --dataset={tmp_path}/ --image_size=33x641  " in check(tmp_path, tmp_path.parent / "sheets").stdout


def test_masks_are_counted_and_drawn(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind / "train").mkdir(parents=True)
    mask = np.zeros((40, 60), np.uint8)
    mask[:10], mask[30:] = 1, 255
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / "train" / f"{i}.png")
        Image.fromarray(mask * (i == 0)).save(tmp_path / "data" / "masks" / "train" / f"{i}.png")
    (tmp_path / "data" / "classes.txt").write_text("ground\nsky\n")
    result = check(tmp_path / "data", tmp_path / "sheets")
    assert result.returncode == 0, result.stderr
    assert "2 pictures, 2 classes of pixels" in result.stdout and "--image_size=41x61 " in result.stdout
    assert "of all pixels: ground 75.0 %, sky 12.5 %" in result.stdout and "without a class: 12.5 %" in result.stdout
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["000-ground.png", "001-sky.png"]
    (tmp_path / "data" / "classes.txt").write_text("ignore\nvoid\n")
    assert "first pictures to learn from; none of train shows" in check(tmp_path / "data", tmp_path / "sheets").stdout
    (tmp_path / "data" / "classes.txt").write_text("ground\nsky\n")
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind / "train").rename(tmp_path / "data" / kind / "test")
    assert "first pictures to learn from; none of train" in check(tmp_path / "data", tmp_path / "sheets").stdout
    (tmp_path / "data" / "classes.txt").write_text("ground\n")
    result = check(tmp_path / "data", tmp_path / "sheets")
    assert result.returncode == 2 and "a pixel is 1, which nothing names" in result.stderr
