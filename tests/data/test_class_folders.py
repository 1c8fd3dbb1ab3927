"""Which folders are splits and which are classes: trees as people have them, and the sentence where it is not clear."""

import os
import pathlib
import re

import pytest

from keras_resnet import layouts
from keras_resnet.data import class_folders, folders
from keras_resnet.device import picture_files


def tree(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def classes_in(*parents, of=("cat", "dog")):
    """Paths of two pictures in each class's folder below each parent."""
    return [f"{parent}/{name}/{i}.jpg" for parent in parents for name in of for i in (1, 2)]


def test_layouts_know_every_kind_of_picture(tmp_path):
    assert layouts.PICTURES == picture_files.SUFFIXES
    assert not layouts.sounds(tree(tmp_path, "a/1.bmp", "a/2.bmp", "a/note.wav"))


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (classes_in("."), {"train": "."}),
        (classes_in("train", "val", "test"), {"train": "train", "validation": "val", "test": "test"}),
        (classes_in("Train", "Test"), {"train": "Train", "test": "Test"}),
        (classes_in("train", "Test"), {"train": "train", "test": "Test"}),
        (classes_in("training", "testing"), {"train": "training", "test": "testing"}),
        (
            classes_in("training_set", "dev_set", "test_set"),
            {"train": "training_set", "validation": "dev_set", "test": "test_set"},
        ),
        (classes_in("TrainingSet", "VALID"), {"train": "TrainingSet", "validation": "VALID"}),
        # Kaggle's "Intel image classification": folders twice, and one without labels.
        (
            [*classes_in("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred/1.jpg"],
            {"train": "seg_train/seg_train", "test": "seg_test/seg_test"},
        ),
        # A class called "train", alone and in splits.
        (classes_in(".", of=("car", "plane", "train")), {"train": "."}),
        (classes_in("train", "test", of=("car", "train")), {"train": "train", "test": "test"}),
        # Folders within the classes, as in Tiny ImageNet; what a Mac's zip and an editor leave.
        (["train/n01/images/1.jpg", "train/n02/images/2.jpg", "train/.cache/1.jpg"], {"train": "train"}),
        (["cat/images/1.jpg", "dog/images/1.jpg", "__MACOSX/cat/._1.jpg", "notes.txt"], {"train": "."}),
        (["cat/2019/1.jpg", "dog/2019/1.jpg", "dog/2020/1.jpg", "emu/1.jpg"], {"train": "."}),
        (["cat/2019/1.jpg", "cat/2020/1.jpg", "dog/1.jpg"], {"train": "."}),
        (["train test/1/1.jpg", "train test/2/1.jpg", "car/1.jpg"], {"train": "."}),
    ],
)
def test_trees(tmp_path, paths, found):
    tree(tmp_path, *paths)
    assert class_folders.splits(tmp_path) == {split: tmp_path / folder for split, folder in found.items()}
    assert len(class_folders.classes(class_folders.splits(tmp_path))) > 1


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        # Splits by other names: their classes would be "Learn" and "Exam".
        (classes_in("Learn", "Exam"), "Exam/, Learn/ hold folders of the same names"),
        (classes_in("Learn", "Exam"), "  Exam/ with cat/, dog/\n  Learn/ with cat/, dog/\nexpected a folder per"),
        (classes_in("train", "Holdout"), "Holdout/ holds classes as train/ does; call it validation or test"),
        ([*classes_in("train"), *classes_in("more", of=("cat", "emu"))], "more/ holds classes as train/ does; call"),
        ([*classes_in("train"), *classes_in("val", of=("cat",))], "differing: dog"),
        (classes_in("train", "Training"), "Training/, train/ are folders of train pictures"),
        (classes_in("Test", "Learn"), "Test/ looks like a part of a data set, but there is no train/"),
        ([*classes_in("train"), "test/1.jpg"], "test/ holds no class folders as train/ does"),
        (["train/1.jpg", "test/1.jpg"], "test/, train/ hold pictures, and no folder per class"),
        (["train/2019/1.jpg", "train/2020/1.jpg", "car/1.jpg"], "car/ is no split, but lies beside train/"),
        # One level too high.
        (classes_in("photos"), "deeper; give --dataset={root}/photos/"),
        ([*classes_in("data/train", "data/test"), "docs/screen.png"], "deeper; give --dataset={root}/data/"),
        (["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg"], "cat/, dog/ hold folders of"),
        (["1.jpg", "2.jpg"], "found 0 class folder(s) [], and 2 pictures in no folder; expected at least two"),
    ],
)
def test_unclear_trees(tmp_path, paths, says):
    tree(tmp_path, *paths)
    with pytest.raises(ValueError, match=re.escape(says.format(root=tmp_path))):
        class_folders.classes(class_folders.splits(tmp_path))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (b"caf\xe9/1.jpg", r"the name b'caf\xe9' is not UTF-8; rename it"),
        (b"cat/deep/M\xfcller.JPG", r"cat/deep: the name b'M\xfcller.JPG' is not UTF-8; rename it"),
        (b"two\nlines/1.jpg", r"the class 'two\nlines' has a line break in its name; rename the folder"),
    ],
)
def test_names_that_cannot_be_text(tmp_path, path, says):
    tree(tmp_path, *classes_in("."), os.fsdecode(path))
    with pytest.raises(ValueError, match=re.escape(says)):
        folders.scan(tmp_path)


def test_pictures_of_every_kind_and_no_other_file(tmp_path):
    pictures = ["a.JPG", "b.jfif", "c.webp", "d.tif", "e.heic", "f.nef", "g/0.png"]
    tree(tmp_path, *pictures, "notes.txt", ".hidden.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "old.jpg/i.png")
    found = [str(pathlib.Path(p).relative_to(tmp_path)) for p in class_folders.pictures(tmp_path)]
    assert found == sorted([*pictures, "old.jpg/i.png"], key=pathlib.PurePath)
