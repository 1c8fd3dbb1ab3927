"""Tables of columns with a class for each row: CSV with a header. It needs no TensorFlow."""

import math

from keras_resnet import layouts
from keras_resnet.data import DataError, tables
from keras_resnet.device.csv_files import Line, number, table
from keras_resnet.device.row import Category, Number

MOST_VALUES = 64  # of a column of categories


def read(root):
    """A table of rows.

    Args:
        root: `pathlib.Path` of the folder.

    Returns:
        (names of its columns but the label's and those without a name, names of the classes, split -> list of (label,
        `Line`)).

    Raises:
        ValueError: a file is no CSV with such a header, or there are no classes to learn; see `tables.classes`.
    """
    names, found = None, {}
    for split, path in layouts.rows(root).items():
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: expected .csv, as the training's")
        header, lines = table(path, path)
        lower = [name.lower() for name in header]
        label = next((lower.index(name) for name in layouts.LABEL if name in lower), None)
        names = names or [name for i, name in enumerate(header) if name and i != label]
        odd = [f"{name!r} not once" for name in names if header.count(name) != 1]
        odd += ["no label"] * (label is None) + ["no column of a name"] * (not names)
        if odd:
            raise DataError(f"{path}: its header has {odd[0]}; expected a label and columns, each once")
        places, found[split] = [header.index(name) for name in names], []
        for line in (line for line in lines if any(line.cells)):
            if line.wrong or not line.cells[label].strip():
                raise DataError(f"{line}: {line.wrong or 'no label'}")
            taken = Line(line.place, [line.cells[i].strip() for i in places])
            found[split].append((line.cells[label].strip(), taken))
    form = "expected a header, which names the label and columns, and rows"
    hint = "a number is not learned here, classes are: give a column of those"
    return names, tables.classes(root, found, "row", form, hint), found


def column(root, name, cells):
    """The contract's column of training cells, `Number` or `Category`; None where all are alike.

    Raises:
        DataError: it has numbers too large, or too many values to be categories.
    """
    values = {cell: number(cell) for cell in {*cells} - {""}}
    odd = [cell for cell, value in values.items() if value is None]
    if odd and len(values) > (most := int(min(MOST_VALUES, max(tables.FEW, len(cells) / 2)))):
        raise DataError(
            f"{root}: column {name!r} has {len(values):,} values in the training rows, and {min(odd)[:40]!r} is no "
            f"number; expected numbers and empty cells, or at most {most} values: correct it, or take it out"
        )
    if odd:
        return Category(name, sorted(values)) if len({*cells}) > 1 else None
    found = [values[cell] for cell in cells if cell]
    try:
        return _number(name, found) if len({*found}) > 1 else None
    except (OverflowError, ValueError) as error:
        raise DataError(f"{root}: column {name!r}: {error}; give numbers of another size, or take it out") from None


def _number(name, found):
    """`Number` of floats; their sums are exactly rounded, so that every machine has the same."""
    mean = math.fsum(found) / len(found)
    return Number(name, mean, math.sqrt(math.fsum((x - mean) * (x - mean) for x in found) / len(found)))
