"""Tables of texts with a class each (TSV, CSV): in memory, as the numbers that the contract's `Text` makes of them."""

import collections
import dataclasses
import functools
import itertools

import numpy as np

from keras_resnet import layouts
from keras_resnet.data import DataError, tables
from keras_resnet.data.dataset import Data
from keras_resnet.data.sources import Arrays, check_memory
from keras_resnet.data.splits import complete
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.text import FIRST, Text
from keras_resnet.device.text import tokens as tokenized

COVERED, LONGEST = 0.99, 256  # texts that are read to their end, where no length is asked for; its most tokens


@dataclasses.dataclass(frozen=True)
class Written:
    """Texts (an array of objects) and their labels, or classes' numbers."""

    texts: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, rows):
        """Of (label, text) pairs."""
        labels, texts = zip(*rows, strict=True) if rows else ((), ())
        return cls(np.array([*texts, None], object)[:-1], np.array(labels, np.int64))  # None: one would be a scalar


def load(root, **prepared):
    """`Data` of a folder with `train.tsv` or `.csv`, and `validation` and `test` beside it; see `loading.load_dataset`.

    Args:
        root: `pathlib.Path` of the folder.
        prepared: tokens, vocabulary, pairs and pieces of `prepare`.

    Raises:
        DataError: a file can't be understood, or has other classes than the training's.
    """
    read = {split: tables.rows(path) for split, path in layouts.texts(root).items()}
    classes = tables.classes(root, read)
    for split, found in read.items():
        if others := {label for label, _ in found} - {*classes}:
            raise DataError(f"{root}: {split} has the class {min(others)!r}, which no training text has")
    numbers = {name: i for i, name in enumerate(classes)}
    splits = {split: Written.of([(numbers[label], text) for label, text in found]) for split, found in read.items()}
    return prepare(str(root), classes, splits, **prepared)


def prepare(name, classes, splits, tokens=0, vocabulary=20_000, pairs=0, pieces=0):
    """`Data` of texts.

    Args:
        name: what they are called.
        classes: names.
        splits: split -> `Written`, by classes' numbers; what is missing is drawn from the training's.
        tokens: of each text that are read; 0: as many as all but a hundredth of the training texts have, at most 256.
        vocabulary: tokens at most, the most frequent ones of the training texts.
        pairs, pieces: of the contract.
    """
    splits = complete(splits, classes)
    found = {split: [tokenized(text) for text in part.texts] for split, part in splits.items()}
    counts = collections.Counter(itertools.chain.from_iterable(found["train"]))
    known = sorted(counts, key=lambda token: (-counts[token], token))
    if not known:
        raise DataError(f"{name}: no training text has a word or a mark")
    lengths = sorted(map(len, found["train"]))
    length = tokens or min(LONGEST, max(1, lengths[int(COVERED * (len(lengths) - 1))]))
    text = Text(known[:vocabulary], length, pairs, pieces)
    check_memory(name, sum(map(len, found.values())), (*text.shape, 4), "give fewer --tokens")
    sources = {
        split: Arrays(
            np.array([text.numbered(one) for one in found[split]], np.int32).reshape(-1, *text.shape), p.labels
        )
        for split, p in splits.items()
    }
    cut = sum(len(one) > length for one in found["train"])
    note = f"{cut:,} of {len(lengths):,} training texts are longer than {length} tokens and cut there" if cut else ""
    raw = {split: functools.partial(_file, part.texts) for split, part in splits.items()}
    prints = {split: source.fingerprint() for split, source in sources.items()}
    return Data(name, Contract(text, Classes(classes)), **sources, note=note, fingerprint=prints, raw=raw)


def _file(texts, number):
    """A text as the file that devices read."""
    return texts[number].encode()


def log_ratios(source, text, classes):
    """How much each number speaks for each class: naive Bayes' log-count ratios, of training texts.

    Wang & Manning 2012, https://aclanthology.org/P12-2018: of binary counts, one added to each, a class against all
    others.

    Args:
        source: `Arrays` of the training texts.
        text: the contract's `Text`.
        classes: how many.

    Returns:
        float32 (numbers, classes); 0 for what is nothing or unknown.
    """
    counts = np.ones((text.numbers, classes))
    for ids, label in zip(source.images, source.labels, strict=True):
        counts[np.unique(ids), label] += 1
    part = counts / counts.sum(0)
    others = (counts.sum(1, keepdims=True) - counts) / (counts.sum() - counts.sum(0))
    ratios = np.log(part / others)
    ratios[:FIRST] = 0
    return ratios.astype(np.float32)
