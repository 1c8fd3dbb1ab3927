"""`history.csv`: a row for each epoch; epoch 0 is what a training that continues another starts with."""

import csv
import math

from keras_resnet import files

ANEW = "remove it: from checkpoints/, where they are still there, the same train.py command makes it anew"


def write_history(path, rows):
    """Writes a list of dicts, atomically. Rows of an older version, which had fewer columns, have NaN there."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with files.atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="nan")
        writer.writeheader()
        writer.writerows(rows)


def read_history(path):
    """Returns what `write_history` wrote, all values as floats.

    Raises:
        ValueError: the file holds something else.
    """
    with files.understood(path, ANEW), open(path, newline="", encoding="utf-8") as file:
        try:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        except csv.Error as error:
            raise ValueError(error) from error
        finished_epochs(rows)  # each row has its epoch
        return rows


def finished_epochs(rows):
    """How many epochs the rows tell of."""
    return int(rows[-1]["epoch"]) if rows else 0


def is_over(rows, recipe, best):
    """Whether a training has done its epochs, or no better one for as many as its patience.

    Args:
        rows: dicts, of all epochs so far.
        recipe: `Recipe`.
        best: as in `best_row`.
    """
    if not rows or finished_epochs(rows) >= recipe.epochs:
        return bool(rows)
    began = recipe.ends[-2] if len(recipe.ends) > 1 else 0  # where it is extended, its schedule begins anew
    return 0 < recipe.patience <= finished_epochs(rows) - max(began, best_row(rows, best)["epoch"])


def best_row(rows, best):
    """The row of the epoch whose model is kept: the first of the best on the validation pictures.

    Args:
        rows: dicts, not empty.
        best: the figure that decides, as `recipes.BEST` lists them. Where it ties, the loss does.
    """

    def rank(row):
        figure, loss = row[f"val_{best}"], row["val_loss"]
        return (-math.inf, -math.inf) if math.isnan(loss) else (-loss if best == "loss" else figure, -loss)

    return max(rows, key=rank)
