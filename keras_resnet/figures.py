"""The pictures of a report, in colours that colour-blind readers can tell apart (Okabe and Ito's palette, cividis)."""

import warnings

import matplotlib
import numpy as np

from keras_resnet import files, metrics
from keras_resnet.history import best_row

matplotlib.use("Agg")
from matplotlib import pyplot

matplotlib.rcParams["text.parse_math"] = False  # a class may be named $x$
warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # or 猫: the figure shows a box
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#E69F00", "#009E73", "#999999"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MOST_CLASSES = 30  # that a confusion matrix can still show
MOST_LETTERS = 24  # of a class name


def curves(history, title, best="accuracy"):
    """Loss, accuracy and learning rate against epochs, from the rows of `history.csv`; `best` chose the model."""
    epochs = [row["epoch"] for row in history]
    line = {"marker": "." if len(epochs) < 10 else ""}  # of one epoch no line is seen
    figure, (loss, accuracy, rate) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for axes, name, label, training in (
        (loss, "loss", "loss [nats]", "training (as optimized)"),
        (accuracy, "accuracy", "top-1 accuracy [%]", "training (augmented)"),
    ):
        scale = 100 if name == "accuracy" else 1
        axes.plot(epochs, [scale * row[name] for row in history], color=BLUE, label=training, **line)
        axes.plot(epochs, [scale * row[f"val_{name}"] for row in history], color=ORANGE, label="validation", **line)
        axes.set(xlabel="epoch", ylabel=label)
    if best in ("balanced_accuracy", "macro_f1"):
        values = [100 * row[f"val_{best}"] for row in history]
        accuracy.plot(
            epochs, values, linestyle="--", color=GREEN, **line, label=f"validation, {best.replace('_', ' ')}"
        )
    loss.legend()
    accuracy.legend()
    chosen, axes, scale = best_row(history, best), *((loss, 1) if best == "loss" else (accuracy, 100))
    value = scale * chosen[f"val_{best}"]
    axes.annotate(
        f"best {value:.2f} %" if scale == 100 else f"best {value:.4f}",
        (chosen["epoch"], value),
        (0, -28 if scale == 100 else 28),
        textcoords="offset points",
        ha="right",
        arrowprops={"arrowstyle": "->"},
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    rate.plot(epochs, [row["learning_rate"] for row in history], color=GREEN, **line)
    rate.set(xlabel="epoch", ylabel="learning rate")
    for axes in (loss, accuracy, rate):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    figure.suptitle(title)
    return figure


def confusion(accumulated, names, title):
    """Confusion matrix of a `metrics.Accumulator`, in per cent of each label's pictures.

    Of more than `MOST_CLASSES` classes it shows those that are most often confused.
    """
    shown = accumulated.most_confused(MOST_CLASSES)
    if len(shown) < len(names):
        title = f"{title}\nthe {len(shown)} of {len(names):,} classes that are most often confused"
    percent = 100 * accumulated.matrix(shown) / np.maximum(accumulated.images[shown], 1)[:, None]
    labels = [_short(names[i]) for i in shown]
    side = 3 + 0.55 * len(shown)
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axes.imshow(percent, cmap="cividis", vmin=0, vmax=100)
    figure.colorbar(picture, label="% of the label's pictures", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    axes.set_xticks(range(len(shown)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(shown)), labels)
    for row, column in np.argwhere(percent >= 0.5):
        value = percent[row, column]
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="black" if value > 55 else "white")
    return figure


def reliability(bins, title):
    """Reliability diagram of `metrics.binned`: how often the network is right when it says how sure it is."""
    error, confidence, accuracy, count = metrics.calibration(bins)
    edges = np.linspace(0, 100, len(count) + 1)
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(5.5, 6.4), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.bar(edges[:-1], 100 * np.nan_to_num(accuracy), np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    upper.plot(100 * confidence, 100 * confidence, "o", color=ORANGE, label="mean confidence of the bin")
    upper.plot([0, 100], [0, 100], "--", color=GRAY, label="perfectly calibrated")
    upper.set(ylabel="top-1 accuracy [%]", title=f"{title}\nexpected calibration error {100 * error:.1f} %")
    lower.bar(edges[:-1], count, np.diff(edges), align="edge", color=GREEN, edgecolor="white")
    lower.set(xlabel="confidence [%]", ylabel="pictures", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2)  # a bar can be anywhere in the axes
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
        said = f"{_short(names[wrong['prediction']])} {100 * wrong['confidence']:.0f} %"
        axes.set_title(f"{said}\nis {_short(names[wrong['label']])}", fontsize=9)
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


def _short(name):
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
