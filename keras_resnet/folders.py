"""A folder per class: which pictures are there, which can't be read, and how many may be left out."""

import concurrent.futures
import dataclasses
import pathlib

import numpy as np
from PIL import Image

from keras_resnet import class_folders, preprocessing


@dataclasses.dataclass(frozen=True)
class Found:
    """What a scan found.

    Attributes:
        classes: names of the class folders, sorted.
        splits: split -> (paths, labels, plain), arrays of str, int64 and bool.
        unreadable: (path, reason) of the pictures that are left out.
    """

    classes: tuple[str, ...]
    splits: dict
    unreadable: tuple


def scan(root, max_bad_fraction=0.01):
    """Reads every picture below `root` once (JPEGs at an eighth of their size) and sorts out what can't be read.

    Raises:
        ValueError: no such folder, fewer than two classes, an empty class, or too many unreadable pictures.
    """
    folders = class_folders.splits(root)
    classes = class_folders.classes(folders)
    entries = [
        (split, path, label)
        for split, folder in folders.items()
        for label, name in enumerate(classes)
        for path in class_folders.pictures(folder / name)
    ]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        states = list(pool.map(lambda entry: _state(entry[1]), entries))
    unreadable = tuple((str(e[1]), state) for e, state in zip(entries, states, strict=True) if isinstance(state, str))
    _check_unreadable(root, unreadable, len(entries), max_bad_fraction)
    good = [(*entry, state) for entry, state in zip(entries, states, strict=True) if not isinstance(state, str)]
    splits = {split: _columns([e for e in good if e[0] == split]) for split in folders}
    for split, (_, labels, _) in splits.items():
        empty = [name for i, name in enumerate(classes) if i not in labels]
        if empty:
            raise ValueError(
                f"{folders[split]}: no readable picture of class {', '.join(empty)}; "
                f"put {', '.join(class_folders.SUFFIXES)} files there, or take the class's folder away"
            )
    return Found(classes, splits, unreadable)


def _state(path):
    """Whether TensorFlow decodes the picture as Pillow does, or the reason (str) why it can't be read."""
    try:
        if path.suffix.lower() not in class_folders.SUFFIXES:
            return "pictures of this kind are not read; convert it to PNG or JPEG"
        if not path.stat().st_size:
            return "empty file"
        with Image.open(path) as image:
            image.draft("RGB", (1, 1))
            if image.mode == "F" or (image.mode, image.format) == ("I", "TIFF"):  # what would be black, and what white?
                return "its pixels have 32 bits and an unknown range; convert it to 8 or 16 bits"
            plain = preprocessing.is_plain(image)
            image.load()
        return plain
    except Exception as error:  # Pillow raises many kinds for broken files; each means the same here
        return f"{type(error).__name__}: {error}"


def _check_unreadable(root, unreadable, total, max_bad_fraction):
    if len(unreadable) > max_bad_fraction * total:
        raise ValueError(
            f"{root}: {len(unreadable)} of {total} pictures can't be read, "
            f"more than --max_bad_fraction={max_bad_fraction}:\n{report(unreadable)}"
        )


def report(unreadable, most=20):
    """One line a file, the first `most` of them; a run writes all to `unreadable.txt`."""
    lines = [f"  {path}: {reason}" for path, reason in unreadable[:most]]
    return "\n".join(lines + [f"  … and {len(unreadable) - most} more"] * (len(unreadable) > most))


def _columns(entries):
    return (
        np.array([str(pathlib.Path(e[1])) for e in entries]),
        np.array([e[2] for e in entries], np.int64),
        np.array([e[3] for e in entries], bool),
    )
