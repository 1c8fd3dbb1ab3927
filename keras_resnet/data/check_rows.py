"""`keras-resnet check` of tables of rows: their columns, which rows are there twice, and what suits."""

import dataclasses
import hashlib

from keras_resnet.data import check_texts, columns
from keras_resnet.device.row import Number

commands = check_texts.commands


@dataclasses.dataclass(frozen=True)
class Line:
    """One row; as `check.Looked`, where its `path` is `train.csv, row 3`, with the table's columns and its cells."""

    path: str
    split: str
    labels: tuple
    names: list
    cells: list
    digest: bytes
    reason: str = ""
    bits: None = None


def look_for(root):
    """(names of the classes, `Line`s, []) of a folder, a `pathlib.Path`; see `check.read`."""
    names, _, read = columns.read(root)
    classes, found = sorted({label for rows in read.values() for label, _ in rows}), []
    for split, rows in read.items():
        for label, (place, cells, _) in rows:
            digest, place = hashlib.sha256(repr(cells).encode()).digest(), place.removeprefix(f"{root}/")
            found.append(Line(place, split, (classes.index(label),), names, cells, digest))
    return classes, found, []


def told(good):
    """Lines on the columns of `Line`s."""
    taught = [line.cells for line in good if line.split == "train"]
    for name, cells in zip(good[0].names, zip(*taught, strict=True), strict=True):
        made, said = columns.column("train", name, cells), "all alike; training leaves it out"
        if isinstance(made, Number):
            said = f"numbers, {made.mean:.4g} ± {made.deviation:.4g}"
        elif made:
            said = f"{len(made.values)} categories, as {made.values[0]}"
        yield f"column {name}: {said}" + f", empty in {cells.count(''):,}" * ("" in cells)
