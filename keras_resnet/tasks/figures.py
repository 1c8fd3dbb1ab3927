"""Pictures of a classifier's answers: what is confused, how sure it is, and its worst mistakes."""

import textwrap

import numpy as np

from keras_resnet.drawing import BLUE, GRAY, GREEN, ORANGE, pyplot, short
from keras_resnet.tasks import metrics

MOST_CLASSES = 30  # that a confusion matrix can still show


def confusion(accumulated, names, title):
    """Confusion matrix of a `metrics.Accumulator`, in per cent of what has each label.

    Of more than `MOST_CLASSES` classes it shows those that are most often confused.
    """
    shown = accumulated.most_confused(MOST_CLASSES)
    if len(shown) < len(names):
        title = f"{title}\nthe {len(shown)} of {len(names):,} classes that are most often confused"
    percent = 100 * accumulated.matrix(shown) / np.maximum(accumulated.images[shown], 1)[:, None]
    names = [names[i] for i in shown]
    return grid(percent, names, names, title, ("predicted", "label", "% of the label"))


def grid(percent, rows, columns, title, texts):
    """A matrix of percentages; `texts` are those of the columns, of the rows and of the scale."""
    side = 3 + 0.55 * len(rows)
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axes.imshow(percent, cmap="cividis", vmin=0, vmax=100)
    figure.colorbar(picture, label=texts[2], shrink=0.8)
    axes.set(xlabel=texts[0], ylabel=texts[1], title=title)
    axes.set_xticks(range(len(columns)), list(map(short, columns)), rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), list(map(short, rows)))
    for row, column in np.argwhere(percent >= 0.5) if len(rows) <= MOST_CLASSES + 1 else ():
        value = percent[row, column]
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="black" if value > 55 else "white")
    return figure


def reliability(bins, title, right="top-1 accuracy [%]", counted="examples"):
    """Reliability diagram of `metrics.binned`: how often the network is right when it says how sure it is."""
    error, confidence, accuracy, count = metrics.calibration(bins)
    edges = np.linspace(0, 100, len(count) + 1)
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(5.5, 6.4), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.bar(edges[:-1], 100 * np.nan_to_num(accuracy), np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    upper.plot(100 * confidence, 100 * confidence, "o", color=ORANGE, label="mean confidence of the bin")
    upper.plot([0, 100], [0, 100], "--", color=GRAY, label="perfectly calibrated")
    upper.set(ylabel=right, title=f"{title}\nexpected calibration error {100 * error:.1f} %")
    lower.bar(edges[:-1], count, np.diff(edges), align="edge", color=GREEN, edgecolor="white")
    lower.set(xlabel="confidence [%]", ylabel=counted, xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2)  # a bar can be anywhere in the axes
    return figure


def mistakes(worst, title):
    """The pictures, texts or rows with the largest loss: a list of (uint8 picture or text, what is wrong)."""
    if worst and isinstance(worst[0][0], str):
        return sentences(worst, title)
    columns = 6
    rows = max(1, -(-len(worst) // columns))
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(2.1 * columns, 2.5 * rows + 0.6), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, (image, said) in zip(grid.flat, worst, strict=False):
        axes.imshow(
            image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255, interpolation="nearest"
        )
        axes.set_title(said, fontsize=9)
    figure.suptitle(title if worst else f"{title}: none")
    return figure


def sentences(worst, title):
    """Texts below one another: a list of (text, what is wrong)."""
    parts = []
    for text, said in worst:
        lines = textwrap.wrap(text, 130, max_lines=2, placeholder=" …") or ["(nothing)"]
        parts += [(said.replace("\n", ", "), BLUE), *((line, "black") for line in lines), ("", "black")]
    inches = 0.7 + 0.2 * len(parts)
    figure = pyplot.figure(figsize=(11, inches))
    for i, (line, colour) in enumerate(parts):
        place = 1 - (0.6 + 0.2 * i) / inches
        figure.text(0.02, place, line, fontsize=9, va="top", color=colour, family="monospace")
    figure.suptitle(title, y=1 - 0.15 / inches, va="top")
    return figure


def labels(rows, title):
    """Average precision and F1 of (label, figures) pairs, the label of the most pictures at the top."""
    places = range(len(rows))
    figure, axes = pyplot.subplots(figsize=(8, 1.8 + 0.28 * len(rows)), layout="constrained")
    values = {name: [100 * (row[name] or 0) for _, row in rows] for name in ("average_precision", "f1")}
    axes.barh(places, values["average_precision"], color=BLUE, label="average precision")
    axes.plot(values["f1"], places, "o", color=ORANGE, label="F1 at its threshold")
    axes.set_yticks(places, [f"{short(name)} ({row['images']:,})" for name, row in rows])
    axes.set(xlabel="[%]", xlim=(0, 100), ylim=(len(rows) - 0.4, -0.6), title=title)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
