"""Splits that a source lacks, drawn from its training examples by a fixed seed, class by class."""

import dataclasses
import os
import re

import numpy as np

from keras_resnet.data import DataError

MOST_DRAWN = 10_000
SPLIT_SEED = 20151210  # fixed: validation pictures stay the same whatever a run's own seed


def complete(splits, classes, fraction=0.1, group_by=""):
    """Draws the splits that are missing from the training pictures.

    Args:
        splits: split -> `Arrays` or `Files`.
        classes: names.
        fraction: of the training pictures that is drawn.
        group_by: regular expression of what in the paths of `Files` no drawn split shares with another.

    Raises:
        DataError: a class has too few pictures to be in every split, or there are too few groups.
    """
    check_counts(counts(splits["train"].labels, len(classes)), classes, missing(splits))
    for name in missing(splits):
        train = splits["train"]
        if group_by:
            rest, drawn = grouped_split(groups(train.paths, group_by), fraction)
        else:
            rest, drawn = stratified_split(train.labels, fraction)
        splits |= {"train": _take(train, rest), name: _take(train, drawn)}
    return splits


def drawn(splits):
    """Split -> list, those that are missing drawn from the training's: a tenth, at least one, by a fixed seed."""
    train, lacking = splits["train"], missing(splits)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(train))
    count = max(1, len(order) // 10)
    parts = {name: order[i * count : (i + 1) * count] for i, name in enumerate(lacking)}
    parts["train"] = order[len(lacking) * count :]
    return splits | {name: [train[j] for j in sorted(part)] for name, part in parts.items()}


def missing(splits):
    return [name for name in ("test", "validation") if name not in splits]


def counts(labels, classes):
    """Examples of each class (classes,), of integers (n,) or 0 and 1 (n, classes)."""
    return labels.sum(0, np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def check_counts(counts, classes, drawn):
    """Raises DataError where a class has too few training examples for the splits (a list) that are drawn from them."""
    needed = len(drawn) + 1
    few = int(np.where(counts, counts, counts.max()).argmin())  # a TFDS set may have a class without examples
    if drawn and counts[few] < needed:
        raise DataError(
            f"class {classes[few]} has {counts[few]} training pictures; expected at least {needed}, one for each split "
            "that is drawn from them: add pictures, or give train, validation and test folders of your own"
        )


def stratified_split(labels, fraction, most=MOST_DRAWN):
    """Draws a part of every class, at least one example, by a fixed seed.

    Args:
        labels: integers (n,), or 0 and 1 (n, labels).
        fraction, most: as of `quotas`.

    Returns:
        (rest, drawn): sorted index arrays.
    """
    labels = _strata(labels) if labels.ndim == 2 else labels
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_drawn = rank < np.repeat(quotas(counts, fraction, most), counts)
    return np.sort(order[~is_drawn]), np.sort(order[is_drawn])


def groups(paths, group_by):
    """What a regular expression finds in each path (bytes): its first group, else the whole.

    Raises:
        DataError: it finds nothing in one.
    """
    found = [re.search(group_by, os.fsdecode(path)) for path in paths]
    if lost := [path for path, match in zip(paths, found, strict=True) if not match]:
        raise DataError(f"--group_by={group_by}: it finds nothing in {os.fsdecode(lost[0])}")
    return [match[1] if match.re.groups else match[0] for match in found]


def grouped_split(names, fraction):
    """Draws whole groups until they are a part of all, at least one group, by a fixed seed.

    Args:
        names: of each example's group.
        fraction: of the examples.

    Returns:
        (rest, drawn): sorted index arrays.

    Raises:
        DataError: all are of one group.
    """
    names = np.array(names)
    there = np.unique(names)
    if len(there) < 2:
        raise DataError(f"--group_by: all are of one group, {there[0]}; no split can be drawn from them")
    chosen = np.zeros(len(names), bool)
    for name in np.random.default_rng(SPLIT_SEED).permutation(there)[:-1]:
        if chosen.mean() < fraction:
            chosen |= names == name
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _strata(labels):
    """One class for each example of several labels: its rarest; one more for those without, or where they are few."""
    rarest = np.where(labels, labels.sum(0, np.int64), len(labels) + 1).argmin(1)
    strata = np.where(labels.any(1), rarest, labels.shape[1])
    return np.where(np.bincount(strata)[strata] < 2, labels.shape[1], strata)  # one stays, one is drawn


def quotas(counts, fraction, most=MOST_DRAWN):
    """How many examples of each class are drawn: a fraction, at least one, and at most `most` altogether.

    One of each class is more important than `most`, where there are more classes than that.

    Args:
        counts: int array (classes,), examples of each class.
        fraction: of them that is wanted.
    """
    there = counts > 0
    drawn = np.maximum(there, np.round(fraction * counts).astype(int))
    if drawn.sum() <= most:
        return drawn
    # One of each, and of what else was wanted shares as equal as whole numbers can be: the largest remainders get the
    # last ones. No class gives more than was wanted of it.
    spare, more = max(0, most - there.sum()), drawn - there
    shares = spare * more / max(1, more.sum())
    drawn = there + shares.astype(int)
    last = np.argsort(-(shares % 1), kind="stable")[: most - drawn.sum()] if spare else []
    drawn[last] += 1
    return drawn


def _take(source, index):
    """A part of `Arrays` or `Files`."""
    return type(source)(*(getattr(source, field.name)[index] for field in dataclasses.fields(source)))
