"""A folder with `labels.csv`: pictures that have several labels each, or none.

Its first column names a picture below the folder. Then there is either one column with all labels, separated by spaces,
commas, semicolons or bars, or a column for each label with 0 and 1; a column `split` says train, validation or test.
"""

import csv
import re

import numpy as np

from keras_resnet.data import SPLITS, DataError

NAME = "labels.csv"


def read(root):
    """Reads `labels.csv` of a folder, a `pathlib.Path`.

    Returns:
        (labels, entries): names in the order of the targets, and (split, path, uint8 target (labels,)) of each picture.

    Raises:
        DataError: it can't be understood.
    """
    path = root / NAME
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{path}: {error}; expected a header and a line for each picture") from error
    ragged = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if ragged or len(header) < 2 or not rows:
        at = f"line {ragged} has another number of cells than" if ragged else "got"
        raise DataError(f"{path}: {at} the header {header}; expected a picture's path and its labels in each line")
    split = header.index("split") if "split" in header[1:] else None
    columns = [i for i in range(1, len(header)) if i != split]
    if len(columns) == 1 and not all(row[columns[0]].strip() in ("0", "1") for row in rows):
        sets = [set(re.split(r"[\s,;|]+", row[columns[0]].strip())) - {""} for row in rows]
        labels = tuple(sorted(set().union(*sets)))
        targets = [[label in found for label in labels] for found in sets]
    else:
        labels, targets = tuple(header[i] for i in columns), [[_flag(path, row[i]) for i in columns] for row in rows]
    splits = [row[split] if split else "train" for row in rows]
    if len(labels) < 1 or set(splits) - set(SPLITS) or "train" not in splits:
        found = sorted(set(splits))
        raise DataError(
            f"{path}: {len(labels)} labels, splits {found}; expected labels, and splits {', '.join(SPLITS)}"
        )
    targets = np.array(targets, np.uint8)
    return labels, [(s, str(root / row[0]), target) for s, row, target in zip(splits, rows, targets, strict=True)]


def _flag(path, cell):
    if cell.strip() not in ("0", "1"):
        raise DataError(f"{path}: {cell!r} in a label's column; expected 0 or 1")
    return cell.strip() == "1"
