"""Boxes of three formats: the same form inside, what is cut, what is left out, what is refused."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_sets import KrBoxed

from keras_resnet.data import DataError, annotated, augmentation, boxes, coco_json, sources, voc, yolo_txt
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.picture import Picture

CLASSES = ("cell", "plate")
WIDTH, HEIGHT = 40, 30
# split, file, (class, top, left, bottom, right, hard) of each box.
PICTURES = (
    ("train", "a.png", [("plate", 3, 5, 13, 25, False), ("cell", 0, 0, 30, 40, True)]),
    ("train", "b.png", []),
    ("validation", "c.png", [("cell", 6, 8, 9, 16, False)]),
)


def picture(path, size=(WIDTH, HEIGHT), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


def xml(objects, size=(WIDTH, HEIGHT)):
    lines = [
        f"<object><name>{name}</name><difficult>{int(hard)}</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, top, left, bottom, right, hard in objects
    ]
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{size}{''.join(lines)}</annotation>"


def as_voc(root):
    lists = {}
    for split, name, objects in PICTURES:
        picture(root / "JPEGImages" / name)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / name).with_suffix(".xml").write_text(xml(objects))
        lists.setdefault({"validation": "val"}.get(split, split), []).append(name.removesuffix(".png"))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, stems in lists.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
        (root / "ImageSets" / "Main" / f"cell_{split}.txt").write_text("nonsense -1")
    (root / "ImageSets" / "Main" / "trainval.txt").write_text("a\nb\nc")
    return voc.read(root)


def as_coco(root):
    for split in ("train", "validation"):
        images, annotations = [], []
        for number, (_, name, objects) in enumerate([one for one in PICTURES if one[0] == split], 7):
            picture(root / split / name)
            images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
            for kind, top, left, bottom, right, hard in objects:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": number,
                        "category_id": 3 + 2 * CLASSES.index(kind),
                        "bbox": [left, top, right - left, bottom - top],
                        "iscrowd": int(hard),
                    }
                )
        categories = [{"id": 3 + 2 * i, "name": name, "supercategory": "blood"} for i, name in enumerate(CLASSES)]
        categories.append({"id": 0, "name": "blood", "supercategory": "none"})  # as Roboflow's files have
        saved = {"images": images, "annotations": annotations, "categories": categories[::-1]}
        (root / split / "_annotations.coco.json").write_text(json.dumps(saved))
    return coco_json.read(root)


def as_yolo(root):
    for split, name, objects in PICTURES:
        picture(root / split / "images" / name)
        lines = [
            f"{CLASSES.index(kind)} {(left + right) / 2 / WIDTH} {(top + bottom) / 2 / HEIGHT} "
            f"{(right - left) / WIDTH} {(bottom - top) / HEIGHT}"
            for kind, top, left, bottom, right, _ in objects
        ]
        if lines:
            file = (root / split / "labels" / name).with_suffix(".txt")
            file.parent.mkdir(exist_ok=True)
            file.write_text("\n".join(lines) + "\n")
    (root / "val.txt").write_text("./validation/images/c.png\n")
    (root / "data.yaml").write_text("train: ../train/images\nval: val.txt\nnames: {0: cell, 1: plate}\n")
    return yolo_txt.read(root)


@pytest.mark.parametrize("form", [as_voc, as_coco, as_yolo])
def test_the_same_boxes_in_every_form(tmp_path, form):
    names, splits = form(tmp_path)
    assert names == CLASSES and sorted(splits) == ["train", "validation"]
    for split, raws in splits.items():
        found, told = boxes.settle(raws, names)
        expected = [objects for of, _, objects in PICTURES if of == split]
        assert [one.path[-5:] for one in found] == [name for of, name, _ in PICTURES if of == split] and not told
        for one, objects in zip(found, expected, strict=True):
            assert one.boxes.shape == (len(objects), 4) and one.boxes.dtype == np.float32
            np.testing.assert_allclose(one.boxes, np.reshape([box[1:5] for box in objects], (-1, 4)), atol=1e-4)
            assert [CLASSES[i] for i in one.classes] == [box[0] for box in objects]
            assert one.hard.tolist() == [box[5] and form is not as_yolo for box in objects]  # YOLO knows none


def test_each_rule_is_told_and_what_it_leaves(tmp_path):
    picture(tmp_path / "a.png")
    objects = [
        ("cell", (-2, 5, 10, 45), False),
        ("cell", (5, 5, 5, 9), False),
        ("cell", (40, 5, 50, 9), False),
        ("rock", (1, 1, 2, 2), False),
        ("cell", (1, 1, float("nan"), 2), False),
        ("plate", (1, 2, 3, 4), False),
    ]
    raws = [boxes.Raw(str(tmp_path / "a.png"), (WIDTH, HEIGHT), objects)]
    raws.append(boxes.Raw(str(tmp_path / "a.png"), (HEIGHT, WIDTH), objects))
    (one,), told = boxes.settle(raws, CLASSES)
    np.testing.assert_array_equal(one.boxes, [[0, 5, 10, 40], [1, 2, 3, 4]])
    assert one.classes.tolist() == [0, 1]
    assert {rule: len(cases) for rule, cases in told.items()} == {
        **dict.fromkeys((boxes.OVER, boxes.FLAT, boxes.OUTSIDE, boxes.UNKNOWN, boxes.ODD, boxes.SIZE), 1)
    }
    text = boxes.report({boxes.FLAT: told[boxes.FLAT] * 5, boxes.SIZE: told[boxes.SIZE]})
    assert text.startswith("5 boxes, of which each has no area: ") and ", … and 2 more\n1 picture, of which" in text
    assert "cell x 5 to 9, y 5 to 5" in text and "a.png (40x30, its annotation says 30x40)" in text


def test_a_turned_picture_is_as_it_is_shown(tmp_path):
    picture(tmp_path / "a.jpg", (30, 40), orientation=6)
    (one,), told = boxes.settle(
        [boxes.Raw(str(tmp_path / "a.jpg"), (40, 30), [("cell", (0, 0, 30, 40), False)])], CLASSES
    )
    assert not told and one.boxes.tolist() == [[0, 0, 30, 40]]


def broken_voc(root):
    as_voc(root)
    (root / "Annotations" / "a.xml").write_text("<annotation><object><name>x</name></object></annotation>")
    voc.read(root)


def missing_voc(root):
    as_voc(root)
    (root / "Annotations" / "b.xml").unlink()
    voc.read(root)


def listed_voc(root):
    as_voc(root)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nz")
    voc.read(root)


def other_classes(root):
    as_coco(root)
    path = root / "validation" / "_annotations.coco.json"
    path.write_text(path.read_text().replace('"plate"', '"dish"'))
    coco_json.read(root)


def untrained_voc(root):
    as_voc(root)
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    load_dataset(f"{root}/")


def unnamed_yolo(root):
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    load_dataset(f"{root}/")


def twice_coco(root):
    as_coco(root)
    path = root / "train" / "_annotations.coco.json"
    path.write_text(path.read_text().replace('"plate"', '"cell"'))
    coco_json.read(root)


def broken_coco(root):
    as_coco(root)
    (root / "train" / "_annotations.coco.json").write_text('{"images": []}')
    coco_json.read(root)


def broken_yolo(root):
    as_yolo(root)
    (root / "train" / "labels" / "a.txt").write_text("0 0.5 0.5\n")
    yolo_txt.read(root)


def lost_yolo(root):
    as_yolo(root)
    (root / "data.yaml").write_text("train: elsewhere\nnames: [a]\n")
    yolo_txt.read(root)


def lone_coco(root):
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_odd.json").write_text("{}")
    load_dataset(f"{root}/")


def listed_yolo(root):
    as_yolo(root)
    (root / "data.yaml").write_text("train: train.txt\nnames: [a]\n")
    (root / "train.txt").write_text("./lost.png\n")
    yolo_txt.read(root)


def bytes_voc(root):
    as_voc(root)
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff\xfe\x00")
    voc.read(root)


def deep_coco(root):
    as_coco(root)
    (root / "train" / "_annotations.coco.json").write_text("[" * 100_000)
    coco_json.read(root)


def endless_coco(root):
    as_coco(root)
    path = root / "train" / "_annotations.coco.json"
    path.write_text(re.sub(r'"width": \d+', '"width": 1e999', path.read_text()))
    coco_json.read(root)


def deep_yaml(root):
    as_yolo(root)
    (root / "data.yaml").write_text("[" * 5000)
    yolo_txt.read(root)


def broken_yaml(root):
    as_yolo(root)
    (root / "data.yaml").write_text("names: [a\n")
    yolo_txt.read(root)


def no_picture(root):
    boxes.settle([boxes.Raw(str(root / "a.png"), None, [])], CLASSES)


@pytest.mark.parametrize(
    "make, said",
    [
        (broken_voc, "a.xml: no annotation of Pascal VOC's"),
        (missing_voc, r"b.png: it has no .*b.xml; one without an object says that nothing is there"),
        (listed_voc, r"no picture z; .*train.txt lists it"),
        (other_classes, "the classes of validation are not those of train; differing: 5 dish, 5 plate"),
        (untrained_voc, "no training pictures; expected a list, a folder or a JSON file called train"),
        (unnamed_yolo, r"images/ and labels/ look like YOLO's; write .*data.yaml with train, val, names"),
        (twice_coco, r"in COCO's format \(two categories are called cell; name one of them otherwise\)"),
        (broken_coco, r"_annotations.coco.json: no boxes in COCO's format \(it lacks 'annotations', which"),
        (lone_coco, r"no split of pictures belongs to .*instances_odd.json; expected train/ beside it"),
        (listed_yolo, r"train.txt: no picture .*lost.png"),
        (bytes_voc, r"train.txt: 'utf-8' codec can't decode .*; expected text in UTF-8"),
        (broken_yolo, r"a.txt: '0 0.5 0.5'; expected a class's number and four parts"),
        (lost_yolo, "data.yaml: train is elsewhere; no such folder at"),
        (deep_coco, r"_annotations.coco.json: no boxes in COCO's format \(maximum recursion depth"),
        (endless_coco, r"_annotations.coco.json: no boxes in COCO's format \(cannot convert float infinity"),
        (deep_yaml, r"data.yaml: maximum recursion depth .*; expected YAML"),
        (broken_yaml, r"data.yaml: .*; expected YAML"),
        (no_picture, "a.png: .*; its annotation names it"),
    ],
)
def test_what_cannot_be_understood_is_said(tmp_path, make, said):
    with pytest.raises(ValueError, match=said):
        make(tmp_path)


def test_lists_may_have_suffixes_and_yaml_say_nothing(tmp_path):
    as_voc(tmp_path / "voc")
    before = voc.read(tmp_path / "voc")
    (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").write_text("a.png\r\nb.png 1\r\n")
    assert voc.read(tmp_path / "voc") == before
    names, splits = as_yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "data.yaml").write_text(
        "train: train/images\nval: val.txt\ntest: null\nnames: [cell, plate]\n"
    )
    assert yolo_txt.read(tmp_path / "yolo") == (names, splits)


def test_a_size_of_nothing_says_nothing(tmp_path):
    as_voc(tmp_path)
    path = tmp_path / "Annotations" / "a.xml"
    path.write_text(re.sub("<width>.*</height>", "<width>0</width><height>0</height>", path.read_text()))
    assert "<width>0</width>" in path.read_text()
    (raw, _), names = voc.read(tmp_path)[1]["train"], CLASSES
    found, told = boxes.settle([raw], names)
    assert raw.size is None and len(found[0].boxes) == 2 and not told


@pytest.mark.parametrize("resize", ["cover", "stretch"])
@pytest.mark.parametrize("size, crop", [((40, 30), 1.0), ((90, 30), 1.0), ((30, 77), 0.8), ((16, 12), 0.875)])
def test_boxes_lie_where_the_pixels_are(size, crop, resize):
    """A white box on black, drawn, resized and cropped as a picture is, and found again by its pixels."""
    width, height = size
    contract = Picture(48, 64, 1, crop, resize=resize)
    box = np.array([0.3 * height, 0.4 * width, 0.6 * height, 0.65 * width]).round()
    top, left, bottom, right = box.astype(int)
    pixels = np.zeros((height, width), np.uint8)
    pixels[top:bottom, left:right] = 255
    shown = contract.pixels(Image.fromarray(pixels))[..., 0] > 127
    (placed,) = contract.placed([box], height, width)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    found = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_allclose(placed.clip(0, [48, 64, 48, 64]), found, atol=1)
    np.testing.assert_allclose(contract.unplaced([placed], height, width), [box], rtol=1e-5)


def test_targets_are_in_the_inputs_pixels_and_what_a_crop_hides_is_hard(tmp_path):
    picture(tmp_path / "a.png", (80, 40))  # its outer quarters are cut off
    picture(tmp_path / "b.png", (40, 40))
    objects = [
        ("cell", (10, 30, 20, 50), False),
        ("plate", (0, 10, 40, 28), False),  # 8 of 18 columns are left
        ("plate", (0, 10, 40, 32), False),  # 12 of 22
        ("cell", (5, 0, 10, 20), False),  # nothing is
    ]
    raws = [boxes.Raw(str(tmp_path / "a.png"), None, objects), boxes.Raw(str(tmp_path / "b.png"), None, [])]
    found, _ = boxes.settle(raws, CLASSES)
    made = annotated.targets(found, Picture(20, 20, 3))
    assert made.shape == (2, 4, 6) and made.dtype == np.float32
    np.testing.assert_allclose(made[0, :3], [[5, 5, 10, 15, 0, 0], [0, 0, 20, 4, 1, 1], [0, 0, 20, 6, 1, 0]])
    assert (made[0, 3:] == annotated.NOTHING).all() and (made[1] == annotated.NOTHING).all()


@pytest.mark.parametrize("steps", [("crop", "flip"), ("zoom",), ("zoom", "flip", "vflip"), ("vflip",)])
def test_boxes_move_with_the_pixels(steps):
    """White boxes on black, moved as a training does, and found again by their pixels."""
    rng = np.random.default_rng(0)
    size, batch = (32, 48), 64
    corners = rng.integers(0, (20, 30), (batch, 2))
    sides = rng.integers(3, 12, (batch, 2))
    targets = np.tile(np.float32(annotated.NOTHING), (batch, 2, 1))
    targets[:, 0] = np.concatenate([corners, corners + sides, np.ones((batch, 1)), np.zeros((batch, 1))], -1)
    images = np.zeros((batch, *size, 1), np.uint8)
    for image, (top, left, bottom, right) in zip(images, targets[:, 0, :4].astype(int), strict=True):
        image[top:bottom, left:right] = 255
    hidden = 0
    off = 1 if "zoom" in steps else 0
    shown, moved = augmentation.augment(images, targets, np.array([3, 4], np.int32), steps, annotated.move)
    shown = np.where(shown.numpy() == 128, 0, shown)[..., 0] > 127  # around the picture
    for image, target, before in zip(shown, moved.numpy(), targets, strict=True):
        if not image.any():
            np.testing.assert_array_equal(target[0], annotated.NOTHING)
            continue
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        found = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        np.testing.assert_allclose(target[0, :4], found, atol=off)
        part = np.prod(target[0, 2:4] - target[0, :2]) / np.prod(before[0, 2:4] - before[0, :2])
        if not off:
            np.testing.assert_array_equal(target[0, 4:], [1, part < 0.5])
        np.testing.assert_array_equal(target[1], annotated.NOTHING)
        hidden += part < 1
    assert hidden > 3 or steps == ("vflip",)  # some are cut, or smaller
    far = np.float32([[[0, 0, 2, 2, 0, 0], [0, 0, 2, 9, 0, 0], [0, 0, 32, 9, 0, 1]]])
    away = augmentation.Moves(size, np.float32([[4, 4]]), np.float32([[1, 1]]))  # four pixels up and to the left
    expected = [annotated.NOTHING, annotated.NOTHING, [0, 0, 28, 5, 0, 1]]
    np.testing.assert_array_equal(annotated.move(far, away)[0], expected)


def test_a_mosaic_has_what_its_targets_say():
    rng, size, batch = np.random.default_rng(0), (32, 48), 64
    corners = rng.integers(0, (20, 30), (batch, 2))
    corners = np.concatenate([corners, corners + rng.integers(3, 18, (batch, 2))], -1).clip(0, (32, 48, 32, 48))
    kinds = np.arange(batch)[:, None]
    targets = np.tile(np.float32(annotated.NOTHING), (batch, 2, 1))
    hard = kinds % 5 == 0
    targets[:, 0] = np.concatenate([corners, kinds, hard], -1)

    def drawn(targets):
        images = np.zeros((len(targets), *size, 1), np.uint8)
        for image, boxes_on_it in zip(images, targets, strict=True):
            for top, left, bottom, right, kind, _ in boxes_on_it.astype(int):
                image[top:bottom, left:right] = kind + 1
        return images

    seed = np.array([3, 4], np.int32)
    made = annotated.mosaic(tf.constant(drawn(targets)), tf.constant(targets), seed)
    shown, made = (tensor.numpy() for tensor in made)
    assert made.shape == (batch, 8, 6)
    np.testing.assert_array_equal(drawn(made), shown)
    area = (corners[:, 2:] - corners[:, :2]).prod(-1)
    there = made[made[..., 4] >= 0]
    left = (there[:, 2:4] - there[:, :2]).prod(-1)
    np.testing.assert_array_equal(there[:, 5], (left < 0.5 * area[there[:, 4].astype(int)]) | (there[:, 4] % 5 == 0))
    assert there[:, 5].any() and not there[:, 5].all()
    others = [{*(kinds[kinds >= 0] - i) % batch} - {0} for i, kinds in enumerate(made[..., 4])]
    assert 0.3 < np.mean([len(of) > 0 for of in others]) < 0.7 and set.union(*others) == {1, 2, 3}
    again, _ = annotated.mosaic(tf.constant(drawn(targets)), tf.constant(targets), seed)
    np.testing.assert_array_equal(again, shown)


def test_boxes_of_a_tfds_set(tmp_path, monkeypatch):
    KrBoxed(data_dir=tmp_path).download_and_prepare()
    data = load_dataset("kr_boxed", tmp_path, image_size="20x30", strides=(8, 16))
    assert data.contract.output == Boxes(("cat", "dog"), ((3, 4, 8), (2, 2, 16)))
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [18, 2, 4]
    assert "objects" not in data.note and f"{boxes.FLAT}: " in data.note and "22 boxes, of which each" in data.note
    for name in ("train", "validation", "test"):
        source = data.split(name)
        for image, target in zip(source.images, source.labels, strict=True):
            rows = target[target[:, 4] >= 0]
            assert len(rows) == (2 if image.max() > 100 else 0)
            if len(rows):
                np.testing.assert_allclose(rows[0, :4], [5, 7.5, 10, 22.5])
                np.testing.assert_allclose(rows[1], [10, 0, 20, 15, 0, 1])
                assert (image[6:9, 9:21] > 150).all()
    assert load_dataset("kr_boxed", tmp_path, image_size="20x30", strides=(8, 16)).fingerprint == data.fingerprint
    monkeypatch.setattr(sources, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="24 times 20x30x3 bytes take 0 GB of memory; give a smaller --image_size"):
        load_dataset("kr_boxed", tmp_path, image_size="20x30")


@pytest.mark.parametrize(
    "names, said",
    [
        ("{1: a, 2: b}", "expected a list of the classes"),
        ("{0: a, x: b}", "expected a list of the classes"),
        ("[a, '']", "expected a list of the classes"),
        ("[a, a]", "each once"),
        ("[]", "expected a list of the classes"),
    ],
)
def test_names_of_yolo_that_cannot_be(tmp_path, names, said):
    as_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: train/images\nnames: {names}\n")
    with pytest.raises(DataError, match=said):
        yolo_txt.read(tmp_path)


def test_numbers_and_words_are_names_too(tmp_path):
    as_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("train: train/images\nnames: {0: 1, 1: yes}\n")
    names, raws = yolo_txt.read(tmp_path)
    assert names == ("1", "yes") and {name for raw in raws["train"] for name, *_ in raw.objects} == {*names}


def twice_one_stem(root):
    as_voc(root)
    picture(root / "JPEGImages" / "a.bmp")


def no_annotation(root):
    as_voc(root)
    (root / "Annotations" / "a.xml").write_text("<html/>")


def no_name(root):
    as_voc(root)
    file = root / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("plate", " "))


@pytest.mark.parametrize(
    "make, said",
    [
        (twice_one_stem, r"a\.(png|bmp): a\.(png|bmp) has the same annotation"),
        (no_annotation, "a.xml: no annotation of Pascal VOC's .*begins with <html>"),
        (no_name, "a.xml: no annotation of Pascal VOC's .*an object without a name"),
    ],
)
def test_odd_folders_of_voc(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        voc.read(tmp_path)


def test_nothing_to_learn_from_is_said(tmp_path):
    as_voc(tmp_path)
    for file in (tmp_path / "Annotations").iterdir():
        file.write_text(xml([]))
    with pytest.raises(DataError, match="no box is left to learn from; its lists are empty, or nothing is annotated"):
        load_dataset(f"{tmp_path}/", image_size=32)


def test_names_with_spaces_in_lists(tmp_path):
    as_voc(tmp_path)
    for folder, suffix in (("JPEGImages", ".png"), ("Annotations", ".xml")):
        (tmp_path / folder / f"a{suffix}").rename(tmp_path / folder / f"bild ä{suffix}")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("bild ä\nb -1\n\n")
    _, raws = voc.read(tmp_path)
    assert [pathlib.Path(raw.path).name for raw in raws["train"]] == ["bild ä.png", "b.png"]
