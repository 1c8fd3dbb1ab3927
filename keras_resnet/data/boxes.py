"""Pictures with boxes on them: one form inside, and rules for what people's annotations hold.

`voc`, `coco_json` and `yolo_txt` read theirs into it. A box is of the upright picture, in its pixels, from its top left
corner: (top, left, bottom, right); as the numbers stand in the file, of whatever origin its maker counts from.
"""

import collections
import dataclasses
import math

import numpy as np
from PIL import Image

from keras_resnet.data import DataError
from keras_resnet.data.class_folders import split_named
from keras_resnet.device import picture

OVER = "reaches over the picture's edge and is cut there"
# What is left out, in the order in which it is looked for.
ODD = "has a side that is no finite number"
FLAT = "has no area"
OUTSIDE = "lies outside of the picture"
UNKNOWN = "is of a class that is not in the list"
SIZE = "is annotated for a picture of another size"


@dataclasses.dataclass(frozen=True)
class Annotated:
    """A picture and what is on it.

    Attributes:
        path: of the file, a string.
        boxes: float32 (n, 4): top, left, bottom, right, in pixels.
        classes: int64 (n,).
        hard: bool (n,): VOC's difficult and COCO's crowd; they are neither learned nor missed.
        size: (width, height) of the picture as it is shown.
    """

    path: str
    boxes: np.ndarray
    classes: np.ndarray
    hard: np.ndarray
    size: tuple


@dataclasses.dataclass(frozen=True)
class Raw:
    """A picture as an annotation has it: its path, (width, height) or None, and (class name, box, hard) of each box.

    `own` is the picture's own (width, height); None where its file is to be asked.
    """

    path: str
    size: tuple | None
    objects: list
    own: tuple | None = None


def settle_splits(raws, names):
    """`settle` of each split: (split -> list of `Annotated`, rule -> list of sentences, of all together)."""
    found, told = {}, collections.defaultdict(list)
    for split, of in raws.items():
        found[split], rules = settle(of, names)
        for rule, cases in rules.items():
            told[rule] += cases
    return found, dict(told)


def settle(raws, names):
    """Holds annotations to their pictures.

    Args:
        raws: list of `Raw`.
        names: the classes, in the order of their numbers.

    Returns:
        (list of `Annotated`, rule -> list of sentences on what it cut or left out). A picture without boxes stays: that
        nothing is there is learned, too.

    Raises:
        DataError: a picture can't be opened.
    """
    found, told = [], collections.defaultdict(list)
    numbers = {name: i for i, name in enumerate(names)}
    for raw in raws:
        width, height = raw.own or upright_size(raw.path)
        if raw.size and tuple(raw.size) != (width, height):
            told[SIZE].append(f"{raw.path} ({width}x{height}, its annotation says {raw.size[0]}x{raw.size[1]})")
            continue
        kept = []
        for name, box, hard in raw.objects:
            rule, box = _held(box, name in numbers, width, height)
            if rule:
                told[rule].append(f"{raw.path}: {name} {_shown(box)}")
            if rule in ("", OVER):
                top, left, bottom, right = box
                inside = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
                kept.append((inside, numbers[name], hard))
        boxes, classes, hard = ([one[i] for one in kept] for i in range(3))
        found.append(
            Annotated(
                raw.path,
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(classes, np.int64),
                np.array(hard, bool),
                (width, height),
            )
        )
    return found, dict(told)


def _held(box, known, width, height):
    """The rule that a box falls under, or nothing, and the box."""
    top, left, bottom, right = box
    if not all(map(math.isfinite, box)):
        return ODD, box
    if not known:
        return UNKNOWN, box
    if bottom <= top or right <= left:
        return FLAT, box
    if bottom <= 0 or right <= 0 or top >= height or left >= width:
        return OUTSIDE, box
    return OVER if top < 0 or left < 0 or bottom > height or right > width else "", box


def _shown(box):
    top, left, bottom, right = box
    return f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"


def upright_size(path):
    """(width, height) of a picture as it is shown, its EXIF orientation applied; of the file's head alone.

    Raises:
        DataError: it can't be opened.
    """
    try:
        with Image.open(path) as image:
            return picture.upright_size(image)[::-1]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {error}; its annotation names it") from error


def voc_lists(folder):
    """Split -> text file of its pictures' names, of one of `ImageSets`' folders; `trainval` where there is no other."""
    named = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if folder.name == "Main":  # where `dog_train.txt` is of dogs
        named = {stem: path for stem, path in named.items() if stem.isalpha()}
    found = {split_named(stem): path for stem, path in named.items() if split_named(stem)}
    both = {"train": named["trainval"]} if "trainval" in named and not found.keys() & {"train", "validation"} else {}
    return both | found


def lines(path):
    """The lines of a text file that hold something, stripped.

    Raises:
        DataError: it can't be read, or is no UTF-8.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}; expected text in UTF-8") from error


def report(told, most=3):
    """A line for each rule, with its count and the first of what fell under it."""
    lines = []
    for rule, cases in told.items():
        more = f", … and {len(cases) - most:,} more" if len(cases) > most else ""
        what = "picture" if rule == SIZE else "box"
        count = f"{len(cases):,} {what}{'' if len(cases) == 1 else 's' if what == 'picture' else 'es'}"
        lines.append(f"{count}, of which each {rule}: {'; '.join(cases[:most])}{more}")
    return "\n".join(lines)
