"""Tables of texts with a class each: TSV and CSV. It needs no TensorFlow."""

import collections
import csv
import itertools

from keras_resnet.data import DataError
from keras_resnet.device.csv_files import delimiter
from keras_resnet.layouts import LABEL, TEXT

FORM = "expected a header that names label and text, or lines of a label, a tab (.csv: a comma or semicolon) and a text"

LONGEST = 1 << 24  # letters of a text
MOST_CLASSES, FEW = 1000, 20


def classes(root, read, thing="text", form=FORM, hint="are the columns swapped? Give a header, label and text"):
    """The names of the classes, sorted.

    Args:
        root: what the tables are called.
        read: split -> `rows`.
        thing, form, hint: what sentences call one of them, and what they advise.

    Raises:
        DataError: a split is empty, or there are fewer than two, or so many that they are no classes.
    """
    if empty := [split for split, found in read.items() if not found]:
        raise DataError(f"{root}: no {thing} in {empty[0]}; {form}")
    names, count = sorted({label for label, _ in read["train"]}), len(read["train"])
    if len(names) < 2:
        raise DataError(f"{root}: all {count:,} training {thing}s have the label {names[0]!r}; expected two of them")
    if len(names) > min(MOST_CLASSES, max(FEW, count / 2)):
        raise DataError(f"{root}: {len(names):,} labels of {count:,} training {thing}s, as {names[0][:40]!r}; {hint}")
    return tuple(names)


def rows(path):
    """(label, text) of each line of a table; of TSV a line is a line, of CSV quotes count.

    Raises:
        DataError: it is no UTF-8, or a line has other columns.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                csv.field_size_limit(LONGEST)
                by = _delimiter(file.readline().rstrip("\r\n"))
                file.seek(0)
                reader = csv.reader(file, strict=True, delimiter=by)
                lines = list(reader)
            else:
                lines = [line.rstrip("\r\n").split("\t") for line in file]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; {FORM}") from error
    except OSError as error:
        raise DataError(f"{path}: {error}; {FORM}") from error
    names, header = (lines[0], _columns(lines[0])) if lines else ([], None)
    label, text = header or (0, 1)
    width, made = len(names) if header else 2, []
    for number, line in itertools.islice(enumerate(lines, 1), int(bool(header)), None):
        if not any(line):
            continue
        if len(line) != width or not line[label].strip():
            said = f"{len(line)} columns, expected {width}" if len(line) != width else "no label"
            raise DataError(f"{path}, row {number}: {said}; {FORM}")
        made.append((line[label].strip(), line[text]))
    if not header and path.stem == "train" and _looks_like_a_header(made):
        first = " and ".join(map(repr, names))
        raise DataError(
            f"{path}: its first line, {first}, looks like a header; name its columns label and text, or put such a "
            "line in front of it"
        )
    return made


def _delimiter(line):
    """What stands between the cells of a CSV file with this first line: of comma and semicolon the one of its header.

    Without a header the one behind its first cell; programs write semicolons where a comma belongs to numbers.
    """
    for by in ",;":
        if _columns(line.split(by)):
            return by
    return delimiter(line)


def _columns(cells):
    """Where a header has the label and the text; None where it names them not both."""
    names = [cell.strip().strip('"').lower() for cell in cells]
    places = [next((i for i, name in enumerate(names) if name in known), None) for known in (LABEL, TEXT)]
    return None if None in places else places


def _looks_like_a_header(made):
    """Whether the first of many rows has a label of its own, and each other label several rows."""
    counts = collections.Counter(label for label, _ in made)
    return len(made) > FEW and counts.pop(made[0][0]) == 1 and min(counts.values(), default=0) > 1
