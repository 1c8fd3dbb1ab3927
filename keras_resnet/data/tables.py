"""Tables of texts with a class each: TSV and CSV. It needs no TensorFlow."""

import csv
import itertools

from keras_resnet.data import DataError

LABEL, TEXT = ("label", "class", "category", "target", "sentiment"), ("text", "sentence", "review", "content")
FORM = "expected a header that names label and text, or lines of a label, a tab (.csv: a comma) and a text"


def rows(path):
    """(label, text) of each line of a table; of TSV a line is a line, of CSV quotes count.

    Raises:
        DataError: it is no UTF-8, or a line has other columns.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                lines = list(csv.reader(file))
            else:
                lines = [line.rstrip("\r\n").split("\t") for line in file]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}; save it as UTF-8, {FORM}") from error
    names = [cell.strip().lower() for cell in lines[0]] if lines else []
    places = [next((i for i, name in enumerate(names) if name in known), None) for known in (LABEL, TEXT)]
    header = None not in places
    label, text = places if header else (0, 1)
    width, made = len(names) if header else 2, []
    for number, line in itertools.islice(enumerate(lines, 1), int(header), None):
        if not any(line):
            continue
        if len(line) != width or not line[label].strip():
            raise DataError(f"{path}, line {number}: {len(line)} columns, the label {line[0][:40]!r}; {FORM}")
        made.append((line[label].strip(), line[text]))
    return made
