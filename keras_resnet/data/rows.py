"""Tables of rows with a class each (CSV): in memory, as the bytes that the contract's `Row` makes of them."""

import dataclasses
import functools

import numpy as np

from keras_resnet.data import DataError, columns
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, check_memory
from keras_resnet.data.splits import complete
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.row import Row


@dataclasses.dataclass(frozen=True)
class Rows:
    """`Line`s, an array of objects, and the classes' numbers."""

    lines: np.ndarray
    labels: np.ndarray


def load(root):
    """`Data` of a folder with `train.csv`, and `validation` and `test` beside it; see `loading.load_dataset`.

    Args:
        root: `pathlib.Path` of the folder.

    Raises:
        ValueError: a file can't be understood, has other classes than the training's, or a column can't be learned.
    """
    names, classes, found = columns.read(root)
    for split, rows in found.items():
        if others := {label for label, _ in rows} - {*classes}:
            raise DataError(f"{root}: {split} has the class {min(others)!r}, which no training row has")
    splits = {}
    for split, rows in found.items():
        labels = np.array([classes.index(label) for label, _ in rows], np.int64)
        splits[split] = Rows(np.fromiter((line for _, line in rows), object, len(rows)), labels)
    splits = complete(splits, classes)
    taught = zip(*(line.cells for line in splits["train"].lines), strict=True)
    made = [columns.column(root, name, cells) for name, cells in zip(names, taught, strict=True)]
    kept = [i for i, one in enumerate(made) if one]
    if not kept:
        raise DataError(f"{root}: in each column all training rows are alike; there is nothing to learn from")
    row, sources, raw = Row(made[i] for i in kept), {}, {}
    check_memory(root, sum(map(len, found.values())), row.shape, "give fewer rows or columns")
    for split, part in splits.items():
        lines = [line._replace(cells=[line.cells[i] for i in kept]) for line in part.lines]
        sources[split] = Arrays(np.stack([row.read(line, line) for line in lines]), part.labels)
        raw[split] = functools.partial(_file, row, lines)
    alike = [name for name, one in zip(names, made, strict=True) if not one]
    note = f"columns in which all training rows are alike are left out: {', '.join(alike)}" if alike else ""
    prints = {split: source.fingerprint() for split, source in sources.items()}
    return Data(str(root), Contract(row, Classes(classes)), **sources, note=note, fingerprint=prints, raw=raw)


def _file(row, lines, number):
    """A row as the file that devices read."""
    return row.file(lines[number].cells)
