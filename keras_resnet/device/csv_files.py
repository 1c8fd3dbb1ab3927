"""CSV files with a header: their rows, and what of a cell is a number."""

import csv
import io
import math
import re
from typing import NamedTuple

from . import text_files

FIRST_CELL = re.compile(r'"(?:[^"]|"")*"|[^,;\r\n]*')
WRITTEN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
LARGEST = 1 << 30  # bytes of a file


class RowError(ValueError):
    """A row, or a table of them, that can't be read; the message says which and why."""


class Line(NamedTuple):
    """A row of a file: where it stands, its cells, and why these are not as many as they should be."""

    place: str
    cells: list
    wrong: str = ""

    def __str__(self):
        return self.place


def number(cell):
    """What a cell says, a finite float; None where it is no number."""
    value = float(cell) if WRITTEN.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def delimiter(text):
    """What stands between the cells of a CSV text: the semicolon where it is behind the first one, else the comma."""
    return ";" if text[FIRST_CELL.match(text).end() :].startswith(";") else ","


def table(file, name):
    """(the names in a CSV file's header, the `Line`s below it that are not empty); messages call it `name`.

    Raises:
        ValueError: it can't be read.
    """
    text = text_files.read(file, name, LARGEST)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter(text))
    try:
        header, *lines = [*reader] or [[]]
    except csv.Error as error:
        raise RowError(f"{name}, line {reader.line_num}: {error}") from error
    found = []
    for i, cells in enumerate(lines, 2):
        wrong = f"{len(cells)} cells, its header has {len(header)}" * (len(cells) != len(header))
        found += [Line(f"{name}, row {i}", cells, wrong)] * bool(cells)
    return [cell.strip() for cell in header], found
