"""`keras-resnet check` of folders whose pictures have boxes or masks: what is there, where, and what is left out."""

import collections
import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from keras_resnet import layouts
from keras_resnet.data import DataError, box_folders, boxes, label_maps
from keras_resnet.device import drawing
from keras_resnet.device.mask import NO_CLASS, Masked, palette
from keras_resnet.device.picture import upright

OF_PIXELS = "classes of pixels"
SMALL, LARGE = 32, 96  # COCO's sizes: sides of a box, in pixels


@dataclasses.dataclass(frozen=True)
class Places:
    """What lies where on a folder's pictures.

    Attributes:
        what: `classes of boxes` or `classes of pixels`.
        names: of the classes.
        entries: (split, path, numbers of the classes on it) of each picture.
        told: lines for people.
        drawn: from a path to the picture with what is on it, `PIL.Image.Image`.
    """

    what: str
    names: tuple
    entries: list
    told: list
    drawn: Callable


def look_for(root):
    """`Places` of a folder, a `pathlib.Path`; None where it has neither boxes nor masks.

    Raises:
        DataError: annotations can't be understood.
    """
    if reader := box_folders.reader(root):
        found = _boxes(*reader.read(root))
        if layouts.masks(root):
            found.told.append("it has masks, too: --task=segmentation learns those")
        return found
    if pairs := label_maps.pairs(root):
        found = _masks(label_maps.read_names(root), pairs)
        found.told.extend(label_maps.alone(root, pairs))
        return found
    return None


def _boxes(names, raws):
    settled, told = boxes.settle_splits(raws, names)
    found = {one.path: one for of in settled.values() for one in of}
    entries = [(split, one.path, tuple(sorted({*one.classes.tolist()}))) for split, of in settled.items() for one in of]

    def drawn(path):
        one = found[path]
        with Image.open(path) as image:
            texts = [names[kind] + " (hard)" * int(hard) for kind, hard in zip(one.classes, one.hard, strict=True)]
            crowded = len(texts) > drawing.CROWDED
            return drawing.outlined(upright(image), one.boxes, one.classes.tolist(), () if crowded else texts)

    return Places("classes of boxes", names, entries, [*_of_boxes(names, list(found.values())), *_rules(told)], drawn)


def _of_boxes(names, found):
    """Lines on how many boxes there are of each class, and how large they are."""
    count = collections.Counter(names[kind] for one in found for kind in one.classes)
    yield f"{sum(count.values()):,} boxes: " + ", ".join(f"{name} {count[name]:,}" for name in names)
    sides = [np.sqrt(np.prod(one.boxes[:, 2:] - one.boxes[:, :2], -1)) for one in found]
    sides = np.concatenate(sides) if sides else np.zeros(0)
    if len(sides):
        small, large = np.sum(sides < SMALL), np.sum(sides >= LARGE)
        yield (
            f"sides of boxes, in pixels as stored: {small:,} below {SMALL}, {len(sides) - small - large:,} between, "
            f"{large:,} from {LARGE} on; the median is {np.median(sides):.0f}"
        )
    empty, most = sum(not len(one.boxes) for one in found), max((len(one.boxes) for one in found), default=0)
    hard = sum(int(one.hard.sum()) for one in found)
    yield f"pictures without a box: {empty:,}; most on one: {most}; hard ones: {hard:,}"


def _rules(told):
    return boxes.report(told).splitlines() if told else ["no box is cut or left out"]


def _masks(names, pairs):
    labels, numbers = label_maps.classes(names), label_maps.numbers(names)
    maps = {path: mask for of in pairs.values() for path, mask in of}
    pixels, entries = np.zeros(NO_CLASS + 1, np.int64), []
    for split, of in pairs.items():
        for path, mask in of:
            counts = np.bincount(label_maps.read(path, mask, numbers).ravel(), minlength=NO_CLASS + 1)
            pixels += counts
            entries.append((split, path, tuple(np.flatnonzero(counts[: len(labels)]).tolist())))
    if odd := label_maps.all_or_nothing(labels, pixels):
        raise DataError(odd)
    total = max(1, pixels.sum())
    parts = [f"{label} {100 * part / total:.1f} %" for label, part in zip(labels, pixels[: len(labels)], strict=True)]
    told = ["of all pixels: " + ", ".join(parts), f"without a class: {100 * pixels[NO_CLASS] / total:.1f} %"]

    def drawn(path):
        masked = Masked(label_maps.read(path, maps[path], numbers), labels, palette(len(labels)), len(labels))
        with Image.open(path) as image:
            return drawing.drawn(upright(image), masked, labels)

    return Places(OF_PIXELS, labels, entries, told, drawn)
