"""Matplotlib as this project uses it; colours that colour-blind readers can tell apart (Okabe and Ito's palette)."""

import warnings

import matplotlib
import numpy as np

from keras_resnet import files

matplotlib.use("Agg")
from matplotlib import pyplot

matplotlib.rcParams["text.parse_math"] = False  # a class may be named $x$
warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # or 猫: the figure shows a box
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#E69F00", "#009E73", "#999999"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MOST_LETTERS = 24  # of a class name


def save(figure, path):
    """Writes a figure as PNG, atomically, and closes it."""
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)


def pixels(figure):
    """Renders a figure to a uint8 array (height, width, 3)."""
    figure.set_dpi(90)
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def short(name):
    """A class's name, cut where it is too long for a figure."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
