"""A folder with `labels.csv`: what is read of it, what is refused, and how it is split."""

import numpy as np
import pytest
from PIL import Image

from keras_resnet import load_dataset
from keras_resnet.data import DataError, labels_csv
from keras_resnet.data.splits import stratified_split


def write(root, text, pictures=("a.png",)):
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text(text, encoding="utf-8")
    for name in pictures:
        Image.new("RGB", (8, 8)).save(root / name)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "picture,labels\na.png,dog beach\nb.png,\nc.png,dog\n",
        "picture,labels\na.png,dog;beach\nb.png,\nc.png,dog|dog\n",
        "picture;labels\r\na.png;dog,beach\r\nb.png;\r\nc.png;dog\r\n",
        "picture\tlabels\na.png\tdog beach\nb.png\t\n\t\nc.png\tdog\n",
        '\ufeffpicture,labels\r\na.png,"dog, beach"\r\nb.png,\r\n\r\nc.png,dog\r\n',
        "picture,beach,dog\na.png,1,1\nb.png,0,0\nc.png,0, 1\n",
        "picture, beach,dog ,Split\na.png,True,TRUE,train\nb.png,false,0, Training\nc.png,0,1,TRAIN\n",
    ],
)
def test_spellings(tmp_path, text):
    labels, entries = labels_csv.read(write(tmp_path / "set", text))
    assert labels == ("beach", "dog")
    assert [(split, path.rpartition("/")[2], target.tolist()) for split, path, target in entries] == [
        ("train", "a.png", [1, 1]),
        ("train", "b.png", [0, 0]),
        ("train", "c.png", [0, 1]),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a header"),
        ("a.png,dog\nb.png,cat\n", "got the header ['a.png', 'dog']; expected a header"),
        ('picture,labels\n"a.png,dog\nb.png,cat\n', "another number of cells"),
        ("picture,labels\n", "there is nothing below the header"),
        ("picture,labels\na.png,dog\n../b.png,cat\n", "'../b.png' lies outside of this folder"),
        ("picture,labels\na.png,dog\n/etc/passwd,cat\n", "'/etc/passwd' lies outside of this folder"),
        ("picture\na.png\n", "path and its labels"),
        ("picture,labels\na.png,dog\nb.png\n", "['b.png'] has another number of cells"),
        ("picture,dog,cat\na.png,1,2\n", "'2' in a label's column, at a.png; expected 0 or 1"),
        ("picture,labels\na.png,\n", "0 labels"),
        ("picture,split\na.png,train\n", "0 labels"),
        ("picture,labels,split\na.png,dog,later\n", "splits ['later']"),
        ("picture,labels\na.png,dog\n./a.png,cat\n", "picture 'a.png' is there twice"),
        ("picture,dog,dog\na.png,1,0\n", "label 'dog' is there twice"),
        ("picture,,dog\na.png,1,0\n", "'' is no label's name"),
        ("picture,labels,split\na.png,dog,test\n", "splits ['test']"),
    ],
)
def test_what_is_refused(tmp_path, text, sentence):
    with pytest.raises(DataError, match=r"labels\.csv") as error:
        labels_csv.read(write(tmp_path / "set", text))
    assert sentence in str(error.value)


def test_splits_of_its_own_and_pictures_that_are_not_there(tmp_path):
    names = [f"{i}.png" for i in range(6)]
    rows = [
        f"{name},dog,{split}" for name, split in zip(names, ["train"] * 3 + ["validation"] * 2 + ["test"], strict=True)
    ]
    root = write(tmp_path / "set", "\n".join(["picture,labels,split", *rows]), names)
    data = load_dataset(f"{root}/", image_size=8)
    assert [len(data.split(s)) for s in ("train", "validation", "test")] == [3, 2, 1]
    assert data.note == "labels.csv: each picture has one label; where none can have more, a folder per class says so"
    assert data.contract.output.KIND == "labels"
    images, targets = next(data.training(2, 0, 0).as_numpy_iterator())
    assert images.shape == (2, 8, 8, 3) and targets.tolist() == [[1], [1]]
    before = data.fingerprint
    (root / "labels.csv").write_text((root / "labels.csv").read_text().replace("0.png,dog", "0.png,"))
    changed = load_dataset(f"{root}/", image_size=8)
    assert changed.note == "" and changed.fingerprint["train"] != before["train"]
    (root / "1.png").unlink()
    with pytest.raises(ValueError, match="1 of 6 pictures can't be read"):
        load_dataset(f"{root}/", image_size=8)


def test_rare_labels_are_in_every_split():
    rng = np.random.default_rng(0)
    labels = (rng.random((2000, 5)) < (0.6, 0.3, 0.1, 0.01, 0.004)).astype(np.uint8)
    assert labels[:, 4].sum() >= 3
    rest, test = stratified_split(labels, 0.1)
    left, validation = stratified_split(labels[rest], 0.1)
    parts = {"train": labels[rest][left], "validation": labels[rest][validation], "test": labels[test]}
    assert sum(map(len, parts.values())) == 2000
    for name, part in parts.items():
        assert (part.sum(0) > 0).all(), name
    assert 190 <= len(test) <= 215
    share = parts["test"].mean(0) / labels.mean(0)
    assert np.abs(share[:3] - 1).max() < 0.25


def test_a_labels_csv_about_something_else_leaves_class_folders_alone(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / f"{i}.png")
    write(tmp_path / "set", "id,name\n0,cat\n1,dog\n")
    assert labels_csv.read(tmp_path / "set") is None
    assert load_dataset(f"{tmp_path}/set/", image_size=8).contract.output.KIND == "classes"
    write(tmp_path / "set", "picture,labels\n" + "".join(f"cat/{i}.png,small\n" for i in range(4)))
    assert load_dataset(f"{tmp_path}/set/", image_size=8).contract.labels == ("small",)


def test_a_label_of_three_pictures_is_in_every_split():
    missing = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = np.zeros((60, 3), np.uint8)
        labels[:, 0] = rng.random(60) < 0.5
        labels[rng.permutation(60)[: rng.integers(3, 6)], 1] = 1
        rest, test = stratified_split(labels, 0.1)
        left, validation = stratified_split(labels[rest], 0.1)
        parts = labels[rest][left], labels[rest][validation], labels[test]
        missing += not all(part[:, 1].any() for part in parts)
    assert missing <= 1


def test_names_of_labels_may_have_spaces_where_something_else_separates_them(tmp_path):
    root = write(tmp_path / "set", "picture,labels\na.png,traffic light;car\nb.png,traffic light\n")
    assert labels_csv.read(root)[0] == ("car", "traffic light")
    root = write(tmp_path / "set", "picture,labels\na.png,light car\nb.png,light\n")
    assert labels_csv.read(root)[0] == ("car", "light")
    (root / "labels.csv").write_bytes("picture,labels\na.png,dog\n".encode("utf-16"))
    with pytest.raises(DataError, match="save it as UTF-8"):
        labels_csv.read(root)
