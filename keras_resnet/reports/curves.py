"""The curves of a training, from its history."""

from keras_resnet.drawing import BLUE, GREEN, ORANGE, pyplot
from keras_resnet.history import best_row


def curves(history, title, task, best):
    """Loss, the task's figure and learning rate against epochs.

    Args:
        history: rows of `history.csv`.
        title: of the figure.
        task: which names its figures (`tasks.Classification`).
        best: the figure that chose the model.
    """
    epochs = [row["epoch"] for row in history]
    line = {"marker": "." if len(epochs) < 10 else ""}  # of one epoch no line is seen
    figure, (loss, score, rate) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")

    def draw(axes, name, scale, color, label, style="-"):
        axes.plot(epochs, [scale * row[name] for row in history], style, color=color, label=label, **line)

    draw(loss, "loss", 1, BLUE, "training (as optimized)")
    draw(loss, "val_loss", 1, ORANGE, "validation")
    shown = (*task.RUNNING, *task.BEST)[0]
    if shown in task.RUNNING:
        draw(score, shown, 100, BLUE, "training (augmented)")
    draw(score, f"val_{shown}", 100, ORANGE, "validation")
    if best not in ("loss", shown):
        draw(score, f"val_{best}", 100, GREEN, f"validation, {best.replace('_', ' ')}", "--")
    draw(rate, "learning_rate", 1, GREEN, "")
    loss.set(ylabel=task.LOSS)
    score.set(ylabel=f"{task.TITLES[shown]} [%]")
    rate.set(ylabel="learning rate")
    loss.legend()
    score.legend()
    chosen, axes, scale = best_row(history, best), *((loss, 1) if best == "loss" else (score, 100))
    value = scale * chosen[f"val_{best}"]
    axes.annotate(
        f"best {value:.2f} %" if scale == 100 else f"best {value:.4f}",
        (chosen["epoch"], value),
        (0, -28 if scale == 100 else 28),
        textcoords="offset points",
        ha="right" if chosen["epoch"] > 0.5 * history[-1]["epoch"] else "left",
        arrowprops={"arrowstyle": "->"},
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    for axes in (loss, score, rate):
        axes.set(xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    figure.suptitle(title)
    return figure
