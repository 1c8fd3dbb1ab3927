"""`history.csv`: a row for each epoch; epoch 0 is what a training that continues another starts with."""

import csv

from keras_resnet import files


def write_history(path, rows):
    """Writes a list of dicts with the same keys, atomically."""
    with files.atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_history(path):
    """Returns what `write_history` wrote, all values as floats."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def finished_epochs(rows):
    """How many epochs the rows tell of."""
    return int(rows[-1]["epoch"]) if rows else 0
