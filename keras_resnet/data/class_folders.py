"""Which folders of a data set are splits and which are classes. What they hold decides, not their names alone."""

import os
import re

from keras_resnet import layouts
from keras_resnet.device.picture_files import SUFFIXES

# Pictures that are not read, but named where they are left out. Of raw files Pillow would read the thumbnail.
OTHER_SUFFIXES = (
    *(".heic", ".heif", ".jp2", ".jxl", ".svg", ".eps", ".psd", ".xcf", ".ico", ".tga", ".exr", ".dcm"),
    *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
SPLIT_WORDS = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing"}
EXPECTED = "expected a folder per class, or train/ (and validation/ and test/ beside it) with a folder per class"


def splits(root):
    """Finds the folders that hold the class folders of each split.

    A folder is a split's where its name says so (`train`, `Training`, `seg_train`, `test_set`, …) and it holds folders;
    one that holds pictures is a class, as `train/` beside `car/` and `plane/`.

    Args:
        root: `pathlib.Path` of the data set.

    Returns:
        Split -> folder; {"train": root} where the folders of `root` are classes.

    Raises:
        ValueError: no such folder, or it is not clear which folders are splits and which are classes.
    """
    if not root.is_dir():
        raise ValueError(f"--dataset={root}: no such folder; say where its pictures lie now (--dataset=FOLDER/)")
    folders = subfolders(root)
    if {"images", "labels"} <= {folder.name for folder in folders}:
        raise ValueError(
            f"{root}: images/ and labels/ look like YOLO's; write {root / 'data.yaml'} with train, val, names"
        )
    named = [(s, f) for s in SPLIT_WORDS for f in folders if split_named(f.name) == s and subfolders(f)]
    doubt = _doubt_of_splits(folders, named) if named else _doubt_of_classes(folders)
    if doubt:
        raise ValueError(f"{root}: {doubt}; found\n{_tree(folders)}\n{EXPECTED}")
    return {split: _unwrapped(folder) for split, folder in named} or {"train": root}


def classes(folders):
    """The names of the class folders, sorted.

    Args:
        folders: what `splits` returns.

    Raises:
        ValueError: there are fewer than two, they are not the same in each split, or a name can't be a label.
    """
    names = {split: [f.name for f in subfolders(folder)] for split, folder in folders.items()}
    first = names["train"]
    if len(first) < 2:
        loose = beside(folders["train"])
        found = f"{len(first)} class folder(s) {first}" + f", and {len(loose):,} pictures in no folder" * bool(loose)
        raise ValueError(
            f"{folders['train']}: found {found}; expected at least two, a folder per class (or a labels.csv)"
        )
    for split, found in names.items():
        if found != first:
            differing = ", ".join(sorted(set(found) ^ set(first)))
            raise ValueError(
                f"{folders[split]}: its classes are not those of {folders['train']}; differing: {differing}"
            )
    for name in first:
        if name.splitlines() != [name]:  # files of labels have a line for each
            raise ValueError(f"{folders['train']}: the class {name!r} has a line break in its name; rename the folder")
    return tuple(first)


def pictures(folder):
    """Paths (str) of all files below a folder that look like pictures, sorted, without hidden ones.

    Raises:
        ValueError: a name is not UTF-8.
        OSError: a folder can't be read.
    """
    found = []
    for parent, inside, names in os.walk(folder, onerror=_raise):
        inside[:] = [name for name in inside if not _hidden(name)]
        names = [name for name in names if _is_picture(name)]
        _check_names(parent, inside + names)
        found += [os.path.join(parent, name) for name in names]
    return sorted(found, key=lambda path: path.split(os.sep))


def entries(folders, names):
    """(split, path, number of the class) of each picture.

    Args:
        folders: what `splits` returns.
        names: what `classes` returns.
    """
    return [
        (split, path, label)
        for split, folder in folders.items()
        for label, name in enumerate(names)
        for path in pictures(folder / name)
    ]


def beside(folder):
    """Names of the pictures that lie in a folder itself, beside its folders, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_picture(entry.name) and not entry.is_dir())


def subfolders(folder):
    """The folders in a folder, sorted by name, without hidden ones.

    Raises:
        ValueError: a name is not UTF-8.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not _hidden(entry.name) and entry.is_dir())
    _check_names(folder, names)
    return [folder / name for name in names]


