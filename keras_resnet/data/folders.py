"""A folder per class: which pictures are there, which can't be read, and how many may be left out."""

import concurrent.futures
import dataclasses
import io
import math
import os
import pathlib
import stat
import sys

import numpy as np
import tqdm
from PIL import Image

from keras_resnet.data import class_folders, decoding, labels_csv
from keras_resnet.data.dataset import IN_MEMORY_BYTES, Data
from keras_resnet.data.sources import Files
from keras_resnet.data.splits import complete
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.labels import Labels
from keras_resnet.device.picture import Picture

QUEUE = 4096  # pictures that wait for their scan


@dataclasses.dataclass(frozen=True)
class Found:
    """What a scan found.

    Attributes:
        classes: names of the class folders, sorted, or the labels of `labels.csv`.
        splits: split -> (paths, labels, layouts), arrays of bytes, int64 (uint8 with a column for each label, where a
            picture has several) and int64 (`decoding.layout`).
        unreadable: (path, reason) of the pictures that are left out.
        note: a sentence on pictures that lie in no class's folder, or have one label each in `labels.csv`, or nothing.
    """

    classes: tuple[str, ...]
    splits: dict
    unreadable: tuple
    note: str


def scan(root, max_bad_fraction=0.01, picture=None):
    """Reads every picture below `root` once, by Pillow and by TensorFlow, and sorts out what either can't read.

    JPEGs are decoded at an eighth of their size, which takes all their bytes, but not all their pixels.

    Args:
        root: `pathlib.Path` of the data set.
        max_bad_fraction: unreadable pictures that are left out; more are an error.
        picture: the contract's `Picture`; what is too long for it counts as unreadable.

    Raises:
        ValueError: no such folder, fewer than two classes, an empty class, or too many unreadable pictures.
    """
    several = labels_csv.read(root)
    if several:
        folders, (classes, entries) = {}, several
    else:
        folders = class_folders.splits(root)
        classes = class_folders.classes(folders)
        entries = class_folders.entries(folders, classes)
    states = _states([entry[1] for entry in entries], picture)
    unreadable = tuple((e[1], state) for e, state in zip(entries, states, strict=True) if isinstance(state, str))
    check_unreadable(root, unreadable, len(entries), max_bad_fraction)
    good = [(*entry, state) for entry, state in zip(entries, states, strict=True) if not isinstance(state, str)]
    splits = {split: _columns([e for e in good if e[0] == split]) for split in folders or {e[0]: None for e in good}}
    for split, folder in folders.items():
        labels = splits[split][1]
        counts = np.bincount(labels, minlength=len(classes))
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
        if empty:
            raise ValueError(
                f"{folder}: no readable picture of class {', '.join(empty)}; "
                f"put {', '.join(class_folders.SUFFIXES)} files there, or take the class's folder away"
            )
    note = _note_of_strays({root, *folders.values()}) if folders else _note_of_single_labels(entries)
    return Found(classes, splits, unreadable, note)


def _note_of_strays(parents):
    strays = [parent / name for parent in sorted(parents) for name in class_folders.beside(parent)]
    if not strays:
        return ""
    return f"pictures that lie in no class's folder are left out: {len(strays):,}, as {strays[0]}"


def _note_of_single_labels(entries):
    if any(target.sum() != 1 for _, _, target in entries):
        return ""
    return f"{labels_csv.NAME}: each picture has one label; where none can have more, a folder per class says so"


def _states(paths, picture):
    """The `_state` of each path. Only some of them are queued at a time: a queue of a million would take gigabytes."""
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm.tqdm(total=len(paths), unit=" pictures", desc="scan", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        states = []
        for i in range(0, len(paths), QUEUE):
            states += pool.map(lambda path: _state(path, picture), paths[i : i + QUEUE])
            bar.update(len(states) - i)
    return states


def _state(path, picture):
    """The picture's `decoding.layout`, or the reason (str) why it can't be read.

    TensorFlow reads it in training and Pillow on devices: a damaged picture that only one of them takes is left out.
    """
    try:
        if not path.lower().endswith(class_folders.SUFFIXES):
            return "pictures of this kind are not read; convert it to PNG or JPEG"
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            return "no regular file, but a pipe or a device"
        encoded = pathlib.Path(path).read_bytes()
        if not encoded:
            return "empty file"
        layout = decoding.layout(encoded)
        with Image.open(io.BytesIO(encoded)) as image:
            if picture:
                picture.resized(*(image.size if layout >= 5 else image.size[::-1]))
            image.draft("RGB", (1, 1))
            if image.mode == "F" or (image.mode, image.format) == ("I", "TIFF"):  # what would be black, and what white?
                return "its pixels have 32 bits and an unknown range; convert it to 8 or 16 bits"
            image.load()
        if layout:
            decoding.try_decoding(encoded)
        return layout
    except Image.UnidentifiedImageError:
        return "no picture, whatever its name says"
    # Pillow raises many kinds for broken files, TensorFlow its own; each means the same here.
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else type(error).__name__


def check_unreadable(root, unreadable, total, max_bad_fraction):
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
        np.array([os.fsencode(e[1]) for e in entries], bytes),
        np.array([e[2] for e in entries], None if entries and np.ndim(entries[0][2]) else np.int64),
        np.array([e[3] for e in entries], np.int64),
    )


def load(root, shape, fit, max_bad_fraction, original, group_by=""):
    """`Data` of a folder per class; see `loading.load_dataset`."""
    picture = Picture(*shape, **fit)
    found = scan(root, max_bad_fraction, picture)
    several = found.splits["train"][1].ndim == 2
    contract = Contract(picture, (Labels if several else Classes)(found.classes))
    splits = {name: Files(*columns) for name, columns in found.splits.items()}
    splits = complete(splits, found.classes, group_by=group_by)
    prints = {name: source.fingerprint(root) for name, source in splits.items()}
    total = sum(map(len, splits.values()))
    if min(shape[:2]) < 64 and total * math.prod(shape) <= IN_MEMORY_BYTES and not original:
        splits = {name: source.arrays(picture) for name, source in splits.items()}
    return Data(str(root), contract, **splits, unreadable=found.unreadable, note=found.note, fingerprint=prints)
