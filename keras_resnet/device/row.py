"""The contract's input `row`: how a row of a table becomes a network's input, in the only place that knows it."""

import csv
import dataclasses
import io
import math
from typing import ClassVar

import numpy as np

from . import picture_files
from .csv_files import Line, RowError, number, table

MEAN, STEPS = 128, 32  # the byte of a column's mean; bytes of a deviation: there are four on each side


@dataclasses.dataclass(frozen=True)
class Number:
    """A column of numbers: its name, their mean and standard deviation."""

    name: str
    mean: float
    deviation: float
    size: ClassVar = 1

    def __post_init__(self):
        for field, least in (("mean", -math.inf), ("deviation", 0)):
            value = getattr(self, field)
            if isinstance(value, bool) or not least < value < math.inf:
                raise ValueError(f"{field} of {self.name!r} is {value!r}, expected a number above {least}")
            object.__setattr__(self, field, float(value))

    def steps(self, cell):
        """The byte of a cell, in a list."""
        value = number(cell) if cell else self.mean
        if value is None:
            raise RowError(f"column {self.name!r} has {cell[:40]!r}; expected a number as 2.5e-3, or nothing")
        return [round(min(255, max(0, MEAN + STEPS * ((value - self.mean) / self.deviation))))]

    def words(self, steps):
        """What bytes say, less 128."""
        return f"{self.mean + steps[0] / STEPS * self.deviation:.4g}"


@dataclasses.dataclass(frozen=True)
class Category:
    """A column of names: its own, and its values."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self):
        _check_names(f"values of {self.name!r}", self.values)
        object.__setattr__(self, "values", tuple(self.values))

    @property
    def size(self):
        return len(self.values)

    def steps(self, cell):
        """A byte for each value, a list."""
        return [255 if cell == value else MEAN for value in self.values]

    def words(self, steps):
        """What bytes say, less 128."""
        return self.values[int(np.argmax(steps))] if max(steps) > 0 else "…"


@dataclasses.dataclass(frozen=True)
class Row:
    """From a row of a table to the network's input: bytes by the rules below, which less 128 are the int8 input.

    Attributes:
        columns: `Number`s and `Category`s, or objects of JSON, in the order of the vector.

    Raises:
        ValueError, TypeError, KeyError: no row can be prepared so.
    """

    columns: tuple[Number | Category, ...]

    KIND: ClassVar = "row"
    THINGS: ClassVar = "rows"
    FILE: ClassVar = "csv"
    axes: ClassVar = 0
    mean: ClassVar = 128.0
    std: ClassVar = 128.0
    EXPLAINED: ClassVar = {
        "rules": {
            "file": "CSV in UTF-8, a header and rows; a semicolon behind the header's first cell separates all, else a "
            "comma; columns are found by their names, in any order, others are left out; blanks around do not count",
            "number": "[+-]digits, with a point and an exponent or not, finite as a 64-bit float, as all below are",
            "byte of a number": "round(128 + 32 * (x - mean) / deviation), ties to even, 0 to 255; empty: 128",
            "bytes of a category": "for each value 255 where it is the cell's, else 128",
            "scale": "x = q / 128 - 1",
        }
    }

    def __post_init__(self):
        made = (one if isinstance(one, Number | Category) else _column(one) for one in self.columns)
        object.__setattr__(self, "columns", tuple(made))
        _check_names("columns", [column.name for column in self.columns])

    @property
    def size(self):
        """Bytes of a row."""
        return sum(column.size for column in self.columns)

    @property
    def shape(self):
        return 1, self.size, 1

    def pixels(self, cells):
        """uint8 (1, bytes, 1) of cells, a text for each column; the reference that every other reader is held to.

        Raises:
            RowError: a number is none.
        """
        steps = [column.steps(cell.strip()) for column, cell in zip(self.columns, cells, strict=True)]
        return np.concatenate(steps).astype(np.uint8).reshape(self.shape)

    def scaled(self, pixels):
        """float32 `x` of uint8 rows (…, 1)."""
        return pixels.astype(np.float32) / np.float32(self.std) - np.float32(1)

    def words(self, x):
        """What a network reads of a row, float32 (1, bytes, 1), as one line; `…` for a value that it does not know."""
        ends = np.cumsum([column.size for column in self.columns])[:-1]
        parts = zip(self.columns, np.split(np.rint(x.ravel() * MEAN), ends), strict=True)
        return ", ".join(f"{column.name} {column.words(part)}" for column, part in parts)

    def find(self, paths):
        """The `Line`s of CSV files and of folders of them, which `read` takes; a file where it has none, or is none."""
        found = []
        for path in picture_files.find(paths, (".csv",), "table"):
            try:
                found += self.rows(path, path) or [path]
            except ValueError:
                found.append(path)  # `read` says why
        return found

    def rows(self, file, name):
        """The `Line`s of a CSV file, a path or a binary file that messages call `name`: of each the columns' cells.

        Raises:
            ValueError: it can't be read, or lacks a column.
        """
        names, lines = table(file, name)
        if odd := [column.name for column in self.columns if names.count(column.name) != 1]:
            raise RowError(f"{name}: its header has {odd[0]!r} not once, but {', '.join(names)[:200]}")
        places = [names.index(column.name) for column in self.columns]
        return [line if line.wrong else line._replace(cells=[line.cells[i] for i in places]) for line in lines]

    def read(self, file, name):
        """uint8 (1, bytes, 1) of a `Line`, or of a CSV file with a header and one row.

        Raises:
            ValueError: it can't be read, or has more rows.
        """
        lines = [file] if isinstance(file, Line) else self.rows(file, name)
        if len(lines) != 1:
            raise RowError(f"{name}: {len(lines)} rows, expected one below a header; keras-resnet predict answers each")
        (line,) = lines
        if line.wrong:
            raise RowError(f"{line}: {line.wrong}")
        try:
            return self.pixels(line.cells)
        except RowError as error:
            raise RowError(f"{line}: {error}") from None

    def read_sized(self, file, name):
        """The same, and None: a row has no size."""
        return self.read(file, name), None

    def file(self, cells):
        """The CSV file of one row, bytes: what `read` reads."""
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([[c.name for c in self.columns], cells])
        return text.getvalue().encode()

    def as_flags(self):
        """What a recipe says of it: nothing, the table says all."""
        return {}

    def place(self, size):
        """Where the input lies on what it was made of; of rows nothing asks."""
        del size


def _column(saved):
    """A `Number` or `Category` of an object of JSON."""
    kind = Category if "values" in saved else Number
    return kind(**{field.name: saved[field.name] for field in dataclasses.fields(kind)})


def _check_names(what, names):
    odd = [name for name in names if not name or str(name).strip() != name]
    if isinstance(names, str) or not names or odd or len({*names}) < len(names):
        raise ValueError(f"{what}: expected texts without blanks around them, each once")