def split_named(name):
    """The split that a folder's name means, or None."""
    words = re.findall("[a-z]+", name.lower())
    meant = [s for s, w in SPLIT_WORDS.items() if any(re.fullmatch(f"({w})(set|data)?", word) for word in words)]
    return meant[0] if len(meant) == 1 else None


def _doubt_of_splits(folders, named):
    """Why the `named` of the folders can't be the splits, or None."""
    found = [split for split, _ in named]
    for split in found:
        if found.count(split) > 1:
            return f"{_names(f for s, f in named if s == split)} are folders of {split} pictures, all of them"
    if "train" not in found:
        return f"{_names(f for _, f in named)} looks like a part of a data set, but there is no train/ with folders"
    train = _unwrapped(named[0][1])
    known, taken = {f.name for f in subfolders(train)}, [f for _, f in named]
    for folder in (f for f in folders if f not in taken):
        if split_named(folder.name):
            return f"{folder.name}/ holds no class folders as {train.name}/ does; sort its pictures, or take it away"
        if known & {f.name for f in subfolders(folder)}:
            return f"{folder.name}/ holds classes as {train.name}/ does; call it validation or test, or take it away"
        if len(named) == 1 and any(map(beside, [folder, *subfolders(folder)])):
            return f"{folder.name}/ is no split, but lies beside {train.name}/, which holds folders; take it away"
    return None


def _doubt_of_classes(folders):
    """Why the folders can't be the classes, or None."""
    if len(folders) > 1 and all(split_named(f.name) for f in folders):
        return f"{_names(folders)} hold pictures, and no folder per class"
    nested = [f for f in folders if not beside(f) and subfolders(f)]
    for folder in nested:
        if len(folders) == 1 or any(split_named(f.name) and subfolders(f) for f in subfolders(folder)):
            return f"the data set seems to lie deeper; give --dataset={folder}/"
    shared = set.intersection(*({f.name for f in subfolders(folder)} for folder in nested)) if len(nested) > 1 else ()
    if len(shared) > 1:
        return (
            f"{_names(nested)} hold folders of the same names, so that it is not clear which are the classes; "
            "rename or merge those that belong to one class"
        )
    return None


def _unwrapped(folder):
    """A split's folder, or the folder of the same split that is all it holds (`seg_train/seg_train/`)."""
    inside = subfolders(folder)
    if len(inside) == 1 and split_named(inside[0].name) == split_named(folder.name) and subfolders(inside[0]):
        return inside[0]
    return folder


def _hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def _is_picture(name):
    return not _hidden(name) and os.path.splitext(name)[1].lower() in SUFFIXES + OTHER_SUFFIXES + layouts.SOUNDS


def _names(folders, most=4):
    names = [f"{f.name}/" for f in folders]
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _tree(folders, most=8):
    """What lies in the first folders, a line each."""
    lines = []
    for folder in folders[:most]:
        inside = [_names(subfolders(folder))] * bool(subfolders(folder)) + ["pictures"] * bool(beside(folder))
        lines.append(f"  {folder.name}/ with {' and '.join(inside) or 'neither folders nor pictures'}")
    return "\n".join(lines + [f"  … and {len(folders) - most:,} more"] * (len(folders) > most))


def _check_names(folder, names):
    """Labels, JSON and TensorFlow want text."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{folder}: the name {os.fsencode(name)} is not UTF-8; rename it, as convmv does with many"
            ) from None


def _raise(error):
    raise error
