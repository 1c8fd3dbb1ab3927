"""Pictures of masks: what was found and what is, and how far classes overlap with what they should be."""

import math

import numpy as np
from matplotlib.patches import Rectangle

from keras_resnet.device.mask import NO_CLASS
from keras_resnet.drawing import BLUE, pyplot, short
from keras_resnet.tasks import figures

COLUMNS = 3


def answers(pictures, output, title):
    """Pictures, each above what was found and what is.

    Args:
        pictures: list of (uint8 picture, mask that was found, mask that is), masks uint8 (height, width).
        output: `device.mask.Mask`.
        title: of the figure.
    """
    bands = max(1, math.ceil(len(pictures) / COLUMNS))
    height, width = pictures[0][0].shape[:2] if pictures else (1, 1)
    size = (3.2 * COLUMNS, bands * 3 * 3.2 * height / width + 1.2)
    figure, panels = pyplot.subplots(3 * bands, COLUMNS, figsize=size, squeeze=False, layout="constrained")
    for axes in panels.flat:
        axes.axis("off")
    for i, (image, found, truth) in enumerate(pictures):
        column = panels[3 * (i // COLUMNS) :, i % COLUMNS]
        shown = ((image, "picture"), (coloured(found, output), "found"), (coloured(truth, output), "true"))
        for axes, (pixels, name) in zip(column, shown, strict=False):
            axes.imshow(np.squeeze(pixels), cmap="gray", vmin=0, vmax=255)
            axes.set_title(name, fontsize=8, pad=2)
    handles = [Rectangle((0, 0), 1, 1, color=np.array(colour) / 255) for colour in output.colours]
    figure.legend(handles[:24], list(map(short, output.labels))[:24], loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(title)
    return figure


def coloured(mask, output):
    """A mask in its classes' colours, uint8 (height, width, 3); what has no class is black."""
    table = np.zeros((NO_CLASS + 1, 3), np.uint8)
    table[: len(output.colours)] = output.colours
    return table[mask]


def overlaps(values, output, title):
    """Intersection over union of each class, (classes,)."""
    figure, axes = pyplot.subplots(figsize=(6, 1.2 + 0.32 * len(values)), layout="constrained")
    places = np.arange(len(values))[::-1]
    axes.barh(places, 100 * np.nan_to_num(values), color=BLUE)
    for place, value in zip(places, values, strict=True):
        text = "nowhere" if np.isnan(value) else f"{100 * value:.1f}"
        axes.text(100 * np.nan_to_num(value) + 1, place, text, va="center", fontsize=8)
    axes.set_yticks(places, list(map(short, output.labels)))
    axes.set(xlabel="intersection over union [%]", xlim=(0, 108))
    axes.set_title(f"{title}\nmean {100 * np.nanmean(values):.1f} %", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    return figure


def confusion(matrix, labels, title):
    """Where each class's pixels went, in per cent."""
    percent = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    return figures.grid(percent, labels, labels, title, ("taken for", "label", "% of the label's pixels"))
