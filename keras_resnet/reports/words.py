"""Which words of a text speak for a class: each is hidden in turn (occlusion, Zeiler & Fergus 2013; Li et al. 2016).

https://arxiv.org/abs/1612.08220. Hidden are a token's number and those of the pairs that it is part of: unknown.
"""

import sys

import numpy as np

from keras_resnet.device.text import NOTHING, UNKNOWN

COLUMNS, LINE = 96, 0.5  # letters of a line of the figure; inches between two lines
TOLD = 0.05  # part of the largest weight below which the terminal says nothing of a word


def weights(model, ids, label):
    """How much less sure of a class a network is without each token.

    Args:
        model: functional `keras.Model` from a text's numbers to logits.
        ids: int32 (length, numbers) of one text.
        label: number of the class.

    Returns:
        float32 (tokens,): by how much the class's log odds fall; negative where the token speaks against it.
    """
    count = int((ids[:, 0] != NOTHING).sum())
    hidden = np.repeat(ids[None], count + 1, 0)  # the last one hides nothing
    for i in range(count):
        hidden[i, i] = np.where(ids[i] != NOTHING, UNKNOWN, NOTHING)
        if i and ids.shape[1] in (2, 4):  # the pair of it and the one before
            hidden[i, i - 1, 1] = UNKNOWN
    logits = model.predict_on_batch(hidden).astype(np.float64)
    others = np.delete(logits, label, -1)
    most = others.max(-1)
    odds = logits[:, label] - most - np.log(np.exp(others - most[:, None]).sum(-1))
    return (odds[-1] - odds[:-1]).astype(np.float32)


def line(words, weighed, colours=None):
    """Words for a terminal, those that matter with their weights or, where it has `colours`, in green and red."""
    colours = sys.stdout.isatty() if colours is None else colours
    least, said = TOLD * max(np.abs(weighed).max(initial=0.0), 1e-9), []
    for word, weight in zip(words, weighed, strict=True):
        if abs(weight) <= least:
            said.append(word)
        elif colours:
            said.append(f"\033[{42 if weight > 0 else 41}m{word}\033[0m")
        else:
            said.append(f"{word}[{weight:+.2f}]")
    return " ".join(said)


def figure(words, maps, title):
    """A text once for each class, each word on a ground of blue where it speaks for it, of orange where against it.

    Args:
        words: list of the text's tokens.
        maps: list of (text above it, `weights`).
        title: of the figure.
    """
    from keras_resnet.drawing import BLUE, ORANGE, pyplot

    rows, places, column = 0, [], 0
    for word in words:
        if column and column + len(word) > COLUMNS:
            rows, column = rows + 1, 0
        places.append((rows, column))
        column += len(word) + 1
    inches = LINE * (rows + 2) * len(maps) + 0.4
    made, panels = pyplot.subplots(len(maps), 1, figsize=(11, inches), layout="constrained", squeeze=False)
    for axes, (text, weighed) in zip(panels[:, 0], maps, strict=True):
        most = max(np.abs(weighed).max(initial=0.0), 1e-9)
        text += f"   (blue speaks for it, orange against; the fullest colour is {most:.2f} of log odds)"
        axes.set(xlim=(0, COLUMNS), ylim=(rows + 0.6, -0.6))
        axes.set_title(text, fontsize=10, loc="left")
        axes.axis("off")
        for word, weight, (row, at) in zip(words, weighed, places, strict=True):
            ground = {"facecolor": BLUE if weight > 0 else ORANGE, "alpha": float(min(1, abs(weight) / most)) * 0.7}
            box = {**ground, "edgecolor": "none", "boxstyle": "square,pad=0.15"}
            axes.text(at, row, word, family="monospace", fontsize=10, va="center", bbox=box)
    made.suptitle(title, fontsize=10)
    return made
