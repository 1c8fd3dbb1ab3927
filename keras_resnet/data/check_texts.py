"""`keras-resnet check` of tables of texts: how long they are, which are there twice, and what suits."""

import dataclasses
import hashlib

import numpy as np

from keras_resnet import layouts
from keras_resnet.data import tables
from keras_resnet.device.text import tokens


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One text; as `check.Looked`, where its `path` is `train.tsv, text 3`, with its length in tokens."""

    path: str
    split: str
    labels: tuple
    length: int
    digest: bytes
    reason: str = ""
    bits: None = None


def look_for(root):
    """(names of the classes, `Sentence`s, []) of a folder, a `pathlib.Path`; see `check.read`."""
    paths = layouts.texts(root)
    read = {split: tables.rows(path) for split, path in paths.items()}
    names = tables.classes(root, read)
    names = sorted({*names, *(label for found in read.values() for label, _ in found)})
    numbers = {name: i for i, name in enumerate(names)}
    found = []
    for split, rows in read.items():
        for i, (label, text) in enumerate(rows, 1):
            said = tokens(text)
            digest = hashlib.sha256(" ".join(said).encode("utf-8", "replace")).digest()
            found.append(Sentence(f"{paths[split].name}, text {i}", split, (numbers[label],), len(said), digest))
    return names, found, []


def told(good):
    """Lines on `Sentence`s."""
    lengths = np.array([one.length for one in good])
    yield (
        f"tokens: {lengths.min():,} to {lengths.max():,}, {np.median(lengths):.0f} in the median; 99 % of the texts "
        f"have at most {np.percentile(lengths, 99):.0f}"
    )
    if empty := [one.path for one in good if not one.length]:
        yield f"without a token: {len(empty):,}, as {empty[0]}"


def commands(data, good):
    """The commands that suit what was found."""
    del good
    yield f"keras-resnet train {data}"
