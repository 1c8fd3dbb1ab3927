"""Pictures of found boxes: answers beside the truth, and precision against recall."""

import math

import numpy as np
from matplotlib.patches import Rectangle

from keras_resnet.drawing import GRAY, PALETTE, pyplot, short
from keras_resnet.tasks import figures

COLUMNS = 4


def answers(pictures, output, title):
    """Pictures with boxes: true ones dashed, found ones solid, a colour for each class.

    Args:
        pictures: list of (uint8 picture, what `Boxes.decode` found, targets (n, 6)).
        output: `device.boxes.Boxes`; only boxes above its threshold are drawn.
        title: of the figure.
    """
    rows = max(1, math.ceil(len(pictures) / COLUMNS))
    height, width = pictures[0][0].shape[:2] if pictures else (1, 1)
    size = (3 * COLUMNS, 3 * rows * height / width + 0.9)
    figure, panels = pyplot.subplots(rows, COLUMNS, figsize=size, squeeze=False, layout="constrained")
    for axes in panels.flat:
        axes.axis("off")
    for axes, (image, (boxes, classes, probabilities), truth) in zip(panels.flat, pictures, strict=False):
        axes.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255)
        likely = probabilities >= output.threshold
        drawn = [(row[:4], int(row[4]), "--", 0.9) for row in truth]
        drawn += [(box, kind, "-", 1.6) for box, kind in zip(boxes[likely], classes[likely], strict=True)]
        for (top, left, bottom, right), kind, line, wide in drawn:
            colour = PALETTE[kind % len(PALETTE)]
            place = ((left, top), right - left, bottom - top)
            axes.add_patch(Rectangle(*place, fill=False, edgecolor=colour, linestyle=line, linewidth=wide))
    handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=PALETTE[i % 8]) for i in range(len(output.labels))]
    handles += [Rectangle((0, 0), 1, 1, fill=False, edgecolor=GRAY, linestyle=line) for line in ("-", "--")]
    names = [*map(short, output.labels), f"found (from {output.threshold:g} on)", "true"]
    figure.legend(handles[-12:], names[-12:], loc="outside lower center", ncols=6, fontsize=9)
    figure.suptitle(title)
    return figure


def precision(found, title):
    """Precision against recall of each class, at an overlap of a half; `found` is a `box_metrics.BoxesFound`."""
    figure, axes = pyplot.subplots(figsize=(5.6, 4.4), layout="constrained")
    for (label, curve), colour in zip(found.curves().items(), PALETTE, strict=False):
        if curve is not None:
            axes.plot(np.linspace(0, 1, len(curve)), curve, color=colour, label=f"{short(label)}, {curve.mean():.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set_title(f"{title}\noverlap of 0.5", fontsize=10)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(title="class, mAP@0.5")
    return figure


def confusion(matrix, labels, title):
    """What each class's boxes are found as, in per cent; `matrix` is of `box_metrics.BoxesFound.confusion`.

    The last row is of boxes that were found where none is, in per cent of all that were.
    """
    percent = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    texts = ("found as", "label", "% of the row's boxes")
    return figures.grid(percent, [*labels, "nothing there"], [*labels, "not found"], title, texts)
