"""The pictures of a report, in colours that colour-blind readers can tell apart (Okabe and Ito's palette, cividis)."""

import matplotlib
import numpy as np

from keras_resnet import files, metrics

matplotlib.use("Agg")
from matplotlib import pyplot

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#E69F00", "#009E73", "#999999"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MOST_CLASSES = 30  # whose names a confusion matrix can still show


def curves(history, title):
    """Loss, accuracy and learning rate against epochs, from the rows of `history.csv`."""
    epochs = [row["epoch"] for row in history]
    figure, (loss, accuracy, rate) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for axes, name, label in ((loss, "loss", "loss [nats]"), (accuracy, "accuracy", "top-1 accuracy [%]")):
        scale = 100 if name == "accuracy" else 1
        axes.plot(epochs, [scale * row[name] for row in history], color=BLUE, label="training (augmented)")
        axes.plot(epochs, [scale * row[f"val_{name}"] for row in history], color=ORANGE, label="validation")
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend()
    best = max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    accuracy.annotate(
        f"best {100 * best['val_accuracy']:.2f} %",
        (best["epoch"], 100 * best["val_accuracy"]),
        (0, -28),
        textcoords="offset points",
        ha="right",
        arrowprops={"arrowstyle": "->"},
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    rate.plot(epochs, [row["learning_rate"] for row in history], color=GREEN)
    rate.set(xlabel="epoch", ylabel="learning rate")
    for axes in (loss, accuracy, rate):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def confusion(matrix, names, title):
    """Confusion matrix in per cent of each label's pictures."""
    matrix = np.asarray(matrix)
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named = len(names) <= MOST_CLASSES
    side = 3 + 0.55 * len(names) if named else 12
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axes.imshow(percent, cmap="cividis", vmin=0, vmax=100)
    figure.colorbar(picture, label="% of the label's pictures", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    if named:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        for row, column in np.argwhere(percent >= 0.5):
            value = percent[row, column]
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="black" if value > 55 else "white")
    return figure


def reliability(confidences, correct, title):
    """Reliability diagram: how often the network is right when it says how sure it is."""
    error, confidence, accuracy, count = metrics.calibration(confidences, correct)
    edges = np.linspace(0, 100, len(count) + 1)
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(5.5, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.bar(edges[:-1], 100 * np.nan_to_num(accuracy), np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    upper.plot(100 * confidence, 100 * confidence, "o", color=ORANGE, label="mean confidence of the bin")
    upper.plot([0, 100], [0, 100], "--", color=GRAY, label="perfectly calibrated")
    upper.set(ylabel="top-1 accuracy [%]", title=f"{title}\nexpected calibration error {100 * error:.1f} %")
    upper.legend(loc="upper left")
    lower.bar(edges[:-1], count, np.diff(edges), align="edge", color=GREEN, edgecolor="white")
    lower.set(xlabel="confidence [%]", ylabel="pictures", xlim=(0, 100))
    return figure


def mistakes(worst, names, title):
    """The pictures with the largest loss: a list of dicts `image` (uint8), `label`, `prediction`, `confidence`."""
    columns = 6
    rows = max(1, -(-len(worst) // columns))
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(2.1 * columns, 2.5 * rows + 0.6), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, wrong in zip(grid.flat, worst, strict=False):
        axes.imshow(np.squeeze(wrong["image"]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        said = f"{names[wrong['prediction']]} {100 * wrong['confidence']:.0f} %"
        axes.set_title(f"{said}\nis {names[wrong['label']]}", fontsize=9)
    figure.suptitle(title if worst else f"{title}: none")
    return figure


def save(figure, path):
    """Writes a figure as PNG, atomically, and closes it."""
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)


def pixels(figure):
    """Renders a figure to a uint8 array (height, width, 3) and closes it."""
    figure.set_dpi(90)
    figure.canvas.draw()
    rendered = np.array(figure.canvas.buffer_rgba())[..., :3]
    pyplot.close(figure)
    return rendered
