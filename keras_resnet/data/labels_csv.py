"""A folder with `labels.csv`: pictures that have several labels each, or none.

Its first column names a picture below the folder. Then there is either one column with all labels, separated by commas,
semicolons or bars (by spaces where none of these is there), or a column for each label with 0 and 1; a column `split`
says train, validation or test. A single column of 0 and 1 alone is one label's.
"""

import collections
import csv
import os
import re

import numpy as np

from keras_resnet.data import SPLITS, DataError
from keras_resnet.data.class_folders import SUFFIXES, split_named

NAME = "labels.csv"
FLAGS = {"0": False, "1": True, "false": False, "true": True}
LOOKED_AT = 100  # lines that must name a picture of the folder, one of them, or the file is about something else


def _rows(path):
    """Header and lines of a CSV file, cells without spaces around them; Excel's semicolons and tabs count as commas."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=delimiter)]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}; save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: {error}; expected a header and a line for each picture") from error
    header, *rows = [row for row in rows if any(row)] or [[]]
    ragged = next((row for row in rows if len(row) != len(header)), None)
    if ragged or len(header) < 2 or not rows or header[0].lower().endswith(SUFFIXES):
        at = f"{ragged} has another number of cells than" if ragged else "got" if rows else "there is nothing below"
        raise DataError(
            f"{path}: {at} the header {header}; expected a header, as picture,labels, and in each line a picture's "
            "path and its labels"
        )
    return [header, *rows]


def read(root):
    """Reads `labels.csv` of a folder, a `pathlib.Path`.

    Returns:
        (labels, entries): names in the order of the targets, and (split, path, uint8 target (labels,)) of each picture;
        None where there is no such file, or it is about something else than the folder's pictures.

    Raises:
        DataError: it can't be understood.
    """
    path = root / NAME
    if not path.is_file():
        return None
    header, *rows = _rows(path)
    if not any("\0" not in row[0] and (root / row[0]).is_file() for row in rows[:LOOKED_AT]):
        return None
    split = next((i for i, name in enumerate(header) if i and name.lower() == "split"), None)
    columns = [i for i in range(1, len(header)) if i != split]
    cells = [row[i] for row in rows for i in columns[:1]]
    if len(columns) == 1 and not all(cell.lower() in FLAGS for cell in cells):
        # Where some are separated otherwise, a space belongs to a name.
        between = r"\s*[,;|]\s*" if any(re.search("[,;|]", cell) for cell in cells) else r"\s+"
        sets = [set(re.split(between, cell)) - {""} for cell in cells]
        labels = tuple(sorted(set().union(*sets)))
        targets = [[label in found for label in labels] for found in sets]
    else:
        labels, targets = tuple(header[i] for i in columns), [[_flag(path, row, i) for i in columns] for row in rows]
    splits = [(split_named(row[split]) or row[split]) if split else "train" for row in rows]
    _check_names(path, labels, [row[0] for row in rows])
    if len(labels) < 1 or set(splits) - set(SPLITS) or "train" not in splits:
        found = sorted(set(splits))
        raise DataError(
            f"{path}: {len(labels)} labels, splits {found}; expected labels, and splits {', '.join(SPLITS)}"
        )
    targets = np.array(targets, np.uint8)
    return labels, [(s, str(root / row[0]), target) for s, row, target in zip(splits, rows, targets, strict=True)]


def _flag(path, row, column):
    if row[column].lower() not in FLAGS:
        raise DataError(f"{path}: {row[column]!r} in a label's column, at {row[0]}; expected 0 or 1")
    return FLAGS[row[column].lower()]


def _check_names(path, labels, pictures):
    """A label is a name, once; a picture is in one line, which has all its labels, and so in one split."""
    paths = [os.path.normpath(picture) for picture in pictures]
    outside = next((p for p in paths if os.path.isabs(p) or p.split(os.sep)[0] == os.pardir), None)
    if outside is not None:
        raise DataError(f"{path}: {outside!r} lies outside of this folder; expected paths of pictures below it")
    for what, names in (("label", labels), ("picture", paths)):
        twice = next((name for name, count in collections.Counter(names).items() if count > 1), None)
        if twice is not None:
            raise DataError(f"{path}: {what} {twice!r} is there twice; expected one line with all labels of a picture")
    if odd := [label for label in labels if not label or not label.isprintable()]:
        raise DataError(f"{path}: {odd[0]!r} is no label's name; give each column of the header one")
